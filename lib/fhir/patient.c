/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a Patient's identifiers. */
#include "fhir/patient.h"

#include <string.h>

#include "base/json.h"

static int is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static int is_coding(json_object *coding, const char *type)
{
    const char *bar = strrchr(type, '|'), *system = p2p_json_str(coding, "system");

    if (!is(p2p_json_str(coding, "code"), bar ? bar + 1 : type)) return 0;
    return !bar || (system && strlen(system) == (size_t)(bar - type) && memcmp(system, type, (size_t)(bar - type)) == 0);
}

static int is_of_type(json_object *identifier, const char *type)
{
    json_object *codings = p2p_json_arr(p2p_json_obj(identifier, "type"), "coding");
    apr_size_t i;

    for (i = 0; codings && i < json_object_array_length(codings); i++) {
        if (is_coding(json_object_array_get_idx(codings, i), type)) return 1;
    }
    return 0;
}

static int fits(json_object *identifier, const char *system, const char *type)
{
    const char *value = p2p_json_str(identifier, "value");

    return is(p2p_json_str(identifier, "system"), system) && value && *value && !is(p2p_json_str(identifier, "use"), "old")
           && (!type || is_of_type(identifier, type));
}

p2p_error_t *p2p_patient_identifier(apr_pool_t *p, const char *body, apr_size_t len, const char *system, const char *type,
                                    const char **identifier)
{
    json_object *doc, *identifiers;
    apr_size_t i;

    if (p2p_json_parse(p, body, len, &doc) || !is(p2p_json_str(doc, "resourceType"), "Patient"))
        return p2p_error_make(p, P2P_E_INVALID, "not-fhir",
                              "what the target has as the member's Patient cannot be read, so that P2PMdmIdentifier finds nothing; nothing was retrieved");
    identifiers = p2p_json_arr(doc, "identifier");
    for (i = 0; identifiers && i < json_object_array_length(identifiers); i++) {
        json_object *candidate = json_object_array_get_idx(identifiers, i);

        if (!fits(candidate, system, type)) continue;
        *identifier = p2p_json_print(p, candidate, NULL);
        return NULL;
    }
    return p2p_error_make(p, P2P_E_NOT_FOUND, "no-mdm-identifier",
                          "the member's Patient at the target has no identifier such as P2PMdmIdentifier names, so that MDM could not link the "
                          "source's Patient to it; nothing was retrieved");
}
