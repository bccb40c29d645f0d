/*
 * ring_layout.h - what ring_device.c and the files of the ring layouts share, and nobody else.
 *
 * A layout owns every access to the shared memory of its rings, and the checks that can be made
 * there. ring_device.c owns the chains, their order and the counters. Read ring_device.h first.
 */
#ifndef FERRULE_HOSTED_RING_LAYOUT_H
#define FERRULE_HOSTED_RING_LAYOUT_H

#include "hosted/ring_device.h"

/* The requirements that are the same in both layouts but have an id in each. */
struct ring_rules {
    const char *order;    /* readable pieces come before writable ones */
    const char *total;    /* the bytes of a buffer */
    const char *too_long; /* the pieces of a buffer */
};

struct ring_layout {
    struct ring_rules rules;
    /* Finds the rings in memory and checks them. False: not there. */
    bool (*init)(struct ring_device *ring);
    void (*finish)(struct ring_device *ring);
    uint16_t (*pending)(const struct ring_device *ring);
    /* Takes the next buffer out of the ring. NULL: none, or a wrong one. */
    struct ring_chain *(*pop)(struct ring_device *ring);
    void (*unpop)(struct ring_device *ring, struct ring_chain *chain);
    /* The descriptors of a chain go back to the driver; they must be as they were. */
    void (*release)(struct ring_device *ring, const struct ring_chain *chain);
    /* Writes a used element for so many buffers, which take so many descriptors. */
    void (*use)(struct ring_device *ring, uint32_t id, uint32_t len, unsigned buffers,
                unsigned descriptors);
    void (*skip_used)(struct ring_device *ring, uint16_t count);
    /* Was anything pushed since the last call, and does the driver want to know? */
    bool (*signal)(struct ring_device *ring, bool *wanted);
    void (*want_notify)(struct ring_device *ring, bool wanted);
    void (*set_avail_event)(struct ring_device *ring, uint16_t event);
    /* Reports a notification that was not wanted. False: it was one. */
    bool (*notified)(struct ring_device *ring);
    uint16_t (*notification_data)(const struct ring_device *ring);
};

extern const struct ring_layout ring_split_layout, ring_packed_layout;

/* The byte that poison is made of. As an id, a length or an address it means nothing. */
#define RING_POISON 0xa5

static inline uint16_t ring_load16(const uint16_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void ring_store16(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* A chain of this head, without pieces yet. */
struct ring_chain *ring_chain_start(struct ring_device *ring, uint16_t head);

/* Adds one checked piece. False after a violation that makes the chain unusable. */
bool ring_chain_add(struct ring_device *ring, struct ring_chain *chain, dma_addr_t addr,
                    uint32_t len, bool write);

#endif
