/* SPDX-License-Identifier: Apache-2.0 */
/* Letter by letter. */
#include "base/fold.h"

#include <stddef.h>
#include <string.h>

#include "base/utf8.h"

#define NO_UTF8 0xFFFFFFFFu

/* Capitals first … last, each step-th of them, become letters that lie so much further. */
typedef struct capitals_t {
    unsigned first, last, step;
    int by;
} capitals_t;

static const capitals_t table[] = {
    {'A', 'Z', 1, 32},         {0x00B5, 0x00B5, 1, 775},  {0x00C0, 0x00D6, 1, 32},   {0x00D8, 0x00DE, 1, 32},   {0x0100, 0x012E, 2, 1},
    {0x0132, 0x0136, 2, 1},    {0x0139, 0x0147, 2, 1},    {0x014A, 0x0176, 2, 1},    {0x0178, 0x0178, 1, -121}, {0x0179, 0x017D, 2, 1},
    {0x017F, 0x017F, 1, -268}, {0x01A0, 0x01A0, 1, 1},    {0x01AF, 0x01AF, 1, 1},
    {0x01CD, 0x01DB, 2, 1},    {0x01DE, 0x01EE, 2, 1},    {0x01F8, 0x021E, 2, 1},    {0x0222, 0x0232, 2, 1},
    {0x0386, 0x0386, 1, 38},   {0x0388, 0x038A, 1, 37},   {0x038C, 0x038C, 1, 64},   {0x038E, 0x038F, 1, 63},   {0x0391, 0x03A1, 1, 32},
    {0x03A3, 0x03AB, 1, 32},   {0x03C2, 0x03C2, 1, 1},    {0x0400, 0x040F, 1, 80},   {0x0410, 0x042F, 1, 32},   {0x0460, 0x0480, 2, 1},
    {0x048A, 0x04BE, 2, 1},    {0x04C0, 0x04C0, 1, 15},   {0x04C1, 0x04CD, 2, 1},    {0x04D0, 0x052E, 2, 1},    {0x0531, 0x0556, 1, 48},
    {0x1E00, 0x1E94, 2, 1},    {0x1E9E, 0x1E9E, 1, -7615}, {0x1EA0, 0x1EFE, 2, 1},
};

static unsigned fold(unsigned letter)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const capitals_t *c = &table[i];

        if (letter < c->first) return letter;
        if (letter <= c->last) return (letter - c->first) % c->step ? letter : (unsigned)((int)letter + c->by);
    }
    return letter;
}

/* The letter at *at, which goes on behind it; 0 at the end. */
static unsigned next(const char **at)
{
    const unsigned char *s = (const unsigned char *)*at;
    apr_size_t n;
    unsigned letter;

    if (!*s) return 0;
    n = p2p_utf8_sequence(*at, strnlen(*at, 4));
    if (!n) return NO_UTF8;
    letter = n == 1 ? *s : *s & (0x7Fu >> n);
    for (apr_size_t i = 1; i < n; i++) letter = letter << 6 | (s[i] & 0x3F);
    *at += n;
    return letter;
}

static int is_space(unsigned letter)
{
    return (letter >= 0x09 && letter <= 0x0D) || letter == ' ' || letter == 0xA0 || (letter >= 0x2000 && letter <= 0x200B) || letter == 0x202F
           || letter == 0x3000 || letter == 0xFEFF;
}

/* The next letter that counts: white space at the end is the end. */
static unsigned next_folded(const char **at)
{
    unsigned letter = next(at), behind;
    const char *ahead = *at;

    if (!is_space(letter)) return fold(letter);
    while (is_space(behind = next(&ahead)));
    return behind ? letter : 0;
}

static const char *skip_space(const char *at)
{
    const char *ahead = at;

    while (is_space(next(&ahead))) at = ahead;
    return at;
}

int p2p_same_name(const char *a, const char *b)
{
    unsigned one, other;

    a = skip_space(a);
    b = skip_space(b);
    if (!*a || !*b) return 0;
    do {
        one = next_folded(&a);
        other = next_folded(&b);
    } while (one == other && one && one != NO_UTF8);
    return !one && !other;
}
