/* SPDX-License-Identifier: Apache-2.0 */
/* The table of statements, third part: sums of an hour, and what people see of all jobs together. */
#include "store/sql_private.h"

#define SUMS(s)                                                                                              \
    "CAST(SUM(" s "completed) AS BIGINT) AS completed, CAST(SUM(" s "failed) AS BIGINT) AS failed, "         \
    "CAST(SUM(" s "stopped) AS BIGINT) AS stopped, CAST(SUM(" s "resources) AS BIGINT) AS resources, "       \
    "CAST(SUM(" s "bytes) AS BIGINT) AS bytes, CAST(SUM(" s "errors) AS BIGINT) AS errors"
#define HOUR "3600000000"
#define EXCHANGE "j.kind = 'p2p-exchange'"

/* One in this status at the target t, found through the index, whatever is thought of how many there are. */
#define ONE_OF_TARGET(status) \
    "(SELECT j.id FROM p2p_job j {queued} WHERE j.target = t.target AND j.status = '" status "' ORDER BY j.oidc_server_id LIMIT 1)"

/* Mails in this state, the first 1000 of them. */
#define MAILS_COUNTED(state) \
    "SELECT '" state "' AS state, COUNT(*) FROM (SELECT id FROM p2p_outbox WHERE target = %s AND state = '" state "' ORDER BY id LIMIT 1000) m"

#define AT(statement) [(statement) - P2P_SQL_SEEN]

const p2p_sql_statement_t p2p_sql_seen[P2P_SQL_COUNT - P2P_SQL_SEEN] = {
    AT(P2P_SQL_STAT_ADD) = {"p2p_stat_add",
        "INSERT INTO p2p_stat (target, hour, runner, peer, completed, failed, stopped, resources, bytes, errors) "
        "VALUES (%s, {now} / " HOUR " * " HOUR ", COALESCE((SELECT r.host || '/' || r.slot FROM p2p_runner r WHERE r.owner = %s), %s), "
        "%s, %lld, %lld, %lld, %lld, %lld, %lld) ON CONFLICT (target, hour, runner, peer) DO UPDATE SET "
        "completed = p2p_stat.completed + excluded.completed, failed = p2p_stat.failed + excluded.failed, "
        "stopped = p2p_stat.stopped + excluded.stopped, resources = p2p_stat.resources + excluded.resources, "
        "bytes = p2p_stat.bytes + excluded.bytes, errors = p2p_stat.errors + excluded.errors", "ssssiiiiii", 0},
    AT(P2P_SQL_STAT_TIDY) = {"p2p_stat_tidy",
        "DELETE FROM p2p_stat WHERE (target, hour, runner, peer) IN (SELECT s.target, s.hour, s.runner, s.peer FROM p2p_stat s "
        "WHERE s.target = %s AND s.hour < (SELECT {now}) - " HOUR " - %lld ORDER BY s.hour LIMIT %lld)", "sii", 0},
    AT(P2P_SQL_STAT_HOURS) = {"p2p_stat_hours",
        "SELECT hour, " SUMS("") " FROM p2p_stat WHERE target = %s AND hour >= %lld GROUP BY hour ORDER BY hour", "si", 7},
    AT(P2P_SQL_STAT_PEERS) = {"p2p_stat_peers",
        "SELECT s.peer, COALESCE(o.pid, 0), COALESCE(o.name, ''), s.completed, s.failed, s.stopped, s.resources, s.bytes, s.errors FROM "
        "(SELECT p.peer AS peer, " SUMS("p.") " FROM p2p_stat p WHERE p.target = %s AND p.hour >= %lld GROUP BY p.peer) s "
        "LEFT JOIN p2p_oidc_server o ON s.peer = 'oidc_server/' || o.pid ORDER BY s.errors DESC, s.resources DESC, s.peer LIMIT %lld",
        "sii", 9},

    /* Exchanges that wait, that are worked on, that rest: of the first and the last 1001 at most. */
    AT(P2P_SQL_SEEN_QUEUE) = {"p2p_seen_queue",
        "SELECT (SELECT COUNT(*) FROM (SELECT j.id FROM p2p_job j {queued} WHERE j.target = %s AND j.status = 'STARTING' AND " EXCHANGE
        " ORDER BY j.oidc_server_id, j.id LIMIT 1001) w), "
        "(SELECT COUNT(*) FROM p2p_job j {running} WHERE j.target = %s AND j.lease_owner <> '' AND " EXCHANGE "), "
        "(SELECT COUNT(*) FROM (SELECT j.id FROM p2p_job j {resting} WHERE j.target = %s AND j.status = 'STARTED' AND j.lease_owner = '' AND "
        EXCHANGE " ORDER BY j.not_before LIMIT 1001) r)", "sss", 3},
    /* Since when the first one of each source payer has been queued, the least of that. It steps from payer to payer, as p2p_job_payers does. */
    AT(P2P_SQL_SEEN_OLDEST) = {"p2p_seen_oldest",
        "WITH RECURSIVE payer (server) AS ("
        "SELECT (SELECT q.oidc_server_id FROM p2p_job q {queued} WHERE q.target = %s AND q.status = 'STARTING' "
        "ORDER BY q.oidc_server_id LIMIT 1) UNION ALL "
        "SELECT (SELECT q.oidc_server_id FROM p2p_job q {queued} WHERE q.target = %s AND q.status = 'STARTING' "
        "AND q.oidc_server_id > payer.server ORDER BY q.oidc_server_id LIMIT 1) FROM payer WHERE payer.server IS NOT NULL) "
        "SELECT COALESCE(MIN((SELECT j.last_updated FROM p2p_job j {queued} WHERE j.target = %s AND j.status = 'STARTING' "
        "AND j.oidc_server_id = payer.server AND " EXCHANGE " ORDER BY j.id LIMIT 1)), 0) FROM payer WHERE payer.server IS NOT NULL", "sss", 1},
    AT(P2P_SQL_SEEN_RUNNERS) = {"p2p_seen_runners",
        "SELECT host, COUNT(*), MIN(start_time) FROM p2p_runner WHERE target = %s AND lease_until > {now} GROUP BY host ORDER BY host", "s", 3},
    /* Targets besides this one that have something to do and nobody who does it; from one to the next through the index. */
    AT(P2P_SQL_SEEN_UNSERVED) = {"p2p_seen_unserved",
        "WITH RECURSIVE t (target) AS (SELECT (SELECT q.target FROM p2p_job q {queued} ORDER BY q.target LIMIT 1) UNION ALL "
        "SELECT (SELECT q.target FROM p2p_job q {queued} WHERE q.target > t.target ORDER BY q.target LIMIT 1) FROM t "
        "WHERE t.target IS NOT NULL) SELECT t.target FROM t WHERE t.target IS NOT NULL AND t.target <> %s AND NOT EXISTS (SELECT 1 FROM p2p_runner r "
        "WHERE r.target = t.target AND r.lease_until > {now}) AND COALESCE(" ONE_OF_TARGET("STARTING") ", " ONE_OF_TARGET("STARTED") ", "
        ONE_OF_TARGET("STOPPING") ") IS NOT NULL ORDER BY t.target LIMIT %lld", "si", 1},
    /* What was begun again is FAILED no more. */
    AT(P2P_SQL_SEEN_FAILED) = {"p2p_seen_failed",
        "SELECT j.id, j.oidc_server_id, COALESCE(o.name, ''), j.error_sentence, j.end_time FROM p2p_job j {failed} "
        "LEFT JOIN p2p_oidc_server o ON o.pid = j.oidc_server_id WHERE j.target = %s AND j.end_time > %lld "
        "AND j.status = 'FAILED' AND " EXCHANGE
        " ORDER BY j.end_time DESC LIMIT %lld", "sii", 5},
    AT(P2P_SQL_SEEN_TESTS) = {"p2p_seen_tests",
        "SELECT j.oidc_server_id, o.name, j.status, j.result, j.end_time FROM p2p_job j {tested} "
        "JOIN p2p_oidc_server o ON o.pid = j.oidc_server_id AND o.archived = 0 WHERE j.target = %s AND j.kind = 'definition-test' "
        "AND j.end_time > %lld ORDER BY j.id DESC LIMIT %lld", "sii", 5},
    AT(P2P_SQL_SEEN_UNDELIVERABLE) = {"p2p_seen_undeliverable",
        "SELECT id, role, fault, end_time FROM p2p_outbox WHERE target = %s AND state = 'undeliverable' ORDER BY id DESC LIMIT %lld", "si", 4},
    AT(P2P_SQL_SEEN_MAILS) = {"p2p_seen_mails",
        MAILS_COUNTED("queued") " UNION ALL " MAILS_COUNTED("sent") " UNION ALL " MAILS_COUNTED("undeliverable") " UNION ALL " MAILS_COUNTED("refused"),
        "ssss", 2},
};
