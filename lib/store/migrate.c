/* SPDX-License-Identifier: Apache-2.0 */
/* The schema, step by step. TEXT and BIGINT only, so that one schema serves both databases; times are
 * microseconds. */
#include "store/migrate.h"

#include <apr_strings.h>
#include "store/db_private.h"

#define TEXT_COLUMN " TEXT NOT NULL DEFAULT ''"
#define SEALED_COLUMN TEXT_COLUMN /* opens only in its own table, column and row; sealed_table.c lists them */
#define NUMBER_COLUMN " BIGINT NOT NULL DEFAULT 0"

/* Schema 1, a statement each. */
static const char *const schema_1[] = {
    "CREATE TABLE p2p_schema (id BIGINT NOT NULL PRIMARY KEY, version" NUMBER_COLUMN ")",
    "INSERT INTO p2p_schema (id, version) VALUES (1, 0)",

    "CREATE TABLE p2p_counter (name TEXT NOT NULL PRIMARY KEY, value" NUMBER_COLUMN ")",

    "CREATE TABLE p2p_oidc_server (pid BIGINT NOT NULL PRIMARY KEY, version" NUMBER_COLUMN ", name" TEXT_COLUMN ", "
    "issuer TEXT NOT NULL UNIQUE, id_namespace" TEXT_COLUMN ", client_id" TEXT_COLUMN ", "
    "client_secret" SEALED_COLUMN ", key_text" SEALED_COLUMN ", key_file" SEALED_COLUMN ", "
    "auth_well_known" TEXT_COLUMN ", scopes" TEXT_COLUMN ", fhir_endpoint" TEXT_COLUMN ", "
    "token_endpoint" TEXT_COLUMN ", custom_token_params" TEXT_COLUMN ", response_type" TEXT_COLUMN ", "
    "organization_id" TEXT_COLUMN ", notes" TEXT_COLUMN ", archived" NUMBER_COLUMN ", last_updated" NUMBER_COLUMN ")",

    "CREATE TABLE p2p_grant (id BIGINT NOT NULL PRIMARY KEY, version" NUMBER_COLUMN ", oidc_server_id" NUMBER_COLUMN
    ", kind" TEXT_COLUMN ", access_token" SEALED_COLUMN ", refresh_token" SEALED_COLUMN ", "
    "access_expires" NUMBER_COLUMN ", ended" NUMBER_COLUMN ", refresh_owner" TEXT_COLUMN
    ", refresh_until" NUMBER_COLUMN ", last_updated" NUMBER_COLUMN ")",

    /* The keyed hash of every refresh token ever seen. */
    "CREATE TABLE p2p_grant_alias (hash TEXT NOT NULL PRIMARY KEY, grant_id" NUMBER_COLUMN
    ", create_time" NUMBER_COLUMN ")",

    /* source_hash: keyed hash of definition and source patient. */
    "CREATE TABLE p2p_binding (id BIGINT NOT NULL PRIMARY KEY, target" TEXT_COLUMN ", oidc_server_id" NUMBER_COLUMN
    ", source_hash" TEXT_COLUMN ", target_patient" SEALED_COLUMN ", create_time" NUMBER_COLUMN
    ", UNIQUE (target, oidc_server_id, source_hash))",

    /* retrieved counts landed parts only. */
    "CREATE TABLE p2p_job (id BIGINT NOT NULL PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, version" NUMBER_COLUMN
    ", kind" TEXT_COLUMN ", target" TEXT_COLUMN ", oidc_server_id" NUMBER_COLUMN ", grant_id" NUMBER_COLUMN
    ", client" TEXT_COLUMN ", source_hash" TEXT_COLUMN ", source_patient" SEALED_COLUMN ", target_patient" SEALED_COLUMN
    ", organization" TEXT_COLUMN ", status" TEXT_COLUMN ", attempt" NUMBER_COLUMN ", create_time" NUMBER_COLUMN
    ", start_time" NUMBER_COLUMN ", end_time" NUMBER_COLUMN ", last_updated" NUMBER_COLUMN ", task_id" TEXT_COLUMN
    ", error_code" TEXT_COLUMN ", error_sentence" TEXT_COLUMN ", error_detail" SEALED_COLUMN ", parts" NUMBER_COLUMN
    ", retrieved" NUMBER_COLUMN ", written" NUMBER_COLUMN ", duplicate" NUMBER_COLUMN ", skipped" NUMBER_COLUMN
    ", rejected" NUMBER_COLUMN ", waiting" NUMBER_COLUMN ", bytes" NUMBER_COLUMN ", lease_owner" TEXT_COLUMN
    ", lease_epoch" NUMBER_COLUMN ")",
    /* Claims go through it, whatever the number of jobs; what changes every second is in no index. */
    "CREATE INDEX p2p_job_queue ON p2p_job (target, status, oidc_server_id, id)",
    "CREATE UNIQUE INDEX p2p_job_active ON p2p_job (target, oidc_server_id, source_hash) "
    "WHERE status IN ('STARTING', 'STARTED', 'STOPPING') AND source_hash <> ''",
    "CREATE INDEX p2p_job_grant ON p2p_job (grant_id)",
    "CREATE INDEX p2p_job_server ON p2p_job (oidc_server_id, id)",

    "CREATE TABLE p2p_request (job_id BIGINT NOT NULL REFERENCES p2p_job (id) ON DELETE CASCADE, number" NUMBER_COLUMN
    ", kind" TEXT_COLUMN ", url" SEALED_COLUMN ", PRIMARY KEY (job_id, number))",

    "CREATE TABLE p2p_part (job_id BIGINT NOT NULL REFERENCES p2p_job (id) ON DELETE CASCADE, request" NUMBER_COLUMN
    ", number" NUMBER_COLUMN ", url" SEALED_COLUMN ", next_url" SEALED_COLUMN ", landed" NUMBER_COLUMN
    ", received" NUMBER_COLUMN ", mapped" NUMBER_COLUMN ", landed_at" NUMBER_COLUMN ", retrieved" NUMBER_COLUMN
    ", written" NUMBER_COLUMN ", duplicate" NUMBER_COLUMN ", skipped" NUMBER_COLUMN ", rejected" NUMBER_COLUMN
    ", bytes" NUMBER_COLUMN ", sha256" TEXT_COLUMN ", held" TEXT_COLUMN ", PRIMARY KEY (job_id, request, number))",

    /* A body goes on in further chunks. */
    "CREATE TABLE p2p_rejected (job_id BIGINT NOT NULL REFERENCES p2p_job (id) ON DELETE CASCADE, request" NUMBER_COLUMN
    ", part" NUMBER_COLUMN ", number" NUMBER_COLUMN ", chunk" NUMBER_COLUMN ", outcome" TEXT_COLUMN ", type" TEXT_COLUMN
    ", source_id" SEALED_COLUMN ", code" TEXT_COLUMN ", detail" SEALED_COLUMN ", body" SEALED_COLUMN
    ", PRIMARY KEY (job_id, request, part, number, chunk))",

    /* Narrow, and lease_until in no index: a heartbeat is a HOT update. */
    "CREATE TABLE p2p_runner (owner TEXT NOT NULL PRIMARY KEY, instance" TEXT_COLUMN ", slot" NUMBER_COLUMN
    ", host" TEXT_COLUMN ", pid" NUMBER_COLUMN ", target" TEXT_COLUMN ", start_time" NUMBER_COLUMN
    ", lease_until" NUMBER_COLUMN ")",

    "UPDATE p2p_schema SET version = 1 WHERE id = 1",
    NULL,
};

/* Schema 2. not_before: a job that gave its slot back is left alone until then. trouble_since: of trouble that may pass; 0 while all is
 * well. */
static const char *const schema_2[] = {
    "ALTER TABLE p2p_job ADD COLUMN not_before" NUMBER_COLUMN,
    "ALTER TABLE p2p_job ADD COLUMN trouble_since" NUMBER_COLUMN,

    /* The id that the target gave to what we call source_id, a derived id. */
    "CREATE TABLE p2p_id_map (target TEXT NOT NULL, source_id TEXT NOT NULL, type" TEXT_COLUMN ", target_id" SEALED_COLUMN
    ", create_time" NUMBER_COLUMN ", PRIMARY KEY (target, source_id))",

    /* key_hash and body_hash are keyed hashes. */
    "CREATE TABLE p2p_idempotency (client TEXT NOT NULL, oidc_server_id" NUMBER_COLUMN ", key_hash TEXT NOT NULL, body_hash" TEXT_COLUMN
    ", job_id" NUMBER_COLUMN ", create_time" NUMBER_COLUMN ", PRIMARY KEY (client, oidc_server_id, key_hash))",
    "CREATE INDEX p2p_idempotency_job ON p2p_idempotency (job_id)",

    /* Those that somebody works on, and those that nobody does although they have begun: few, whatever the length of the queue. */
    "CREATE INDEX p2p_job_running ON p2p_job (target, oidc_server_id) WHERE lease_owner <> ''",
    "CREATE INDEX p2p_job_resting ON p2p_job (target, not_before) WHERE status = 'STARTED' AND lease_owner = ''",

    /* Retention goes through them. settled: nothing is kept for a restart. */
    "ALTER TABLE p2p_job ADD COLUMN settled" NUMBER_COLUMN,
    "CREATE INDEX p2p_job_ended ON p2p_job (target, end_time) WHERE status IN ('STOPPED', 'COMPLETED', 'FAILED', 'ABANDONED')",
    "CREATE INDEX p2p_job_restartable ON p2p_job (target, end_time) WHERE status IN ('STOPPED', 'FAILED') AND settled = 0",

    /* Lists, with a status and without. */
    "CREATE INDEX p2p_job_client ON p2p_job (oidc_server_id, client, id)",
    "CREATE INDEX p2p_job_client_status ON p2p_job (oidc_server_id, client, status, id)",

    /* The part that tries the resource again; 0: none does. */
    "ALTER TABLE p2p_rejected ADD COLUMN again_request" NUMBER_COLUMN,
    "ALTER TABLE p2p_rejected ADD COLUMN again_part" NUMBER_COLUMN,

    "UPDATE p2p_schema SET version = 2 WHERE id = 1",
    NULL,
};

/* Schema 3: administration. */
static const char *const schema_3[] = {
    /* Who did what, from where, with what outcome. Rows are never changed; retention removes old ones. object: "oidc_server/3",
     * "batch_job/17". */
    "CREATE TABLE p2p_audit (id BIGINT NOT NULL PRIMARY KEY, time" NUMBER_COLUMN ", client" TEXT_COLUMN ", role" TEXT_COLUMN
    ", address" TEXT_COLUMN ", action" TEXT_COLUMN ", object" TEXT_COLUMN ", status" NUMBER_COLUMN ", code" TEXT_COLUMN ")",
    "CREATE INDEX p2p_audit_object ON p2p_audit (object, id)",
    "CREATE INDEX p2p_audit_client ON p2p_audit (client, id)",
    "CREATE INDEX p2p_audit_time ON p2p_audit (time)",

    /* What an issuer publishes, as a runner fetched it, beginning with the URL source. asked: when its keys were last fetched or asked for. */
    "CREATE TABLE p2p_jwks (issuer TEXT NOT NULL PRIMARY KEY, source" TEXT_COLUMN ", document" TEXT_COLUMN ", introspection_endpoint" TEXT_COLUMN
    ", fetched" NUMBER_COLUMN ", asked" NUMBER_COLUMN ", fault" TEXT_COLUMN ", version" NUMBER_COLUMN ")",

    /* The keys of keyed hashes: the first (number 0) makes them, all find them. They outlive the sealing keys. */
    "CREATE TABLE p2p_hash_key (number BIGINT NOT NULL PRIMARY KEY, value" SEALED_COLUMN ")",

    /* subject: what a job other than an exchange is about; result: what came of it, as JSON. patient_hash: keyed hash of the target
     * patient. */
    "ALTER TABLE p2p_job ADD COLUMN subject" TEXT_COLUMN,
    "ALTER TABLE p2p_job ADD COLUMN result" TEXT_COLUMN,
    "ALTER TABLE p2p_job ADD COLUMN patient_hash" TEXT_COLUMN,
    "CREATE INDEX p2p_job_patient ON p2p_job (oidc_server_id, client, patient_hash, id) WHERE patient_hash <> ''",
    "CREATE INDEX p2p_job_status ON p2p_job (status, id)",
    "CREATE INDEX p2p_job_server_status ON p2p_job (oidc_server_id, status, id)",

    /* What is to be done besides exchanges: never much, and found at once, whatever the number of those. */
    "CREATE INDEX p2p_job_chore ON p2p_job (target, id) WHERE kind <> 'p2p-exchange' AND status IN ('STARTING', 'STARTED')",

    "UPDATE p2p_schema SET version = 3 WHERE id = 1",
    NULL,
};

/* Schema 4: people are told. */
static const char *const schema_4[] = {
    /* The Subscription of a target that delivers to endpoint (P2PHookURL). id: at the target; status: what it says there, "refused" where the
     * target takes none; written: hashes of what was asked for and of what the target made of it. secret_before is good for 24 hours after
     * rotated. due: of the next check. */
    "CREATE TABLE p2p_subscription (target TEXT NOT NULL, endpoint TEXT NOT NULL, id" TEXT_COLUMN ", status" TEXT_COLUMN ", fault" TEXT_COLUMN
    ", written" TEXT_COLUMN ", secret" SEALED_COLUMN ", secret_before" SEALED_COLUMN ", rotated" NUMBER_COLUMN ", checked" NUMBER_COLUMN
    ", attempts" NUMBER_COLUMN ", due" NUMBER_COLUMN ", PRIMARY KEY (target, endpoint))",

    /* How far a target's Tasks are known. began, until: the target's times; searched, due: ours. */
    "CREATE TABLE p2p_task_watch (target TEXT NOT NULL PRIMARY KEY, began" NUMBER_COLUMN ", until" NUMBER_COLUMN ", searched" NUMBER_COLUMN
    ", due" NUMBER_COLUMN ", attempts" NUMBER_COLUMN ", fault" TEXT_COLUMN ")",

    /* Tasks to be looked at; an empty task_id asks for a search. */
    "CREATE TABLE p2p_task_hint (target TEXT NOT NULL, task_id TEXT NOT NULL, version" NUMBER_COLUMN ", noted" NUMBER_COLUMN
    ", PRIMARY KEY (target, task_id))",

    /* What has happened, once: subject is "Task/ID", or "job/UUID/ATTEMPT" of an exchange; status is the Task's. */
    "CREATE TABLE p2p_task_event (target TEXT NOT NULL, subject TEXT NOT NULL, status TEXT NOT NULL, time" NUMBER_COLUMN
    ", PRIMARY KEY (target, subject, status))",
    "CREATE INDEX p2p_task_event_time ON p2p_task_event (time)",

    /* Mail. state: queued, sent, undeliverable, refused; role: member, administrator. address is empty until it has been looked up, and address,
     * patient and details again when they have been erased. recipient_hash: keyed hash of patient and address; admitted: when that was let
     * pass; due: not before; tried: the first time that the server put it off. Ids are no counter's: they are made in others' transactions. */
    "CREATE TABLE p2p_outbox (id BIGINT NOT NULL PRIMARY KEY, version" NUMBER_COLUMN ", target" TEXT_COLUMN ", template" TEXT_COLUMN
    ", role" TEXT_COLUMN ", state" TEXT_COLUMN ", subject" TEXT_COLUMN ", status" TEXT_COLUMN ", address" SEALED_COLUMN
    ", patient" SEALED_COLUMN ", details" SEALED_COLUMN ", recipient_hash" TEXT_COLUMN ", admitted" NUMBER_COLUMN
    ", create_time" NUMBER_COLUMN ", due" NUMBER_COLUMN ", tried" NUMBER_COLUMN ", attempts" NUMBER_COLUMN ", code" TEXT_COLUMN
    ", fault" TEXT_COLUMN ", end_time" NUMBER_COLUMN ")",
    "CREATE INDEX p2p_outbox_due ON p2p_outbox (target, due, id) WHERE state = 'queued'",
    "CREATE INDEX p2p_outbox_recipient ON p2p_outbox (recipient_hash, admitted) WHERE recipient_hash <> ''",
    "CREATE INDEX p2p_outbox_list ON p2p_outbox (target, id)",
    "CREATE INDEX p2p_outbox_state ON p2p_outbox (target, state, id)",
    "CREATE INDEX p2p_outbox_kept ON p2p_outbox (target, end_time) WHERE end_time > 0 AND details <> ''",
    "CREATE INDEX p2p_outbox_ended ON p2p_outbox (target, end_time) WHERE end_time > 0",

    /* Why nothing is mailed for now: a fault of the configuration or of the mail server. */
    "CREATE TABLE p2p_mail_hold (target TEXT NOT NULL PRIMARY KEY, code" TEXT_COLUMN ", fault" TEXT_COLUMN ", since" NUMBER_COLUMN
    ", until" NUMBER_COLUMN ", attempts" NUMBER_COLUMN ")",

    /* Why the target has no Task of the job. */
    "ALTER TABLE p2p_job ADD COLUMN task_fault" TEXT_COLUMN,

    "UPDATE p2p_schema SET version = 4 WHERE id = 1",
    NULL,
};

/* Schema 5: what people see. */
static const char *const schema_5[] = {
    /* Sums of an hour, which the runners keep. hour: its beginning; runner: HOST/SLOT, so that no two of them wait for each other's row; peer:
     * "oidc_server/ID", or "target". completed, failed, stopped: exchanges that ended; resources and bytes: that landed; errors: what a peer
     * answered, or did not, that kept us waiting. */
    "CREATE TABLE p2p_stat (target TEXT NOT NULL, hour BIGINT NOT NULL, runner TEXT NOT NULL, peer TEXT NOT NULL, completed" NUMBER_COLUMN
    ", failed" NUMBER_COLUMN ", stopped" NUMBER_COLUMN ", resources" NUMBER_COLUMN ", bytes" NUMBER_COLUMN ", errors" NUMBER_COLUMN
    ", PRIMARY KEY (target, hour, runner, peer))",

    /* What may need a person. Jobs that wait and those that went well are not in it. */
    "CREATE INDEX p2p_job_failed ON p2p_job (target, end_time) WHERE status = 'FAILED'",

    /* Why a job does not go on at the moment ("" where it does), and until when; when its token was last refreshed. */
    "ALTER TABLE p2p_job ADD COLUMN wait_code" TEXT_COLUMN,
    "ALTER TABLE p2p_job ADD COLUMN wait_until" NUMBER_COLUMN,
    "ALTER TABLE p2p_job ADD COLUMN token_time" NUMBER_COLUMN,

    /* The lists of exchanges alone, and of chores alone: either may be few among the others. */
    "CREATE INDEX p2p_job_kind ON p2p_job (kind, id)",

    /* Where people are sent to sign in, and where their code becomes a token; "" where the issuer tells none. names_issuer: 1 where it says that its
     * answers name it. */
    "ALTER TABLE p2p_jwks ADD COLUMN authorization_endpoint" TEXT_COLUMN,
    "ALTER TABLE p2p_jwks ADD COLUMN token_endpoint" TEXT_COLUMN,
    "ALTER TABLE p2p_jwks ADD COLUMN names_issuer" NUMBER_COLUMN,

    /* Is anybody bound to a definition? */
    "CREATE INDEX p2p_binding_server ON p2p_binding (oidc_server_id)",

    "UPDATE p2p_schema SET version = 5 WHERE id = 1",
    NULL,
};

static const char *const *const steps[P2P_SCHEMA] = {schema_1, schema_2, schema_3, schema_4, schema_5};

/* *version is 0 where there is no schema. */
static p2p_error_t *read_version(p2p_db_t *db, apr_pool_t *p, int *version)
{
    p2p_rows_t rows;

    *version = 0;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_TABLE_EXISTS, &rows, "p2p_schema"));
    if (p2p_rows_int(&rows, 0, 0) == 0) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SCHEMA_VERSION, &rows));
    if (rows.count) *version = (int)p2p_rows_int(&rows, 0, 0);
    return NULL;
}

typedef struct migration_t {
    int from, to;
} migration_t;

/* SQLite's statements break when the schema changes under a runner's feet. */
static p2p_error_t *check_runners(p2p_db_t *db, apr_pool_t *p)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_TABLE_EXISTS, &rows, "p2p_runner"));
    if (p2p_rows_int(&rows, 0, 0) == 0) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_RUNNER_ALIVE, &rows));
    if (p2p_rows_int(&rows, 0, 0) == 0) return NULL;
    return p2p_error_make(p, P2P_E_CONFLICT, "runner-alive",
                          "A runner is at work on this SQLite database: stop httpd, wait 15 seconds, and run migrate again.");
}

static p2p_error_t *take_steps(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    migration_t *migration = baton;

    /* Two migrations at a time wait for each other; on SQLite BEGIN IMMEDIATE sees to it. */
    if (p2p_db_is_pgsql(db)) P2P_TRY(p2p_db_run(db, p, "SELECT pg_advisory_xact_lock(7832710)"));
    P2P_TRY(read_version(db, p, &migration->from));
    migration->to = migration->from;
    if (migration->from >= P2P_SCHEMA) return NULL;
    if (!p2p_db_is_pgsql(db)) P2P_TRY(check_runners(db, p));
    for (int step = migration->from; step < P2P_SCHEMA; step++) {
        for (const char *const *sql = steps[step]; *sql; sql++) P2P_TRY(p2p_db_run(db, p, *sql));
    }
    migration->to = P2P_SCHEMA;
    return NULL;
}

p2p_error_t *p2p_migrate(p2p_db_t *db, apr_pool_t *p, int *from, int *to)
{
    migration_t migration = {0, 0};

    P2P_TRY(p2p_db_transaction(db, p, take_steps, &migration));
    *from = migration.from;
    *to = migration.to;
    return NULL;
}

p2p_error_t *p2p_schema_check(p2p_db_t *db, apr_pool_t *p)
{
    int version;

    P2P_TRY(read_version(db, p, &version));
    if (version == 0) {
        return p2p_error_make(p, P2P_E_CONFLICT, "schema-missing",
                              "The database has no schema yet: run p2p-runner migrate.");
    }
    if (version < P2P_SCHEMA) {
        return p2p_error_make(p, P2P_E_CONFLICT, "schema-unknown",
                              "The database has schema %d, this program needs %d: run p2p-runner migrate.", version,
                              P2P_SCHEMA);
    }
    if (version > P2P_SCHEMA + 1) {
        return p2p_error_make(p, P2P_E_CONFLICT, "schema-unknown",
                              "The database has schema %d, this program knows %d: install the newer program.", version,
                              P2P_SCHEMA);
    }
    return NULL;
}
