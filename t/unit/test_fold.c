/* SPDX-License-Identifier: Apache-2.0 */
/* Which names are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/fold.h"

static void same(void **state)
{
    static const char *const pairs[][2] = {
        {"Source Payer A", "source payer a"}, {" \t Blue\r\n", "BLUE"}, {"12345", "12345"}, {"\xC2\xA0\xC3\x84rzte\xE3\x80\x80", "\xC3\xA4RZTE"},
        {"\xC5\x81\xC3\x93\x44\xC5\xB9", "\xC5\x82\xC3\xB3\x64\xC5\xBA"}, /* Łódź */
        {"\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3", "\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82"}, /* a final sigma */
        {"\xD0\xAF\xD0\x81", "\xD1\x8F\xD1\x91"}, {"\xC5\xB8", "\xC3\xBF"}, {"\xE1\xBA\x9E", "\xC3\x9F"}, {"\xF0\x9F\x99\x82", "\xF0\x9F\x99\x82"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!p2p_same_name(pairs[i][0], pairs[i][1]) || !p2p_same_name(pairs[i][1], pairs[i][0])) fail_msg("%s is not %s", pairs[i][0], pairs[i][1]);
}

static void other(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {" ", " "}, {"a", "b"}, {"a", "ab"}, {"a b", "ab"}, {"a b", "a  b"}, {"\xC3\x97", "\xC3\xB7"}, /* the signs between the letters */
        {"\xC3\x9F", "ss"}, {"\xC3", "\xC3"}, {"a\x80", "a\x80"}, {"\xC4\xB1", "i"}, {"\xC5\x80", "\xC5\x81"}, {"@", "`"}, {"[", "{"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (p2p_same_name(pairs[i][0], pairs[i][1])) fail_msg("%s is %s", pairs[i][0], pairs[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same), cmocka_unit_test(other)};

    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
