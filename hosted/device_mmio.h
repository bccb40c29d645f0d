/*
 * device_mmio.h - the model device behind the registers of virtio over MMIO (4.2), and the test's
 * side of mmio.h and of interrupt lines.
 */
#ifndef FERRULE_HOSTED_DEVICE_MMIO_H
#define FERRULE_HOSTED_DEVICE_MMIO_H

#include "hosted/device_front.h"
#include "mmio.h"

/* For device_set_front(): version 2, and the legacy version 1. */
extern const struct device_front device_mmio_front;
extern const struct device_front device_mmio_legacy_front;

/* Devices are placed from here on, one after the other, with interrupt lines from the first on. */
#define DEVICE_MMIO_BASE UINT64_C(0xfeb00000)
#define DEVICE_MMIO_SIZE 0x200u
#define DEVICE_MMIO_FIRST_LINE 16

/* Addresses below this are RAM: mmio_map() refuses them. */
#define DEVICE_MMIO_RAM_END UINT64_C(0x80000000)

/* No devices, no places, no words, no lines taken: part of a test's start. */
void device_mmio_reset(void);

/* Where the device is, as something that describes it would say. */
struct mmio_place device_mmio_place(const struct device *device);

/* Registers that are not the model's: magic value, version, device ID; anything else fails. */
void device_mmio_add_stranger(uint64_t address, uint32_t magic, uint32_t version, uint32_t id);

/* What mmio_virtio_places() and mmio_hypervisor_words() return. Kept by reference. */
void device_mmio_set_places(const struct mmio_place *place, unsigned count);
void device_mmio_set_words(const char *words);

/* Whether irq_line_add() works, and how many handlers lines have now. */
void device_mmio_allow_lines(bool allowed);
unsigned device_mmio_handlers(void);

#endif
