/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define CAP_MIN 256
#define TRIM_MIN (256 << 10) /* smaller blocks stay as they are */

void p2p_buf_init(p2p_buf_t *buf, apr_size_t max)
{
    memset(buf, 0, sizeof *buf);
    /* One byte is kept for the NUL, so that len + 1 never wraps. */
    buf->max = max < APR_SIZE_MAX ? max : APR_SIZE_MAX - 1;
}

void p2p_buf_free(p2p_buf_t *buf)
{
    free(buf->data);
    p2p_buf_init(buf, buf->max);
}

void p2p_buf_clear(p2p_buf_t *buf)
{
    buf->len = 0;
    buf->overflow = 0;
    if (buf->data) buf->data[0] = '\0';
}

void p2p_buf_trim(p2p_buf_t *buf)
{
    char *data;

    if (buf->cap <= TRIM_MIN || buf->len >= buf->cap / 4) return;
    data = realloc(buf->data, buf->len + 1);
    if (!data) return;
    buf->data = data;
    buf->cap = buf->len + 1;
}

char *p2p_buf_take(p2p_buf_t *buf)
{
    char *data = buf->data;

    p2p_buf_init(buf, buf->max);
    return data;
}

/* Makes the block hold at least need bytes; doubling keeps the number of copies logarithmic. */
static void grow(p2p_buf_t *buf, apr_size_t need)
{
    apr_size_t cap = buf->cap < CAP_MIN ? CAP_MIN : buf->cap;
    char *data;

    while (cap < need) cap = cap > APR_SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max + 1) cap = buf->max + 1;
    data = realloc(buf->data, cap);
    if (!data) abort();
    if (!buf->data) data[0] = '\0';
    buf->data = data;
    buf->cap = cap;
}

int p2p_buf_reserve(p2p_buf_t *buf, apr_size_t more)
{
    if (more > buf->max - buf->len) {
        buf->overflow = 1;
        return 0;
    }
    if (buf->cap - buf->len < more + 1) grow(buf, buf->len + more + 1);
    return 1;
}

void p2p_buf_add(p2p_buf_t *buf, const void *bytes, apr_size_t len)
{
    if (!p2p_buf_reserve(buf, len)) return;
    if (len) memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void p2p_buf_puts(p2p_buf_t *buf, const char *text)
{
    p2p_buf_add(buf, text, strlen(text));
}

void p2p_buf_cat(p2p_buf_t *buf, ...)
{
    const char *text;
    va_list texts;

    va_start(texts, buf);
    while ((text = va_arg(texts, const char *)) != NULL) {
        apr_size_t len = strlen(text);

        if (buf->cap - buf->len < len + 1 && !p2p_buf_reserve(buf, len)) continue;
        memcpy(buf->data + buf->len, text, len + 1);
        buf->len += len;
    }
    va_end(texts);
}

void p2p_buf_printf(p2p_buf_t *buf, const char *format, ...)
{
    apr_size_t room = buf->cap - buf->len; /* mostly it is enough, and then it is formatted once */
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(room ? buf->data + buf->len : NULL, room, format, args);
    va_end(args);
    if (n < 0) buf->overflow = 1;
    else if ((apr_size_t)n >= room && p2p_buf_reserve(buf, (apr_size_t)n)) {
        vsnprintf(buf->data + buf->len, (apr_size_t)n + 1, format, again);
        buf->len += (apr_size_t)n;
    } else if ((apr_size_t)n < room) buf->len += (apr_size_t)n;
    if (buf->data) buf->data[buf->len] = '\0';
    va_end(again);
}

static void add_escape(p2p_buf_t *buf, unsigned char c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char *s;

    for (s = shorts; *s; s += 2) {
        if ((unsigned char)*s == c) {
            char escape[2] = {'\\', s[1]};
            p2p_buf_add(buf, escape, 2);
            return;
        }
    }
    p2p_buf_printf(buf, "\\u%04x", c);
}

/* Number of bytes from text that may stand in a JSON string as they are. */
static apr_size_t plain_run(const unsigned char *text, apr_size_t len)
{
    apr_size_t i = 0, n;

    while (i < len) {
        if (text[i] < 0x20 || text[i] == '"' || text[i] == '\\') break;
        n = p2p_utf8_sequence((const char *)text + i, len - i);
        if (!n) break;
        i += n;
    }
    return i;
}

void p2p_buf_json(p2p_buf_t *buf, const char *text, apr_size_t len)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + len;
    apr_size_t was = buf->len;
    int whole = !buf->overflow;

    p2p_buf_add(buf, "\"", 1);
    while (s < end) {
        apr_size_t n = plain_run(s, (apr_size_t)(end - s));

        p2p_buf_add(buf, s, n);
        s += n;
        if (s == end) break;
        if (*s < 0x80) add_escape(buf, *s);
        else p2p_buf_add(buf, "\xEF\xBF\xBD", 3); /* not UTF-8: JSON has no way to say it */
        s++;
    }
    p2p_buf_add(buf, "\"", 1);
    if (whole && buf->overflow) { /* all or nothing, as with the others */
        buf->len = was;
        if (buf->data) buf->data[was] = '\0';
    }
}

void p2p_buf_consume(p2p_buf_t *buf, apr_size_t len)
{
    if (len > buf->len) len = buf->len;
    if (!len) return;
    buf->len -= len;
    memmove(buf->data, buf->data + len, buf->len);
    buf->data[buf->len] = '\0';
}
