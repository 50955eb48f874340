/* SPDX-License-Identifier: Apache-2.0 */
/* Derived ids: the same resource of the same source always gets the same id at the target, without a table. */
#ifndef P2P_FHIR_RESOURCE_ID_H
#define P2P_FHIR_RESOURCE_ID_H

#include <apr_pools.h>

#define P2P_DIGEST_BYTES 32
#define P2P_RESOURCE_ID_LEN 56 /* "p2p-" and 52 base32 characters */

/* Derives ids within one namespace (a definition's id_namespace, or a job's uuid for what we make ourselves). */
typedef struct p2p_id_deriver_t p2p_id_deriver_t;

/* Makes a deriver in p. The namespace is copied. Out of memory aborts. */
p2p_id_deriver_t *p2p_id_deriver_make(apr_pool_t *p, const char *id_namespace);

/* SHA-256 over namespace, LF, type, "/", id. */
void p2p_id_digest(p2p_id_deriver_t *deriver, const char *type, apr_size_t type_len, const char *id, apr_size_t id_len,
                   unsigned char digest[P2P_DIGEST_BYTES]);

/* The id that a digest stands for: "p2p-" and its base32 (RFC 4648, lower case, no padding), 56 characters and a NUL. */
void p2p_id_text(const unsigned char digest[P2P_DIGEST_BYTES], char out[P2P_RESOURCE_ID_LEN + 1]);

/* The first eight bytes of a digest as a number: the key by which an exchange knows a resource. Never 0. */
apr_uint64_t p2p_id_key(const unsigned char digest[P2P_DIGEST_BYTES]);

/* The key of the digest that a derived id (56 characters) stands for; 0 where it is none. */
apr_uint64_t p2p_id_text_key(const char *text);

/* Digest and text in one: the derived id of type/id in p. */
const char *p2p_id_derive(apr_pool_t *p, p2p_id_deriver_t *deriver, const char *type, const char *id);

#endif
