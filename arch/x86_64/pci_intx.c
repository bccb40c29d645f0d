/*
 * pci_intx.c - which line an INTx pin reaches, without running AML, and the handlers on it.
 *
 * Owns fn->gsi. ACPI would describe the wiring in byte code; instead the three host bridges that
 * QEMU has are known by their registers (ICH9 data sheet 10.1.38 to 43 and 13.1.17, PIIX3 4.1.11),
 * and for any other machine firmware's interrupt line register is believed. Behind bridges pins
 * rotate by device number (PCI-to-PCI Bridge 1.2, 9.1).
 */
#include <errno.h>
#include <stddef.h>

#include "irq.h"
#include "log.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/mem.h"
#include "arch/x86_64/pci_impl.h"

#define PINS 4
#define LINE_MAX 15 /* what the interrupt line register can name: an input of the 8259 pair */

#define ICH9_LPC 0x8086, 0x2918
#define ICH9_ROOT_COMPLEX_BASE 0xf0
#define ICH9_ROOT_COMPLEX_ENABLE 1u
#define ICH9_FIRST_GSI 16
#define ICH9_PIRQ_E 4
#define ICH9_SLOT_DMI_BRIDGE 30

#define PIIX3_ISA 0x8086, 0x7000
#define PIIX3_PIRQ_ROUTE 0x60 /* one byte for each of PIRQA to D */
#define PIIX3_ROUTE_DISABLED 0x80

#define GPEX_FIRST_GSI 12
#define GPEX_FIRST_GSI_TWO_IO_APICS 16

/* Follows a pin (0 for INTA) up to a root bus: the device there and its pin, where `fn` interrupts. */
static const struct pci_function *on_root_bus(const struct pci_function *fn, unsigned *pin)
{
    while (fn->bridge != NULL) {
        *pin = (*pin + fn->device) % PINS;
        fn = fn->bridge;
    }
    return fn;
}

/*
 * The interrupt route registers of devices 25 to 31 in the root complex block, by device number -
 * 25; 0: it has none.
 */
static const uint16_t ich9_route_offsets[] = {0x3150, 0x314c, 0x3148, 0x3146, 0x3144, 0, 0x3140};
#define ICH9_ROUTED_FIRST 25
#define ICH9_ROUTE_DEFAULT 0x3210

static int ich9_gsi(const struct pci_function *lpc, unsigned device, unsigned pin)
{
    uint32_t base = pci_read32(lpc, ICH9_ROOT_COMPLEX_BASE);
    uint64_t block = base & 0xffffc000;
    uint16_t route = ICH9_ROUTE_DEFAULT;

    if (device == ICH9_SLOT_DMI_BRIDGE)
        return (int)(ICH9_FIRST_GSI + ICH9_PIRQ_E + pin);
    if (device < ICH9_ROUTED_FIRST)
        return (int)(ICH9_FIRST_GSI + ICH9_PIRQ_E + (device + pin) % PINS);
    if ((base & ICH9_ROOT_COMPLEX_ENABLE) && paging_map(block, 0x4000, PAGING_DEVICE) == 0)
        route = mmio_read16(
            (const volatile void *)(uintptr_t)(block +
                                               ich9_route_offsets[device - ICH9_ROUTED_FIRST]));
    return ICH9_FIRST_GSI + (route >> (4 * pin) & 7);
}

static int piix3_gsi(const struct pci_function *isa, unsigned device, unsigned pin)
{
    static const uint8_t default_lines[PINS] = {10, 10, 11, 11};
    unsigned pirq = (device + pin + PINS - 1) % PINS;
    uint8_t route = pci_read8(isa, PIIX3_PIRQ_ROUTE + pirq);

    if (route & PIIX3_ROUTE_DISABLED) {
        route = default_lines[pirq];
        pci_write8(isa, PIIX3_PIRQ_ROUTE + pirq, route);
    }
    return (int)acpi_isa_irq_to_gsi(route & 15u);
}

/* A microvm has its virtio-mmio lines at a second I/O APIC, if there is one, and these in their place. */
static int gpex_gsi(unsigned device, unsigned pin)
{
    unsigned first = acpi_info()->io_apic_count > 1 ? GPEX_FIRST_GSI_TWO_IO_APICS : GPEX_FIRST_GSI;

    return (int)(first + (device + pin) % PINS);
}

static int firmware_gsi(const struct pci_function *fn)
{
    uint8_t line = pci_read8(fn, PCI_INTERRUPT_LINE);

    return line >= 1 && line <= LINE_MAX ? (int)acpi_isa_irq_to_gsi(line) : -1;
}

void pci_route_line(struct pci_function *fn)
{
    const struct pci_function *ich9 = pci_find_function(ICH9_LPC);
    const struct pci_function *piix3 = pci_find_function(PIIX3_ISA);
    const struct pci_function *gpex = pci_find_function(GPEX_HOST);
    const struct pci_function *root;
    unsigned pin;

    if (fn->interrupt_pin == 0)
        return;
    pin = fn->interrupt_pin - 1u;
    root = on_root_bus(fn, &pin);
    if (ich9 != NULL && root->bus != 0)
        fn->gsi = -1; /* only ACPI's byte code says; and QEMU itself loses count there */
    else if (ich9 != NULL)
        fn->gsi = ich9_gsi(ich9, root->device, pin);
    else if (piix3 != NULL)
        fn->gsi = piix3_gsi(piix3, root->device, pin);
    else if (gpex != NULL)
        fn->gsi = gpex_gsi(root->device, pin);
    else
        fn->gsi = firmware_gsi(fn);
}

void pci_route_lines(void)
{
    for (unsigned i = 0; i < pci_function_count(); i++)
        pci_route_line(pci_function_at(i));
}

/*
 * A function's handler is found again by what it was added with, so that pci_intx_disable() needs
 * no more than the function.
 */
#define INTX_MAX 32
static struct intx {
    const struct pci_function *fn;
    bool (*handler)(void *arg);
    void *arg;
} users[INTX_MAX];

static struct intx *intx_of(const struct pci_function *fn)
{
    for (unsigned i = 0; i < INTX_MAX; i++) {
        if (users[i].fn == fn)
            return &users[i];
    }
    return NULL;
}

int pci_intx_enable(struct pci_function *fn, bool (*handler)(void *arg), void *arg,
                    const char *name)
{
    struct intx *user;
    int result;

    if (fn->interrupt_pin == 0 || fn->gsi < 0)
        return -ENODEV;
    pci_intx_disable(fn);
    user = intx_of(NULL);
    if (user == NULL)
        return -ENOSPC;
    /* PCI lines are active low where no ACPI override says otherwise. */
    result = irq_line_add((unsigned)fn->gsi, true, handler, arg, name);
    if (result == -EINVAL)
        result = -ENODEV;
    if (result < 0)
        return result;
    *user = (struct intx){fn, handler, arg};
    pci_command(fn, 0, PCI_COMMAND_INTX_DISABLE);
    return 0;
}

void pci_intx_disable(struct pci_function *fn)
{
    struct intx *user = intx_of(fn);

    pci_command(fn, PCI_COMMAND_INTX_DISABLE, 0);
    if (user == NULL)
        return;
    irq_line_remove((unsigned)fn->gsi, user->handler, user->arg);
    *user = (struct intx){NULL, NULL, NULL};
}
