/*
 * virtio.h - the device and driver model: what a transport, a driver and the core in between owe
 * each other.
 *
 * A transport (virtio_pci.c) finds a device, fills in a struct virtio_device and calls
 * virtio_add_device(). The core (virtio.c) matches it to a struct virtio_driver by device type and
 * runs the initialization of 3.1.1 once for everybody. The driver sees features, configuration
 * fields and queues, never the transport. All of it runs in loop context except where said. Read
 * virtio.c next.
 */
#ifndef FERRULE_VIRTIO_VIRTIO_H
#define FERRULE_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtqueue.h"

/* A set of feature bits (2.2); the specification numbers 0 to 127 today. */
#define VIRTIO_FEATURE_BITS 128
struct virtio_features {
    uint32_t word[VIRTIO_FEATURE_BITS / 32];
};

static inline bool virtio_features_has(const struct virtio_features *set, unsigned bit)
{
    return bit < VIRTIO_FEATURE_BITS && (set->word[bit / 32] >> (bit % 32) & 1);
}

static inline void virtio_features_add(struct virtio_features *set, unsigned bit)
{
    set->word[bit / 32] |= 1u << (bit % 32);
}

static inline void virtio_features_remove(struct virtio_features *set, unsigned bit)
{
    set->word[bit / 32] &= ~(1u << (bit % 32));
}

struct virtio_device;

/* One feature that a driver knows. Bits that no table names are never accepted and cannot be asked
 * for. */
struct virtio_feature {
    uint8_t bit;
    const char *name;
    const char *refusal; /* why it is never accepted, for the report; NULL: accepted when offered */
    bool (*wanted)(void);   /* accepted in spite of `refusal` as long as it says so; or NULL */
    bool for_legacy;        /* a legacy device's is accepted in spite of `refusal` */
    bool depends;           /* accepted only if ... */
    uint8_t requires;       /* ... this bit is accepted as well (2.2.1), ... */
    uint8_t requires_too;   /* ... and this one, unless 0 */
    bool by_transport;      /* accepted only if the transport says that it can do it */
    uint8_t unless_offered; /* never accepted beside an offer of this one, unless 0 */
};

struct virtio_driver {
    const char *name;             /* virtio-net */
    const uint16_t *device_types; /* ends in 0 */
    const struct virtio_feature *features;
    unsigned feature_count;

    /*
     * After FEATURES_OK: allocate, read the configuration, call virtio_find_queues(). Must not add
     * to or notify a queue yet. On an error nothing may be left allocated; the core sets FAILED.
     */
    int (*probe)(struct virtio_device *device);
    /* After DRIVER_OK, at first and after each recovery: give buffers to the device; at first also
     * tell the upper layer. */
    int (*ready)(struct virtio_device *device);
    /* The device was reset: take every buffer back (virtqueue_detach_unused) and tell its owner. */
    void (*reclaim)(struct virtio_device *device);
    /*
     * The same as reclaim and ready for one queue, device->queue[i], that virtio_mend() reset alone
     * and has enabled again. Both NULL: the driver's queues are not reset alone.
     */
    void (*reclaim_queue)(struct virtio_device *device, unsigned i);
    void (*ready_queue)(struct virtio_device *device, unsigned i);
    /* Undo probe; the device was reset and reclaim was called. */
    void (*remove)(struct virtio_device *device);
    /*
     * The device will be removed and still works: the last time to write to it. Not called when it
     * is gone already. May be NULL.
     */
    void (*leaving)(struct virtio_device *device);
    /* The configuration may have changed. Loop context. May be NULL. */
    void (*config_changed)(struct virtio_device *device);
    /*
     * At most once a second while a queue with `patience_s` is in use: the driver may have the device
     * recovered, if other signs than buffers say that it is dead. Returns whether buffers can be used
     * now; false while the link is down, say. May be NULL.
     */
    bool (*attend)(struct virtio_device *device);
};

/* One queue as the driver wants it. */
struct virtio_queue_request {
    const char *name;
    uint16_t index;
    uint16_t max_size;     /* upper limit on entries, 0 for the device's maximum */
    uint16_t max_segments; /* see struct virtqueue_params */
    uint16_t cell_bytes;   /* the same */
    bool no_interrupt;     /* the driver will never sleep on it */
    bool loose_lengths;    /* see struct virtqueue_params: known devices get used lengths wrong */
    /*
     * When none of its buffers was used for so long, the device stalls: virtio_recover(), and the next
     * time is twice as long. 0: buffers may stay with the device for
     * ever, as events do. VIRTIO_PATIENT: they may, but are reason to ask whether it wants a reset.
     */
    uint16_t patience_s;
};
#define VIRTIO_PATIENT UINT16_MAX

/* How used buffer notifications arrive. */
enum virtio_interrupt_mode { VIRTIO_INTERRUPT_NONE, VIRTIO_INTERRUPT_INTX, VIRTIO_INTERRUPT_MSIX };

/*
 * What a transport implements. Unless it says otherwise an op returns 0 or a negative errno, and
 * never waits on the device.
 */
struct virtio_transport_ops {
    const char *name; /* pci, mmio: for the report */
    uint8_t (*get_status)(struct virtio_device *device);
    void (*set_status)(struct virtio_device *device, uint8_t status);
    void (*get_features)(struct virtio_device *device, struct virtio_features *offered);
    void (*set_features)(struct virtio_device *device, const struct virtio_features *accepted);
    /* One access of `width` bytes (1, 2 or 4), aligned to it (the core checked the range against
     * config_length). */
    uint32_t (*read_config)(struct virtio_device *device, unsigned offset, unsigned width);
    void (*write_config)(struct virtio_device *device, unsigned offset, unsigned width,
                         uint32_t value);
    /* Not called for a legacy device, which has none. */
    uint32_t (*config_generation)(struct virtio_device *device);
    /* Entries at most, 0: there is no such queue. */
    uint16_t (*queue_max_size)(struct virtio_device *device, uint16_t index);
    /* Tells the device about a queue, routes its interrupt, and enables it. */
    int (*queue_enable)(struct virtio_device *device, struct virtqueue *vq, bool interrupt);
    /*
     * Queue reset (2.6.1), NULL where the transport cannot do it. The first asks for it; the other
     * says how far it is: 0: done, -EBUSY: not yet, -EIO: it has ended with the queue still in use.
     */
    void (*queue_reset)(struct virtio_device *device, struct virtqueue *vq);
    int (*queue_reset_state)(struct virtio_device *device, struct virtqueue *vq);
    /*
     * The available buffer notification (2.9), with the signature of struct virtqueue_params; any
     * queue of the device. notify_data is the one with VIRTIO_F_NOTIFICATION_DATA, NULL where the
     * transport cannot do it.
     */
    void (*notify)(void *device, struct virtqueue *vq);
    void (*notify_data)(void *device, struct virtqueue *vq);
    /*
     * Prepares interrupts for a device with `queues` queues, the best mode within
     * virtio_interrupt_limit(), and sets device->interrupt_mode, which queue_enable may still
     * lower. Called before queue_enable, after a reset.
     */
    void (*interrupts_setup)(struct virtio_device *device, unsigned queues);
    void (*interrupts_teardown)(struct virtio_device *device);
    /* Without interrupts: asks the device whether it sent a configuration change notification. May
     * be NULL. */
    bool (*poll_config_change)(struct virtio_device *device);
    /* Is the device still on its bus? Asked when its status reads as all ones or zeros. NULL: it
     * cannot leave. */
    bool (*is_present)(struct virtio_device *device);
    /* Cuts a device that will not be reset off from memory, for good. */
    void (*isolate)(struct virtio_device *device);
    /* Frees what the transport allocated; the device is gone or reset. */
    void (*release)(struct virtio_device *device);
};

#define VIRTIO_MAX_QUEUES 32

/* What virtio_watch.c remembers of a queue: its counters at the last look, and how many looks ago one
 * of its buffers was used. */
struct virtio_watch {
    uint64_t added, used;
    uint16_t patience_s, late_s;
};

struct virtio_device {
    /* Set by the transport before virtio_add_device(). */
    const char *name;       /* where it is: "pci 00:03.0" */
    uint16_t type;          /* device ID of the specification (5) */
    bool legacy;            /* pre-1.0 interface: no FEATURES_OK, no generation, bits 0..31 */
    bool fixed_queue_size;  /* its queues have queue_max_size() entries, no less (legacy PCI) */
    uint32_t config_length; /* bytes of device configuration that can be reached */
    const struct virtio_transport_ops *ops;
    struct virtio_features transport_features; /* those of `by_transport` that it can do */

    /* Kept by the core; drivers read. */
    const struct virtio_driver *driver; /* NULL: not driven, see refusal */
    const char *refusal;
    struct virtio_features offered, accepted;
    enum virtio_interrupt_mode interrupt_mode;
    struct virtqueue *queue[VIRTIO_MAX_QUEUES];
    bool queue_interrupt[VIRTIO_MAX_QUEUES];
    uint16_t queue_vector[VIRTIO_MAX_QUEUES]; /* by the transport, with MSI-X: its table entry */
    unsigned queue_count;                     /* made by virtio_find_queues() */
    bool driver_ok;                           /* it is live: queues may be used */
    bool failed;                              /* FAILED was set, or it would not come back */
    bool gone;                                /* pulled out of its bus */
    bool recovering;
    volatile bool config_pending; /* set in interrupt context by virtio_config_interrupt() */
    uint64_t config_poll_ns;      /* when to ask a device without interrupts next */
    unsigned recoveries;
    unsigned recovery_count; /* of these, since ... */
    uint64_t recovery_window_ns;
    void (*notify)(void *device, struct virtqueue *vq); /* the one of ops that was negotiated */
    struct virtio_watch watch[VIRTIO_MAX_QUEUES];       /* of queues that must not stall: */
    uint32_t watched;                                   /* bit i: queue[i] is one */
    unsigned patience_factor,
        worked_s; /* how often it stalled lately, and for how long it has not */
    struct virtio_device *next;

    void *driver_data; /* the driver's own */
};

/* ---- for boot and reports ---- */

/* The drivers there are; set once before any device is added. The table must live for ever. */
void virtio_set_drivers(const struct virtio_driver *const *drivers, unsigned count);

/* `irq=` on the command line: the best mode that may be used. */
void virtio_set_interrupt_limit(enum virtio_interrupt_mode limit);
enum virtio_interrupt_mode virtio_interrupt_limit(void);

/* The devices found, driven or not, linked by `next`. */
struct virtio_device *virtio_devices(void);

/*
 * Logs for each device: features offered, accepted and refused, queues, vectors, counters; each as a
 * line to read and as one for programs, whose format docs/ARCHITECTURE.md describes.
 */
void virtio_print_report(void);

/*
 * On: an idle machine is woken once a minute, to ask each device whether it wants a reset. Its interrupt
 * that said so may be lost, and who only waits for packets would never know. Off at first; set before
 * any device is added.
 */
void virtio_watch_idle(bool on);

/* Removes every driver and resets every device: nothing writes to our memory afterwards. */
void virtio_shutdown(void);

/* ---- for transports ---- */

/*
 * Takes a device that was found, finds its driver and brings it up. 0 also when no driver wants it;
 * then `refusal` says so. On an error the device stays listed with its refusal. The structure stays
 * the transport's and must live until release().
 */
int virtio_add_device(struct virtio_device *device);

/*
 * The device leaves its bus, in good order or (found out by itself) without warning: the driver
 * writes back what it can, the device is reset, every buffer goes back to its owner with an error,
 * and the driver and the device's structure are gone. Not from within a call of the driver's, nor
 * from within a nested turn of the event loop.
 */
void virtio_remove_device(struct virtio_device *device);

/* The configuration change notification (2.3). Interrupt context. */
void virtio_config_interrupt(void *device);

/* ---- for drivers ---- */

/* Was the feature accepted? Asking for a bit that is not in the driver's table is a bug and panics.
 */
bool virtio_has_feature(const struct virtio_device *device, unsigned bit);

/* Does the device have this queue? For types whose devices number their queues differently. */
bool virtio_has_queue(struct virtio_device *device, uint16_t index);

/*
 * Makes and enables queues; device->queue[i] is the queue of requests[i]. -ENODEV: the device lacks
 * one of them; -ENOMEM; -EIO: the device refused. Called from probe only.
 */
int virtio_find_queues(struct virtio_device *device, const struct virtio_queue_request *requests,
                       unsigned count);

/*
 * Takes one queue from a live device (2.6.1, VIRTIO_F_RING_RESET) while its others go on. After 0
 * the device has nothing of it: virtqueue_detach_unused() returns its buffers, and
 * virtio_enable_queue() gives it back. -ENOTSUP: not negotiated, nothing has happened; -EIO,
 * -ETIMEDOUT: the device did not let go of it, and only virtio_recover() ends that. Waits on the
 * device, 2 s at most.
 */
int virtio_reset_queue(struct virtio_device *device, unsigned i);

/*
 * Gives device->queue[i] to the device again, empty, and with interrupts as before. `max_size` is
 * the upper limit on its entries now, 0 to leave its size as it is. The queue keeps its address, but
 * not its size: who has tables of that asks for it again. -ENOMEM or -EIO (also when it was not reset,
 * or has buffers): the queue stays as it is, out of use; virtio_recover() may bring it back.
 */
int virtio_enable_queue(struct virtio_device *device, unsigned i, uint16_t max_size);

/*
 * Reads `len` bytes of the device configuration at `offset` in accesses of `width` (1, 2, 4 or 8; 8
 * is read as two of 4), all from one generation (2.5.1). -ERANGE when it lies outside of what the
 * device has, -EIO when the generation never settles, -ENODEV when the device is gone; the bytes
 * are then zero. Values are little-endian as on the wire: read fields with the macro below. Work: at
 * most 64 attempts, each two reads of the generation and one access a field.
 */
int virtio_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned len,
                       unsigned width);
int virtio_config_write(struct virtio_device *device, unsigned offset, const void *data,
                        unsigned len, unsigned width);

/* One field of a wire structure, with the width that its type has: VIRTIO_CONFIG_READ(dev, struct
 * virtio_net_config, mtu, &mtu). */
#define VIRTIO_CONFIG_READ(device, type, field, value)                                       \
    virtio_config_read((device), offsetof(type, field), (value), sizeof(((type *)0)->field), \
                       sizeof(((type *)0)->field) > 8 ? 1 : sizeof(((type *)0)->field))

/*
 * Resets a device that stalls, asks for it (DEVICE_NEEDS_RESET) or broke a queue, and brings it up
 * again: reset, reclaim, the same negotiation, queues, DRIVER_OK, ready. On an error (a device that
 * will not come back) it is marked failed, reclaim was called all the same, and every queue stays
 * broken. Not from within reclaim or ready. Work: at most one bring-up and two waits for a reset
 * (2 s each), and at most 16 times in a device's life.
 */
int virtio_recover(struct virtio_device *device, const char *reason);

/*
 * What a driver does about queues that broke: resets only those, if the device and the driver can
 * (VIRTIO_F_RING_RESET, reclaim_queue), and if that does not help, the device by virtio_recover(),
 * whose limits hold. Returns and restrictions as there.
 */
int virtio_mend(struct virtio_device *device, const char *reason);

/*
 * For waits outside of the event loop, now and then while an answer takes long: is the device still
 * there, and does it want a reset (2.1.1)? If not, or so, it is recovered or given up as by
 * virtio_recover().
 */
void virtio_look(struct virtio_device *device);

/*
 * Housekeeping for all devices, which the event loop does from the first virtio_add_device() on:
 * configuration changes and DEVICE_NEEDS_RESET. Returns the number of devices that had any.
 */
unsigned virtio_poll(void);

#endif
