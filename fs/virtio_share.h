/*
 * virtio_share.h - what the drivers of the host's shares have in common (virtio_9p.c, virtio_fs.c):
 * the wait for an answer, and which tags can be used.
 */
#ifndef FERRULE_FS_VIRTIO_SHARE_H
#define FERRULE_FS_VIRTIO_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

/* What is waited for, and for whom. */
struct virtio_share_wait {
    struct virtio_device *device;
    struct virtqueue *vq;
    const char *kind, *tag; /* "9p host", for log lines */
    const unsigned *resets; /* counts how often the driver had to take its buffers back */
    uint64_t timeout_ns;
};

/*
 * Waits for the next used buffer: its token, and the bytes that the device wrote. NULL: there will
 * be none, for the device was reset, because the queue broke, the time was over, or by itself;
 * every buffer is the driver's again. Sleeps when it takes long.
 */
void *virtio_share_wait(const struct virtio_share_wait *wait, uint32_t *len);

/* Can the tag be a part of a path, a log line and a kernel word? */
bool virtio_share_tag_is_usable(const char *tag);

#endif
