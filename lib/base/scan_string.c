/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the string tokens that the scanner found. */
#include "base/scan.h"

#include <string.h>

/* The value of a hexadecimal digit. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return (c | 0x20) - 'a' + 10;
}

int p2p_scan_is(const char *text, apr_size_t len, const char *word)
{
    apr_size_t n = strlen(word);

    return len == n + 2 && !memcmp(text + 1, word, n);
}

/* The four hexadecimal digits at s as a number. */
static unsigned hex4(const char *s)
{
    unsigned v = 0;
    int i;

    for (i = 0; i < 4; i++) v = v << 4 | ((unsigned)hex_value(s[i]) & 15);
    return v;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) *out++ = (char)(0xC0 | c >> 6);
    else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (c & 0x3F));
    return out;
}

/* Takes the digits of \uXXXX at *s, and those of the other half of a surrogate pair; moves *s behind them. */
static unsigned take_code(const char **s, const char *end)
{
    const char *p = *s;
    unsigned c, low;

    if (end - p < 4) {
        *s = end;
        return 0xFFFD;
    }
    c = hex4(p);
    *s = p += 4;
    if (c < 0xD800 || c > 0xDFFF) return c;
    if (c > 0xDBFF || end - p < 6 || p[0] != '\\' || p[1] != 'u') return 0xFFFD;
    low = hex4(p + 2);
    if (low < 0xDC00 || low > 0xDFFF) return 0xFFFD;
    *s = p + 6;
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

static char short_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

char *p2p_scan_unescape(apr_pool_t *p, const char *text, apr_size_t len, apr_size_t *out_len)
{
    char *out = apr_palloc(p, len + 1), *o = out; /* no escape grows */
    const char *s = text + 1, *end = len < 2 ? s : text + len - 1;

    while (s < end) {
        const char *slash = memchr(s, '\\', (apr_size_t)(end - s));
        apr_size_t n = (apr_size_t)((slash ? slash : end) - s);

        memcpy(o, s, n);
        o += n;
        s += n;
        if (end - s < 2) break;
        s += 2;
        if (s[-1] == 'u') o = put_utf8(o, take_code(&s, end));
        else *o++ = short_escape(s[-1]);
    }
    *o = '\0';
    if (out_len) *out_len = (apr_size_t)(o - out);
    return out;
}
