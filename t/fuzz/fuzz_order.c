/* SPDX-License-Identifier: Apache-2.0 */
/* What a portal sends, under any input: an order or a restart that is taken keeps to every rule, one that is not is told why without a word of
 * what it said, and as long as it is short so is the answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/uri.h"
#include "fuzz.h"
#include "model/job_order.h"

#define SECRET "SECRET" /* what the corpus has in tokens, ids and URLs, and no sentence of ours */
#define ERRORS_MAX 120  /* 100 entries of a Bundle, and a few fields */

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static void check_errors(const apr_array_header_t *errors)
{
    require(errors->nelts <= ERRORS_MAX, "errors are not more than fields");
    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *error = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);

        require(!*error->pointer || *error->pointer == '/', "a pointer is one");
        require(strlen(error->pointer) < 200 && strlen(error->detail) < 400, "an error is short");
        require(!strstr(error->pointer, SECRET) && !strstr(error->detail, SECRET), "an error repeats nothing");
    }
}

static void check_id(const char *id)
{
    apr_size_t len = strlen(id);

    require(len <= 64 && strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.") == len, "an id is a FHIR id");
    require(strcmp(id, ".") && strcmp(id, ".."), "an id is no dot segment");
}

static void check_token(const char *token)
{
    require(strlen(token) <= 8192, "a token is not too long");
    for (; *token; token++) require(*token > ' ' && *token < 0x7f, "a token can go into a header");
}

/* Nothing leaves the endpoint, however a server may read it. */
static void check_url(const char *url, const char *endpoint)
{
    apr_size_t len = strlen(endpoint);
    p2p_uri_t base, uri;

    require(!p2p_uri_parse(pool, endpoint, &base) && !p2p_uri_parse(pool, url, &uri), "a URL can be parsed");
    require(p2p_uri_is_under(&base, &uri), "a URL is under the endpoint");
    require(!strncmp(url, endpoint, len) && (!url[len] || strchr("/?", url[len])), "a URL begins with the endpoint");
    require(!uri.has_userinfo && !uri.has_fragment, "a URL has neither user info nor fragment");
    for (; *url; url++) require(*url > ' ' && *url != 0x7f && *url != '\\', "a URL can go into a request line");
}

static void check_order(const p2p_job_order_t *order, const char *endpoint, int told)
{
    require(*order->access_token || *order->refresh_token, "an order has a token");
    check_token(order->access_token);
    check_token(order->refresh_token);
    require(told || *order->source_patient, "an order names the source's patient where the payer does not");
    require(*order->target_patient && *order->organization, "an order says where to");
    check_id(order->source_patient);
    check_id(order->target_patient);
    require(order->urls->nelts >= 1 && order->urls->nelts <= 100, "an order asks for something, and not for too much");
    for (int i = 0; i < order->urls->nelts; i++) check_url(APR_ARRAY_IDX(order->urls, i, const char *), endpoint);
}

/* Reads it for a payer; told: its token answers name the patient. */
static void read_for(json_object *doc, const char *endpoint, int told)
{
    p2p_oidc_server_t server;
    p2p_job_order_t order;
    apr_array_header_t *errors = p2p_field_errors(pool);

    memset(&server, 0, sizeof server);
    server.fhir_endpoint = endpoint;
    server.custom_token_params = told ? "audience=x memberId" : "";
    p2p_job_order_read(pool, doc, &server, &order, errors);
    check_errors(errors);
    if (!errors->nelts) check_order(&order, endpoint, told);
}

static void read_tokens(json_object *doc)
{
    const char *access_token, *refresh_token;
    apr_array_header_t *errors = p2p_field_errors(pool);

    p2p_job_order_tokens(pool, doc, &access_token, &refresh_token, errors);
    check_errors(errors);
    if (errors->nelts) return;
    check_token(access_token);
    check_token(refresh_token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object *doc;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 17) return 0;
    if (!p2p_json_parse(pool, (const char *)data, size, &doc) && json_object_is_type(doc, json_type_object)) {
        read_for(doc, "https://a.example:8444/fhir/r4", 0);
        read_for(doc, "https://a.example", 1);
        read_tokens(doc);
    }
    apr_pool_clear(pool);
    return 0;
}
