/* SPDX-License-Identifier: Apache-2.0 */
/* json-c for small documents: checked by the scanner first, since json-c itself takes much that is not JSON.
 */
#ifndef P2P_BASE_JSON_H
#define P2P_BASE_JSON_H

#include <apr_pools.h>
#include <apr_time.h>
#include <json-c/json.h>
#include "base/error.h"

/* Parses len bytes. *out is released when p is destroyed. Errors: P2P_E_INVALID "not-json" as the scanner
 * says, and for what json-c would bend: a member named twice in an object, \u0000 in a name, a lone
 * surrogate, an integer beyond 64 bits, nesting beyond 64, more than 20,000 objects and arrays. */
p2p_error_t *p2p_json_parse(apr_pool_t *p, const char *bytes, apr_size_t len, json_object **out);

/* Registers obj to be released with p and returns it. */
json_object *p2p_json_own(apr_pool_t *p, json_object *obj);

/* The one writer of documents: obj as compact JSON in p, slashes unescaped, doubles as they were read. *len
 * may be NULL. */
const char *p2p_json_print(apr_pool_t *p, json_object *obj, apr_size_t *len);

/* Member of an object as its C type, or NULL / 0 where it is missing, null or of another type. The string
 * belongs to obj. */
const char *p2p_json_str(json_object *obj, const char *name);
json_object *p2p_json_obj(json_object *obj, const char *name); /* an object */
json_object *p2p_json_arr(json_object *obj, const char *name); /* an array */
apr_int64_t p2p_json_int(json_object *obj, const char *name, apr_int64_t fallback);

/* Adds a member; a NULL string is written as null. */
void p2p_json_add_str(json_object *obj, const char *name, const char *value);
void p2p_json_add_int(json_object *obj, const char *name, apr_int64_t value);
void p2p_json_add_bool(json_object *obj, const char *name, int value);

/* Adds a time (base/clock.h: p2p_time_format); 0 is written as null. */
void p2p_json_add_time(json_object *obj, const char *name, apr_time_t time);

#endif
