/*
 * virtio_pci_access.c - how the registers of a virtio structure are reached: mapped, or through the
 * PCI configuration access capability (4.1.4.9).
 *
 * The window is for functions whose BAR found no room or lies where the CPU cannot reach. Each
 * access through it is three writes and one access of configuration space, so nothing may come in
 * between: interrupts are off here, as everywhere. Read virtio_pci_impl.h first.
 */
#include "log.h"
#include "virtio/virtio_pci_impl.h"

#define WINDOW(field) ((unsigned)offsetof(struct virtio_pci_cap, field))
#define WINDOW_DATA ((unsigned)offsetof(struct virtio_pci_cfg_cap, pci_cfg_data))

/*
 * Points the window at the register. The length goes first, so that the offset is a multiple of it
 * when it is written. The range lies in a structure, which find_structure() has checked against
 * its BAR (4.1.4.9.2).
 */
static void aim_window(struct virtio_pci *pci, const struct virtio_pci_location *where,
                       uint32_t offset, unsigned width)
{
    pci_write8(pci->fn, pci->window + WINDOW(bar), where->bar);
    pci_write32(pci->fn, pci->window + WINDOW(length), width);
    pci_write32(pci->fn, pci->window + WINDOW(offset), where->offset + offset);
}

static uint32_t window_read(struct virtio_pci *pci, const struct virtio_pci_location *where,
                            uint32_t offset, unsigned width)
{
    unsigned data = pci->window + WINDOW_DATA;

    aim_window(pci, where, offset, width);
    return width == 1   ? pci_read8(pci->fn, data)
           : width == 2 ? pci_read16(pci->fn, data)
                        : pci_read32(pci->fn, data);
}

static void window_write(struct virtio_pci *pci, const struct virtio_pci_location *where,
                         uint32_t offset, unsigned width, uint32_t value)
{
    unsigned data = pci->window + WINDOW_DATA;

    aim_window(pci, where, offset, width);
    if (width == 1)
        pci_write8(pci->fn, data, (uint8_t)value);
    else if (width == 2)
        pci_write16(pci->fn, data, (uint16_t)value);
    else
        pci_write32(pci->fn, data, value);
}

uint32_t virtio_pci_read(struct virtio_pci *pci, const struct virtio_pci_registers *registers,
                         uint32_t offset, unsigned width)
{
    volatile uint8_t *reg;

    if (!registers->mapped)
        return window_read(pci, &registers->where, offset, width);
    reg = registers->mapped + offset;
    return width == 1 ? mmio_read8(reg) : width == 2 ? mmio_read16(reg) : mmio_read32(reg);
}

void virtio_pci_write(struct virtio_pci *pci, const struct virtio_pci_registers *registers,
                      uint32_t offset, unsigned width, uint32_t value)
{
    volatile uint8_t *reg;

    if (!registers->mapped) {
        window_write(pci, &registers->where, offset, width, value);
        return;
    }
    reg = registers->mapped + offset;
    if (width == 1)
        mmio_write8(reg, (uint8_t)value);
    else if (width == 2)
        mmio_write16(reg, (uint16_t)value);
    else
        mmio_write32(reg, value);
}

/* 4.1.4.9: the capability, if it is long enough to hold its data. */
static unsigned find_window(const struct pci_function *fn)
{
    unsigned cap = 0;

    while ((cap = pci_find_capability(fn, PCI_CAP_ID_VENDOR, cap)) != 0)
        if (pci_read8(fn, cap + offsetof(struct virtio_pci_cap, cfg_type)) ==
                VIRTIO_PCI_CAP_PCI_CFG &&
            pci_read8(fn, cap + offsetof(struct virtio_pci_cap, cap_len)) >=
                sizeof(struct virtio_pci_cfg_cap))
            return cap;
    return 0;
}

bool virtio_pci_reach(struct virtio_pci *pci, const struct virtio_pci_location *where,
                      struct virtio_pci_registers *registers)
{
    registers->where = *where;
    registers->mapped = pci_map_bar(pci->fn, where->bar, where->offset, where->length);
    if (registers->mapped || pci->window)
        return true;
    pci->window = find_window(pci->fn);
    if (pci->window)
        log_warn("%s: BAR %u cannot be mapped: going through configuration space, which is slow",
                 pci->name, where->bar);
    return pci->window != 0;
}
