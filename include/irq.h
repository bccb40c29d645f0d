/*
 * irq.h - interrupts as drivers of buses see them: message-signalled vectors and level-triggered
 * lines.
 *
 * Handlers run in interrupt context, which exists only inside platform_wait(): they may set flags
 * and counters and acknowledge their device, and must not touch rings, allocate or log. Read pci.h
 * for how a PCI function gets one.
 */
#ifndef FERRULE_IRQ_H
#define FERRULE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* What a device must write, and where, to raise a message-signalled interrupt. */
struct irq_message {
    uint64_t address;
    uint32_t data;
};

/*
 * Reserves a CPU vector for message-signalled interrupts. Returns an id >= 0 for irq_message_free()
 * and fills `message`, or -ENOSPC when all vectors are taken, or -ENODEV without a local APIC.
 * `name` must live as long as the vector.
 */
int irq_message_alloc(void (*handler)(void *arg), void *arg, const char *name,
                      struct irq_message *message);
void irq_message_free(int id);

/* False: there is no local APIC that could receive messages. */
bool irq_messages_work(void);

/*
 * Adds a handler to a shared, level-triggered line (a global system interrupt number) and unmasks
 * it. The handler returns true when its device raised the line. A line that nobody owns is masked
 * after many unclaimed interrupts and said so. Returns 0, -EINVAL for a line that no controller
 * has, -ENOSPC when there are too many handlers.
 */
int irq_line_add(unsigned gsi, bool active_low, bool (*handler)(void *arg), void *arg,
                 const char *name);
void irq_line_remove(unsigned gsi, bool (*handler)(void *arg), void *arg);

/* The line that one of the sixteen interrupts of the PC's old bus reaches; active high unless the
 * firmware says otherwise. */
unsigned irq_isa_line(unsigned isa_irq);

/* Interrupts handled since boot, for statistics. */
uint64_t irq_count(void);

#endif
