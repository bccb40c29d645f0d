/*
 * hostile.h - a virtio device made of the fuzzer's input: it answers every question of the driver
 * and writes into every byte that it may, when and as the input says.
 *
 * It stands where a transport does (struct virtio_transport_ops), so that a run costs
 * microseconds; registers and capabilities have targets of their own (target_pci.c,
 * target_mmio.c). The ring side is hostile_ring.c. Unlike the model device (hosted/device.h) it
 * checks nothing: a sanitizer does.
 */
#ifndef FERRULE_TESTS_FUZZ_HOSTILE_H
#define FERRULE_TESTS_FUZZ_HOSTILE_H

#include "lies.h"
#include "virtio/spec.h"
#include "virtio/virtio.h"

#define HOSTILE_QUEUES 32u
#define HOSTILE_CONFIG 256u
#define HOSTILE_PIECES 64u

/* A buffer that the driver made available. */
struct hostile_chain {
    uint16_t id;
    unsigned descriptors; /* of the ring that it takes */
    unsigned out, in;     /* pieces that the device reads, and writes */
    uint32_t writable;    /* bytes */
    struct {
        uint8_t *data;
        uint32_t len;
    } piece[HOSTILE_PIECES];
};

struct hostile_queue {
    struct virtqueue *vq; /* NULL: not enabled */
    uint16_t size;
    uint8_t *desc, *driver, *device; /* the areas, as far as they are mapped; else NULL */
    uint16_t avail, used;            /* split: indices; packed: places */
    bool avail_wrap, used_wrap;
    uint16_t last_id;
};

#define HOSTILE_KEEP 0xffffffffu

/* What a device type and the user of its driver add. */
struct hostile_type {
    const struct virtio_driver *driver;
    uint16_t id;
    unsigned queues;
    uint32_t features, more_features; /* bits 0 to 31 of a good device, and 32 to 63 */
    uint8_t config[HOSTILE_CONFIG];
    /* That of another kind of good device of the type. NULL: there is one kind only. */
    const uint8_t *other_config;
    /* Answers a buffer as a good device would: the number of bytes written, or HOSTILE_KEEP: it has
     * nothing to say yet. */
    uint32_t (*answer)(unsigned queue, struct hostile_chain *chain);
    /* What a good device does when its configuration was written at this place. May be NULL. */
    void (*configured)(uint8_t *config, unsigned offset);
    /* What the device says instead of a good answer when the input wants it to complain: the number
     * of bytes written. May be NULL. */
    uint32_t (*complain)(struct hostile_chain *chain, struct input *input);
    /* Makes numbers small in a configuration that is the input's, where large ones show nothing but
     * how long much of the same takes. May be NULL. */
    void (*bound)(uint8_t *config);

    /* The user: begins, with hostile_memory(), does one thing with the driver, and ends before the
     * shutdown. The device may have been refused. */
    void (*start)(uint8_t *memory); /* may be NULL */
    void (*use)(uint8_t op, struct input *input);
    void (*stop)(void); /* may be NULL */
    /* After start(), with a device that has behaved so far: is everything there to be used? May be
     * NULL. */
    bool (*found)(void);
};

struct hostile {
    struct virtio_device device; /* first */
    const struct hostile_type *type;
    struct input *input;
    bool packed, polled, gone;
    uint8_t status, generation;
    uint8_t config[HOSTILE_CONFIG];
    struct hostile_queue queue[HOSTILE_QUEUES];
    uint32_t features[2];
    struct lies lies;
    uint64_t nap_ns; /* what the driver's next look costs while it waits */
    bool running;    /* guards the device against being run from within itself */
};

/*
 * One run: the device is found, its driver brings it up, driver and device act as the input says
 * until it ends, and everything is shut down. What then is left of memory or mappings is a failure.
 */
void hostile_run(const struct hostile_type *type, bool packed, struct input *input);

/* Only the beginning: the device, found and brought up if it lets itself. There is one at a time. */
struct hostile *hostile_open(const struct hostile_type *type, bool packed, struct input *input);

/* 256 KiB that a device can reach, for buffers; the same in every run. */
uint8_t *hostile_memory(void);

/* One thing that the device does, chosen by the input. */
void hostile_act(struct hostile *hostile);

/* Answers everything that is available as a good device would, and interrupts. */
void hostile_serve(struct hostile *hostile);

/* ---- hostile_ring.c ---- */

void hostile_ring_start(struct hostile_queue *queue, bool packed);
/* The next available buffer. False: none, or none that can be made sense of. */
bool hostile_ring_take(struct hostile_queue *queue, bool packed, struct hostile_chain *chain);
void hostile_ring_put(struct hostile_queue *queue, bool packed, uint16_t id, uint32_t len,
                      unsigned descriptors);
/* Writes where a device may write: used ring, descriptors of a packed ring, event suppression. */
void hostile_ring_scribble(struct hostile_queue *queue, bool packed, uint16_t at, uint16_t value);

#endif
