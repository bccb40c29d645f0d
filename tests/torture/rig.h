/*
 * rig.h - a virtqueue of the driver and the model device's side of the same rings, face to face.
 *
 * Owns both and the memory of the buffers. No transport, no device type, no test framework: what
 * goes wrong ends in hosted_fail(). Read traffic.h for what runs over it.
 */
#ifndef FERRULE_TESTS_RIG_H
#define FERRULE_TESTS_RIG_H

#include "hosted/hosted.h"
#include "hosted/ring_device.h"
#include "virtio/virtqueue.h"

#define RIG_BUFFER_SIZE 64u
#define RIG_PIECES 4u /* max_segments of the queue */

struct rig {
    struct virtqueue *vq;
    struct ring_device ring;
    uint8_t *memory; /* [size][RIG_PIECES][RIG_BUFFER_SIZE] */
    size_t memory_size;
    unsigned kicks; /* notifications that arrived; the data of 2.9 is checked with each */
    uint16_t data;  /* of the last one */
};

/* The sixteen kinds of rings, by number, and what else may be chosen with each. */
enum {
    RIG_EVENT_IDX = 1,
    RIG_INDIRECT = 2,
    RIG_IN_ORDER = 4,
    RIG_PACKED = 8,
    RIG_KINDS = 16,
    RIG_ACCESS_PLATFORM = 16,   /* device addresses are no pointers */
    RIG_NOTIFICATION_DATA = 32, /* for traffic.c: the data follows from what was added */
    RIG_RING_RESET = 64,        /* for traffic.c: resets of the queue, and other sizes */
    RIG_ALL_KINDS = 128
};

void rig_open(struct rig *rig, uint16_t size, unsigned kind);
/* Buffers that are still out are taken back first. */
void rig_close(struct rig *rig);

/* The device starts anew on the rings, with the size that they have, as after a reset. */
void rig_attach(struct rig *rig);

uint8_t *rig_buffer(const struct rig *rig, unsigned slot, unsigned piece);
/* The slot whose memory this is. */
unsigned rig_slot(const struct rig *rig, const void *memory);

/*
 * Adds buffer `slot` with so many whole pieces; the token is the buffer's own memory. Returns what
 * virtqueue_add() does.
 */
int rig_add(struct rig *rig, unsigned slot, unsigned out, unsigned in);

/* One buffer there and back, so many times, so that indices move on. */
void rig_cycle(struct rig *rig, unsigned count);

#define RIG_CHECK(condition) \
    ((condition) ? (void)0 : hosted_fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition))

#endif
