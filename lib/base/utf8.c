/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, checked as RFC 3629 section 4 has it. */
#include "base/utf8.h"

apr_size_t p2p_utf8_sequence(const char *text, apr_size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xBF;
    apr_size_t n = *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : 4, i;

    if (*s < 0x80) return 1;
    if (*s < 0xC2 || *s > 0xF4 || left < n) return 0;
    if (*s == 0xE0) low = 0xA0;
    if (*s == 0xED) high = 0x9F;
    if (*s == 0xF0) low = 0x90;
    if (*s == 0xF4) high = 0x8F;
    if (s[1] < low || s[1] > high) return 0;
    for (i = 2; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    return n;
}
