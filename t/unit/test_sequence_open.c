/* SPDX-License-Identifier: Apache-2.0 */
/* Order with bounded memory: what is written open, circles that are opened, and whatever comes in whatever order: in the end the target
 * holds the same as with all the memory there is. */
#include "push_fixture.h"

static const char *name_of(int i)
{
    return apr_psprintf(pool, "n%d", i);
}

/* What the target holds of a source's resource. */
static const char *stored(const world_t *world, const char *source)
{
    apr_hash_index_t *at;

    for (at = apr_hash_first(world->p, world->sources); at; at = apr_hash_next(at)) {
        const void *id;
        void *name;

        apr_hash_this(at, &id, NULL, &name);
        if (strcmp(name, source) == 0) return apr_hash_get(world->stored, id, APR_HASH_KEY_STRING);
    }
    return NULL;
}

static int refers(const world_t *world, const char *source)
{
    const char *text = stored(world, source);

    return text && strstr(text, "\"reference\"") != NULL;
}

/* ---- Written open ---- */

/* The oldest that wait are written open where more waits than may, in the order they came; nothing is left behind in memory. */
static void oldest_are_written_open(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 10, 2);
    world.order_settings.waiting_bytes = 20000;
    begin_world(&world);
    for (i = 0; i < 100; i++) {
        receive_basic(&world, name_of(i), "late");
        run_world(&world);
        assert_true(p2p_sequence_waiting(world.order) <= 20000);
        assert_false(p2p_sequence_is_over(world.order));
    }
    assert_true(world.opened > 60 && world.opened < 100);
    assert_int_equal(world.left_open, world.opened);
    assert_non_null(stored(&world, "n0"));
    assert_null(stored(&world, "n99"));
    assert_non_null(strstr(stored(&world, "n0"), "urn:ietf:rfc:3986"));
    receive_basic(&world, "late", "");
    run_world(&world);
    assert_true(refers(&world, "n99"));
    assert_false(refers(&world, "n0"));
    give_again(&world);
    for (i = 0; i < 100; i++) assert_true(refers(&world, name_of(i)));
    assert_int_equal(world.left_open, 0);
    finish_world(&world);
    end_world(&world);
}

/* What is open is at the target: others refer to it. */
static void open_counts_as_there(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 10, 1);
    world.order_settings.waiting_bytes = 1;
    begin_world(&world);
    receive_basic(&world, "a", "never");
    run_world(&world);
    assert_int_equal(world.left_open, 1);
    receive_basic(&world, "b", "a");
    run_world(&world);
    assert_true(refers(&world, "b"));
    assert_int_equal(world.left_open, 1);
    finish_world(&world);
    end_world(&world);
}

/* What may be at push is in the Bundle that is being filled, which is not full: it goes, since nothing else would make room. */
static void all_room_is_in_one_bundle(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 100, 1);
    world.order_settings.push_bytes = 3000;
    begin_world(&world);
    for (i = 0; i < 20; i++) receive_basic(&world, name_of(i), "");
    p2p_sequence_run(world.order);
    assert_true(p2p_sequence_has_work(world.order));
    assert_true(p2p_push_is_sending(world.push));
    run_world(&world);
    finish_world(&world);
    for (i = 0; i < 20; i++) assert_non_null(stored(&world, name_of(i)));
    end_world(&world);
}

/* A spool gives the room of what has left it to others, and takes from memory what it can before anything is written open. */
static void spool_is_used_again(void **state)
{
    apr_pool_t *p;
    world_t world;
    int i, round;

    (void)state;
    apr_pool_create(&p, NULL);
    make_world(&world, 10, 1);
    world.order_settings.spool = p2p_spool_make(p, "/tmp", 50 * 1024);
    world.order_settings.waiting_bytes = 6000;
    begin_world(&world);
    receive_basic(&world, "always", "never");
    for (round = 0; round < 20; round++) {
        const char *late = apr_psprintf(pool, "late%d", round);

        for (i = 0; i < 30; i++) receive_basic(&world, apr_psprintf(pool, "n%d-%d", round, i), late);
        run_world(&world);
        assert_int_equal(world.opened, 0);
        assert_true(p2p_sequence_waiting(world.order) <= 6000);
        receive_basic(&world, late, "");
        run_world(&world);
    }
    finish_world(&world);
    end_world(&world);
    apr_pool_destroy(p);
}

/* One that is too large to wait goes before all that is older and small. */
static void large_goes_first(void **state)
{
    const char *padding = memset(apr_pcalloc(pool, 20001), 'x', 20000);
    world_t world;

    (void)state;
    make_world(&world, 10, 1);
    world.order_settings.waiting_bytes = 20000;
    begin_world(&world);
    receive_basic(&world, "small", "late");
    receive(&world, apr_psprintf(pool, "{\"resourceType\":\"Basic\",\"id\":\"large\",\"x\":[{\"reference\":\"Basic/late\"},\"%s\"]}", padding), NULL);
    run_world(&world);
    assert_int_equal(world.opened, 1);
    assert_non_null(stored(&world, "large"));
    finish_world(&world);
    end_world(&world);
}

/* What waits for an answer alone is not written open: it goes by itself. */
static void answers_are_waited_for(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 1, 1);
    world.order_settings.waiting_bytes = 1;
    begin_world(&world);
    receive_basic(&world, "a", "");
    run_order(&world);
    receive_basic(&world, "b", "a");
    run_order(&world);
    assert_true(p2p_sequence_is_over(world.order));
    finish_world(&world);
    assert_int_equal(world.opened, 0);
    end_world(&world);
}

/* ---- Circles ---- */

/* In batches nothing refers to what is in the same Bundle, and a circle takes a second PUT of the one most of it refer to. */
static void circle_in_batches(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 100, 2);
    world.order_settings.batch = 1;
    world.batch = 1;
    begin_world(&world);
    for (i = 0; i < 5; i++) receive_basic(&world, name_of(i), "encounter");
    receive_basic(&world, "encounter", "n0 n1 n2 n3 n4 patient");
    receive_basic(&world, "outside", "encounter");
    run_world(&world);
    assert_int_equal(world.written, 0);
    receive_basic(&world, "patient", "");
    finish_world(&world);
    assert_int_equal(world.firsts, 1);
    assert_int_equal(world.written, 8);
    assert_int_equal(world.left_open, 0);
    for (i = 0; i < 5; i++) assert_true(refers(&world, name_of(i)));
    assert_true(refers(&world, "encounter") && refers(&world, "outside"));
    assert_null(strstr(stored(&world, "encounter"), "urn:ietf:rfc:3986"));
    end_world(&world);
}

/* A circle that is larger than what may wait is opened as well, and comes to the same. */
static void oversize_circle(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 100, 2);
    world.order_settings.waiting_bytes = 10000;
    begin_world(&world);
    for (i = 0; i < 50; i++) receive_basic(&world, name_of(i), name_of((i + 1) % 50));
    finish_world(&world);
    give_again(&world);
    assert_int_equal(world.left_open, 0);
    for (i = 0; i < 50; i++) assert_true(refers(&world, name_of(i)));
    end_world(&world);
}

/* A later version of one whose copy has opened a circle. */
static void later_version_in_a_circle(void **state)
{
    world_t world;
    p2p_resource_t *a;

    (void)state;
    make_world(&world, 100, 1);
    world.order_settings.batch = 1;
    world.batch = 1;
    begin_world(&world);
    receive_basic(&world, "a", "b");
    receive_basic(&world, "b", "a");
    run_order(&world);
    assert_int_equal(world.in_flight, 1);
    a = mapped(&world, basic("a", ""), NULL);
    assert_true(p2p_sequence_holds(world.order, a->key));
    p2p_resource_free(a);
    p2p_resource_free(p2p_sequence_replace(world.order, mapped(&world, basic(strstr(world.lately, "a") ? "a" : "b", "c"), NULL)));
    receive_basic(&world, "c", "");
    finish_world(&world);
    assert_int_equal(world.left_open, 0);
    end_world(&world);
}

/* ---- Anything at all ---- */

static verdict_t refuses_some(world_t *world, const sent_t *sent)
{
    verdict_t verdict = {200, NULL, NULL, NULL, NULL, 0};
    int i;

    for (i = 0; i < sent->count; i++) {
        const char *source = source_of(world, json_object_array_get_idx(sent->entries, i));

        if (source[0] == 'n' && atoi(source + 1) % 11 == (int)(world->seed & 1) * 20 + 3) verdict.status = 422;
    }
    return verdict;
}

static const char *some_references(world_t *world, int count)
{
    const char *refers = "";
    unsigned i, n = next_random(world) % 4;

    for (i = 0; i < n; i++) {
        int to = (int)(next_random(world) % (unsigned)(count + count / 10)); /* some never come */

        refers = apr_pstrcat(pool, refers, name_of(to), " ", NULL);
    }
    return refers;
}

enum { COUNT = 60 };

/* One exchange of a graph that follows from the seed; small: with little memory. Returns what the target holds in the end. */
static apr_hash_t *random_graph(apr_pool_t *p, unsigned seed, int small, p2p_spool_t *spool, int *opened)
{
    apr_hash_t *result = apr_hash_make(p);
    int order[COUNT], i;
    const char *references[COUNT];
    world_t world;

    make_world(&world, 1 + (int)(seed % 9), 1 + (int)(seed % 4));
    world.seed = seed * 7919;
    world.order_settings.batch = world.batch = seed % 7 < 2;
    if (seed % 3 == 0) world.target = refuses_some;
    for (i = 0; i < COUNT; i++) order[i] = i;
    for (i = 0; i < COUNT; i++) {
        int other = (int)(next_random(&world) % COUNT), kept = order[i];

        order[i] = order[other];
        order[other] = kept;
    }
    for (i = 0; i < COUNT; i++) references[i] = some_references(&world, COUNT);
    if (small) world.order_settings.waiting_bytes = 2000 + 500 * (seed % 11);
    world.order_settings.spool = spool;
    begin_world(&world);
    for (i = 0; i < COUNT; i++) {
        receive_basic(&world, name_of(order[i]), references[i]);
        if (next_random(&world) % 3 == 0) run_order(&world);
        if (next_random(&world) % 3 == 0 && world.in_flight) answer(&world, (int)(next_random(&world) % (unsigned)world.in_flight));
    }
    finish_world(&world);
    assert_int_equal(world.received, COUNT);
    for (i = 0; i < 5 && world.left_open; i++) give_again(&world);
    assert_int_equal(world.left_open, 0);
    finish_world(&world);
    for (i = 0; i < COUNT; i++)
        apr_hash_set(result, apr_pstrdup(p, name_of(i)), APR_HASH_KEY_STRING, apr_pstrdup(p, stored(&world, name_of(i))));
    *opened += world.opened;
    end_world(&world);
    return result;
}

static void random_graphs(void **state)
{
    int opened_calm = 0, opened = 0, i;
    unsigned seed;

    (void)state;
    for (seed = 1; seed <= 1000; seed++) {
        apr_hash_t *calm, *tight;
        apr_pool_t *p;

        apr_pool_create(&p, NULL);
        calm = random_graph(p, seed, 0, NULL, &opened_calm);
        tight = random_graph(p, seed, 1, seed % 2 ? p2p_spool_make(p, "/tmp", seed % 5 ? 1 << 20 : 6000) : NULL, &opened);
        for (i = 0; i < COUNT && seed % 3; i++) {
            const char *one = apr_hash_get(calm, name_of(i), APR_HASH_KEY_STRING), *other = apr_hash_get(tight, name_of(i), APR_HASH_KEY_STRING);

            if (strcmp(one ? one : "", other ? other : "") != 0) fail_msg("seed %u: %s\n%s", seed, one, other);
        }
        apr_pool_destroy(p);
        if (seed % 50 == 0) renew();
    }
    assert_true(opened > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_are_written_open), cmocka_unit_test(open_counts_as_there), cmocka_unit_test(all_room_is_in_one_bundle), cmocka_unit_test(spool_is_used_again),
        cmocka_unit_test(large_goes_first), cmocka_unit_test(answers_are_waited_for), cmocka_unit_test(circle_in_batches),
        cmocka_unit_test(oversize_circle), cmocka_unit_test(later_version_in_a_circle), cmocka_unit_test(random_graphs)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
