/*
 * pci.h - PCI functions: configuration space, base address registers, capabilities, MSI-X and INTx.
 *
 * Owns the contract only. arch/x86_64/pci.c implements it over ports 0xcf8/0xcfc and ECAM,
 * hosted/fake_pci.c over bytes in memory. Knows no device type. Multi-byte values are in CPU order.
 * All functions run in loop context.
 */
#ifndef FERRULE_PCI_H
#define FERRULE_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_BAR_COUNT 6

/* Offsets in the configuration header. */
#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_REVISION_ID 0x08
#define PCI_CLASS_PROG 0x09
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR0 0x10
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID 0x2e
#define PCI_CAPABILITY_LIST 0x34
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN 0x3d

#define PCI_COMMAND_IO 0x0001
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_CAPABILITIES 0x0010

#define PCI_CAP_ID_MSI 0x05
#define PCI_CAP_ID_VENDOR 0x09
#define PCI_CAP_ID_EXPRESS 0x10
#define PCI_CAP_ID_MSIX 0x11

/* One base address register as sized and placed at enumeration. size 0: the function has none there,
 * or it is unusable. */
struct pci_bar {
    uint64_t address; /* bus address; equal to the CPU's on x86 */
    uint64_t size;    /* bytes */
    bool is_io;       /* a port range, else memory */
    bool is_64bit;
    bool prefetchable;
};

struct pci_msix; /* private to the implementation */

/*
 * One function found on a bus. Owned by the bus code; drivers keep pointers to it, until they are
 * told that it was pulled out (struct pci_hotplug). Functions that were never pulled out live for
 * ever. vendor_id 0: an entry of the table that is not in use.
 */
struct pci_function {
    uint8_t bus, device, function;
    uint16_t vendor_id, device_id;
    uint16_t subsystem_vendor_id, subsystem_id;
    uint8_t revision;
    uint32_t class_code; /* class << 16 | subclass << 8 | programming interface */
    struct pci_bar bar[PCI_BAR_COUNT];
    uint8_t interrupt_pin;       /* 0 none, 1..4 = INTA..INTD */
    int gsi;                     /* the line that INTx reaches, or -1 when it is not known */
    struct pci_function *bridge; /* the bridge above, NULL on a root bus */
    struct pci_msix *msix;       /* set while MSI-X is enabled */
    const char *driver;          /* who drives it; NULL: nobody */
    const char *refusal;         /* why nobody drives it, in words; NULL: no driver claimed it */
    void *driver_data;           /* the driver's own */
    void *platform;              /* private to the implementation */
};

/*
 * Finds every function behind every bridge, sizes BARs, and places those (and bridge windows) that
 * firmware left unassigned. Returns the number of functions. The table is indexed 0 .. count - 1.
 */
unsigned pci_enumerate(void);
unsigned pci_function_count(void);
struct pci_function *pci_function_at(unsigned index);

/* Configuration space, one access of that width. Offsets beyond what the access method reaches read
 * as all ones. */
uint8_t pci_read8(const struct pci_function *fn, unsigned offset);
uint16_t pci_read16(const struct pci_function *fn, unsigned offset);
uint32_t pci_read32(const struct pci_function *fn, unsigned offset);
void pci_write8(const struct pci_function *fn, unsigned offset, uint8_t value);
void pci_write16(const struct pci_function *fn, unsigned offset, uint16_t value);
void pci_write32(const struct pci_function *fn, unsigned offset, uint32_t value);

/*
 * The offset of the next capability with `id` after capability `after` (0: from the start of the
 * list), or 0. Bounded: a list that loops or points into the header or outside the 256 bytes ends
 * there. (Implemented once for all, in virtio-free code.)
 */
unsigned pci_find_capability(const struct pci_function *fn, uint8_t id, unsigned after);

/*
 * Maps `length` bytes at `offset` of a memory BAR for register access (uncached) and returns the
 * address for mmio_*(), or NULL: no such BAR, an I/O BAR, not placed, or the range is not wholly
 * inside it. Mapping the same range again is cheap. Never unmapped.
 */
volatile void *pci_map_bar(struct pci_function *fn, unsigned bar, uint64_t offset, uint64_t length);

/* Sets and clears bits of the command register (PCI_COMMAND_*). */
void pci_command(struct pci_function *fn, uint16_t set, uint16_t clear);

/*
 * MSI-X. pci_msix_enable() maps the table, masks every entry, switches MSI-X on and INTx off, and
 * returns the number of table entries, or -ENODEV (no capability, or no local APIC) or -EIO (table
 * outside its BAR). pci_msix_set() routes one entry to a handler (interrupt context) and unmasks
 * it: 0, -EINVAL, -ENOSPC. pci_msix_disable() frees every vector.
 */
int pci_msix_enable(struct pci_function *fn);
int pci_msix_set(struct pci_function *fn, unsigned entry, void (*handler)(void *arg), void *arg,
                 const char *name);
void pci_msix_disable(struct pci_function *fn);

/*
 * INTx. The handler (interrupt context) returns true when its device had raised the line. 0, or
 * -ENODEV when the function has no pin or its route is not known. pci_intx_disable() takes the
 * handler away.
 */
int pci_intx_enable(struct pci_function *fn, bool (*handler)(void *arg), void *arg,
                    const char *name);
void pci_intx_disable(struct pci_function *fn);

/*
 * Hot plug on PCI Express root ports and downstream ports (PCI Express 6.7), from pci_hotplug_init()
 * on. Both functions are called from the event loop, never from within another source's turn:
 *   added    functions of a card that was plugged in; their BARs are placed. One call for each.
 *   removed  the function leaves, and its driver must have let go of it when the call returns. A
 *            polite removal: it still works; otherwise its registers read as all ones.
 * `msix` and `intx` say what a port may interrupt by; without both it is asked from time to time.
 */
struct pci_hotplug {
    void (*added)(struct pci_function *fn);
    void (*removed)(struct pci_function *fn);
    bool msix, intx;
};
void pci_hotplug_init(const struct pci_hotplug *hotplug);

#endif
