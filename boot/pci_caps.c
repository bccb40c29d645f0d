/*
 * pci_caps.c - the walk through a PCI function's capability list, the one piece of pci.h that no
 * bus access method changes.
 *
 * Uses only the configuration space accessors, so hosted tests run this very code. What the
 * capabilities mean is their owners' matter (virtio_pci.c, MSI-X). Read pci.h first.
 */
#include "pci.h"

#define FIRST_OFFSET 0x40u /* behind the header */

/* The two low bits are reserved and must be masked off before use. */
static unsigned link_at(const struct pci_function *fn, unsigned offset)
{
    unsigned next = pci_read8(fn, offset) & 0xfcu;

    return next >= FIRST_OFFSET ? next : 0;
}

unsigned pci_find_capability(const struct pci_function *fn, uint8_t id, unsigned after)
{
    /* One bit for each place a capability can be. Each call starts from the list's start, so a list
     * that loops ends at the same place for all of them. */
    uint64_t visited = 0;
    bool passed = after == 0;
    unsigned offset;

    if (!(pci_read16(fn, PCI_STATUS) & PCI_STATUS_CAPABILITIES))
        return 0;
    for (offset = link_at(fn, PCI_CAPABILITY_LIST); offset; offset = link_at(fn, offset + 1)) {
        if (visited >> offset / 4 & 1)
            return 0;
        visited |= UINT64_C(1) << offset / 4;
        if (passed && pci_read8(fn, offset) == id)
            return offset;
        passed |= offset == after;
    }
    return 0;
}
