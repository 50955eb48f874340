/* SPDX-License-Identifier: Apache-2.0 */
/* A search whose failure is no trouble. */
#include "exchange/asked_for.h"

#include <string.h>

#include <apr_strings.h>

#include "base/fold.h"
#include "base/uri.h"
#include "exchange/retry.h"
#include "net/http_within.h"

#define PAGE_TIME apr_time_from_sec(10) /* an exchange waits for it */
#define AGAIN apr_time_from_sec(1)
#define ATTEMPTS 2                      /* at a page */
#define PAGE_MAX (4 << 20)

typedef struct finding_t {
    p2p_asked_for_t search;
    apr_pool_t *pool, *page_pool;
    apr_array_header_t *fields;
    p2p_http_timer_t *timer;
    const char *url;
    int pages, attempts;
    const p2p_add_payer_t *best;
} finding_t;

static void ask(void *baton);

static apr_status_t cancel(void *data)
{
    finding_t *f = data;

    if (f->timer) f->search.http->cancel_timer(f->timer);
    f->timer = NULL;
    return APR_SUCCESS;
}

static void tell(void *baton)
{
    finding_t *f = baton;

    f->timer = NULL;
    f->search.fn(f->search.baton, f->best);
}

static int fits(const finding_t *f, const p2p_add_payer_t *task)
{
    const p2p_oidc_server_t *server = f->search.server;

    return p2p_add_payer_is_open(task) && !strcmp(task->patient, f->search.patient)
           && (p2p_same_name(task->payer, server->name) || p2p_same_name(task->payer, server->organization_id));
}

/* A page without a next one, or with one that is no URL, is the last. */
static const char *next_page(finding_t *f, const p2p_add_payer_page_t *page)
{
    if (!*page->next || f->pages >= P2P_ASKED_FOR_PAGES) return NULL;
    return p2p_add_payer_next(f->pool, f->search.target, f->url, page->next);
}

static void take_page(finding_t *f, const char *body, apr_size_t len)
{
    p2p_add_payer_page_t page;

    f->url = p2p_add_payer_read_page(f->pool, body, len, f->search.target, &page) ? NULL : f->url;
    for (int i = 0; f->url && i < page.tasks->nelts; i++) {
        const p2p_add_payer_t *task = &APR_ARRAY_IDX(page.tasks, i, p2p_add_payer_t);

        if (fits(f, task) && (!f->best || task->last_updated > f->best->last_updated)) f->best = task;
    }
    if (f->url) f->url = next_page(f, &page);
    f->attempts = 0;
}

static void on_page(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    finding_t *f = baton;
    int passes = error ? error->kind == P2P_E_UNAVAILABLE : p2p_retry_status(status);

    (void)fields;
    if (!error && status == 200) take_page(f, body, len);
    else if (!passes || f->attempts >= ATTEMPTS) f->url = NULL;
    f->timer = f->search.http->after(f->search.http, f->url && f->attempts ? AGAIN : 0, f->url ? ask : tell, f);
}

static void ask(void *baton)
{
    finding_t *f = baton;
    p2p_http_request_t request = {.method = "GET", .url = f->url, .fields = f->fields, .max_bytes = PAGE_MAX, .stall_timeout = PAGE_TIME,
                                  .gzip = 1, .connections = f->search.connections, .turn = f->search.turn};

    f->timer = NULL;
    f->attempts++;
    if (f->attempts == 1) f->pages++;
    if (f->page_pool) apr_pool_destroy(f->page_pool);
    apr_pool_create(&f->page_pool, f->pool);
    if (p2p_http_within(f->search.http, f->page_pool, &request, PAGE_TIME, on_page, f))
        f->timer = f->search.http->after(f->search.http, 0, tell, f);
}

void p2p_asked_for_find(apr_pool_t *p, const p2p_asked_for_t *search)
{
    finding_t *f = apr_pcalloc(p, sizeof *f);

    f->search = *search;
    f->pool = p;
    f->fields = apr_array_make(p, 2, sizeof(const char *));
    APR_ARRAY_PUSH(f->fields, const char *) = "Accept: application/fhir+json";
    APR_ARRAY_PUSH(f->fields, const char *) = "Cache-Control: no-cache";
    f->url = apr_pstrcat(p, search->target, "/Task?requester=Patient/", search->patient, "&code=",
                         p2p_uri_encode(p, P2P_CODE_SYSTEM "|" P2P_ADD_PAYER_CODE), NULL);
    apr_pool_pre_cleanup_register(p, f, cancel);
    ask(f);
}
