/*
 * pci_roots.c - root buses beyond bus 0: QEMU's expander bridges (pxb, pxb-pcie), and chipsets with
 * several host bridges.
 *
 * An expander bridge shows itself as another host bridge on bus 0, but only ACPI's byte code says
 * which bus it leads to. So where there is one, all bus numbers are tried that nobody else has. Read
 * pci.c first.
 */
#include "log.h"

#include "arch/x86_64/pci_impl.h"

#define ROOTS_MAX 16
#define DEVICES_PER_BUS 32
#define NOBODY UINT32_MAX

static uint8_t roots[ROOTS_MAX];
static unsigned root_count;
static unsigned last_of_all;

/* The host bridge itself is device 0; another one leads elsewhere. */
static bool has_expander(void)
{
    for (unsigned i = 0; i < pci_function_count(); i++) {
        const struct pci_function *fn = pci_function_at(i);

        if (fn->class_code >> 8 == PCI_CLASS_HOST_BRIDGE && (fn->device | fn->function) != 0)
            return true;
    }
    return false;
}

/*
 * Does anything answer on this bus? `*last`: the last bus that firmware has numbered behind its
 * bridges, or the bus itself.
 */
static bool answers(unsigned bus, unsigned *last)
{
    bool any = false;

    *last = bus;
    for (unsigned device = 0; device < DEVICES_PER_BUS; device++) {
        const struct pci_function fn = {.bus = (uint8_t)bus, .device = (uint8_t)device};

        if (pci_read32(&fn, PCI_VENDOR_ID) == NOBODY)
            continue;
        any = true;
        pci_buses_behind(&fn, last);
    }
    return any;
}

/* The last bus that firmware has numbered behind the bridges on bus 0. */
static unsigned numbered_behind_bus_0(void)
{
    unsigned last = 0;

    for (unsigned i = 0; i < pci_function_count(); i++)
        pci_buses_behind(pci_function_at(i), &last);
    return last;
}

void pci_find_roots(unsigned last_bus)
{
    unsigned last;

    root_count = 0;
    last_of_all = last_bus;
    if (!has_expander())
        return;
    for (unsigned bus = numbered_behind_bus_0() + 1; bus <= last_bus; bus = last + 1) {
        if (!answers(bus, &last))
            continue;
        if (root_count == ROOTS_MAX) {
            log_warn("pci: more than %u root buses, the others are left out", ROOTS_MAX + 1);
            return;
        }
        log_info("pci: bus %02x is another root bus", bus);
        roots[root_count++] = (uint8_t)bus;
    }
}

unsigned pci_last_behind_bus_0(void)
{
    return root_count > 0 ? roots[0] - 1u : last_of_all;
}

bool pci_root_bus(unsigned index, unsigned *bus, unsigned *last_bus)
{
    if (index >= root_count)
        return false;
    *bus = roots[index];
    *last_bus = index + 1 < root_count ? roots[index + 1] - 1u : last_of_all;
    return true;
}
