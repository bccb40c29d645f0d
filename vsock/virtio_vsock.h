/*
 * virtio_vsock.h - the socket device driver (5.10), for the table in boot/main.c. Connections over
 * it are vsock.h's.
 */
#ifndef FERRULE_VSOCK_VIRTIO_VSOCK_H
#define FERRULE_VSOCK_VIRTIO_VSOCK_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_vsock_driver;

#endif
