/* SPDX-License-Identifier: Apache-2.0 */
/* Finding references by shape: a Reference is an object with no members but a Reference's, an Attachment likewise. */
#include "exchange/map_scan.h"

#include <stdlib.h>
#include <string.h>

typedef enum {
    N_OTHER, N_ID, N_FOR, N_URL, N_TYPE, N_META, N_DATA, N_SIZE, N_HASH, N_LINK, N_TITLE, N_SOURCE, N_DISPLAY, N_SUBJECT,
    N_PATIENT, N_FULL_URL, N_LANGUAGE, N_CREATION, N_RESOURCE, N_REFERENCE, N_EXTENSION, N_VERSION_ID, N_IDENTIFIER,
    N_LAST_UPDATED, N_CONTENT_TYPE, N_BENEFICIARY, N_RESOURCE_TYPE, N_MODIFIER_EXTENSION
} name_t;

#define IN_REFERENCE 1
#define IN_ATTACHMENT 2
#define IN_META_DROP 4
#define PATIENT(n) ((n) << 4) /* 1 … 4 */

/* By name_t. No two of them have length and first letter in common: known_at tells the one that a name may be. */
static const struct known_t {
    const char *name;
    unsigned char flags;
} known[] = {
    [N_OTHER] = {"", 0},
    [N_ID] = {"id", IN_REFERENCE | IN_ATTACHMENT},
    [N_FOR] = {"for", PATIENT(4)},
    [N_URL] = {"url", IN_ATTACHMENT},
    [N_TYPE] = {"type", IN_REFERENCE},
    [N_META] = {"meta", 0},
    [N_DATA] = {"data", IN_ATTACHMENT},
    [N_SIZE] = {"size", IN_ATTACHMENT},
    [N_HASH] = {"hash", IN_ATTACHMENT},
    [N_LINK] = {"link", 0},
    [N_TITLE] = {"title", IN_ATTACHMENT},
    [N_SOURCE] = {"source", IN_META_DROP},
    [N_DISPLAY] = {"display", IN_REFERENCE},
    [N_SUBJECT] = {"subject", PATIENT(1)},
    [N_PATIENT] = {"patient", PATIENT(2)},
    [N_FULL_URL] = {"fullUrl", 0},
    [N_LANGUAGE] = {"language", IN_ATTACHMENT},
    [N_CREATION] = {"creation", IN_ATTACHMENT},
    [N_RESOURCE] = {"resource", 0},
    [N_REFERENCE] = {"reference", IN_REFERENCE},
    [N_EXTENSION] = {"extension", IN_REFERENCE | IN_ATTACHMENT},
    [N_VERSION_ID] = {"versionId", IN_META_DROP},
    [N_IDENTIFIER] = {"identifier", IN_REFERENCE},
    [N_LAST_UPDATED] = {"lastUpdated", IN_META_DROP},
    [N_CONTENT_TYPE] = {"contentType", IN_ATTACHMENT},
    [N_BENEFICIARY] = {"beneficiary", PATIENT(3)},
    [N_RESOURCE_TYPE] = {"resourceType", 0},
    [N_MODIFIER_EXTENSION] = {"modifierExtension", 0}};

#define LETTER(c) ((c) - 'a')

static const unsigned char known_at[18][26] = {
    [2] = {[LETTER('i')] = N_ID},
    [3] = {[LETTER('f')] = N_FOR, [LETTER('u')] = N_URL},
    [4] = {[LETTER('t')] = N_TYPE, [LETTER('m')] = N_META, [LETTER('d')] = N_DATA, [LETTER('s')] = N_SIZE,
           [LETTER('h')] = N_HASH, [LETTER('l')] = N_LINK},
    [5] = {[LETTER('t')] = N_TITLE},
    [6] = {[LETTER('s')] = N_SOURCE},
    [7] = {[LETTER('d')] = N_DISPLAY, [LETTER('s')] = N_SUBJECT, [LETTER('p')] = N_PATIENT, [LETTER('f')] = N_FULL_URL},
    [8] = {[LETTER('l')] = N_LANGUAGE, [LETTER('c')] = N_CREATION, [LETTER('r')] = N_RESOURCE},
    [9] = {[LETTER('r')] = N_REFERENCE, [LETTER('e')] = N_EXTENSION, [LETTER('v')] = N_VERSION_ID},
    [10] = {[LETTER('i')] = N_IDENTIFIER},
    [11] = {[LETTER('l')] = N_LAST_UPDATED, [LETTER('c')] = N_CONTENT_TYPE, [LETTER('b')] = N_BENEFICIARY},
    [12] = {[LETTER('r')] = N_RESOURCE_TYPE},
    [17] = {[LETTER('m')] = N_MODIFIER_EXTENSION}};

/* Kept out of the function that every token goes through, which is the shorter for it. */
#define APART __attribute__((noinline))

#define FOUND_MAX 200000 /* references in one resource */

typedef struct frame_t {
    unsigned char is_object, is_nested, name, member, members, has_reference, has_url, has_identifier;
    unsigned char member_patient, patient; /* of the member under way, of the container itself: see p2p_found_t */
    unsigned names;        /* a bit for each name_t it has had */
    apr_size_t begin;      /* of the container */
    apr_size_t name_begin; /* of the member under way */
    apr_size_t last_end;   /* behind the last member or element */
    p2p_span_t reference, reference_member, url, url_member, type, id;
    apr_size_t reference_prev, reference_next;
} frame_t;

typedef struct scan_t {
    p2p_findings_t *findings;
    const char *bytes;
    apr_pool_t *pool;
    const char *wrong; /* why it is not taken */
    frame_t frames[P2P_SCAN_DEPTH + 2]; /* by depth of what they hold: [1] is the resource itself */
} scan_t;

static inline name_t look_up(const char *name, apr_size_t len)
{
    unsigned letter = (unsigned char)LETTER(name[0]);
    name_t code;

    if (len >= sizeof known_at / sizeof *known_at || letter >= sizeof *known_at) return N_OTHER;
    code = (name_t)known_at[len][letter];
    return code != N_OTHER && memcmp(known[code].name, name, len) == 0 ? code : N_OTHER;
}

static apr_uint64_t hash(const char *text, apr_size_t len)
{
    apr_uint64_t h = 0xcbf29ce484222325u;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (text[i] == '\\' && i + 1 < len && text[i + 1] == '/') continue; /* the one escape that URLs come with */
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    }
    return h;
}

static void add_local(p2p_findings_t *findings, apr_uint64_t value)
{
    if (findings->local_count == findings->local_room) {
        findings->local_room = findings->local_room ? findings->local_room * 2 : 16;
        findings->local = realloc(findings->local, findings->local_room * sizeof *findings->local);
        if (!findings->local) abort();
    }
    findings->local[findings->local_count++] = value;
}

static p2p_found_t *add_found(scan_t *scan)
{
    p2p_findings_t *findings = scan->findings;

    if (findings->found_count == FOUND_MAX) {
        scan->wrong = "it has too many references";
        findings->found_count = 0;
    }
    if (findings->found_count == findings->found_room) {
        findings->found_room = findings->found_room ? findings->found_room * 2 : 16;
        findings->found = realloc(findings->found, findings->found_room * sizeof *findings->found);
        if (!findings->found) abort();
    }
    return memset(&findings->found[findings->found_count++], 0, sizeof *findings->found);
}

static int compare_local(const void *a, const void *b)
{
    apr_uint64_t x = *(const apr_uint64_t *)a, y = *(const apr_uint64_t *)b;

    return x < y ? -1 : x > y;
}

int p2p_findings_is_local(const p2p_findings_t *findings, const char *text, apr_size_t len)
{
    apr_uint64_t value;

    if (!findings->local_count) return 0;
    value = hash(text, len);
    return bsearch(&value, findings->local, findings->local_count, sizeof value, compare_local) != NULL;
}

/* A resource nested in this one, as a Bundle's entry: its Type/id satisfies references within. */
static APART void note_nested(scan_t *scan, const frame_t *frame)
{
    apr_size_t type_len = frame->type.end - frame->type.begin - 2, id_len = frame->id.end - frame->id.begin - 2;
    char text[256];

    if (type_len + id_len + 1 > sizeof text) return;
    memcpy(text, scan->bytes + frame->type.begin + 1, type_len);
    text[type_len] = '/';
    memcpy(text + type_len + 1, scan->bytes + frame->id.begin + 1, id_len);
    add_local(scan->findings, hash(text, type_len + 1 + id_len));
}

/* Does what is under way stand in a member of meta that goes? */
static int is_dropped(const scan_t *scan)
{
    const p2p_findings_t *findings = scan->findings;

    if (scan->frames[1].member != N_META || !findings->meta_count || findings->meta_count > P2P_META_MEMBERS_MAX) return 0;
    return findings->meta_members[findings->meta_count - 1].drop;
}

static APART void note_reference(scan_t *scan, const frame_t *frame)
{
    p2p_found_t *found;

    if (is_dropped(scan)) return;
    found = add_found(scan);
    found->value = frame->reference;
    found->member = frame->reference_member;
    found->prev_end = frame->reference_prev;
    found->next_begin = frame->reference_next;
    found->has_identifier = frame->has_identifier;
    found->patient = frame->patient;
    found->is_nested = frame->is_nested;
    found->is_odd = !(frame->members & IN_REFERENCE);
}

static APART void note_attachment(scan_t *scan, const frame_t *frame)
{
    p2p_found_t *found;

    if (is_dropped(scan)) return;
    found = add_found(scan);
    found->value = frame->url;
    found->member = frame->url_member;
    found->is_attachment = 1;
    found->is_nested = frame->is_nested;
}

/* What is not set here is looked at only where what says that it is there is set: clearing all of it, so often, would show. */
static void enter_frame(frame_t *frame, apr_size_t begin)
{
    frame->member = frame->has_reference = frame->has_url = frame->has_identifier = frame->is_nested = 0;
    frame->member_patient = frame->patient = frame->name = 0;
    frame->names = 0;
    frame->begin = begin;
    frame->last_end = frame->reference_next = frame->type.end = frame->id.end = 0;
}

static void begin_container(scan_t *scan, unsigned depth, apr_size_t begin, int is_object)
{
    const frame_t *outer = &scan->frames[depth];
    frame_t *frame = &scan->frames[depth + 1];

    enter_frame(frame, begin);
    frame->is_object = (unsigned char)is_object;
    frame->members = IN_REFERENCE | IN_ATTACHMENT;
    if (depth == 0) return;
    frame->name = outer->is_object ? outer->member : outer->name;
    frame->is_nested = outer->is_nested || (frame->is_object && frame->name == N_RESOURCE);
    frame->patient = depth == 1 ? outer->member_patient : outer->is_object ? 0 : outer->patient;
}

static void end_object(scan_t *scan, unsigned depth)
{
    const frame_t *frame = &scan->frames[depth];

    if (depth < 2) return;
    if (frame->has_reference) note_reference(scan, frame);
    if (frame->has_url && (frame->members & IN_ATTACHMENT) && frame->name != N_EXTENSION
        && frame->name != N_MODIFIER_EXTENSION) note_attachment(scan, frame);
    if (frame->name == N_RESOURCE && frame->type.end && frame->id.end) note_nested(scan, frame);
}

/* Readers differ in what they make of these, so none of them is to reach the target. */
static void check_name(scan_t *scan, frame_t *frame, const char *name, apr_size_t len, int plain, name_t code)
{
    if (!plain && memchr(name, '\\', len)) scan->wrong = "a member's name is spelled with escapes";
    if (code == N_OTHER) return;
    if (frame->names & 1u << code) scan->wrong = "a member stands twice in one object";
    frame->names |= 1u << code;
}

static void on_name(scan_t *scan, unsigned depth, apr_size_t begin, apr_size_t end, int plain)
{
    frame_t *frame = &scan->frames[depth];
    const char *name = scan->bytes + begin + 1;
    apr_size_t len = end - begin - 2;
    int underscore = len > 1 && name[0] == '_';
    name_t entry = look_up(name + underscore, len - underscore), code = underscore ? N_OTHER : entry;
    unsigned flags = known[entry].flags;

    check_name(scan, frame, name, len, plain, code);
    if (frame->has_reference && !frame->reference_next) frame->reference_next = begin;
    frame->members &= (unsigned char)flags;
    frame->member = (unsigned char)code;
    frame->member_patient = underscore ? 0 : (unsigned char)(flags >> 4);
    frame->name_begin = begin;
    if (code == N_IDENTIFIER) frame->has_identifier = 1;
    if (depth == 2 && frame->name == N_META && scan->frames[1].member == N_META) {
        p2p_findings_t *findings = scan->findings;

        if (findings->meta_count < P2P_META_MEMBERS_MAX) {
            findings->meta_members[findings->meta_count].span.begin = begin;
            findings->meta_members[findings->meta_count].drop = (flags & IN_META_DROP) != 0;
        }
        findings->meta_count++;
    }
}

static void on_string(scan_t *scan, frame_t *frame, p2p_span_t value)
{
    p2p_span_t member = {frame->name_begin, value.end};

    switch (frame->member) {
    case N_REFERENCE:
        frame->has_reference = 1;
        frame->reference = value;
        frame->reference_member = member;
        frame->reference_prev = frame->last_end;
        break;
    case N_URL:
        frame->has_url = 1;
        frame->url = value;
        frame->url_member = member;
        break;
    case N_FULL_URL: add_local(scan->findings, hash(scan->bytes + value.begin + 1, value.end - value.begin - 2)); break;
    case N_RESOURCE_TYPE: frame->type = value; break;
    case N_ID: frame->id = value; break;
    }
}

/* The end of a member of the resource itself. */
static APART void end_top_member(scan_t *scan, p2p_scan_kind_t kind, p2p_span_t value)
{
    p2p_findings_t *findings = scan->findings;
    const frame_t *inner = &scan->frames[2];
    p2p_array_t *array = NULL;

    switch (scan->frames[1].member) {
    case N_META:
        if (kind != P2P_SCAN_OBJECT_END) scan->wrong = "its meta is no object";
        findings->meta = value;
        break;
    case N_ID: if (kind != P2P_SCAN_STRING) scan->wrong = "its id is no string"; break;
    case N_IDENTIFIER: array = &findings->identifier; break;
    case N_LINK: array = &findings->link; break;
    }
    if (!array) return;
    array->span = value;
    array->is_array = kind == P2P_SCAN_ARRAY_END;
    array->last_end = array->is_array ? inner->last_end : 0;
}

/* A value has ended: a scalar, or a container with its last byte. */
static void end_value(scan_t *scan, p2p_scan_kind_t kind, unsigned depth, apr_size_t begin, apr_size_t end)
{
    frame_t *frame = &scan->frames[depth];
    p2p_findings_t *findings = scan->findings;
    p2p_span_t value = {begin, end};

    if (frame->is_object && kind == P2P_SCAN_STRING) on_string(scan, frame, value);
    if (depth == 1) end_top_member(scan, kind, value);
    if (depth == 2 && frame->is_object && frame->name == N_META && scan->frames[1].member == N_META) {
        if (findings->meta_count <= P2P_META_MEMBERS_MAX && findings->meta_count)
            findings->meta_members[findings->meta_count - 1].span.end = value.end;
        if (frame->member == N_LAST_UPDATED && kind == P2P_SCAN_STRING) findings->updated = value;
    }
    frame->last_end = value.end;
}

/* Begins a resource. Frames are cleared as they are entered. */
static APART void begin_scan(scan_t *scan)
{
    p2p_findings_t *f = scan->findings;

    scan->wrong = NULL;
    memset(scan->frames, 0, 2 * sizeof *scan->frames);
    memset(&f->type, 0, sizeof f->type);
    memset(&f->id, 0, sizeof f->id);
    memset(&f->updated, 0, sizeof f->updated);
    memset(&f->meta, 0, sizeof f->meta);
    memset(&f->identifier, 0, sizeof f->identifier);
    memset(&f->link, 0, sizeof f->link);
    f->meta_count = 0;
    f->found_count = f->local_count = 0;
}

static p2p_error_t *not_fhir(apr_pool_t *p, const char *why)
{
    return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "a resource is not FHIR: %s", why);
}

static p2p_error_t *end_scan(scan_t *scan, apr_pool_t *p)
{
    p2p_findings_t *f = scan->findings;
    const frame_t *top = &scan->frames[1];

    if (scan->wrong) return not_fhir(p, scan->wrong);
    if (f->local_count) qsort(f->local, f->local_count, sizeof *f->local, compare_local);
    f->type = top->type;
    f->id = top->id;
    if (!top->is_object || !f->type.end)
        return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "a resource has no resourceType");
    if (f->meta_count > P2P_META_MEMBERS_MAX)
        return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "a resource's meta has more than %d members",
                              P2P_META_MEMBERS_MAX);
    return NULL;
}

/* ---- Token by token ---- */

struct p2p_map_scanner_t {
    scan_t scan;
    p2p_findings_t findings;
};

static apr_status_t free_scanner(void *data)
{
    p2p_map_scanner_t *scanner = data;

    p2p_findings_free(&scanner->findings);
    return APR_SUCCESS;
}

p2p_map_scanner_t *p2p_map_scanner_make(apr_pool_t *p)
{
    p2p_map_scanner_t *scanner = apr_palloc(p, sizeof *scanner);

    memset(&scanner->findings, 0, sizeof scanner->findings);
    scanner->scan.findings = &scanner->findings;
    begin_scan(&scanner->scan);
    apr_pool_cleanup_register(p, scanner, free_scanner, apr_pool_cleanup_null);
    return scanner;
}

static inline void take_token(scan_t *scan, const p2p_scan_token_t *token, unsigned depth, apr_uint64_t origin)
{
    apr_size_t begin = (apr_size_t)(token->begin - origin), end = (apr_size_t)(token->end - origin);

    switch (token->kind) {
    case P2P_SCAN_NAME:
        on_name(scan, depth, begin, end, token->plain);
        return;
    case P2P_SCAN_OBJECT:
    case P2P_SCAN_ARRAY:
        begin_container(scan, depth, begin, token->kind == P2P_SCAN_OBJECT);
        return;
    case P2P_SCAN_OBJECT_END:
        end_object(scan, depth + 1); /* fall through */
    case P2P_SCAN_ARRAY_END:
        begin = scan->frames[depth + 1].begin;
        break;
    default:
        break;
    }
    end_value(scan, token->kind, depth, begin, end);
}

void p2p_map_scanner_token(void *scanner, const p2p_scan_token_t *token, unsigned depth, apr_uint64_t origin, const char *resource)
{
    scan_t *scan = scanner; /* its first member */

    if (depth == 0 && token->kind == P2P_SCAN_OBJECT) begin_scan(scan);
    if (scan->wrong) return;
    scan->bytes = resource;
    take_token(scan, token, depth, origin);
}

p2p_error_t *p2p_map_scanner_end(p2p_map_scanner_t *scanner, apr_pool_t *p, const p2p_findings_t **findings)
{
    *findings = &scanner->findings;
    return end_scan(&scanner->scan, p);
}

/* ---- All of a resource at once ---- */

static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token)
{
    scan_t *scan = baton;

    p2p_map_scanner_token(scan, token, token->depth, 0, scan->bytes);
    return scan->wrong ? not_fhir(scan->pool, scan->wrong) : NULL;
}

p2p_error_t *p2p_map_scan(p2p_findings_t *findings, const char *bytes, apr_size_t len, apr_pool_t *p)
{
    scan_t scan;

    scan.findings = findings;
    scan.bytes = bytes;
    scan.pool = p;
    begin_scan(&scan);
    P2P_TRY(p2p_scan_all(bytes, len, on_token, &scan, p));
    return end_scan(&scan, p);
}

void p2p_findings_free(p2p_findings_t *findings)
{
    free(findings->found);
    free(findings->local);
    memset(findings, 0, sizeof *findings);
}
