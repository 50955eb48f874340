/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing among a Patient's telecoms. */
#include "fhir/patient_mail.h"

#include <string.h>
#include <apr_strings.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/mail_address.h"

#define DAY apr_time_from_sec(86400)
#define NO_RANK APR_INT64_MAX

static int is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* A date ends with its last day, whichever that is of a month or a year; what cannot be read has ended. */
static int has_ended(json_object *telecom, apr_time_t now)
{
    const char *end = p2p_json_str(p2p_json_obj(telecom, "period"), "end");
    apr_size_t len = end ? strlen(end) : 0;
    apr_time_t time;

    if (!end) return 0;
    if (!p2p_time_parse(end, len, &time)) return 1;
    if (len == 4) time += 366 * DAY;
    else if (len == 7) time += 31 * DAY;
    else if (len == 10) time += DAY;
    return time <= now;
}

static int is_in_use(json_object *telecom, apr_time_t now)
{
    return is(p2p_json_str(telecom, "system"), "email") && !is(p2p_json_str(telecom, "use"), "old") && p2p_json_str(telecom, "value")
           && !has_ended(telecom, now);
}

static apr_int64_t rank_of(json_object *telecom)
{
    apr_int64_t rank = p2p_json_int(telecom, "rank", 0);

    return rank > 0 ? rank : NO_RANK;
}

static const char *trimmed(apr_pool_t *p, const char *text)
{
    apr_size_t len;

    text += strspn(text, " ");
    for (len = strlen(text); len && text[len - 1] == ' ';) len--;
    return apr_pstrmemdup(p, text, len);
}

p2p_error_t *p2p_patient_mail(apr_pool_t *p, const char *body, apr_size_t len, apr_time_t now, const char **address)
{
    json_object *doc, *telecoms;
    const char *wrong = NULL, *best = NULL;
    apr_int64_t best_rank = 0;

    if (p2p_json_parse(p, body, len, &doc) || !is(p2p_json_str(doc, "resourceType"), "Patient"))
        return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "What the target has as the member's Patient cannot be read.");
    telecoms = p2p_json_arr(doc, "telecom");
    for (apr_size_t i = 0; telecoms && i < json_object_array_length(telecoms); i++) {
        json_object *telecom = json_object_array_get_idx(telecoms, i);
        const char *value, *fault;

        if (!is_in_use(telecom, now)) continue;
        value = trimmed(p, p2p_json_str(telecom, "value"));
        fault = p2p_mail_address_check(value);
        if (fault && !wrong) wrong = fault;
        if (fault || (best && rank_of(telecom) >= best_rank)) continue;
        best = value;
        best_rank = rank_of(telecom);
    }
    *address = best;
    if (best) return NULL;
    if (wrong) return p2p_error_make(p, P2P_E_INVALID, "bad-address", "The e-mail address of the member's Patient cannot be used: it %s.", wrong);
    return p2p_error_make(p, P2P_E_NOT_FOUND, "no-address", "The member's Patient at the target names no e-mail address that is in use.");
}
