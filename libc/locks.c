/*
 * locks.c - newlib's locks, and what it keeps for each thread.
 *
 * Owns the locks around malloc, stdio and atexit. Threads change only where one waits (thread.h),
 * so a lock is contended only when its holder waits, for a socket behind a FILE for example. A
 * callback of the event loop cannot wait; it goes ahead.
 */
#include <reent.h>
#include <stdlib.h>
#include <sys/lock.h>

#include "platform.h"
#include "thread.h"
#include "thread_context.h"

struct __lock {
    const struct thread *owner;
    int depth;
    struct thread_queue waiters;
};

struct __lock __lock___sfp_recursive_mutex;
struct __lock __lock___atexit_recursive_mutex;
struct __lock __lock___at_quick_exit_mutex;
struct __lock __lock___malloc_recursive_mutex;
struct __lock __lock___env_recursive_mutex;
struct __lock __lock___tz_mutex;
struct __lock __lock___dd_hash_mutex;
struct __lock __lock___arc4random_mutex;

/* Shared by all for which there was no memory: they may wait for each other without need. */
static struct __lock spare;

void __retarget_lock_init(_LOCK_T *lock)
{
    struct __lock *made = calloc(1, sizeof(*made));
    *lock = made != NULL ? made : &spare;
}

void __retarget_lock_init_recursive(_LOCK_T *lock)
{
    __retarget_lock_init(lock);
}

void __retarget_lock_close(_LOCK_T lock)
{
    if (lock != &spare)
        free(lock);
}

void __retarget_lock_close_recursive(_LOCK_T lock)
{
    __retarget_lock_close(lock);
}

void __retarget_lock_acquire(_LOCK_T lock)
{
    const struct thread *self = thread_self();
    if (lock->depth == 0) {
        lock->owner = self;
        lock->depth = 1;
        return;
    }
    while (lock->depth > 0 && lock->owner != self && thread_can_wait())
        thread_wait(&lock->waiters, PLATFORM_NO_DEADLINE);
    lock->owner = self;
    lock->depth++;
}

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
    __retarget_lock_acquire(lock);
}

int __retarget_lock_try_acquire(_LOCK_T lock)
{
    if (lock->depth > 0 && lock->owner != thread_self())
        return 0;
    __retarget_lock_acquire(lock);
    return 1;
}

int __retarget_lock_try_acquire_recursive(_LOCK_T lock)
{
    return __retarget_lock_try_acquire(lock);
}

void __retarget_lock_release(_LOCK_T lock)
{
    if (--lock->depth == 0)
        thread_wake(&lock->waiters);
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
    __retarget_lock_release(lock);
}

void thread_data_free(void)
{
    /* Without this, newlib would do at a thread's end what it does at the program's: flush all. */
    _REENT_CLEANUP(_REENT) = NULL;
    _reclaim_reent(_REENT);
}
