/*
 * loop.h - the event loop: sources that are polled while there is work, armed when there is none,
 * and a halt in between.
 *
 * Interrupts are hints to poll: no work is done in them. A turn polls each source up to a budget;
 * when a whole turn found nothing, every source is armed (asks its device for a notification); a
 * source that finds new work while arming vetoes the halt. After a turn that found little, only those
 * are polled again whose arming would not find all there is. A source that knows who will bring it
 * work sleeps until then, and costs a turn nothing. See docs/ARCHITECTURE.md. Everything here but
 * loop_wake() runs in loop context.
 */
#ifndef FERRULE_LOOP_H
#define FERRULE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One source of work. The structure belongs to the caller, must stay in place while added, and is
 * zeroed but for what is used.
 */
struct loop_source {
    const char *name;
    /* Does at most `budget` units of work, with notifications off, and returns how many were done.
     * Required. Work, of a driver's: `budget` buffers, what its rings hold, a notification for each
     * of them, and a reset besides; a balloon's is one request. */
    unsigned (*poll)(void *arg, unsigned budget);
    /* Asks for a notification when there is work again. False: there is work already, poll again.
     * NULL: nothing to arm. */
    bool (*arm)(void *arg);
    /* When poll wants to run even without a notification, on platform_now_ns()'s clock, or
     * PLATFORM_NO_DEADLINE. May be NULL. */
    uint64_t (*deadline)(void *arg);
    void *arg;
    /* arm() finds whatever poll() would, left by it or brought by another source since, and gives the
     * device what waits for it. */
    bool arm_finds_all;
    /* Private. */
    volatile bool asleep; /* loop_sleep(), loop_wake() */
    uint64_t due_ns;      /* what deadline() said when it was armed */
    unsigned rank;        /* in the order in which they were added */
    struct loop_source *next;
};

/*
 * Called by a source's own arm(), before it looks whether there is work: it is neither polled nor armed
 * nor asked for its deadline again until loop_wake() or the deadline. So whoever brings it work or an
 * earlier deadline must call loop_wake(), which interrupt handlers may do too. It is woken for nothing
 * when a source is added, and now and then while the loop does not get to halt.
 */
static inline void loop_sleep(struct loop_source *source)
{
    source->asleep = true;
}

static inline void loop_wake(struct loop_source *source)
{
    extern volatile bool loop_woken;

    if (source->asleep) {
        source->asleep = false;
        loop_woken = true;
    }
}

void loop_wake_all(void);

void loop_add(struct loop_source *source);
void loop_remove(struct loop_source *source); /* also from within its own poll; a no-op when it is
                                                 not in the loop */

/*
 * Runs until platform_stop_requested(), then returns 0: what app_main of a server ends with.
 * loop_turn() is one turn without waiting and returns the work done; for code that must wait inside
 * a callback.
 */
int loop_run(void);
unsigned loop_turn(void);

/* One turn, and when there was nothing to do a halt until there is; for code that waits outside of
 * callbacks. */
void loop_step(void);

/* Does a turn run now, so that the caller is a callback or a thread (thread.h)? */
bool loop_is_turning(void);

/* Since the start: turns that loop_step() made, and how many of them ended in a halt. */
struct loop_stats {
    uint64_t turns, halts;
};
const struct loop_stats *loop_stats(void);

/* Is the turn under way one that a callback runs within another? Then the structures that the outer
 * one works on must stay. */
bool loop_is_nested(void);

/*
 * With polling on (`irq=poll`) a halt lasts at most LOOP_POLL_INTERVAL_NS, since no device will end
 * it.
 */
#define LOOP_POLL_INTERVAL_NS 100000
void loop_set_polling(bool polling);

/* How long a wait that begins now may last: `deadline_ns`, or sooner while polling is on. For code
 * that waits outside of the loop. */
uint64_t loop_wait_limit(uint64_t deadline_ns);

#endif
