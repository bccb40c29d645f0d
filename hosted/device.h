/*
 * device.h - a model virtio device behind a modern virtio-pci register interface (4.1): strict with
 * its driver, and able to lie.
 *
 * The model checks what the driver does against the driver requirements and reports violations by
 * id (violation.h). A test sets `lies` to make it misbehave. What it does with buffers is the
 * device type's: device_net.h, device_blk.h, or the test's own serve(). Rings are ring_device.h's,
 * the bus is fake_pci.h's.
 */
#ifndef FERRULE_HOSTED_DEVICE_H
#define FERRULE_HOSTED_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "hosted/fake_pci.h"
#include "hosted/ring_device.h"
#include "hosted/wire.h"

#define DEVICE_MAX_QUEUES 8
#define DEVICE_CONFIG_SIZE 128
#define DEVICE_NO_FEATURE 255
#define DEVICE_FOR_EVER 0xffffffffu

struct device;

/*
 * A field of the device configuration: an access must have its width, and an optional field its
 * feature (2.5.1, 4.1.3.1).
 */
struct device_field {
    uint8_t offset, width, count, feature;
};

/* What makes a device type. */
struct device_type {
    const char *name;
    uint16_t id;
    const struct device_field *field;
    unsigned fields;
    /* The driver notified the queue: take what is there. NULL: nothing is ever answered. */
    void (*serve)(struct device *device, unsigned queue);
    /* The driver reset the device: every chain held is gone. May be NULL. */
    void (*reset)(struct device *device);
    /* The driver reset this queue: its chains are gone. NULL: it holds none between two calls. */
    void (*queue_reset)(struct device *device, unsigned queue);
    /*
     * The features the driver wrote are about to be accepted: check what depends on what. May be
     * NULL.
     */
    void (*check_features)(struct device *device);
    /* The driver wrote to the configuration at `offset`. May be NULL. */
    void (*config_written)(struct device *device, unsigned offset);
};

struct device_queue {
    struct ring_device ring;
    uint16_t max_size, size, vector;
    uint64_t area[3]; /* descriptor, driver, device */
    unsigned written; /* which fields were, by bit of their order in the structure */
    bool enabled, kicked, vector_unread;
    bool resetting;           /* 1 was written to queue_reset, and 0 not read there since */
    bool reset_alone;         /* it was reset alone, since the device was */
    unsigned reset_countdown; /* reads of queue_reset that will still show 1 */
    uint16_t notify_off, notif_config_data;
};

struct device_lies {
    unsigned reset_reads;        /* status reads that still show the old status after a reset */
    unsigned queue_reset_reads;  /* the same of queue_reset after the reset of a queue */
    bool keeps_reset_queue;      /* a queue that was reset stays enabled */
    bool refuse_features;        /* FEATURES_OK does not stick */
    unsigned generation_moves;   /* reads of the generation that differ from the one before */
    unsigned change_after_reads; /* after so many configuration reads every byte is inverted */
    unsigned config_moves;       /* configuration reads after which its first byte is another */
    bool refuse_config_vector;
    unsigned refuse_queue_vector; /* bit n: queue n gets no vector */
    uint8_t status_or;            /* bits that status always shows */
    bool gone;                    /* unplugged: every register reads as all ones */
    bool mute;                    /* takes nothing, answers nothing */
    bool forgets_queues;          /* offers fewer queues after the first reset */
    uint32_t offered_xor; /* offers other features (bits 0 to 31) after the first DRIVER_OK */
};

struct device_front; /* device_front.h */

#define DEVICE_TRACE_SIZE 4096

struct device {
    struct fake_function *pci;        /* NULL: not on that bus */
    const struct device_front *front; /* NULL: the modern PCI interface, device.c's own */
    void *front_state;
    const struct device_type *type;
    void *state; /* the device type's own */
    struct device_lies lies;

    uint32_t offered[4], accepted[4];
    uint8_t config[DEVICE_CONFIG_SIZE];
    unsigned config_length, common_length;
    struct device_queue queue[DEVICE_MAX_QUEUES];
    unsigned queues;

    uint8_t status, generation, isr;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select, config_vector;
    bool config_vector_unread, features_read, reset_unconfirmed, was_live;
    unsigned reset_countdown;
    uint8_t status_before_reset;
    unsigned resets, status_reads;
    unsigned config_writes;
    char trace[DEVICE_TRACE_SIZE]; /* what the driver did, a word each; repeated words once */
};

/*
 * How a device is put together. msix_vectors 0: INTx only. Ask for more queues than a type needs to
 * test the rest.
 */
struct device_setup {
    const struct device_type *type;
    uint64_t features; /* bits 0 to 63; VERSION_1 is added */
    unsigned queues;
    uint16_t queue_size;
    unsigned msix_vectors;
    const void *config;
    unsigned config_length;
    void *state;
};

/*
 * The interface that devices made from now on have: device_legacy_front (device_legacy.h), one of
 * device_mmio.h, or NULL for modern PCI. Part of a test's start, as it stays.
 */
void device_set_front(const struct device_front *front);

/*
 * Makes the device and its PCI function, and lets it live in the world outside (it serves notified
 * queues whenever the driver waits). The structure is the caller's; device_finish() before it goes
 * away.
 */
void device_init(struct device *device, const struct device_setup *setup);
void device_finish(struct device *device);

/*
 * Serves every queue that was notified, once. What the world hook does; for tests that want it now.
 */
void device_run(struct device *device);

/* After pushing to the queue: a used buffer notification if the driver wants one. */
void device_signal(struct device *device, unsigned queue);

/* Changes configuration bytes under a new generation and notifies the driver (2.3, 2.5.2). */
void device_change_config(struct device *device, unsigned offset, const void *data, unsigned len);

/* Sets DEVICE_NEEDS_RESET and notifies the driver (2.1.2). */
void device_need_reset(struct device *device);

/* Pulled out: its registers read as all ones, and nothing that it had is touched any more. */
void device_power_off(struct device *device);

bool device_has(const struct device *device, unsigned feature); /* accepted */
bool device_is_live(const struct device *device);
bool device_is_legacy(const struct device *device); /* its front is a legacy one (2.2.3) */

/*
 * Where the structures lie in BAR `DEVICE_BAR`, and the offset of their capabilities in
 * configuration space, for tests that change them.
 */
#define DEVICE_BAR 4
enum {
    DEVICE_COMMON_AT = 0x0000,
    DEVICE_ISR_AT = 0x1000,
    DEVICE_CONFIG_AT = 0x2000,
    DEVICE_NOTIFY_AT = 0x3000
};
#define DEVICE_BAR_SIZE 0x4000u
#define DEVICE_NOTIFY_MULTIPLIER 4u

/*
 * Adds a virtio capability (4.1.4); returns its offset. `extra` is what follows the common 16
 * bytes.
 */
unsigned device_add_capability(struct fake_function *f, uint8_t type, uint8_t bar, uint32_t offset,
                               uint32_t length, const void *extra, unsigned extra_len);

#endif
