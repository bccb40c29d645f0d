/*
 * thread.h - light cooperative threads: a stack and a thread-local block each, switched only where
 * a call waits.
 *
 * The thread that app_main() runs in is one of them and owns the event loop: whenever it waits, or
 * in loop_run(), it polls the devices, runs lwIP and all callbacks, and lets every thread that can
 * go on run for a while (the threads are one more source of the loop, loop.h). A thread runs until
 * it waits; so no data needs a lock unless it is held over a wait, and a long computation should
 * call thread_yield() now and then. When the machine is asked to stop while the first thread waits,
 * the program ends by exit(0), as a signal would end it elsewhere. Not for interrupt handlers.
 */
#ifndef FERRULE_THREAD_H
#define FERRULE_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread;

#define THREAD_STACK_DEFAULT (64u << 10)
#define THREAD_STACK_MIN (32u << 10)

/*
 * A thread that begins in entry(arg) as soon as the caller waits. `stack_size` in bytes, 0 for the
 * default; an unmapped page lies below the stack. `name` must outlive it. NULL: no memory. It ends
 * by returning or by thread_exit(), and its memory is freed by thread_join() or, once it is
 * detached, by itself.
 */
struct thread *thread_create(const char *name, void *(*entry)(void *arg), void *arg,
                             size_t stack_size);
void thread_detach(struct thread *thread);

/* Waits for the end of a thread and fetches its result (`result` may be NULL). 0, or -EDEADLK. */
int thread_join(struct thread *thread, void **result);

/* Ends the calling thread; for the first one this is exit(0) once all others have ended. */
void thread_exit(void *result) __attribute__((noreturn));

struct thread *thread_self(void);
const char *thread_name(const struct thread *thread);

/* Lets the devices and all others who can go on have a turn. */
void thread_yield(void);

/* 0 when the time has come, on platform_now_ns()'s clock; -EDEADLK. */
int thread_sleep_until(uint64_t deadline_ns);

/* Threads that wait for one thing; zeroed is empty. It must stay in place while somebody waits. */
struct thread_queue {
    struct thread *first, *last;
};

/* False in a callback of the event loop, which must not wait because nothing would run meanwhile. */
bool thread_can_wait(void);

/*
 * Waits until somebody wakes the queue: 0; until the deadline: -ETIMEDOUT. -EDEADLK: the caller
 * cannot wait.
 */
int thread_wait(struct thread_queue *queue, uint64_t deadline_ns);

/* Lets the one that waits longest go on, or all. They run later, not within the call. */
void thread_wake(struct thread_queue *queue);
void thread_wake_all(struct thread_queue *queue);

#endif
