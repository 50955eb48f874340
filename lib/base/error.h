/* SPDX-License-Identifier: Apache-2.0 */
/* The one error record: what went wrong, for whom, and whether trying again helps. */
#ifndef P2P_BASE_ERROR_H
#define P2P_BASE_ERROR_H

#include <apr_pools.h>

/* Who has to act. mod_p2p turns a kind into an HTTP status, the runner into "retry" or "fail". */
typedef enum {
    P2P_E_INVALID,     /* the input breaks a rule: its sender has to change it */
    P2P_E_NOT_FOUND,   /* what was named does not exist */
    P2P_E_CONFLICT,    /* it cannot be done in the present state of things */
    P2P_E_UNAVAILABLE, /* a database or a peer does not answer now: trying again may help */
    P2P_E_REFUSED,     /* a peer answered, and the answer is no */
    P2P_E_LOST,        /* the lease is somebody else's: drop the job, change nothing */
    P2P_E_INTERNAL     /* a bug or a broken installation */
} p2p_error_kind_t;

/* NULL is success. */
typedef struct p2p_error_t {
    p2p_error_kind_t kind;
    const char *code;     /* stable, kebab-case, for programs: "source-unreachable" (a literal) */
    const char *sentence; /* for everyone: no member data, no secret, URLs with ids as {id} and without query */
    const char *detail;   /* for administrators, sealed when stored: full URL, the server's own words; or NULL */
} p2p_error_t;

/* Makes an error in pool p; the sentence is formatted by apr_pvsprintf. code must be a literal. */
p2p_error_t *p2p_error_make(apr_pool_t *p, p2p_error_kind_t kind, const char *code, const char *sentence, ...)
    __attribute__((format(printf, 4, 5)));

/* Sets the detail (copied into p, cut at 4,096 bytes) and returns e. e may be NULL, then so is the result. */
p2p_error_t *p2p_error_detail(apr_pool_t *p, p2p_error_t *e, const char *detail);

/* A deep copy of e in p, for an error that outlives the pool it was made in. NULL gives NULL. */
p2p_error_t *p2p_error_copy(apr_pool_t *p, const p2p_error_t *e);

/* Leaves the function with the error of expr, if there is one. */
#define P2P_TRY(expr)                    \
    do {                                 \
        p2p_error_t *p2p_try_ = (expr);  \
        if (p2p_try_) return p2p_try_;   \
    } while (0)

#endif
