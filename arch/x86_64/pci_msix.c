/*
 * pci_msix.c - MSI-X: the table in a BAR, one vector for each entry that is used.
 *
 * Owns struct pci_msix. Vectors come from irq.c. Entries are written only while masked, as PCI
 * Local Bus 3.0 section 6.8.3 wants it. Read pci_intx.c next: what is used when a function has no
 * MSI-X.
 */
#include <errno.h>

#include "irq.h"
#include "memory.h"
#include "pci.h"
#include "platform.h"

#define MSIX_CONTROL 2
#define MSIX_TABLE 4
#define CONTROL_SIZE_MASK 0x07ff
#define CONTROL_MASK_ALL 0x4000
#define CONTROL_ENABLE 0x8000
#define TABLE_BAR_MASK 7u

#define ENTRY_BYTES 16u
#define ENTRY_ADDRESS_LOW 0
#define ENTRY_ADDRESS_HIGH 4
#define ENTRY_DATA 8
#define ENTRY_CONTROL 12
#define ENTRY_MASKED 1u

#define NO_VECTOR (-1)

struct pci_msix {
    unsigned capability;
    unsigned entry_count;
    volatile uint8_t *table;
    int16_t vector[]; /* one per entry, NO_VECTOR: not used */
};

static size_t msix_pages(unsigned entry_count)
{
    return (sizeof(struct pci_msix) + entry_count * sizeof(int16_t) + PAGE_SIZE - 1) / PAGE_SIZE;
}

int pci_msix_enable(struct pci_function *fn)
{
    unsigned capability = pci_find_capability(fn, PCI_CAP_ID_MSIX, 0);
    struct pci_msix *msix;
    uint16_t control;
    uint32_t where;
    unsigned count;
    volatile uint8_t *table;

    if (capability == 0 || !irq_messages_work())
        return -ENODEV;
    if (fn->msix != NULL)
        return (int)fn->msix->entry_count;
    control = pci_read16(fn, capability + MSIX_CONTROL);
    where = pci_read32(fn, capability + MSIX_TABLE);
    count = (control & CONTROL_SIZE_MASK) + 1u;
    table = pci_map_bar(fn, where & TABLE_BAR_MASK, where & ~TABLE_BAR_MASK, count * ENTRY_BYTES);
    if (table == NULL)
        return -EIO;
    msix = memory_pages_alloc(msix_pages(count), PAGE_SIZE);
    if (msix == NULL)
        return -EIO;
    msix->capability = capability;
    msix->entry_count = count;
    msix->table = table;

    /* Entries can be reached once memory is decoded; all stay masked until pci_msix_set(). */
    pci_command(fn, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE, 0);
    pci_write16(fn, capability + MSIX_CONTROL, control | CONTROL_ENABLE | CONTROL_MASK_ALL);
    for (unsigned i = 0; i < count; i++) {
        mmio_write32(table + i * ENTRY_BYTES + ENTRY_CONTROL, ENTRY_MASKED);
        msix->vector[i] = NO_VECTOR;
    }
    pci_write16(fn, capability + MSIX_CONTROL,
                (uint16_t)((control | CONTROL_ENABLE) & ~CONTROL_MASK_ALL));
    fn->msix = msix;
    return (int)count;
}

int pci_msix_set(struct pci_function *fn, unsigned entry, void (*handler)(void *arg), void *arg,
                 const char *name)
{
    struct pci_msix *msix = fn->msix;
    struct irq_message message;
    volatile uint8_t *slot;
    int vector;

    if (msix == NULL || entry >= msix->entry_count)
        return -EINVAL;
    vector = irq_message_alloc(handler, arg, name, &message);
    if (vector < 0)
        return vector;
    slot = msix->table + entry * ENTRY_BYTES;
    mmio_write32(slot + ENTRY_CONTROL, ENTRY_MASKED);
    irq_message_free(msix->vector[entry]);
    msix->vector[entry] = (int16_t)vector;
    mmio_write32(slot + ENTRY_ADDRESS_LOW, (uint32_t)message.address);
    mmio_write32(slot + ENTRY_ADDRESS_HIGH, (uint32_t)(message.address >> 32));
    mmio_write32(slot + ENTRY_DATA, message.data);
    mmio_write32(slot + ENTRY_CONTROL, 0);
    return 0;
}

void pci_msix_disable(struct pci_function *fn)
{
    struct pci_msix *msix = fn->msix;
    uint16_t control;

    if (msix == NULL)
        return;
    control = pci_read16(fn, msix->capability + MSIX_CONTROL);
    pci_write16(fn, msix->capability + MSIX_CONTROL, (uint16_t)(control & ~CONTROL_ENABLE));
    for (unsigned i = 0; i < msix->entry_count; i++)
        irq_message_free(msix->vector[i]);
    fn->msix = NULL;
    memory_pages_free(msix, msix_pages(msix->entry_count));
}
