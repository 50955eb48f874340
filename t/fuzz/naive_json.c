/* SPDX-License-Identifier: Apache-2.0 */
/* The second opinion on what is JSON: each rule of the grammar is a function that moves on or fails. */
#include "naive_json.h"

#include <string.h>

typedef struct reader_t {
    const uint8_t *data;
    size_t size, at;
    int depth_left;
} reader_t;

static naive_t take_value(reader_t *r);

#define TRY(expr)                              \
    do {                                       \
        naive_t try_ = (expr);                 \
        if (try_ != NAIVE_GOOD) return try_;   \
    } while (0)

/* The next byte, or -1 at the end. */
static int peek(const reader_t *r)
{
    return r->at < r->size ? r->data[r->at] : -1;
}

static int next_is(const reader_t *r, const char *any)
{
    return peek(r) > 0 && strchr(any, peek(r)) != NULL;
}

/* What to say where the next byte is not the one needed. */
static naive_t unfit(const reader_t *r)
{
    return peek(r) < 0 ? NAIVE_CUT : NAIVE_BAD;
}

static naive_t take_any(reader_t *r, const char *any)
{
    if (!next_is(r, any)) return unfit(r);
    r->at++;
    return NAIVE_GOOD;
}

static naive_t take_word(reader_t *r, const char *word)
{
    for (; *word; word++) {
        char one[2] = {*word, '\0'};
        TRY(take_any(r, one));
    }
    return NAIVE_GOOD;
}

static void skip_blank(reader_t *r)
{
    while (next_is(r, " \t\n\r")) r->at++;
}

static naive_t take_digits(reader_t *r)
{
    TRY(take_any(r, "0123456789"));
    while (next_is(r, "0123456789")) r->at++;
    return NAIVE_GOOD;
}

static naive_t take_number(reader_t *r)
{
    if (next_is(r, "-")) r->at++;
    if (next_is(r, "0")) r->at++;
    else TRY(take_digits(r));
    if (next_is(r, ".")) {
        r->at++;
        TRY(take_digits(r));
    }
    if (next_is(r, "eE")) {
        r->at++;
        if (next_is(r, "+-")) r->at++;
        TRY(take_digits(r));
    }
    return NAIVE_GOOD;
}

static naive_t take_byte(reader_t *r, int low, int high)
{
    if (peek(r) < low || peek(r) > high) return unfit(r);
    r->at++;
    return NAIVE_GOOD;
}

/* The rows of the table of RFC 3629 section 4. */
static naive_t take_utf8(reader_t *r)
{
    static const uint8_t rows[][9] = { /* number of bytes, then the range of each */
        {1, 0x20, 0x7F}, {2, 0xC2, 0xDF, 0x80, 0xBF}, {3, 0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF},
        {3, 0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF}, {3, 0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF},
        {3, 0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF}, {4, 0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {4, 0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF}, {4, 0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80,
                                                              0xBF}};
    int row, i;

    for (row = 0; row < 9; row++) {
        if (peek(r) < rows[row][1] || peek(r) > rows[row][2]) continue;
        for (i = 0; i < rows[row][0]; i++) TRY(take_byte(r, rows[row][1 + 2 * i], rows[row][2 + 2 * i]));
        return NAIVE_GOOD;
    }
    return unfit(r);
}

static naive_t take_escape(reader_t *r)
{
    int i;

    r->at++;
    if (!next_is(r, "u")) return take_any(r, "\"\\/bfnrt");
    r->at++;
    for (i = 0; i < 4; i++) TRY(take_any(r, "0123456789abcdefABCDEF"));
    return NAIVE_GOOD;
}

static naive_t take_string(reader_t *r)
{
    TRY(take_any(r, "\""));
    while (!next_is(r, "\"")) TRY(next_is(r, "\\") ? take_escape(r) : take_utf8(r));
    r->at++;
    return NAIVE_GOOD;
}

static naive_t take_member(reader_t *r)
{
    skip_blank(r);
    TRY(take_string(r));
    skip_blank(r);
    TRY(take_any(r, ":"));
    return take_value(r);
}

/* An object or an array: begin, nothing or items with commas, end. */
static naive_t take_container(reader_t *r, const char *end, naive_t (*item)(reader_t *r))
{
    if (r->depth_left == 0) return NAIVE_BAD;
    r->depth_left--;
    r->at++;
    skip_blank(r);
    if (!next_is(r, end)) {
        TRY(item(r));
        while (next_is(r, ",")) {
            r->at++;
            TRY(item(r));
        }
    }
    TRY(take_any(r, end));
    r->depth_left++;
    return NAIVE_GOOD;
}

static naive_t take_bare_value(reader_t *r)
{
    switch (peek(r)) {
    case '{':
        return take_container(r, "}", take_member);
    case '[':
        return take_container(r, "]", take_value);
    case '"':
        return take_string(r);
    case 't':
        return take_word(r, "true");
    case 'f':
        return take_word(r, "false");
    case 'n':
        return take_word(r, "null");
    default:
        return take_number(r);
    }
}

static naive_t take_value(reader_t *r)
{
    skip_blank(r);
    TRY(take_bare_value(r));
    skip_blank(r);
    return NAIVE_GOOD;
}

naive_t naive_json(const uint8_t *data, size_t size, int max_depth, size_t *at)
{
    reader_t r = {data, size, 0, max_depth};
    naive_t verdict = take_value(&r);

    *at = r.at;
    if (verdict == NAIVE_GOOD && r.at < size) return NAIVE_BAD;
    return verdict;
}
