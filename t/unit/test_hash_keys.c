/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of keyed hashes: made once, the same for all, and not those that values are sealed with. */
#include "job_fixture.h"

#include <sys/wait.h>
#include "store/hash_keys.h"
#include "store/sealed.h"

#define PROCESSES 6

static p2p_keyring_t *hashes_with(const p2p_keyring_t *keyring)
{
    p2p_keyring_t *hashes;

    expect_ok(p2p_hash_keys(db, pool, keyring, &hashes));
    return hashes;
}

static const char *hash_with(const p2p_keyring_t *keys, int i)
{
    return p2p_keyed_hash(pool, keys, i, "purpose", "text");
}

/* A ring of the i-th key of another, and of one more behind it. */
static p2p_keyring_t *ring_of(const p2p_keyring_t *from, int i, int j)
{
    p2p_keyring_t *made = p2p_keyring_make(pool);

    expect_ok(p2p_keyring_add(made, p2p_keyring_text(pool, from, i)));
    if (j >= 0) expect_ok(p2p_keyring_add(made, p2p_keyring_text(pool, from, j)));
    return made;
}

static void made_once(void **state)
{
    p2p_keyring_t *hashes = hashes_with(ring);

    (void)state;
    assert_int_equal(p2p_keyring_count(hashes), 1);
    assert_string_equal(hash_with(hashes, 0), hash_with(hashes_with(ring), 0));
    assert_string_not_equal(hash_with(hashes, 0), hash_with(ring, 0));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_hash_key"), 1);
    assert_int_equal(strncmp(ask_sql("SELECT value FROM p2p_hash_key"), "v1.", 3), 0);
}

/* The sealing key is another one, and its predecessor is gone: what was hashed is found. */
static void outlive_sealing_keys(void **state)
{
    const char *before = hash_with(hashes_with(ring), 0), *text, *sealed;
    p2p_keyring_t *next = p2p_keyring_make(pool), *hashes;

    (void)state;
    add_key(next);
    expect_error(p2p_hash_keys(db, pool, next, &hashes), P2P_E_INTERNAL, "key-missing");
    expect_ok(p2p_unseal_column(pool, ring, "p2p_hash_key", "value", 0, ask_sql("SELECT value FROM p2p_hash_key"), &text));
    expect_ok(p2p_seal_column(pool, next, "p2p_hash_key", "value", 0, text, &sealed));
    run_sql(apr_psprintf(pool, "UPDATE p2p_hash_key SET value = '%s'", sealed));
    assert_string_equal(hash_with(hashes_with(next), 0), before);
}

/* An order makes them, before anything tells that there were programs without. */
static void orders_use_them(void **state)
{
    p2p_job_t *job = enqueue("source-1", "target-1", "refresh-1");
    const char *text = apr_psprintf(pool, "%" APR_INT64_T_FMT " source-1", server->pid);
    const char *hash = p2p_keyed_hash(pool, hashes_with(ring), 0, "source-patient", text);

    (void)state;
    assert_int_equal(p2p_keyring_count(hashes_with(ring)), 1);
    assert_string_not_equal(hash_with(hashes_with(ring), 0), hash_with(ring, 0));
    assert_string_equal(ask_sql("SELECT source_hash FROM p2p_binding"), hash);
    assert_string_equal(ask_sql("SELECT source_hash FROM p2p_job"), hash);
    assert_int_equal(job->id, 1);
}

/* Programs of schema 2 hashed with the sealing keys, each of them in its time. */
static void earlier_hashes_are_found(void **state)
{
    p2p_job_t *job;
    p2p_keyring_t *hashes;
    apr_int64_t id;

    (void)state;
    add_key(ring);
    expect_ok(p2p_db_next_id(db, pool, "binding", &id));
    for (int i = 0; i < 2; i++) {
        const char *target, *text = apr_psprintf(pool, "%" APR_INT64_T_FMT " source-%d", server->pid, i);

        expect_ok(p2p_seal_column(pool, ring, "p2p_binding", "target_patient", 10 + i, "target", &target));
        run_sql(apr_psprintf(pool, "INSERT INTO p2p_binding (id, target, oidc_server_id, source_hash, target_patient) VALUES "
                             "(%d, '%s', %" APR_INT64_T_FMT ", '%s', '%s')", 10 + i, TARGET, server->pid,
                             p2p_keyed_hash(pool, ring, i, "source-patient", text), target));
        run_sql(apr_psprintf(pool, "INSERT INTO p2p_grant_alias (hash, grant_id) VALUES ('%s', 77)",
                             p2p_keyed_hash(pool, ring, i, "refresh-token", apr_psprintf(pool, "%" APR_INT64_T_FMT " r%d", server->pid, i))));
    }
    run_sql("INSERT INTO p2p_grant (id, ended) VALUES (77, 1)");
    for (int i = 0; i < 2; i++) {
        expect_error(try_enqueue(server, apr_psprintf(pool, "source-%d", i), "another", "", &job), P2P_E_CONFLICT, "bound-to-another");
        expect_error(try_enqueue(server, "new", "new", apr_psprintf(pool, "r%d", i), &job), P2P_E_INVALID, "grant-ended");
    }
    hashes = hashes_with(ring);
    assert_int_equal(p2p_keyring_count(hashes), 2);
    /* What programs of schema 2 look for meanwhile is found by them, too. */
    assert_string_equal(hash_with(hashes, 0), hash_with(ring, 0));
    assert_string_equal(hash_with(hashes, 1), hash_with(ring, 1));
    expect_ok(try_enqueue(server, "source-1", "target", "", &job));
}

/* A process of its own: tells the hash that it would make. */
static int tell(const p2p_keyring_t *keyring, int go, int out)
{
    const char *hash;
    char byte;

    apr_pool_create(&pool, root);
    db = open_db(pool);
    if (read(go, &byte, 1)) return 1; /* all begin when the other end is closed */
    hash = hash_with(hashes_with(keyring), 0);
    return write(out, hash, 64) != 64;
}

static void same_for_all(p2p_keyring_t *const *keyrings)
{
    apr_pool_t *kept_pool = pool;
    char first[65] = "", hash[65] = "";
    int go[2], out[2], status;

    assert_int_equal(pipe(go) + pipe(out), 0);
    apr_pool_destroy(connection_pool); /* no connection may be open across fork */
    for (int i = 0; i < PROCESSES; i++) {
        if (fork()) continue;
        close(go[1]);
        _exit(tell(keyrings[i % 2], go[0], out[1]));
    }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(read(out[0], i ? hash : first, 64), 64);
        if (i) assert_string_equal(hash, first);
    }
    close(out[0]);
    close(out[1]);
    pool = kept_pool;
}

static void made_by_many_at_once(void **state)
{
    p2p_keyring_t *const keyrings[2] = {ring, ring};

    (void)state;
    same_for_all(keyrings);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_hash_key"), 1);
}

/* Hosts whose keys stand in different order, while the sealing key is being changed. */
static void made_by_hosts_at_once(void **state)
{
    p2p_keyring_t *keyrings[2];
    apr_int64_t id;

    (void)state;
    add_key(ring);
    keyrings[0] = ring_of(ring, 0, 1);
    keyrings[1] = ring_of(ring, 1, 0);
    expect_ok(p2p_db_next_id(db, pool, "binding", &id));
    same_for_all(keyrings);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_hash_key"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(made_once),
        JOB_TEST(outlive_sealing_keys),
        JOB_TEST(orders_use_them),
        JOB_TEST(earlier_hashes_are_found),
        JOB_TEST(made_by_many_at_once),
        JOB_TEST(made_by_hosts_at_once),
    };

    return run_group("hash keys", tests, sizeof tests / sizeof *tests);
}
