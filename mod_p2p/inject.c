/* SPDX-License-Identifier: Apache-2.0 */
/* The output filters of the source role. The first one looks at the head of an answer; where that may be a Bundle it puts INFLATE (where the server
 * behind compressed), the filter that injects, and DEFLATE behind itself. They come before all filters of an administrator, and each brigade goes
 * down before the next one is asked for. */
#include "inject.h"

#include <http_config.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_proxy.h>
#include <mod_status.h>
#include <util_filter.h>
#include <apr_lib.h>
#include <apr_optional_hooks.h>
#include <apr_strings.h>

#include "fhir/injection.h"
#include "inject_cache.h"
#include "inject_count.h"
#include "inject_request.h"
#include "mod_p2p.h"

APLOG_USE_MODULE(p2p);

#define LOOK "P2P_PROVENANCE_LOOK"
#define INJECT "P2P_PROVENANCE"
#define PASS_AT 65536   /* bytes that go down together at most, a bucket more or less */
#define COPY_BELOW 1024 /* bytes that are copied rather than given a bucket of their own */

/* One answer that is read. */
typedef struct answer_t {
    request_rec *r;
    p2p_injection_t *injection;
    p2p_injection_settings_t settings;
    apr_bucket_brigade *out;
    apr_size_t waiting;  /* bytes in out */
    apr_bucket *bucket;  /* the one being fed, its bytes at data */
    const char *data;
    int decided, kept;   /* the head of the answer is as it has to be; the next link is in the cache */
    int passes;          /* nothing (more) to be done */
} answer_t;

/* ---- The head of an answer ---- */

static int is_utf8(const char *name)
{
    return !ap_cstr_casecmp(name, "utf-8") || !ap_cstr_casecmp(name, "utf8") || !ap_cstr_casecmp(name, "us-ascii");
}

/* FHIR JSON, in UTF-8. */
static int is_json(request_rec *r)
{
    char *type, *parameters, *part, *state;

    if (!r->content_type) return 0;
    type = apr_pstrdup(r->pool, r->content_type);
    parameters = strchr(type, ';');
    if (parameters) *parameters++ = '\0';
    apr_collapse_spaces(type, type);
    if (ap_cstr_casecmp(type, "application/fhir+json") && ap_cstr_casecmp(type, "application/json")) return 0;
    for (part = parameters ? apr_strtok(parameters, ";", &state) : NULL; part; part = apr_strtok(NULL, ";", &state)) {
        apr_collapse_spaces(part, part);
        if (ap_cstr_casecmpn(part, "charset=", 8)) continue;
        part += 8;
        if (*part == '"') part = apr_pstrndup(r->pool, part + 1, strcspn(part + 1, "\""));
        if (!is_utf8(part)) return 0;
    }
    return 1;
}

static int count_field(void *count, const char *name, const char *value)
{
    (void)name, (void)value;
    return ++*(int *)count;
}

/* What was done to the answer; of several fields nobody takes but the first away, so they are none that is known here. */
static const char *encoding_of(request_rec *r)
{
    const char *encoding = apr_table_get(r->headers_out, "Content-Encoding");
    int fields = 0;

    apr_table_do(count_field, &fields, r->headers_out, "Content-Encoding", NULL);
    if (fields > 1) return "several";
    if (!encoding) encoding = r->content_encoding;
    return encoding && *encoding && ap_cstr_casecmp(encoding, "identity") ? encoding : NULL;
}

static int is_gzip(const char *encoding)
{
    return !ap_cstr_casecmp(encoding, "gzip") || !ap_cstr_casecmp(encoding, "x-gzip");
}

/* Why the answer passes as it is, or -1. */
static int look(request_rec *r)
{
    const char *encoding = encoding_of(r);

    if (r->status != HTTP_OK) return P2P_INJECT_STATUS;
    if (!is_json(r)) return P2P_INJECT_TYPE;
    return encoding && (!is_gzip(encoding) || !p2p_inject_inflates()) ? P2P_INJECT_ENCODING : -1;
}

/* What told of the answer as it was. */
static void take_validators(request_rec *r)
{
    static const char *const names[] = {
        "Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"
    };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        apr_table_unset(r->headers_out, names[i]);
        apr_table_unset(r->err_headers_out, names[i]);
    }
}

/* ---- The answer itself ---- */

static void write_run(void *baton, const char *bytes, apr_size_t len, int own)
{
    answer_t *answer = baton;
    apr_bucket *run;

    answer->waiting += len;
    if (own || len < COPY_BELOW || apr_bucket_copy(answer->bucket, &run)) {
        apr_brigade_write(answer->out, NULL, NULL, bytes, len);
        return;
    }
    run->start += bytes - answer->data;
    run->length = len;
    APR_BRIGADE_INSERT_TAIL(answer->out, run);
}

static answer_t *make_answer(request_rec *r)
{
    const p2p_inject_dir_t *dir = &p2p_dir(r)->inject;
    answer_t *answer = apr_pcalloc(r->pool, sizeof *answer);

    answer->r = r;
    answer->settings = (p2p_injection_settings_t){ .profile = dir->profile, .agent_type = dir->agent_type, .agent_who = dir->who,
                                                   .recorded = apr_time_now() };
    answer->out = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    answer->injection = p2p_injection_make(r->pool, &answer->settings, write_run, answer);
    return answer;
}

/* Before anything that was written goes down: the head fits it, and the next page will be known. */
static void settle(answer_t *answer)
{
    const p2p_injection_result_t *result = p2p_injection_result(answer->injection);

    if (result->state == P2P_INJECTION_UNDECIDED) return;
    if (!answer->decided && result->state == P2P_INJECTION_INJECTS) take_validators(answer->r);
    answer->decided = 1;
    /* A page may be without entries, which nobody may see, and the next one have some. */
    if (result->next && !answer->kept && (result->state == P2P_INJECTION_INJECTS || result->why == P2P_INJECTION_NO_ENTRY)) {
        answer->kept = 1;
        p2p_inject_cache_keep(answer->r, result->next);
    }
}

static void count(answer_t *answer, int reason)
{
    if (answer->passes) return;
    answer->passes = 1;
    p2p_inject_count(answer->r, reason);
}

static apr_status_t pass(ap_filter_t *f, answer_t *answer)
{
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(answer->out)) return APR_SUCCESS;
    rv = ap_pass_brigade(f->next, answer->out);
    apr_brigade_cleanup(answer->out);
    answer->waiting = 0;
    return rv;
}

static void finish(answer_t *answer, int broken)
{
    const p2p_injection_result_t *result = p2p_injection_result(answer->injection);

    if (answer->passes) return;
    p2p_injection_end(answer->injection);
    settle(answer);
    count(answer, broken ? (int)P2P_INJECT_BACKEND : (int)P2P_INJECT_WHY + (int)result->why);
}

/* Not even the head goes down until it is known whether that is to be changed. */
static apr_status_t take_metadata(ap_filter_t *f, answer_t *answer, apr_bucket *e)
{
    int flush = APR_BUCKET_IS_FLUSH(e);

    if (APR_BUCKET_IS_EOS(e) || AP_BUCKET_IS_ERROR(e)) finish(answer, AP_BUCKET_IS_ERROR(e));
    if (flush && !answer->decided && !answer->passes) {
        apr_bucket_delete(e);
        return APR_SUCCESS;
    }
    APR_BUCKET_REMOVE(e);
    APR_BRIGADE_INSERT_TAIL(answer->out, e);
    return flush ? pass(f, answer) : APR_SUCCESS;
}

/* Reads without waiting first: what is there goes down before we wait. */
static apr_status_t read_bucket(ap_filter_t *f, answer_t *answer, apr_bucket *e, apr_size_t *len)
{
    apr_status_t rv = apr_bucket_read(e, &answer->data, len, APR_NONBLOCK_READ);

    if (!APR_STATUS_IS_EAGAIN(rv)) return rv;
    if (answer->decided) {
        APR_BRIGADE_INSERT_TAIL(answer->out, apr_bucket_flush_create(f->c->bucket_alloc));
        rv = pass(f, answer);
        if (rv) return rv;
    }
    return apr_bucket_read(e, &answer->data, len, APR_BLOCK_READ);
}

static apr_status_t take_data(ap_filter_t *f, answer_t *answer, apr_bucket *e)
{
    const p2p_injection_result_t *result = p2p_injection_result(answer->injection);
    apr_size_t len;
    apr_status_t rv = read_bucket(f, answer, e, &len);

    if (rv) return rv;
    if (answer->passes) {
        APR_BUCKET_REMOVE(e);
        APR_BRIGADE_INSERT_TAIL(answer->out, e);
        answer->waiting += len;
    } else {
        answer->bucket = e;
        p2p_injection_feed(answer->injection, answer->data, len);
        settle(answer);
        apr_bucket_delete(e);
        if (result->state == P2P_INJECTION_PASSES && result->why != P2P_INJECTION_NO_ENTRY) count(answer, P2P_INJECT_WHY + (int)result->why);
    }
    return answer->waiting >= PASS_AT ? pass(f, answer) : APR_SUCCESS;
}

static apr_status_t inject(ap_filter_t *f, apr_bucket_brigade *bb)
{
    answer_t *answer = f->ctx;
    apr_status_t rv = APR_SUCCESS;

    while (!rv && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);

        rv = APR_BUCKET_IS_METADATA(e) ? take_metadata(f, answer, e) : take_data(f, answer, e);
    }
    return rv ? rv : pass(f, answer);
}

/* ---- Between the two ---- */

static void add_filters(ap_filter_t *f, int gzip)
{
    request_rec *r = f->r;

    if (gzip) ap_add_output_filter("INFLATE", NULL, r, r->connection);
    ap_add_output_filter(INJECT, make_answer(r), r, r->connection);
    if (gzip) ap_add_output_filter("DEFLATE", NULL, r, r->connection);
}

/* The first brigade of an answer. */
static apr_status_t look_first(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    p2p_inject_asked_t asked = p2p_inject_asked(r);
    int reason = asked == P2P_INJECT_YES ? look(r) : (int)P2P_INJECT_FORM;

    if (asked != P2P_INJECT_NO && reason >= 0) p2p_inject_count(r, reason);
    else if (asked == P2P_INJECT_YES && r->header_only) take_validators(r);
    else if (asked == P2P_INJECT_YES) add_filters(f, encoding_of(r) != NULL);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

static void insert(request_rec *r)
{
    if (!p2p_inject_request(r)) return;
    p2p_inject_watch(r);
    ap_add_output_filter(LOOK, NULL, r, r->connection);
}

void p2p_inject_register(void)
{
    ap_hook_pre_config(p2p_inject_cache_mutex, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(p2p_inject_cache_open, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_inject_cache_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(p2p_inject_fixups, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_filter(insert, NULL, NULL, APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(proxy, fixups, p2p_inject_proxy_fixups, NULL, NULL, APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(ap, status_hook, p2p_inject_status, NULL, NULL, APR_HOOK_LAST);
    p2p_inject_request_register();
    /* INFLATE comes before what is a resource's: all others see what a client would. */
    ap_register_output_filter(LOOK, look_first, NULL, AP_FTYPE_RESOURCE - 2);
    ap_register_output_filter(INJECT, inject, NULL, AP_FTYPE_RESOURCE - 1);
}
