/*
 * acpi_mmio.h - virtio-mmio devices and the event device as ACPI byte code describes them. For
 * arch/x86_64/ only; mmio.h is what transports see.
 */
#ifndef FERRULE_ACPI_MMIO_H
#define FERRULE_ACPI_MMIO_H

#include "arch/x86_64/acpi.h"
#include "mmio.h"

/*
 * Looks through `length` bytes of AML (a DSDT or SSDT behind its header) for devices with the
 * identifier LNRO0005, fills in at most `max` places and returns how many. Byte code that makes no
 * sense is passed over.
 */
unsigned acpi_find_virtio_mmio(const uint8_t *aml, uint32_t length, struct mmio_place *place,
                               unsigned max);

/*
 * Looks for the generic event device (ACPI0013) that tells of the power button. False: there is none
 * whose code is understood.
 */
bool acpi_find_event_device(const uint8_t *aml, uint32_t length, struct acpi_event_device *events);

#endif
