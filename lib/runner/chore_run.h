/* SPDX-License-Identifier: Apache-2.0 */
/* What chores under way share: how they begin from the loop, are stopped, and note their end until the database takes it. */
#ifndef P2P_RUNNER_CHORE_RUN_H
#define P2P_RUNNER_CHORE_RUN_H

#include "runner/work.h"

#define P2P_CHORE_ANSWER apr_time_from_sec(15) /* how long it waits for one answer, whole, where nothing else is said */

#define P2P_CHORE_JSON "Accept: application/json" /* what p2p_chore_run_get is told to accept */
#define P2P_CHORE_KEYS "Accept: application/jwk-set+json, application/json"

/* The first member of what a kind of chore makes. */
typedef struct p2p_chore_run_t {
    p2p_exchange_context_t *context;
    p2p_http_t *http;   /* what is asked goes this way: context->http, unless begin chooses another */
    const p2p_chore_t *chore;
    apr_pool_t *pool;   /* its own: the work lies in it */
    apr_pool_t *asking; /* what is under way goes with it */
    p2p_http_timer_t *timer;
    void (*begin)(void *work);
    p2p_error_t *(*write)(void *work, apr_pool_t *p); /* notes the end; NULL until it has come */
    void (*ended)(void *baton);
    void *baton;
    int is_over;
} p2p_chore_run_t;

/* Makes work of size bytes, all zero but for its run; begin(work) is called from the loop. */
void *p2p_chore_run_make(apr_size_t size, p2p_exchange_context_t *context, const p2p_chore_t *chore, void (*begin)(void *work),
                         void (*ended)(void *baton), void *baton);

/* It is over: what is under way goes with the next turn of the loop, and write(work, p) is called then, again while the database is in
 * trouble. */
void p2p_chore_run_end(p2p_chore_run_t *run, p2p_error_t *(*write)(void *work, apr_pool_t *p));

/* A GET of a small document, with run->asking; done gets the work. Where it cannot be asked at all done is told so at once. */
void p2p_chore_run_get(p2p_chore_run_t *run, const char *url, const char *accept, apr_uint64_t max_bytes, p2p_http_whole_fn done);

/* The same for any request, whose answer is waited for at most limit microseconds; its connections, turn and times are set here. */
void p2p_chore_run_ask(p2p_chore_run_t *run, p2p_http_request_t *request, apr_interval_time_t limit, p2p_http_whole_fn done);

/* How long to wait after trouble that came so many times in a row before: least, doubled each time, at most most. */
apr_interval_time_t p2p_chore_run_doubled(apr_interval_time_t least, apr_interval_time_t most, apr_int64_t times);

/* Milliseconds since a monotonic time. */
apr_int64_t p2p_chore_run_since(const p2p_chore_run_t *run, apr_time_t begin);
apr_time_t p2p_chore_run_now(const p2p_chore_run_t *run);

/* Those of p2p_work_kind_t. */
void p2p_chore_run_tick(void *work);
int p2p_chore_run_busy(const void *work);
void p2p_chore_run_destroy(void *work);

#endif
