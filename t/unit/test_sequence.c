/* SPDX-License-Identifier: Apache-2.0 */
/* Order for referential integrity: whatever comes in whatever order, no Bundle refers to what is not in it and not written before, and
 * each resource comes out once. */
#include "push_fixture.h"

#include <apr_time.h>

/* Elements of a test with many resources. */
static const char *name_of(int i)
{
    return apr_psprintf(pool, "n%d", i);
}

static void references_forward(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 100, 2);
    begin_world(&world);
    receive_basic(&world, "a", "b c");
    receive_basic(&world, "b", "c");
    run_order(&world);
    assert_int_equal(world.bundles, 0);
    assert_int_equal(p2p_sequence_backlog(world.order), 0); /* what waits holds nothing up */
    receive_basic(&world, "c", "");
    finish_world(&world);
    assert_string_equal(world.lately, "c b a ");
    assert_int_equal(world.bundles, 1);
    end_world(&world);
}

static void refers_to_itself(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 100, 1);
    begin_world(&world);
    receive_basic(&world, "a", "a a");
    finish_world(&world);
    assert_int_equal(world.written, 1);
    end_world(&world);
}

/* Circles whose members come in any order, one after the other. */
static void circles(void **state)
{
    static const char *const orders[] = {"01234", "43210", "20413", "31402"};
    world_t world;
    int i, j;

    (void)state;
    for (i = 0; i < 4; i++) {
        make_world(&world, 100, 2);
        begin_world(&world);
        receive_basic(&world, "p", "q");
        receive_basic(&world, "r", "n2");
        run_order(&world);
        for (j = 0; j < 5; j++) {
            int n = orders[i][j] - '0';

            assert_int_equal(world.bundles, 0);
            receive_basic(&world, name_of(n), name_of((n + 1) % 5));
            run_order(&world);
        }
        assert_int_equal(world.bundles, 1);
        receive_basic(&world, "q", "p");
        finish_world(&world);
        assert_int_equal(world.written, 8);
        end_world(&world);
    }
}

static void circle_beyond_the_bundle(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 10, 3);
    begin_world(&world);
    for (i = 0; i < 7; i++) receive_basic(&world, apr_psprintf(pool, "m%d", i), "");
    for (i = 0; i < 37; i++) receive_basic(&world, name_of(i), name_of((i + 1) % 37));
    receive_basic(&world, "z", "n5 m1");
    finish_world(&world);
    assert_int_equal(world.most_entries, 37);
    end_world(&world);
}

/* What is under way is not at the target yet: what refers to it waits. */
static void under_way(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 1, 4);
    begin_world(&world);
    receive_basic(&world, "a", "");
    run_order(&world);
    assert_int_equal(world.in_flight, 1);
    receive_basic(&world, "b", "a");
    receive_basic(&world, "c", "");
    run_order(&world);
    assert_int_equal(world.in_flight, 2); /* a and c */
    assert_string_equal(world.lately, "c ");
    answer(&world, 1);
    run_order(&world);
    assert_int_equal(world.in_flight, 1);
    answer(&world, 0);
    run_order(&world);
    assert_string_equal(world.lately, "b ");
    finish_world(&world);
    end_world(&world);
}

/* A Bundle that is full in the middle of a search does not let the rest go without it. */
static void full_in_the_middle(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 5, 4);
    begin_world(&world);
    for (i = 0; i < 23; i++) receive_basic(&world, name_of(i), i < 22 ? name_of(i + 1) : "");
    run_order(&world);
    assert_int_equal(world.in_flight, 1);
    assert_int_equal(world.dangling, 0);
    finish_world(&world);
    assert_int_equal(world.bundles, 5);
    end_world(&world);
}

static void chain(int count, int forwards, int together)
{
    apr_time_t begin = apr_time_now();
    world_t world;
    int i;

    make_world(&world, 100, 4);
    begin_world(&world);
    for (i = 0; i < count; i++) {
        int n = forwards ? i : count - 1 - i;

        receive_basic(&world, name_of(n), n < count - 1 ? name_of(n + 1) : "");
        if (!together) run_order(&world);
    }
    finish_world(&world);
    assert_int_equal(world.written, count);
    assert_true(world.bundles < count / 50);
    assert_true(apr_time_now() - begin < apr_time_from_sec(20)); /* quadratic would be minutes */
    end_world(&world);
    renew();
}

static void long_chains(void **state)
{
    (void)state;
    chain(10000, 1, 1);
    chain(10000, 1, 0);
    chain(10000, 0, 1);
    chain(10000, 0, 0);
}

/* Many that wait for one, and one that waits for many. */
static void wide(void **state)
{
    world_t world;
    const char *all = "";
    int i;

    (void)state;
    make_world(&world, 50, 3);
    begin_world(&world);
    for (i = 0; i < 2000; i++) receive_basic(&world, name_of(i), "hub");
    run_order(&world);
    assert_int_equal(world.bundles, 0);
    for (i = 0; i < 300; i++) all = apr_pstrcat(pool, all, name_of(i * 3), " ", NULL);
    receive_basic(&world, "list", all);
    receive_basic(&world, "hub", "");
    finish_world(&world);
    assert_true(world.most_in_flight > 1);
    end_world(&world);
}

static void close_makes_logical(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 100, 1);
    begin_world(&world);
    receive_basic(&world, "a", "b never1");
    receive_basic(&world, "b", "a never2");
    receive(&world, "{\"resourceType\":\"Basic\",\"id\":\"c\",\"x\":[{\"reference\":\"urn:uuid:9\"},{\"reference\":\"Basic?x=y\"},"
                    "{\"reference\":\"https://elsewhere/Basic/1\"},{\"url\":\"Basic/never3\"}]}", NULL);
    run_world(&world);
    assert_int_equal(world.written, 0);
    assert_false(p2p_sequence_is_empty(world.order));
    finish_world(&world);
    assert_int_equal(world.written, 3);
    end_world(&world);
}

static void want(void *baton, const char *url)
{
    world_t *world = baton;

    world->story = apr_pstrcat(world->p, world->story, strrchr(url, '/') + 1, " ", NULL);
}

/* What is wanted is told once, also where the one that waits longest refers to it through others; what does not come is given up. */
static void wanted(void **state)
{
    world_t world;

    (void)state;
    make_world(&world, 100, 1);
    begin_world(&world);
    receive_basic(&world, "a", "b");
    receive_basic(&world, "b", "never");
    receive_basic(&world, "c", "never");
    receive(&world, "{\"resourceType\":\"Basic\",\"id\":\"d\",\"x\":{\"reference\":\"urn:uuid:9\"}}", NULL);
    run_world(&world);
    p2p_sequence_wanted(world.order, world.p, 200, want, &world);
    assert_string_equal(world.story, "never ");
    run_world(&world);
    assert_int_equal(world.written, 1); /* what a urn names is not asked for, and does not come any more */
    p2p_sequence_wanted(world.order, world.p, 200, want, &world);
    assert_string_equal(world.story, "never ");
    run_world(&world);
    assert_int_equal(world.written, 4);
    finish_world(&world);
    end_world(&world);
}

static void later_version(void **state)
{
    world_t world;
    p2p_resource_t *old;

    (void)state;
    make_world(&world, 100, 1);
    begin_world(&world);
    receive_basic(&world, "a", "b");
    receive_basic(&world, "c", "a");
    run_order(&world);
    old = p2p_sequence_replace(world.order, mapped(&world, basic("a", "d"), NULL));
    assert_non_null(strstr(old->bytes, "Basic/b"));
    p2p_resource_free(old);
    run_order(&world);
    receive_basic(&world, "b", "");
    receive_basic(&world, "d", "c");
    finish_world(&world);
    assert_int_equal(world.written, 4);
    end_world(&world);
}

/* A urn that turns out to be another patient's. */
static void names(void **state)
{
    static const char subject[] = "{\"resourceType\":\"Basic\",\"id\":\"%s\",\"subject\":{\"reference\":\"urn:uuid:%s\"}}";
    p2p_resource_t *other;
    p2p_named_t named;
    world_t world;

    (void)state;
    make_world(&world, 100, 1);
    begin_world(&world);
    receive(&world, apr_psprintf(pool, subject, "a", "1"), "urn:uuid:a");
    receive(&world, apr_psprintf(pool, subject, "b", "2"), NULL);
    receive(&world, apr_psprintf(pool, subject, "c", "a"), NULL);
    receive_basic(&world, "d", "b");
    run_world(&world);
    assert_int_equal(world.bundles, 0);
    receive(&world, "{\"resourceType\":\"Patient\",\"id\":\"" MEMBER "\"}", "urn:uuid:1");
    other = mapped(&world, "{\"resourceType\":\"Patient\",\"id\":\"o\"}", "urn:uuid:2");
    named.key = other->key;
    named.type = other->type;
    p2p_id_text(other->digest, named.target_id);
    p2p_seen_add(&world.seen, other->key)->state = P2P_SEEN_GONE;
    p2p_sequence_name(world.order, other->urn, &named);
    p2p_resource_free(other);
    finish_world(&world);
    assert_int_equal(world.skipped, 1);
    assert_int_equal(world.written, 4);
    end_world(&world);
}

/* ---- Bases ---- */

/* Refers to the member, to Basic/late, to what does not come, and elsewhere; the base comes with late, or not at all. */
static void base_comes(int comes, p2p_spool_t *spool)
{
    world_t world;

    renew();
    make_world(&world, 100, 1);
    world.order_settings.spool = spool;
    world.order_settings.waiting_bytes = spool ? 400 : 1 << 20; /* not for any of them */
    begin_world(&world);
    receive(&world, "{\"resourceType\":\"Basic\",\"id\":\"a\",\"subject\":{\"reference\":\"http://inside/Patient/" MEMBER "\"},"
                    "\"x\":[{\"reference\":\"https://elsewhere/Basic/late\"},{\"reference\":\"http://inside/Basic/late\"},"
                    "{\"reference\":\"Basic/never\"}]}", NULL);
    receive_basic(&world, "b", "a");
    receive_basic(&world, "c", "");
    run_world(&world);
    assert_int_equal(world.written, 1);
    receive(&world, "{\"resourceType\":\"Basic\",\"id\":\"late\"}", comes ? "http://inside/Basic/late" : NULL);
    if (comes) p2p_sequence_bases_changed(world.order);
    run_world(&world);
    assert_int_equal(world.written, 2);
    p2p_sequence_wanted(world.order, world.p, 200, want, &world);
    assert_string_equal(world.story, "");
    run_world(&world);
    p2p_sequence_wanted(world.order, world.p, 200, want, &world); /* what stands behind the last of them is asked for, too */
    assert_string_equal(world.story, "never ");
    finish_world(&world);
    assert_int_equal(world.written, 4);
    assert_int_equal(world.skipped, 0);
    end_world(&world);
}

static void bases_learned_later(void **state)
{
    apr_pool_t *p;
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        apr_pool_create(&p, NULL);
        base_comes(i & 1, i & 2 ? p2p_spool_make(p, "/tmp", 1 << 20) : NULL);
        apr_pool_destroy(p);
    }
    renew();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_forward), cmocka_unit_test(refers_to_itself), cmocka_unit_test(circles),
        cmocka_unit_test(circle_beyond_the_bundle), cmocka_unit_test(under_way), cmocka_unit_test(full_in_the_middle),
        cmocka_unit_test(long_chains), cmocka_unit_test(wide), cmocka_unit_test(close_makes_logical), cmocka_unit_test(wanted),
        cmocka_unit_test(later_version), cmocka_unit_test(names),
        cmocka_unit_test(bases_learned_later)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
