/*
 * power.h - ending the machine after a crash. For arch/x86_64/ only; the regular ends are in
 * include/platform.h.
 */
#ifndef FERRULE_POWER_H
#define FERRULE_POWER_H

/*
 * Tells the hypervisor (pvpanic), then ends with POWER_CRASH_STATUS through isa-debug-exit, by
 * power off, or by reset: whatever the machine has. Any context, needs nothing but mapped code.
 */
#define POWER_CRASH_STATUS 99
void power_crash(void) __attribute__((noreturn));

/*
 * Prepares the PCI variant of pvpanic, if there is one, while mappings can still be made. After
 * pci_enumerate().
 */
void pvpanic_init(void);
/* Tells the hypervisor that this guest has crashed, through whichever variant is there. */
void pvpanic_notify(void);

#endif
