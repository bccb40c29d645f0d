/*
 * mmio.h - devices at fixed addresses that no bus enumerates: who knows where they are, and how
 * their registers are reached.
 *
 * Owns the contract only. arch/x86_64/mmio.c implements it from the ACPI tables and what QEMU
 * says, hosted/device_mmio.c for tests. Knows no register. Loop context. Read irq.h for their
 * interrupt lines.
 */
#ifndef FERRULE_MMIO_H
#define FERRULE_MMIO_H

#include <stdbool.h>
#include <stdint.h>

#define MMIO_NO_LINE (-1)

/* A device as firmware, the hypervisor or the user describes it. Nothing of it is believed yet. */
struct mmio_place {
    uint64_t address, size; /* of its registers; bytes */
    int gsi;                /* its interrupt line (irq.h), or MMIO_NO_LINE */
    bool active_low;
};

/* The virtio devices that the ACPI tables name, at most `max`. Returns how many. */
unsigned mmio_virtio_places(struct mmio_place *place, unsigned max);

/*
 * The command line as the hypervisor keeps it for the kernel, which may hold more words about
 * devices than a boot loader hands over; empty where there is no such thing. Lives for ever.
 */
const char *mmio_hypervisor_words(void);

/*
 * Maps `length` bytes of registers (uncached) and returns their address for mmio_read32() and the
 * like, or NULL: RAM is there, or the CPU cannot address it. Never unmapped.
 */
volatile void *mmio_map(uint64_t address, uint64_t length);

#endif
