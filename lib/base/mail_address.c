/* SPDX-License-Identifier: Apache-2.0 */
/* Is it one plain address of mail? What is not is refused, never mended. */
#include "base/mail_address.h"

#include <apr_lib.h>
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define ADDRESS_MAX 254 /* RFC 5321, 4.5.3.1.3: a path is 256 bytes, < and > included */
#define LOCAL_MAX 64
#define LABEL_MAX 63
#define LITERAL_MAX 64

typedef struct refused_t {
    const char *characters, *what;
} refused_t;

/* In this order: what somebody meant by it comes first. */
static const refused_t refused[] = {
    {"\r\n", "has a line break"}, {",;", "is a list"},         {"()", "has a comment"}, {"<>", "has angle brackets"},
    {" \t", "has white space"},   {"\"\\", "has a quoted part"},
};

static const char *check_characters(const char *text)
{
    for (apr_size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strpbrk(text, refused[i].characters)) return refused[i].what;
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80) return "has a character that is not ASCII";
        if (apr_iscntrl(*text)) return "has a control character";
    }
    return NULL;
}

static int is_atom_character(char c)
{
    return apr_isalnum(c) || strchr("!#$%&'*+-/=?^_`{|}~", c);
}

static const char *check_local(const char *text, apr_size_t len)
{
    if (!len) return "has nothing before its @";
    if (len > LOCAL_MAX) return "has more than 64 bytes before its @";
    for (apr_size_t i = 0; i < len; i++) {
        int at_border = i == 0 || i + 1 == len || text[i + 1] == '.';
        if (text[i] == '.' ? at_border : !is_atom_character(text[i])) return "is not well-formed before its @";
    }
    return NULL;
}

/* [192.0.2.1] or [IPv6:2001:db8::1] */
static const char *check_literal(const char *text)
{
    static const char six[] = "[IPv6:", what[] = "has an address literal that is not one";
    apr_size_t len = strlen(text), skip = strncasecmp(text, six, strlen(six)) ? 1 : strlen(six);
    char number[LITERAL_MAX], address[16];

    if (len <= skip + 1 || len - skip > sizeof number || text[len - 1] != ']') return what;
    memcpy(number, text + skip, len - skip - 1);
    number[len - skip - 1] = '\0';
    return inet_pton(skip == 1 ? AF_INET : AF_INET6, number, address) == 1 ? NULL : what;
}

static const char *check_label(const char *label, apr_size_t len)
{
    if (!len) return "has an empty part in its domain";
    if (len > LABEL_MAX) return "has a part of more than 63 bytes in its domain";
    for (apr_size_t i = 0; i < len; i++)
        if (!apr_isalnum(label[i]) && label[i] != '-') return "is not well-formed behind its @";
    return label[0] == '-' || label[len - 1] == '-' ? "is not well-formed behind its @" : NULL;
}

static const char *check_name(const char *domain)
{
    const char *label = domain, *fault;
    apr_size_t len;

    for (;; label += len + 1) {
        len = strcspn(label, ".");
        if ((fault = check_label(label, len))) return fault;
        if (!label[len]) break;
    }
    if (label == domain) return strcasecmp(domain, "localhost") ? "has a domain without a dot" : NULL;
    return strspn(label, "0123456789") == len ? "has a number where its domain ends" : NULL;
}

const char *p2p_mail_address_check(const char *text)
{
    const char *at = strchr(text, '@'), *fault;

    if (!*text) return "is empty";
    if (strnlen(text, ADDRESS_MAX + 1) > ADDRESS_MAX) return "has more than 254 bytes";
    if ((fault = check_characters(text))) return fault;
    if (!at) return "has no @";
    if (strchr(at + 1, '@')) return "has more than one @";
    if ((fault = check_local(text, (apr_size_t)(at - text)))) return fault;
    return at[1] == '[' ? check_literal(at + 1) : check_name(at + 1);
}
