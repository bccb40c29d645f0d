/*
 * acpi.h - what the kernel wants to know from the ACPI tables, already checked.
 *
 * Owns no state; acpi.c fills one struct at bring-up. For arch/x86_64/ only. ACPI 6.4 chapter 5
 * (tables), 4.8 (registers).
 */
#ifndef FERRULE_ACPI_H
#define FERRULE_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "mmio.h"

#define ACPI_IO_APIC_MAX 4
#define ACPI_OVERRIDE_MAX 16
#define ACPI_ECAM_MAX 4
#define ACPI_VIRTIO_MMIO_MAX 32

/* A register in one of ACPI's address spaces; kind ACPI_REGISTER_NONE: not there. */
enum acpi_register_kind { ACPI_REGISTER_NONE, ACPI_REGISTER_MEMORY, ACPI_REGISTER_PORT };

struct acpi_register {
    enum acpi_register_kind kind;
    uint64_t address;
};

struct acpi_io_apic {
    uint64_t address;
    unsigned first_gsi;
};

/*
 * An ISA interrupt that is not wired to the global interrupt of its number, or not edge-triggered
 * and active high.
 */
struct acpi_override {
    unsigned isa_irq, gsi;
    bool active_low;
};

/* A range of buses whose configuration space is memory. */
struct acpi_ecam {
    uint64_t address; /* of bus 0, even where that is not in the range */
    uint8_t first_bus, last_bus;
};

/* The generic event device of a hardware-reduced machine (ACPI 6.4, 5.6.9) as QEMU makes it: bits in a
 * register that is cleared by reading it. */
struct acpi_event_device {
    uint64_t address; /* 0: none */
    unsigned gsi;     /* of the interrupt that says that there are any */
    bool active_low;
    uint32_t power_button; /* its bit */
};

struct acpi_info {
    bool present;
    bool hardware_reduced;

    bool local_apic_listed; /* a MADT was found */
    uint64_t local_apic_address;
    unsigned io_apic_count;
    struct acpi_io_apic io_apic[ACPI_IO_APIC_MAX];
    unsigned override_count;
    struct acpi_override override[ACPI_OVERRIDE_MAX];

    unsigned ecam_count;
    struct acpi_ecam ecam[ACPI_ECAM_MAX];

    struct acpi_event_device events;

    unsigned virtio_mmio_count;
    struct mmio_place virtio_mmio[ACPI_VIRTIO_MMIO_MAX];

    uint16_t pm_timer_port; /* 0: none */
    bool pm_timer_is_32bit;
    unsigned sci_gsi;
    uint16_t smi_command_port;
    uint8_t acpi_enable_value;
    uint16_t pm1a_event_port, pm1b_event_port;
    unsigned pm1_event_length;
    uint16_t pm1a_control_port, pm1b_control_port;
    bool fixed_power_button;
    struct acpi_register sleep_control; /* hardware-reduced machines */
    struct acpi_register reset;
    uint8_t reset_value;
    bool s5_known;
    uint8_t s5_type_a, s5_type_b;
};

/* Everything zero when there is no ACPI. Valid from acpi_init() on, never changes afterwards. */
const struct acpi_info *acpi_info(void);

/*
 * The global interrupt an ISA interrupt arrives at, and its polarity if the tables say anything
 * else than active high.
 */
unsigned acpi_isa_irq_to_gsi(unsigned isa_irq);
bool acpi_gsi_override(unsigned gsi, bool *active_low);

#endif
