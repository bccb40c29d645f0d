/*
 * pthread.c - the part of <pthread.h> that small programs use: threads, mutexes, locks for
 * readers and writers, conditions, once.
 *
 * newlib declares these types as 32-bit numbers. A thread's is its address (all of them lie in the
 * low memory of the C heap), a mutex's says who holds it, a condition's counts signals. Since
 * threads only change where one waits, there is nothing to be done atomically. Waiting is in one
 * queue for all mutexes and one for all conditions: who is woken looks whether it was meant.
 */
#include <pthread.h>

#include <errno.h>
#include <stdlib.h>

#include "platform.h"
#include "thread.h"

#define NS_PER_SECOND 1000000000u

/* The initial value that newlib's static initialisers give. */
#define UNLOCKED 0xffffffffu

static struct thread_queue mutex_waiters, condition_waiters;

static pthread_t number_of(const struct thread *thread)
{
    return (pthread_t)(uintptr_t)thread;
}

static struct thread *thread_of(pthread_t number)
{
    return (struct thread *)(uintptr_t)number;
}

/* ---- threads ---- */

int pthread_attr_init(pthread_attr_t *attributes)
{
    *attributes = (pthread_attr_t){.is_initialized = 1, .detachstate = PTHREAD_CREATE_JOINABLE};
    return 0;
}

int pthread_attr_destroy(pthread_attr_t *attributes)
{
    (void)attributes;
    return 0;
}

int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
{
    attributes->stacksize = (int)size;
    return 0;
}

int pthread_attr_getstacksize(const pthread_attr_t *attributes, size_t *size)
{
    *size = attributes->stacksize > 0 ? (size_t)attributes->stacksize : THREAD_STACK_DEFAULT;
    return 0;
}

int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state)
{
    attributes->detachstate = state;
    return 0;
}

int pthread_create(pthread_t *number, const pthread_attr_t *attributes, void *(*entry)(void *),
                   void *arg)
{
    struct thread *thread =
        thread_create("pthread", entry, arg, attributes ? (size_t)attributes->stacksize : 0);
    if (thread == NULL)
        return EAGAIN;
    if (thread_of(number_of(thread)) != thread)
        platform_panic("pthread: a thread beyond 4 GiB");
    *number = number_of(thread);
    if (attributes != NULL && attributes->detachstate == PTHREAD_CREATE_DETACHED)
        thread_detach(thread);
    return 0;
}

int pthread_join(pthread_t number, void **result)
{
    return -thread_join(thread_of(number), result);
}

int pthread_detach(pthread_t number)
{
    thread_detach(thread_of(number));
    return 0;
}

void pthread_exit(void *result)
{
    thread_exit(result);
}

pthread_t pthread_self(void)
{
    return number_of(thread_self());
}

int pthread_equal(pthread_t one, pthread_t other)
{
    return one == other;
}

int pthread_once(pthread_once_t *once, void (*function)(void))
{
    if (once->init_executed)
        return 0;
    once->init_executed = 1;
    function();
    return 0;
}

/* ---- mutexes ---- */

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    if (attributes != NULL && attributes->recursive)
        return ENOTSUP;
    *mutex = UNLOCKED;
    return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    return *mutex == UNLOCKED ? 0 : EBUSY;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (*mutex != UNLOCKED)
        return EBUSY;
    *mutex = pthread_self();
    return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (*mutex == pthread_self())
        return EDEADLK;
    while (pthread_mutex_trylock(mutex) != 0) {
        int error = thread_wait(&mutex_waiters, PLATFORM_NO_DEADLINE);
        if (error != 0)
            return -error;
    }
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (*mutex != pthread_self())
        return EPERM;
    *mutex = UNLOCKED;
    thread_wake_all(&mutex_waiters);
    return 0;
}

/* ---- locks for readers and writers ---- */

/* Such a lock holds its writer's number, or how many readers it has, which is less than any. */
#define READERS_MAX 0xffffu

int pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attributes)
{
    (void)attributes;
    *lock = UNLOCKED;
    return 0;
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
    return *lock == UNLOCKED ? 0 : EBUSY;
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
    if (*lock != UNLOCKED && *lock >= READERS_MAX)
        return EBUSY;
    *lock = *lock == UNLOCKED ? 1 : *lock + 1;
    return 0;
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    return pthread_mutex_trylock(lock);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    int error = *lock == pthread_self() ? EDEADLK : 0;
    while (error == 0 && pthread_rwlock_tryrdlock(lock) != 0)
        error = -thread_wait(&mutex_waiters, PLATFORM_NO_DEADLINE);
    return error;
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    return pthread_mutex_lock(lock);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    if (*lock == UNLOCKED)
        return EPERM;
    if (*lock > READERS_MAX)
        return pthread_mutex_unlock(lock);
    *lock = *lock == 1 ? UNLOCKED : *lock - 1;
    thread_wake_all(&mutex_waiters);
    return 0;
}

/* ---- conditions ---- */

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    (void)attributes;
    *condition = 0;
    return 0;
}

int pthread_cond_destroy(pthread_cond_t *condition)
{
    (void)condition;
    return 0;
}

static int wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    pthread_cond_t seen = *condition;
    int error = pthread_mutex_unlock(mutex);
    if (error != 0)
        return error;
    while (error == 0 && *condition == seen)
        error = -thread_wait(&condition_waiters, deadline_ns);
    int lock_error = pthread_mutex_lock(mutex);
    return error != 0 ? error : lock_error;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    return wait_until(condition, mutex, PLATFORM_NO_DEADLINE);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    uint64_t wall_ns = platform_wall_ns();
    uint64_t until_ns = (uint64_t)until->tv_sec * NS_PER_SECOND + (uint64_t)until->tv_nsec;
    return wait_until(condition, mutex,
                      platform_now_ns() + (until_ns > wall_ns ? until_ns - wall_ns : 0));
}

/* Who is woken without need goes on as if it had been meant, which POSIX allows. */
int pthread_cond_signal(pthread_cond_t *condition)
{
    return pthread_cond_broadcast(condition);
}

int pthread_cond_broadcast(pthread_cond_t *condition)
{
    (*condition)++;
    thread_wake_all(&condition_waiters);
    return 0;
}
