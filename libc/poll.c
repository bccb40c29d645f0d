/*
 * poll.c - poll(), select() and pselect(): waiting for several descriptors.
 *
 * Looks at each descriptor, and when none is ready waits until some object says that it has changed
 * (file_changed()) and looks again. Files are always ready. The console says nothing, so while it
 * is among them it is looked at in intervals.
 */
#include <poll.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "libc/files.h"
#include "platform.h"
#include "thread.h"

#define NS_PER_MS 1000000u
#define NS_PER_SECOND 1000000000u
#define FOR_EVER_S 1000000000u
#define CONSOLE_INTERVAL_NS (20u * NS_PER_MS)

/* Reported whether they were asked for or not. */
#define ALWAYS (POLLERR | POLLHUP | POLLNVAL)

static struct thread_queue pollers;

void file_changed(void)
{
    thread_wake_all(&pollers);
}

/* Looks at all; how many are ready. */
static int look(struct pollfd *fds, nfds_t count, bool *console)
{
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        int events = file_poll(fds[i].fd);
        if (events < 0)
            events = POLLNVAL;
        fds[i].revents = (short)(events & (fds[i].events | ALWAYS));
        ready += fds[i].revents != 0;
        *console |= file_is_console(fds[i].fd) == 1;
    }
    return ready;
}

/* The number of those that are ready, 0 when the time is up, or a negative errno. */
static int poll_until(struct pollfd *fds, nfds_t count, uint64_t deadline_ns)
{
    for (;;) {
        bool console = false;
        int ready = look(fds, count, &console);
        uint64_t now_ns = platform_now_ns(), wake_ns = deadline_ns;
        if (ready > 0 || now_ns >= deadline_ns)
            return ready;
        if (console && wake_ns - now_ns > CONSOLE_INTERVAL_NS)
            wake_ns = now_ns + CONSOLE_INTERVAL_NS;
        int error = thread_wait(&pollers, wake_ns);
        if (error != 0 && error != -ETIMEDOUT)
            return error;
    }
}

/* When a wait of so long that begins now ends; 0: at once. */
static uint64_t deadline_after(uint64_t seconds, uint64_t ns)
{
    if (seconds >= FOR_EVER_S)
        return PLATFORM_NO_DEADLINE;
    return seconds + ns != 0 ? platform_now_ns() + seconds * NS_PER_SECOND + ns : 0;
}

static int result(int value)
{
    if (value >= 0)
        return value;
    errno = -value;
    return -1;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    uint64_t deadline_ns =
        timeout_ms < 0 ? PLATFORM_NO_DEADLINE : deadline_after(0, (uint64_t)timeout_ms * NS_PER_MS);
    if (count > FILES_MAX)
        return result(-EINVAL);
    if (timeout_ms == 0)
        thread_yield(); /* or who only asks would never let anything arrive */
    return result(poll_until(fds, count, deadline_ns));
}

/* ---- select ---- */

/* What a set asks for, and what answers it. */
struct question {
    fd_set *set;
    short events, answers;
};

static int fill(const struct question question[3], int limit, struct pollfd *fds)
{
    int count = 0;
    for (int fd = 0; fd < limit; fd++) {
        short events = 0;
        for (int i = 0; i < 3; i++)
            if (question[i].set != NULL && FD_ISSET(fd, question[i].set))
                events |= question[i].events;
        if (events == 0)
            continue;
        if (file_flags(fd) < 0)
            return -EBADF;
        fds[count++] = (struct pollfd){.fd = fd, .events = events};
    }
    return count;
}

static int answer(const struct question question[3], const struct pollfd *fds, int count)
{
    int ready = 0;
    for (int i = 0; i < 3; i++) {
        if (question[i].set == NULL)
            continue;
        fd_set asked = *question[i].set;
        FD_ZERO(question[i].set);
        for (int j = 0; j < count; j++) {
            if (!FD_ISSET(fds[j].fd, &asked) || (fds[j].revents & question[i].answers) == 0)
                continue;
            FD_SET(fds[j].fd, question[i].set);
            ready++;
        }
    }
    return ready;
}

static int select_until(int limit, fd_set *readable, fd_set *writable, fd_set *exceptional,
                        uint64_t deadline_ns)
{
    struct pollfd fds[FD_SETSIZE];
    const struct question question[3] = {
        {readable, POLLIN, POLLIN | POLLHUP | POLLERR},
        {writable, POLLOUT, POLLOUT | POLLERR},
        {exceptional, POLLPRI, POLLPRI},
    };
    if (limit < 0 || limit > FD_SETSIZE)
        return -EINVAL;
    int count = fill(question, limit, fds);
    if (count < 0)
        return count;
    if (deadline_ns == 0)
        thread_yield();
    int ready = poll_until(fds, (nfds_t)count, deadline_ns);
    return ready < 0 ? ready : answer(question, fds, count);
}

int select(int limit, fd_set *readable, fd_set *writable, fd_set *exceptional,
           struct timeval *timeout)
{
    uint64_t deadline_ns = PLATFORM_NO_DEADLINE;
    if (timeout != NULL && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
        return result(-EINVAL);
    if (timeout != NULL)
        deadline_ns = deadline_after((uint64_t)timeout->tv_sec, (uint64_t)timeout->tv_usec * 1000u);
    return result(select_until(limit, readable, writable, exceptional, deadline_ns));
}

int pselect(int limit, fd_set *readable, fd_set *writable, fd_set *exceptional,
            const struct timespec *timeout, const sigset_t *mask)
{
    uint64_t deadline_ns = PLATFORM_NO_DEADLINE;
    (void)mask; /* there are no signals */
    if (timeout != NULL)
        deadline_ns = deadline_after((uint64_t)timeout->tv_sec, (uint64_t)timeout->tv_nsec);
    return result(select_until(limit, readable, writable, exceptional, deadline_ns));
}
