/*
 * ring_device.h - the device's side of one virtqueue: takes buffers, checks what the driver did,
 * returns them, or lies.
 *
 * Owns which buffers are exposed, and in which order. Where they lie in shared memory is the
 * layout's: ring_split.c (2.7) and ring_packed.c (2.8), behind the table in ring_layout.h. Knows no
 * device type and no transport, so the driver's queue can be tested with nothing else around it.
 * Read device.h next.
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
    bool packed, event_idx, indirect, in_order;
    dma_addr_t descriptor, driver, device;
};

/* One piece of a buffer, reachable and mapped by the driver for this direction. */
struct ring_piece {
    uint8_t *data;
    uint32_t len;
    dma_addr_t addr;
};

/*
 * A buffer that the device has, from ring_device_pop() to ring_device_push(). The first `out`
 * pieces are read by the device.
 */
struct ring_chain {
    uint16_t
        head; /* the id it is returned by: split, its first descriptor; packed, its buffer id */
    unsigned out, in;
    uint32_t readable, writable; /* bytes */
    uint16_t start, descriptors; /* entries of the ring that it takes; packed: the first of them */
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

/* The state of a split ring. */
struct ring_split {
    struct wire_desc *desc;
    uint16_t *avail;            /* flags, idx, ring[size], used_event */
    uint16_t *used;             /* flags, idx, ring[size] of two u32, avail_event */
    struct wire_desc *snapshot; /* [size]: exposed descriptors as they were when popped */
    uint16_t avail_idx;         /* next entry to take */
    uint16_t used_idx;
    uint16_t signalled_idx;   /* used_idx at the last decision about a notification */
    uint16_t notified_idx;    /* the driver's avail idx at its last notification, ... */
    uint64_t notified_total;  /* ... and all it had made available by then */
    uint16_t next_descriptor; /* IN_ORDER: where the next chain has to start */
};

/*
 * The state of a packed ring. Places are counted from the start and never wrap: place p is entry
 * p % size, and its wrap counter is 1 in every other lap, beginning with the first (2.8.1).
 */
struct ring_packed {
    struct wire_packed_desc *desc;
    uint32_t *driver_events; /* struct wire_events, accessed as a whole */
    uint32_t *device_events;
    struct wire_packed_desc *snapshot; /* [size]: exposed descriptors as they were when popped */
    uint64_t avail;                    /* next place to take a buffer from */
    uint64_t used;                     /* next place to return one at */
    uint64_t signalled;                /* `used` at the last decision about a notification */
    uint64_t notified;                 /* how far the driver had come at its last notification */
};

struct ring_layout;

struct ring_device {
    struct ring_params params;
    const struct ring_layout *layout;
    struct ring_chain *chain;  /* [size], by head */
    uint16_t *owner;           /* [size]: whose an exposed descriptor is, or RING_FREE */
    struct ring_chain **order; /* [size]: IN_ORDER: what the device has, oldest first, ... */
    uint16_t oldest;           /* ... from here */
    unsigned in_flight;
    /*
     * Poison mode: the device overwrites descriptors, indirect tables and entries of the available
     * ring as soon as it has read them, leaves garbage where the driver must not look, and so
     * cannot tell whether the driver has changed something.
     */
    bool poison;
    bool no_write_flag; /* packed, as QEMU does: used descriptors never have WRITE (2.8.3) */
    struct ring_counters count;
    union {
        struct ring_split split;
        struct ring_packed packed;
    };
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

/*
 * Is every buffer that the device has mapped for it still, as it must be until it is returned or a
 * reset is over?
 */
bool ring_device_is_mapped(const struct ring_device *ring);

/* The next available buffer, or NULL: none, or one so wrong that it cannot be used. */
struct ring_chain *ring_device_pop(struct ring_device *ring);

/* Gives the buffer popped last back, as if it had not been taken. Not in poison mode. */
void ring_device_unpop(struct ring_device *ring, struct ring_chain *chain);

/*
 * Returns a buffer to the driver: `len` bytes were written. ring_device_signal() must follow, once
 * for a batch. With IN_ORDER it has to be the oldest.
 */
void ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len);

/*
 * IN_ORDER: returns the oldest `count` buffers by one used element, which gives the length of the
 * last alone (2.7.9, 2.8.9).
 */
void ring_device_push_batch(struct ring_device *ring, unsigned count, uint32_t len);

/* IN_ORDER: the nth oldest buffer that the device has. */
struct ring_chain *ring_device_held(const struct ring_device *ring, unsigned n);

/* A lie: a used element as given, whatever the device has. */
void ring_device_push_raw(struct ring_device *ring, uint32_t id, uint32_t len);

/* A lie: moves on the place of the next used element without writing any. */
void ring_device_skip_used(struct ring_device *ring, uint16_t count);

/* Does the driver want a notification for what was pushed since the last call (2.7.7, 2.8.10)? */
bool ring_device_signal(struct ring_device *ring);

/*
 * Whether the device asks for available buffer notifications; true says so for the very next
 * buffer.
 */
void ring_device_want_notify(struct ring_device *ring, bool wanted);
/*
 * With EVENT_IDX: where the device wants one. Split: an available index; packed: an offset, with
 * its wrap counter in bit 15.
 */
void ring_device_set_avail_event(struct ring_device *ring, uint16_t event);

/* A notification has arrived: counted, and checked against what the device asked for. */
void ring_device_notified(struct ring_device *ring);

/* The data that a notification sent now must carry besides the queue (2.9). */
uint16_t ring_device_notification_data(const struct ring_device *ring);

/* Buffers that the driver has made available and the device has not taken. */
uint16_t ring_device_pending(const struct ring_device *ring);

/* Copying out of and into a chain, over piece borders. They return what fits. */
size_t ring_chain_read(const struct ring_chain *chain, size_t offset, void *data, size_t len);
size_t ring_chain_write(struct ring_chain *chain, size_t offset, const void *data, size_t len);

#define RING_FREE 0xffffu

#endif
