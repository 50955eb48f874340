/* SPDX-License-Identifier: Apache-2.0 */
/* Tarjan's search for strongly connected components over what lies aside, stopped at the first thing that is still missing. */
#include "exchange/sequence.h"

#include <stddef.h>
#include <stdlib.h>

/* What those wait for that refer to something under an unknown base: that this becomes known. No resource has this key. */
#define EXTERNAL_KEY 1

typedef struct p2p_sequence_list_t {
    p2p_resource_t *head, *tail;
    apr_size_t bytes;
} p2p_sequence_list_t;

/* What is known of a key: the resource of that key that lies here, and those that wait for it. A urn is a key, too. */
typedef struct node_t {
    apr_uint64_t key;
    struct node_t *chain;
    p2p_resource_t *resource;
    p2p_sequence_list_t waiting;
    p2p_named_t *named; /* of a urn: what it names */
    int asked;          /* p2p_sequence_wanted has told it */
} node_t;

struct p2p_sequence_t {
    p2p_sequence_settings_t set;
    node_t **buckets;
    apr_size_t bucket_count, node_count; /* bucket_count is a power of two */
    p2p_sequence_list_t arrivals; /* not looked at yet */
    p2p_sequence_list_t released; /* what they waited for has moved: to be looked at again, before the arrivals */
    apr_size_t held;           /* resources that lie here */
    apr_size_t bytes;          /* of them in memory */
    int closed, broken;
    int bases_final;           /* p2p_sequence_wanted was called: the answers to come teach no bases */
    apr_pool_t *scratch;
    apr_uint64_t visit;
    unsigned index;
    p2p_resource_t *stack;
};

/* What a look at a link, or a whole search, comes to. */
typedef enum {
    CLEAR,   /* nothing in the way */
    DEEPER,  /* it depends on another one that lies here */
    BLOCKED, /* something is missing or under way */
    BROKEN,  /* it cannot be brought back from the spool */
    FULL,    /* the Bundle had to be closed: look again */
    FOREIGN  /* another patient's */
} verdict_t;

/* ---- Lists and nodes ---- */

static void list_add(p2p_sequence_list_t *list, p2p_resource_t *resource)
{
    resource->list = list;
    resource->next = NULL;
    resource->prev = list->tail;
    if (list->tail) list->tail->next = resource;
    else list->head = resource;
    list->tail = resource;
    list->bytes += resource->size;
}

static void list_remove(p2p_resource_t *resource)
{
    p2p_sequence_list_t *list = resource->list;

    if (!list) return;
    if (resource->prev) resource->prev->next = resource->next;
    else list->head = resource->next;
    if (resource->next) resource->next->prev = resource->prev;
    else list->tail = resource->prev;
    list->bytes -= resource->size;
    resource->list = NULL;
}

static node_t **find_link(const p2p_sequence_t *sequence, apr_uint64_t key)
{
    node_t **link = &sequence->buckets[(key >> 7) & (sequence->bucket_count - 1)];

    while (*link && (*link)->key != key) link = &(*link)->chain;
    return link;
}

static node_t *find(const p2p_sequence_t *sequence, apr_uint64_t key)
{
    return *find_link(sequence, key);
}

static void grow(p2p_sequence_t *sequence)
{
    node_t **old = sequence->buckets;
    apr_size_t count = sequence->bucket_count, i;

    sequence->bucket_count = count ? count * 2 : 1024;
    sequence->buckets = calloc(sequence->bucket_count, sizeof *sequence->buckets);
    if (!sequence->buckets) abort();
    for (i = 0; i < count; i++) {
        node_t *node = old[i], *chain;

        for (; node; node = chain) {
            node_t **link = find_link(sequence, node->key);

            chain = node->chain;
            node->chain = *link;
            *link = node;
        }
    }
    free(old);
}

static node_t *need(p2p_sequence_t *sequence, apr_uint64_t key)
{
    node_t **link, *node;

    if (sequence->node_count >= sequence->bucket_count) grow(sequence);
    link = find_link(sequence, key);
    if (*link) return *link;
    node = calloc(1, sizeof *node);
    if (!node) abort();
    node->key = key;
    *link = node;
    sequence->node_count++;
    return node;
}

/* Forgets a node that nothing needs any more. */
static void tidy(p2p_sequence_t *sequence, apr_uint64_t key)
{
    node_t **link = find_link(sequence, key), *node = *link;

    if (!node || node->resource || node->waiting.head || node->named) return;
    *link = node->chain;
    free(node);
    sequence->node_count--;
}

static void release_waiting(p2p_sequence_t *sequence, node_t *node)
{
    p2p_resource_t *resource, *next;

    for (resource = node->waiting.head; resource; resource = next) {
        next = resource->next;
        list_remove(resource);
        list_add(&sequence->released, resource);
    }
}

static void free_list(p2p_sequence_list_t *list)
{
    p2p_resource_t *resource, *next;

    for (resource = list->head; resource; resource = next) {
        next = resource->next;
        p2p_resource_free(resource);
    }
}

static apr_status_t free_sequence(void *data)
{
    p2p_sequence_t *sequence = data;
    apr_size_t i;

    free_list(&sequence->arrivals);
    free_list(&sequence->released);
    for (i = 0; i < sequence->bucket_count; i++) {
        node_t *node = sequence->buckets[i], *chain;

        for (; node; node = chain) {
            chain = node->chain;
            free_list(&node->waiting);
            free(node->named);
            free(node);
        }
    }
    free(sequence->buckets);
    return APR_SUCCESS;
}

p2p_sequence_t *p2p_sequence_make(apr_pool_t *p, const p2p_sequence_settings_t *settings)
{
    p2p_sequence_t *sequence = apr_pcalloc(p, sizeof *sequence);

    sequence->set = *settings;
    apr_pool_create(&sequence->scratch, p);
    grow(sequence);
    apr_pool_cleanup_register(p, sequence, free_sequence, apr_pool_cleanup_null);
    return sequence;
}

/* ---- The search ---- */

/* The Bundle being filled, by as many bits of its number as seen keeps. */
static unsigned open_number(const p2p_sequence_t *sequence)
{
    return p2p_push_open_number(sequence->set.push) & 0x1ffff;
}

/* Before a resource's bytes are looked at or changed they have to be in memory. */
static int fetch(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    apr_size_t before = resource->size;
    p2p_error_t *error = p2p_resource_fetch(resource, sequence->scratch);

    if (error) {
        sequence->broken = 1;
        sequence->set.failed(sequence->set.baton, error);
        return 0;
    }
    sequence->bytes += resource->size - before;
    if (resource->list) resource->list->bytes += resource->size - before;
    return 1;
}

/* What waits goes to the spool where memory does not suffice. */
static void spool(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    apr_size_t before = resource->size;
    p2p_error_t *error;

    if (!sequence->set.spool || !resource->splices || p2p_sequence_waiting(sequence) < sequence->set.waiting_bytes) return;
    apr_pool_clear(sequence->scratch);
    if (p2p_resource_spool(resource, sequence->set.spool, sequence->scratch, &error)) sequence->bytes -= before - resource->size;
    else if (error && error->kind == P2P_E_INTERNAL) p2p_log_error(sequence->set.log, P2P_LOG_ERROR, "What waits stays in memory", error);
}

static verdict_t unresolved(p2p_sequence_t *sequence, p2p_resource_t *resource, p2p_link_t *link)
{
    if (!fetch(sequence, resource)) return BROKEN;
    p2p_map_unresolved(sequence->set.mapper, resource, link, sequence->set.keep_unresolved);
    return CLEAR;
}

static verdict_t look_at_urn(p2p_sequence_t *sequence, p2p_resource_t *resource, p2p_link_t *link, apr_uint64_t *blocker)
{
    const node_t *node = find(sequence, link->key);

    if (node && node->named) {
        if (!fetch(sequence, resource)) return BROKEN;
        return p2p_map_resolve_urn(sequence->set.mapper, resource, link, node->named) ? FOREIGN : CLEAR;
    }
    *blocker = link->key;
    return sequence->closed ? unresolved(sequence, resource, link) : BLOCKED;
}

static verdict_t look_at_external(p2p_sequence_t *sequence, p2p_resource_t *resource, p2p_link_t *link, apr_uint64_t *blocker)
{
    if (!fetch(sequence, resource)) return BROKEN;
    if (p2p_map_look_again(sequence->set.mapper, resource, link)) return CLEAR;
    *blocker = EXTERNAL_KEY;
    return sequence->closed || sequence->bases_final ? unresolved(sequence, resource, link) : BLOCKED;
}

/* Does what a resource waits for still keep it from going? Then there is no need to look into it: this bounds the search. */
static const node_t *still_missing(const p2p_sequence_t *sequence, const p2p_resource_t *resource)
{
    const node_t *node;
    const p2p_seen_slot_t *slot;

    if (!resource->list || resource->list == &sequence->arrivals || resource->list == &sequence->released) return NULL;
    node = (const node_t *)((const char *)resource->list - offsetof(node_t, waiting));
    if (node->named) return NULL;
    slot = p2p_seen_find(sequence->set.seen, node->key);
    if (!slot || slot->state == P2P_SEEN_NEVER) return sequence->closed ? NULL : node;
    return slot->state == P2P_SEEN_SENT && slot->bundle != open_number(sequence) ? node : NULL;
}

static verdict_t look_deeper(const p2p_sequence_t *sequence, apr_uint64_t *blocker, p2p_resource_t **deeper)
{
    const node_t *missing;

    *deeper = find(sequence, *blocker)->resource;
    missing = still_missing(sequence, *deeper);
    if (!missing) return DEEPER;
    *blocker = missing->key;
    return BLOCKED;
}

static verdict_t look_at_key(p2p_sequence_t *sequence, p2p_resource_t *resource, p2p_link_t *link, apr_uint64_t *blocker,
                             p2p_resource_t **deeper)
{
    const p2p_seen_slot_t *slot = p2p_seen_find(sequence->set.seen, link->key);
    p2p_seen_state_t state = slot ? (p2p_seen_state_t)slot->state : P2P_SEEN_NEVER;

    *blocker = link->key;
    if (P2P_SEEN_IS_THERE(state)) return CLEAR;
    switch (state) {
    case P2P_SEEN_SENT: return !sequence->set.batch && slot->bundle == open_number(sequence) ? CLEAR : BLOCKED;
    case P2P_SEEN_HELD: return look_deeper(sequence, blocker, deeper);
    case P2P_SEEN_NEVER: if (!sequence->closed) return BLOCKED; break;
    default: break;
    }
    return unresolved(sequence, resource, link);
}

static verdict_t look_at(p2p_sequence_t *sequence, p2p_resource_t *resource, p2p_link_t *link, apr_uint64_t *blocker,
                         p2p_resource_t **deeper)
{
    verdict_t verdict = link->is_urn ? look_at_urn(sequence, resource, link, blocker)
                        : link->is_external ? look_at_external(sequence, resource, link, blocker) : CLEAR;

    if (verdict != CLEAR) return verdict;
    if (link->settled) return CLEAR;
    if (link->hopeless) return unresolved(sequence, resource, link);
    return look_at_key(sequence, resource, link, blocker, deeper);
}

static void enter(p2p_sequence_t *sequence, p2p_resource_t *resource, p2p_resource_t *up)
{
    resource->visit = sequence->visit;
    resource->index = resource->low = ++sequence->index;
    resource->link_at = 0;
    resource->up = up;
    resource->below = sequence->stack;
    resource->on_stack = 1;
    sequence->stack = resource;
}

/* Moves a resource from here into the Bundle, and releases those that waited for it to be there. */
static void bundle(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    p2p_seen_slot_t *slot = p2p_seen_find(sequence->set.seen, resource->key);
    node_t *node = find(sequence, resource->key);

    list_remove(resource);
    slot->state = P2P_SEEN_SENT;
    slot->bundle = open_number(sequence) & 0x1ffff;
    node->resource = NULL;
    sequence->held--;
    sequence->bytes -= resource->size;
    p2p_push_add(sequence->set.push, resource);
    release_waiting(sequence, node);
    tidy(sequence, node->key);
}

/* Bytes of the component from the top of the stack down to root, be they in memory or in the spool; *count resources. */
static apr_uint64_t component_bytes(const p2p_sequence_t *sequence, const p2p_resource_t *root, int *count)
{
    const p2p_resource_t *member = sequence->stack;
    apr_uint64_t bytes = member->len;

    for (*count = 1; member != root; ++*count) {
        member = member->below;
        bytes += member->len;
    }
    return bytes;
}

/* A circle that is too large to be in memory as a whole is cut open: what one of it refers to in the circle becomes logical. */
static verdict_t cut_circle(p2p_sequence_t *sequence, const p2p_resource_t *root)
{
    p2p_resource_t *member = sequence->stack;
    unsigned i;

    for (i = 0; i < member->link_count; i++) {
        p2p_link_t *link = &member->links[i];
        const node_t *node = link->settled || link->is_urn ? NULL : find(sequence, link->key);
        const p2p_resource_t *other = node ? node->resource : NULL;

        if (!other || other == member || other->visit != sequence->visit || !other->on_stack || other->index < root->index) continue;
        if (!fetch(sequence, member)) return BROKEN;
        p2p_map_unresolved(sequence->set.mapper, member, link, 0);
    }
    return FULL;
}

/* The component from the top of the stack down to root can go: all of it into one Bundle. */
static verdict_t bundle_component(p2p_sequence_t *sequence, p2p_resource_t *root)
{
    p2p_resource_t *member = sequence->stack;
    int count, first = 1;
    apr_uint64_t bytes = component_bytes(sequence, root, &count);

    if (count > 1 && sequence->set.waiting_bytes && bytes > sequence->set.waiting_bytes) return cut_circle(sequence, root);
    for (bytes = 0;; member = member->below) {
        if (!fetch(sequence, member)) return BROKEN;
        bytes += p2p_resource_length(member);
        if (member == root) break;
    }
    if (!p2p_push_fits(sequence->set.push, count, bytes)) {
        p2p_push_close(sequence->set.push);
        return FULL;
    }
    do {
        member = sequence->stack;
        sequence->stack = member->below;
        member->on_stack = 0;
        member->joined = (unsigned char)!first;
        first = 0;
        bundle(sequence, member);
    } while (member != root);
    return CLEAR;
}

static verdict_t step(p2p_sequence_t *sequence, p2p_resource_t **path, apr_uint64_t *blocker)
{
    p2p_resource_t *resource = *path, *deeper = NULL;
    verdict_t verdict;

    if (resource->link_at < resource->link_count) {
        verdict = look_at(sequence, resource, &resource->links[resource->link_at++], blocker, &deeper);
        if (verdict != DEEPER) return verdict;
        if (deeper->visit != sequence->visit) {
            enter(sequence, deeper, resource);
            *path = deeper;
        } else if (deeper->on_stack && deeper->index < resource->low) resource->low = deeper->index;
        return CLEAR;
    }
    *path = resource->up;
    if (*path && resource->low < (*path)->low) (*path)->low = resource->low;
    return resource->low == resource->index ? bundle_component(sequence, resource) : CLEAR;
}

/* Bundles resource and all it depends on, or tells what is in the way: *blocker, or where *path ended. */
static verdict_t search(p2p_sequence_t *sequence, p2p_resource_t *resource, apr_uint64_t *blocker, p2p_resource_t **path)
{
    verdict_t verdict = CLEAR;

    sequence->visit++;
    sequence->index = 0;
    sequence->stack = NULL;
    enter(sequence, resource, NULL);
    *path = resource;
    while (*path && verdict == CLEAR) verdict = step(sequence, path, blocker);
    return verdict;
}

static void skip(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    node_t *node = find(sequence, resource->key);

    list_remove(resource);
    node->resource = NULL;
    sequence->held--;
    sequence->bytes -= resource->size;
    p2p_seen_set(sequence->set.seen, resource->key, P2P_SEEN_GONE);
    release_waiting(sequence, node);
    tidy(sequence, node->key);
    sequence->set.skipped(sequence->set.baton, resource);
}

/* All on the path depend on what is in the way: none of them is looked at again before that has moved. */
static void lay_aside(p2p_sequence_t *sequence, p2p_resource_t *path, apr_uint64_t blocker)
{
    node_t *node = need(sequence, blocker);

    for (; path; path = path->up) {
        list_remove(path);
        spool(sequence, path);
        list_add(&node->waiting, path);
    }
}

static void settle(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    apr_uint64_t blocker = 0;
    p2p_resource_t *path;
    verdict_t verdict;

    do verdict = search(sequence, resource, &blocker, &path);
    while (verdict == FULL);
    /* Not before: what refers to a resource goes into the same Bundle, or waits until that one is written. */
    p2p_push_close_full(sequence->set.push);
    if (verdict == BLOCKED) lay_aside(sequence, path, blocker);
    else if (verdict == FOREIGN) skip(sequence, path);
}

void p2p_sequence_run(p2p_sequence_t *sequence)
{
    while (p2p_sequence_has_work(sequence) && p2p_push_has_room(sequence->set.push) && !sequence->broken)
        settle(sequence, sequence->released.head ? sequence->released.head : sequence->arrivals.head);
}

/* ---- Events ---- */

void p2p_sequence_take(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    need(sequence, resource->key)->resource = resource;
    sequence->held++;
    sequence->bytes += resource->size;
    list_add(&sequence->arrivals, resource);
}

p2p_resource_t *p2p_sequence_replace(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    node_t *node = find(sequence, resource->key);
    p2p_resource_t *old = node->resource;

    list_remove(old);
    sequence->bytes += resource->size - old->size;
    node->resource = resource;
    list_add(&sequence->arrivals, resource);
    return old;
}

void p2p_sequence_settled(p2p_sequence_t *sequence, apr_uint64_t key)
{
    node_t *node = find(sequence, key);

    if (!node) return;
    release_waiting(sequence, node);
    tidy(sequence, key);
}

void p2p_sequence_name(p2p_sequence_t *sequence, apr_uint64_t urn, const p2p_named_t *named)
{
    node_t *node = need(sequence, urn);

    if (!node->named) node->named = malloc(sizeof *node->named);
    if (!node->named) abort();
    *node->named = *named;
    release_waiting(sequence, node);
}

void p2p_sequence_bases_changed(p2p_sequence_t *sequence)
{
    p2p_sequence_settled(sequence, EXTERNAL_KEY);
}

void p2p_sequence_close(p2p_sequence_t *sequence)
{
    apr_size_t i;

    sequence->closed = 1;
    for (i = 0; i < sequence->bucket_count; i++) {
        node_t *node;

        for (node = sequence->buckets[i]; node; node = node->chain) release_waiting(sequence, node);
    }
}

/* The URL of what key stands for, by the first of those that wait for it which names it. */
static const char *url_of(p2p_sequence_t *sequence, const node_t *node, apr_pool_t *p)
{
    p2p_resource_t *resource;
    unsigned i;

    for (resource = node->waiting.head; resource; resource = resource->next) {
        for (i = 0; i < resource->link_count; i++) {
            const p2p_link_t *link = &resource->links[i];

            if (link->key != node->key || link->is_urn) continue;
            return fetch(sequence, resource) ? p2p_map_link_url(sequence->set.mapper, resource, link, p) : NULL;
        }
    }
    return NULL;
}

/* What was asked for and did not come will not: what waited for it goes on to what else it refers to. */
static void give_up(p2p_sequence_t *sequence, node_t *node)
{
    p2p_seen_add(sequence->set.seen, node->key)->state = P2P_SEEN_GONE;
    release_waiting(sequence, node);
}

void p2p_sequence_wanted(p2p_sequence_t *sequence, apr_pool_t *p, void (*want)(void *baton, const char *url), void *baton)
{
    apr_size_t i;

    sequence->bases_final = 1;
    p2p_sequence_bases_changed(sequence);
    for (i = 0; i < sequence->bucket_count; i++) {
        node_t *node;

        for (node = sequence->buckets[i]; node; node = node->chain) {
            const char *url;

            if (!node->waiting.head || p2p_seen_state(sequence->set.seen, node->key) != P2P_SEEN_NEVER) continue;
            if (node->asked) {
                give_up(sequence, node);
                continue;
            }
            url = url_of(sequence, node, p);
            if (!url) continue;
            node->asked = 1;
            want(baton, url);
        }
    }
}

apr_size_t p2p_sequence_waiting(const p2p_sequence_t *sequence)
{
    return sequence->bytes - p2p_sequence_backlog(sequence);
}

apr_size_t p2p_sequence_backlog(const p2p_sequence_t *sequence)
{
    return sequence->arrivals.bytes + sequence->released.bytes;
}

int p2p_sequence_has_work(const p2p_sequence_t *sequence)
{
    return sequence->released.head || sequence->arrivals.head;
}

int p2p_sequence_is_empty(const p2p_sequence_t *sequence)
{
    return sequence->held == 0;
}
