/*
 * console_port.h - the named ports of a virtio console (5.3) for applications: byte streams to
 * whoever sits at the other end of a port of the hypervisor.
 *
 * Nothing here waits. A port comes and goes as the hypervisor likes, also while the machine runs,
 * so an application asks to be told (console_port_watch()) and then opens it. Ports that the device
 * declares to be consoles are part of the console (console.h) and not offered here. Everything runs
 * in loop context. Read virtio_console.c next.
 */
#ifndef FERRULE_CONSOLE_CONSOLE_PORT_H
#define FERRULE_CONSOLE_CONSOLE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console_port;

/* Told to who has a port open. Each may be NULL, and may call everything below. */
struct console_port_callbacks {
    /* Bytes have arrived. */
    void (*readable)(void *arg, struct console_port *port);
    /* There is room again after console_port_write() took less than it was given. */
    void (*writable)(void *arg, struct console_port *port);
    /*
     * The other side opened or closed its end, or the port is gone (console_port_is_present() says
     * which); it is closed in the latter case.
     */
    void (*changed)(void *arg, struct console_port *port);
};

/* Asks for the port of a name. The structure is the caller's and must stay in place. */
struct console_port_watch {
    const char *name;
    /* The port is there: called at once, if it is, and whenever it comes (again). */
    void (*found)(void *arg, struct console_port *port);
    void *arg;
    struct console_port_watch *next; /* private */
};
void console_port_watch(struct console_port_watch *watch);
void console_port_unwatch(struct console_port_watch *watch);

/*
 * The port of this name that is there now, or NULL. The handle is valid until the console is shut
 * down or unplugged; who has the port open is told before (`changed`), everybody else asks again.
 */
struct console_port *console_port_find(const char *name);

/*
 * Tells the other side that somebody is here; what it sends is kept from then on. 0, -ENODEV: the
 * port is gone; -EBUSY: it is open already, or a console. Closing drops what was not read.
 */
int console_port_open(struct console_port *port, const struct console_port_callbacks *callbacks,
                      void *arg);
void console_port_close(struct console_port *port);

/*
 * Reads up to `size` bytes. The number of bytes; -EAGAIN: none now; 0: the other side has closed
 * and everything was read; -ENODEV: gone or not open.
 */
int console_port_read(struct console_port *port, void *data, size_t size);

/*
 * Takes up to `size` bytes to be sent, in order. The number taken; -EAGAIN: no room now; -EPIPE:
 * nobody has the other end open; -ENODEV: gone or not open.
 */
int console_port_write(struct console_port *port, const void *data, size_t size);

bool console_port_is_present(const struct console_port *port);
bool console_port_is_connected(const struct console_port *port); /* the other end is open */
const char *console_port_name(const struct console_port *port);  /* "" without a name */

/* Columns and rows of the console's terminal as far as it is known, else 0. */
void console_port_size(uint16_t *cols, uint16_t *rows);

/* Logs every port: its state and counters. */
void console_port_print_report(void);

#endif
