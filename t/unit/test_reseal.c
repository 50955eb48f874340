/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the sealing key: every value is sealed anew, opens where it stands, and whoever writes meanwhile wins. */
#include "job_fixture.h"

#include "store/grant_private.h"
#include "store/hash_keys.h"
#include "store/id_map_store.h"
#include "store/reseal.h"
#include "store/sealed.h"
#include "store/sealed_table.h"

#define BODY_LEN 300000 /* two rows of p2p_rejected */

static p2p_keyring_t *old_ring, *both, *new_ring;
static p2p_job_t *worked_on;

/* ---- Something in every column ---- */

static const char *body(void)
{
    char *text = apr_palloc(pool, BODY_LEN + 1);

    for (int i = 0; i < BODY_LEN; i++) text[i] = (char)('a' + i % 23);
    text[BODY_LEN] = '\0';
    return text;
}

static apr_array_header_t *one_rejected(void)
{
    apr_array_header_t *all = apr_array_make(pool, 1, sizeof(p2p_rejected_t *));
    p2p_rejected_t *r = apr_pcalloc(pool, sizeof *r);

    *r = (p2p_rejected_t){.outcome = "rejected", .type = "Patient", .source_id = "source-1", .code = "refused", .detail = "words",
                          .body = body(), .body_len = BODY_LEN};
    APR_ARRAY_PUSH(all, p2p_rejected_t *) = r;
    return all;
}

static const char *sealed_for(const char *table, const char *column, apr_int64_t row)
{
    const char *sealed;

    expect_ok(p2p_seal_column(pool, ring, table, column, row, "value", &sealed));
    return sealed;
}

/* What people are told, and by what the target tells us. */
static void fill_told(void)
{
    run_sql(apr_psprintf(pool, "INSERT INTO p2p_subscription (target, endpoint, secret, secret_before) VALUES ('t', 'e', '%s', '%s')",
                         sealed_for("p2p_subscription", "secret/e", 0), sealed_for("p2p_subscription", "secret_before/e", 0)));
    run_sql(apr_psprintf(pool, "INSERT INTO p2p_outbox (id, address, patient, details) VALUES (1, '%s', '%s', '%s')",
                         sealed_for("p2p_outbox", "address", 1), sealed_for("p2p_outbox", "patient", 1),
                         sealed_for("p2p_outbox", "details", 1)));
}

static int fill(void **state)
{
    p2p_id_pair_t pair = {"p2p-derived", "Patient", "at-target"}, *pairs = &pair;
    const char *sealed;

    begin(state);
    expect_ok(p2p_seal_column(pool, ring, "p2p_oidc_server", "key_file", server->pid, "keys.json", &sealed));
    run_sql(apr_psprintf(pool, "UPDATE p2p_oidc_server SET key_file = '%s'", sealed));
    enqueue("source-1", "target-1", "refresh-1");
    worked_on = claim("A");
    expect_ok(note(worked_on, "A", part(0, 1), part(1, 0), one_rejected()));
    expect_ok(p2p_id_map_note(db, pool, ring, worked_on, "A", &pairs, 1));
    finish(worked_on, "A", P2P_JOB_FAILED);
    expect_ok(p2p_grant_set_access(db, pool, ring, worked_on->grant_id, "access-2"));
    fill_told();
    old_ring = ring;
    new_ring = p2p_keyring_make(pool);
    add_key(new_ring);
    both = p2p_keyring_make(pool);
    expect_ok(p2p_keyring_add(both, p2p_keyring_text(pool, new_ring, 0)));
    expect_ok(p2p_keyring_add(both, p2p_keyring_text(pool, old_ring, 0)));
    return 0;
}

/* ---- Watching ---- */

typedef struct seen_t {
    int progress, unopenable;
    const char *where, *codes;
} seen_t;

static void on_progress(void *baton, const char *table, apr_int64_t resealed)
{
    seen_t *seen = baton;

    assert_non_null(table);
    assert_true(resealed > 0);
    seen->progress++;
}

static void on_unopenable(void *baton, const char *where, const p2p_error_t *error)
{
    seen_t *seen = baton;

    seen->unopenable++;
    seen->where = apr_pstrdup(pool, where);
    seen->codes = apr_pstrcat(pool, seen->codes ? seen->codes : "", error->code, " ", NULL);
}

static apr_int64_t reseal(seen_t *seen)
{
    p2p_reseal_watch_t watch = {on_progress, on_unopenable, seen};
    apr_int64_t resealed;

    memset(seen, 0, sizeof *seen);
    expect_ok(p2p_reseal(db, pool, both, &watch, &resealed));
    return resealed;
}

/* So many values are sealed with the first key of a ring. */
static apr_int64_t sealed_with(const p2p_keyring_t *keys)
{
    apr_array_header_t *counts;
    apr_int64_t sum = 0;

    expect_ok(p2p_sealed_counts(db, pool, &counts));
    for (int i = 0; i < counts->nelts; i++) {
        const p2p_sealed_count_t *count = &APR_ARRAY_IDX(counts, i, p2p_sealed_count_t);

        if (!strcmp(count->key_id, p2p_keyring_id(keys, 0))) sum += count->count;
    }
    return sum;
}

/* ---- Tests ---- */

/* So that none goes untested. */
static void every_column_is_filled(void **state)
{
    apr_array_header_t *counts;
    const p2p_sealed_table_t *table;
    int columns = 0;

    (void)state;
    expect_ok(p2p_sealed_counts(db, pool, &counts));
    for (int i = 0; (table = p2p_sealed_table(i)); i++) columns += p2p_sealed_column_count(table);
    assert_int_equal(counts->nelts, columns);
}

static void read_it_all(const p2p_keyring_t *keys)
{
    p2p_report_at_t at = {.request = -1, .part_request = -1, .resource_request = -1};
    p2p_id_pair_t pair = {"p2p-derived", "Patient", NULL}, *pairs = &pair;
    p2p_oidc_server_t *definition;
    apr_array_header_t *letters, *requests;
    p2p_job_order_t order;
    p2p_report_t report;
    p2p_grant_t *grant;

    expect_ok(p2p_oidc_server_get(db, pool, keys, server->pid, &definition));
    assert_string_equal(definition->client_secret, "se-cret");
    assert_string_equal(definition->key_text, "{\"kty\":\"RSA\"}");
    expect_ok(p2p_grant_get(db, pool, keys, worked_on->grant_id, &grant));
    assert_string_equal(grant->refresh_token, "refresh-1");
    expect_ok(p2p_job_load(db, pool, keys, worked_on, &order, &requests));
    assert_string_equal(order.source_patient, "source-1");
    assert_string_equal(order.target_patient, "target-1");
    expect_ok(p2p_job_report(db, pool, keys, worked_on->id, &at, 100, &report));
    assert_string_equal(APR_ARRAY_IDX(report.requests, 1, p2p_request_t).url, "https://source.example/fhir/Observation?x=url-secret");
    assert_string_equal(APR_ARRAY_IDX(report.parts, 0, p2p_part_t).next_url, "https://source.example/page/1");
    assert_string_equal(APR_ARRAY_IDX(report.resources, 0, p2p_rejected_t).detail, "words");
    expect_ok(p2p_job_letters(db, pool, keys, worked_on->id, 0, 0, -1, -1, &letters));
    assert_int_equal(letters->nelts, 2);
    expect_ok(p2p_id_map_find(db, pool, keys, TARGET, &pairs, 1));
    assert_string_equal(pair.target, "at-target");
}

static void all_opens_with_the_new_key(void **state)
{
    apr_int64_t values = sealed_with(old_ring);
    seen_t seen;

    (void)state;
    read_it_all(both);
    assert_true(values > 15);
    assert_int_equal(reseal(&seen), values);
    assert_int_equal(seen.unopenable, 0);
    assert_true(seen.progress > 8);
    assert_int_equal(sealed_with(old_ring), 0);
    assert_int_equal(sealed_with(new_ring), values);
    read_it_all(new_ring);
    /* Once more changes nothing. */
    assert_int_equal(reseal(&seen), 0);
    assert_int_equal(seen.progress, 0);
}

/* Who was bound, and what was seen, is known after the old key has gone. */
static void hashes_stay(void **state)
{
    p2p_job_t *job;
    seen_t seen;

    (void)state;
    reseal(&seen);
    ring = new_ring;
    expect_error(try_enqueue(server, "source-1", "target-2", "refresh-9", &job), P2P_E_CONFLICT, "bound-to-another");
    expect_ok(try_enqueue(server, "source-1", "target-1", "refresh-1", &job));
    assert_int_equal(job->grant_id, worked_on->grant_id);
}

/* Where no program made the keys of hashes before: what was hashed with the old sealing key is found without it. */
static void earlier_hashes_stay(void **state)
{
    const char *hash = p2p_keyed_hash(pool, old_ring, 0, "purpose", "text");
    p2p_keyring_t *hashes;
    int found = 0;
    seen_t seen;

    (void)state;
    run_sql("DELETE FROM p2p_hash_key");
    reseal(&seen);
    expect_ok(p2p_hash_keys(db, pool, new_ring, &hashes));
    for (int i = 0; i < p2p_keyring_count(hashes); i++) found |= !strcmp(hash, p2p_keyed_hash(pool, hashes, i, "purpose", "text"));
    assert_true(found);
}

static void rows_beyond_a_batch(void **state)
{
    seen_t seen;
    int progress;

    (void)state;
    reseal(&seen);
    progress = seen.progress;
    for (int i = 0; i < 450; i++) {
        p2p_seal_place_t place = {"p2p_request", apr_psprintf(pool, "url/%d", 10 + i), worked_on->id};
        const char *sealed;

        expect_ok(p2p_seal(pool, i % 2 ? old_ring : new_ring, &place, "text", 4, &sealed));
        expect_ok(p2p_db_exec(db, pool, P2P_SQL_REQUEST_INSERT, NULL, worked_on->id, (apr_int64_t)(10 + i), "pages", sealed));
    }
    assert_int_equal(reseal(&seen), 225);
    assert_int_equal(seen.progress, 2);
    assert_true(progress > 2);
    assert_int_equal(sealed_with(old_ring), 0);
}

/* What cannot be opened is named, and holds nothing up. */
static void unopenable(void **state)
{
    p2p_keyring_t *third = p2p_keyring_make(pool);
    apr_int64_t values = sealed_with(old_ring);
    p2p_seal_place_t place = {"p2p_request", "url/1", worked_on->id};
    apr_array_header_t *counts;
    const char *sealed;
    seen_t seen;
    int damaged = 0;

    (void)state;
    add_key(third);
    expect_ok(p2p_seal(pool, third, &place, "text", 4, &sealed));
    run_sql(apr_psprintf(pool, "UPDATE p2p_request SET url = '%s' WHERE number = 1", sealed));
    assert_int_equal(reseal(&seen), values - 1);
    assert_int_equal(seen.unopenable, 1);
    assert_string_equal(seen.codes, "key-missing ");
    assert_string_equal(seen.where, apr_psprintf(pool, "p2p_request %" APR_INT64_T_FMT "/1, url", worked_on->id));
    assert_int_equal(sealed_with(third), 1);
    run_sql("UPDATE p2p_job SET error_detail = 'plain text', source_patient = target_patient");
    assert_int_equal(reseal(&seen), 0);
    assert_string_equal(seen.codes, "cannot-open key-missing "); /* a value of the first key is not looked into */
    expect_ok(p2p_sealed_counts(db, pool, &counts));
    for (int i = 0; i < counts->nelts; i++) damaged += !*APR_ARRAY_IDX(counts, i, p2p_sealed_count_t).key_id;
    assert_int_equal(damaged, 1);
}

/* The statement of a row, as a reseal that has read the row before: its old values, or another in place of one of them. */
static int write_row(const p2p_sealed_table_t *table, const p2p_rows_t *rows, int other)
{
    p2p_sql_statement_t statement = p2p_sealed_write(pool, table);
    int keys = p2p_sealed_key_count(table), columns = p2p_sealed_column_count(table), n = 0, changed = -1;
    const char *args[2 * P2P_SEALED_COLUMNS + P2P_SEALED_KEYS];

    for (int i = 0; i < columns; i++) args[n++] = "new";
    for (int i = 0; i < keys + columns; i++) args[n++] = i == keys + other ? "written meanwhile" : rows->cell[0][i];
    expect_ok(p2p_db_exec_made(db, pool, &statement, args, &changed));
    return changed;
}

static void who_writes_meanwhile_wins(void **state)
{
    const p2p_sealed_table_t *table;

    (void)state;
    for (int i = 0; (table = p2p_sealed_table(i)); i++) {
        p2p_sql_statement_t read = p2p_sealed_read(pool, table);
        const char *args[P2P_SEALED_KEYS + P2P_SEALED_COLUMNS + 1] = {NULL};
        int n = 0;
        p2p_rows_t rows;

        for (; table->types[n]; n++) args[n] = table->types[n] == 'i' ? "-1" : "";
        for (int j = 0; j < p2p_sealed_column_count(table); j++) args[n++] = "v1.00000000.";
        args[n] = "1";
        expect_ok(p2p_db_select_made(db, pool, &read, args, &rows));
        assert_int_equal(rows.count, 1);
        for (int j = 0; j < p2p_sealed_column_count(table); j++) assert_int_equal(write_row(table, &rows, j), 0);
        assert_int_equal(write_row(table, &rows, P2P_SEALED_KEYS + P2P_SEALED_COLUMNS), 1);
    }
}

/* A row that somebody holds is not waited for, and is taken another time. SQLite has no such rows. */
static void held_rows_are_left(void **state)
{
    apr_pool_t *p;
    p2p_db_t *other;
    seen_t seen;
    apr_int64_t values;

    (void)state;
    if (!is_pgsql()) return;
    apr_pool_create(&p, root);
    other = open_db(p);
    expect_ok(p2p_db_run(other, p, "BEGIN"));
    expect_ok(p2p_db_run(other, p, "UPDATE p2p_binding SET create_time = 1"));
    values = sealed_with(old_ring);
    assert_int_equal(reseal(&seen), values - 1);
    assert_int_equal(sealed_with(old_ring), 1);
    expect_ok(p2p_db_run(other, p, "COMMIT"));
    apr_pool_destroy(p);
    assert_int_equal(reseal(&seen), 1);
    assert_int_equal(sealed_with(old_ring), 0);
}

#define FILLED(test) cmocka_unit_test_setup_teardown(test, fill, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILLED(every_column_is_filled), FILLED(all_opens_with_the_new_key), FILLED(hashes_stay), FILLED(earlier_hashes_stay),
        FILLED(rows_beyond_a_batch), FILLED(unopenable), FILLED(who_writes_meanwhile_wins), FILLED(held_rows_are_left),
    };

    return run_group("reseal", tests, sizeof tests / sizeof *tests);
}
