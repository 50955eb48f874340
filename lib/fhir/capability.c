/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a CapabilityStatement with the scanner: it may have megabytes, of which few strings matter. */
#include "fhir/capability.h"

#include <string.h>

#include "base/scan.h"

#define STRING_MAX 4096 /* longer ones are none of those that matter */

typedef enum { OTHER, IMPLEMENTATION, SOFTWARE, FORMAT } member_t;

typedef struct reader_t {
    apr_pool_t *pool;
    const char *bytes;
    p2p_capability_t *capability;
    member_t member; /* of the document itself */
    const char **wanted; /* where the value of the member under way goes, or NULL */
} reader_t;

static const char **place(const reader_t *reader, const p2p_scan_token_t *token)
{
    const char *name = reader->bytes + token->begin;
    apr_size_t len = (apr_size_t)(token->end - token->begin);

    if (token->depth == 1 && p2p_scan_is(name, len, "resourceType")) return &reader->capability->resource_type;
    if (token->depth == 1 && p2p_scan_is(name, len, "fhirVersion")) return &reader->capability->fhir_version;
    if (reader->member == IMPLEMENTATION && p2p_scan_is(name, len, "url")) return &reader->capability->implementation_url;
    if (reader->member == SOFTWARE && p2p_scan_is(name, len, "name")) return &reader->capability->software_name;
    return NULL;
}

static member_t member_of(const char *name, apr_size_t len)
{
    if (p2p_scan_is(name, len, "implementation")) return IMPLEMENTATION;
    if (p2p_scan_is(name, len, "software")) return SOFTWARE;
    return p2p_scan_is(name, len, "format") ? FORMAT : OTHER;
}

static void count_format(p2p_capability_t *capability, const char *text, apr_size_t len)
{
    capability->formats++;
    capability->json_formats += p2p_scan_is(text, len, "json") || p2p_scan_is(text, len, "application/fhir+json")
                                || p2p_scan_is(text, len, "application/json");
}

static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token)
{
    reader_t *reader = baton;
    const char *text = reader->bytes + token->begin;
    apr_size_t len = (apr_size_t)(token->end - token->begin);

    if (token->depth < 1 || token->depth > 2 || (token->depth == 2 && reader->member == OTHER)) return NULL;
    if (token->kind == P2P_SCAN_NAME) {
        if (token->depth == 1) reader->member = member_of(text, len);
        reader->wanted = place(reader, token);
    } else if (token->kind == P2P_SCAN_STRING) {
        if (token->depth == 2 && reader->member == FORMAT) count_format(reader->capability, text, len);
        else if (reader->wanted && len < STRING_MAX) *reader->wanted = p2p_scan_unescape(reader->pool, text, len, NULL);
    }
    return NULL;
}

p2p_error_t *p2p_capability_read(apr_pool_t *p, const char *bytes, apr_size_t len, p2p_capability_t *capability)
{
    reader_t reader = {p, bytes, capability, OTHER, NULL};

    memset(capability, 0, sizeof *capability);
    return p2p_scan_all(bytes, len, on_token, &reader, p);
}
