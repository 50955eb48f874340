/* SPDX-License-Identifier: Apache-2.0 */
/* What a target may answer to a Bundle: refusals are pinned on the resource at fault, the rest goes in, what may pass is tried again. */
#include "push_fixture.h"

static const verdict_t fine = {200, NULL, NULL, NULL, NULL, 0};

/* count resources, each referring to the one before. */
static void receive_line(world_t *world, int count)
{
    int i;

    for (i = 0; i < count; i++)
        receive_basic(world, apr_psprintf(pool, "n%d", i), i ? apr_psprintf(pool, "n%d", i - 1) : "");
}

static void set_out(world_t *world, int bundle_size, int connections, verdict_t (*target)(world_t *, const sent_t *))
{
    make_world(world, bundle_size, connections);
    world->target = target;
    begin_world(world);
}

static verdict_t refuses_n13(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    if (holds(world, sent, "n13")) verdict.status = 422;
    return verdict;
}

static void one_at_fault(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 100, 2, refuses_n13);
    receive_line(&world, 40);
    finish_world(&world);
    assert_string_equal(world.story, "n13/422 ");
    assert_int_equal(world.written, 39);
    assert_in_range(world.bundles, 8, 16); /* by halves, not one by one */
    end_world(&world);
}

static verdict_t refuses_all(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)world;
    (void)sent;
    verdict.status = 400;
    verdict.body = "no";
    return verdict;
}

static void all_at_fault(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 10, 3, refuses_all);
    receive_line(&world, 25);
    finish_world(&world);
    assert_int_equal(world.refused, 25);
    end_world(&world);
}

/* A circle that is refused goes one by one, with references into it logical until they are there. */
static verdict_t refuses_b(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    if (holds(world, sent, "b")) verdict.status = 422;
    return verdict;
}

static void circle_at_fault(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 100, 2, refuses_b);
    receive_basic(&world, "a", "b");
    receive_basic(&world, "b", "c");
    receive_basic(&world, "c", "a");
    receive_basic(&world, "d", "a b");
    receive_basic(&world, "e", "");
    finish_world(&world);
    assert_string_equal(world.story, "b/422 ");
    assert_int_equal(world.written, 4);
    end_world(&world);
}

static verdict_t takes_three(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)world;
    if (sent->count > 3) verdict.status = 413;
    return verdict;
}

static void too_large(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 50, 2, takes_three);
    receive_line(&world, 50);
    receive_basic(&world, "a", "b");
    receive_basic(&world, "b", "c");
    receive_basic(&world, "c", "d");
    receive_basic(&world, "d", "a");
    finish_world(&world);
    assert_int_equal(world.refused, 0);
    assert_int_equal(world.written, 54);
    end_world(&world);
}

/* Takes so many entries at most, and counts what it refuses. */
static verdict_t counts_refusals(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    if (sent->count <= 7) return fine;
    world->number++;
    verdict.status = 413;
    return verdict;
}

/* Medplum answers 400 to a Bundle of too many entries. */
static verdict_t counts_in_400(world_t *world, const sent_t *sent)
{
    verdict_t verdict = counts_refusals(world, sent);

    if (verdict.status == 413) verdict.status = 400;
    return verdict;
}

/* A size that was refused is not tried again and again, whatever the status that said so. */
static void size_is_learnt(void **state)
{
    verdict_t (*const targets[])(world_t *, const sent_t *) = {counts_refusals, counts_in_400};
    world_t world;
    int i, k;

    (void)state;
    for (i = 0; i < 2; i++) {
        set_out(&world, 50, 1, targets[i]);
        receive_line(&world, 50);
        run_world(&world);
        for (k = 0; k < 400; k++) receive_basic(&world, apr_psprintf(pool, "m%d", k), "");
        finish_world(&world);
        assert_int_equal(world.written, 450);
        assert_int_equal(world.refused, 0);
        assert_in_range(world.number, 1, 40); /* two Bundles of 50, in halves; not nine of them */
        end_world(&world);
    }
}

/* One large resource says nothing about how many small ones go in at once. */
static verdict_t counts_bytes(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    if (strlen(sent->text) <= 20000) return fine;
    world->number++;
    verdict.status = 413;
    return verdict;
}

static void bytes_are_learnt(void **state)
{
    world_t world;
    char *large = apr_pcalloc(pool, 15001);
    int k;

    (void)state;
    memset(large, 'x', 15000);
    set_out(&world, 50, 1, counts_bytes);
    for (k = 0; k < 4; k++)
        receive(&world, apr_psprintf(pool, "{\"resourceType\":\"Basic\",\"id\":\"l%d\",\"x\":\"%s\"}", k, large), NULL);
    run_world(&world);
    for (k = 0; k < 200; k++) receive_basic(&world, apr_psprintf(pool, "m%d", k), "");
    finish_world(&world);
    assert_int_equal(world.written, 204);
    assert_int_equal(world.most_entries, 50);
    assert_in_range(world.number, 1, 6);
    end_world(&world);
}

static verdict_t refuses_some(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)world;
    if (holds(world, sent, "n13") || holds(world, sent, "n57") || holds(world, sent, "n58")) verdict.status = 422;
    return verdict;
}

static void several_at_fault(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 100, 2, refuses_some);
    receive_line(&world, 100);
    finish_world(&world);
    assert_string_equal(world.story, "n13/422 n57/422 n58/422 ");
    assert_int_equal(world.written, 97);
    assert_in_range(world.bundles, 10, 45);
    end_world(&world);
}

static verdict_t too_slow(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    if (sent->count <= 3) return fine;
    verdict.status = world->number ? 504 : 0;
    if (!world->number) verdict.code = "stalled";
    return verdict;
}

static void timed_out(void **state)
{
    world_t world;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        set_out(&world, 20, 2, too_slow);
        world.number = i;
        receive_line(&world, 20);
        finish_world(&world);
        assert_int_equal(world.written, 20);
        assert_in_range(world.bundles, 14, 16);
        end_world(&world);
    }
}

static verdict_t busy_three_times(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)sent;
    if (world->timer_count) return fine;
    if (world->number++ >= 3) return fine;
    verdict.status = 429;
    verdict.retry_after = "7";
    return verdict;
}

static void retry_after(void **state)
{
    world_t world;
    int i;

    (void)state;
    set_out(&world, 20, 1, busy_three_times);
    receive_line(&world, 5);
    run_order(&world);
    for (i = 0; i < 3; i++) {
        answer(&world, 0);
        assert_int_equal(world.timer_count, 1);
        assert_int_equal(world.in_flight, 0);
        assert_true(world.timers[0].delay == apr_time_from_sec(7));
        fire_timer(&world, 0);
        assert_int_equal(world.in_flight, 1);
    }
    finish_world(&world);
    assert_int_equal(world.bundles, 4);
    end_world(&world);
}

/* Breaks the first so many times with what number says. */
static verdict_t breaks(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)sent;
    if (world->number-- <= 0) return fine;
    verdict.code = "unreachable";
    return verdict;
}

static void broken_connections(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 20, 2, breaks);
    world.number = 4;
    receive_line(&world, 5);
    finish_world(&world);
    assert_int_equal(world.bundles, 5);
    end_world(&world);
    set_out(&world, 20, 2, breaks);
    world.number = 5;
    receive_line(&world, 5);
    run_world(&world);
    assert_string_equal(world.failed, "unreachable");
    end_world(&world);
}

/* Conflicts pass, or are pinned on one in the end. */
static verdict_t conflicts(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    if (holds(world, sent, "n2") && world->number-- > 0) verdict.status = 409;
    return verdict;
}

static void conflict(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 20, 2, conflicts);
    world.number = 2;
    receive_line(&world, 6);
    finish_world(&world);
    assert_int_equal(world.written, 6);
    end_world(&world);
    set_out(&world, 20, 2, conflicts);
    world.number = 1000;
    receive_line(&world, 6);
    finish_world(&world);
    assert_string_equal(world.story, "n2/409 ");
    end_world(&world);
}

/* One entry's status within an answer of 200: number tells how often, timers' count which. */
static verdict_t entry_conflicts(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)sent;
    if (world->number-- <= 0) return fine;
    verdict.entry = "n2";
    verdict.entry_status = 409;
    return verdict;
}

static verdict_t entry_busy(world_t *world, const sent_t *sent)
{
    verdict_t verdict = entry_conflicts(world, sent);

    if (verdict.entry) verdict.entry_status = world->number % 2 ? 429 : 503;
    return verdict;
}

/* That an entry asks for patience is no fault of it: as long as trouble may last it is tried again, without an end to the attempts. */
static void busy_entries(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 20, 2, entry_busy);
    world.trouble.lasts = apr_time_from_sec(3600);
    world.number = 3 * P2P_ATTEMPTS;
    receive_line(&world, 6);
    finish_world(&world);
    assert_int_equal(world.written, 6);
    assert_int_equal(world.bundles, 3 * P2P_ATTEMPTS + 1);
    end_world(&world);
    set_out(&world, 20, 2, entry_busy);
    world.number = 1000;
    receive_line(&world, 6);
    run_world(&world);
    assert_string_equal(world.failed, "target-unavailable");
    end_world(&world);
}

static verdict_t entry_refused(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)world;
    (void)sent;
    verdict.entry = "n2";
    verdict.entry_status = 400;
    return verdict;
}

static void entries_within_an_answer(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 20, 2, entry_conflicts);
    world.number = 3;
    receive_line(&world, 6);
    finish_world(&world);
    assert_int_equal(world.written, 6);
    assert_string_equal(world.lately, "n2 ");
    end_world(&world);
    set_out(&world, 20, 2, entry_conflicts);
    world.number = 1000;
    receive_line(&world, 6);
    finish_world(&world);
    assert_int_equal(world.refused, 1);
    end_world(&world);
    set_out(&world, 20, 2, entry_refused);
    receive_line(&world, 6);
    finish_world(&world);
    assert_string_equal(world.story, "n2/400 ");
    assert_int_equal(world.written, 5);
    end_world(&world);
}

static verdict_t answers(world_t *world, const sent_t *sent)
{
    static const char *const bodies[] = {"", "<html>", "{\"resourceType\":\"Patient\"}", "{\"resourceType\":\"Bundle\"}",
                                         "{\"resourceType\":\"Bundle\",\"entry\":[{},{},{}]}"};
    static const int statuses[] = {401, 403, 404, 405, 503, 429};
    verdict_t verdict = fine;

    (void)sent;
    if (world->number < 5) verdict.body = bodies[world->number];
    else verdict.status = statuses[world->number - 5];
    return verdict;
}

/* Answers with which nothing goes on. */
static void failures(void **state)
{
    static const char *const codes[] = {"target-answer-unusable", "target-answer-unusable", "target-answer-unusable", "target-answer-unusable", "target-answer-unusable",
                                        "target-refuses", "target-refuses", "target-refuses", "target-refuses", "target-unavailable",
                                        "target-unavailable"};
    world_t world;
    int i;

    (void)state;
    for (i = 0; i < 11; i++) {
        set_out(&world, 2, 2, answers);
        world.number = i;
        receive_line(&world, 6);
        run_world(&world);
        assert_string_equal(world.failed ? world.failed : "(none)", codes[i]);
        assert_false(p2p_push_has_room(world.push));
        end_world(&world);
    }
}

/* An end in the midst of it all leaves nothing behind. */
static void dropped(void **state)
{
    world_t world;

    (void)state;
    set_out(&world, 2, 3, busy_three_times);
    receive_line(&world, 10);
    receive_basic(&world, "a", "");
    receive_basic(&world, "b", "");
    receive_basic(&world, "c", "never");
    run_order(&world);
    answer(&world, 0);
    run_order(&world);
    assert_true(world.in_flight > 0);
    assert_int_equal(world.timer_count, 1);
    end_world(&world);
}

/* A target that is away for as long as trouble may last, by a clock that goes on with the timers. */
static apr_time_t driven;

static apr_time_t driven_now(void *baton)
{
    (void)baton;
    return driven;
}

static verdict_t away(world_t *world, const sent_t *sent)
{
    verdict_t verdict = fine;

    (void)sent;
    verdict.status = world->number-- > 0 ? 503 : 200;
    return verdict;
}

/* Answers and waits until all is written or it fails; how many seconds that took. */
static int waited(world_t *world, int refusals)
{
    p2p_trouble_why_t why = P2P_TROUBLE_TOKEN;
    apr_time_t begun;

    set_out(world, 20, 1, away);
    world->clock = (p2p_clock_t){driven_now, driven_now, NULL};
    world->trouble.lasts = apr_time_from_sec(3600);
    world->number = refusals;
    begun = driven = apr_time_from_sec(1000);
    receive_line(world, 5);
    run_order(world);
    while (!world->failed && world->written < 5) {
        if (world->in_flight) answer(world, 0);
        else {
            assert_true(p2p_push_waits_until(world->push, &why) == driven + world->timers[0].delay);
            assert_int_equal(why, P2P_TROUBLE_FAILS);
            driven += world->timers[0].delay;
            fire_timer(world, 0);
        }
        run_order(world);
    }
    return (int)apr_time_sec(driven - begun);
}

static void away_for_long(void **state)
{
    world_t world;

    (void)state;
    assert_in_range(waited(&world, 14), 1100, 2200);
    assert_null(world.failed);
    assert_true(p2p_trouble_lasting(&world.trouble) == 0);
    finish_world(&world);
    end_world(&world);
    assert_in_range(waited(&world, 1000), 3600, 3601);
    assert_string_equal(world.failed, "target-unavailable");
    end_world(&world);
}

static void bounds(void **state)
{
    world_t world;
    int i;

    (void)state;
    make_world(&world, 1000, 2);
    world.push_settings.bundle_bytes = 1500;
    world.push_settings.turn = 17;
    begin_world(&world);
    for (i = 0; i < 50; i++) receive_basic(&world, apr_psprintf(pool, "n%d", i), "");
    run_order(&world);
    assert_int_equal(world.in_flight, 2); /* no more connections than told, and room for few that wait */
    assert_int_equal(world.sent[0].request.turn, 17);
    assert_int_equal(world.sent[0].request.connections, 2);
    assert_true(world.sent[0].request.least_bytes > 0);
    assert_false(p2p_push_has_room(world.push));
    assert_true(p2p_sequence_has_work(world.order));
    assert_true(p2p_push_bytes(world.push) > 1500);
    finish_world(&world);
    assert_in_range(world.most_entries, 3, 12);
    end_world(&world);
}

/* Bundles that wait for other jobs' to come off the connections: one of a job, whatever it may send at once. */
static void in_line(void **state)
{
    world_t world;
    sent_t *sent;
    int i;

    (void)state;
    make_world(&world, 2, 4);
    world.others_first = 1;
    begin_world(&world);
    for (i = 0; i < 20; i++) receive_basic(&world, apr_psprintf(pool, "n%d", i), "");
    run_order(&world);
    assert_int_equal(world.in_flight, 1);
    assert_false(p2p_push_has_room(world.push));
    assert_true(p2p_push_waits_its_turn(world.push));
    assert_int_equal(world.told_of_room, 0);
    for (i = 1; i < 4; i++) {
        sent = &world.sent[i - 1];
        sent->request.begun(sent->request.baton);
        assert_int_equal(world.told_of_room, i);
        assert_true(p2p_push_has_room(world.push));
        assert_false(p2p_push_waits_its_turn(world.push));
        run_order(&world);
        assert_int_equal(world.in_flight, i + 1);
    }
    world.others_first = 0;
    finish_world(&world);
    assert_int_equal(world.written, 20);
    end_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_fault), cmocka_unit_test(all_at_fault), cmocka_unit_test(circle_at_fault), cmocka_unit_test(too_large), cmocka_unit_test(size_is_learnt), cmocka_unit_test(bytes_are_learnt),
        cmocka_unit_test(several_at_fault), cmocka_unit_test(busy_entries),
        cmocka_unit_test(in_line), cmocka_unit_test(timed_out), cmocka_unit_test(retry_after), cmocka_unit_test(broken_connections), cmocka_unit_test(conflict),
        cmocka_unit_test(entries_within_an_answer), cmocka_unit_test(failures), cmocka_unit_test(dropped), cmocka_unit_test(away_for_long), cmocka_unit_test(bounds)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
