/* SPDX-License-Identifier: Apache-2.0 */
/* What to do with an entry. */
#include "exchange/receive.h"

#include <string.h>

#include "fhir/answer.h"
#include "fhir/resource_type.h"

struct p2p_receive_t {
    p2p_mapper_t *mapper;
    p2p_seen_t *seen;
    p2p_sequence_t *sequence;
    apr_pool_t *scratch;
    int is_letter;         /* what comes was rejected before */
    p2p_resource_t *later; /* versions that came while an older one was under way, linked by next */
};

static apr_status_t free_later(void *data)
{
    p2p_receive_t *receive = data;

    while (receive->later) {
        p2p_resource_t *resource = receive->later;

        receive->later = resource->next;
        p2p_resource_free(resource);
    }
    return APR_SUCCESS;
}

p2p_receive_t *p2p_receive_make(apr_pool_t *p, p2p_mapper_t *mapper, p2p_seen_t *seen, p2p_sequence_t *sequence)
{
    p2p_receive_t *receive = apr_pcalloc(p, sizeof *receive);

    receive->mapper = mapper;
    receive->seen = seen;
    receive->sequence = sequence;
    apr_pool_create(&receive->scratch, p);
    apr_pool_cleanup_register(p, receive, free_later, apr_pool_cleanup_null);
    return receive;
}

static void go_on(p2p_receive_t *receive, p2p_resource_t *resource)
{
    p2p_seen_slot_t *slot = p2p_seen_add(receive->seen, resource->key);

    slot->state = P2P_SEEN_HELD;
    slot->updated = P2P_SEEN_UPDATED(resource->updated);
    p2p_sequence_take(receive->sequence, resource);
}

static void name(p2p_receive_t *receive, p2p_landing_t *landing, const p2p_resource_t *resource)
{
    p2p_named_t named;

    if (!resource->urn) return;
    named.key = resource->key;
    named.type = resource->type;
    p2p_id_text(resource->digest, named.target_id);
    p2p_land_named(landing, resource->urn, p2p_mapper_type(receive->mapper, resource->type), named.target_id);
    p2p_sequence_name(receive->sequence, resource->urn, &named);
}

static void supersede(p2p_resource_t *old)
{
    if (!old) return; /* the job has failed */
    p2p_land_superseded(old->landing, old);
    p2p_resource_free(old);
}

/* A later version of one that is on its way to the target at this moment: it waits for that, once per key. */
static void keep_for_later(p2p_receive_t *receive, p2p_resource_t *resource)
{
    p2p_resource_t **at = &receive->later;

    while (*at && (*at)->key != resource->key) at = &(*at)->next;
    resource->next = NULL;
    if (*at) {
        p2p_resource_t *old = *at;

        resource->next = old->next;
        supersede(old);
    }
    *at = resource;
}

static void take_later_version(p2p_receive_t *receive, p2p_resource_t *resource, p2p_seen_slot_t *slot)
{
    p2p_land_received(resource->landing, resource);
    slot->updated = P2P_SEEN_UPDATED(resource->updated);
    if (p2p_sequence_holds(receive->sequence, resource->key)) supersede(p2p_sequence_replace(receive->sequence, resource));
    else if (slot->state == P2P_SEEN_SENT || slot->state == P2P_SEEN_AGAIN) keep_for_later(receive, resource);
    else go_on(receive, resource);
}

/* It was written open, and its page came again: now it gets all its references. Until then the one that is there is good enough for those
 * that refer to it. */
static void write_again(p2p_receive_t *receive, p2p_resource_t *resource, p2p_seen_slot_t *slot)
{
    p2p_land_received(resource->landing, resource);
    slot->updated = P2P_SEEN_UPDATED(resource->updated);
    slot->state = P2P_SEEN_AGAIN;
    p2p_sequence_take(receive->sequence, resource);
}

/* What came before with the same page, and was accounted for there. */
static int is_known(const p2p_receive_t *receive, const p2p_landing_t *landing, const p2p_resource_t *resource)
{
    return p2p_land_is_again(landing) && p2p_seen_state(receive->seen, resource->key) != P2P_SEEN_NEVER;
}

static void skip(p2p_receive_t *receive, p2p_landing_t *landing, p2p_resource_t *resource, const char *code)
{
    p2p_seen_slot_t *slot;

    if (is_known(receive, landing, resource)) {
        p2p_land_duplicate(landing);
        p2p_resource_free(resource);
        return;
    }
    slot = p2p_seen_add(receive->seen, resource->key);
    p2p_land_skipped(landing, p2p_mapper_type(receive->mapper, resource->type), resource->source_id, code, "");
    if (slot->state == P2P_SEEN_NEVER) slot->state = P2P_SEEN_GONE;
    name(receive, landing, resource); /* whose subject it is, is another patient's */
    p2p_sequence_settled(receive->sequence, resource->key);
    p2p_resource_free(resource);
}

/* Of what is there: what was written open and comes with its page, and what was refused when it was written again and is tried once more. */
static int is_wanted_again(const p2p_receive_t *receive, const p2p_landing_t *landing, p2p_seen_state_t state)
{
    if (p2p_land_is_again(landing)) return state == P2P_SEEN_OPEN;
    return receive->is_letter && (state == P2P_SEEN_OPEN || state == P2P_SEEN_WRITTEN);
}

static void take(p2p_receive_t *receive, p2p_landing_t *landing, p2p_resource_t *resource)
{
    p2p_seen_slot_t *slot = p2p_seen_find(receive->seen, resource->key);

    resource->landing = landing;
    if (slot && receive->is_letter && slot->state == P2P_SEEN_GONE) slot->state = P2P_SEEN_NEVER;
    if (!slot || slot->state == P2P_SEEN_NEVER) {
        p2p_land_received(landing, resource);
        name(receive, landing, resource);
        go_on(receive, resource);
    } else if (p2p_land_met_again(landing, resource->key)) {
        p2p_resource_free(resource);
    } else if (is_wanted_again(receive, landing, slot->state) && resource->updated >= slot->updated) {
        write_again(receive, resource, slot);
    } else if (resource->updated > slot->updated) {
        take_later_version(receive, resource, slot);
    } else {
        p2p_land_duplicate(landing);
        p2p_resource_free(resource);
    }
}

/* What the source says about the search. */
static p2p_error_t *take_outcome(p2p_receive_t *receive, p2p_landing_t *landing, const p2p_bundle_entry_t *entry)
{
    const char *words = p2p_outcome_text(receive->scratch, entry->resource, entry->len);
    p2p_error_t *error;

    if (!entry->alone && p2p_land_is_again(landing)) {
        p2p_land_duplicate(landing);
        return NULL;
    }
    if (!entry->alone) {
        p2p_land_skipped(landing, "OperationOutcome", "", "outcome", words);
        return NULL;
    }
    error = p2p_error_make(receive->scratch, P2P_E_REFUSED, "source-outcome",
                           "the source answered 200 with an OperationOutcome instead of data; ask the source payer what is wrong");
    return p2p_error_detail(receive->scratch, error, words);
}

p2p_error_t *p2p_receive_entry(p2p_receive_t *receive, p2p_landing_t *landing, const p2p_bundle_entry_t *entry)
{
    p2p_resource_t *resource;
    p2p_error_t *error;
    const char *type;
    int bases = p2p_mapper_bases(receive->mapper)->count;

    apr_pool_clear(receive->scratch);
    if (entry->outcome) return take_outcome(receive, landing, entry);
    error = p2p_map(receive->mapper, receive->scratch, entry, &resource);
    if (p2p_mapper_bases(receive->mapper)->count != bases) p2p_sequence_bases_changed(receive->sequence);
    if (error && p2p_land_is_again(landing)) {
        p2p_land_duplicate(landing);
        return NULL;
    }
    if (error) {
        p2p_land_unmappable(landing, error, entry->resource, entry->len);
        return NULL;
    }
    type = p2p_mapper_type(receive->mapper, resource->type);
    if (strcmp(type, "OperationOutcome") == 0) {
        p2p_resource_free(resource);
        return take_outcome(receive, landing, entry);
    }
    if (p2p_is_server_type(type)) skip(receive, landing, resource, "server-resource");
    else if (resource->other_patient) skip(receive, landing, resource, "other-patient");
    else take(receive, landing, resource);
    return NULL;
}

p2p_error_t *p2p_receive_letter(p2p_receive_t *receive, p2p_landing_t *landing, const p2p_bundle_entry_t *entry)
{
    p2p_error_t *error;

    receive->is_letter = 1;
    error = p2p_receive_entry(receive, landing, entry);
    receive->is_letter = 0;
    return error;
}

void p2p_receive_settled(p2p_receive_t *receive, apr_uint64_t key)
{
    p2p_resource_t **at = &receive->later, *resource;

    while (*at && (*at)->key != key) at = &(*at)->next;
    if (!*at) return;
    resource = *at;
    *at = resource->next;
    go_on(receive, resource);
}
