/*
 * console_port.c - a port as the rest of the system sees it: a console, or an application's byte
 * stream.
 *
 * Owns console_port.h and the console of console.h. Control messages and queues are
 * virtio_console.c's, the bytes console_stream.c's. Read console_impl.h first.
 */
#include "console/console_port.h"

#include <errno.h>
#include <string.h>

#include "console/console_impl.h"
#include "log.h"
#include "virtio/spec_devices.h"

/*
 * How long console output waits for a device that takes nothing, once, before it is dropped: as
 * long as for the serial port.
 */
#define ROOM_TIMEOUT_NS 1000000000u
/* How long the end of the machine waits for the last output. */
#define FLUSH_TIMEOUT_NS 500000000u

static struct console_port_watch *watches;

/* ---- as a console ---- */

static bool can_progress(const struct console_port *port)
{
    const struct virtio_device *device = port->owner->device;

    return device->driver_ok && port->stream.live && !port->stream.sending &&
           !console_stream_is_broken(&port->stream);
}

/* Waits for room once; a device that let us down is not waited for again until it moves. */
static bool wait_for_room(struct console_port *port)
{
    uint64_t end_ns = platform_now_ns() + ROOM_TIMEOUT_NS;

    while (!port->stuck && can_progress(port) && console_stream_room(&port->stream) == 0) {
        console_stream_write(&port->stream, NULL, 0);
        platform_relax();
        port->stuck = platform_now_ns() > end_ns;
    }
    return console_stream_room(&port->stream) > 0;
}

static void console_write(void *arg, const char *text, size_t len)
{
    struct console_port *port = arg;
    size_t n;

    while ((n = console_stream_write(&port->stream, text, len)) < len) {
        if (n > 0)
            port->stuck = false;
        text += n;
        len -= n;
        if (!wait_for_room(port)) {
            port->dropped += len;
            return;
        }
    }
    if (len > 0)
        port->stuck = false;
}

static int console_read(void *arg)
{
    uint8_t byte;

    return console_stream_read(&((struct console_port *)arg)->stream, &byte, 1) ? byte : -1;
}

static bool console_has_input(void *arg)
{
    return console_stream_readable(&((struct console_port *)arg)->stream);
}

static bool console_drain(void *arg)
{
    struct console_port *port = arg;
    uint64_t end_ns = platform_now_ns() + FLUSH_TIMEOUT_NS;

    while (!port->stuck && can_progress(port) && console_stream_unsent(&port->stream) > 0 &&
           platform_now_ns() < end_ns) {
        console_stream_write(&port->stream, NULL, 0);
        platform_relax();
    }
    return console_stream_unsent(&port->stream) == 0;
}

static void console_emergency(void *arg, const char *text, size_t len)
{
    struct console_port *port = arg;
    int byte;

    if (port->owner->emergency_port != port) {
        console_write(arg, text, len);
        return;
    }
    while ((byte = console_stream_steal(&port->stream)) >= 0)
        virtio_console_emergency(port->owner, (uint8_t)byte);
    for (size_t i = 0; i < len; i++)
        virtio_console_emergency(port->owner, (uint8_t)text[i]);
}

/* A warning once output passes again; not while it does not, or it would itself be dropped. */
static void report_dropped(struct console_port *port)
{
    if (port->dropped == port->reported || console_stream_unsent(&port->stream) > 0)
        return;
    log_warn("%s: console port %u: %llu bytes of output dropped: the device did not take them",
             port->owner->device->name, port->id,
             (unsigned long long)(port->dropped - port->reported));
    port->reported = port->dropped;
}

void console_port_made_console(struct console_port *port)
{
    if (port->is_console)
        return;
    port->is_console = true;
    port->open = true;
    port->console = (struct console){
        .name = "virtio console",
        .write = console_write,
        .read = console_read,
        .pending = console_has_input,
        .flush = console_drain,
        .emergency = console_emergency,
        .arg = port,
    };
    if (!port->owner->emergency_port &&
        virtio_has_feature(port->owner->device, VIRTIO_CONSOLE_F_EMERG_WRITE))
        port->owner->emergency_port = port;
    log_info("%s: port %u is a console", port->owner->device->name, port->id);
    console_attach(&port->console, !port->was_console);
    port->was_console = true;
}

/* ---- what happened ---- */

static void call(struct console_port *port, void (*callback)(void *arg, struct console_port *port))
{
    if (callback)
        callback(port->arg, port);
}

static void tell_change(struct console_port *port)
{
    if (port->callbacks)
        call(port, port->callbacks->changed);
}

void console_port_added(struct console_port *port)
{
    if (port->present)
        return;
    console_stream_poll(&port->stream);
    if (console_stream_is_sending(&port->stream)) {
        port->owner->trouble = "a port came back and still has what was sent before";
        return;
    }
    if (console_stream_start(&port->stream)) {
        log_error("%s: no memory for port %u", port->owner->device->name, port->id);
        return;
    }
    port->present = true;
}

void console_port_removed(struct console_port *port)
{
    const struct console_port_callbacks *callbacks = port->callbacks;

    if (!port->present)
        return;
    port->present = port->connected = port->open = false;
    port->owes_ready = port->owes_open = port->wants_room = false;
    if (port->is_console)
        console_detach(&port->console);
    if (port->owner->emergency_port == port)
        port->owner->emergency_port = NULL;
    port->is_console = false;
    port->name[0] = '\0';
    console_stream_drop_unsent(&port->stream);
    console_stream_drop_received(&port->stream);
    port->stream.live = false;
    port->callbacks = NULL;
    if (callbacks)
        call(port, callbacks->changed);
}

static void tell_watches(struct console_port *port)
{
    struct console_port_watch *watch, *next;

    for (watch = watches; watch; watch = next) {
        next = watch->next;
        if (strcmp(watch->name, port->name) == 0)
            watch->found(watch->arg, port);
    }
}

void console_port_named(struct console_port *port, const uint8_t *name, size_t len)
{
    size_t i;

    if (len > sizeof(port->name) - 1)
        len = sizeof(port->name) - 1;
    for (i = 0; i < len && name[i] != '\0'; i++)
        port->name[i] = name[i] < ' ' || name[i] == 0x7f ? '?' : (char)name[i];
    port->name[i] = '\0';
    log_info("%s: port %u is \"%s\"", port->owner->device->name, port->id, port->name);
    if (!port->is_console)
        tell_watches(port);
}

void console_port_connected(struct console_port *port, bool connected)
{
    if (port->connected == connected)
        return;
    port->connected = connected;
    tell_change(port);
}

unsigned console_port_poll(struct console_port *port)
{
    uint64_t received = port->stream.received;
    unsigned done = console_stream_poll(&port->stream);

    if (port->is_console)
        report_dropped(port);
    if (!port->callbacks)
        return done;
    if (port->stream.received != received)
        call(port, port->callbacks->readable);
    if (port->callbacks && port->wants_room && console_stream_room(&port->stream) > 0) {
        port->wants_room = false;
        call(port, port->callbacks->writable);
    }
    return done;
}

bool console_port_arm(struct console_port *port)
{
    return console_stream_arm(&port->stream, port->wants_room);
}

/* ---- for applications ---- */

struct console_port *console_port_find(const char *name)
{
    for (struct virtio_console *vcon = virtio_console_first(); vcon; vcon = vcon->next) {
        for (unsigned i = 0; i < vcon->ports; i++) {
            struct console_port *port = &vcon->port[i];

            if (port->present && !port->is_console && name[0] && strcmp(port->name, name) == 0)
                return port;
        }
    }
    return NULL;
}

void console_port_watch(struct console_port_watch *watch)
{
    struct console_port *port = console_port_find(watch->name);

    watch->next = watches;
    watches = watch;
    if (port)
        watch->found(watch->arg, port);
}

void console_port_unwatch(struct console_port_watch *watch)
{
    for (struct console_port_watch **link = &watches; *link; link = &(*link)->next) {
        if (*link == watch) {
            *link = watch->next;
            return;
        }
    }
}

int console_port_open(struct console_port *port, const struct console_port_callbacks *callbacks,
                      void *arg)
{
    if (!port->present)
        return -ENODEV;
    if (port->open)
        return -EBUSY;
    console_stream_drop_received(&port->stream); /* for whoever had it open before */
    port->callbacks = callbacks;
    port->arg = arg;
    port->open = port->owes_open = true;
    virtio_console_send_owed(port->owner);
    return 0;
}

void console_port_close(struct console_port *port)
{
    if (!port->open || port->is_console)
        return;
    port->open = port->wants_room = false;
    port->owes_open = true;
    port->callbacks = NULL;
    virtio_console_send_owed(port->owner);
    console_stream_drop_received(&port->stream);
}

int console_port_read(struct console_port *port, void *data, size_t size)
{
    size_t n;

    if (!port->open || port->is_console)
        return -ENODEV;
    n = console_stream_read(&port->stream, data, size > INT32_MAX ? INT32_MAX : size);
    if (n > 0 || size == 0)
        return (int)n;
    return port->connected ? -EAGAIN : 0;
}

int console_port_write(struct console_port *port, const void *data, size_t size)
{
    size_t n;

    if (!port->open || port->is_console)
        return -ENODEV;
    if (!port->connected)
        return -EPIPE;
    n = console_stream_write(&port->stream, data, size > INT32_MAX ? INT32_MAX : size);
    port->wants_room = n < size;
    return n > 0 || size == 0 ? (int)n : -EAGAIN;
}

bool console_port_is_present(const struct console_port *port)
{
    return port->present;
}

bool console_port_is_connected(const struct console_port *port)
{
    return port->present && port->connected;
}

const char *console_port_name(const struct console_port *port)
{
    return port->name;
}

void console_port_size(uint16_t *cols, uint16_t *rows)
{
    const struct virtio_console *vcon = virtio_console_first();

    *cols = vcon ? vcon->cols : 0;
    *rows = vcon ? vcon->rows : 0;
}

static void report(const struct console_port *port)
{
    log_info("%s: port %u%s%s%s: %s, %s here, %s there, %llu bytes received, %llu sent, "
             "%llu dropped",
             port->owner->device->name, port->id, port->name[0] ? " \"" : "", port->name,
             port->name[0] ? "\"" : "", port->is_console ? "console" : "port",
             port->open ? "open" : "closed", port->connected ? "open" : "closed",
             (unsigned long long)port->stream.received, (unsigned long long)port->stream.sent,
             (unsigned long long)port->dropped);
}

void console_port_print_report(void)
{
    bool any = false;

    for (struct virtio_console *vcon = virtio_console_first(); vcon; vcon = vcon->next) {
        for (unsigned i = 0; i < vcon->ports; i++) {
            if (!vcon->port[i].present)
                continue;
            report(&vcon->port[i]);
            any = true;
        }
    }
    if (!any)
        log_info("no virtio console has a port");
}
