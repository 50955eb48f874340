/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters: resources that the target refused in an earlier attempt are tried again from what was kept of them; the source is not asked. */
#ifndef P2P_EXCHANGE_LETTERS_H
#define P2P_EXCHANGE_LETTERS_H

#include "exchange/land.h"
#include "exchange/receive.h"

typedef struct p2p_letters_t p2p_letters_t;

typedef struct p2p_letters_settings_t {
    p2p_db_t *db;
    const p2p_keyring_t *keyring;
    apr_int64_t job_id;
    p2p_land_t *land;
    p2p_receive_t *receive;
    int (*is_full)(void *baton); /* should reading pause? */
    void *baton;
} p2p_letters_settings_t;

/* Makes one in p. */
p2p_letters_t *p2p_letters_make(apr_pool_t *p, const p2p_letters_settings_t *settings);

/* Adds the letters of one part of a request "dead-letters"; url is that of the page they came in. */
void p2p_letters_add(p2p_letters_t *letters, int request, int part, const char *url);

/* Reads on, some letters; *told is 1 where it found any, or came to a part's end. Errors live in p: the database's, and then the same
 * letters come at the next call. */
p2p_error_t *p2p_letters_run(p2p_letters_t *letters, apr_pool_t *p, int *told);

/* Is nothing to be read any more? */
int p2p_letters_is_idle(const p2p_letters_t *letters);

#endif
