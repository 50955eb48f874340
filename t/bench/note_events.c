/* SPDX-License-Identifier: Apache-2.0 */
/* Notes events, with the mails that they lead to, as a runner does that has read a Task or ended a job: `note_events SPEC add-payer|exchange STATUS
 * FIRST COUNT PATIENT EMAIL`, many in one transaction. SPEC is a specification as runners get it; "#" in PATIENT and EMAIL is the event's number. Prints how many events were
 * new. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "store/task_event_store.h"

#define SPEC_BYTES (1 << 20)
#define ARGUMENTS 8

typedef struct events_t {
    apr_pool_t *pool;
    p2p_spec_t *spec;
    p2p_db_t *db;
    p2p_event_kind_t kind;
    const char *status, *patient, *email;
    int fresh;
} events_t;

#define AT_ONCE 500 /* events in a transaction */

typedef struct batch_t {
    events_t *events;
    int first, count;
} batch_t;

static void give_up(const p2p_error_t *error)
{
    if (!error) return;
    fprintf(stderr, "note_events: %s (%s)\n", error->sentence, error->detail ? error->detail : error->code);
    exit(1);
}

static void log_line(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton, (void)level;
    fprintf(stderr, "# %s\n", line);
}

static const p2p_log_t to_stderr = {P2P_LOG_WARN, log_line, NULL};

static void read_spec(events_t *e, const char *path)
{
    char *text = apr_palloc(e->pool, SPEC_BYTES);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, SPEC_BYTES, file) : 0;

    if (!len) {
        fprintf(stderr, "note_events: %s cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    give_up(p2p_spec_parse(e->pool, text, len, &e->spec));
    give_up(p2p_db_open(e->pool, e->spec->db_driver, e->spec->db_params, &to_stderr, &e->db));
}

static const char *numbered(apr_pool_t *p, const char *text, int number)
{
    const char *mark = strchr(text, '#');

    return mark ? apr_psprintf(p, "%.*s%d%s", (int)(mark - text), text, number, mark + 1) : text;
}

static p2p_error_t *note_one(events_t *e, p2p_db_t *db, apr_pool_t *p, int number)
{
    p2p_task_event_t event = {.kind = e->kind, .status = e->status, .task_id = "", .payer = "New Payer", .member_name = "Anna Example",
                              .member_phone = "555-0100", .reason = ""};
    int first;

    event.patient = numbered(p, e->patient, number);
    event.email = numbered(p, e->email, number);
    if (e->kind == P2P_EVENT_EXCHANGE) {
        event.subject = apr_psprintf(p, "job/00000000-0000-4000-8000-%012d/1", number);
        event.job = number;
        event.reason = "The source does not answer.";
    } else {
        event.task_id = apr_psprintf(p, "task-%d", number);
        event.subject = apr_pstrcat(p, "Task/", event.task_id, NULL);
    }
    P2P_TRY(p2p_task_event_note(db, p, e->spec->keyring, e->spec->target, &event, p2p_task_event_mails(p, e->spec, &event), &first));
    e->fresh += first;
    return NULL;
}

static p2p_error_t *note(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const batch_t *batch = baton;

    for (int i = 0; i < batch->count; i++) P2P_TRY(note_one(batch->events, db, p, batch->first + i));
    return NULL;
}

static void note_all(events_t *e, int first, int count)
{
    for (int i = 0; i < count; i += AT_ONCE) {
        batch_t batch = {e, first + i, count - i < AT_ONCE ? count - i : AT_ONCE};
        apr_pool_t *p;

        apr_pool_create(&p, e->pool);
        give_up(p2p_db_transaction(e->db, p, note, &batch));
        apr_pool_destroy(p);
    }
}

int main(int argc, const char *const *argv)
{
    events_t e = {0};

    if (argc != ARGUMENTS) {
        fprintf(stderr, "note_events SPEC add-payer|exchange STATUS FIRST COUNT PATIENT EMAIL\n");
        return 2;
    }
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&e.pool, NULL);
    apr_dbd_init(e.pool);
    read_spec(&e, argv[1]);
    e.kind = strcmp(argv[2], "exchange") ? P2P_EVENT_ADD_PAYER : P2P_EVENT_EXCHANGE;
    e.status = argv[3];
    e.patient = argv[6];
    e.email = argv[7];
    note_all(&e, atoi(argv[4]), atoi(argv[5]));
    printf("%d\n", e.fresh);
    apr_pool_destroy(e.pool);
    return 0;
}
