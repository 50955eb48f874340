/* SPDX-License-Identifier: Apache-2.0 */
/* From the findings of a scan to a resource with its splices. */
#include "exchange/mapper.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "base/clock.h"
#include "fhir/resource_type.h"

#define TEXT_MAX (64 << 20) /* of all texts that one resource gets */

typedef p2p_mapper_type_t type_t;
typedef p2p_map_draft_t draft_t;

static apr_status_t free_mapper(void *data)
{
    p2p_mapper_t *mapper = data;

    p2p_findings_free(&mapper->own_findings);
    p2p_buf_free(&mapper->text);
    free(mapper->drafts);
    free(mapper->links);
    return APR_SUCCESS;
}

/* A text as it stands between the quotes of a JSON string. */
static const char *json_text(apr_pool_t *p, const char *text)
{
    p2p_buf_t buf;
    const char *inner;

    p2p_buf_init(&buf, TEXT_MAX);
    p2p_buf_json(&buf, text, strlen(text));
    inner = buf.len >= 2 ? apr_pstrmemdup(p, buf.data + 1, buf.len - 2) : "";
    p2p_buf_free(&buf);
    return inner;
}

p2p_mapper_t *p2p_mapper_make(apr_pool_t *p, const p2p_map_settings_t *settings)
{
    p2p_mapper_t *mapper = apr_pcalloc(p, sizeof *mapper);

    mapper->pool = p;
    mapper->deriver = p2p_id_deriver_make(p, settings->id_namespace);
    mapper->endpoint = apr_pstrdup(p, settings->endpoint);
    mapper->source_begin = apr_pstrcat(p, "\"source\":\"", json_text(p, settings->endpoint), "/", NULL);
    mapper->identifier_begin = apr_pstrcat(p, "{\"system\":\"", json_text(p, settings->endpoint), "\",\"value\":\"", NULL);
    p2p_mapper_set_member(mapper, settings->source_patient);
    mapper->target_patient = apr_pstrdup(p, settings->target_patient);
    mapper->conditional_ids = settings->conditional_ids;
    mapper->type_numbers = apr_hash_make(p);
    mapper->bases.pool = p;
    p2p_bases_add(&mapper->bases, settings->endpoint, strlen(settings->endpoint));
    p2p_buf_init(&mapper->text, TEXT_MAX);
    apr_pool_create(&mapper->scratch, p);
    apr_pool_cleanup_register(p, mapper, free_mapper, apr_pool_cleanup_null);
    return mapper;
}

void p2p_mapper_set_member(p2p_mapper_t *mapper, const char *source_patient)
{
    unsigned char digest[P2P_DIGEST_BYTES];

    mapper->source_patient = apr_pstrdup(mapper->pool, source_patient);
    p2p_id_digest(mapper->deriver, "Patient", 7, source_patient, strlen(source_patient), digest);
    mapper->member_key = p2p_id_key(digest);
}

void p2p_mapper_set_mdm(p2p_mapper_t *mapper, const char *identifier)
{
    mapper->mdm = apr_pstrdup(mapper->pool, identifier);
}

const char *p2p_mapper_endpoint(const p2p_mapper_t *mapper)
{
    return mapper->endpoint;
}

p2p_bases_t *p2p_mapper_bases(p2p_mapper_t *mapper)
{
    return &mapper->bases;
}

const char *p2p_mapper_type(const p2p_mapper_t *mapper, unsigned type)
{
    return mapper->types[type].name;
}

int p2p_mapper_type_number(p2p_mapper_t *mapper, const char *name, apr_size_t len)
{
    type_t *type = apr_hash_get(mapper->type_numbers, name, (apr_ssize_t)len);

    if (type) return (int)(type - mapper->types);
    if (mapper->type_count == P2P_MAPPER_TYPES_MAX || !p2p_is_fhir_type(name, len)) return -1;
    type = &mapper->types[mapper->type_count++];
    type->name = apr_pstrmemdup(mapper->pool, name, len);
    type->identifiers = p2p_identifier_kind(type->name);
    apr_hash_set(mapper->type_numbers, type->name, (apr_ssize_t)len, type);
    return (int)(type - mapper->types);
}

/* ---- Drafts ---- */

static void *room(void *list, unsigned count, unsigned *have, apr_size_t size)
{
    if (count < *have) return list;
    *have = *have ? *have * 2 : 32;
    list = realloc(list, *have * size);
    if (!list) abort();
    return list;
}

/* Begins a splice whose text is what is added to mapper->text until end_draft. */
static draft_t *begin_draft(p2p_mapper_t *mapper, apr_size_t at, apr_size_t cut)
{
    draft_t *draft;

    mapper->drafts = room(mapper->drafts, mapper->draft_count, &mapper->draft_room, sizeof *mapper->drafts);
    draft = &mapper->drafts[mapper->draft_count++];
    draft->at = at;
    draft->cut = cut;
    draft->text = mapper->text.len;
    draft->len = 0;
    draft->link = -1;
    return draft;
}

static void end_draft(p2p_mapper_t *mapper, draft_t *draft)
{
    draft->len = mapper->text.len - draft->text;
}

static void draft_text(p2p_mapper_t *mapper, apr_size_t at, apr_size_t cut, const char *text)
{
    draft_t *draft = begin_draft(mapper, at, cut);

    p2p_buf_puts(&mapper->text, text);
    end_draft(mapper, draft);
}

/* ---- Identity ---- */

/* A string's contents at a span, without its escapes; mostly it has none, and then they are not copied. */
static const char *contents(p2p_mapper_t *mapper, p2p_span_t span, apr_size_t *len)
{
    const char *text = mapper->bytes + span.begin + 1;

    *len = span.end - span.begin - 2;
    if (!memchr(text, '\\', *len)) return text;
    return p2p_scan_unescape(mapper->scratch, text - 1, *len + 2, len);
}

static apr_uint64_t urn_key(p2p_mapper_t *mapper, const char *urn, apr_size_t len)
{
    unsigned char digest[P2P_DIGEST_BYTES];

    p2p_id_digest(mapper->deriver, "urn", 3, urn, len, digest);
    return p2p_id_key(digest);
}

static void see_urn(p2p_mapper_t *mapper, const char *url, apr_size_t len)
{
    if (len > 4 && memcmp(url, "urn:", 4) == 0) mapper->head.urn = urn_key(mapper, url, len);
}

/* A resource without an id takes that of its urn:uuid. */
static p2p_error_t *find_id(p2p_mapper_t *mapper, apr_pool_t *p, const p2p_bundle_entry_t *entry)
{
    static const char urn_uuid[] = "urn:uuid:";
    const char *id = NULL;
    apr_size_t len = 0;

    if (entry->full_url) see_urn(mapper, entry->full_url, entry->full_url_len);
    if (mapper->findings->id.end) id = contents(mapper, mapper->findings->id, &len);
    else if (mapper->head.urn && entry->full_url_len > sizeof urn_uuid - 1 && !memcmp(entry->full_url, urn_uuid, sizeof urn_uuid - 1)) {
        id = entry->full_url + sizeof urn_uuid - 1;
        len = entry->full_url_len - (sizeof urn_uuid - 1);
    } else if (strcmp(p2p_mapper_type(mapper, mapper->head.type), "OperationOutcome") == 0) {
        id = "outcome"; /* it needs none, and is skipped */
        len = strlen(id);
    }
    if (!id || !p2p_is_source_id(id, len))
        return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "a resource has no usable id");
    mapper->head.source_id = apr_pstrmemdup(mapper->scratch, id, len);
    return NULL;
}

static p2p_error_t *identify(p2p_mapper_t *mapper, apr_pool_t *p, const p2p_bundle_entry_t *entry)
{
    p2p_resource_t *head = &mapper->head;
    apr_size_t len;
    const char *type = contents(mapper, mapper->findings->type, &len);
    int number = p2p_mapper_type_number(mapper, type, len);
    apr_time_t updated;

    if (number < 0) return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "a resource's resourceType is no type of FHIR's");
    head->type = (unsigned)number;
    P2P_TRY(find_id(mapper, p, entry));
    p2p_id_digest(mapper->deriver, type, len, head->source_id, strlen(head->source_id), head->digest);
    head->key = p2p_id_key(head->digest);
    if (mapper->findings->updated.end) {
        const char *text = contents(mapper, mapper->findings->updated, &len);

        if (p2p_time_parse(text, len, &updated) && updated > 0) head->updated = (apr_uint64_t)apr_time_as_msec(updated);
    }
    if (entry->full_url && !head->urn)
        p2p_bases_learn(&mapper->bases, entry->full_url, entry->full_url_len, p2p_mapper_type(mapper, head->type),
                        head->source_id);
    return NULL;
}

/* ---- id, meta, identifier, link ---- */

static void draft_id(p2p_mapper_t *mapper)
{
    p2p_span_t id = mapper->findings->id, type = mapper->findings->type;
    draft_t *draft = id.end ? begin_draft(mapper, id.begin, id.end - id.begin) : begin_draft(mapper, type.end, 0);
    char text[P2P_RESOURCE_ID_LEN + 1];

    p2p_id_text(mapper->head.digest, text);
    p2p_buf_cat(&mapper->text, id.end ? "\"" : ",\"id\":\"", text, "\"", NULL);
    end_draft(mapper, draft);
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of what stands before at, blanks aside. */
static apr_size_t back_to(const char *bytes, apr_size_t at)
{
    while (is_blank(bytes[at - 1])) at--;
    return at;
}

/* For a target that assigns ids the whole member is one splice, with the comma that goes along, so that it can be left out. What was scanned
 * is JSON, and names have no escapes. To be drafted behind what is put where the cut begins. */
static void draft_whole_id(p2p_mapper_t *mapper)
{
    const char *bytes = mapper->bytes;
    apr_size_t begin, before, end = mapper->findings->id.end;
    char text[P2P_RESOURCE_ID_LEN + 1];
    draft_t *draft;
    int is_first;

    p2p_id_text(mapper->head.digest, text);
    begin = end ? back_to(bytes, back_to(bytes, mapper->findings->id.begin) - 1) - 4 : mapper->findings->type.end; /* of "id" */
    before = end ? back_to(bytes, begin) - 1 : begin;
    is_first = end && bytes[before] == '{';
    while (is_first && bytes[end - 1] != ',') end++; /* resourceType is yet to come */
    if (!is_first) begin = before;
    draft = begin_draft(mapper, begin, end ? end - begin : 0);
    draft->link = P2P_DRAFT_ID;
    p2p_buf_cat(&mapper->text, is_first ? "\"id\":\"" : ",\"id\":\"", text, is_first ? "\"," : "\"", NULL);
    end_draft(mapper, draft);
}

static void add_source_url(p2p_mapper_t *mapper)
{
    p2p_buf_cat(&mapper->text, mapper->source_begin, p2p_mapper_type(mapper, mapper->head.type), "/", mapper->head.source_id, "\"",
                NULL);
}

/* Where whole new members of the resource go: behind its id, or behind resourceType where it has none or may lose it. */
static apr_size_t new_members_at(const p2p_mapper_t *mapper)
{
    if (mapper->conditional_ids) return mapper->findings->type.end;
    return mapper->findings->id.end ? mapper->findings->id.end : mapper->findings->type.end;
}

/* Cuts the members that are dropped, each with one comma; the last run takes the comma before it. */
static void cut_meta_members(p2p_mapper_t *mapper)
{
    const p2p_meta_member_t *members = mapper->findings->meta_members;
    int count = mapper->findings->meta_count, kept = count, i;

    while (kept > 0 && members[kept - 1].drop) kept--;
    for (i = 0; i < kept; i++) {
        if (members[i].drop)
            draft_text(mapper, members[i].span.begin, members[i + 1].span.begin - members[i].span.begin, "");
    }
    if (kept < count)
        draft_text(mapper, members[kept - 1].span.end, members[count - 1].span.end - members[kept - 1].span.end, "");
}

static void draft_meta(p2p_mapper_t *mapper)
{
    const p2p_findings_t *f = mapper->findings;
    int i, kept = 0;
    draft_t *draft;

    for (i = 0; i < f->meta_count; i++) kept += !f->meta_members[i].drop;
    if (!f->meta.end) draft = begin_draft(mapper, new_members_at(mapper), 0);
    else if (kept) draft = begin_draft(mapper, f->meta.begin + 1, 0);
    else draft = begin_draft(mapper, f->meta.begin, f->meta.end - f->meta.begin);
    if (!f->meta.end) p2p_buf_puts(&mapper->text, ",\"meta\":");
    if (!f->meta.end || !kept) p2p_buf_puts(&mapper->text, "{");
    add_source_url(mapper);
    p2p_buf_puts(&mapper->text, f->meta.end && kept ? "," : "}");
    end_draft(mapper, draft);
    if (kept) cut_meta_members(mapper);
}

/* Begins a splice that adds one element to a top-level array, which may be empty or missing. */
static draft_t *begin_element(p2p_mapper_t *mapper, const p2p_array_t *array, const char *name)
{
    draft_t *draft;

    if (!array->span.end) {
        draft = begin_draft(mapper, new_members_at(mapper), 0);
        p2p_buf_cat(&mapper->text, ",\"", name, "\":[", NULL);
    } else {
        draft = begin_draft(mapper, array->last_end ? array->last_end : array->span.begin + 1, 0);
        if (array->last_end) p2p_buf_puts(&mapper->text, ",");
    }
    return draft;
}

static void end_element(p2p_mapper_t *mapper, const p2p_array_t *array, draft_t *draft)
{
    if (!array->span.end) p2p_buf_puts(&mapper->text, "]");
    end_draft(mapper, draft);
}

/* Is the resource under way the member's Patient? */
static int is_member(const p2p_mapper_t *mapper)
{
    return mapper->head.key == mapper->member_key;
}

static void add_identifier(p2p_mapper_t *mapper)
{
    mapper->head.identified = 1;
    p2p_buf_cat(&mapper->text, mapper->identifier_begin, p2p_mapper_type(mapper, mapper->head.type), "/", mapper->head.source_id, "\"}", NULL);
}

static void draft_identifier(p2p_mapper_t *mapper)
{
    const p2p_array_t *array = &mapper->findings->identifier;
    p2p_identifier_kind_t kind = mapper->types[mapper->head.type].identifiers;
    draft_t *draft;

    if (kind == P2P_IDENTIFIER_MANY && (array->is_array || !array->span.end)) {
        draft = begin_element(mapper, array, "identifier");
        if (mapper->mdm && is_member(mapper)) p2p_buf_cat(&mapper->text, mapper->mdm, ",", NULL);
        add_identifier(mapper);
        end_element(mapper, array, draft);
    } else if (kind == P2P_IDENTIFIER_ONE && !array->span.end) {
        draft = begin_draft(mapper, new_members_at(mapper), 0);
        p2p_buf_puts(&mapper->text, ",\"identifier\":");
        add_identifier(mapper);
        end_draft(mapper, draft);
    }
}

/* The source's Patient says that it is the same person as the member's. */
static void draft_patient_link(p2p_mapper_t *mapper)
{
    const p2p_array_t *array = &mapper->findings->link;
    draft_t *draft;

    if (mapper->mdm || (array->span.end && !array->is_array)) return;
    draft = begin_element(mapper, array, "link");
    p2p_buf_printf(&mapper->text, "{\"other\":{\"reference\":\"Patient/%s\"},\"type\":\"seealso\"}", mapper->target_patient);
    end_element(mapper, array, draft);
}

/* ---- References ---- */

static int is_patient(const p2p_reference_t *ref)
{
    return ref->type_len == 7 && memcmp(ref->type, "Patient", 7) == 0;
}

static int has_member_id(const p2p_mapper_t *mapper, const p2p_reference_t *ref)
{
    return is_patient(ref) && ref->id_len == strlen(mapper->source_patient)
           && memcmp(ref->id, mapper->source_patient, ref->id_len) == 0;
}

static p2p_link_t *add_link(p2p_mapper_t *mapper, const p2p_found_t *found)
{
    p2p_link_t *link;

    mapper->links = room(mapper->links, mapper->link_count, &mapper->link_room, sizeof *mapper->links);
    link = memset(&mapper->links[mapper->link_count++], 0, sizeof *link);
    link->kind = found->is_attachment ? P2P_LINK_ATTACHMENT : P2P_LINK_REFERENCE;
    link->value = found->value.begin;
    link->value_end = found->value.end;
    link->member = found->member.begin;
    link->member_end = found->member.end;
    link->patient = found->patient;
    link->drops = found->has_identifier;
    if (link->drops && found->next_begin) link->member_end = found->next_begin;
    else if (link->drops && found->prev_end) link->member = found->prev_end;
    return link;
}

/* The splice that rewrites a link; without a target yet it leaves the source's text as it is. */
static void draft_link(p2p_mapper_t *mapper, const p2p_found_t *found, const p2p_reference_t *ref, const char *text,
                       apr_size_t len)
{
    p2p_link_t *link = add_link(mapper, found);
    draft_t *draft = begin_draft(mapper, found->value.begin, 0);
    unsigned char digest[P2P_DIGEST_BYTES];
    char id[P2P_RESOURCE_ID_LEN + 1];

    draft->link = (int)mapper->link_count - 1;
    if (ref->kind == P2P_REF_RESOURCE) {
        p2p_id_digest(mapper->deriver, ref->type, ref->type_len, ref->id, ref->id_len, digest);
        p2p_id_text(digest, id);
        link->key = p2p_id_key(digest);
        draft->cut = found->value.end - found->value.begin;
        p2p_buf_add(&mapper->text, "\"", 1);
        p2p_buf_add(&mapper->text, ref->type, ref->type_len);
        p2p_buf_cat(&mapper->text, "/", id, "\"", NULL);
        end_draft(mapper, draft);
    } else if (ref->kind == P2P_REF_URN) {
        link->is_urn = 1;
        link->key = urn_key(mapper, text, len);
    } else if (ref->kind == P2P_REF_EXTERNAL && ref->type) link->is_external = 1;
    else link->hopeless = 1;
}

/* Can an attachment's URL lead to a resource of the source? */
static int may_be_attached(const p2p_reference_t *ref)
{
    return ref->kind == P2P_REF_RESOURCE || ref->kind == P2P_REF_URN || (ref->kind == P2P_REF_EXTERNAL && ref->type);
}

static void draft_found(p2p_mapper_t *mapper, const p2p_found_t *found)
{
    apr_size_t len;
    const char *text = contents(mapper, found->value, &len);
    p2p_reference_t ref = p2p_reference_parse(&mapper->bases, text, len);
    int same_id = has_member_id(mapper, &ref);
    int member = same_id && ref.kind == P2P_REF_RESOURCE; /* elsewhere the same id says nothing */

    if (ref.kind == P2P_REF_OTHER) return;
    if (found->is_odd && !is_patient(&ref)) return; /* only called so; but no shape lets a source point at the target's Patients */
    if (found->is_nested && p2p_findings_is_local(mapper->findings, text, len)) return;
    if (found->is_attachment && !may_be_attached(&ref)) return;
    if (found->patient && is_patient(&ref)) {
        if (member) mapper->member_patients |= 1u << found->patient;
        else if (!same_id) mapper->other_patients |= 1u << found->patient;
    }
    if (member && !found->is_attachment && !mapper->mdm) {
        draft_t *draft = begin_draft(mapper, found->value.begin, found->value.end - found->value.begin);

        p2p_buf_cat(&mapper->text, "\"Patient/", mapper->target_patient, "\"", NULL);
        end_draft(mapper, draft);
    } else draft_link(mapper, found, &ref, text, len);
}

/* ---- The resource ---- */

static int compare_drafts(const void *a, const void *b)
{
    const draft_t *x = a, *y = b;

    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text; /* insertions at one place keep the order they were made in */
}

/* They mostly are in order, or nearly so. */
static void sort_drafts(p2p_mapper_t *mapper)
{
    unsigned i, at, moves = 0;

    for (i = 1; i < mapper->draft_count; i++) {
        draft_t draft = mapper->drafts[i];

        for (at = i; at > 0 && compare_drafts(&draft, &mapper->drafts[at - 1]) < 0; at--) {
            mapper->drafts[at] = mapper->drafts[at - 1];
            moves++;
        }
        mapper->drafts[at] = draft;
        if (moves <= 4 * mapper->draft_count) continue;
        qsort(mapper->drafts, mapper->draft_count, sizeof *mapper->drafts, compare_drafts);
        return;
    }
}

/* An OperationOutcome's words are looked at again. */
static char *take_block(const p2p_mapper_t *mapper, const p2p_bundle_entry_t *entry, apr_size_t *offset)
{
    if (!entry->reader || strcmp(p2p_mapper_type(mapper, mapper->head.type), "OperationOutcome") == 0) return NULL;
    return p2p_bundle_reader_take(entry->reader, entry, offset);
}

/* Room for what the drafts make, with the source's bytes in it. A large resource takes the reader's block along. */
static p2p_resource_t *room_for_resource(const p2p_mapper_t *mapper, const p2p_bundle_entry_t *entry, char **texts)
{
    apr_size_t offset = 0;
    char *block = take_block(mapper, entry, &offset), *bytes;
    p2p_resource_t *resource;

    if (block)
        return p2p_resource_make_in(block, offset, &mapper->head, mapper->links, mapper->link_count, mapper->draft_count,
                                    mapper->text.len, mapper->len, texts);
    resource = p2p_resource_make(&mapper->head, mapper->links, mapper->link_count, mapper->draft_count, mapper->text.len, mapper->len,
                                 texts, &bytes);
    memcpy(bytes, mapper->bytes, mapper->len);
    return resource;
}

static p2p_resource_t *make_resource(const p2p_mapper_t *mapper, const p2p_bundle_entry_t *entry)
{
    char *texts;
    p2p_resource_t *resource = room_for_resource(mapper, entry, &texts);
    unsigned i;

    if (mapper->text.len) memcpy(texts, mapper->text.data, mapper->text.len);
    for (i = 0; i < mapper->draft_count; i++) {
        const draft_t *draft = &mapper->drafts[i];
        p2p_splice_t splice = {draft->at, draft->cut, texts + draft->text, draft->len};

        resource->splices[i] = splice;
        if (draft->link >= 0) resource->links[draft->link].splice = i;
        else if (draft->link == P2P_DRAFT_ID) resource->id_splice = i;
    }
    return resource;
}

/* The entry with its fullUrl unescaped. */
static p2p_bundle_entry_t plain_entry(p2p_mapper_t *mapper, const p2p_bundle_entry_t *entry)
{
    p2p_bundle_entry_t plain = *entry;

    if (entry->full_url && memchr(entry->full_url, '\\', entry->full_url_len))
        plain.full_url = p2p_scan_unescape(mapper->scratch, entry->full_url - 1, entry->full_url_len + 2,
                                           &plain.full_url_len);
    return plain;
}

static p2p_error_t *find(p2p_mapper_t *mapper, apr_pool_t *p, const p2p_bundle_entry_t *entry)
{
    if (entry->told) return p2p_map_scanner_end(entry->told, p, &mapper->findings);
    mapper->findings = &mapper->own_findings;
    return p2p_map_scan(&mapper->own_findings, entry->resource, entry->len, p);
}

p2p_error_t *p2p_map(p2p_mapper_t *mapper, apr_pool_t *p, const p2p_bundle_entry_t *entry, p2p_resource_t **resource)
{
    p2p_bundle_entry_t plain;
    unsigned i;

    apr_pool_clear(mapper->scratch);
    p2p_buf_clear(&mapper->text);
    memset(&mapper->head, 0, sizeof mapper->head);
    mapper->draft_count = mapper->link_count = mapper->other_patients = mapper->member_patients = 0;
    mapper->bytes = entry->resource;
    mapper->len = entry->len;
    P2P_TRY(find(mapper, p, entry));
    plain = plain_entry(mapper, entry);
    P2P_TRY(identify(mapper, p, &plain));
    if (!mapper->conditional_ids) draft_id(mapper);
    draft_meta(mapper);
    draft_identifier(mapper);
    if (strcmp(p2p_mapper_type(mapper, mapper->head.type), "Patient") == 0) {
        if (strcmp(mapper->head.source_id, mapper->source_patient) == 0) draft_patient_link(mapper);
        else mapper->head.other_patient = 1;
    }
    for (i = 0; i < mapper->findings->found_count; i++) draft_found(mapper, &mapper->findings->found[i]);
    if (mapper->conditional_ids) draft_whole_id(mapper);
    if (mapper->text.overflow) return p2p_error_make(p, P2P_E_INVALID, "too-large", "a resource has too many references");
    if (mapper->other_patients & ~mapper->member_patients) mapper->head.other_patient = 1;
    sort_drafts(mapper);
    *resource = make_resource(mapper, entry);
    return NULL;
}
