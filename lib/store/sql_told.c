/* SPDX-License-Identifier: Apache-2.0 */
/* The table of statements, second part: Tasks, events, mail. */
#include "store/sql_private.h"

#define MAIL_COLUMNS \
    "id, version, template, role, state, subject, status, address, patient, details, recipient_hash, admitted, create_time, due, tried, " \
    "attempts, code, fault, end_time"
#define MAILS "SELECT " MAIL_COLUMNS " FROM p2p_outbox WHERE target = %s AND "
#define IS_DUE "state = 'queued' AND due <= {now}"

#define AT(statement) [(statement) - P2P_SQL_TOLD]

const p2p_sql_statement_t p2p_sql_told[P2P_SQL_SEEN - P2P_SQL_TOLD] = {
    AT(P2P_SQL_EVENT_INSERT) = {"p2p_event_insert",
        "INSERT INTO p2p_task_event (target, subject, status, time) VALUES (%s, %s, %s, {now}) "
        "ON CONFLICT (target, subject, status) DO NOTHING", "sss", 0},

    AT(P2P_SQL_EVENT_TIDY) = {"p2p_event_tidy",
        "DELETE FROM p2p_task_event WHERE (target, subject, status) IN (SELECT e.target, e.subject, e.status FROM p2p_task_event e "
        "WHERE e.time < {now} - %lld ORDER BY e.time LIMIT %lld)", "ii", 0},

    AT(P2P_SQL_OUTBOX_INSERT) = {"p2p_outbox_insert",
        "INSERT INTO p2p_outbox (id, version, target, template, role, state, subject, status, address, patient, details, create_time, due) "
        "VALUES (%lld, 1, %s, %s, %s, 'queued', %s, %s, %s, %s, %s, {now}, {now}) ON CONFLICT (id) DO NOTHING", "issssssss", 0},
    /* Is something due that nobody sees to, and does the queue not rest? */
    AT(P2P_SQL_OUTBOX_WAITS) = {"p2p_outbox_waits",
        "SELECT COUNT(*) FROM (SELECT id FROM p2p_outbox WHERE target = %s AND " IS_DUE " LIMIT 1) o "
        "WHERE NOT EXISTS (SELECT 1 FROM p2p_mail_hold h WHERE h.target = %s AND h.until > {now}) "
        "AND NOT EXISTS (SELECT 1 FROM p2p_job j {chores} WHERE j.target = %s AND j.kind <> 'p2p-exchange' "
        "AND j.status IN ('STARTING', 'STARTED') AND j.kind = 'mail')", "sss", 1},
    AT(P2P_SQL_OUTBOX_DUE) = {"p2p_outbox_due",
        "SELECT id FROM p2p_outbox WHERE target = %s AND " IS_DUE " ORDER BY due, id LIMIT %lld", "si", 1},
    AT(P2P_SQL_OUTBOX_GET) = {"p2p_outbox_get", MAILS "id = %lld", "si", 19},
    AT(P2P_SQL_OUTBOX_LIST) = {"p2p_outbox_list", MAILS "id < %lld ORDER BY id DESC LIMIT %lld", "sii", 19},
    AT(P2P_SQL_OUTBOX_LIST_STATE) = {"p2p_outbox_list_state", MAILS "state = %s AND id < %lld ORDER BY id DESC LIMIT %lld", "ssii", 19},
    AT(P2P_SQL_OUTBOX_COUNTS) = {"p2p_outbox_counts",
        "SELECT state, COUNT(*) FROM p2p_outbox WHERE target = %s GROUP BY state ORDER BY state", "s", 2},
    AT(P2P_SQL_OUTBOX_OLDEST) = {"p2p_outbox_oldest",
        "SELECT COALESCE(MIN(create_time), 0) FROM p2p_outbox WHERE target = %s AND state = 'queued'", "s", 1},
    AT(P2P_SQL_OUTBOX_RECENT) = {"p2p_outbox_recent",
        "SELECT COUNT(*) FROM p2p_outbox WHERE recipient_hash = %s AND recipient_hash <> '' AND admitted > {now} - %lld", "si", 1},
    AT(P2P_SQL_OUTBOX_ADMIT) = {"p2p_outbox_admit",
        "UPDATE p2p_outbox SET address = %s, recipient_hash = %s, admitted = CASE WHEN %lld = 1 THEN {now} ELSE 0 END, "
        "version = version + 1 WHERE id = %lld AND state = 'queued'", "ssii", 0},
    AT(P2P_SQL_OUTBOX_END) = {"p2p_outbox_end",
        "UPDATE p2p_outbox SET state = %s, code = %s, fault = %s, details = CASE WHEN %s = '' THEN details ELSE %s END, "
        "attempts = attempts + %lld, end_time = {now}, version = version + 1 WHERE id = %lld AND state = 'queued'", "sssssii", 0},
    AT(P2P_SQL_OUTBOX_REST) = {"p2p_outbox_rest",
        "UPDATE p2p_outbox SET due = {now} + %lld, code = %s, fault = %s, details = CASE WHEN %s = '' THEN details ELSE %s END, "
        "attempts = attempts + %lld, tried = CASE WHEN tried = 0 AND %lld = 1 THEN {now} ELSE tried END, version = version + 1 WHERE id = %lld AND state = 'queued'",
        "issssiii", 0},
    /* What one of them cannot be made of, none can. */
    AT(P2P_SQL_OUTBOX_REST_TEMPLATE) = {"p2p_outbox_rest_template",
        "UPDATE p2p_outbox SET due = {now} + %lld, code = %s, fault = %s, version = version + 1 "
        "WHERE target = %s AND " IS_DUE " AND template = %s", "issss", 0},
    /* What was refused for the number of mails is let pass: somebody wants it sent. */
    AT(P2P_SQL_OUTBOX_RESEND) = {"p2p_outbox_resend",
        "UPDATE p2p_outbox SET state = 'queued', due = {now}, end_time = 0, attempts = 0, tried = 0, code = '', fault = '', "
        "admitted = CASE WHEN recipient_hash <> '' AND admitted = 0 THEN {now} ELSE admitted END, version = version + 1 "
        "WHERE target = %s AND id = %lld AND state <> 'queued' AND details <> ''", "si", 0},
    AT(P2P_SQL_OUTBOX_ERASE) = {"p2p_outbox_erase",
        "UPDATE p2p_outbox SET address = '', patient = '', details = '', version = version + 1 WHERE id IN (SELECT o.id FROM p2p_outbox o "
        "WHERE o.target = %s AND o.end_time > 0 AND o.details <> '' AND o.end_time < {now} - %lld ORDER BY o.end_time LIMIT %lld)", "sii", 0},
    AT(P2P_SQL_OUTBOX_TIDY) = {"p2p_outbox_tidy",
        "DELETE FROM p2p_outbox WHERE id IN (SELECT o.id FROM p2p_outbox o "
        "WHERE o.target = %s AND o.end_time > 0 AND o.end_time < {now} - %lld ORDER BY o.end_time LIMIT %lld)", "sii", 0},

    AT(P2P_SQL_MAIL_HOLD_GET) = {"p2p_mail_hold_get",
        "SELECT code, fault, since, until, attempts, CASE WHEN until > {now} THEN 1 ELSE 0 END FROM p2p_mail_hold WHERE target = %s", "s", 6},
    AT(P2P_SQL_MAIL_HOLD_SET) = {"p2p_mail_hold_set",
        "INSERT INTO p2p_mail_hold (target, code, fault, since, until, attempts) VALUES (%s, %s, %s, {now}, {now} + %lld, 1) "
        "ON CONFLICT (target) DO UPDATE SET code = excluded.code, fault = excluded.fault, until = excluded.until, "
        "attempts = p2p_mail_hold.attempts + 1", "sssi", 0},
    AT(P2P_SQL_MAIL_HOLD_CLEAR) = {"p2p_mail_hold_clear", "DELETE FROM p2p_mail_hold WHERE target = %s", "s", 0},

    /* What is delivered again while it waits is one hint; a reader forgets only the version that it has seen. */
    AT(P2P_SQL_HINT_ADD) = {"p2p_hint_add",
        "INSERT INTO p2p_task_hint (target, task_id, version, noted) VALUES (%s, %s, 1, {now}) "
        "ON CONFLICT (target, task_id) DO UPDATE SET version = p2p_task_hint.version + 1", "ss", 0},

    AT(P2P_SQL_HINT_COUNT) = {"p2p_hint_count", "SELECT COUNT(*) FROM p2p_task_hint WHERE target = %s", "s", 1},
    AT(P2P_SQL_HINT_LIST) = {"p2p_hint_list",
        "SELECT task_id, version, {now} - noted FROM p2p_task_hint WHERE target = %s ORDER BY noted, task_id LIMIT %lld", "si", 3},
    AT(P2P_SQL_HINT_DONE) = {"p2p_hint_done",
        "DELETE FROM p2p_task_hint WHERE target = %s AND task_id = %s AND version = %lld", "ssi", 0},

    AT(P2P_SQL_WATCH_GET) = {"p2p_watch_get",
        "SELECT began, until, searched, due, attempts, fault, {now} FROM p2p_task_watch WHERE target = %s", "s", 7},
    AT(P2P_SQL_WATCH_BEGIN) = {"p2p_watch_begin",
        "INSERT INTO p2p_task_watch (target, began) VALUES (%s, %lld) ON CONFLICT (target) DO UPDATE SET began = excluded.began "
        "WHERE p2p_task_watch.began = 0", "si", 0},
    /* Whoever comes a little late takes nothing back; a mark further ahead than a search overlaps was of a clock that was wrong. */
    AT(P2P_SQL_WATCH_SEARCHED) = {"p2p_watch_searched",
        "INSERT INTO p2p_task_watch (target, until, searched, due) VALUES (%s, %lld, {now}, {now} + %lld) ON CONFLICT (target) DO UPDATE SET "
        "began = CASE WHEN p2p_task_watch.began > excluded.until THEN excluded.until ELSE p2p_task_watch.began END, "
        "until = CASE WHEN p2p_task_watch.until - excluded.until BETWEEN 0 AND 180000000 THEN p2p_task_watch.until ELSE excluded.until END, "
        "searched = excluded.searched, due = excluded.due, attempts = 0, fault = ''", "sii", 0},
    AT(P2P_SQL_WATCH_FAILED) = {"p2p_watch_failed",
        "INSERT INTO p2p_task_watch (target, fault, due, attempts) VALUES (%s, %s, {now} + %lld, 1) ON CONFLICT (target) DO UPDATE SET "
        "fault = excluded.fault, due = excluded.due, attempts = p2p_task_watch.attempts + 1", "ssi", 0},
    AT(P2P_SQL_WATCH_WELL) = {"p2p_watch_well",
        "UPDATE p2p_task_watch SET fault = '', attempts = 0, due = {now} + %lld WHERE target = %s AND fault <> ''", "is", 0},
    AT(P2P_SQL_WATCH_STATUS) = {"p2p_watch_status",
        "SELECT searched, fault FROM p2p_task_watch WHERE target = %s", "s", 2},

    AT(P2P_SQL_SUBSCRIPTION_GET) = {"p2p_subscription_get",
        "SELECT id, status, fault, secret, secret_before, rotated, checked, written, attempts, due FROM p2p_subscription "
        "WHERE target = %s AND endpoint = %s", "ss", 10},
    AT(P2P_SQL_SUBSCRIPTION_INSERT) = {"p2p_subscription_insert",
        "INSERT INTO p2p_subscription (target, endpoint, secret, rotated) VALUES (%s, %s, %s, {now}) ON CONFLICT (target, endpoint) DO NOTHING",
        "sss", 0},
    AT(P2P_SQL_SUBSCRIPTION_ROTATE) = {"p2p_subscription_rotate",
        "UPDATE p2p_subscription SET secret = %s, secret_before = %s, rotated = {now}, due = 0 WHERE target = %s AND endpoint = %s AND secret = %s",
        "sssss", 0},
    AT(P2P_SQL_SUBSCRIPTION_NOTE) = {"p2p_subscription_note",
        "UPDATE p2p_subscription SET id = %s, status = %s, fault = %s, written = %s, attempts = %lld, checked = {now}, due = {now} + %lld "
        "WHERE target = %s AND endpoint = %s", "ssssiiss", 0},
    AT(P2P_SQL_SUBSCRIPTION_FAULT) = {"p2p_subscription_fault",
        "UPDATE p2p_subscription SET fault = %s, checked = {now}, due = {now} + %lld WHERE target = %s AND endpoint = %s", "siss", 0},
    AT(P2P_SQL_SUBSCRIPTION_LATER) = {"p2p_subscription_later",
        "SELECT COUNT(*) FROM p2p_subscription WHERE target = %s AND endpoint = %s AND due > {now}", "ss", 1},
    AT(P2P_SQL_SUBSCRIPTION_IN) = {"p2p_subscription_in",
        "SELECT COUNT(*) FROM p2p_subscription WHERE target = %s AND endpoint = %s AND status = %s", "sss", 1},
    AT(P2P_SQL_SUBSCRIPTION_STATUS) = {"p2p_subscription_status",
        "SELECT status, fault, checked FROM p2p_subscription WHERE target = %s AND endpoint = %s", "ss", 3},
};
