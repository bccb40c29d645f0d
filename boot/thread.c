/*
 * thread.c - who runs: cooperative threads as a source of the event loop.
 *
 * Owns include/thread.h. Only the first thread's context ever runs the loop: a source's poll
 * switches to each thread that can go on, and a thread that waits switches back. So callbacks have
 * one stack, and a turn of the loop is never left half done. Read include/thread_context.h next.
 */
#include "thread.h"

#include <errno.h>
#include <stdlib.h>

#include "loop.h"
#include "platform.h"
#include "thread_context.h"

struct thread {
    struct thread_context *context;
    const char *name;
    void *(*entry)(void *arg);
    void *arg, *result;
    bool finished, detached, waiting;
    int wait_result;
    struct thread_queue *queue; /* in which it waits, or NULL: only for the time */
    uint64_t deadline_ns;
    struct thread *next;                     /* in that queue, or among those that can run */
    struct thread *timed_next, **timed_link; /* among those with a deadline */
    struct thread_queue joiners;
};

static struct thread first = {.name = "main"};
static struct thread *current = &first;
static struct thread_queue runnable;
static bool first_woken; /* the first thread's wait is over, so the loop must not halt */
static struct thread *timed;
static uint64_t next_deadline_ns = PLATFORM_NO_DEADLINE; /* at most the earliest of `timed` */
static unsigned alive;                                   /* threads beside the first */
static struct thread_queue last_end;                     /* who waits for all others to end */

/* ---- lists ---- */

static void queue_append(struct thread_queue *queue, struct thread *thread)
{
    thread->next = NULL;
    if (queue->first == NULL)
        queue->first = thread;
    else
        queue->last->next = thread;
    queue->last = thread;
}

static struct thread *queue_take(struct thread_queue *queue)
{
    struct thread *thread = queue->first;
    if (thread != NULL)
        queue->first = thread->next;
    return thread;
}

static void queue_remove(struct thread_queue *queue, struct thread *thread)
{
    struct thread *before = NULL;
    for (struct thread *at = queue->first; at != thread; at = at->next)
        before = at;
    if (before == NULL)
        queue->first = thread->next;
    else
        before->next = thread->next;
    if (queue->last == thread)
        queue->last = before;
}

static void timed_add(struct thread *thread)
{
    thread->timed_link = &timed;
    thread->timed_next = timed;
    if (timed != NULL)
        timed->timed_link = &thread->timed_next;
    timed = thread;
    if (thread->deadline_ns < next_deadline_ns)
        next_deadline_ns = thread->deadline_ns;
}

static void timed_remove(struct thread *thread)
{
    if (thread->deadline_ns == PLATFORM_NO_DEADLINE)
        return;
    *thread->timed_link = thread->timed_next;
    if (thread->timed_next != NULL)
        thread->timed_next->timed_link = thread->timed_link;
}

/* ---- waiting and waking ---- */

/* The wait of a thread that is in no queue any more is over. */
static void go_on(struct thread *thread, int result)
{
    timed_remove(thread);
    thread->waiting = false;
    thread->wait_result = result;
    if (thread != &first)
        queue_append(&runnable, thread);
    else
        first_woken = true; /* it looks itself, after this turn of the loop */
}

static void wake_timed(void)
{
    uint64_t now_ns = platform_now_ns();
    struct thread *next;
    if (now_ns < next_deadline_ns)
        return;
    next_deadline_ns = PLATFORM_NO_DEADLINE;
    for (struct thread *thread = timed; thread != NULL; thread = next) {
        next = thread->timed_next;
        if (thread->deadline_ns > now_ns) {
            if (thread->deadline_ns < next_deadline_ns)
                next_deadline_ns = thread->deadline_ns;
            continue;
        }
        if (thread->queue != NULL)
            queue_remove(thread->queue, thread);
        go_on(thread, -ETIMEDOUT);
    }
}

static void destroy(struct thread *thread)
{
    thread_context_destroy(thread->context);
    free(thread);
}

static void run(struct thread *thread)
{
    current = thread;
    thread_context_switch(first.context, thread->context);
    current = &first;
    if (!thread->finished)
        return;
    if (--alive == 0)
        thread_wake_all(&last_end);
    if (thread->detached)
        destroy(thread);
    else
        thread_wake_all(&thread->joiners);
}

/* ---- the source of the loop ---- */

/* Whoever becomes able to run meanwhile has to wait for the next turn, and devices come first. */
static unsigned threads_poll(void *arg, unsigned budget)
{
    unsigned done = 0;
    (void)arg;
    (void)budget;
    wake_timed();
    if (runnable.first == NULL)
        return 0;
    struct thread *last = runnable.last;
    for (struct thread *thread = NULL; thread != last; done++) {
        thread = queue_take(&runnable);
        run(thread);
    }
    return done;
}

static bool threads_arm(void *arg)
{
    (void)arg;
    return runnable.first == NULL && !first_woken;
}

static uint64_t threads_deadline(void *arg)
{
    (void)arg;
    return next_deadline_ns;
}

static struct loop_source threads_source = {
    .name = "threads",
    .poll = threads_poll,
    .arm = threads_arm,
    .deadline = threads_deadline,
};

/* ---- waiting ---- */

/* The first thread runs the loop while it waits, unless it is in there already. */
static int wait_in_loop(void)
{
    while (first.waiting) {
        if (platform_stop_requested())
            exit(0);
        loop_step();
    }
    first_woken = false;
    return first.wait_result;
}

bool thread_can_wait(void)
{
    return current != &first || !loop_is_turning();
}

/* Waits in a queue, or for the time only. */
static int wait(struct thread_queue *queue, uint64_t deadline_ns)
{
    struct thread *thread = current;
    if (!thread_can_wait())
        return -EDEADLK;
    loop_add(&threads_source);
    thread->queue = queue;
    thread->deadline_ns = deadline_ns;
    thread->waiting = true;
    if (queue != NULL)
        queue_append(queue, thread);
    if (deadline_ns != PLATFORM_NO_DEADLINE)
        timed_add(thread);
    if (thread == &first)
        return wait_in_loop();
    thread_context_switch(thread->context, first.context);
    return thread->wait_result;
}

int thread_wait(struct thread_queue *queue, uint64_t deadline_ns)
{
    return wait(queue, deadline_ns);
}

int thread_sleep_until(uint64_t deadline_ns)
{
    int result = wait(NULL, deadline_ns);
    return result == -ETIMEDOUT ? 0 : result;
}

void thread_wake(struct thread_queue *queue)
{
    struct thread *thread = queue_take(queue);
    if (thread != NULL)
        go_on(thread, 0);
}

void thread_wake_all(struct thread_queue *queue)
{
    while (queue->first != NULL)
        thread_wake(queue);
}

void thread_yield(void)
{
    if (current == &first) {
        if (!loop_is_turning())
            loop_turn();
        return;
    }
    queue_append(&runnable, current);
    thread_context_switch(current->context, first.context);
}

/* ---- life ---- */

static void begin(void *arg)
{
    struct thread *thread = arg;
    thread_exit(thread->entry(thread->arg));
}

struct thread *thread_create(const char *name, void *(*entry)(void *arg), void *arg,
                             size_t stack_size)
{
    struct thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return NULL;
    if (stack_size == 0)
        stack_size = THREAD_STACK_DEFAULT;
    if (stack_size < THREAD_STACK_MIN)
        stack_size = THREAD_STACK_MIN;
    thread->name = name;
    thread->entry = entry;
    thread->arg = arg;
    thread->deadline_ns = PLATFORM_NO_DEADLINE;
    thread->context = thread_context_create(name, stack_size, begin, thread);
    if (thread->context == NULL) {
        free(thread);
        return NULL;
    }
    first.context = thread_context_main();
    loop_add(&threads_source);
    alive++;
    queue_append(&runnable, thread);
    return thread;
}

void thread_detach(struct thread *thread)
{
    thread->detached = true;
    if (thread->finished)
        destroy(thread);
}

int thread_join(struct thread *thread, void **result)
{
    if (thread == current || thread == &first)
        return -EDEADLK;
    while (!thread->finished) {
        int error = thread_wait(&thread->joiners, PLATFORM_NO_DEADLINE);
        if (error != 0)
            return error;
    }
    if (result != NULL)
        *result = thread->result;
    destroy(thread);
    return 0;
}

void thread_exit(void *result)
{
    if (current == &first) {
        while (alive > 0 && thread_wait(&last_end, PLATFORM_NO_DEADLINE) == 0)
            ;
        exit(0);
    }
    thread_data_free();
    current->result = result;
    current->finished = true;
    thread_context_switch(current->context, first.context);
    platform_panic("thread %s ran on after its end", current->name);
}

struct thread *thread_self(void)
{
    return current;
}

const char *thread_name(const struct thread *thread)
{
    return thread->name;
}
