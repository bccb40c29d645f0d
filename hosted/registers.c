/*
 * registers.c - device registers of a hosted build: address ranges with a function behind each.
 *
 * Nothing is mapped at these addresses; mmio_*() and pio_*() of include/platform_arch.h end up
 * here. An access that no range wholly contains is a bug of the code under test and ends the test.
 * Read fake_pci.c next.
 */
#include "hosted/hosted.h"

#define MAX_RANGES 64

static struct hosted_registers ranges[MAX_RANGES];
static unsigned range_count;
static uint64_t accesses;

void hosted_registers_add(const struct hosted_registers *registers)
{
    if (range_count == MAX_RANGES)
        hosted_fail("too many register ranges");
    for (unsigned i = 0; i < range_count; i++)
        if (registers->address < ranges[i].address + ranges[i].size &&
            ranges[i].address < registers->address + registers->size)
            hosted_fail("register ranges %s and %s overlap", registers->name, ranges[i].name);
    ranges[range_count++] = *registers;
}

void hosted_registers_remove(uint64_t address)
{
    for (unsigned i = 0; i < range_count; i++) {
        if (ranges[i].address == address) {
            ranges[i] = ranges[--range_count];
            return;
        }
    }
}

void hosted_registers_reset(void)
{
    range_count = 0;
    accesses = 0;
}

uint64_t hosted_register_accesses(void)
{
    return accesses;
}

static const struct hosted_registers *find(uint64_t address, unsigned width, const char *what)
{
    accesses++;
    for (unsigned i = 0; i < range_count; i++)
        if (address >= ranges[i].address && address - ranges[i].address < ranges[i].size) {
            if (ranges[i].size - (address - ranges[i].address) < width)
                hosted_fail("%u-byte register %s at %#llx crosses the end of %s", width, what,
                            (unsigned long long)address, ranges[i].name);
            return &ranges[i];
        }
    hosted_fail("%u-byte register %s at %#llx, where there is nothing", width, what,
                (unsigned long long)address);
}

uint64_t hosted_register_read(uint64_t address, unsigned width)
{
    const struct hosted_registers *range = find(address, width, "read");
    return range->read(range->arg, address - range->address, width);
}

void hosted_register_write(uint64_t address, unsigned width, uint64_t value)
{
    const struct hosted_registers *range = find(address, width, "write");
    range->write(range->arg, address - range->address, width, value);
}
