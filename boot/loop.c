/*
 * loop.c - the event loop: poll every source, and halt only when all of them had nothing and were
 * armed.
 *
 * Owns include/loop.h. Knows no device: a source is three functions. The order "arm, look again,
 * halt with interrupts enabled in the same step" is what loses no wake-up; each source's arm() does
 * the second look. Read virtio/virtqueue.h for the pattern's other half.
 */
#include "loop.h"

#include <stddef.h>

#include "platform.h"

/*
 * So much of one source's work before the next has its turn: a flood on one device must not starve
 * the others.
 */
#define POLL_BUDGET 64

/* After a turn that did no more than this there is hardly more to find: the look that belongs to arming
 * takes the place of another one, where it finds as much. */
#define LITTLE_WORK 4u

/* So many turns without a halt, in which no interrupt wakes anybody: then all are looked at. */
#define TURNS_ASLEEP_MAX 256u

/* A turn under way. A callback may run a turn of its own, which then knows the outer one. */
struct turn {
    const struct loop_source *polled; /* whose poll is running */
    struct loop_source *next; /* who comes after; loop_remove() moves it on when that one goes */
    struct turn *outer;
};

/*
 * A turn walks the list of those that are awake. Who is asleep is in the other one after the next halt,
 * and comes back before the next turn when it was woken; both are in the order of adding.
 */
static struct loop_source *awake, *sleepers;
static uint64_t first_due_ns = PLATFORM_NO_DEADLINE; /* of the sleepers, or sooner */
volatile bool loop_woken;                            /* some sleeper is no longer asleep */

static struct turn *current_turn;
static bool polling;
static struct loop_stats stats;
static unsigned last_rank;
static unsigned busy_turns; /* since the last halt */

static void insert(struct loop_source **list, struct loop_source *source)
{
    while (*list != NULL && (*list)->rank < source->rank)
        list = &(*list)->next;
    source->next = *list;
    *list = source;
}

/* Takes a source off a list; a turn under way goes on with the one behind it. */
static bool take(struct loop_source **list, struct loop_source *source)
{
    for (; *list != NULL; list = &(*list)->next) {
        if (*list != source)
            continue;
        *list = source->next;
        for (struct turn *turn = current_turn; turn != NULL; turn = turn->outer) {
            if (turn->next == source)
                turn->next = source->next;
        }
        source->next = NULL;
        return true;
    }
    return false;
}

/* Brings back who was woken, or is due by now. */
static void wake_sleepers(uint64_t now_ns)
{
    struct loop_source **link = &sleepers;

    loop_woken = false;
    first_due_ns = PLATFORM_NO_DEADLINE;
    while (*link != NULL) {
        struct loop_source *source = *link;

        if (source->asleep && source->due_ns > now_ns) {
            if (source->due_ns < first_due_ns)
                first_due_ns = source->due_ns;
            link = &source->next;
            continue;
        }
        source->asleep = false;
        *link = source->next;
        insert(&awake, source);
    }
}

void loop_wake_all(void)
{
    for (struct loop_source *source = awake; source != NULL; source = source->next)
        source->asleep = false;
    wake_sleepers(PLATFORM_NO_DEADLINE);
}

static bool is_listed(const struct loop_source *list, const struct loop_source *source)
{
    while (list != NULL && list != source)
        list = list->next;
    return list != NULL;
}

void loop_add(struct loop_source *source)
{
    if (is_listed(awake, source) || is_listed(sleepers, source))
        return;
    source->rank = ++last_rank;
    source->asleep = false;
    insert(&awake, source);
    loop_wake_all(); /* it may be news to others */
}

void loop_remove(struct loop_source *source)
{
    if (!take(&awake, source))
        take(&sleepers, source);
}

void loop_set_polling(bool on)
{
    polling = on;
}

/*
 * A source whose poll is running further out is left alone: none has to be written to be entered
 * twice.
 */
static bool is_polled_already(const struct loop_source *source, const struct turn *turn)
{
    for (; turn != NULL; turn = turn->outer) {
        if (turn->polled == source)
            return true;
    }
    return false;
}

static unsigned poll_all(bool again)
{
    struct turn turn = {.outer = current_turn};
    unsigned done = 0;

    if (++busy_turns % TURNS_ASLEEP_MAX == 0)
        loop_wake_all();
    else if (loop_woken)
        wake_sleepers(0);
    if (first_due_ns != PLATFORM_NO_DEADLINE && first_due_ns <= platform_now_ns())
        wake_sleepers(platform_now_ns());
    current_turn = &turn;
    for (struct loop_source *source = awake; source != NULL; source = turn.next) {
        turn.next = source->next;
        if ((again && source->arm_finds_all) || is_polled_already(source, turn.outer))
            continue;
        turn.polled = source;
        done += source->poll(source->arg, POLL_BUDGET);
    }
    current_turn = turn.outer;
    return done;
}

unsigned loop_turn(void)
{
    return poll_all(false);
}

bool loop_is_nested(void)
{
    return current_turn != NULL && current_turn->outer != NULL;
}

/* Arms every source that is awake. False: one of them has work already. */
static bool arm_all(void)
{
    bool idle = true;

    for (struct loop_source *source = awake; source != NULL; source = source->next) {
        if (source->arm != NULL && !source->arm(source->arg)) {
            source->asleep = false;
            idle = false;
        }
    }
    return idle;
}

uint64_t loop_wait_limit(uint64_t deadline_ns)
{
    uint64_t limit_ns = polling ? platform_now_ns() + LOOP_POLL_INTERVAL_NS : PLATFORM_NO_DEADLINE;

    return deadline_ns < limit_ns ? deadline_ns : limit_ns;
}

/*
 * When a halt must end. Asks the sources that were just armed, behind all arming, which may have changed
 * their minds, and lets those go that sleep, unless the list is being walked.
 */
static uint64_t first_deadline(void)
{
    uint64_t first_ns = first_due_ns;
    struct loop_source **link = &awake;

    while (*link != NULL) {
        struct loop_source *source = *link;

        source->due_ns =
            source->deadline != NULL ? source->deadline(source->arg) : PLATFORM_NO_DEADLINE;
        if (source->due_ns < first_ns)
            first_ns = source->due_ns;
        if (!source->asleep || current_turn != NULL) {
            source->asleep = false;
            link = &source->next;
            continue;
        }
        if (source->due_ns < first_due_ns)
            first_due_ns = source->due_ns;
        *link = source->next;
        insert(&sleepers, source);
    }
    return loop_wait_limit(first_ns);
}

static void halt(uint64_t deadline_ns)
{
    stats.halts++;
    busy_turns = 0;
    platform_wait(deadline_ns);
    if (polling) /* nobody else tells them */
        loop_wake_all();
}

bool loop_is_turning(void)
{
    return current_turn != NULL;
}

/* The sources whose arming finds less than their poll; mostly there are none. */
static unsigned poll_others_again(void)
{
    const struct loop_source *source = awake;

    while (source != NULL && source->arm_finds_all)
        source = source->next;
    return source != NULL ? poll_all(true) : 0;
}

void loop_step(void)
{
    unsigned done = poll_all(false);

    stats.turns++;
    if (done > 0 && done <= LITTLE_WORK && !platform_stop_requested())
        done = poll_others_again();
    if (done == 0) {
        bool idle = arm_all();
        uint64_t deadline_ns = first_deadline(); /* those that sleep are asked now or not at all */

        if (idle)
            halt(deadline_ns);
    }
}

int loop_run(void)
{
    while (!platform_stop_requested())
        loop_step();
    return 0;
}

const struct loop_stats *loop_stats(void)
{
    return &stats;
}
