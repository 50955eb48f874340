/* SPDX-License-Identifier: Apache-2.0 */
/* Small documents: what json-c would bend is refused before json-c sees it. */
#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/clock.h"
#include "base/scan.h"

#define DEPTH_MAX 64
#define CONTAINERS_MAX 20000 /* json-c takes up to a kilobyte for an empty one */
#define PRINT_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* A member's name, without quotes and escapes. */
typedef struct name_t {
    const char *text;
    apr_size_t len;
} name_t;

/* The check under way. The names of all open objects lie in one array, each object's behind those of the one
 * around it. */
typedef struct check_t {
    apr_pool_t *error_pool, *pool;
    const char *bytes;
    apr_array_header_t *names;
    int first_name[DEPTH_MAX]; /* by depth: where the open object's names begin */
    int containers;
} check_t;

/* Errors that one place of a document is to blame for. */
static p2p_error_t *refuse(check_t *check, const p2p_scan_token_t *token, const char *what)
{
    return p2p_error_make(check->error_pool, P2P_E_INVALID, "not-json",
                          "This JSON cannot be taken: at byte %" APR_UINT64_T_FMT ", %s.",
                          token->begin, what);
}

static int by_name(const void *a, const void *b)
{
    const name_t *x = a, *y = b;

    if (x->len != y->len) return x->len < y->len ? -1 : 1;
    return memcmp(x->text, y->text, x->len);
}

static p2p_error_t *begin_container(check_t *check, const p2p_scan_token_t *token)
{
    if (token->depth >= DEPTH_MAX) return refuse(check, token, "it is nested deeper than 64");
    if (++check->containers > CONTAINERS_MAX) return refuse(check, token, "there are more than 20,000 objects and arrays");
    check->first_name[token->depth] = check->names->nelts;
    return NULL;
}

/* Sorting finds two equal names without a table for each object, and no choice of names makes it slow. */
static p2p_error_t *end_object(check_t *check, const p2p_scan_token_t *token)
{
    int first = check->first_name[token->depth];
    int count = check->names->nelts - first, i;
    name_t *names = (name_t *)(void *)check->names->elts + first;

    if (count > 1) qsort(names, (size_t)count, sizeof *names, by_name);
    for (i = 1; i < count; i++) {
        if (!by_name(names + i - 1, names + i)) {
            return refuse(check, token, "an object ends in which a member is named twice");
        }
    }
    check->names->nelts = first;
    return NULL;
}

/* The code unit of the \uXXXX at s, or 0 where another escape stands there. The scanner has seen that it is
 * well formed. */
static unsigned escape_unit(const char *s, const char *end)
{
    char digits[5] = "";

    if (end - s < 6 || s[0] != '\\' || s[1] != 'u') return 0;
    memcpy(digits, s + 2, 4);
    return (unsigned)strtoul(digits, NULL, 16);
}

/* Is there half of a surrogate pair without the other in the string token s? */
static int has_lone_surrogate(const char *s, apr_size_t len)
{
    const char *end = s + len;

    while ((s = memchr(s, '\\', (apr_size_t)(end - s)))) {
        unsigned unit = escape_unit(s, end);

        s += 2;
        if (unit < 0xD800 || unit > 0xDFFF) continue;
        unit = unit < 0xDC00 ? escape_unit(s + 4, end) : 0;
        if (unit < 0xDC00 || unit > 0xDFFF) return 1;
        s += 10;
    }
    return 0;
}

static p2p_error_t *check_name(check_t *check, const p2p_scan_token_t *token, const char *text,
                               apr_size_t len)
{
    name_t *name = apr_array_push(check->names);

    name->text = text + 1;
    name->len = len - 2;
    if (!memchr(text, '\\', len)) return NULL;
    name->text = p2p_scan_unescape(check->pool, text, len, &name->len);
    if (memchr(name->text, '\0', name->len)) return refuse(check, token, "\\u0000 stands in a member's name");
    return NULL;
}

/* Does the number fit into int64_t or uint64_t, where it is written as an integer? JSON allows no
 * leading zeros, so of two numbers of equal length the greater is the greater text. */
static int number_fits(const char *text, apr_size_t len)
{
    const char *limit = *text == '-' ? "9223372036854775808" : "18446744073709551615";
    apr_size_t max = strlen(limit), i;

    for (i = 0; i < len; i++) {
        if (text[i] == '.' || text[i] == 'e' || text[i] == 'E') return 1;
    }
    if (*text == '-') {
        text++;
        len--;
    }
    return len < max || (len == max && memcmp(text, limit, max) <= 0);
}

static p2p_error_t *check_token(void *baton, const p2p_scan_token_t *token)
{
    check_t *check = baton;
    const char *text = check->bytes + token->begin;
    apr_size_t len = (apr_size_t)(token->end - token->begin);

    switch (token->kind) {
    case P2P_SCAN_OBJECT:
    case P2P_SCAN_ARRAY:
        return begin_container(check, token);
    case P2P_SCAN_OBJECT_END:
        return end_object(check, token);
    case P2P_SCAN_NAME:
    case P2P_SCAN_STRING:
        if (has_lone_surrogate(text, len)) {
            return refuse(check, token, "half of a surrogate pair stands alone");
        }
        return token->kind == P2P_SCAN_NAME ? check_name(check, token, text, len) : NULL;
    case P2P_SCAN_NUMBER:
        return number_fits(text, len) ? NULL : refuse(check, token, "an integer does not fit into 64 bits");
    default:
        return NULL;
    }
}

static p2p_error_t *check_all(apr_pool_t *p, const char *bytes, apr_size_t len)
{
    check_t check = {.error_pool = p, .bytes = bytes};
    p2p_error_t *e;

    if (apr_pool_create(&check.pool, p) != APR_SUCCESS) abort();
    check.names = apr_array_make(check.pool, 64, sizeof(name_t));
    e = p2p_scan_all(bytes, len, check_token, &check, p);
    apr_pool_destroy(check.pool);
    return e;
}

static p2p_error_t *tokenise(apr_pool_t *p, const char *bytes, int len, json_object **out)
{
    /* json-c counts the value in the innermost container too; the check has kept the limit already. */
    json_tokener *tok = json_tokener_new_ex(DEPTH_MAX + 2);
    enum json_tokener_error status;

    if (!tok) abort();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    *out = json_tokener_parse_ex(tok, bytes, len);
    status = json_tokener_get_error(tok);
    if (status == json_tokener_continue) { /* a number at top level ends with the text */
        *out = json_tokener_parse_ex(tok, "", 1);
        status = json_tokener_get_error(tok);
    }
    json_tokener_free(tok);
    if (status == json_tokener_success) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "not-json", "This JSON cannot be taken: %s.",
                          json_tokener_error_desc(status));
}

p2p_error_t *p2p_json_parse(apr_pool_t *p, const char *bytes, apr_size_t len, json_object **out)
{
    *out = NULL;
    if (len > INT32_MAX - 1) {
        return p2p_error_make(p, P2P_E_INVALID, "not-json",
                              "This JSON cannot be taken: it is longer than 2 GiB.");
    }
    P2P_TRY(check_all(p, bytes, len));
    /* White space at the end is JSON, but "trailing data" to json-c. */
    while (len && strchr(" \t\r\n", bytes[len - 1])) len--;
    P2P_TRY(tokenise(p, bytes, (int)len, out));
    p2p_json_own(p, *out);
    return NULL;
}

static apr_status_t release(void *obj)
{
    json_object_put(obj);
    return APR_SUCCESS;
}

json_object *p2p_json_own(apr_pool_t *p, json_object *obj)
{
    if (obj) apr_pool_cleanup_register(p, obj, release, apr_pool_cleanup_null);
    return obj;
}

const char *p2p_json_print(apr_pool_t *p, json_object *obj, apr_size_t *len)
{
    size_t n;
    const char *text = json_object_to_json_string_length(obj, PRINT_FLAGS, &n);

    if (!text) abort(); /* out of memory, and nothing else */
    if (!obj) n = strlen(text); /* json-c 0.16 leaves n alone for null */
    if (len) *len = n;
    return apr_pstrmemdup(p, text, n);
}

/* The member of that name and type, or NULL. obj may be NULL or no object. */
static json_object *member(json_object *obj, const char *name, json_type type)
{
    json_object *value;

    if (!json_object_is_type(obj, json_type_object)) return NULL;
    if (!json_object_object_get_ex(obj, name, &value)) return NULL;
    return value && json_object_is_type(value, type) ? value : NULL;
}

const char *p2p_json_str(json_object *obj, const char *name)
{
    json_object *value = member(obj, name, json_type_string);
    const char *text = value ? json_object_get_string(value) : NULL;

    /* A NUL inside would hide what follows it from every C function: it counts as another type. */
    if (text && strlen(text) != (size_t)json_object_get_string_len(value)) return NULL;
    return text;
}

json_object *p2p_json_obj(json_object *obj, const char *name)
{
    return member(obj, name, json_type_object);
}

json_object *p2p_json_arr(json_object *obj, const char *name)
{
    return member(obj, name, json_type_array);
}

apr_int64_t p2p_json_int(json_object *obj, const char *name, apr_int64_t fallback)
{
    json_object *value = member(obj, name, json_type_int);

    if (!value || json_object_get_uint64(value) > (uint64_t)INT64_MAX) return fallback;
    return json_object_get_int64(value);
}

void p2p_json_add_str(json_object *obj, const char *name, const char *value)
{
    json_object_object_add(obj, name, value ? json_object_new_string(value) : NULL);
}

void p2p_json_add_int(json_object *obj, const char *name, apr_int64_t value)
{
    json_object_object_add(obj, name, json_object_new_int64(value));
}

void p2p_json_add_bool(json_object *obj, const char *name, int value)
{
    json_object_object_add(obj, name, json_object_new_boolean(value != 0));
}

void p2p_json_add_time(json_object *obj, const char *name, apr_time_t time)
{
    char text[P2P_ISO_TIME_LEN + 1];

    if (time) p2p_time_format(text, time);
    p2p_json_add_str(obj, name, time ? text : NULL);
}
