/*
 * virtio_share.h - what the drivers of the host's shares have in common (virtio_9p.c, virtio_fs.c):
 * a message and the wait for its answer, which tags can be used, and the list of the shares of one
 * kind.
 */
#ifndef FERRULE_FS_VIRTIO_SHARE_H
#define FERRULE_FS_VIRTIO_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

/* Request, data to write, answer, room for data. */
#define VIRTIO_SHARE_PIECES 4
/* Of one kind at a time. */
#define VIRTIO_SHARES_MAX 8

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

/* Where a message and its answer lie. `data` and `room` may be empty. */
struct virtio_share_message {
    struct virtqueue_sg request, data; /* for the device to read */
    struct virtqueue_sg reply, room;   /* for it to write */
};

/*
 * Sends a message through the queue, which has no other under way, and waits for the answer: the
 * bytes that the device wrote. 0; -EFAULT: nothing was sent, since a piece lies where the device
 * cannot reach it; -EIO: there is no answer and will be none.
 */
int virtio_share_exchange(const struct virtio_share_wait *wait,
                          const struct virtio_share_message *message, uint32_t *reply_len);

/* Does a message fit into the queue? -EINVAL, with the refusal, if not. */
int virtio_share_check_queue(struct virtio_device *device, const struct virtqueue *vq);

/* Can the tag be a part of a path, a log line and a kernel word? */
bool virtio_share_tag_is_usable(const char *tag);

/* Takes a share into its kind's list, and says so or that there is no place: -ENOSPC. */
int virtio_share_add(void *shares[VIRTIO_SHARES_MAX], void *share,
                     const struct virtio_device *device, const char *tag);
/* Takes it out again, if it is there. */
void virtio_share_drop(void *shares[VIRTIO_SHARES_MAX], const void *share);
/* The share of that number, from 0 on without gaps; NULL: there are not so many. */
void *virtio_share_at(void *const shares[VIRTIO_SHARES_MAX], unsigned index);

#endif
