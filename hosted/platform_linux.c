/*
 * platform_linux.c - platform.h as a Linux program: clock, waiting, interrupts, console, and the
 * end of the machine.
 *
 * Time is simulated unless a program asks for the real clock, so bounded waits of the code under
 * test end at once and tests repeat exactly. Device memory is in dma_arena.c, registers in
 * registers.c, PCI in fake_pci.c. The log lines themselves are made by boot/log.c, the kernel's
 * own.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "hosted/hosted.h"

#define RELAX_NS 1000 /* unless a program wants another step */
#define MAX_WORLDS 16
#define MAX_PENDING 256
#define MAX_EVENTS 64
#define WORLD_NS UINT64_C(1000000)  /* between two looks at the world outside, */
#define LOOK_NS UINT64_C(100000000) /* which may have changed without an event */
#define NS_PER_S UINT64_C(1000000000)
#define LOG_SIZE ((size_t)1 << 20)

struct hook {
    void (*run)(void *arg);
    void *arg;
};

static struct hook worlds[MAX_WORLDS];
static unsigned world_count;
static bool world_running;

static struct hook pending[MAX_PENDING];
static unsigned pending_count;
static bool in_interrupt;

static struct event {
    int fd;
    struct hook hook;
} events[MAX_EVENTS];
static unsigned event_count;
static int epoll_fd = -1, timer_fd = -1;
static uint64_t timer_ns; /* when the timer goes off; 0: it is not set */

static bool clock_is_real, stop_requested, log_to_stderr;
static bool cpu_random, memory_is_set;
static uint64_t memory_total, memory_available;
static uint64_t clock_ns, relax_ns, real_start_ns, wait_count, random_state;
static char log_text[LOG_SIZE];
static size_t log_length;
static const char *cmdline = "";
static jmp_buf *end_catch;
static char panic_text[256];
static bool panicked;
static void (*failure_hook)(const char *text);

void hosted_set_failure_hook(void (*hook)(const char *text))
{
    failure_hook = hook;
}

void hosted_fail(const char *format, ...)
{
    static char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (failure_hook)
        failure_hook(text);
    fprintf(stderr, "FAILURE: %s\n", text);
    abort();
}

/* For the sleep of real time; made when they are needed. */
static void close_events(void)
{
    if (epoll_fd >= 0)
        close(epoll_fd);
    if (timer_fd >= 0)
        close(timer_fd);
    epoll_fd = timer_fd = -1;
    event_count = 0;
    timer_ns = 0;
}

void hosted_rewind(void)
{
    close_events();
    world_count = pending_count = 0;
    world_running = in_interrupt = false;
    clock_is_real = stop_requested = panicked = false;
    clock_ns = wait_count = 0;
    relax_ns = RELAX_NS;
    cpu_random = true;
    memory_is_set = false;
    random_state = UINT64_C(0x853c49e6748fea9b);
    log_length = 0;
    log_text[0] = '\0';
    cmdline = "";
    end_catch = NULL;
    hosted_registers_reset();
}

void hosted_reset(void)
{
    size_t leaked = hosted_dma_allocated_bytes();
    unsigned mapped = hosted_dma_mappings();
    hosted_rewind();
    if (hosted_dma_reset())
        hosted_fail("%zu bytes of device memory and %u mappings were not given back", leaked,
                    mapped);
}

/* ---- time and the world outside ---- */

static uint64_t real_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t platform_now_ns(void)
{
    return clock_is_real ? real_now_ns() - real_start_ns : clock_ns;
}

static uint64_t wall_at_start_ns = UINT64_C(1700000000000000000);

uint64_t platform_wall_ns(void)
{
    return wall_at_start_ns + platform_now_ns();
}

void platform_set_wall_ns(uint64_t wall_ns)
{
    wall_at_start_ns = wall_ns - platform_now_ns();
}

void hosted_clock_advance(uint64_t ns)
{
    clock_ns += ns;
}

void hosted_clock_set_relax(uint64_t ns)
{
    relax_ns = ns;
}

void hosted_clock_use_real(void)
{
    clock_is_real = true;
    real_start_ns = real_now_ns();
}

void hosted_world_add(void (*run)(void *arg), void *arg)
{
    if (world_count == MAX_WORLDS)
        hosted_fail("too many worlds");
    worlds[world_count++] = (struct hook){run, arg};
}

void hosted_world_remove(void (*run)(void *arg), void *arg)
{
    for (unsigned i = 0; i < world_count; i++)
        if (worlds[i].run == run && worlds[i].arg == arg) {
            worlds[i] = worlds[--world_count];
            return;
        }
}

/* A world that calls driver code which waits must not be entered again from there. */
static void run_worlds(void)
{
    if (world_running)
        return;
    world_running = true;
    for (unsigned i = 0; i < world_count; i++)
        worlds[i].run(worlds[i].arg);
    world_running = false;
}

void hosted_relax(void)
{
    if (!clock_is_real)
        clock_ns += relax_ns;
    run_worlds();
}

void hosted_interrupt_raise(void (*handler)(void *arg), void *arg)
{
    for (unsigned i = 0; i < pending_count; i++)
        if (pending[i].run == handler && pending[i].arg == arg)
            return;
    if (pending_count == MAX_PENDING)
        hosted_fail("too many pending interrupts");
    pending[pending_count++] = (struct hook){handler, arg};
}

void hosted_interrupt_cancel(void (*handler)(void *arg), void *arg)
{
    for (unsigned i = 0; i < pending_count; i++)
        if (pending[i].run == handler && pending[i].arg == arg) {
            memmove(&pending[i], &pending[i + 1], (--pending_count - i) * sizeof(pending[0]));
            return;
        }
}

unsigned hosted_interrupts_deliver(void)
{
    unsigned delivered = 0;
    in_interrupt = true;
    while (pending_count) {
        struct hook hook = pending[0];
        memmove(&pending[0], &pending[1], --pending_count * sizeof(pending[0]));
        hook.run(hook.arg);
        delivered++;
    }
    in_interrupt = false;
    return delivered;
}

bool hosted_in_interrupt(void)
{
    return in_interrupt;
}

uint64_t hosted_wait_count(void)
{
    return wait_count;
}

void hosted_event_remove(int fd)
{
    for (unsigned i = 0; i < event_count; i++)
        if (events[i].fd == fd) {
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* it may be closed, and so out already */
            events[i] = events[--event_count];
            return;
        }
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_fd < 0)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        hosted_fail("epoll_ctl: %s", strerror(errno));
}

void hosted_event_add(int fd, void (*handler)(void *arg), void *arg)
{
    hosted_event_remove(fd);
    if (event_count == MAX_EVENTS)
        hosted_fail("too many events");
    watch(fd);
    events[event_count++] = (struct event){fd, {handler, arg}};
}

/* A handler may remove events, its own or others that are ready, too. */
static void run_event(int fd)
{
    for (unsigned i = 0; i < event_count; i++)
        if (events[i].fd == fd) {
            events[i].hook.run(events[i].hook.arg);
            return;
        }
}

/*
 * Has the timer go off at `ns` or before. It stays as it was set while that is early enough: deadlines are
 * seldom reached, mostly move on with each request, and to set a timer for each sleep costs more than to
 * wake now and then for none.
 */
static void set_timer(uint64_t ns)
{
    uint64_t at = real_start_ns + ns;
    struct itimerspec value = {.it_value = {(time_t)(at / NS_PER_S), (long)(at % NS_PER_S)}};
    if (timer_ns != 0 && timer_ns <= ns)
        return;
    if (timer_fd < 0) {
        timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        watch(timer_fd);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &value, NULL);
    timer_ns = ns;
}

/* Worlds are asked every millisecond; events end the sleep by themselves. */
static void sleep_until(uint64_t deadline_ns)
{
    uint64_t latest = platform_now_ns() + (world_count || !event_count ? WORLD_NS : LOOK_NS);
    struct epoll_event ready[MAX_EVENTS + 1];
    uint64_t expirations;
    int count;
    set_timer(deadline_ns < latest ? deadline_ns : latest);
    count = epoll_wait(epoll_fd, ready, MAX_EVENTS + 1, -1);
    in_interrupt = true;
    for (int i = 0; i < count; i++) {
        if (ready[i].data.fd != timer_fd)
            run_event(ready[i].data.fd);
        else if (read(timer_fd, &expirations, sizeof(expirations)) > 0)
            timer_ns = 0;
    }
    in_interrupt = false;
}

void platform_wait(uint64_t deadline_ns)
{
    wait_count++;
    if (in_interrupt)
        hosted_fail("platform_wait() in interrupt context");
    run_worlds();
    if (hosted_interrupts_deliver() || stop_requested)
        return;
    if (clock_is_real) {
        sleep_until(deadline_ns);
    } else if (deadline_ns == PLATFORM_NO_DEADLINE) {
        hosted_fail("platform_wait() would sleep for ever: no interrupt is pending");
    } else if (deadline_ns > clock_ns) {
        clock_ns = deadline_ns;
    }
    run_worlds();
    hosted_interrupts_deliver();
}

/* ---- console, randomness, memory ---- */

void hosted_log_echo(bool on)
{
    log_to_stderr = on;
}

const char *hosted_log(void)
{
    return log_text;
}

unsigned hosted_log_count(const char *text)
{
    unsigned count = 0;
    for (const char *at = log_text; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

void platform_console_write(const char *text, size_t len)
{
    if (log_to_stderr && write(STDERR_FILENO, text, len) < 0)
        log_to_stderr = false;
    if (len > LOG_SIZE - 1 - log_length)
        len = LOG_SIZE - 1 - log_length;
    memcpy(log_text + log_length, text, len);
    log_length += len;
    log_text[log_length] = '\0';
}

int platform_console_read(void)
{
    return -1;
}

void hosted_set_memory(uint64_t total, uint64_t available)
{
    memory_is_set = true;
    memory_total = total;
    memory_available = available;
}

void hosted_set_cpu_random(bool present)
{
    cpu_random = present;
}

const char *platform_cmdline(void)
{
    return cmdline;
}

void hosted_set_cmdline(const char *text)
{
    cmdline = text;
}

/* splitmix64: tests must repeat exactly. */
uint64_t platform_random(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool platform_cpu_random(uint64_t *value)
{
    *value = platform_random();
    return cpu_random;
}

void platform_memory(uint64_t *total, uint64_t *available)
{
    *total = memory_is_set ? memory_total : hosted_dma_size();
    *available =
        memory_is_set ? memory_available : hosted_dma_size() - hosted_dma_allocated_bytes();
}

/* ---- the end of the machine ---- */

void hosted_catch_end(jmp_buf *where)
{
    end_catch = where;
}

const char *hosted_panic_text(void)
{
    return panicked ? panic_text : NULL;
}

static void end(const char *how) __attribute__((noreturn));
static void end(const char *how)
{
    if (end_catch) {
        jmp_buf *where = end_catch;
        end_catch = NULL;
        longjmp(*where, 1);
    }
    hosted_fail("%s", how);
}

void platform_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(panic_text, sizeof(panic_text), format, args);
    va_end(args);
    panicked = true;
    end(panic_text);
}

void platform_exit(int status)
{
    snprintf(panic_text, sizeof(panic_text), "exit %d", status);
    end(panic_text);
}

void platform_reboot(void)
{
    end("reboot");
}

bool platform_stop_requested(void)
{
    return stop_requested;
}

void platform_request_stop(void)
{
    stop_requested = true;
}

void hosted_clear_stop(void)
{
    stop_requested = false;
}
