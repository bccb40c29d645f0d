/*
 * syscalls.c - the functions that newlib expects from the system, by their C names.
 *
 * Owns the step from negative errno to errno and nothing else: files are files.c's and fs/'s, time,
 * memory and the console platform.h's. There are no processes: kill() on ourselves is how abort()
 * ends. Read files.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "fs/fs.h"
#include "libc/files.h"
#include "machine.h"
#include "memory.h"
#include "platform.h"
#include "rng/random.h"
#include "thread.h"

#define NS_PER_SECOND 1000000000u

static int result(int64_t value)
{
    if (value >= 0)
        return (int)value;
    errno = (int)-value;
    return -1;
}

/* --- The process ------------------------------------------------------------------------------ */

void _exit(int status)
{
    machine_end(status);
}

int getpid(void)
{
    return 1;
}

/*
 * Nobody else is there to be signalled, and a signal that arrives here had no handler (raise()
 * calls those itself).
 */
int kill(int pid, int signal)
{
    if (pid != getpid())
        return result(-ESRCH);
    if (!signal)
        return 0;
    if (signal == SIGABRT)
        platform_panic("abort() called");
    platform_panic("signal %d was raised", signal);
}

void *sbrk(ptrdiff_t bytes)
{
    void *end = memory_heap_grow(bytes);
    if (end)
        return end;
    errno = ENOMEM;
    return (void *)-1;
}

/*
 * newlib's start-up runs these around the constructors and destructors; there is nothing else to
 * do.
 */
void _init(void)
{
}

void _fini(void)
{
}

/* --- Time ------------------------------------------------------------------------------------- */

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    uint64_t ns = platform_wall_ns();
    (void)zone;
    if (now) {
        now->tv_sec = (time_t)(ns / NS_PER_SECOND);
        now->tv_usec = (suseconds_t)(ns % NS_PER_SECOND / 1000);
    }
    return 0;
}

/* All time is the application's, since boot. */
clock_t times(struct tms *buffer)
{
    uint64_t ns = platform_now_ns();
    clock_t now = (clock_t)(ns / NS_PER_SECOND * CLOCKS_PER_SEC +
                            ns % NS_PER_SECOND * CLOCKS_PER_SEC / NS_PER_SECOND);
    if (buffer)
        *buffer = (struct tms){.tms_utime = now};
    return now;
}

/* A callback of the event loop cannot let others run, so there the whole machine sleeps. */
static void sleep_until(uint64_t deadline_ns)
{
    if (thread_sleep_until(deadline_ns) == 0)
        return;
    while (platform_now_ns() < deadline_ns && !platform_stop_requested())
        platform_wait(deadline_ns);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    if (!time || time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= (long)NS_PER_SECOND)
        return result(-EINVAL);
    sleep_until(platform_now_ns() + (uint64_t)time->tv_sec * NS_PER_SECOND +
                (uint64_t)time->tv_nsec);
    if (left)
        *left = (struct timespec){0, 0};
    return 0;
}

int usleep(useconds_t microseconds)
{
    sleep_until(platform_now_ns() + (uint64_t)microseconds * 1000);
    return 0;
}

unsigned sleep(unsigned seconds)
{
    uint64_t deadline_ns = platform_now_ns() + (uint64_t)seconds * NS_PER_SECOND;
    sleep_until(deadline_ns);
    uint64_t now_ns = platform_now_ns();
    return now_ns < deadline_ns
               ? (unsigned)((deadline_ns - now_ns + NS_PER_SECOND - 1) / NS_PER_SECOND)
               : 0;
}

int getentropy(void *buffer, size_t len)
{
    if (len > 256)
        return result(-EIO);
    random_bytes(buffer, len);
    return 0;
}

/* --- Descriptors ------------------------------------------------------------------------------ */

int open(const char *path, int flags, ...)
{
    return result(file_open(path, flags));
}

int close(int fd)
{
    return result(file_close(fd));
}

/* read() and write() return an int here, so one call moves at most INT_MAX bytes. */
_READ_WRITE_RETURN_TYPE read(int fd, void *data, size_t count)
{
    return result(file_read(fd, data, count > INT_MAX ? INT_MAX : count));
}

_READ_WRITE_RETURN_TYPE write(int fd, const void *data, size_t count)
{
    return result(file_write(fd, data, count > INT_MAX ? INT_MAX : count));
}

off_t lseek(int fd, off_t offset, int whence)
{
    int64_t position = file_seek(fd, offset, whence);
    return position < 0 ? result(position) : (off_t)position;
}

int fstat(int fd, struct stat *status)
{
    return result(file_stat(fd, status));
}

int ftruncate(int fd, off_t size)
{
    return result(file_truncate(fd, size));
}

int fsync(int fd)
{
    return result(file_sync(fd));
}

int isatty(int fd)
{
    int answer = file_is_console(fd);
    if (answer >= 0)
        return answer;
    errno = -answer;
    return 0;
}

/* Of the flags only O_NONBLOCK can be changed. There is no exec(), so F_SETFD changes nothing. */
int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    int value = command == F_SETFL ? va_arg(arguments, int) : 0;
    va_end(arguments);
    int flags = file_flags(fd);
    if (flags < 0)
        return result(flags);
    switch (command) {
    case F_GETFL:
        return flags;
    case F_SETFL:
        return result(file_set_nonblocking(fd, (value & O_NONBLOCK) != 0));
    case F_GETFD:
    case F_SETFD:
        return 0;
    default:
        return result(-EINVAL);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    int *value = va_arg(arguments, int *);
    va_end(arguments);
    size_t bytes = 0;
    int error;
    switch (request) {
    case FIONBIO:
        return result(file_set_nonblocking(fd, *value != 0));
    case FIONREAD:
        error = file_readable(fd, &bytes);
        if (!error)
            *value = bytes < INT_MAX ? (int)bytes : INT_MAX;
        return result(error);
    default:
        return result(file_flags(fd) < 0 ? -EBADF : -ENOTTY);
    }
}

/* --- Paths ------------------------------------------------------------------------------------ */

int stat(const char *restrict path, struct stat *restrict status)
{
    return result(status ? fs_stat(path, status) : -EFAULT);
}

int access(const char *path, int mode)
{
    struct stat status;
    int error = fs_stat(path, &status);
    if (!error && (mode & W_OK) && !(status.st_mode & S_IWUSR))
        error = -EACCES;
    if (!error && (mode & X_OK) && !(status.st_mode & S_IXUSR))
        error = -EACCES;
    return result(error);
}

int unlink(const char *path)
{
    return result(fs_remove(path, false));
}

int rmdir(const char *path)
{
    return result(fs_remove(path, true));
}

/* newlib's own remove() only knows unlink(). */
int remove(const char *path)
{
    int error = fs_remove(path, false);
    return result(error == -EISDIR ? fs_remove(path, true) : error);
}

/* Instead of newlib's, which is link() and unlink(). */
int rename(const char *from, const char *to)
{
    return result(fs_rename(from, to));
}

/* FAT has no second names. */
int link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return result(-EPERM);
}

int mkdir(const char *path, mode_t mode)
{
    (void)mode;
    return result(fs_make_directory(path));
}

void sync(void)
{
    fs_sync_all();
}
