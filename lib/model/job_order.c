/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an order: every fault is told at once, with its place and never with its value. */
#include "model/job_order.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/uri.h"

#define SOURCE "/sourcePayer"
#define TARGET "/targetPayer"
#define BUNDLE "fhirBundleRequest"
#define PATIENT "{patientId}"
#define ENTRIES_MAX 100
#define URL_MAX 4096
#define TOKEN_MAX 8192

typedef struct reader_t {
    apr_pool_t *p;
    const p2p_oidc_server_t *server;
    p2p_job_order_t *order;
    apr_array_header_t *errors;
    p2p_uri_t endpoint;
} reader_t;

/* A place in the body for the faults of one URL: a pointer, and the words that find it inside a string. */
typedef struct place_t {
    const char *prefix, *name, *inside;
} place_t;

static void fault(reader_t *reader, const place_t *place, const char *detail)
{
    p2p_field_error(reader->errors, place->prefix, place->name, "%s%s", place->inside, detail);
}

/* The object of one payer; NULL with an error where there is none. */
static json_object *payer(reader_t *reader, json_object *doc, const char *name)
{
    json_object *value;

    if (!json_object_object_get_ex(doc, name, &value) || !value) {
        p2p_field_error(reader->errors, "", name, "is required");
        return NULL;
    }
    if (json_object_is_type(value, json_type_object)) return value;
    p2p_field_error(reader->errors, "", name, "must be an object");
    return NULL;
}

static const char *token(reader_t *reader, json_object *doc, const char *name)
{
    const char *text = apr_pstrdup(reader->p, p2p_field_text(reader->errors, doc, SOURCE, name, TOKEN_MAX,
                                                             0));

    for (const char *s = text; *s; s++) {
        if (*s > ' ' && *s < 0x7f) continue;
        p2p_field_error(reader->errors, SOURCE, name, "must be printable ASCII without spaces");
        return "";
    }
    return text;
}

/* *given is 0 where the member is missing or ""; what is there but wrong has had its error. */
static const char *patient(reader_t *reader, json_object *doc, const char *prefix, int *given)
{
    const char *text = apr_pstrdup(reader->p, p2p_field_text(reader->errors, doc, prefix, "patientId", 1024,
                                                             0));
    json_object *value = NULL;

    json_object_object_get_ex(doc, "patientId", &value);
    *given = *text || (value && !(json_object_is_type(value, json_type_string) && !json_object_get_string_len(value)));
    if (!*text || p2p_is_fhir_id(text, strlen(text))) return text;
    p2p_field_error(reader->errors, prefix, "patientId",
                    "must be a FHIR id: 1 to 64 letters, digits, hyphens and dots (without Patient/)");
    return "";
}

/* Does the definition name the member of the token answer that holds the member's id? */
static int answer_names_patient(apr_pool_t *p, const p2p_oidc_server_t *server)
{
    const char *rest = server->custom_token_params, *value, *name = p2p_token_param_next(p, &rest, &value);

    while (name && value) name = p2p_token_param_next(p, &rest, &value);
    return name != NULL;
}

static void read_access(reader_t *reader, json_object *source)
{
    int faults = reader->errors->nelts, given;
    p2p_job_order_t *order = reader->order;

    order->access_token = token(reader, source, "oidcToken");
    order->refresh_token = token(reader, source, "oidcRefreshToken");
    if (!*order->access_token && !*order->refresh_token && faults == reader->errors->nelts) {
        p2p_field_error(reader->errors, SOURCE, "oidcToken",
                        "is required where there is no oidcRefreshToken");
    }
    order->source_patient = patient(reader, source, SOURCE, &given);
    if (given || (*order->refresh_token && answer_names_patient(reader->p, reader->server))) return;
    p2p_field_error(reader->errors, SOURCE, "patientId",
                    "is required, since this payer's token answers do not tell it");
}

const char *p2p_job_order_url(apr_pool_t *p, const char *url, const char *source_patient)
{
    const char *result = "", *id = p2p_uri_encode(p, source_patient), *found;

    if (!*id) return url;
    for (; (found = strstr(url, PATIENT)); url = found + strlen(PATIENT)) {
        result = apr_pstrcat(p, result, apr_pstrmemdup(p, url, found - url), id, NULL);
    }
    return apr_pstrcat(p, result, url, NULL);
}

static int has_scheme(const char *url)
{
    const char *s = url;

    while (apr_isalnum(*s) || (*s && strchr("+-.", *s))) s++;
    return s > url && *s == ':';
}

/* Adds the absolute form of url, or says what is wrong with it. */
static void add_url(reader_t *reader, const place_t *place, const char *url)
{
    p2p_uri_t uri;
    p2p_error_t *error;

    if (strlen(url) > URL_MAX) {
        fault(reader, place, "must not be longer than 4096 bytes");
        return;
    }
    url = p2p_job_order_url(reader->p, url, reader->order->source_patient);
    if (!has_scheme(url)) {
        if (!strncmp(url, "//", 2)) {
            fault(reader, place, "must be a URL under the FHIR endpoint");
            return;
        }
        url = apr_pstrcat(reader->p, p2p_uri_trim(reader->p, reader->server->fhir_endpoint),
                          *url == '/' ? "" : "/",
                          url, NULL);
    }
    error = p2p_uri_parse(reader->p, url, &uri);
    if (error) fault(reader, place, error->sentence);
    else if (uri.has_userinfo || uri.has_fragment) fault(reader, place,
                                                         "must be a URL without user info and fragment");
    else if (!p2p_uri_is_under(&reader->endpoint, &uri)) fault(reader, place,
                                                               "must be a URL under the FHIR endpoint");
    else *(const char **)apr_array_push(reader->order->urls) = p2p_uri_text(reader->p, &uri);
}

static void read_entry(reader_t *reader, const place_t *place, json_object *entry)
{
    json_object *request = p2p_json_obj(entry, "request");
    const char *method = p2p_json_str(request, "method"), *url = p2p_json_str(request, "url");

    if (!request) fault(reader, place, "must have a request");
    else if (!method || strcmp(method, "GET")) fault(reader, place, "must have the request.method GET");
    else if (!url || !*url) fault(reader, place, "must have a request.url");
    else add_url(reader, place, url);
}

/* An inline Bundle's entries have pointers of their own; in a string they are told in words. */
static void read_bundle(reader_t *reader, json_object *bundle, int is_inline)
{
    place_t whole = {SOURCE, BUNDLE, ""};
    const char *resource_type = p2p_json_str(bundle, "resourceType"), *type = p2p_json_str(bundle, "type");
    json_object *entries = p2p_json_arr(bundle, "entry");
    apr_size_t count = entries ? json_object_array_length(entries) : 0;

    if (!resource_type || strcmp(resource_type, "Bundle") || !type || strcmp(type, "batch")) {
        fault(reader, &whole, "must be a Bundle of type batch");
    } else if (count < 1 || count > ENTRIES_MAX) {
        fault(reader, &whole, "must have 1 to 100 entries");
    } else {
        for (apr_size_t i = 0; i < count; i++) {
            const char *pointer = apr_psprintf(reader->p, "/entry/%" APR_SIZE_T_FMT, i);
            place_t place = {is_inline ? apr_pstrcat(reader->p, SOURCE "/" BUNDLE, pointer, NULL) : SOURCE,
                             is_inline ? "" : BUNDLE,
                             is_inline ? "" : apr_pstrcat(reader->p, pointer, " ", NULL)};

            read_entry(reader, &place, json_object_array_get_idx(entries, i));
        }
    }
}

static void read_request_text(reader_t *reader, const char *text)
{
    place_t place = {SOURCE, BUNDLE, ""};
    json_object *bundle;
    p2p_error_t *error;

    text += strspn(text, " \t\r\n");
    if (!*text) {
        add_url(reader, &place, "Patient/" PATIENT "/$everything");
    } else if (*text == '{') {
        error = p2p_json_parse(reader->p, text, strlen(text), &bundle);
        if (error) fault(reader, &place, error->sentence);
        else read_bundle(reader, bundle, 0);
    } else {
        add_url(reader, &place, text);
    }
}

static void read_requests(reader_t *reader, json_object *source)
{
    json_object *value = NULL;
    place_t place = {SOURCE, BUNDLE, ""};
    const char *text;

    json_object_object_get_ex(source, BUNDLE, &value);
    if (!value) {
        read_request_text(reader, "");
    } else if (json_object_is_type(value, json_type_object)) {
        read_bundle(reader, value, 1);
    } else if ((text = p2p_json_str(source, BUNDLE))) {
        read_request_text(reader, text);
    } else {
        fault(reader, &place, "must be a Bundle, inline or as a string, or one relative URL");
    }
}

static void read_target(reader_t *reader, json_object *target)
{
    p2p_job_order_t *order = reader->order;
    int faults, given;

    order->target_patient = patient(reader, target, TARGET, &given);
    if (!given) p2p_field_error(reader->errors, TARGET, "patientId", "is required");
    faults = reader->errors->nelts;
    order->organization = apr_pstrdup(
        reader->p, p2p_field_text(reader->errors, target, TARGET, "organizationId", 200, 0));
    if (!*order->organization && faults == reader->errors->nelts) {
        p2p_field_error(reader->errors, TARGET, "organizationId", "is required");
    }
}

void p2p_job_order_read(apr_pool_t *p, json_object *doc, const p2p_oidc_server_t *server,
                        p2p_job_order_t *order,
                        apr_array_header_t *errors)
{
    reader_t reader = {.p = p, .server = server, .order = order, .errors = errors};
    json_object *source, *target;

    order->access_token = order->refresh_token = order->source_patient = "";
    order->target_patient = order->organization = "";
    order->urls = apr_array_make(p, 4, sizeof(const char *));
    if (!json_object_is_type(doc, json_type_object)) {
        p2p_field_error(errors, "", "", "must be a JSON object");
        return;
    }
    if (p2p_uri_parse(p, server->fhir_endpoint, &reader.endpoint)) {
        p2p_field_error(errors, "", "", "cannot be taken: the definition has no usable FHIR endpoint");
        return;
    }
    source = payer(&reader, doc, "sourcePayer");
    target = payer(&reader, doc, "targetPayer");
    if (source) {
        read_access(&reader, source);
        read_requests(&reader, source);
    }
    if (target) read_target(&reader, target);
}

void p2p_job_order_tokens(apr_pool_t *p, json_object *doc, const char **access_token, const char **refresh_token,
                          apr_array_header_t *errors)
{
    reader_t reader = {.p = p, .errors = errors};
    json_object *source = NULL;

    *access_token = *refresh_token = "";
    if (!json_object_object_get_ex(doc, "sourcePayer", &source)) return;
    source = payer(&reader, doc, "sourcePayer");
    if (!source) return;
    *access_token = token(&reader, source, "oidcToken");
    *refresh_token = token(&reader, source, "oidcRefreshToken");
}
