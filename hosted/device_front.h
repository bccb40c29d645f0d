/*
 * device_front.h - how a model device is put behind another interface than modern PCI: for
 * device_legacy.c and device_mmio.c, and nobody else.
 *
 * The state machine is device.c's, in terms of the common configuration structure (4.1.4.3). A
 * front translates its own registers to it and adds the checks that only its interface has. Read
 * device.h first.
 */
#ifndef FERRULE_HOSTED_DEVICE_FRONT_H
#define FERRULE_HOSTED_DEVICE_FRONT_H

#include "hosted/device.h"

struct device_front {
    bool legacy; /* no FEATURES_OK, 32 feature bits, rings of one block (2.2.3) */
    /* Puts the registers where the driver finds them; sets device->pci if it is such a device. */
    void (*attach)(struct device *device, const struct device_setup *setup);
    void (*detach)(struct device *device); /* may be NULL */
    /* The level of the interrupt line, for a device without device->pci. */
    void (*set_line)(struct device *device, bool level);
};

/* Notes a step of the driver's in device->trace. */
void device_trace(struct device *device, const char *word);
/* Are the features settled? */
bool device_is_negotiated(const struct device *device);

/* Registers of the common configuration structure, by their offset there. */
uint64_t device_common_read(struct device *device, unsigned offset, unsigned width);
void device_common_write(struct device *device, unsigned offset, unsigned width, uint64_t value);

uint64_t device_config_read(struct device *device, unsigned offset, unsigned width);
void device_config_write(struct device *device, unsigned offset, unsigned width, uint64_t value);
uint64_t device_isr_read(struct device *device, unsigned width);
/* `value` carries notification data in its upper half, where that was negotiated (2.9). */
void device_notified(struct device *device, unsigned index, uint32_t value);

/* Enables the selected queue as one block at `base` (2.7.2), with the used ring on `alignment`. */
void device_enable_legacy_ring(struct device *device, uint64_t base, uint32_t alignment);

#endif
