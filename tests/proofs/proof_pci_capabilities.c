/*
 * proof_pci_capabilities.c - a function whose configuration space is anything at each read: the
 * walk over its capabilities ends, and a virtio structure that is taken lies inside of an existing
 * memory BAR (4.1.4).
 */
// share
// unwind: 8
// control: virtio/virtio_pci.c: found.bar < PCI_BAR_COUNT && => 1 &&
// control: virtio/virtio_pci.c: (uint64_t)found.offset + min_length <= => found.offset + min_length <=
// control: virtio/virtio_pci.c: !fn->bar[found.bar].is_io && => 1 &&
#include "proof.h"

#include "virtio/virtio_pci.c"

static unsigned capabilities_left;

uint8_t pci_read8(const struct pci_function *fn, unsigned offset)
{
    (void)fn;
    claim(offset < 256 + 16);
    return any_u8();
}

uint32_t pci_read32(const struct pci_function *fn, unsigned offset)
{
    (void)fn;
    claim(offset < 256 + 16);
    return any_u32();
}

/* What pci.h promises: a place behind the header, and an end. */
unsigned pci_find_capability(const struct pci_function *fn, uint8_t id, unsigned after)
{
    unsigned found = any_u8();

    (void)fn;
    (void)id;
    (void)after;
    assume(found == 0 || (found >= 64 && found % 4 == 0));
    return capabilities_left-- ? found : 0;
}

int main(void)
{
    struct pci_function fn;
    uint32_t min_length = any_u32();
    unsigned i;

    for (i = 0; i < PCI_BAR_COUNT; i++) {
        fn.bar[i].size = any_u64();
        fn.bar[i].is_io = any_bool();
    }
    capabilities_left = any_u8() % 4;
    assume(min_length >= 1 && min_length <= 4096);
    struct virtio_pci_location where = find_structure(&fn, any_u8(), min_length);
    claim(where.length == 0 || where.length >= min_length);
    if (where.length) {
        claim(where.bar < PCI_BAR_COUNT && !fn.bar[where.bar].is_io);
        claim((uint64_t)where.offset + min_length <= fn.bar[where.bar].size);
    }
    return 0;
}
