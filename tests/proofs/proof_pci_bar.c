/*
 * proof_pci_bar.c - base address registers that say anything, also while their size is asked for: a
 * BAR's size is a power of two or none, no register beside them is touched, and what is mapped lies
 * inside of a memory BAR.
 */
// unwind: 8
// control: arch/x86_64/pci.c: if (bar + 1 >= bar_count)\n            return 1; =>
// control: arch/x86_64/pci.c: if ((b->size & (b->size - 1)) != 0)\n        b->size = 0; =>
// control: arch/x86_64/pci.c: length > b->size - offset) => offset + length > b->size)
// control: arch/x86_64/pci.c: if (bar >= PCI_BAR_COUNT)\n        return NULL;\n    b = => b =
#include "proof.h"

#include "arch/x86_64/pci.c"

/* Configuration space by the ports: what was selected, and what may be. */
static unsigned selected, bars;

static bool is_there(unsigned offset, unsigned width)
{
    if (offset == PCI_COMMAND)
        return width == 2;
    return width == 4 && offset % 4 == 0 && offset >= PCI_BAR0 && offset < PCI_BAR0 + 4 * bars;
}

void hosted_register_write(uint64_t address, unsigned width, uint64_t value)
{
    if (address == HOSTED_PORT_BASE + CONFIG_ADDRESS)
        selected = value & 0xfc;
    else
        claim(is_there(selected + (address & 3), width));
}

uint64_t hosted_register_read(uint64_t address, unsigned width)
{
    claim(is_there(selected + (address & 3), width));
    return any_u64();
}

int paging_map(uint64_t address, uint64_t length, enum paging_kind kind)
{
    (void)address;
    claim(length > 0 && kind == PAGING_DEVICE);
    return any_bool() ? 0 : -1;
}

int main(void)
{
    struct pci_function fn = {.bus = any_u8(), .device = any_u8() % 32, .function = any_u8() % 8};
    unsigned i, bar = any_unsigned();
    uint64_t offset = any_u64(), length = any_u64();
    volatile uint8_t *mapped;

    ports_work = true;
    bars = any_bool() ? PCI_BAR_COUNT : BRIDGE_BAR_COUNT;
    size_bars(&fn, bars);
    for (i = 0; i < PCI_BAR_COUNT; i++)
        claim((fn.bar[i].size & (fn.bar[i].size - 1)) == 0);
    mapped = pci_map_bar(&fn, bar, offset, length);
    if (mapped) {
        claim(bar < PCI_BAR_COUNT && !fn.bar[bar].is_io);
        claim((uintptr_t)mapped - fn.bar[bar].address == offset);
        claim(offset <= fn.bar[bar].size && length <= fn.bar[bar].size - offset);
    }
    return 0;
}
