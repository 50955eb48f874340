/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of mails: files of an administrator, filled with what strangers wrote. */
#include "model/mail_template.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"

#define SUBJECT "Subject:"
#define SUBJECT_BYTES 400 /* of a filled one; the rest is left out */
#define NAME_SHOWN 40     /* characters of a name that there is not, in the sentence */

#define TO_MEMBER "status job"
#define OF_EXCHANGE "payer " TO_MEMBER
#define TO_ADMINISTRATOR "payer member-name member-phone status task-id job reason"

const p2p_mail_template_t p2p_mail_templates[] = {
    {"add-payer-administrator", TO_ADMINISTRATOR},
    {"add-payer-member", TO_MEMBER},
    {"add-payer-status-member", TO_MEMBER},
    {"exchange-completed-member", OF_EXCHANGE},
    {"exchange-failed-member", OF_EXCHANGE},
    {"exchange-failed-administrator", TO_ADMINISTRATOR},
    {P2P_MAIL_TEMPLATE_TEST, ""},
    {NULL, NULL},
};

typedef enum { PLAIN, HTML } form_t;

/* A template that is being filled. */
typedef struct filling_t {
    apr_pool_t *p;
    const char *path;
    json_object *values;
    form_t form;
    p2p_buf_t *out;
} filling_t;

static p2p_error_t *fault(apr_pool_t *p, const char *path, int line, const char *what)
{
    const char *where = line ? apr_psprintf(p, ", line %d,", line) : "";

    return p2p_error_make(p, P2P_E_INVALID, "mail-template", "The template %s%s %s.", path, where, what);
}

static p2p_error_t *fault_status(apr_pool_t *p, const char *path, int status)
{
    char reason[120];

    apr_strerror(APR_FROM_OS_ERROR(status), reason, sizeof reason);
    return fault(p, path, 0, apr_pstrcat(p, "cannot be read: ", reason, NULL));
}

/* Reading. */

static p2p_error_t *read_open(apr_pool_t *p, const char *path, int fd, const char **text)
{
    struct stat info;
    char *bytes;
    apr_size_t len = 0;
    ssize_t n;

    if (fstat(fd, &info)) return fault_status(p, path, errno);
    if (!S_ISREG(info.st_mode)) return fault(p, path, 0, "is not a file");
    if (info.st_size > P2P_MAIL_TEMPLATE_BYTES) return fault(p, path, 0, "is over 256 KiB long");
    bytes = apr_palloc(p, (apr_size_t)info.st_size + 1);
    while (len < (apr_size_t)info.st_size) {
        n = read(fd, bytes + len, (apr_size_t)info.st_size - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fault_status(p, path, errno);
        if (n == 0) break;
        len += (apr_size_t)n;
    }
    bytes[len] = '\0';
    if (strlen(bytes) != len) return fault(p, path, 0, "holds a NUL byte: this cannot be the right file");
    *text = bytes;
    return NULL;
}

/* A pipe without a writer would stop us, so it is not waited for. *text is NULL where there is no file. */
static p2p_error_t *read_file(apr_pool_t *p, const char *path, const char **text)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    p2p_error_t *error;

    *text = NULL;
    if (fd < 0) return errno == ENOENT ? NULL : fault_status(p, path, errno);
    error = read_open(p, path, fd, text);
    close(fd);
    return error;
}

static int line_of(const char *text, const char *at)
{
    int line = 1;

    for (; text < at; text++) line += *text == '\n';
    return line;
}

static p2p_error_t *check_utf8(apr_pool_t *p, const char *path, const char *text)
{
    const char *at = text, *end = text + strlen(text);

    while (at < end) {
        apr_size_t n = p2p_utf8_sequence(at, (apr_size_t)(end - at));
        if (!n) return fault(p, path, line_of(text, at), "is not UTF-8");
        at += n;
    }
    return NULL;
}

/* Values. */

static const char *entity_of(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

/* Controls of ASCII and Latin-1; line and paragraph separators; what turns the direction of writing (U+200E, U+200F, U+202A to U+202E, U+2066 to
 * U+2069). */
static int is_blank(const unsigned char *s, apr_size_t n)
{
    if (n == 1) return *s < 0x20 || *s == 0x7f;
    if (n == 2) return s[0] == 0xC2 && s[1] < 0xA0;
    if (n != 3 || s[0] != 0xE2) return 0;
    if (s[1] == 0x80) return s[2] == 0x8E || s[2] == 0x8F || (s[2] >= 0xA8 && s[2] <= 0xAE);
    return s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9;
}

static void put_value(const filling_t *f, const char *value)
{
    const char *end = value + strlen(value), *entity;

    while (value < end) {
        apr_size_t n = p2p_utf8_sequence(value, (apr_size_t)(end - value));
        if (!n) p2p_buf_puts(f->out, "?");
        else if (is_blank((const unsigned char *)value, n)) p2p_buf_puts(f->out, " ");
        else if (f->form == HTML && (entity = entity_of(*value))) p2p_buf_puts(f->out, entity);
        else p2p_buf_add(f->out, value, n);
        value += n ? n : 1;
    }
}

static p2p_error_t *no_such_name(const filling_t *f, int line, const char *name)
{
    const char *there = "";

    json_object_object_foreach(f->values, key, value) {
        (void)value;
        there = apr_pstrcat(f->p, there, *there ? ", " : "", key, NULL);
    }
    return fault(f->p, f->path, line, apr_psprintf(f->p, "names {{%.*s}}, which it is not given (it is given %s)", NAME_SHOWN, name,
                                                   *there ? there : "nothing"));
}

/* The name at text, behind its braces; *end is behind those that close it. */
static const char *read_name(apr_pool_t *p, const char *text, const char **end)
{
    apr_size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

    if (!len || strncmp(text + len, "}}", 2)) return NULL;
    *end = text + len + 2;
    return apr_pstrmemdup(p, text, len);
}

static p2p_error_t *fill(const filling_t *f, const char *text, int line)
{
    const char *open, *begin = text, *end, *name;

    for (; (open = strstr(text, "{{")); text = end) {
        json_object *value = NULL;
        p2p_buf_add(f->out, text, (apr_size_t)(open - text));
        line += line_of(begin, open) - 1;
        begin = open;
        name = read_name(f->p, open + 2, &end);
        if (!name) return fault(f->p, f->path, line, "has a {{ without a name and }} behind it");
        if (!json_object_object_get_ex(f->values, name, &value) || !json_object_is_type(value, json_type_string))
            return no_such_name(f, line, name);
        put_value(f, json_object_get_string(value));
    }
    p2p_buf_puts(f->out, text);
    return f->out->overflow ? fault(f->p, f->path, 0, "is over 256 KiB long when it is filled") : NULL;
}

/* text filled, in p. */
static p2p_error_t *fill_text(apr_pool_t *p, const char *path, json_object *values, form_t form, const char *text, int line, const char **filled)
{
    p2p_buf_t out;
    filling_t f = {p, path, values, form, &out};
    p2p_error_t *error;

    p2p_buf_init(&out, P2P_MAIL_TEMPLATE_BYTES);
    error = fill(&f, text, line);
    *filled = error ? NULL : apr_pstrmemdup(p, out.data ? out.data : "", out.len);
    p2p_buf_free(&out);
    return error;
}

/* Without the blanks around it, and not longer than a subject is. */
static const char *trim_subject(apr_pool_t *p, const char *subject)
{
    apr_size_t len = 0, n, left;

    while (*subject == ' ') subject++;
    left = strlen(subject);
    while (left && subject[left - 1] == ' ') left--;
    for (; left; len += n, left -= n) {
        n = p2p_utf8_sequence(subject + len, left);
        if (!n || len + n > SUBJECT_BYTES) break;
    }
    return apr_pstrmemdup(p, subject, len);
}

static p2p_error_t *fill_subject(apr_pool_t *p, const char *path, json_object *values, const char *text, apr_size_t len, const char **subject)
{
    const char *line;

    if (strncmp(text, SUBJECT, strlen(SUBJECT))) return fault(p, path, 1, "does not begin with Subject:");
    line = apr_pstrmemdup(p, text + strlen(SUBJECT), len - strlen(SUBJECT));
    for (const char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return fault(p, path, 1, "has a control character in its subject");
    P2P_TRY(fill_text(p, path, values, PLAIN, line, 1, &line));
    *subject = trim_subject(p, line);
    return **subject ? NULL : fault(p, path, 1, "has an empty subject");
}

static const char *without_returns(apr_pool_t *p, const char *text)
{
    char *copy = apr_pstrdup(p, text), *to = copy;

    for (const char *from = copy; *from; from++)
        if (*from != '\r' || from[1] != '\n') *to++ = *from;
    *to = '\0';
    return copy;
}

/* *text is NULL where there is no file. */
static p2p_error_t *read_template(apr_pool_t *p, const char *path, const char **text)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* that some editors put before UTF-8 */

    P2P_TRY(read_file(p, path, text));
    if (!*text) return NULL;
    P2P_TRY(check_utf8(p, path, *text));
    if (!strncmp(*text, mark, strlen(mark))) *text += strlen(mark);
    *text = without_returns(p, *text);
    return NULL;
}

static p2p_error_t *fill_plain(apr_pool_t *p, const char *path, json_object *values, p2p_mail_text_t *mail)
{
    const char *text;
    apr_size_t len;
    int line = 2;

    P2P_TRY(read_template(p, path, &text));
    if (!text) return fault_status(p, path, ENOENT);
    len = strcspn(text, "\n");
    P2P_TRY(fill_subject(p, path, values, text, len, &mail->subject));
    text += len + (text[len] == '\n');
    while (*text == '\n') text++, line++;
    if (!*text) return fault(p, path, 0, "has no text behind its subject");
    return fill_text(p, path, values, PLAIN, text, line, &mail->text);
}

p2p_error_t *p2p_mail_template_fill(apr_pool_t *p, const char *dir, const char *name, json_object *values, p2p_mail_text_t *mail)
{
    const char *path = apr_pstrcat(p, dir, "/", name, ".txt", NULL), *text;

    memset(mail, 0, sizeof *mail);
    P2P_TRY(fill_plain(p, path, values, mail));
    path = apr_pstrcat(p, dir, "/", name, ".html", NULL);
    P2P_TRY(read_template(p, path, &text));
    return text ? fill_text(p, path, values, HTML, text, 1, &mail->html) : NULL;
}

static json_object *stand_ins(apr_pool_t *p, const char *names)
{
    json_object *values = p2p_json_own(p, json_object_new_object());
    char *rest, *name, *copy = apr_pstrdup(p, names);

    for (name = apr_strtok(copy, " ", &rest); name; name = apr_strtok(NULL, " ", &rest)) p2p_json_add_str(values, name, "x");
    return values;
}

p2p_error_t *p2p_mail_templates_check(apr_pool_t *p, const char *dir)
{
    p2p_mail_text_t mail;

    for (const p2p_mail_template_t *t = p2p_mail_templates; t->name; t++)
        P2P_TRY(p2p_mail_template_fill(p, dir, t->name, stand_ins(p, t->values), &mail));
    return NULL;
}
