/* SPDX-License-Identifier: Apache-2.0 */
/* The table of statements. A place that knows a table's columns is here, in migrate.c, or in that table's
 * store. */
#include "store/sql_private.h"

#define SERVER_COLUMNS                                                                             \
    "pid, version, name, issuer, id_namespace, client_id, client_secret, key_text, key_file, "     \
    "auth_well_known, scopes, fhir_endpoint, token_endpoint, custom_token_params, response_type, " \
    "organization_id, notes, archived, last_updated"

#define JOB_COLUMNS                                                                                   \
    "id, version, uuid, kind, target, oidc_server_id, grant_id, status, create_time, start_time, "    \
    "end_time, last_updated, attempt, task_id, error_code, error_sentence, error_detail, client, "    \
    "parts, retrieved, written, duplicate, skipped, rejected, waiting, bytes, lease_epoch, task_fault, " \
    "wait_code, wait_until, token_time, CASE WHEN lease_owner = '' THEN 0 ELSE 1 END"
#define JOB_WIDTH 32

#define PART_COLUMNS                                                                              \
    "request, number, url, next_url, landed, received, mapped, landed_at, retrieved, written, "   \
    "duplicate, skipped, rejected, bytes, sha256"

/* A list's statement for each way in which an index serves it. All take the same arguments, each filter's twice: what need not be told is 0 or
 * empty. */
#define THE_NUMBER(column) "(" column " = %lld AND " column " = %lld)"
#define ANY_NUMBER(column) "(%lld = 0 OR " column " = %lld)"
#define THE_TEXT(column) "(" column " = %s AND " column " = %s)"
#define SOME_TEXT(column) "(" column " <> '' AND " column " = %s AND " column " = %s)"
#define ANY_TEXT(column) "(%s = '' OR " column " = %s)"
#define JOBS_LISTED(server, client, status, patient, kind)                                            \
    "SELECT " JOB_COLUMNS " FROM p2p_job WHERE " server("oidc_server_id") " AND " client("client")    \
    " AND " status("status") " AND " patient("patient_hash") " AND " kind("kind")                     \
    " AND id < %lld ORDER BY id DESC LIMIT %lld", "iissssssssii", JOB_WIDTH

/* Exchanges from a definition and a status on, in the order of p2p_job_server_status. */
#define JOBS_FROM(from)                                                                                                   \
    "SELECT oidc_server_id AS pid, status FROM p2p_job WHERE (oidc_server_id, status) >= (%lld, '" from "') "             \
    "AND kind = 'p2p-exchange' ORDER BY oidc_server_id, status, id LIMIT %lld"

#define AUDIT_COLUMNS "id, time, client, role, address, action, object, status, code"

#define AUDITED(filter) "SELECT " AUDIT_COLUMNS " FROM p2p_audit WHERE " filter "id < %lld ORDER BY id DESC LIMIT %lld"

/* The states of a job that has not ended; p2p_job_active, the unique index, says the same. */
#define ACTIVE "status IN ('STARTING', 'STARTED', 'STOPPING')"

/* A job is nobody's when its owner has no row of its own among the runners, or one whose lease ran out. */
#define NOBODYS "NOT EXISTS (SELECT 1 FROM p2p_runner r WHERE r.owner = j.lease_owner AND r.lease_until > {now})"

/* Somebody works on it, or has died while he did; p2p_job_running, the index, says the same. */
#define OWNED "lease_owner <> ''"

/* What is true of so many that no index is to be chosen for it, whatever the statistics say. */
#define HAS_BEGUN "j.status || '' = 'STARTED'"

/* Its time has come. The database's clock moves while a statement runs: only a subquery's is looked for in an index. */
#define DUE "j.not_before <= (SELECT {now})"

/* A job j that is stopped by a statement: it has no Task at the target, and no runner that may have made one without being able to note it. One that
 * rests was given back by a runner that knew. */
#define STOPS_AT_ONCE "j.task_id = '' AND (j.status = 'STARTING' OR (j.lease_owner = '' AND j.not_before > 0))"

/* Exchanges; all else is a chore, of kinds of which this program knows some. Others are left to programs that know them. p2p_job_chore, the
 * index, says the same of those under way. */
#define KNOWN "j.kind = 'p2p-exchange'"
#define CHORES "j.kind <> 'p2p-exchange' AND j.status IN ('STARTING', 'STARTED') AND " \
    "j.kind IN ('definition-test', 'jwks-refresh', 'subscription', 'task-look', 'mail')"

#define CHORE_COLUMNS                                                                                \
    "id, version, kind, oidc_server_id, client, subject, result, status, create_time, start_time, "  \
    "end_time, last_updated, attempt, error_code, error_sentence, lease_epoch"

/* What is looked at of a job that nobody works on. */
#define ORPHAN "id, grant_id, lease_owner, lease_epoch, status, kind"

/* What every write of a running job repeats. */
#define FENCE "id = %lld AND lease_owner = %s AND lease_epoch = %lld AND status IN ('STARTED', 'STOPPING')"

#define TOUCH "version = version + 1, last_updated = {now}"

/* Why it waits is over: it goes on, has ended, or has another reason from now on. */
#define GOES_ON "wait_code = '', wait_until = 0"

/* When its token was last refreshed, twice, where that is told. */
#define TOKEN_TIME "token_time = CASE WHEN %lld > 0 THEN %lld ELSE token_time END"

/* What a claim changes, whether the job was queued or left behind. */
#define TAKE                                                                                      \
    "lease_owner = %s, lease_epoch = lease_epoch + 1, " TOUCH ", waiting = 0, " GOES_ON ", "       \
    "start_time = CASE WHEN start_time = 0 THEN {now} ELSE start_time END"

static const p2p_sql_statement_t statements[P2P_SQL_TOLD] = {
    [P2P_SQL_NOW] = {"p2p_now", "SELECT {now}", "", 1},
    [P2P_SQL_BEGIN] = {"p2p_begin", "{begin}", "", 0},
    [P2P_SQL_COMMIT] = {"p2p_commit", "COMMIT", "", 0},
    [P2P_SQL_ROLLBACK] = {"p2p_rollback", "ROLLBACK", "", 0},
    [P2P_SQL_COUNTER_ADD] = {"p2p_counter_add",
        "INSERT INTO p2p_counter (name, value) VALUES (%s, %lld) "
        "ON CONFLICT (name) DO UPDATE SET value = p2p_counter.value + excluded.value RETURNING value", "si", 1},
    [P2P_SQL_TABLE_EXISTS] = {"p2p_table_exists", "SELECT COUNT(*) FROM {tables} t WHERE t.name = %s", "s",
                              1},
    [P2P_SQL_SCHEMA_VERSION] = {"p2p_schema_version", "SELECT version FROM p2p_schema WHERE id = 1", "", 1},
    [P2P_SQL_RUNNER_ALIVE] = {"p2p_runner_alive",
        "SELECT COUNT(*) FROM p2p_runner WHERE lease_until > {now}", "", 1},
    [P2P_SQL_HASH_KEY_LIST] = {"p2p_hash_key_list", "SELECT number, value FROM p2p_hash_key ORDER BY number", "", 2},
    [P2P_SQL_HASH_KEY_INSERT] = {"p2p_hash_key_insert",
        "INSERT INTO p2p_hash_key (number, value) VALUES (%lld, %s) ON CONFLICT (number) DO NOTHING", "is", 0},
    [P2P_SQL_HASH_KEY_EARLIER] = {"p2p_hash_key_earlier", "SELECT COUNT(*) FROM p2p_counter WHERE name = 'binding'", "", 1},

    [P2P_SQL_SERVER_LIST] = {"p2p_server_list",
        "SELECT pid, name FROM p2p_oidc_server WHERE archived = 0 ORDER BY pid", "", 2},
    [P2P_SQL_SERVER_GET] = {"p2p_server_get",
        "SELECT " SERVER_COLUMNS " FROM p2p_oidc_server WHERE pid = %lld", "i", 19},
    [P2P_SQL_SERVER_BY_ISSUER] = {"p2p_server_by_issuer",
        "SELECT " SERVER_COLUMNS " FROM p2p_oidc_server WHERE issuer = %s", "s", 19},
    [P2P_SQL_SERVER_INSERT] = {"p2p_server_insert",
        "INSERT INTO p2p_oidc_server (pid, name, issuer, id_namespace, client_id, client_secret, key_text, "
        "key_file, "
        "auth_well_known, scopes, fhir_endpoint, token_endpoint, custom_token_params, response_type, "
        "organization_id, "
        "notes, archived, version, last_updated) "
        "VALUES (%lld, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %lld, 1, {now}) "
        "ON CONFLICT (issuer) DO NOTHING", "isssssssssssssssi", 0},
    /* A secret or key of which 1 is said stays as it is. */
    [P2P_SQL_SERVER_UPDATE] = {"p2p_server_update",
        "UPDATE p2p_oidc_server SET name = %s, issuer = %s, client_id = %s, "
        "client_secret = CASE WHEN %lld = 1 THEN client_secret ELSE %s END, "
        "key_text = CASE WHEN %lld = 1 THEN key_text ELSE %s END, key_file = %s, "
        "auth_well_known = %s, scopes = %s, fhir_endpoint = %s, token_endpoint = %s, custom_token_params = "
        "%s, "
        "response_type = %s, organization_id = %s, notes = %s, archived = %lld, " TOUCH
        " WHERE pid = %lld AND version = %lld", "sssisissssssssssiii", 0},
    /* A filter that is "" lets everything pass. */
    [P2P_SQL_SERVER_SEARCH] = {"p2p_server_search",
        "SELECT " SERVER_COLUMNS " FROM p2p_oidc_server WHERE pid > %lld AND (%s = '' OR issuer = %s) "
        "AND (%s = '' OR organization_id = %s) AND {position}(lower(name), lower(%s)) > 0 "
        "AND (%lld = 1 OR archived = 0) ORDER BY pid LIMIT %lld", "isssssii", 19},
    /* Nothing new refers to it until the end of the transaction: what does holds it, too. */
    [P2P_SQL_SERVER_LOCK] = {"p2p_server_lock",
        "SELECT version FROM p2p_oidc_server WHERE pid = %lld {for_update}", "i", 1},
    [P2P_SQL_SERVER_HOLD] = {"p2p_server_hold",
        "SELECT pid FROM p2p_oidc_server WHERE pid = %lld AND archived = 0 {for_key_share}", "i", 1},
    /* Jobs under way, members, was anything ever exchanged: each of at most so many rows in the order of an index, which is then the one that is
     * taken, whatever the statistics say; the first that are another definition's end it. */
    [P2P_SQL_SERVER_USE] = {"p2p_server_use",
        "SELECT (SELECT COUNT(*) FROM (" JOBS_FROM("STARTED") ") a WHERE a.pid = %lld AND a.status IN ('STARTED', 'STARTING')) "
        "+ (SELECT COUNT(*) FROM (" JOBS_FROM("STOPPING") ") b WHERE b.pid = %lld AND b.status = 'STOPPING'), "
        "(SELECT COUNT(*) FROM (SELECT oidc_server_id AS pid FROM p2p_binding WHERE oidc_server_id >= %lld ORDER BY oidc_server_id LIMIT %lld) c "
        "WHERE c.pid = %lld), "
        "(SELECT COUNT(*) FROM (SELECT oidc_server_id AS pid FROM p2p_job WHERE (oidc_server_id, id) > (%lld, 0) AND kind = 'p2p-exchange' "
        "ORDER BY oidc_server_id, id LIMIT 1) d WHERE d.pid = %lld)", "iiiiiiiiiii", 3},
    [P2P_SQL_SERVER_REMOVE] = {"p2p_server_remove",
        "DELETE FROM p2p_oidc_server WHERE pid = %lld "
        "AND NOT EXISTS (SELECT 1 FROM p2p_job j WHERE j.oidc_server_id = p2p_oidc_server.pid "
        "AND (j.kind = 'p2p-exchange' OR j." ACTIVE ")) "
        "AND NOT EXISTS (SELECT 1 FROM p2p_binding b WHERE b.oidc_server_id = p2p_oidc_server.pid) "
        "AND NOT EXISTS (SELECT 1 FROM p2p_grant g WHERE g.oidc_server_id = p2p_oidc_server.pid)", "i", 0},
    /* What was tried of a definition says nothing once that is gone. */
    [P2P_SQL_SERVER_FORGET_TESTS] = {"p2p_server_forget_tests",
        "DELETE FROM p2p_job WHERE oidc_server_id = %lld AND kind <> 'p2p-exchange'", "i", 0},
    [P2P_SQL_SERVER_ARCHIVE] = {"p2p_server_archive",
        "UPDATE p2p_oidc_server SET archived = 1, " TOUCH " WHERE pid = %lld AND archived = 0", "i", 0},

    [P2P_SQL_GRANT_GET] = {"p2p_grant_get",
        "SELECT id, version, oidc_server_id, kind, access_token, refresh_token, access_expires, ended, "
        "CASE WHEN refresh_owner = '' THEN 0 ELSE 1 END FROM p2p_grant WHERE id = %lld", "i", 9},
    /* Changes nothing but holds the row until the end of the transaction. */
    [P2P_SQL_GRANT_LOCK] = {"p2p_grant_lock", "UPDATE p2p_grant SET kind = kind WHERE id = %lld", "i", 0},
    [P2P_SQL_GRANT_INSERT] = {"p2p_grant_insert",
        "INSERT INTO p2p_grant (id, oidc_server_id, kind, access_token, refresh_token, version, "
        "last_updated) "
        "VALUES (%lld, %lld, %s, %s, %s, 1, {now})", "iisss", 0},
    [P2P_SQL_GRANT_SET_ACCESS] = {"p2p_grant_set_access",
        "UPDATE p2p_grant SET access_token = %s, access_expires = 0, " TOUCH " WHERE id = %lld AND ended = "
        "0", "si", 0},
    [P2P_SQL_GRANT_BEGIN_REFRESH] = {"p2p_grant_begin_refresh",
        "UPDATE p2p_grant SET refresh_owner = %s, refresh_until = {now} + 60000000 WHERE id = %lld AND "
        "version = %lld "
        "AND ended = 0 AND (refresh_owner = '' OR refresh_until <= {now})", "sii", 0},
    [P2P_SQL_GRANT_END_REFRESH] = {"p2p_grant_end_refresh",
        "UPDATE p2p_grant SET access_token = %s, access_expires = %lld, "
        "refresh_token = CASE WHEN %s = '' THEN refresh_token ELSE %s END, refresh_owner = '', "
        "refresh_until = 0, " TOUCH
        " WHERE id = %lld AND refresh_owner = %s AND ended = 0", "sissis", 0},
    [P2P_SQL_GRANT_ABANDON_REFRESH] = {"p2p_grant_abandon_refresh",
        "UPDATE p2p_grant SET refresh_owner = '', refresh_until = 0 WHERE id = %lld AND refresh_owner = "
        "%s", "is", 0},
    [P2P_SQL_GRANT_END] = {"p2p_grant_end",
        "UPDATE p2p_grant SET refresh_owner = '', refresh_until = 0, ended = 1, access_token = '', "
        "refresh_token = '', "
        "access_expires = 0, " TOUCH " WHERE id = %lld AND refresh_owner = %s", "is", 0},
    /* Where no job is active: erases the tokens, bar the refresh token of a job that can be restarted. */
    [P2P_SQL_GRANT_ERASE] = {"p2p_grant_erase",
        "UPDATE p2p_grant SET access_token = '', access_expires = 0, "
        "refresh_token = CASE WHEN EXISTS (SELECT 1 FROM p2p_job j WHERE j.grant_id = p2p_grant.id "
        "AND j.status IN ('FAILED', 'STOPPED') AND j.settled = 0) THEN refresh_token ELSE '' END, "
        "ended = CASE WHEN refresh_token <> '' AND EXISTS (SELECT 1 FROM p2p_job j WHERE j.grant_id = "
        "p2p_grant.id "
        "AND j.status IN ('FAILED', 'STOPPED') AND j.settled = 0) THEN ended ELSE 1 END, " TOUCH
        " WHERE id = %lld AND NOT EXISTS (SELECT 1 FROM p2p_job j WHERE j.grant_id = p2p_grant.id AND j." ACTIVE ")",
        "i", 0},
    [P2P_SQL_ALIAS_GET] = {"p2p_alias_get", "SELECT grant_id FROM p2p_grant_alias WHERE hash = %s", "s", 1},
    [P2P_SQL_ALIAS_INSERT] = {"p2p_alias_insert",
        "INSERT INTO p2p_grant_alias (hash, grant_id, create_time) VALUES (%s, %lld, {now}) "
        "ON CONFLICT (hash) DO NOTHING", "si", 0},

    [P2P_SQL_BINDING_GET] = {"p2p_binding_get",
        "SELECT id, target_patient FROM p2p_binding WHERE target = %s AND oidc_server_id = %lld AND "
        "source_hash = %s {for_key_share}",
        "sis", 2},
    [P2P_SQL_BINDING_LOCK] = {"p2p_binding_lock",
        "SELECT id FROM p2p_binding WHERE target = %s AND oidc_server_id = %lld AND source_hash = %s {for_update}", "sis", 1},
    [P2P_SQL_BINDING_DELETE] = {"p2p_binding_delete", "DELETE FROM p2p_binding WHERE id = %lld", "i", 0},
    [P2P_SQL_BINDING_INSERT] = {"p2p_binding_insert",
        "INSERT INTO p2p_binding (id, target, oidc_server_id, source_hash, target_patient, create_time) "
        "VALUES (%lld, %s, %lld, %s, %s, {now}) ON CONFLICT (target, oidc_server_id, source_hash) DO NOTHING",
        "isiss", 0},

    /* That of a job which moved nothing, unless another one rests on it. */
    [P2P_SQL_BINDING_RELEASE] = {"p2p_binding_release",
        "DELETE FROM p2p_binding WHERE EXISTS (SELECT 1 FROM p2p_job j WHERE j.id = %lld "
        "AND j.target = p2p_binding.target AND j.oidc_server_id = p2p_binding.oidc_server_id "
        "AND j.source_hash = p2p_binding.source_hash AND j.written = 0 AND j.parts = 0) "
        "AND NOT EXISTS (SELECT 1 FROM p2p_job k WHERE k.id <> %lld AND k.target = p2p_binding.target "
        "AND k.oidc_server_id = p2p_binding.oidc_server_id AND k.source_hash = p2p_binding.source_hash "
        "AND (k.parts > 0 OR k.written > 0 OR k.status NOT IN ('FAILED', 'STOPPED')))", "ii", 0},

    [P2P_SQL_JOB_GET] = {"p2p_job_get",
        "SELECT " JOB_COLUMNS " FROM p2p_job WHERE id = %lld AND " ANY_NUMBER("oidc_server_id"), "iii", JOB_WIDTH},
    [P2P_SQL_JOB_ACTIVE] = {"p2p_job_active",
        "SELECT " JOB_COLUMNS " FROM p2p_job WHERE target = %s AND oidc_server_id = %lld AND source_hash = "
        "%s AND "
        ACTIVE " AND source_hash <> ''", "sis", JOB_WIDTH},
    [P2P_SQL_JOB_INSERT] = {"p2p_job_insert",
        "INSERT INTO p2p_job (id, uuid, kind, target, oidc_server_id, grant_id, client, source_hash, "
        "source_patient, "
        "target_patient, organization, patient_hash, version, status, attempt, create_time, last_updated) "
        "VALUES (%lld, %s, %s, %s, %lld, %lld, %s, %s, %s, %s, %s, %s, 1, 'STARTING', 1, {now}, {now}) "
        "ON CONFLICT DO NOTHING", "isssiissssss", 0},
    [P2P_SQL_JOB_ORDER] = {"p2p_job_order",
        "SELECT grant_id, source_patient, target_patient, organization FROM p2p_job WHERE id = %lld", "i", 4},
    /* The source payers that have something queued, fewest running first. The recursion steps from payer to
     * payer through the index p2p_job_queue: its cost is the number of payers, whatever the length of the
     * queue. */
    [P2P_SQL_JOB_PAYERS] = {"p2p_job_payers",
        "WITH RECURSIVE payer (server) AS ("
        "SELECT (SELECT q.oidc_server_id FROM p2p_job q {queued} WHERE q.target = %s AND q.status = 'STARTING' "
        "ORDER BY q.oidc_server_id LIMIT 1) UNION ALL "
        "SELECT (SELECT q.oidc_server_id FROM p2p_job q {queued} WHERE q.target = %s AND q.status = 'STARTING' "
        "AND q.oidc_server_id > payer.server ORDER BY q.oidc_server_id LIMIT 1) FROM payer WHERE payer.server IS NOT NULL) "
        "SELECT payer.server, "
        "(SELECT COUNT(*) FROM p2p_job q {running} WHERE q.target = %s AND q.oidc_server_id = payer.server AND " OWNED ") AS running, "
        "(SELECT q.id FROM p2p_job q {queued} WHERE q.target = %s AND q.status = 'STARTING' "
        "AND q.oidc_server_id = payer.server ORDER BY q.id LIMIT 1) AS oldest "
        "FROM payer WHERE payer.server IS NOT NULL ORDER BY running, oldest LIMIT 16", "ssss", 3},
    [P2P_SQL_JOB_CLAIM] = {"p2p_job_claim",
        "UPDATE p2p_job SET status = 'STARTED', " TAKE " WHERE id = (SELECT j.id FROM p2p_job j {queued} WHERE "
        "j.target = %s "
        "AND j.status = 'STARTING' AND j.oidc_server_id = %lld AND " KNOWN " ORDER BY j.id LIMIT 1 {skip_locked}) "
        "RETURNING " JOB_COLUMNS, "ssi", JOB_WIDTH},
    [P2P_SQL_JOB_TAKE_STOPPING] = {"p2p_job_take_stopping",
        "UPDATE p2p_job SET " TAKE " WHERE id = (SELECT j.id FROM p2p_job j {queued} WHERE j.target = %s AND j.status = 'STOPPING' "
        "AND " KNOWN " AND " NOBODYS " ORDER BY j.id LIMIT 1 {skip_locked}) RETURNING " JOB_COLUMNS, "ss", JOB_WIDTH},
    [P2P_SQL_JOB_TAKE_OVER] = {"p2p_job_take_over",
        "UPDATE p2p_job SET " TAKE " WHERE id = (SELECT j.id FROM p2p_job j {running} WHERE j.target = %s AND " OWNED
        " AND " HAS_BEGUN " AND " KNOWN " AND " NOBODYS " ORDER BY j.oidc_server_id, j.id LIMIT 1 {skip_locked}) "
        "RETURNING " JOB_COLUMNS, "ss", JOB_WIDTH},
    /* One that has begun, was given back, and whose time has come: the one that has been due for longest. */
    [P2P_SQL_JOB_WAKE] = {"p2p_job_wake",
        "UPDATE p2p_job SET " TAKE " WHERE id = (SELECT j.id FROM p2p_job j {resting} WHERE j.target = %s AND j.status = 'STARTED' "
        "AND j.lease_owner = '' AND " DUE " AND " KNOWN " ORDER BY j.not_before LIMIT 1 {skip_locked}) "
        "RETURNING " JOB_COLUMNS, "ss", JOB_WIDTH},
    /* Those that are to be stopped, those whose runner died, and one of those that rest and are due. */
    [P2P_SQL_JOB_ORPHANS] = {"p2p_job_orphans",
        "SELECT " ORPHAN " FROM (SELECT " ORPHAN " FROM p2p_job j {queued} WHERE j.target = %s AND j.status = 'STOPPING' "
        "AND " NOBODYS " ORDER BY j.id LIMIT 16) stopped "
        "UNION ALL SELECT " ORPHAN " FROM (SELECT " ORPHAN " FROM p2p_job j {running} WHERE j.target = %s AND " OWNED " AND " HAS_BEGUN
        " AND " NOBODYS " LIMIT 1) died "
        "UNION ALL SELECT " ORPHAN " FROM (SELECT " ORPHAN " FROM p2p_job j {resting} WHERE j.target = %s AND j.status = 'STARTED' "
        "AND j.lease_owner = '' AND " DUE " ORDER BY j.not_before LIMIT 1) due", "sss", 6},
    [P2P_SQL_JOB_STOP_ORPHAN] = {"p2p_job_stop_orphan",
        "UPDATE p2p_job SET status = 'STOPPED', end_time = {now}, waiting = 0, lease_owner = '', not_before = 0, trouble_since = 0, " GOES_ON
        ", " TOUCH
        " WHERE " FENCE, "isi", 0},
    [P2P_SQL_JOB_FENCE] = {"p2p_job_fence", "UPDATE p2p_job SET " TOUCH " WHERE " FENCE, "isi", 0},
    [P2P_SQL_JOB_ADD_COUNTS] = {"p2p_job_add_counts",
        "UPDATE p2p_job SET parts = parts + %lld, retrieved = retrieved + %lld, written = written + %lld, "
        "duplicate = duplicate + %lld, skipped = skipped + %lld, rejected = rejected + %lld, bytes = bytes "
        "+ %lld, "
        "waiting = CASE WHEN waiting > %lld THEN waiting - %lld ELSE 0 END, trouble_since = 0 WHERE id = %lld", "iiiiiiiiii", 0},
    [P2P_SQL_JOB_PROGRESS] = {"p2p_job_progress",
        "UPDATE p2p_job SET waiting = %lld, wait_code = %s, wait_until = %lld, " TOKEN_TIME ", " TOUCH " WHERE " FENCE " RETURNING status",
        "isiiiisi", 1},
    [P2P_SQL_JOB_SET_TASK] = {"p2p_job_set_task",
        "UPDATE p2p_job SET task_id = %s, task_fault = %s, " TOUCH " WHERE " FENCE, "ssisi", 0},
    [P2P_SQL_JOB_SET_PATIENT] = {"p2p_job_set_patient",
        "UPDATE p2p_job SET source_hash = %s, source_patient = %s, " TOUCH " WHERE " FENCE, "ssisi", 0},
    [P2P_SQL_JOB_FINISH] = {"p2p_job_finish",
        "UPDATE p2p_job SET status = %s, end_time = {now}, waiting = 0, lease_owner = '', not_before = 0, trouble_since = 0, error_code = %s, "
        "error_sentence = %s, error_detail = %s, " GOES_ON ", " TOKEN_TIME ", " TOUCH " WHERE " FENCE, "ssssiiisi", 0},
    [P2P_SQL_JOB_RELEASE] = {"p2p_job_release",
        "UPDATE p2p_job SET lease_owner = '', waiting = 0, " GOES_ON ", " TOUCH " WHERE " FENCE, "isi", 0},
    [P2P_SQL_JOB_REST] = {"p2p_job_rest",
        "UPDATE p2p_job SET lease_owner = '', waiting = 0, not_before = {now} + %lld, "
        "trouble_since = CASE WHEN trouble_since > 0 THEN trouble_since ELSE {now} - %lld END, wait_code = %s, wait_until = {now} + %lld, "
        TOKEN_TIME ", " TOUCH " WHERE " FENCE, "iisiiiisi", 0},
    [P2P_SQL_JOB_TROUBLE] = {"p2p_job_trouble",
        "SELECT CASE WHEN trouble_since > 0 THEN {now} - trouble_since ELSE 0 END FROM p2p_job WHERE id = %lld", "i", 1},

    /* One for each source_hash at a time, as the unique index has it. */
    [P2P_SQL_CHORE_INSERT] = {"p2p_chore_insert",
        "INSERT INTO p2p_job (id, uuid, kind, target, oidc_server_id, client, source_hash, subject, version, status, attempt, create_time, "
        "last_updated) VALUES (%lld, %s, %s, %s, %lld, %s, %s, %s, 1, 'STARTING', 1, {now}, {now}) ON CONFLICT DO NOTHING", "isssisss", 0},
    [P2P_SQL_CHORE_ACTIVE] = {"p2p_chore_active",
        "SELECT " CHORE_COLUMNS " FROM p2p_job WHERE target = %s AND oidc_server_id = %lld AND source_hash = %s AND " ACTIVE
        " AND source_hash <> ''", "sis", 16},
    [P2P_SQL_CHORE_GET] = {"p2p_chore_get",
        "SELECT " CHORE_COLUMNS " FROM p2p_job WHERE id = %lld AND oidc_server_id = %lld AND kind = %s", "iis", 16},
    /* Queued, or begun by a runner that is gone or has given it back. */
    [P2P_SQL_CHORE_WAITING] = {"p2p_chore_waiting",
        "SELECT j.id FROM p2p_job j {chores} WHERE j.target = %s AND " CHORES " AND (j.status = 'STARTING' OR " NOBODYS ") LIMIT 1", "s", 1},
    [P2P_SQL_CHORE_CLAIM] = {"p2p_chore_claim",
        "UPDATE p2p_job SET status = 'STARTED', " TAKE " WHERE id = (SELECT j.id FROM p2p_job j {chores} WHERE j.target = %s AND " CHORES
        " AND (j.status = 'STARTING' OR " NOBODYS ") ORDER BY j.id LIMIT 1 {skip_locked}) RETURNING " CHORE_COLUMNS, "ss", 16},
    [P2P_SQL_CHORE_FINISH] = {"p2p_chore_finish",
        "UPDATE p2p_job SET status = %s, result = %s, end_time = {now}, settled = 1, lease_owner = '', not_before = 0, error_code = %s, "
        "error_sentence = %s, " TOUCH " WHERE " FENCE, "ssssisi", 0},
    [P2P_SQL_CHORE_FORGET] = {"p2p_chore_forget", "DELETE FROM p2p_job WHERE " FENCE, "isi", 0},

    [P2P_SQL_JWKS_GET] = {"p2p_jwks_get",
        "SELECT issuer, document, introspection_endpoint, fault, fetched, version, source, authorization_endpoint, token_endpoint, "
        "names_issuer FROM p2p_jwks WHERE issuer = %s", "s", 10},
    /* Is it too early: was it asked for, or fetched, so many microseconds ago? */
    [P2P_SQL_JWKS_RESTS] = {"p2p_jwks_rests",
        "SELECT COUNT(*) FROM p2p_jwks WHERE issuer = %s AND (asked > {now} - %lld OR fetched > {now} - %lld)", "sii", 1},
    [P2P_SQL_JWKS_ASK] = {"p2p_jwks_ask",
        "INSERT INTO p2p_jwks (issuer, asked) VALUES (%s, {now}) ON CONFLICT (issuer) DO UPDATE SET asked = excluded.asked "
        "WHERE p2p_jwks.asked <= excluded.asked - %lld AND p2p_jwks.fetched <= excluded.asked - %lld", "sii", 0},
    [P2P_SQL_JWKS_SAVE] = {"p2p_jwks_save",
        "INSERT INTO p2p_jwks (issuer, source, document, introspection_endpoint, authorization_endpoint, token_endpoint, names_issuer, fetched, asked, "
        "version) VALUES (%s, %s, %s, %s, %s, %s, %lld, {now}, {now}, 1) "
        "ON CONFLICT (issuer) DO UPDATE SET source = excluded.source, document = excluded.document, introspection_endpoint = excluded.introspection_endpoint, "
        "authorization_endpoint = CASE WHEN excluded.authorization_endpoint = '' THEN p2p_jwks.authorization_endpoint ELSE excluded.authorization_endpoint END, "
        "token_endpoint = CASE WHEN excluded.token_endpoint = '' THEN p2p_jwks.token_endpoint ELSE excluded.token_endpoint END, "
        "names_issuer = CASE WHEN excluded.token_endpoint = '' THEN p2p_jwks.names_issuer ELSE excluded.names_issuer END, "
        "fetched = excluded.fetched, asked = excluded.asked, fault = '', version = p2p_jwks.version + CASE WHEN p2p_jwks.document = "
        "excluded.document AND p2p_jwks.introspection_endpoint = excluded.introspection_endpoint THEN 0 ELSE 1 END", "ssssssi", 0},
    [P2P_SQL_JWKS_FAULT] = {"p2p_jwks_fault",
        "INSERT INTO p2p_jwks (issuer, fault, asked) VALUES (%s, %s, {now}) ON CONFLICT (issuer) DO UPDATE SET fault = excluded.fault, "
        "asked = excluded.asked", "ss", 0},
    [P2P_SQL_JWKS_STATUS] = {"p2p_jwks_status", "SELECT issuer, fetched, fault FROM p2p_jwks ORDER BY issuer", "", 3},

    [P2P_SQL_REQUEST_LIST] = {"p2p_request_list",
        "SELECT number, kind, url FROM p2p_request WHERE job_id = %lld ORDER BY number", "i", 3},
    [P2P_SQL_REQUEST_INSERT] = {"p2p_request_insert",
        "INSERT INTO p2p_request (job_id, number, kind, url) VALUES (%lld, %lld, %s, %s) "
        "ON CONFLICT (job_id, number) DO NOTHING", "iiss", 0},
    [P2P_SQL_PART_LIST] = {"p2p_part_list",
        "SELECT " PART_COLUMNS ", held FROM p2p_part WHERE job_id = %lld ORDER BY request, number", "i", 16},
    [P2P_SQL_PART_NEXT_LANDED] = {"p2p_part_next_landed",
        "SELECT " PART_COLUMNS ", held FROM p2p_part WHERE job_id = %lld AND landed = 1 AND held <> '' AND "
        "(request > %lld OR (request = %lld AND number > %lld)) ORDER BY request, number LIMIT 1", "iiii", 16},
    /* A part that has landed never changes again: then no row is changed. */
    [P2P_SQL_PART_NOTE] = {"p2p_part_note",
        "INSERT INTO p2p_part (job_id, " PART_COLUMNS ", held) VALUES (%lld, %lld, %lld, %s, %s, %lld, "
        "%lld, %lld, %lld, "
        "%lld, %lld, %lld, %lld, %lld, %lld, %s, %s) ON CONFLICT (job_id, request, number) DO UPDATE SET "
        "url = excluded.url, next_url = excluded.next_url, landed = excluded.landed, received = "
        "excluded.received, "
        "mapped = excluded.mapped, landed_at = excluded.landed_at, retrieved = excluded.retrieved, "
        "written = excluded.written, duplicate = excluded.duplicate, skipped = excluded.skipped, "
        "rejected = excluded.rejected, bytes = excluded.bytes, sha256 = excluded.sha256, held = "
        "excluded.held "
        "WHERE p2p_part.landed = 0", "iiissiiiiiiiiiiss", 0},
    [P2P_SQL_PART_FORGET_HELD] = {"p2p_part_forget_held",
        "UPDATE p2p_part SET held = '' WHERE job_id = %lld AND held <> ''", "i", 0},
    [P2P_SQL_PART_REPORT] = {"p2p_part_report",
        "SELECT " PART_COLUMNS " FROM p2p_part WHERE job_id = %lld AND (request, number) > (%lld, %lld) "
        "ORDER BY request, number LIMIT %lld", "iiii", 15},
    [P2P_SQL_REJECTED_INSERT] = {"p2p_rejected_insert",
        "INSERT INTO p2p_rejected (job_id, request, part, number, chunk, outcome, type, source_id, code, "
        "detail, body) "
        "VALUES (%lld, %lld, %lld, %lld, %lld, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (job_id, request, part, number, chunk) DO NOTHING", "iiiiissssss", 0},
    [P2P_SQL_REJECTED_REPORT] = {"p2p_rejected_report",
        "SELECT request, part, number, outcome, type, source_id, code, detail, again_request FROM p2p_rejected "
        "WHERE job_id = %lld AND (request, part, number) > (%lld, %lld, %lld) AND chunk = 0 "
        "ORDER BY request, part, number LIMIT %lld", "iiiii", 9},

    /* Newest first. */
    [P2P_SQL_JOB_LIST] = {"p2p_job_list", JOBS_LISTED(THE_NUMBER, THE_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_LIST_STATUS] = {"p2p_job_list_status", JOBS_LISTED(THE_NUMBER, THE_TEXT, THE_TEXT, ANY_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_LIST_PATIENT] = {"p2p_job_list_patient", JOBS_LISTED(THE_NUMBER, THE_TEXT, ANY_TEXT, SOME_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_LIST_ANY] = {"p2p_job_list_any", JOBS_LISTED(ANY_NUMBER, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_LIST_ANY_STATUS] = {"p2p_job_list_any_status", JOBS_LISTED(ANY_NUMBER, ANY_TEXT, THE_TEXT, ANY_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_LIST_KIND] = {"p2p_job_list_kind", JOBS_LISTED(ANY_NUMBER, ANY_TEXT, ANY_TEXT, ANY_TEXT, THE_TEXT)},
    [P2P_SQL_JOB_LIST_SERVER] = {"p2p_job_list_server", JOBS_LISTED(THE_NUMBER, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_LIST_SERVER_STATUS] = {"p2p_job_list_server_status", JOBS_LISTED(THE_NUMBER, ANY_TEXT, THE_TEXT, ANY_TEXT, ANY_TEXT)},
    [P2P_SQL_JOB_PATIENT] = {"p2p_job_patient", "SELECT patient_hash FROM p2p_job WHERE id = %lld", "i", 1},
    /* At once where no runner has it, nor has its Task at the target to be told. version 0: any. */
    [P2P_SQL_JOB_STOP] = {"p2p_job_stop",
        "UPDATE p2p_job AS j SET status = CASE WHEN " STOPS_AT_ONCE " THEN 'STOPPED' ELSE 'STOPPING' END, "
        "end_time = CASE WHEN " STOPS_AT_ONCE " THEN {now} ELSE 0 END, not_before = 0, " GOES_ON ", " TOUCH
        " WHERE j.id = %lld AND j.status IN ('STARTING', 'STARTED') AND (%lld = 0 OR j.version = %lld)", "iii", 0},
    [P2P_SQL_JOB_RESTART] = {"p2p_job_restart",
        "UPDATE p2p_job SET status = 'STARTING', attempt = attempt + 1, grant_id = %lld, start_time = 0, end_time = 0, "
        "error_code = '', error_sentence = '', error_detail = '', waiting = 0, lease_owner = '', not_before = 0, "
        "trouble_since = 0, token_time = 0, " GOES_ON ", " TOUCH " WHERE id = %lld AND status IN ('STOPPED', 'FAILED') AND settled = 0 "
        "AND (%lld = 0 OR version = %lld)", "iiii", 0},
    /* The job's counts are the sums of its parts'. */
    [P2P_SQL_JOB_RECOUNT] = {"p2p_job_recount",
        "UPDATE p2p_job SET (parts, retrieved, written, duplicate, skipped, rejected, bytes) = ("
        "SELECT CAST(COALESCE(SUM(t.landed), 0) AS BIGINT), CAST(COALESCE(SUM(t.retrieved), 0) AS BIGINT), "
        "CAST(COALESCE(SUM(t.written), 0) AS BIGINT), CAST(COALESCE(SUM(t.duplicate), 0) AS BIGINT), "
        "CAST(COALESCE(SUM(t.skipped), 0) AS BIGINT), CAST(COALESCE(SUM(t.rejected), 0) AS BIGINT), "
        "CAST(COALESCE(SUM(CASE WHEN t.landed = 1 THEN t.bytes ELSE 0 END), 0) AS BIGINT) "
        "FROM p2p_part t WHERE t.job_id = p2p_job.id) WHERE id = %lld", "i", 0},
    [P2P_SQL_REQUEST_NEXT] = {"p2p_request_next",
        "SELECT COALESCE(MAX(number), -1) + 1 FROM p2p_request WHERE job_id = %lld AND number < 1000000", "i", 1},
    [P2P_SQL_REQUEST_REPORT] = {"p2p_request_report",
        "SELECT number, kind, url FROM p2p_request WHERE job_id = %lld AND number > %lld ORDER BY number LIMIT %lld",
        "iii", 3},
    [P2P_SQL_PART_UNCOUNT] = {"p2p_part_uncount",
        "UPDATE p2p_part SET retrieved = 0, written = 0, duplicate = 0, skipped = 0, rejected = 0 "
        "WHERE job_id = %lld AND landed = 0", "i", 0},
    /* Parts that had more rejected than was kept: only the source has those. */
    [P2P_SQL_PART_REOPEN] = {"p2p_part_reopen",
        "UPDATE p2p_part SET landed = 0, landed_at = 0, held = '' WHERE job_id = %lld AND landed = 1 AND rejected > "
        "(SELECT COUNT(*) FROM p2p_rejected r WHERE r.job_id = p2p_part.job_id AND r.request = p2p_part.request "
        "AND r.part = p2p_part.number AND r.chunk = 0 AND r.outcome = 'rejected' AND r.again_request = 0 AND r.body <> '') "
        "AND NOT EXISTS (SELECT 1 FROM p2p_request q WHERE q.job_id = p2p_part.job_id AND q.number = p2p_part.request "
        "AND q.kind = 'dead-letters')", "i", 0},
    [P2P_SQL_PART_URL] = {"p2p_part_url",
        "SELECT url FROM p2p_part WHERE job_id = %lld AND request = %lld AND number = %lld", "iii", 1},
    [P2P_SQL_PART_TAKE_LETTERS] = {"p2p_part_take_letters",
        "UPDATE p2p_part SET retrieved = retrieved - %lld, rejected = rejected - %lld "
        "WHERE job_id = %lld AND request = %lld AND number = %lld", "iiiii", 0},
    [P2P_SQL_PART_SUM] = {"p2p_part_sum",
        "SELECT COALESCE(SUM(retrieved), 0), COALESCE(SUM(written), 0), COALESCE(SUM(duplicate), 0), "
        "COALESCE(SUM(skipped), 0), COALESCE(SUM(rejected), 0) FROM p2p_part WHERE job_id = %lld", "i", 5},
    /* The part is fetched again, and has them anew then. */
    [P2P_SQL_REJECTED_REOPENED] = {"p2p_rejected_reopened",
        "DELETE FROM p2p_rejected WHERE job_id = %lld AND again_request = 0 AND EXISTS (SELECT 1 FROM p2p_part t "
        "WHERE t.job_id = p2p_rejected.job_id AND t.request = p2p_rejected.request AND t.number = p2p_rejected.part "
        "AND t.landed = 0)", "i", 0},
    [P2P_SQL_LETTERS_PARTS] = {"p2p_letters_parts",
        "SELECT request, part, COUNT(*) FROM p2p_rejected WHERE job_id = %lld AND chunk = 0 AND outcome = 'rejected' "
        "AND again_request = 0 AND body <> '' GROUP BY request, part ORDER BY request, part", "i", 3},
    [P2P_SQL_LETTERS_MARK] = {"p2p_letters_mark",
        "UPDATE p2p_rejected SET again_request = %lld, again_part = %lld WHERE job_id = %lld AND request = %lld "
        "AND part = %lld AND outcome = 'rejected' AND again_request = 0", "iiiii", 0},
    [P2P_SQL_LETTERS_READ] = {"p2p_letters_read",
        "SELECT request, part, number, chunk, source_id, body FROM p2p_rejected WHERE job_id = %lld "
        "AND again_request = %lld AND again_part = %lld AND (number, chunk) > (%lld, %lld) "
        "ORDER BY number, chunk LIMIT %lld", "iiiiii", 6},
    [P2P_SQL_LETTERS_DONE] = {"p2p_letters_done",
        "DELETE FROM p2p_rejected WHERE job_id = %lld AND again_request = %lld AND again_part = %lld", "iii", 0},
    [P2P_SQL_IDEMPOTENCY_GET] = {"p2p_idempotency_get",
        "SELECT body_hash, job_id FROM p2p_idempotency WHERE client = %s AND oidc_server_id = %lld AND key_hash = %s",
        "sis", 2},
    [P2P_SQL_IDEMPOTENCY_INSERT] = {"p2p_idempotency_insert",
        "INSERT INTO p2p_idempotency (client, oidc_server_id, key_hash, body_hash, job_id, create_time) "
        "VALUES (%s, %lld, %s, %s, %lld, {now}) ON CONFLICT (client, oidc_server_id, key_hash) DO NOTHING", "sissi", 0},

    /* One runner of a target a minute. */
    [P2P_SQL_TIDY_SLOT] = {"p2p_tidy_slot",
        "INSERT INTO p2p_counter (name, value) VALUES (%s, {now} / 60000000) ON CONFLICT (name) DO UPDATE "
        "SET value = excluded.value WHERE p2p_counter.value < excluded.value", "s", 0},
    [P2P_SQL_TIDY_SETTLE] = {"p2p_tidy_settle",
        "SELECT id, grant_id FROM p2p_job WHERE target = %s AND end_time < {now} - %lld "
        "AND status IN ('STOPPED', 'FAILED') AND settled = 0 ORDER BY end_time LIMIT %lld", "sii", 2},
    [P2P_SQL_TIDY_OLD] = {"p2p_tidy_old",
        "SELECT id, grant_id FROM p2p_job WHERE target = %s AND end_time < {now} - %lld "
        "AND status IN ('STOPPED', 'COMPLETED', 'FAILED', 'ABANDONED') ORDER BY end_time LIMIT %lld", "sii", 2},
    [P2P_SQL_JOB_SETTLE] = {"p2p_job_settle",
        "UPDATE p2p_job SET settled = 1 WHERE id = %lld AND end_time < {now} - %lld "
        "AND status IN ('STOPPED', 'FAILED') AND settled = 0", "ii", 0},
    [P2P_SQL_JOB_DELETE] = {"p2p_job_delete",
        "DELETE FROM p2p_job WHERE id = %lld AND end_time < {now} - %lld "
        "AND status IN ('STOPPED', 'COMPLETED', 'FAILED', 'ABANDONED')", "ii", 0},
    [P2P_SQL_IDEMPOTENCY_DELETE] = {"p2p_idempotency_delete", "DELETE FROM p2p_idempotency WHERE job_id = %lld", "i", 0},
    [P2P_SQL_ALIAS_DELETE] = {"p2p_alias_delete",
        "DELETE FROM p2p_grant_alias WHERE grant_id = %lld AND NOT EXISTS (SELECT 1 FROM p2p_job j "
        "WHERE j.grant_id = p2p_grant_alias.grant_id)", "i", 0},
    [P2P_SQL_GRANT_DELETE] = {"p2p_grant_delete",
        "DELETE FROM p2p_grant WHERE id = %lld AND NOT EXISTS (SELECT 1 FROM p2p_job j WHERE j.grant_id = p2p_grant.id)",
        "i", 0},

    [P2P_SQL_ID_MAP_FIND] = {"p2p_id_map_find",
        "SELECT source_id, target_id FROM p2p_id_map WHERE target = %s AND source_id IN "
        "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", "sssssssssssssssss", 2},
    [P2P_SQL_ID_MAP_NOTE] = {"p2p_id_map_note",
        "INSERT INTO p2p_id_map (target, source_id, type, target_id, create_time) VALUES (%s, %s, %s, %s, {now}) "
        "ON CONFLICT (target, source_id) DO UPDATE SET type = excluded.type, target_id = excluded.target_id", "ssss", 0},
    [P2P_SQL_ID_MAP_FORGET] = {"p2p_id_map_forget",
        "DELETE FROM p2p_id_map WHERE target = %s AND source_id = %s", "ss", 0},

    /* Rows are never changed, and retention alone removes them. */
    [P2P_SQL_AUDIT_INSERT] = {"p2p_audit_insert",
        "INSERT INTO p2p_audit (" AUDIT_COLUMNS ") VALUES (%lld, {now}, %s, %s, %s, %s, %s, %lld, %s)", "isssssis", 0},
    [P2P_SQL_AUDIT_LIST] = {"p2p_audit_list", AUDITED(""), "ii", 9},
    [P2P_SQL_AUDIT_LIST_OBJECT] = {"p2p_audit_list_object", AUDITED("object = %s AND "), "sii", 9},
    [P2P_SQL_AUDIT_LIST_CLIENT] = {"p2p_audit_list_client", AUDITED("client = %s AND "), "sii", 9},
    [P2P_SQL_AUDIT_LIST_BOTH] = {"p2p_audit_list_both", AUDITED("object = %s AND client = %s AND "), "ssii", 9},
    [P2P_SQL_AUDIT_OLD] = {"p2p_audit_old", "SELECT CASE WHEN MIN(time) < {now} - %lld THEN 1 ELSE 0 END FROM p2p_audit", "i", 1},
    [P2P_SQL_AUDIT_TIDY] = {"p2p_audit_tidy",
        "DELETE FROM p2p_audit WHERE id IN (SELECT a.id FROM p2p_audit a WHERE a.time < {now} - %lld ORDER BY a.time LIMIT %lld)",
        "ii", 0},

    [P2P_SQL_RUNNER_RELEASE_JOBS] = {"p2p_runner_release_jobs",
        "UPDATE p2p_job SET lease_owner = '', " GOES_ON ", " TOUCH " WHERE target = %s AND status IN ('STARTED', "
        "'STOPPING') "
        "AND lease_owner = %s", "ss", 0},
    [P2P_SQL_RUNNER_REPLACE] = {"p2p_runner_replace",
        "DELETE FROM p2p_runner WHERE owner = %s OR (instance = %s AND slot = %lld) "
        "OR lease_until < {now} - 3600000000", "ssi", 0},
    [P2P_SQL_RUNNER_INSERT] = {"p2p_runner_insert",
        "INSERT INTO p2p_runner (owner, instance, slot, host, pid, target, start_time, lease_until) "
        "VALUES (%s, %s, %lld, %s, %lld, %s, {now}, {now} + %lld)", "ssisisi", 0},
    [P2P_SQL_RUNNER_HEARTBEAT] = {"p2p_runner_heartbeat",
        "UPDATE p2p_runner SET lease_until = {now} + %lld WHERE owner = %s AND lease_until > {now}", "is", 0},
    [P2P_SQL_RUNNER_DELETE] = {"p2p_runner_delete", "DELETE FROM p2p_runner WHERE owner = %s", "s", 0},
    [P2P_SQL_STATUS_RUNNERS] = {"p2p_status_runners",
        "SELECT host, pid, slot, target, start_time, lease_until FROM p2p_runner WHERE lease_until > {now} "
        "ORDER BY start_time, owner", "", 6},
    [P2P_SQL_STATUS_JOBS] = {"p2p_status_jobs",
        "SELECT target, status, COUNT(*) FROM p2p_job GROUP BY target, status ORDER BY target, status", "", 3},
    [P2P_SQL_STATUS_QUEUED] = {"p2p_status_queued",
        "SELECT MIN(create_time) FROM p2p_job WHERE target = %s AND status = 'STARTING'", "s", 1},
    [P2P_SQL_STATUS_RESTING] = {"p2p_status_resting",
        "SELECT COUNT(*) FROM p2p_job j WHERE j.status = 'STARTED' AND j.not_before > {now} AND " NOBODYS, "", 1},
    [P2P_SQL_STATUS_UNSERVED] = {"p2p_status_unserved",
        "SELECT j.target, COUNT(*) FROM p2p_job j WHERE j." ACTIVE " AND NOT EXISTS (SELECT 1 FROM p2p_runner r "
        "WHERE r.target = j.target AND r.lease_until > {now}) GROUP BY j.target ORDER BY j.target", "", 2},
};

const p2p_sql_statement_t *p2p_sql(p2p_sql_t statement)
{
    if (statement < P2P_SQL_TOLD) return &statements[statement];
    return statement < P2P_SQL_SEEN ? &p2p_sql_told[statement - P2P_SQL_TOLD] : &p2p_sql_seen[statement - P2P_SQL_SEEN];
}
