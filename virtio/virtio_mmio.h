/*
 * virtio_mmio.h - the MMIO transport's way in (4.2). Everything else of it is behind struct
 * virtio_transport_ops (virtio.h).
 */
#ifndef FERRULE_VIRTIO_VIRTIO_MMIO_H
#define FERRULE_VIRTIO_VIRTIO_MMIO_H

#include "mmio.h"

/*
 * Takes the devices that the command line (`virtio_mmio.device=<size>@<address>:<irq>[:<id>]`, any
 * number of these), the ACPI tables and the hypervisor name, and brings them up. Returns how many
 * were added, driven or not. Each gets a line in the log, except empty slots.
 */
unsigned virtio_mmio_scan(void);

/*
 * The same for one place: 0, -ENODEV (no virtio device, or an empty slot), -EEXIST (taken before),
 * -EINVAL (the place makes no sense), -EIO (cannot be mapped), or an error of the bring-up.
 */
int virtio_mmio_probe(const struct mmio_place *place);

/* Reads the value of such a word into `place`; false: it makes no sense. A pure function. */
bool virtio_mmio_parse(const char *value, struct mmio_place *place);

#endif
