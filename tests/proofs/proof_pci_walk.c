/*
 * proof_pci_walk.c - the walk over the capabilities of a function whose configuration space is
 * anything at each read: it has an end, stays inside of the 256 bytes, and finds places behind the
 * header only. The end is shown for lists among PLACES places; where they are makes no difference.
 */
// share
// unwind: 8
// control: boot/pci_caps.c: if (visited >> offset / 4 & 1)\n            return 0; =>
// control: boot/pci_caps.c: & 0xfcu => & 0xffu
// control: boot/pci_caps.c: next >= FIRST_OFFSET ? next : 0 => next
#include "proof.h"

#include "boot/pci_caps.c"

#define PLACES 6

/* An end, or one of the last places, so that the bounds are met as well. */
uint8_t pci_read8(const struct pci_function *fn, unsigned offset)
{
    uint8_t value = any_u8();

    (void)fn;
    claim(offset < 256);
    assume(value < 64 || value >= 256 - 4 * PLACES);
    return value;
}

uint16_t pci_read16(const struct pci_function *fn, unsigned offset)
{
    (void)fn;
    claim(offset < 256 - 1);
    return any_u16();
}

int main(void)
{
    struct pci_function fn;
    unsigned found = pci_find_capability(&fn, any_u8(), any_unsigned());

    claim(found == 0 || (found >= 64 && found % 4 == 0 && found < 256));
    return 0;
}
