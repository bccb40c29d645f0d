/*
 * mptable.h - the I/O APIC of machines without ACPI. For arch/x86_64/ only.
 */
#ifndef FERRULE_MPTABLE_H
#define FERRULE_MPTABLE_H

#include <stdint.h>

/* The address of the first usable I/O APIC in the MP configuration table, or 0: there is none. */
uint64_t mptable_io_apic(void);

#endif
