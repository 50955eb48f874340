/* SPDX-License-Identifier: Apache-2.0 */
/* An event: a Task has reached a status. And the rule who is told of it. */
#ifndef P2P_MODEL_TASK_EVENT_H
#define P2P_MODEL_TASK_EVENT_H

#include "model/spec.h"

typedef enum { P2P_EVENT_ADD_PAYER, P2P_EVENT_EXCHANGE } p2p_event_kind_t;

/* Text fields are never NULL; "" where a thing is not known. What comes from a Task is data of strangers. */
typedef struct p2p_task_event_t {
    p2p_event_kind_t kind;
    const char *subject;      /* "Task/ID" of an Add Payer Task, "job/UUID/ATTEMPT" of an exchange */
    const char *status;       /* of the Task, as FHIR spells it */
    const char *task_id;      /* at the target */
    const char *patient;      /* id of the member's Patient at the target; "": nothing goes to the member */
    const char *email;        /* requester-email of the Add Payer Task, that of an exchange's basedOn as well */
    /* What mails are filled with; to members goes payer alone, and that only of an exchange. */
    const char *payer;        /* new-payer-name, or the definition's name */
    const char *member_name, *member_phone; /* as the Add Payer Task tells them */
    const char *reason;       /* of a failed exchange: its error's sentence */
    apr_int64_t job;          /* batchJobId of an exchange, else 0 */
    apr_int64_t server;       /* pid of an exchange's definition, else 0 */
} p2p_task_event_t;

#define P2P_TO_MEMBER "member"
#define P2P_TO_ADMINISTRATOR "administrator"

/* One mail to one recipient. */
typedef struct p2p_mail_order_t {
    const char *template; /* "add-payer-administrator", … : the name of its files */
    const char *role;     /* whom it is to: one of the above */
    const char *address;  /* "" of a member: the Patient's, looked up when it is sent */
} p2p_mail_order_t;

/* Who gets what (decisions, "Email"): array of p2p_mail_order_t in p, empty where nobody does or nothing is mailed (no P2PMailServer). */
apr_array_header_t *p2p_task_event_mails(apr_pool_t *p, const p2p_spec_t *spec, const p2p_task_event_t *event);

#define P2P_MAIL_VALUE 200 /* characters of a value, at most */

/* What templates may say, as JSON text in p. All are texts, "" where a thing is not known. Members: status, job, and of an exchange payer;
 * administrators: payer, member-name, member-phone, status, task-id, job, reason. */
const char *p2p_task_event_values(apr_pool_t *p, const p2p_task_event_t *event, const char *role, apr_size_t *len);

#endif
