/*
 * pci_impl.h - what the PCI files share beyond include/pci.h: bridges, and the steps of
 * enumeration.
 *
 * For arch/x86_64/pci*.c only. Read pci.c first.
 */
#ifndef FERRULE_PCI_IMPL_H
#define FERRULE_PCI_IMPL_H

#include "pci.h"

#define PCI_FUNCTIONS_MAX 128
#define PCI_BRIDGES_MAX 48

#define GPEX_HOST 0x1b36, 0x0008 /* QEMU's generic host bridge, as microvm has it */

#define PCI_CLASS_HOST_BRIDGE 0x0600
#define PCI_CLASS_PCI_BRIDGE 0x0604

/* A PCI-to-PCI bridge; fn->platform points to it. */
struct pci_bridge {
    uint8_t secondary, subordinate; /* the buses behind it; 0: could not be numbered */
};

static inline struct pci_bridge *pci_bridge_of(const struct pci_function *fn)
{
    return fn->platform;
}

/* Raises `*last` to the last bus behind a bridge as its registers number it, if they make sense. */
void pci_buses_behind(const struct pci_function *fn, unsigned *last);

/*
 * Looks for root buses beyond bus 0, as expander bridges have them (pci_roots.c). To be called when
 * the functions on bus 0 are in the table and those behind its bridges are not. Work: no access
 * without an expander bridge; else 32 reads for each bus up to `last_bus` that no bridge has a
 * number for, and two for each device that is found.
 */
void pci_find_roots(unsigned last_bus);
/* The last bus number that is left for bus 0 and its bridges. */
unsigned pci_last_behind_bus_0(void);
/* The root bus with that index, the first behind bus 0 being 0, and the last bus it may have behind
 * it; false: there are no more. */
bool pci_root_bus(unsigned index, unsigned *bus, unsigned *last_bus);

/* The first function with that identity, or NULL. */
const struct pci_function *pci_find_function(uint16_t vendor_id, uint16_t device_id);

/* Places what firmware left unplaced, and opens bridge windows for it (pci_alloc.c). */
void pci_place_resources(void);
/* Where ECAM lies, for pci_place_resources() to keep out of; false when ports are used. */
bool pci_ecam_range(uint64_t *start, uint64_t *end);
/* Writes a base address register and the function's copy of it. */
void pci_write_bar(struct pci_function *fn, unsigned bar, uint64_t address);

/*
 * The same for a card that was plugged in behind a bridge; and what it had is free again. Windows
 * stay as they are: those of ports with a slot were opened wide enough at boot.
 */
void pci_place_behind(const struct pci_function *bridge);
void pci_release_resources(const struct pci_function *fn);

/* Can cards be plugged in behind this bridge while the machine runs? (pci_hotplug.c) */
bool pci_has_hotplug_slot(const struct pci_function *bridge);

/* Finds out which line each function's INTx pin reaches and sets fn->gsi (pci_intx.c). */
void pci_route_lines(void);
void pci_route_line(struct pci_function *fn);

/*
 * Looks at device 0 behind a port and takes its functions, up to 8, into the table; returns how
 * many. pci_forget() takes one out again: nothing may point to it any more.
 */
unsigned pci_add_behind(struct pci_function *bridge, struct pci_function **added);
void pci_forget(struct pci_function *fn);

/* What a function is and who drives it, as one log line (pci_report.c). */
void pci_log_function(const struct pci_function *fn);

#endif
