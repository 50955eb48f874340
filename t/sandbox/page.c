/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a search: a searchset Bundle put together from stored bytes. */
#include "search.h"
#include "told.h"

typedef struct sandbox_page_t {
    sandbox_call_t *call;
    sandbox_out_t *out;
    const sandbox_search_t *search;
    const char *base;
    apr_size_t base_len, asked, offset, begin, end; /* asked: the offset, however far */
    int count;
} sandbox_page_t;

static const sandbox_search_t *search_of(const sandbox_store_t *store, apr_uint32_t number)
{
    const sandbox_search_t *search = store->searches[number % SANDBOX_SEARCHES];

    return search && search->number == number ? search : NULL;
}

static const char *link_base(const sandbox_page_t *page)
{
    const sandbox_payer_t *payer = page->call->payer;

    switch (payer->next_link) {
    case SANDBOX_LINK_RELATIVE: return payer->base;
    case SANDBOX_LINK_QUERY: return "";
    case SANDBOX_LINK_INTERNAL: return payer->internal_base;
    default: return page->base;
    }
}

static void add_next(const sandbox_page_t *page, apr_size_t offset)
{
    p2p_buf_t *buf = &page->out->buf;

    p2p_buf_printf(buf, ",{\"relation\":\"next\",\"url\":\"%s?_getpages=%08x&_getpagesoffset=%" APR_SIZE_T_FMT "&_count=%d"
                   "&_bundletype=searchset", link_base(page), page->search->number, offset, page->count);
    if (page->call->payer->next_pad) {
        p2p_buf_puts(buf, "&_pad=");
        for (int i = 0; i < page->call->payer->next_pad; i++) p2p_buf_add(buf, "x", 1);
    }
    if (sandbox_fired(page->call, SANDBOX_DO_FORMAT)) p2p_buf_puts(buf, "&_format=application/fhir%2Bxml");
    p2p_buf_puts(buf, "\"}");
}

static void add_links(const sandbox_page_t *page)
{
    const sandbox_rule_t *loop = sandbox_fired(page->call, SANDBOX_DO_LOOP);
    p2p_buf_t *buf = &page->out->buf;

    p2p_buf_printf(buf, ",\"link\":[{\"relation\":\"self\",\"url\":\"%s%s\"}", page->base,
                   ap_escape_uri(page->call->r->pool, page->call->path));
    if (loop) add_next(page, (apr_size_t)loop->to);
    else if (page->end < page->search->list.count) add_next(page, page->end);
    else if (sandbox_fired(page->call, SANDBOX_DO_ENDLESS)) add_next(page, page->asked + (apr_size_t)page->count);
    p2p_buf_puts(buf, "]");
}

static void add_full_url(const sandbox_page_t *page, const sandbox_resource_t *res)
{
    p2p_buf_t *buf = &page->out->buf;

    if (res->full_url.n) {
        p2p_buf_puts(buf, "\"fullUrl\":\"");
        p2p_buf_add(buf, res->full_url.p, res->full_url.n);
        p2p_buf_puts(buf, "\",");
    } else if (!res->without_id) {
        p2p_buf_puts(buf, "\"fullUrl\":\"");
        p2p_buf_add(buf, page->base, page->base_len);
        p2p_buf_add(buf, "/", 1);
        p2p_buf_add(buf, res->key, res->key_len);
        p2p_buf_puts(buf, "\",");
    }
}

static void add_entry(const sandbox_page_t *page, const sandbox_resource_t *res)
{
    p2p_buf_t *buf = &page->out->buf;

    p2p_buf_puts(buf, "{");
    add_full_url(page, res);
    p2p_buf_puts(buf, "\"resource\":");
    sandbox_out_version(page->out, res, res->now);
    if (res->search.n) {
        p2p_buf_puts(buf, ",\"search\":");
        p2p_buf_add(buf, res->search.p, res->search.n);
        p2p_buf_puts(buf, "}");
    } else {
        p2p_buf_puts(buf, ",\"search\":{\"mode\":\"match\"}}");
    }
}

static void add_entries(const sandbox_page_t *page)
{
    int first = 1;

    for (apr_size_t i = page->begin; i < page->end; i++) {
        const sandbox_resource_t *res = page->search->list.items[i];

        if (!sandbox_lives(res)) continue;
        p2p_buf_puts(&page->out->buf, first ? ",\"entry\":[" : ",");
        first = 0;
        add_entry(page, res);
    }
    if (!first) p2p_buf_puts(&page->out->buf, "]");
}

static void begin_bundle(sandbox_out_t *out, const sandbox_search_t *search)
{
    p2p_buf_printf(&out->buf, "{\"resourceType\":\"Bundle\",\"id\":\"%08x\",\"meta\":{\"lastUpdated\":\"",
                   search->number);
    sandbox_add_time(&out->buf, sandbox_now(out->call->payer));
    p2p_buf_puts(&out->buf, "\"},\"type\":\"searchset\"");
}

static void add_total(const sandbox_call_t *call, sandbox_out_t *out, const sandbox_search_t *search)
{
    const sandbox_rule_t *wrong = sandbox_fired(call, SANDBOX_DO_TOTAL);

    p2p_buf_printf(&out->buf, ",\"total\":%" APR_SIZE_T_FMT, search->list.count + (apr_size_t)(wrong ? wrong->to : 0));
}

static apr_size_t page_bytes(const sandbox_page_t *page)
{
    apr_size_t total = 4096 + (apr_size_t)page->call->payer->next_pad;

    for (apr_size_t i = page->begin; i < page->end; i++) {
        const sandbox_resource_t *res = page->search->list.items[i];

        if (sandbox_lives(res)) total += res->now->len + res->key_len + page->base_len + 100;
    }
    return total;
}

static void fill(sandbox_page_t *page)
{
    const sandbox_payer_t *payer = page->call->payer;
    int last = page->end == page->search->list.count;

    begin_bundle(page->out, page->search);
    if (payer->total == SANDBOX_TOTAL_ALL || (payer->total == SANDBOX_TOTAL_LAST && last))
        add_total(page->call, page->out, page->search);
    if (!payer->link_last) add_links(page);
    add_entries(page);
    if (payer->link_last) add_links(page);
    p2p_buf_puts(&page->out->buf, "}");
}

static void place(sandbox_page_t *page, apr_size_t offset, int count)
{
    apr_size_t all = page->search->list.count, repeat = (apr_size_t)page->call->payer->repeat;

    page->count = count;
    page->asked = offset;
    page->offset = offset < all ? offset : all;
    page->end = page->offset + (apr_size_t)count < all ? page->offset + (apr_size_t)count : all;
    page->begin = page->offset > repeat ? page->offset - repeat : 0;
}

static int forgotten(sandbox_call_t *call)
{
    return sandbox_outcome(call, HTTP_GONE, "HAPI-0417: Search ID does not exist and may have expired");
}

int sandbox_page(sandbox_call_t *call, apr_uint32_t number, apr_size_t offset, int count)
{
    sandbox_page_t page = {.call = call};
    sandbox_out_t out;

    page.base = sandbox_base_url(call);
    page.base_len = strlen(page.base);
    apr_thread_rwlock_rdlock(call->store->lock);
    page.search = search_of(call->store, number);
    if (!page.search) {
        apr_thread_rwlock_unlock(call->store->lock);
        return forgotten(call);
    }
    place(&page, offset, count);
    sandbox_out_init(&out, call, page_bytes(&page));
    page.out = &out;
    fill(&page);
    apr_thread_rwlock_unlock(call->store->lock);
    return sandbox_out_send(&out, HTTP_OK, SANDBOX_FHIR_JSON);
}

int sandbox_page_count(sandbox_call_t *call, apr_uint32_t number)
{
    const sandbox_search_t *search;
    sandbox_out_t out;

    apr_thread_rwlock_rdlock(call->store->lock);
    search = search_of(call->store, number);
    if (!search) {
        apr_thread_rwlock_unlock(call->store->lock);
        return forgotten(call);
    }
    sandbox_out_init(&out, call, 512);
    begin_bundle(&out, search);
    add_total(call, &out, search);
    p2p_buf_puts(&out.buf, "}");
    apr_thread_rwlock_unlock(call->store->lock);
    return sandbox_out_send(&out, HTTP_OK, SANDBOX_FHIR_JSON);
}
