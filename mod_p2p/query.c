/* SPDX-License-Identifier: Apache-2.0 */
/* Queries and cursors. A cursor is numbers and a keyed hash of them with what they are numbers of. */
#include "query.h"

#include <apr_escape.h>
#include <apr_strings.h>

#include "base/seal.h"
#include "base/uri.h"
#include "mod_p2p.h"
#include "problem.h"

#define HASH_DIGITS 32
#define CURSOR_MAX 512

static int is_known(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name)) names++;
    return *names != NULL;
}

static int refuse(request_rec *r, const char *const *names)
{
    const char *list = *names;

    while (*++names) list = apr_pstrcat(r->pool, list, ", ", *names, NULL);
    return p2p_problem(r, HTTP_BAD_REQUEST, "bad-query", apr_psprintf(r->pool, "The query may have %s, each once.", list));
}

/* In place. A value without escapes is one, too: apr_unescape_url calls that APR_NOTFOUND. */
static int is_decoded(char *value)
{
    apr_status_t rv;

    for (char *s = value; *s; s++) {
        if (*s == '+') *s = ' ';
    }
    rv = apr_unescape_url(value, value, APR_ESCAPE_STRING, NULL, NULL, 0, NULL);
    return rv == APR_SUCCESS || rv == APR_NOTFOUND;
}

int p2p_query(request_rec *r, const char *const *names, apr_table_t **query)
{
    char *rest = apr_pstrdup(r->pool, r->args ? r->args : ""), *state, *pair;

    *query = apr_table_make(r->pool, 2);
    for (pair = apr_strtok(rest, "&", &state); pair; pair = apr_strtok(NULL, "&", &state)) {
        char *value = strchr(pair, '=');

        if (value) *value++ = '\0';
        else value = pair + strlen(pair);
        if (!is_known(names, pair) || apr_table_get(*query, pair)) return refuse(r, names);
        if (!is_decoded(value)) return refuse(r, names);
        apr_table_setn(*query, pair, value);
    }
    return OK;
}

static const char *hash_of(request_rec *r, int key, const char *scope, const char *numbers)
{
    const char *hash = p2p_keyed_hash(r->pool, p2p_config(r->server)->spec.keyring, key, "cursor",
                                      apr_pstrcat(r->pool, scope, "\n", numbers, NULL));

    return apr_pstrmemdup(r->pool, hash, HASH_DIGITS);
}

static const char *print_cursor(request_rec *r, const char *scope, const apr_int64_t *numbers, int count)
{
    const char *text = "";

    for (int i = 0; i < count; i++) text = apr_psprintf(r->pool, "%s%s%" APR_INT64_T_FMT, text, i ? "." : "", numbers[i]);
    return apr_pstrcat(r->pool, text, "_", hash_of(r, 0, scope, text), NULL);
}

int p2p_cursor_read(request_rec *r, const char *scope, const char *cursor, apr_int64_t *numbers, int count)
{
    const char *end = strchr(cursor, '_');
    char *text = end && strlen(cursor) <= CURSOR_MAX ? apr_pstrmemdup(r->pool, cursor, (apr_size_t)(end - cursor)) : NULL;
    int known = 0;

    for (int key = 0; text && !known && key < p2p_keyring_count(p2p_config(r->server)->spec.keyring); key++)
        known = !strcmp(end + 1, hash_of(r, key, scope, text));
    if (!known) return p2p_problem(r, HTTP_BAD_REQUEST, "bad-page", "page must be what `next` of the page before told.");
    for (int i = 0; i < count; i++) {
        numbers[i] = apr_strtoi64(text, &text, 10);
        if (*text) text++;
    }
    return OK;
}

const char *p2p_query_pair(apr_pool_t *p, const char *name, const char *value)
{
    return value ? apr_pstrcat(p, name, "=", p2p_uri_encode(p, value), "&", NULL) : "";
}

const char *p2p_cursor_link(request_rec *r, const char *query, const char *scope, const apr_int64_t *numbers, int count)
{
    return apr_pstrcat(r->pool, r->uri, "?", query, "page=", print_cursor(r, scope, numbers, count), NULL);
}
