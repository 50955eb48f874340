/* SPDX-License-Identifier: Apache-2.0 */
/* How long the queue's calls take: `queue_times DRIVER PARAMS TARGET` makes the schema, reads "claim N", "enqueue N" and "test N" (claims
 * of a chore) from standard input, and answers each with times in microseconds. The connection stays the same, as a runner's does. Of the
 * claimed jobs sixteen are running at a time, the others are ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "store/chore_store.h"
#include "store/job_store.h"
#include "store/migrate.h"
#include "store/oidc_server_store.h"
#include "store/runner_store.h"

#define OWNER "bench"
#define RUNNING 16
#define MOST 100000

typedef struct queue_t {
    apr_pool_t *pool, *scratch;
    p2p_db_t *db;
    p2p_keyring_t *keyring;
    p2p_clock_t clock;
    const char *target;
    p2p_oidc_server_t *server;
    p2p_job_t running[RUNNING];
    int claimed, enqueued;
} queue_t;

static void give_up(const p2p_error_t *error)
{
    if (!error) return;
    fprintf(stderr, "queue_times: %s (%s)\n", error->sentence, error->detail ? error->detail : error->code);
    exit(1);
}

static void log_line(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton, (void)level;
    fprintf(stderr, "# %s\n", line);
}

static const p2p_log_t to_stderr = {P2P_LOG_WARN, log_line, NULL};

static void make_server(queue_t *q)
{
    p2p_oidc_server_t server = {.name = "bench", .issuer = "https://payer.example", .id_namespace = "https://payer.example",
        .client_id = "bench", .client_secret = "", .key_text = "", .key_file = "", .auth_well_known = "", .scopes = "",
        .fhir_endpoint = "https://payer.example/fhir", .token_endpoint = "https://payer.example/token", .custom_token_params = "",
        .response_type = "code", .organization_id = "", .notes = ""};
    apr_array_header_t *servers = apr_array_make(q->pool, 1, sizeof server);
    int created, updated;

    APR_ARRAY_PUSH(servers, p2p_oidc_server_t) = server;
    give_up(p2p_oidc_server_import(q->db, q->pool, q->keyring, servers, &created, &updated));
    q->server = &APR_ARRAY_IDX(servers, 0, p2p_oidc_server_t);
}

static void make_queue(queue_t *q, const char *driver, const char *params)
{
    const char *key;
    int from, to;

    q->clock = p2p_clock_system();
    give_up(p2p_db_open(q->pool, driver, params, &to_stderr, &q->db));
    give_up(p2p_migrate(q->db, q->pool, &from, &to));
    q->keyring = p2p_keyring_make(q->pool);
    give_up(p2p_key_generate(q->pool, &key));
    give_up(p2p_keyring_add(q->keyring, key));
    make_server(q);
}

static void end_oldest(queue_t *q, p2p_job_t *job)
{
    p2p_job_ending_t ending = {.status = P2P_JOB_COMPLETED};

    give_up(p2p_job_finish(q->db, q->scratch, q->keyring, job, OWNER, &ending));
}

static apr_time_t now(const queue_t *q)
{
    return q->clock.monotonic(q->clock.baton);
}

static apr_time_t claim(queue_t *q)
{
    apr_time_t begin;
    p2p_job_t *job;
    p2p_job_t *slot = &q->running[q->claimed % RUNNING];

    if (q->claimed++ >= RUNNING) end_oldest(q, slot);
    begin = now(q);
    give_up(p2p_job_claim(q->db, q->scratch, q->target, OWNER, &job));
    begin = now(q) - begin;
    if (!job) {
        fprintf(stderr, "queue_times: the queue is empty\n");
        exit(1);
    }
    *slot = *job;
    slot->target = q->target; /* the claim's strings go with the scratch pool */
    slot->kind = P2P_KIND_EXCHANGE;
    return begin;
}

static apr_time_t enqueue(queue_t *q)
{
    const char *patient = apr_psprintf(q->scratch, "enqueued-%d", q->enqueued++);
    p2p_job_order_t order = {patient, patient, patient, patient, "bench", apr_array_make(q->scratch, 1, sizeof(const char *))};
    p2p_job_t *job;
    apr_time_t begin = now(q);

    APR_ARRAY_PUSH(order.urls, const char *) = "https://payer.example/fhir/Patient/1/$everything";
    give_up(p2p_job_enqueue(q->db, q->scratch, q->keyring, q->target, q->server, &order, "bench", &job));
    return now(q) - begin;
}

/* A chore that has just been asked for, and a look that finds no other. */
static apr_time_t test(queue_t *q)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_TEST, .target = q->target, .subject = "", .client = "bench", .server_id = q->server->pid};
    p2p_chore_t *chore, *none;
    apr_time_t begin;
    int again;

    give_up(p2p_chore_enqueue(q->db, q->scratch, &order, &chore, &again));
    begin = now(q);
    give_up(p2p_chore_claim(q->db, q->scratch, q->target, OWNER, &chore));
    give_up(p2p_chore_claim(q->db, q->scratch, q->target, OWNER, &none));
    begin = now(q) - begin;
    if (!chore || none) {
        fprintf(stderr, "queue_times: no chore, or one too many\n");
        exit(1);
    }
    give_up(p2p_chore_finish(q->db, q->scratch, chore, OWNER, P2P_JOB_COMPLETED, "{}", NULL));
    return begin;
}

static int by_time(const void *a, const void *b)
{
    const apr_time_t *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

static void run(queue_t *q, apr_time_t (*call)(queue_t *q), int count)
{
    static apr_time_t took[MOST];
    int i;

    give_up(p2p_runner_register(q->db, q->scratch, OWNER, "bench", 0, "localhost", 1, q->target));
    for (i = 0; i < count; i++) {
        took[i] = call(q);
        give_up(p2p_runner_heartbeat(q->db, q->scratch, OWNER));
        apr_pool_clear(q->scratch);
    }
    for (i = q->claimed < RUNNING ? q->claimed : RUNNING; i > 0; i--) end_oldest(q, &q->running[i - 1]);
    q->claimed = 0;
    qsort(took, (size_t)count, sizeof *took, by_time);
    printf("{\"p50\":%ld,\"p99\":%ld,\"max\":%ld}\n", (long)took[count / 2], (long)took[count * 99 / 100], (long)took[count - 1]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    queue_t q = {0};
    char line[64];

    if (argc != 4) return 64;
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&q.pool, NULL);
    apr_dbd_init(q.pool);
    apr_pool_create(&q.scratch, q.pool);
    q.target = argv[3];
    make_queue(&q, argv[1], argv[2]);
    while (fgets(line, sizeof line, stdin)) {
        int count = atoi(strchr(line, ' ') ? strchr(line, ' ') : "");

        if (count < 1 || count > MOST) return 64;
        run(&q, *line == 'c' ? claim : *line == 't' ? test : enqueue, count);
    }
    apr_pool_destroy(q.pool);
    return 0;
}
