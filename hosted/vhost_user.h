/*
 * vhost_user.h - the vhost-user front end: a device in another process, as one more transport.
 *
 * Owns the conversation with the back end, the event descriptors of its queues and the parts of a
 * device that a front end keeps itself. Rings and buffers are the shared arena (dma_arena.c), so
 * the drivers run as they are. The clock must be the real one: messages are waited for, each within
 * a time limit, and a back end that breaks the protocol, dies or keeps silent is named in the log.
 * Protocol: "Vhost-user Protocol" of QEMU's documentation. Read virtio/virtio.h first.
 *
 * When the connection is lost, a back end that keeps track of requests in flight (INFLIGHT_SHMFD,
 * split rings) is connected to again behind the driver's back, and finishes them. Any other is
 * shown to the core as DEVICE_NEEDS_RESET, and its reset connects anew.
 */
#ifndef FERRULE_HOSTED_VHOST_USER_H
#define FERRULE_HOSTED_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

struct vhost_user;

struct vhost_user_setup {
    const char *path;    /* the back end's socket; copied */
    uint16_t type;       /* device ID of the specification (5): the protocol does not say it */
    uint16_t queue_size; /* entries at most, since the protocol does not say it; 0: 256 */
    uint16_t queues;     /* at most; 0: two for a network device, one for others */
    unsigned timeout_ms; /* for each message and for connecting; 0: 2000 */
    struct virtio_features withheld; /* not offered to the driver although the back end has them */
};

/*
 * Connects to a back end and adds its device (virtio_add_device()). NULL: there is none that can be
 * talked to, said in the log. The device lives until virtio_shutdown().
 */
struct virtio_device *vhost_user_open(const struct vhost_user_setup *setup);

/* Another time limit from now on, for the next message or connection. */
void vhost_user_set_timeout(struct virtio_device *device, unsigned timeout_ms);

/* Connections made for the device so far: 1, and one more for each time that it was lost. */
unsigned vhost_user_connections(const struct virtio_device *device);

/* The protocol features in use (VHOST_USER_PROTOCOL_F_*). */
uint64_t vhost_user_protocol_features(const struct virtio_device *device);

#endif
