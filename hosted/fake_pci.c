/*
 * fake_pci.c - pci.h over bytes in memory: configuration space, BARs, MSI-X entries and INTx lines
 * of made-up functions.
 *
 * A BAR's registers answer only while the command register decodes memory, and a message-signalled
 * interrupt goes nowhere unless its entry was set up, as on a real bus. The capability walk is the
 * kernel's own (pci_find_capability). Read device.c next.
 */
#include "hosted/fake_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/violation.h"

#define MAX_FUNCTIONS 16

struct pci_msix {
    struct fake_function *owner;
    unsigned used;
    struct {
        void (*handler)(void *arg);
        void *arg;
    } entry[];
};

static struct fake_function *functions[MAX_FUNCTIONS];
static unsigned function_count;
static uint64_t next_low, next_high, next_port;

static struct fake_function *to_fake(const struct pci_function *fn)
{
    return (struct fake_function *)(uintptr_t)fn;
}

void fake_pci_reset(void)
{
    for (unsigned i = 0; i < function_count; i++) {
        for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++)
            if (functions[i]->bar_visible[bar])
                hosted_registers_remove(functions[i]->bar_registers[bar].address);
        free(functions[i]->fn.msix);
        free(functions[i]);
    }
    function_count = 0;
    next_low = 0xfe000000u;
    next_port = 0xc000;
    next_high = UINT64_C(896) << 30;
}

struct fake_function *fake_pci_add(uint16_t vendor_id, uint16_t device_id)
{
    struct fake_function *f = calloc(1, sizeof(*f));

    if (!f || function_count == MAX_FUNCTIONS)
        hosted_fail("no room for another PCI function");
    f->fn.device = (uint8_t)function_count;
    f->fn.vendor_id = vendor_id;
    f->fn.device_id = device_id;
    f->fn.interrupt_pin = 1;
    f->fn.gsi = 16;
    memcpy(f->config + PCI_VENDOR_ID, &vendor_id, 2);
    memcpy(f->config + PCI_DEVICE_ID, &device_id, 2);
    f->config[PCI_INTERRUPT_PIN] = 1;
    f->capability_end = 0x40;
    f->capability_link = PCI_CAPABILITY_LIST;
    f->msix_spare = 200;
    functions[function_count++] = f;
    return f;
}

void fake_pci_set_bar(struct fake_function *f, unsigned bar, uint64_t size, bool is_64bit,
                      const struct hosted_registers *registers)
{
    uint64_t *next = is_64bit ? &next_high : &next_low;
    uint64_t address = (*next + size - 1) & ~(size - 1);

    *next = address + size;
    f->fn.bar[bar] = (struct pci_bar){.address = address, .size = size, .is_64bit = is_64bit};
    f->bar_registers[bar] = *registers;
    f->bar_registers[bar].address = address;
    f->bar_registers[bar].size = size;
}

void fake_pci_set_io_bar(struct fake_function *f, unsigned bar, uint64_t size,
                         const struct hosted_registers *registers)
{
    uint64_t port = (next_port + size - 1) & ~(size - 1);

    next_port = port + size;
    f->fn.bar[bar] = (struct pci_bar){.address = port, .size = size, .is_io = true};
    f->bar_registers[bar] = *registers;
    f->bar_registers[bar].address = HOSTED_PORT_BASE + port;
    f->bar_registers[bar].size = size;
}

unsigned fake_pci_add_capability(struct fake_function *f, uint8_t id, const void *body,
                                 unsigned len)
{
    unsigned at = f->capability_end;

    if (at + 2 + len > FAKE_PCI_CONFIG_SIZE)
        hosted_fail("configuration space is full");
    f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    f->config[f->capability_link] = (uint8_t)at;
    f->config[at] = id;
    f->config[at + 1] = 0;
    memcpy(&f->config[at + 2], body, len);
    f->capability_link = at + 1;
    f->capability_end = (at + 2 + len + 3) & ~3u;
    return at;
}

/* ---- configuration space ---- */

unsigned pci_enumerate(void)
{
    return function_count;
}

unsigned pci_function_count(void)
{
    return function_count;
}

struct pci_function *pci_function_at(unsigned index)
{
    return &functions[index]->fn;
}

static uint32_t config_read(const struct pci_function *fn, unsigned offset, unsigned width)
{
    uint32_t value = ~0u;

    if (to_fake(fn)->gone)
        return value;
    if (offset % width)
        hosted_fail("unaligned configuration access: %u bytes at %#x", width, offset);
    if (to_fake(fn)->config_hook &&
        to_fake(fn)->config_hook(to_fake(fn), offset, width, false, &value))
        return value;
    if (offset + width <= FAKE_PCI_CONFIG_SIZE)
        memcpy(&value, to_fake(fn)->config + offset, width);
    return value;
}

uint8_t pci_read8(const struct pci_function *fn, unsigned offset)
{
    return (uint8_t)config_read(fn, offset, 1);
}

uint16_t pci_read16(const struct pci_function *fn, unsigned offset)
{
    return (uint16_t)config_read(fn, offset, 2);
}

uint32_t pci_read32(const struct pci_function *fn, unsigned offset)
{
    return config_read(fn, offset, 4);
}

/* Shows and hides the BARs' registers as the decode bits say. */
static void apply_decode(struct fake_function *f)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        bool decode =
            f->config[PCI_COMMAND] & (f->fn.bar[i].is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);

        if (!f->bar_registers[i].read || f->bar_visible[i] == decode)
            continue;
        if (decode)
            hosted_registers_add(&f->bar_registers[i]);
        else
            hosted_registers_remove(f->bar_registers[i].address);
        f->bar_visible[i] = decode;
    }
}

/* A virtio driver has no business in configuration space beyond the command register (4.1.4.1). */
static void config_write(const struct pci_function *fn, unsigned offset, uint32_t value,
                         unsigned width)
{
    struct fake_function *f = to_fake(fn);

    if (f->gone)
        return;
    if (f->config_hook && f->config_hook(f, offset, width, true, &value))
        return;
    if (offset != PCI_COMMAND) {
        violation("PCI-CAP-8", "configuration space written at %#x", offset);
        return;
    }
    memcpy(f->config + offset, &value, width);
    apply_decode(f);
}

void pci_write8(const struct pci_function *fn, unsigned offset, uint8_t value)
{
    config_write(fn, offset, value, 1);
}

void pci_write16(const struct pci_function *fn, unsigned offset, uint16_t value)
{
    config_write(fn, offset, value, 2);
}

void pci_write32(const struct pci_function *fn, unsigned offset, uint32_t value)
{
    config_write(fn, offset, value, 4);
}

volatile void *pci_map_bar(struct pci_function *fn, unsigned bar, uint64_t offset, uint64_t length)
{
    if (bar >= PCI_BAR_COUNT || fn->bar[bar].is_io || !fn->bar[bar].address || !length ||
        offset >= fn->bar[bar].size || length > fn->bar[bar].size - offset)
        return NULL;
    return (volatile void *)(uintptr_t)(fn->bar[bar].address + offset);
}

void pci_command(struct pci_function *fn, uint16_t set, uint16_t clear)
{
    pci_write16(fn, PCI_COMMAND, (uint16_t)((pci_read16(fn, PCI_COMMAND) | set) & ~clear));
}

/* ---- MSI-X ---- */

int pci_msix_enable(struct pci_function *fn)
{
    struct fake_function *f = to_fake(fn);

    if (!f->msix_entries)
        return -ENODEV;
    if (fn->msix)
        hosted_fail("pci_msix_enable() twice");
    fn->msix = calloc(1, sizeof(*fn->msix) + f->msix_entries * sizeof(fn->msix->entry[0]));
    if (!fn->msix)
        hosted_fail("out of memory for MSI-X");
    fn->msix->owner = f;
    pci_command(fn, PCI_COMMAND_INTX_DISABLE, 0);
    return (int)f->msix_entries;
}

int pci_msix_set(struct pci_function *fn, unsigned entry, void (*handler)(void *arg), void *arg,
                 const char *name)
{
    struct fake_function *f = to_fake(fn);

    if (!fn->msix || !handler || !name)
        hosted_fail("pci_msix_set() without MSI-X or handler");
    if (entry >= f->msix_entries)
        return -EINVAL;
    if (fn->msix->entry[entry].handler)
        hosted_fail("MSI-X entry %u set twice", entry);
    if (fn->msix->used == f->msix_spare)
        return -ENOSPC;
    fn->msix->used++;
    fn->msix->entry[entry].handler = handler;
    fn->msix->entry[entry].arg = arg;
    return 0;
}

void pci_msix_disable(struct pci_function *fn)
{
    if (!fn->msix)
        return;
    for (unsigned i = 0; i < to_fake(fn)->msix_entries; i++)
        if (fn->msix->entry[i].handler)
            hosted_interrupt_cancel(fn->msix->entry[i].handler, fn->msix->entry[i].arg);
    free(fn->msix);
    fn->msix = NULL;
}

bool fake_pci_msix_enabled(const struct fake_function *f)
{
    return f->fn.msix != NULL;
}

void fake_pci_raise_msix(struct fake_function *f, unsigned entry)
{
    struct pci_msix *msix = f->fn.msix;

    if (entry >= f->msix_entries || !msix)
        hosted_fail("the device raises MSI-X entry %u of %u", entry, f->msix_entries);
    if (msix->entry[entry].handler)
        hosted_interrupt_raise(msix->entry[entry].handler, msix->entry[entry].arg);
}

/* ---- INTx ---- */

/*
 * A level-triggered line: it comes again as long as the device holds it, and must be let go by the
 * handler.
 */
static void intx_deliver(void *arg)
{
    struct fake_function *f = arg;

    for (unsigned times = 0; f->intx_line && f->intx_handler; times++) {
        if (times == 3)
            hosted_fail("the INTx line is still held after its handler ran");
        if (!f->intx_handler(f->intx_arg))
            f->intx_unclaimed++;
    }
}

void fake_pci_set_intx(struct fake_function *f, bool level)
{
    uint16_t command = pci_read16(&f->fn, PCI_COMMAND);

    f->intx_line = level;
    if (level && f->intx_handler && !(command & PCI_COMMAND_INTX_DISABLE))
        hosted_interrupt_raise(intx_deliver, f);
}

int pci_intx_enable(struct pci_function *fn, bool (*handler)(void *arg), void *arg,
                    const char *name)
{
    struct fake_function *f = to_fake(fn);

    if (!name || f->intx_handler)
        hosted_fail("pci_intx_enable() twice or without a name");
    if (!fn->interrupt_pin || fn->gsi < 0)
        return -ENODEV;
    f->intx_handler = handler;
    f->intx_arg = arg;
    pci_command(fn, 0, PCI_COMMAND_INTX_DISABLE);
    fake_pci_set_intx(f, f->intx_line);
    return 0;
}

void pci_intx_disable(struct pci_function *fn)
{
    struct fake_function *f = to_fake(fn);

    pci_command(fn, PCI_COMMAND_INTX_DISABLE, 0);
    hosted_interrupt_cancel(intx_deliver, f);
    f->intx_handler = NULL;
}
