/* SPDX-License-Identifier: Apache-2.0 */
/* A template (what stands before the first NUL) filled with a value (what stands behind it), under any input: what is put in ends no line, opens no tag,
 * names nothing; and the message made of it is one that SMTP can carry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <unistd.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "model/mail_template.h"
#include "net/smtp_message.h"

static apr_pool_t *pool;
static char dir[] = "/tmp/p2p-fuzz-XXXXXX";

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static const char *path(const char *ending)
{
    static char text[100];

    snprintf(text, sizeof text, "%s/f%s", dir, ending);
    return text;
}

static void write_file(const char *ending, const char *bytes, size_t len)
{
    FILE *file = fopen(path(ending), "wb");

    require(file && fwrite(bytes, 1, len, file) == len && !fclose(file), "files can be written");
}

static void clean(void)
{
    remove(path(".txt"));
    remove(path(".html"));
    rmdir(dir);
}

static int count(const char *text, char c)
{
    int n = 0;

    for (; *text; text++) n += *text == c;
    return n;
}

static void check_message(const p2p_mail_text_t *text)
{
    p2p_mail_t mail = {.from = "a@b.example", .to = "c@d.example", .message_id = "1@b.example", .subject = text->subject, .text = text->text,
                       .html = text->html};
    p2p_buf_t out;
    size_t column = 0;

    p2p_buf_init(&out, P2P_SMTP_MESSAGE_BYTES);
    p2p_smtp_message_write(&out, &mail);
    require(!out.overflow, "a mail fits");
    for (apr_size_t i = 0; i < out.len; i++) {
        unsigned char c = (unsigned char)out.data[i];
        require(c == '\r' || c == '\n' || c == '\t' || (c >= ' ' && c <= '~'), "a message is of seven bits");
        require((c == '\n') == (i > 0 && out.data[i - 1] == '\r'), "lines end with CRLF, and only they");
        require(c != '.' || column > 0, "no line begins with a dot");
        column = c == '\n' ? 0 : column + 1;
        require(column <= 100, "lines are short");
    }
    require(column == 0, "the last line is ended");
    p2p_buf_free(&out);
}

static void check_filled(const p2p_mail_text_t *mail, const char *template)
{
    require(*mail->subject && strlen(mail->subject) <= 400, "a subject is there, and not too long");
    for (const char *c = mail->subject; *c; c++) require((unsigned char)*c >= ' ' && *c != 0x7f, "a subject is one line");
    require(count(mail->text, '\n') <= count(template, '\n'), "no value ends a line");
    require(mail->html && count(mail->html, '\n') <= count(template, '\n'), "no value ends a line of HTML");
    require(count(mail->html, '<') == count(template, '<') && count(mail->html, '>') == count(template, '>'), "no value has a tag");
    require(strlen(mail->text) <= P2P_MAIL_TEMPLATE_BYTES && strlen(mail->html) <= P2P_MAIL_TEMPLATE_BYTES, "a mail is not too long");
    check_message(mail);
}

static void fill(const char *template, const char *value)
{
    json_object *values = p2p_json_own(pool, json_object_new_object());
    p2p_mail_text_t mail;
    p2p_error_t *error;

    p2p_json_add_str(values, "payer", value);
    error = p2p_mail_template_fill(pool, dir, "f", values, &mail);
    if (error) require(error->kind == P2P_E_INVALID && strlen(error->sentence) < 400, "a fault is told, in short");
    else check_filled(&mail, template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = calloc(1, size + 2);
    size_t len;

    if (!copy) abort();
    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
        require(mkdtemp(dir) != NULL, "a folder can be made");
        atexit(clean);
    }
    memcpy(copy, data, size);
    len = strlen(copy);
    write_file(".txt", copy, len);
    write_file(".html", copy, len);
    fill(copy, len < size ? copy + len + 1 : "v");
    apr_pool_clear(pool);
    free(copy);
    return 0;
}
