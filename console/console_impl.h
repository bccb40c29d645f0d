/*
 * console_impl.h - what virtio_console.c (the device) and console_port.c (its ports) share.
 *
 * Private to the two. The device's file owns queues, control messages and recovery; the ports' file
 * owns what a port is to the rest of the system: a console, or a byte stream of an application.
 */
#ifndef FERRULE_CONSOLE_CONSOLE_IMPL_H
#define FERRULE_CONSOLE_CONSOLE_IMPL_H

#include "console.h"
#include "console/console_port.h"
#include "console/console_stream.h"
#include "virtio/virtio.h"

#define CONSOLE_NAME_SIZE 64

struct virtio_console;

struct console_port {
    struct virtio_console *owner;
    uint32_t id;
    char name[CONSOLE_NAME_SIZE];
    struct console_stream stream;
    bool present;   /* the device has it */
    bool connected; /* the other end is open */

    /* What the device is to be told; each is sent once there is room for the message. */
    bool owes_ready, owes_open;
    bool open; /* our end */

    bool is_console;
    bool was_console; /* before the device was reset: it has shown the log already */
    struct console console;
    bool stuck;                 /* the device took nothing in the time a writer waits */
    uint64_t dropped, reported; /* bytes of console output */

    const struct console_port_callbacks *callbacks;
    void *arg;
    bool wants_room;
};

struct virtio_console {
    struct virtio_device *device;
    struct virtqueue *control_rx, *control_tx; /* NULL without MULTIPORT */
    struct console_control *control;           /* device-visible */
    uint32_t control_free;                     /* outgoing messages, a bit each */
    struct console_port *port;
    unsigned ports;
    struct console_port *emergency_port; /* the console that emerg_wr stands for */
    uint16_t cols, rows;
    const char *trouble; /* why the device must be reset, or NULL */
    bool complained;     /* of a message that made no sense; once is enough */
    struct virtio_console *next;
};

/* ---- virtio_console.c ---- */

struct virtio_console *virtio_console_first(void);

/* Sends what ports owe, as far as there is room. */
void virtio_console_send_owed(struct virtio_console *vcon);

/* 5.3.4, EMERG_WRITE: one byte without any queue. With that feature only. */
void virtio_console_emergency(struct virtio_console *vcon, uint8_t byte);

/* ---- console_port.c: what happened to a port ---- */

void console_port_added(struct console_port *port);
void console_port_removed(struct console_port *port);
void console_port_made_console(struct console_port *port);
void console_port_named(struct console_port *port, const uint8_t *name, size_t len);
void console_port_connected(struct console_port *port, bool connected);

/* Moves bytes and calls back. Returns the number of buffers that moved. */
unsigned console_port_poll(struct console_port *port);
bool console_port_arm(struct console_port *port);

#endif
