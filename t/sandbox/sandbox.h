/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox payer: what its files share. A payer keeps everything in the memory of the one httpd child. */
#ifndef P2P_SANDBOX_H
#define P2P_SANDBOX_H

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_core.h>
#include <http_request.h>
#include <ap_mpm.h>
#include <http_connection.h>
#include <stddef.h>
#include <stdlib.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <apr_hash.h>
#include <apr_thread_mutex.h>
#include <apr_thread_rwlock.h>
#include "base/buf.h"

extern module AP_MODULE_DECLARE_DATA p2p_sandbox_module;

#define SANDBOX_FHIR_JSON "application/fhir+json;charset=utf-8"
#define SANDBOX_ID_MAX 64

/* A slice of somebody's bytes; n = 0 where there is none. */
typedef struct sandbox_str_t {
    const char *p;
    apr_size_t n;
} sandbox_str_t;

/* ---- store.c: resources with their versions, in memory that goes when the store goes ---- */

typedef struct sandbox_version_t sandbox_version_t;
struct sandbox_version_t {
    const sandbox_version_t *prev;
    const char *bytes; /* NULL: deleted */
    apr_size_t len;
    apr_uint32_t number; /* from 1 */
    apr_time_t at;
};

typedef struct sandbox_resource_t sandbox_resource_t;
struct sandbox_resource_t {
    const char *key; /* Type/id */
    apr_uint32_t key_len, type_len, hash;
    apr_uint32_t order;     /* position in the store's list */
    apr_uint32_t txn;       /* number of the transaction that named it last */
    apr_uint32_t mark;      /* number of the search that took it last */
    apr_uint32_t ref_count;
    const sandbox_version_t *now; /* NULL: only referred to so far */
    sandbox_resource_t *member;   /* the Patient it is about */
    sandbox_resource_t *kept_for; /* the Patient in whose recorded answer it stood */
    sandbox_resource_t **refs;
    sandbox_str_t full_url, search; /* of a recorded entry, to be given out as they are */
    int without_id;
};

typedef struct sandbox_list_t {
    sandbox_resource_t **items;
    apr_size_t count, cap;
} sandbox_list_t;

/* One remembered search: its resources in the order in which they are given out. */
typedef struct sandbox_search_t {
    char *key;
    apr_uint64_t change; /* state of the store it was made from */
    apr_uint32_t number; /* what the next link names */
    apr_time_t made;
    sandbox_list_t list;
} sandbox_search_t;

#define SANDBOX_SEARCHES 512 /* remembered; the oldest expires first */

typedef struct sandbox_store_t {
    apr_thread_rwlock_t *lock;
    apr_pool_t *pool;
    void *chunks; /* private */
    char *free_at;
    apr_size_t free_len;
    sandbox_resource_t **table;
    apr_uint32_t table_mask, table_used;
    struct sandbox_ident_node_t **idents;
    apr_uint32_t ident_mask, ident_used;
    sandbox_list_t all; /* in load order */
    sandbox_list_t subscriptions;
    apr_uint64_t change;
    apr_uint32_t next_id, next_txn, next_mark, next_search;
    sandbox_search_t *searches[SANDBOX_SEARCHES];
    int refs; /* requests that use it, and its payer; under the payer's mutex */
} sandbox_store_t;

sandbox_store_t *sandbox_store_make(void);
void sandbox_store_free(sandbox_store_t *store);
void *sandbox_alloc(sandbox_store_t *store, apr_size_t len);
char *sandbox_keep(sandbox_store_t *store, const char *bytes, apr_size_t len);
/* Key is Type/id; NULL where nobody named it yet. */
sandbox_resource_t *sandbox_find(const sandbox_store_t *store, const char *key, apr_size_t len);
sandbox_resource_t *sandbox_intern(sandbox_store_t *store, const char *key, apr_size_t len);
/* A second resource of the same key, outside the table (recorded answers may repeat one). */
sandbox_resource_t *sandbox_twin(sandbox_store_t *store, const char *key, apr_size_t len);
/* Makes bytes (kept in the store already; NULL deletes) the current version; 1 where that is a new one. */
int sandbox_put(sandbox_store_t *store, sandbox_resource_t *res, const char *bytes, apr_size_t len,
                apr_time_t at);
void sandbox_list_add(sandbox_list_t *list, sandbox_resource_t *res);
void sandbox_ident_add(sandbox_store_t *store, sandbox_resource_t *res, sandbox_str_t system,
                       sandbox_str_t value);
/* Resources of the type that carry the identifier: how many; *first is one of them. system.p NULL: any. */
int sandbox_ident_find(const sandbox_store_t *store, sandbox_str_t type, sandbox_str_t system,
                       sandbox_str_t value,
                       sandbox_resource_t **first);
int sandbox_res_has_ident(const sandbox_store_t *store, const sandbox_resource_t *res, sandbox_str_t system,
                          sandbox_str_t value);

static inline int sandbox_lives(const sandbox_resource_t *res)
{
    return res && res->now && res->now->bytes;
}

static inline int sandbox_is(sandbox_str_t s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static inline int sandbox_res_type_is(const sandbox_resource_t *res, const char *type)
{
    return res->type_len == strlen(type) && memcmp(res->key, type, res->type_len) == 0;
}

/* ---- parse.c: a Bundle or a resource, read in one pass ---- */

typedef struct sandbox_ref_t {
    sandbox_str_t text;     /* between the quotes, unescaped */
    const char *at;         /* where the quoted string stands in the body, and how long it is */
    apr_size_t at_len;
    sandbox_str_t path;     /* member of the resource in which it stands */
    int is_member;          /* subject, patient, beneficiary or for, at the top of the resource */
    int checked;            /* referential integrity looks at it */
    sandbox_str_t instead;  /* what replaces text, if anything */
    sandbox_resource_t *to;
} sandbox_ref_t;

typedef struct sandbox_ident_t {
    sandbox_str_t system, value;
} sandbox_ident_t;

typedef struct sandbox_entry_t {
    sandbox_str_t bytes; /* the resource */
    sandbox_str_t type, id;
    int first_ref, ref_count, first_ident, ident_count;
    sandbox_str_t full_url, search, method, url, if_match, if_none_exist;
} sandbox_entry_t;

typedef struct sandbox_doc_t {
    apr_pool_t *pool;
    sandbox_str_t type; /* resourceType at the root */
    sandbox_str_t bundle_type;
    sandbox_entry_t *entries;
    sandbox_ref_t *refs;
    sandbox_ident_t *idents;
    int entry_count, entry_cap, ref_count, ref_cap, ident_count, ident_cap;
} sandbox_doc_t;

/* Reads body as a Bundle with entries, or (as_bundle 0) as one resource that becomes the only entry. The slices lie
 * in body or in pool. NULL, or a sentence for an OperationOutcome. */
const char *sandbox_parse(sandbox_doc_t *doc, apr_pool_t *pool, const char *body, apr_size_t len,
                          int as_bundle);

/* ---- payer ---- */

typedef enum { SANDBOX_BY_FILE, SANDBOX_BY_TYPE, SANDBOX_BY_TYPE_DOWN, SANDBOX_SHUFFLED } sandbox_order_t;
typedef enum { SANDBOX_LINK_ABSOLUTE, SANDBOX_LINK_RELATIVE, SANDBOX_LINK_QUERY,
              SANDBOX_LINK_INTERNAL } sandbox_link_t;
typedef enum { SANDBOX_TOTAL_ALL, SANDBOX_TOTAL_LAST, SANDBOX_TOTAL_NONE } sandbox_total_t;

typedef struct sandbox_payer_t {
    const char *name;
    const char *base, *token_path, *control_path; /* paths without a trailing slash */
    const char *base_url, *implementation_url, *internal_base, *issuer, *fhir_version;
    const char *patient_member, *token_require, *client_auth;
    const char *keep_bundles; /* a folder, or NULL */
    const char *member;       /* who is offered first at the sign-in page, and whom the portal plays; or NULL */
    const char *portal_path, *portal_dir, *api, *audience, *organization; /* the member portal; NULL: none */
    apr_array_header_t *data, *grants, *faults, *without_types, *redirects, *origins; /* const char * */
    apr_table_t *clients;
    sandbox_order_t order;
    apr_uint64_t seed;
    sandbox_link_t next_link;
    sandbox_total_t total;
    int next_pad, page_size, page_max, repeat, max_entries, max_body, token_lifetime, delay_ms,
        bundle_delay_ms, bundles_at_once;
    int clock_s;        /* by so much its clock is ahead */
    int stale_s;        /* so long a search is answered from memory, unless no-cache is asked for */
    int refuse_tasks, refuse_subscriptions; /* the status, or 0 */
    int activate_ms;    /* -1: Subscriptions stay as they came */
    int form, times;    /* sandbox_form_t; 0 whole, 1 thrice, 2 half */
    int delivery_delay_ms, delivery_tries, delivery_retry_ms, deliver_deletes, off_when_failed;
    const char *delivery_ca;
    int keep_urn, integrity, client_ids, bare_etag, bearer, rotate, link_last;
    /* made at the start */
    apr_array_header_t *files; /* what was loaded (sandbox_file_t), for a reset; NULL where it was too much */
    apr_thread_mutex_t *mutex; /* guards the store pointer, tokens, faults and the log */
    sandbox_store_t *store;
    struct sandbox_tokens_t *tokens;
    struct sandbox_faults_t *rules;
    struct sandbox_log_t *log;
    struct sandbox_told_t *told;
    struct sandbox_asks_t *asks;
    struct sandbox_key_t *key;
    apr_table_t *portal_files;
    int bundles_running, bundles_kept; /* guarded in write.c */
} sandbox_payer_t;

typedef struct sandbox_conf_t {
    sandbox_payer_t *payer;
} sandbox_conf_t;

extern const command_rec sandbox_commands[];
/* All payers of the configuration, in order (sandbox_payer_t *). */
extern apr_array_header_t *sandbox_payers;

/* load.c. NULL or a sentence. */
const char *sandbox_load_all(sandbox_payer_t *payer, sandbox_store_t *store, apr_pool_t *pool);
const char *sandbox_load_ndjson(sandbox_payer_t *payer, sandbox_store_t *store, apr_pool_t *pool,
                                const char *bytes,
                                apr_size_t len, int *count);

/* ---- a request ---- */

#define SANDBOX_FIRED 8

typedef struct sandbox_call_t {
    request_rec *r;
    sandbox_payer_t *payer;
    sandbox_store_t *store;
    const char *path;                            /* below the base: "" or "/Type/id" */
    struct sandbox_rule_t *fired[SANDBOX_FIRED]; /* never freed before the payer */
    int fired_count;
    int status;   /* what was sent */
    int logged;   /* the log has it */
    apr_int64_t log_number;
    apr_time_t begun;
    apr_off_t bytes_in;
} sandbox_call_t;

/* reply.c */
typedef struct sandbox_out_t {
    sandbox_call_t *call;
    apr_bucket_brigade *bb;
    p2p_buf_t buf;
    apr_off_t total;
} sandbox_out_t;

void sandbox_out_init(sandbox_out_t *out, sandbox_call_t *call, apr_size_t expected);
/* Appends bytes; big ones that live as long as the store are passed on without a copy. */
void sandbox_out_stored(sandbox_out_t *out, const char *bytes, apr_size_t len);
#define sandbox_out_puts(out, text) p2p_buf_puts(&(out)->buf, (text))
/* Sends what was gathered; the faults that concern answers happen here. Returns what a handler returns. */
int sandbox_out_send(sandbox_out_t *out, int status, const char *content_type);
int sandbox_text(sandbox_call_t *call, int status, const char *content_type, const char *text);
/* Ends the connection without a word. */
int sandbox_hang_up(sandbox_call_t *call);
/* An OperationOutcome with one issue. */
int sandbox_outcome(sandbox_call_t *call, int status, const char *diagnostics);
void sandbox_outcome_text(p2p_buf_t *buf, int status, const char *diagnostics);
/* The whole request body, at most limit bytes (0: no limit); freed with the request. 0 or a status. */
int sandbox_body(sandbox_call_t *call, apr_size_t limit, sandbox_str_t *body);
/* The service base the outside sees, without a trailing slash. */
const char *sandbox_base_url(sandbox_call_t *call);
const char *sandbox_origin(sandbox_call_t *call);
/* A query or form parameter, decoded; NULL where it is missing. */
const char *sandbox_param(apr_pool_t *p, const char *args, const char *name);
int sandbox_form_decode(char *text); /* in place; 0 where it is malformed */
const char *sandbox_http_date(apr_pool_t *p, apr_time_t t);
void sandbox_add_time(p2p_buf_t *buf, apr_time_t t); /* 2026-11-22T09:31:54.024Z */
/* The payer's time, in whole milliseconds, as its answers tell it. */
apr_time_t sandbox_now(const sandbox_payer_t *payer);
/* Sleeps, but wakes when the server stops or the client goes. */
void sandbox_sleep(request_rec *r, int ms);

/* search.c: GETs below the base */
int sandbox_get(sandbox_call_t *call);
/* members.c: fills the list of what a search finds, ordered; the store is locked for writing. */
void sandbox_everything(sandbox_payer_t *payer, sandbox_store_t *store, sandbox_resource_t *patient,
                        sandbox_list_t *list);
/* The Patient to whose record the resource belongs; NULL for what members share. */
sandbox_resource_t *sandbox_home(const sandbox_resource_t *res);
int sandbox_shared(const sandbox_resource_t *res);
void sandbox_sort(sandbox_list_t *list, sandbox_order_t order, apr_uint64_t seed);

/* write.c: POST, PUT, DELETE below the base */
int sandbox_write(sandbox_call_t *call);

/* apply.c: what one entry does to the store */
typedef enum { SANDBOX_VERB_PUT, SANDBOX_VERB_POST, SANDBOX_VERB_DELETE, SANDBOX_VERB_GET } sandbox_verb_t;

typedef struct sandbox_op_t {
    sandbox_entry_t *entry;
    sandbox_verb_t verb;
    sandbox_str_t type, id, query; /* from the URL; id or query may be empty */
    sandbox_resource_t *res;
    int status;
    const char *diagnostics; /* of a refusal */
    int nothing;             /* settled: the store stays as it is */
    int inside;              /* refused on its own, also in a transaction */
} sandbox_op_t;

typedef struct sandbox_apply_t {
    sandbox_payer_t *payer;
    sandbox_store_t *store;
    sandbox_call_t *call; /* NULL while loading */
    apr_pool_t *pool;
    sandbox_doc_t *doc;
    apr_uint32_t txn;
    apr_hash_t *urns; /* fullUrl -> sandbox_op_t *, or NULL */
    int loading;
    apr_time_t at;
} sandbox_apply_t;

/* Finds verb, type and id of an entry; on refusal sets op->status and op->diagnostics. No lock. */
void sandbox_op_read(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_entry_t *entry);
/* The three steps, under the store's lock: which resource, do the references hold, do it. */
void sandbox_op_resolve(sandbox_apply_t *apply, sandbox_op_t *op);
void sandbox_op_check(sandbox_apply_t *apply, sandbox_op_t *op);
void sandbox_op_do(sandbox_apply_t *apply, sandbox_op_t *op);

/* refs.c */
/* The key Type/id at the begin of a relative reference; n = 0 where it is none. */
sandbox_str_t sandbox_relative_key(sandbox_str_t text);
/* Where the reference leads; a refusal goes to op. */
void sandbox_ref_resolve(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_ref_t *ref);
/* The entry's bytes in the store, with its references and its id (n > 0: force it) put in. */
sandbox_str_t sandbox_splice(sandbox_apply_t *apply, sandbox_entry_t *entry, sandbox_str_t id);
void sandbox_links(sandbox_apply_t *apply, sandbox_entry_t *entry, sandbox_resource_t *res);

/* token.c */
void sandbox_tokens_make(sandbox_payer_t *payer, apr_pool_t *pool);
/* 0 or 401 with the header set. */
int sandbox_token_check(sandbox_call_t *call);
int sandbox_token_endpoint(sandbox_call_t *call);
int sandbox_grants(sandbox_call_t *call); /* control */
/* client.c: who asks for a token. 0, or the answer was sent and *rv is what the handler returns. */
int sandbox_client_refused(sandbox_call_t *call, const char *form, const char **client, int *rv);
int sandbox_oauth_error(sandbox_call_t *call, int status, const char *error, const char *description);

/* fault.c */
typedef enum {
    SANDBOX_DO_STATUS, SANDBOX_DO_DELAY, SANDBOX_DO_CUT, SANDBOX_DO_STALL, SANDBOX_DO_DROP,
        SANDBOX_DO_EXPIRED,
    SANDBOX_DO_LOOP, SANDBOX_DO_NOT_JSON, SANDBOX_DO_REJECT, SANDBOX_DO_REDIRECT, SANDBOX_DO_TOTAL, SANDBOX_DO_ENDLESS, SANDBOX_DO_FORMAT
} sandbox_do_t;

typedef struct sandbox_rule_t {
    const char *method, *substring; /* NULL: any */
    int nth, count, every;          /* which matching requests: from nth on, each every-th, count (0: all) */
    sandbox_do_t act;
    int status, retry_after, retry_date, ms, to, inside;
    apr_int64_t after;              /* bytes, of cut and stall */
    const char *body, *length, *resource, *contains, *location, *text;
    apr_int64_t seen, hits;
} sandbox_rule_t;

void sandbox_faults_make(sandbox_payer_t *payer, apr_pool_t *pool);
/* NULL or a sentence. */
const char *sandbox_faults_add(sandbox_payer_t *payer, const char *json, apr_size_t len, int replace);
void sandbox_faults_clear(sandbox_payer_t *payer);
void sandbox_faults_show(sandbox_payer_t *payer, p2p_buf_t *buf);
/* Decides which rules this request meets. */
void sandbox_faults_meet(sandbox_call_t *call);
const sandbox_rule_t *sandbox_fired(const sandbox_call_t *call, sandbox_do_t act);
/* Faults that come before the work; 1 where the request is done, *rv is what the handler returns. */
int sandbox_faults_before(sandbox_call_t *call, int *rv);
/* The rule that refuses this resource, or NULL. */
const sandbox_rule_t *sandbox_rejects(const sandbox_call_t *call, const sandbox_op_t *op);

/* control.c and log.c */
int sandbox_control(sandbox_call_t *call, const char *what);
int sandbox_is_loopback(const char *ip);
void sandbox_log_make(sandbox_payer_t *payer, apr_pool_t *pool);
void sandbox_log_begin(sandbox_call_t *call);
void sandbox_log_end(sandbox_call_t *call, int status, apr_off_t bytes_out);
void sandbox_log_show(sandbox_payer_t *payer, p2p_buf_t *buf);
void sandbox_log_clear(sandbox_payer_t *payer);

/* sandbox.c: holds the payer's present store until the request ends. */
sandbox_store_t *sandbox_store_hold(sandbox_payer_t *payer, apr_pool_t *pool);
void sandbox_store_swap(sandbox_payer_t *payer, sandbox_store_t *fresh);

#endif
