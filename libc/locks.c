/*
 * locks.c - newlib's locks, for a system with one thread.
 *
 * Owns the locks around malloc, stdio and atexit. Nothing ever waits: there is one thread, and
 * interrupt handlers do not call the C library. What is left is a count that tells a debugger which
 * lock is held.
 */
#include <stdlib.h>
#include <sys/lock.h>

struct __lock {
    int depth;
};

struct __lock __lock___sfp_recursive_mutex;
struct __lock __lock___atexit_recursive_mutex;
struct __lock __lock___at_quick_exit_mutex;
struct __lock __lock___malloc_recursive_mutex;
struct __lock __lock___env_recursive_mutex;
struct __lock __lock___tz_mutex;
struct __lock __lock___dd_hash_mutex;
struct __lock __lock___arc4random_mutex;

/* Locks made at run time (one for each FILE) need no state of their own. */
static struct __lock made_at_run_time;

void __retarget_lock_init(_LOCK_T *lock)
{
    *lock = &made_at_run_time;
}

void __retarget_lock_init_recursive(_LOCK_T *lock)
{
    *lock = &made_at_run_time;
}

void __retarget_lock_close(_LOCK_T lock)
{
    (void)lock;
}

void __retarget_lock_close_recursive(_LOCK_T lock)
{
    (void)lock;
}

void __retarget_lock_acquire(_LOCK_T lock)
{
    lock->depth++;
}

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
    lock->depth++;
}

int __retarget_lock_try_acquire(_LOCK_T lock)
{
    lock->depth++;
    return 1;
}

int __retarget_lock_try_acquire_recursive(_LOCK_T lock)
{
    lock->depth++;
    return 1;
}

void __retarget_lock_release(_LOCK_T lock)
{
    lock->depth--;
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
    lock->depth--;
}
