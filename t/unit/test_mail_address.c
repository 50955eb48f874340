/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of mail: one plain address, and nothing that a mail server or a header could take for more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mail_address.h"

static void expect_good(const char *text)
{
    const char *fault = p2p_mail_address_check(text);

    if (fault) fail_msg("%s %s", text, fault);
}

static void expect_bad(const char *text, const char *fault)
{
    const char *said = p2p_mail_address_check(text);

    if (!said) fail_msg("accepted: %s", text);
    if (strcmp(said, fault)) fail_msg("%s %s, not: %s", text, said, fault);
}

static void good_ones(void **state)
{
    static const char *const good[] = {
        "a@b.example", "first.last@payer.example", "o'neil+p2p@mail.payer.example", "!#$%&'*+-/=?^_`{|}~@x.example", "root@localhost",
        "1@1.example", "a@xn--bcher-kva.example", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "A@B.EXAMPLE", "a@b-c.example",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) expect_good(good[i]);
}

static void more_than_an_address(void **state)
{
    (void)state;
    expect_bad("a@b.example\r\nBcc: c@d.example", "has a line break");
    expect_bad("a@b.example\n", "has a line break");
    expect_bad("a@b.example,c@d.example", "is a list");
    expect_bad("a@b.example; c@d.example", "is a list");
    expect_bad("group:a@b.example;", "is a list");
    expect_bad("a(comment)@b.example", "has a comment");
    expect_bad("A <a@b.example>", "has angle brackets");
    expect_bad("<a@b.example>", "has angle brackets");
    expect_bad("a@b.example c@d.example", "has white space");
    expect_bad("a@b.example SIZE=1", "has white space");
    expect_bad("\"a b\"@b.example", "has white space");
    expect_bad("\"a\"@b.example", "has a quoted part");
    expect_bad("a\\@b.example", "has a quoted part");
    expect_bad("a@b@c.example", "has more than one @");
    expect_bad("a@b.example\x01", "has a control character");
    expect_bad("a\x7f@b.example", "has a control character");
    expect_bad("=?utf-8?q?a=40b.example=0d=0a?=", "has no @");
}

static void malformed_ones(void **state)
{
    (void)state;
    expect_bad("", "is empty");
    expect_bad("@", "has nothing before its @");
    expect_bad("a", "has no @");
    expect_bad("@b.example", "has nothing before its @");
    expect_bad(".a@b.example", "is not well-formed before its @");
    expect_bad("a.@b.example", "is not well-formed before its @");
    expect_bad("a..b@c.example", "is not well-formed before its @");
    expect_bad("a:b@c.example", "is not well-formed before its @");
    expect_bad("a@", "has an empty part in its domain");
    expect_bad("a@b", "has a domain without a dot");
    expect_bad("a@.example", "has an empty part in its domain");
    expect_bad("a@b..example", "has an empty part in its domain");
    expect_bad("a@b.example.", "has an empty part in its domain");
    expect_bad("a@-b.example", "is not well-formed behind its @");
    expect_bad("a@b-.example", "is not well-formed behind its @");
    expect_bad("a@b_c.example", "is not well-formed behind its @");
    expect_bad("a@b.example:25", "is not well-formed behind its @");
    expect_bad("a@192.0.2.1", "has a number where its domain ends");
    expect_bad("a@[192.0.2]", "has an address literal that is not one");
    expect_bad("a@[192.0.2.1", "has an address literal that is not one");
    expect_bad("a@[192.0.2.1]x", "has an address literal that is not one");
    expect_bad("a@[]", "has an address literal that is not one");
    expect_bad("a@[IPv6:]", "has an address literal that is not one");
    expect_bad("a@[IPv6:zz]", "has an address literal that is not one");
    expect_bad("b\xC3\xBC" "cher@b.example", "has a character that is not ASCII");
    expect_bad("a@b\xC3\xBC" "cher.example", "has a character that is not ASCII");
    expect_bad("a\xFF@b.example", "has a character that is not ASCII");
}

static void long_ones(void **state)
{
    char text[400], label[65];

    (void)state;
    memset(label, 'a', 64);
    label[64] = '\0';
    snprintf(text, sizeof text, "%s@b.example", label);
    expect_good(text);
    snprintf(text, sizeof text, "%sa@b.example", label);
    expect_bad(text, "has more than 64 bytes before its @");
    snprintf(text, sizeof text, "a@%s.example", label + 1);
    expect_good(text);
    snprintf(text, sizeof text, "a@%s.example", label);
    expect_bad(text, "has a part of more than 63 bytes in its domain");
    snprintf(text, sizeof text, "a@%s.%s.%s.%.60s", label + 1, label + 1, label + 1, label);
    assert_int_equal(strlen(text), 254);
    expect_good(text);
    snprintf(text, sizeof text, "a@%s.%s.%s.%.61s", label + 1, label + 1, label + 1, label);
    expect_bad(text, "has more than 254 bytes");
    memset(text, ',', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    expect_bad(text, "has more than 254 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones), cmocka_unit_test(more_than_an_address), cmocka_unit_test(malformed_ones), cmocka_unit_test(long_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
