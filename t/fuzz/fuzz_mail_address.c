/* SPDX-License-Identifier: Apache-2.0 */
/* An address of mail, under any input: what is taken can stand in an SMTP command and in a header and is nothing but an address there. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/mail_address.h"
#include "fuzz.h"

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    const char *fault;

    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    fault = p2p_mail_address_check(text);
    if (fault) {
        require(*fault && strlen(fault) < 80, "a fault is told, in short");
    } else {
        require(strlen(text) <= 254, "an address is not too long");
        for (const char *c = text; *c; c++) require(*c > ' ' && *c < 0x7f && !strchr("\"(),;<>\\", *c), "an address is one word");
        require(strchr(text, '@') && strchr(text, '@') == strrchr(text, '@'), "an address has one @");
        require(text[0] != '@' && text[strlen(text) - 1] != '@', "an address has something on each side of it");
    }
    free(text);
    return 0;
}
