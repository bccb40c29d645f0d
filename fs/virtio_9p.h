/*
 * virtio_9p.h - shares of the host behind virtio: carries the messages of ninep.h.
 *
 * The device has number 9 in the VIRTIO specification, which says no more about it; how it works
 * is what QEMU's does. One queue; a request is one buffer, the message from the driver readable and
 * room for the answer writable. Read virtio_9p.c next.
 */
#ifndef FERRULE_FS_VIRTIO_9P_H
#define FERRULE_FS_VIRTIO_9P_H

#include "fs/ninep.h"
#include "virtio/virtio.h"

extern const struct virtio_driver virtio_9p_driver;

/*
 * The shares in the order in which they were found; NULL behind the last one. Their tags can be
 * parts of a path. They live until
 * the watcher is told that they go.
 */
struct ninep_transport *virtio_9p_at(unsigned index);

/* Called with each share that comes from now on, and with each that goes: nothing may be asked of it
 * any more once this returns. */
void virtio_9p_watch(void (*watcher)(struct ninep_transport *share, bool added));

#endif
