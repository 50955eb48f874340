/* SPDX-License-Identifier: Apache-2.0 */
/* Writing Task and Organization. */
#include "fhir/task.h"

#include <string.h>

#include <apr_strings.h>

#include "base/clock.h"
#include "base/uri.h"
#include "fhir/add_payer.h"
#include "fhir/resource_id.h"

#define HREX_TASK "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-task-data-request"
#define HREX_CODES "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp"

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

    add_concept(output, "type", P2P_CODE_SYSTEM, name);
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
    add_coding(codings, P2P_CODE_SYSTEM, "p2p-exchange");
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
    if (task->based_on) p2p_json_add_str(add_element(add_array(doc, "basedOn")), "reference", apr_pstrcat(p, "Task/", task->based_on, NULL));
    p2p_json_add_str(doc, "status", task->status);
    if (task->reason) p2p_json_add_str(add_object(doc, "statusReason"), "text", task->reason);
    if (task->progress) p2p_json_add_str(add_object(doc, "businessStatus"), "text", task->progress);
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

const char *p2p_task_progress(apr_pool_t *p, const p2p_job_counts_t *counts)
{
#define N "%" APR_INT64_T_FMT
    return apr_psprintf(p, N " parts; " N " resources retrieved, " N " written, " N " duplicate, " N " skipped, " N " rejected, " N " waiting",
                        counts->parts, counts->retrieved, counts->written, counts->duplicate, counts->skipped, counts->rejected,
                        counts->waiting);
#undef N
}

/* ---- Reading one ---- */

/* The id in Type/id, also behind a base URL and before a version. */
static const char *id_in(apr_pool_t *p, json_object *reference, const char *type)
{
    const char *text = reference ? p2p_json_str(reference, "reference") : NULL, *at = NULL, *found;
    apr_size_t len;

    for (found = text ? strstr(text, type) : NULL; found; found = strstr(found + 1, type))
        if (found == text || found[-1] == '/') at = found + strlen(type);
    if (!at) return "";
    len = strcspn(at, "/");
    return p2p_is_fhir_id(at, len) ? apr_pstrmemdup(p, at, len) : "";
}

/* The Task itself, or the first one among entries. */
static json_object *find_task(json_object *doc)
{
    const char *type = p2p_json_str(doc, "resourceType");
    json_object *entries = p2p_json_arr(doc, "entry"), *found;

    if (type && !strcmp(type, "Task")) return doc;
    for (apr_size_t i = 0; entries && i < json_object_array_length(entries); i++) {
        found = p2p_json_obj(json_object_array_get_idx(entries, i), "resource");
        type = found ? p2p_json_str(found, "resourceType") : NULL;
        if (type && !strcmp(type, "Task")) return found;
    }
    return NULL;
}

const p2p_task_told_t *p2p_task_read(apr_pool_t *p, const char *body, apr_size_t len)
{
    p2p_task_told_t *told = apr_pcalloc(p, sizeof *told);
    json_object *doc, *task, *based_on;
    const char *id;

    if (p2p_json_parse(p, body, len, &doc) || !json_object_is_type(doc, json_type_object)) return NULL;
    task = find_task(doc);
    id = task ? p2p_json_str(task, "id") : NULL;
    if (!id || !p2p_is_fhir_id(id, strlen(id))) return NULL;
    based_on = p2p_json_arr(task, "basedOn");
    told->id = apr_pstrdup(p, id);
    told->owner = id_in(p, p2p_json_obj(task, "owner"), "Organization/");
    told->requester = id_in(p, p2p_json_obj(task, "requester"), "Organization/");
    told->based_on = id_in(p, based_on ? json_object_array_get_idx(based_on, 0) : NULL, "Task/");
    return told;
}

const char *p2p_payer_id(apr_pool_t *p, const p2p_oidc_server_t *server)
{
    return p2p_id_derive(p, p2p_id_deriver_make(p, server->id_namespace), "payer", "Organization");
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
