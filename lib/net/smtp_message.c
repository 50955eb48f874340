/* SPDX-License-Identifier: Apache-2.0 */
/* Mails as bytes. Bodies are quoted-printable: 7-bit, short lines, and readable as they are. */
#include "net/smtp_message.h"

#include <apr_base64.h>
#include <apr_strings.h>
#include <string.h>
#include <time.h>

#include "base/mail_address.h"
#include "base/utf8.h"

#define LINE_MAX_QUOTED 75 /* the = of a soft line break is the 76th */
#define PLAIN_MAX 76       /* a header line with its name */
#define WORD_BYTES 36      /* in an encoded word: 48 characters of base64 and 12 around them; with "Subject: " a line has 69 */
#define MESSAGE_ID_MAX 250
#define BOUNDARY "=_p2p-alternative" /* quoted-printable never has =_ */

static p2p_error_t *bad(apr_pool_t *p, const char *what, const char *fault)
{
    return p2p_error_make(p, P2P_E_INVALID, "mail-address", "The mail was not sent: %s %s.", what, fault);
}

static p2p_error_t *check_address(apr_pool_t *p, const char *what, const char *address)
{
    const char *fault = p2p_mail_address_check(address);

    return fault ? bad(p, what, fault) : NULL;
}

p2p_error_t *p2p_smtp_message_check(apr_pool_t *p, const p2p_mail_t *mail)
{
    const char *c;

    P2P_TRY(check_address(p, "its sender's address", mail->from));
    P2P_TRY(check_address(p, "its recipient's address", mail->to));
    for (c = mail->message_id; *c > ' ' && *c < 0x7f && !strchr("<>()\\\"", *c); c++)
        ;
    return *c || c == mail->message_id || c - mail->message_id > MESSAGE_ID_MAX ? bad(p, "its Message-ID", "is none") : NULL;
}

/* Headers. */

static int is_plain(const char *name, const char *text)
{
    apr_size_t len = strlen(text);

    if (strlen(name) + 2 + len > PLAIN_MAX || strstr(text, "=?")) return 0;
    for (apr_size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~') return 0;
    return !len || (text[0] != ' ' && text[len - 1] != ' ');
}

/* Bytes of whole characters, at most WORD_BYTES of them; what is no UTF-8 is a character of its own. */
static apr_size_t word_length(const char *text)
{
    apr_size_t len = 0, left = strlen(text), n;

    for (; left; len += n, left -= n) {
        n = p2p_utf8_sequence(text + len, left);
        if (!n) n = 1;
        if (len + n > WORD_BYTES) break;
    }
    return len;
}

void p2p_smtp_header_write(p2p_buf_t *out, const char *name, const char *text)
{
    char word[WORD_BYTES * 2];

    p2p_buf_cat(out, name, ":", NULL);
    if (is_plain(name, text)) {
        p2p_buf_cat(out, " ", text, "\r\n", NULL);
        return;
    }
    while (*text) {
        apr_size_t len = word_length(text);
        apr_base64_encode(word, text, (int)len);
        p2p_buf_cat(out, " =?UTF-8?B?", word, "?=\r\n", NULL);
        text += len;
    }
}

static void write_date(p2p_buf_t *out, apr_time_t date)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)apr_time_sec(date);
    struct tm t;

    gmtime_r(&seconds, &t);
    p2p_buf_printf(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d +0000\r\n", days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon,
                   t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* Bodies. */

/* Blanks at the end of a line get lost on the way, and a dot at its beginning means more to SMTP. */
static int is_literal(const char *c, int column)
{
    if (*c == ' ' || *c == '\t') return c[1] && c[1] != '\n' && c[1] != '\r';
    if (*c == '.') return column > 0;
    return *c > ' ' && *c <= '~' && *c != '=';
}

static int put_quoted(p2p_buf_t *out, const char *c, int column)
{
    static const char digits[] = "0123456789ABCDEF";
    int width = is_literal(c, column) ? 1 : 3;
    char code[3] = {'=', digits[(unsigned char)*c >> 4], digits[*c & 15]};

    if (column + width > LINE_MAX_QUOTED) {
        p2p_buf_puts(out, "=\r\n");
        column = 0;
        width = is_literal(c, column) ? 1 : 3;
    }
    p2p_buf_add(out, width == 1 ? c : code, (apr_size_t)width);
    return column + width;
}

void p2p_smtp_quoted_write(p2p_buf_t *out, const char *text)
{
    int column = 0;

    for (; *text; text++) {
        if (text[0] == '\r' && text[1] == '\n') continue;
        if (*text != '\n') {
            column = put_quoted(out, text, column);
            continue;
        }
        p2p_buf_puts(out, "\r\n");
        column = 0;
    }
    if (column) p2p_buf_puts(out, "\r\n");
}

static void write_part(p2p_buf_t *out, const char *type, const char *text)
{
    p2p_buf_cat(out, "Content-Type: ", type, "; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", NULL);
    p2p_smtp_quoted_write(out, text);
}

void p2p_smtp_message_write(p2p_buf_t *out, const p2p_mail_t *mail)
{
    write_date(out, mail->date);
    p2p_buf_cat(out, "From: ", mail->from, "\r\nTo: ", mail->to, "\r\n", NULL);
    p2p_smtp_header_write(out, "Subject", mail->subject);
    p2p_buf_cat(out, "Message-ID: <", mail->message_id, ">\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n", NULL);
    if (!mail->html) {
        write_part(out, "text/plain", mail->text);
        return;
    }
    p2p_buf_puts(out, "Content-Type: multipart/alternative; boundary=\"" BOUNDARY "\"\r\n\r\n--" BOUNDARY "\r\n");
    write_part(out, "text/plain", mail->text);
    p2p_buf_puts(out, "\r\n--" BOUNDARY "\r\n");
    write_part(out, "text/html", mail->html);
    p2p_buf_puts(out, "\r\n--" BOUNDARY "--\r\n");
}
