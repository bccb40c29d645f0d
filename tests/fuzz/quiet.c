/*
 * quiet.c - the parts of the machine that no target is about: a log that nobody reads and a console
 * that nobody sees. In place of boot/log.c and boot/console.c, and, by the linker's --wrap, in front
 * of virtio/virtio_report.c.
 */
#include "quiet.h"

#include "console.h"
#include "log.h"
#include "virtio/virtio_impl.h"

static bool without_reports;

void quiet_reports(bool on)
{
    without_reports = on;
}

#define QUIET(function)                                         \
    void __real_##function(const struct virtio_device *device); \
    void __wrap_##function(const struct virtio_device *device); \
                                                                \
    void __wrap_##function(const struct virtio_device *device)  \
    {                                                           \
        if (!without_reports)                                   \
            __real_##function(device);                          \
    }

QUIET(virtio_log_features)
QUIET(virtio_log_queues)
QUIET(virtio_log_device)

void log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

void log_set_level(enum log_level level)
{
    (void)level;
}

void console_attach(struct console *console, bool with_log)
{
    (void)console;
    (void)with_log;
}

void console_detach(struct console *console)
{
    (void)console;
}

bool console_wanted(void)
{
    return false;
}
