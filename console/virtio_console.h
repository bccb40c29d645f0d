/*
 * virtio_console.h - the console device driver (5.3). What it offers is behind console.h for ports
 * that are consoles, and behind console_port.h for all others.
 */
#ifndef FERRULE_CONSOLE_VIRTIO_CONSOLE_H
#define FERRULE_CONSOLE_VIRTIO_CONSOLE_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_console_driver;

#endif
