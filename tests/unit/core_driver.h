/*
 * core_driver.h - a made-up driver for a made-up device type, and the model of such a device, for the
 * tests of the device and driver model (virtio/virtio.h).
 *
 * The driver gives the device BUFFERS buffers as soon as it is live, and counts. The device keeps what
 * it gets until it is told to answer; its trace says in which order things happened.
 */
#ifndef FERRULE_TESTS_CORE_DRIVER_H
#define FERRULE_TESTS_CORE_DRIVER_H

#include "hosted/device.h"
#include "virtio/virtio.h"

#define BUFFERS 6u

/* What the driver is to do, and what it has done since make_device(). */
extern struct core_driver {
    int probe_error, ready_error;
    bool notify_in_probe, want_third_queue;
    unsigned probes, readies, reclaims, removes, changes;
    unsigned submitted, completed, taken_back;
    uint8_t *memory;
    struct virtio_device *device;
} driver;
extern const struct virtio_driver *const drivers[1];

/* The model, and how many buffers it has. */
extern struct device device;
extern unsigned held_count;
extern const uint8_t config[24]; /* its configuration */
extern uint64_t ring_features;   /* added to those of every device */

/* Makes the model with these features, and registers the driver; ends both. */
void make_device(uint64_t more_features);
void end(void);

/* The driver gives its nth buffer; takes what is used, and returns how many. */
int submit(struct virtio_device *of, unsigned n);
unsigned drain(void);

/* The model is done with the first buffers that it has. */
void answer(struct device *of, unsigned count);

/* The bring-up has failed, and the device says so. */
void assert_failed(void);

#define BRING_UP "reset acknowledge driver features? accept features-ok"

#endif
