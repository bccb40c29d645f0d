/*
 * apic.h - the local APIC with its timer, and the I/O APICs. For arch/x86_64/ only; irq.h is what
 * drivers see.
 */
#ifndef FERRULE_APIC_H
#define FERRULE_APIC_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Switches the local APIC on, with these vectors for its timer and for spurious interrupts. False:
 * the CPU has none.
 */
bool apic_init(uint8_t timer_vector, uint8_t spurious_vector);
uint32_t apic_id(void);
/* Ends the interrupt in service. Interrupt context. */
void apic_end_of_interrupt(void);
/*
 * Raises the timer's vector once, `delay_ns` from now; returns the delay really set, which may be
 * shorter.
 */
uint64_t apic_timer_start(uint64_t delay_ns);

/* Finds the I/O APICs in the ACPI tables, or the MP table where there are none, and masks every pin; returns how many pins there are. */
unsigned ioapic_init(void);
/*
 * Routes a level-triggered global interrupt to `vector` of this CPU and unmasks it; -EINVAL when no
 * pin has that number.
 */
int ioapic_route(unsigned gsi, bool active_low, uint8_t vector);
void ioapic_mask(unsigned gsi);

#endif
