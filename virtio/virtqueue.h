/*
 * virtqueue.h - the driver's side of a virtqueue: one API for every ring layout (2.6, 2.7, 2.8).
 *
 * How a driver uses it:
 *   1. virtio_find_queues() (virtio.h) makes the queue. All memory is taken then; nothing below
 *      allocates.
 *   2. virtqueue_add() gives a buffer, a list of pieces of which the first `out` are read by the
 *      device and the other `in` written, together with a token. From then until
 *      virtqueue_get_buf() returns the token (or virtqueue_detach_unused() after a device reset)
 *      the memory is the device's: never a stack buffer.
 *   3. virtqueue_kick() after a batch of adds sends one available buffer notification, if the
 *      device wants one.
 *   4. virtqueue_get_buf() returns tokens of used buffers, until NULL.
 *   5. To sleep: virtqueue_enable_cb(); if false, more arrived, go back to 4. When polling again:
 *      virtqueue_disable_cb().
 *
 * A queue has one owner and no lock. Only virtqueue_interrupt() may be called in interrupt context;
 * it touches no ring. What a device writes is read once, checked, and never trusted: a violation
 * marks the queue broken, with one log line, and from then on every call fails with -EIO (NULL,
 * false) until the device is reset.
 *
 * Work, whatever the device does (tests/bounds/work.c counts it): add and get_buf look at one place
 * of the ring and take a turn for each piece of that buffer, add_row and get_row do so for each buffer; kick, disable_cb and enable_cb take no
 * turn and look at one place; detach_unused takes one turn for each ring entry, in all calls
 * together. Only virtqueue_notify() touches a register, once. Read virtqueue.c next, then virtqueue_split.c.
 */
#ifndef FERRULE_VIRTIO_VIRTQUEUE_H
#define FERRULE_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform.h"

/* One piece of a buffer. Lengths are at least 1; a list's total is below 4 GiB (2.7.4.2). */
struct virtqueue_sg {
    void *data;
    uint32_t len;
};

/* Where the three parts of the ring lie, for the transport (2.6: descriptor, driver and device
 * area). */
struct virtqueue_areas {
    dma_addr_t descriptor, driver, device;
};

/* Ring variants, fixed when the queue is made; they follow from the negotiated features. */
struct virtqueue_layout {
    bool packed;        /* VIRTIO_F_RING_PACKED; else split */
    bool event_idx;     /* VIRTIO_F_EVENT_IDX */
    bool indirect;      /* VIRTIO_F_INDIRECT_DESC */
    bool in_order;      /* VIRTIO_F_IN_ORDER */
    uint32_t alignment; /* of the used ring in a legacy device (2.7.2), else 0 */
    bool legacy;        /* used lengths are often wrong (2.7.8.1): a larger one is cut */
};

struct virtqueue_stats {
    uint64_t added, used;   /* buffers given and taken back */
    uint64_t notifications; /* available buffer notifications sent */
    uint64_t suppressed;    /* kicks that needed none */
    uint64_t interrupts;    /* used buffer notifications seen */
    uint64_t polls;         /* looks for a used buffer: virtqueue_get_buf() */
    uint64_t arms;          /* notifications asked for, to sleep: virtqueue_enable_cb() */
    uint64_t full;          /* adds refused for lack of space */
    uint64_t indirect;      /* buffers added through an indirect table */
    uint64_t bad;           /* violations by the device */
};

struct virtqueue;

struct virtqueue_params {
    const char *name;      /* for log lines; must outlive the queue */
    uint16_t index;        /* the device's number for it */
    uint16_t size;         /* entries, 1..32768; for split a power of two */
    uint16_t max_segments; /* most pieces that an add will have; >= 1; adds of more are -EINVAL */
    uint16_t cell_bytes;   /* of memory for each buffer, see virtqueue_next_cell(); may be 0 */
    struct virtqueue_layout layout;
    bool loose_lengths; /* a used length beyond what was writable is cut, see get_buf */
    void (*notify)(void *arg, struct virtqueue *vq); /* sends the available buffer notification */
    void *notify_arg;
};

/*
 * Makes a queue in the state that 2.7.1 asks of a new one. NULL when memory is short or the
 * parameters make no sense (said in the log). virtqueue_destroy() takes NULL; the device must have
 * been reset, and buffers still with it are forgotten.
 */
struct virtqueue *virtqueue_create(const struct virtqueue_params *params);
void virtqueue_destroy(struct virtqueue *vq);

/* Replaces the notification function, e.g. once the device may be notified (3.1.1). */
void virtqueue_set_notify(struct virtqueue *vq, void (*notify)(void *arg, struct virtqueue *vq));

/* Back to the state of a new queue, for use after a reset of the device or of this queue. Every
 * buffer must have been taken back. */
void virtqueue_reinit(struct virtqueue *vq);

/*
 * Out of use, as a broken queue is, until virtqueue_reinit(): for the time from the start of its
 * reset to its next enabling. Buffers are taken back by virtqueue_detach_unused() alone.
 */
void virtqueue_stop(struct virtqueue *vq);

/*
 * Another number of entries (as in struct virtqueue_params), for a stopped queue without buffers;
 * virtqueue_reinit() must follow. -ENOMEM, -EINVAL: it is as it was. Counters stay, the areas move.
 * The limit on segments is the one that was asked for at first, or the size if that is less.
 */
int virtqueue_resize(struct virtqueue *vq, uint16_t size);

/*
 * Adds one buffer. 0; -ENOSPC: no room, take used buffers first (a result like any other); -EINVAL:
 * no piece, an empty piece, more pieces than promised, or memory that no device can reach; -EIO:
 * the queue is broken. On an error nothing was added. `token` is not NULL.
 */
int virtqueue_add(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
                  void *token);

/*
 * Adds buffers of one piece each, sg[i] under token[i], all of them to be written by the device
 * (`in`) or all to be read: what virtqueue_add() would do with each in turn, for less. Returns how many were added, from
 * the first on, which is fewer than `count` where the next one fails; if that is the first, its error.
 */
int virtqueue_add_row(struct virtqueue *vq, const struct virtqueue_sg *sg, void *const *token,
                      unsigned count, bool in);

/*
 * The cell of the buffer that is added next: params.cell_bytes of device memory, zeroed at first, which
 * are that buffer's until it is taken back. Only while virtqueue_free() > 0.
 */
void *virtqueue_next_cell(const struct virtqueue *vq);

/*
 * Sends at most one notification for everything added since the last call. The two halves let a
 * caller ask first: virtqueue_kick_prepare() says whether the device wants one (2.7.7.2, 2.7.10),
 * virtqueue_notify() sends it.
 */
void virtqueue_kick(struct virtqueue *vq);
bool virtqueue_kick_prepare(struct virtqueue *vq);
void virtqueue_notify(struct virtqueue *vq);

/*
 * The token of the next used buffer, or NULL: none, or the queue is broken. `*len` (may be NULL) is
 * the number of bytes the device says it wrote; at most what was writable (2.7.8.2 allows no more;
 * a larger one breaks the queue, unless it is a legacy device's or has loose_lengths).
 */
void *virtqueue_get_buf(struct virtqueue *vq, uint32_t *len);

/* The tokens of the next used buffers, `most` at most, and if `len` is not NULL their lengths: as
 * virtqueue_get_buf() would give one after the other. Returns their number. */
unsigned virtqueue_get_row(struct virtqueue *vq, void **token, uint32_t *len, unsigned most);

/*
 * Used buffer notifications. Off is a hint to the device (2.7.7): they may still come.
 * virtqueue_enable_cb() returns false when used buffers are there already, which would otherwise
 * wait for the next interrupt.
 */
void virtqueue_disable_cb(struct virtqueue *vq);
bool virtqueue_enable_cb(struct virtqueue *vq);

/* Takes back the buffers that a reset device did not use, one token a call in no order, then NULL.
 * Only after a reset, of the device or of this queue. */
void *virtqueue_detach_unused(struct virtqueue *vq);

/* Marks the queue broken: a violation of the protocol, with the reason for the log (said once). */
void virtqueue_break(struct virtqueue *vq, const char *reason);
bool virtqueue_is_broken(const struct virtqueue *vq);

/* Room: buffers of one piece that virtqueue_add() would take now at least. And how many the device
 * has. */
unsigned virtqueue_free(const struct virtqueue *vq);
unsigned virtqueue_in_flight(const struct virtqueue *vq);

const char *virtqueue_name(const struct virtqueue *vq);
uint16_t virtqueue_index(const struct virtqueue *vq);
uint16_t virtqueue_size(const struct virtqueue *vq);
const struct virtqueue_areas *virtqueue_areas(const struct virtqueue *vq);
const struct virtqueue_stats *virtqueue_stats(const struct virtqueue *vq);

/*
 * What an available buffer notification carries with VIRTIO_F_NOTIFICATION_DATA besides the queue
 * (2.9): next_off in bits 0 to 14 and next_wrap in bit 15. For transports.
 */
uint16_t virtqueue_notification_data(const struct virtqueue *vq);

/* Logs indices, flags and counters: the driver's own view and the shared one. */
void virtqueue_dump(const struct virtqueue *vq);

/* The transport's handler for a used buffer notification. Interrupt context; counts and marks only.
 */
void virtqueue_interrupt(void *vq);

#endif
