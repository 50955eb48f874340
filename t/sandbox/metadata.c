/* SPDX-License-Identifier: Apache-2.0 */
/* What a payer says of itself: CapabilityStatement, SMART and OpenID configuration. */
#include "door.h"
#include "search.h"

static void add_type(p2p_buf_t *buf, const char *type, const char *const *params)
{
    static const char *const interactions[] = {"read", "vread", "update", "delete", "create", "search-type"};

    p2p_buf_cat(buf, ",{\"type\":\"", type, "\",\"interaction\":[", NULL);
    for (int i = 0; i < 6; i++) p2p_buf_cat(buf, i ? "," : "", "{\"code\":\"", interactions[i], "\"}", NULL);
    p2p_buf_puts(buf, "],\"searchParam\":[");
    for (int i = 0; params[i]; i += 2)
        p2p_buf_cat(buf, i ? "," : "", "{\"name\":\"", params[i], "\",\"type\":\"", params[i + 1], "\"}", NULL);
    p2p_buf_puts(buf, "]}");
}

int sandbox_metadata(sandbox_call_t *call)
{
    static const char *const tasks[] = {"_lastUpdated", "date", "code", "token", "identifier", "token", "owner", "reference", "requester", "reference",
                                        "status", "token", NULL};
    static const char *const subscriptions[] = {"criteria", "string", "status", "token", "type", "token", "url", "uri", NULL};
    const sandbox_payer_t *payer = call->payer;
    const char *origin = sandbox_origin(call), *url = payer->implementation_url;
    sandbox_out_t out;

    sandbox_out_init(&out, call, 2048);
    p2p_buf_printf(&out.buf, "{\"resourceType\":\"CapabilityStatement\",\"status\":\"active\",\"date\":\"2026-01-01\","
                   "\"kind\":\"instance\",\"fhirVersion\":\"%s\",\"format\":[\"application/fhir+json\",\"json\"],"
                   "\"implementation\":{\"description\":\"sandbox payer %s\",\"url\":\"%s\"},",
                   payer->fhir_version, payer->name, url ? url : sandbox_base_url(call));
    p2p_buf_puts(&out.buf, "\"rest\":[{\"mode\":\"server\",");
    if (payer->bearer)
        p2p_buf_printf(&out.buf, "\"security\":{\"extension\":[{\"url\":\"http://fhir-registry.smarthealthit.org/"
                       "StructureDefinition/oauth-uris\",\"extension\":[{\"url\":\"token\",\"valueUri\":\"%s%s\"}]}]},",
                       origin, payer->token_path);
    p2p_buf_puts(&out.buf, "\"interaction\":[{\"code\":\"transaction\"},{\"code\":\"batch\"}],\"resource\":[{\"type\":\"Patient\","
                 "\"operation\":[{\"name\":\"everything\",\"definition\":"
                 "\"http://hl7.org/fhir/OperationDefinition/Patient-everything\"}]}");
    if (!payer->refuse_tasks) add_type(&out.buf, "Task", tasks);
    if (!payer->refuse_subscriptions) add_type(&out.buf, "Subscription", subscriptions);
    p2p_buf_puts(&out.buf, "]}]}");
    return sandbox_out_send(&out, HTTP_OK, SANDBOX_FHIR_JSON);
}

int sandbox_well_known(sandbox_call_t *call, int smart)
{
    const sandbox_payer_t *payer = call->payer;
    const char *origin = sandbox_origin(call);
    sandbox_out_t out;

    sandbox_out_init(&out, call, 2048);
    p2p_buf_printf(&out.buf, "{\"issuer\":\"%s\",\"token_endpoint\":\"%s%s\",\"authorization_endpoint\":\"%s%s\",\"jwks_uri\":\"%s%s\",",
                   sandbox_issuer(call), origin, payer->token_path, origin, sandbox_beside_token(call, "authorize"), origin,
                   sandbox_beside_token(call, "jwks"));
    p2p_buf_puts(&out.buf, "\"grant_types_supported\":[\"authorization_code\",\"refresh_token\",\"client_credentials\"],"
                 "\"response_types_supported\":[\"code\"],\"response_modes_supported\":[\"query\"],"
                 "\"code_challenge_methods_supported\":[\"S256\"],\"authorization_response_iss_parameter_supported\":true,"
                 "\"scopes_supported\":[\"openid\",\"offline_access\",\"patient/*.read\"],\"subject_types_supported\":[\"public\"],"
                 "\"id_token_signing_alg_values_supported\":[\"ES256\"],"
                 "\"token_endpoint_auth_methods_supported\":[\"client_secret_basic\",\"client_secret_post\",\"none\"]");
    if (smart)
        p2p_buf_puts(&out.buf, ",\"capabilities\":[\"launch-standalone\",\"client-public\",\"client-confidential-symmetric\","
                     "\"context-standalone-patient\",\"permission-patient\",\"permission-offline\"]");
    p2p_buf_puts(&out.buf, "}");
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}
