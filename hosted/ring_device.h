/*
 * ring_device.h - the device's side of one virtqueue: takes buffers, checks what the driver did,
 * returns them, or lies.
 *
 * Owns the device's indices and its view of which descriptors are exposed. The layout of the ring
 * (2.7) is in ring_split.c alone. Knows no device type and no transport, so the driver's queue can
 * be tested with nothing else around it. Read device.h next.
 */
#ifndef FERRULE_HOSTED_RING_DEVICE_H
#define FERRULE_HOSTED_RING_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hosted/wire.h"
#include "platform.h"

struct ring_params {
    const char *name;
    uint16_t index, size;
    bool event_idx, indirect;
    dma_addr_t descriptor, driver, device;
};

/* One piece of a buffer, reachable and mapped by the driver for this direction. */
struct ring_piece {
    uint8_t *data;
    uint32_t len;
};

/*
 * A buffer that the device has, from ring_device_pop() to ring_device_push(). The first `out`
 * pieces are read by the device.
 */
struct ring_chain {
    uint16_t head;
    unsigned out, in;
    uint32_t readable, writable; /* bytes */
    bool indirect, live;
    struct ring_piece *piece;
    unsigned capacity; /* of piece */
    void *owner;       /* the device type's own */
};

struct ring_counters {
    uint64_t popped, pushed;
    uint64_t interrupts,
        suppressed; /* used buffer notifications wanted, and not wanted, by the driver */
    uint64_t notified,
        unwanted; /* available buffer notifications received; of these while not wanted */
    uint64_t indirect;
};

struct ring_device {
    struct ring_params params;
    struct wire_desc *desc;
    uint16_t *avail; /* flags, idx, ring[size], used_event */
    uint16_t *used;  /* flags, idx, ring[size] of two u32, avail_event */

    struct ring_chain *chain; /* [size], by head */
    uint16_t *owner; /* [size]: which exposed chain a descriptor belongs to, or RING_FREE */
    struct wire_desc *snapshot; /* [size]: exposed descriptors as they were when popped */
    uint16_t avail_idx;         /* next entry to take */
    uint16_t used_idx;
    uint16_t signalled_idx;  /* used_idx at the last decision about a notification */
    uint16_t notified_idx;   /* the driver's avail idx at its last notification, ... */
    uint64_t notified_total; /* ... and all it had made available by then */
    unsigned in_flight;
    bool scribbles; /* the device itself changes descriptors: do not compare */
    struct ring_counters count;
};

/*
 * Starts on what the driver set up; checks alignment and initial contents. False: unusable (said as
 * a violation).
 */
bool ring_device_init(struct ring_device *ring, const struct ring_params *params);

/*
 * Forgets everything, as a device reset does. The memory of the rings is not touched. Harmless on a
 * zeroed structure.
 */
void ring_device_finish(struct ring_device *ring);

/* The next available buffer, or NULL: none, or one so wrong that it cannot be used. */
struct ring_chain *ring_device_pop(struct ring_device *ring);

/* Gives the buffer popped last back to the available ring, as if it had not been taken. */
void ring_device_unpop(struct ring_device *ring, struct ring_chain *chain);

/*
 * Returns a buffer to the driver: `len` bytes were written. ring_device_signal() must follow, once
 * for a batch.
 */
void ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len);

/* A lie: a used element as given, whatever the device has. */
void ring_device_push_raw(struct ring_device *ring, uint32_t id, uint32_t len);

/* A lie: moves the used index without writing elements. */
void ring_device_skip_used(struct ring_device *ring, uint16_t count);

/* Does the driver want a notification for what was pushed since the last call (2.7.7, 2.7.10)? */
bool ring_device_signal(struct ring_device *ring);

/*
 * Whether the device asks for available buffer notifications; true says so for the very next
 * buffer.
 */
void ring_device_want_notify(struct ring_device *ring, bool wanted);
/* With EVENT_IDX: the index at which the device wants one. */
void ring_device_set_avail_event(struct ring_device *ring, uint16_t event);

/* A notification has arrived: counted, and checked against what the device asked for. */
void ring_device_notified(struct ring_device *ring);

/* Buffers that the driver has made available and the device has not taken. */
uint16_t ring_device_pending(const struct ring_device *ring);

/* Copying out of and into a chain, over piece borders. They return what fits. */
size_t ring_chain_read(const struct ring_chain *chain, size_t offset, void *data, size_t len);
size_t ring_chain_write(struct ring_chain *chain, size_t offset, const void *data, size_t len);

/*
 * Adds one checked piece to a chain; for the layout's file. False after a violation that makes the
 * chain unusable.
 */
bool ring_chain_add(struct ring_device *ring, struct ring_chain *chain, dma_addr_t addr,
                    uint32_t len, bool write);

#define RING_FREE 0xffffu

#endif
