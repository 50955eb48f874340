/* SPDX-License-Identifier: Apache-2.0 */
/* Writing Task and Organization. */
#include "fhir/task.h"

#include <apr_strings.h>

#include "base/clock.h"

#define HREX_TASK "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-task-data-request"
#define HREX_CODES "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp"
#define P2P_CODES "http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes"

static json_object *add_object(json_object *obj, const char *name)
{
    json_object *inner = json_object_new_object();

    json_object_object_add(obj, name, inner);
    return inner;
}

static json_object *add_array(json_object *obj, const char *name)
{
    json_object *inner = json_object_new_array();

    json_object_object_add(obj, name, inner);
    return inner;
}

/* An object that is the next element of an array. */
static json_object *add_element(json_object *array)
{
    json_object *element = json_object_new_object();

    json_object_array_add(array, element);
    return element;
}

static void add_coding(json_object *codings, const char *system, const char *code)
{
    json_object *coding = add_element(codings);

    p2p_json_add_str(coding, "system", system);
    p2p_json_add_str(coding, "code", code);
}

static void add_concept(json_object *obj, const char *name, const char *system, const char *code)
{
    add_coding(add_array(add_object(obj, name), "coding"), system, code);
}

static void add_reference(apr_pool_t *p, json_object *obj, const char *name, const char *type, const char *id)
{
    p2p_json_add_str(add_object(obj, name), "reference", apr_pstrcat(p, type, "/", id, NULL));
}

static void add_requester(apr_pool_t *p, json_object *doc, const p2p_task_t *task)
{
    json_object *requester;

    if (task->requester_is_resource) {
        add_reference(p, doc, "requester", "Organization", task->requester);
        return;
    }
    requester = add_object(doc, "requester");
    p2p_json_add_str(requester, "type", "Organization");
    p2p_json_add_str(add_object(requester, "identifier"), "value", task->requester);
}

static void add_output(json_object *outputs, const char *name, apr_int64_t value)
{
    json_object *output = add_element(outputs);

    add_concept(output, "type", P2P_CODES, name);
    p2p_json_add_int(output, "valueInteger", value);
}

static void add_outputs(json_object *doc, const p2p_job_counts_t *counts)
{
    json_object *outputs = add_array(doc, "output");

    add_output(outputs, "parts", counts->parts);
    add_output(outputs, "resources-retrieved", counts->retrieved);
    add_output(outputs, "resources-written", counts->written);
    add_output(outputs, "resources-duplicate", counts->duplicate);
    add_output(outputs, "resources-skipped", counts->skipped);
    add_output(outputs, "resources-rejected", counts->rejected);
}

static void add_code(json_object *doc)
{
    json_object *codings = add_array(add_object(doc, "code"), "coding");

    add_coding(codings, HREX_CODES, "data-request");
    add_coding(codings, P2P_CODES, "p2p-exchange");
}

static void add_input(json_object *doc)
{
    json_object *input = add_element(add_array(doc, "input"));

    add_concept(input, "type", HREX_CODES, "data-code");
    p2p_json_add_str(add_object(input, "valueCodeableConcept"), "text", "The member's record at the source payer");
}

const char *p2p_task_print(apr_pool_t *p, const p2p_task_t *task, apr_size_t *len)
{
    json_object *doc = p2p_json_own(p, json_object_new_object()), *identifier;

    p2p_json_add_str(doc, "resourceType", "Task");
    if (task->id) p2p_json_add_str(doc, "id", task->id);
    json_object_array_add(add_array(add_object(doc, "meta"), "profile"), json_object_new_string(HREX_TASK));
    identifier = add_element(add_array(doc, "identifier"));
    p2p_json_add_str(identifier, "system", P2P_URI_SYSTEM);
    p2p_json_add_str(identifier, "value", apr_pstrcat(p, "urn:uuid:", task->job_uuid, NULL));
    p2p_json_add_str(doc, "status", task->status);
    if (task->reason) p2p_json_add_str(add_object(doc, "statusReason"), "text", task->reason);
    p2p_json_add_str(doc, "intent", "order");
    add_code(doc);
    add_reference(p, doc, "for", "Patient", task->patient);
    p2p_json_add_str(doc, "authoredOn", p2p_time_iso(p, task->authored));
    p2p_json_add_str(doc, "lastModified", p2p_time_iso(p, task->modified));
    add_requester(p, doc, task);
    add_reference(p, doc, "owner", "Organization", task->owner);
    add_input(doc);
    if (task->counts) add_outputs(doc, task->counts);
    return p2p_json_print(p, doc, len);
}

const char *p2p_payer_print(apr_pool_t *p, const char *id, const p2p_oidc_server_t *server, apr_size_t *len)
{
    json_object *doc = p2p_json_own(p, json_object_new_object()), *identifiers, *identifier;

    p2p_json_add_str(doc, "resourceType", "Organization");
    if (id) p2p_json_add_str(doc, "id", id);
    identifiers = add_array(doc, "identifier");
    identifier = add_element(identifiers);
    p2p_json_add_str(identifier, "system", P2P_URI_SYSTEM);
    p2p_json_add_str(identifier, "value", server->id_namespace);
    if (*server->organization_id) p2p_json_add_str(add_element(identifiers), "value", server->organization_id);
    p2p_json_add_bool(doc, "active", 1);
    add_coding(add_array(add_element(add_array(doc, "type")), "coding"),
               "http://terminology.hl7.org/CodeSystem/organization-type", "pay");
    p2p_json_add_str(doc, "name", server->name);
    return p2p_json_print(p, doc, len);
}
