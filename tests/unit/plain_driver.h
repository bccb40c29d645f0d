/*
 * plain_driver.h - a driver and a model device of no particular type with two queues, to test
 * transports with.
 *
 * The device answers every buffer at once. Read hosted/device.h for the model.
 */
#ifndef FERRULE_TESTS_PLAIN_DRIVER_H
#define FERRULE_TESTS_PLAIN_DRIVER_H

#include "hosted/device.h"
#include "virtio/virtio.h"

#define PLAIN_TYPE 60
#define PLAIN_BUFFER 64

/* The device that the driver has probed, or NULL; how often its configuration changed, and how many
 * buffers were taken back after resets. */
extern struct virtio_device *plain_probed;
extern unsigned plain_changes, plain_reclaimed;

/*
 * The model, and how it is made: no features, queues of 16, configuration of 8 bytes {1, 2, ... 8}.
 * A test changes the setup before plain_make(); plain_end() undoes that.
 */
extern struct device plain_device;
extern struct device_setup plain_setup;

/* What the model adds to each used length, as a lie. */
extern uint32_t plain_excess;

/* The driver does not want to be interrupted by its second queue; until plain_end(). */
extern bool plain_second_polled;

/* The model takes buffers and keeps them. */
extern bool plain_keeps;

/* Makes the model on this interface, with plain_setup, and registers the driver. */
void plain_make(const struct device_front *front);
/* The same on modern PCI, with so many vectors. */
void plain_make_pci(unsigned msix_vectors);
/* Removes driver and model. */
void plain_end(void);

/* One buffer through a queue, device-writable if `in`. Returns how many interrupts were handled. */
unsigned plain_transfer(unsigned queue, bool in);
/* The used length of the last transfer. */
extern uint32_t plain_len;

/* Used buffer notifications that the queue has seen. */
uint64_t plain_interrupts(unsigned queue);

#endif
