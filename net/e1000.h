/*
 * e1000.h - the 82540EM and 82545EM network cards, as hypervisors emulate them: the fully emulated
 * device that virtio-net is compared with.
 *
 * What it offers is behind struct nic_ops (nic.h). Read e1000.c next. Loop context.
 */
#ifndef FERRULE_NET_E1000_H
#define FERRULE_NET_E1000_H

#include <stdbool.h>

/*
 * Finds the cards among the PCI functions and registers them. Without `interrupts` they are polled.
 * Returns how many.
 */
unsigned e1000_scan(bool interrupts);

/* The end of the machine: no card touches memory after it. */
void e1000_shutdown(void);

#endif
