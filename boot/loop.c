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

/* A turn under way. A callback may run a turn of its own, which then knows the outer one. */
struct turn {
    const struct loop_source *polled; /* whose poll is running */
    struct loop_source *next; /* who comes after; loop_remove() moves it on when that one goes */
    struct turn *outer;
};

static struct loop_source *sources;
static struct turn *current_turn;
static bool polling;
static struct loop_stats stats;

void loop_add(struct loop_source *source)
{
    struct loop_source **link = &sources;

    while (*link != NULL) {
        if (*link == source)
            return;
        link = &(*link)->next;
    }
    source->next = NULL;
    *link = source;
}

void loop_remove(struct loop_source *source)
{
    for (struct loop_source **link = &sources; *link != NULL; link = &(*link)->next) {
        if (*link != source)
            continue;
        *link = source->next;
        for (struct turn *turn = current_turn; turn != NULL; turn = turn->outer) {
            if (turn->next == source)
                turn->next = source->next;
        }
        source->next = NULL;
        return;
    }
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

    current_turn = &turn;
    for (struct loop_source *source = sources; source != NULL; source = turn.next) {
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

/* Arms every source. False: one of them has work already. */
static bool arm_all(void)
{
    bool idle = true;

    for (struct loop_source *source = sources; source != NULL; source = source->next) {
        if (source->arm != NULL && !source->arm(source->arg))
            idle = false;
    }
    return idle;
}

uint64_t loop_wait_limit(uint64_t deadline_ns)
{
    uint64_t limit_ns = polling ? platform_now_ns() + LOOP_POLL_INTERVAL_NS : PLATFORM_NO_DEADLINE;

    return deadline_ns < limit_ns ? deadline_ns : limit_ns;
}

static uint64_t first_deadline(void)
{
    uint64_t first_ns = PLATFORM_NO_DEADLINE;

    for (struct loop_source *source = sources; source != NULL; source = source->next) {
        uint64_t deadline_ns =
            source->deadline != NULL ? source->deadline(source->arg) : PLATFORM_NO_DEADLINE;

        if (deadline_ns < first_ns)
            first_ns = deadline_ns;
    }
    return loop_wait_limit(first_ns);
}

bool loop_is_turning(void)
{
    return current_turn != NULL;
}

/* The sources whose arming finds less than their poll; mostly there are none. */
static unsigned poll_others_again(void)
{
    const struct loop_source *source = sources;

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
    if (done == 0 && arm_all()) {
        stats.halts++;
        platform_wait(first_deadline());
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
