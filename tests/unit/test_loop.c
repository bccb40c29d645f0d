// sources: boot/loop.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c
/*
 * test_loop.c - the event loop (include/loop.h): turns, budgets, arming, halts and deadlines.
 *
 * Sources here are scripts that note when they were called. A halt without a deadline and without a
 * pending interrupt ends the test (hosted/platform_linux.c), so a wake-up that gets lost cannot go
 * unnoticed. Read boot/loop.c next.
 */
#include "support.h"

#include "loop.h"

struct script {
    struct loop_source source;
    unsigned work, polls, arms, largest_budget;
    bool more_on_arm; /* work arrives between the last poll and arming */
    bool sleeps;
    uint64_t deadline_ns;
    void (*in_poll)(struct script *script);
};

static unsigned script_poll(void *arg, unsigned budget)
{
    struct script *script = arg;
    unsigned done = script->work < budget ? script->work : budget;

    script->polls++;
    if (budget > script->largest_budget)
        script->largest_budget = budget;
    script->work -= done;
    if (script->in_poll)
        script->in_poll(script);
    return done;
}

static bool script_arm(void *arg)
{
    struct script *script = arg;

    script->arms++;
    if (script->sleeps)
        loop_sleep(&script->source);
    if (!script->more_on_arm)
        return !script->work;
    script->more_on_arm = false;
    script->work++;
    return false;
}

static uint64_t script_deadline(void *arg)
{
    return ((struct script *)arg)->deadline_ns;
}

static void add(struct script *script, const char *name)
{
    memset(script, 0, sizeof(*script));
    script->deadline_ns = PLATFORM_NO_DEADLINE;
    script->source = (struct loop_source){.name = name,
                                          .poll = script_poll,
                                          .arm = script_arm,
                                          .deadline = script_deadline,
                                          .arg = script};
    loop_add(&script->source);
}

static void every_source_has_its_turn(void **state)
{
    struct script a, b;

    (void)state;
    add(&a, "a");
    add(&b, "b");
    loop_add(&a.source); /* twice is once */
    a.work = 1000;
    b.work = 1;
    assert_true(loop_turn() > 1);
    assert_int_equal(a.polls, 1);
    assert_int_equal(b.polls, 1);
    assert_true(a.largest_budget < 1000);
    while (loop_turn())
        continue;
    assert_int_equal(a.work + b.work, 0);
    assert_int_equal(a.arms + b.arms, 0);
    loop_remove(&a.source);
    loop_remove(&a.source);
    unsigned polls = a.polls;
    loop_turn();
    assert_int_equal(a.polls, polls);
    loop_remove(&b.source);
}

static void stop_when_done(struct script *script)
{
    if (!script->work && script->arms)
        platform_request_stop();
}

static void there_is_no_halt_while_there_is_work(void **state)
{
    struct script a;

    (void)state;
    add(&a, "a");
    a.work = 500;
    a.more_on_arm = true;
    a.in_poll = stop_when_done;
    assert_int_equal(loop_run(), 0);
    assert_int_equal(a.work, 0);
    assert_true(a.arms >= 1);
    assert_int_equal(hosted_wait_count(), 0);
    loop_remove(&a.source);
}

/* After little work the look that arming makes takes the place of another one where it finds as much,
 * and what it finds is work again. */
static void after_little_work_only_some_are_polled_again(void **state)
{
    struct script a, b;

    (void)state;
    add(&a, "a");
    add(&b, "b");
    a.source.arm_finds_all = true;
    a.work = 2;
    a.more_on_arm = true;
    a.deadline_ns = platform_now_ns() + 1000000;
    loop_step();
    assert_int_equal(a.polls, 1);
    assert_int_equal(b.polls, 2);
    assert_int_equal(a.arms, 1);
    assert_int_equal(hosted_wait_count(), 0);
    loop_step();
    assert_int_equal(a.polls, 2);
    assert_int_equal(a.work, 0);
    assert_int_equal(hosted_wait_count(), 1);
    a.work = 500;
    loop_step();
    assert_int_equal(a.arms, 2); /* after much work the next turn comes first */
    loop_remove(&a.source);
    loop_remove(&b.source);
}

static void stop_after_three_waits(struct script *script)
{
    (void)script;
    if (hosted_wait_count() == 3)
        platform_request_stop();
}

static void a_halt_ends_at_the_first_deadline(void **state)
{
    struct script a, b;

    (void)state;
    add(&a, "a");
    add(&b, "b");
    a.deadline_ns = 5000000;
    b.deadline_ns = 2000000;
    b.in_poll = stop_after_three_waits;
    hosted_clock_advance(1);
    assert_int_equal(loop_run(), 0);
    assert_int_equal(platform_now_ns(), 2000000);
    loop_remove(&a.source);
    loop_remove(&b.source);
}

static void with_polling_halts_are_short(void **state)
{
    struct script a;

    (void)state;
    loop_set_polling(true);
    add(&a, "a");
    a.in_poll = stop_after_three_waits;
    assert_int_equal(loop_run(), 0);
    assert_int_equal(platform_now_ns(), 3 * LOOP_POLL_INTERVAL_NS);
    assert_int_equal(loop_wait_limit(platform_now_ns() + 5), platform_now_ns() + 5);
    loop_set_polling(false);
    assert_int_equal(loop_wait_limit(PLATFORM_NO_DEADLINE), PLATFORM_NO_DEADLINE);
    loop_remove(&a.source);
}

static struct script first, second, third;

static void remove_all(struct script *script)
{
    (void)script;
    loop_remove(&first.source);
    loop_remove(&second.source);
    loop_remove(&third.source);
}

static void remove_next(struct script *script)
{
    (void)script;
    loop_remove(&second.source);
}

static void sources_may_be_removed_while_polled(void **state)
{
    (void)state;
    add(&first, "first");
    add(&second, "second");
    add(&third, "third");
    first.in_poll = remove_next;
    loop_turn();
    assert_int_equal(second.polls, 0);
    assert_int_equal(third.polls, 1);
    first.in_poll = remove_all;
    loop_turn();
    assert_int_equal(first.polls, 2);
    assert_int_equal(third.polls, 1);
    loop_turn();
    assert_int_equal(first.polls, 2);
}

/* A step that ends in a halt of a microsecond, unless something is due before. */
static void short_step(struct script *timer)
{
    timer->deadline_ns = platform_now_ns() + 1000;
    loop_step();
}

static void a_source_sleeps_until_it_is_woken(void **state)
{
    struct script a, b;

    (void)state;
    add(&a, "a");
    add(&b, "b");
    a.sleeps = true;
    short_step(&b);
    assert_int_equal(a.polls, 1);
    assert_int_equal(a.arms, 1);
    a.work = 1;
    short_step(&b);
    short_step(&b);
    assert_int_equal(a.polls, 1);
    assert_int_equal(a.arms, 1);
    loop_wake(&a.source);
    short_step(&b);
    assert_int_equal(a.polls, 3); /* it had little to do, so it is looked at again */
    assert_int_equal(a.work, 0);
    assert_int_equal(a.arms, 2);
    short_step(&b);
    assert_int_equal(a.polls, 3);
    loop_remove(&a.source);
    loop_remove(&b.source);
}

static void who_sleeps_is_woken_by_its_deadline(void **state)
{
    struct script a, b;
    uint64_t begin_ns = platform_now_ns();

    (void)state;
    add(&a, "a");
    add(&b, "b");
    a.sleeps = true;
    a.deadline_ns = begin_ns + 2500;
    short_step(&b);
    short_step(&b);
    assert_int_equal(a.polls, 1);
    short_step(&b);
    assert_int_equal(platform_now_ns(), begin_ns + 2500);
    assert_int_equal(a.polls, 1);
    a.deadline_ns = PLATFORM_NO_DEADLINE;
    short_step(&b);
    assert_int_equal(a.polls, 2);
    loop_remove(&a.source);
    loop_remove(&b.source);
}

static void who_finds_work_while_arming_does_not_sleep(void **state)
{
    struct script a;

    (void)state;
    add(&a, "a");
    a.sleeps = a.more_on_arm = true;
    loop_step();
    assert_int_equal(a.polls, 1);
    assert_int_equal(hosted_wait_count(), 0);
    short_step(&a);
    assert_int_equal(a.work, 0);
    assert_int_equal(hosted_wait_count(), 1);
    loop_remove(&a.source);
}

/* No interrupt is taken without a halt, so nobody may sleep for long then. */
static void who_sleeps_is_looked_at_now_and_then(void **state)
{
    struct script a, b, c;

    (void)state;
    add(&a, "a");
    add(&b, "b");
    a.sleeps = true;
    short_step(&b);
    a.work = 1;
    b.work = 10000000;
    while (a.work > 0)
        loop_step();
    assert_true(b.work > 0);
    b.work = 0;
    loop_step();
    short_step(&b);
    unsigned polls = a.polls;
    short_step(&b);
    assert_int_equal(a.polls, polls);
    add(&c, "c");
    loop_step();
    assert_int_equal(a.polls, polls + 1);
    short_step(&b);
    loop_set_polling(true);
    short_step(&b);
    short_step(&b);
    assert_true(a.polls > polls + 1);
    loop_set_polling(false);
    loop_remove(&a.source);
    loop_remove(&b.source);
    loop_remove(&c.source);
}

static void take_a_turn(struct script *script)
{
    (void)script;
    loop_turn();
}

/* A callback that has to wait runs turns of its own: the others go on, itself it is not entered. */
static void a_turn_inside_of_a_turn(void **state)
{
    (void)state;
    add(&first, "first");
    add(&second, "second");
    first.in_poll = take_a_turn;
    second.work = 3;
    loop_turn();
    assert_int_equal(first.polls, 1);
    assert_int_equal(second.polls, 2);
    assert_int_equal(second.work, 0);
    loop_remove(&first.source);
    loop_remove(&second.source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_source_has_its_turn),
        TEST(there_is_no_halt_while_there_is_work),
        TEST(after_little_work_only_some_are_polled_again),
        TEST(a_halt_ends_at_the_first_deadline),
        TEST(with_polling_halts_are_short),
        TEST(a_source_sleeps_until_it_is_woken),
        TEST(who_sleeps_is_woken_by_its_deadline),
        TEST(who_finds_work_while_arming_does_not_sleep),
        TEST(who_sleeps_is_looked_at_now_and_then),
        TEST(sources_may_be_removed_while_polled),
        TEST(a_turn_inside_of_a_turn),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
