/*
 * pci_alloc.c - places base address registers and bridge windows that firmware left at 0; leaves
 * all others alone.
 *
 * Owns no table: it reads what is taken from the functions themselves. Small firmware (qboot,
 * microvm's) places nothing; SeaBIOS and OVMF place everything, and then this finds nothing to do.
 * Everything goes below 4 GiB, but for 64-bit registers on root buses that are large or find no room
 * there; behind bridges, whose windows for those are optional, all of them stay below.
 * PCI-to-PCI Bridge 1.2 sections 3.2.5.6 to 3.2.5.9. Read pci_msix.c next.
 */
#include "boot/bootinfo.h"
#include "log.h"
#include "platform.h"

#include "arch/x86_64/mem.h"
#include "arch/x86_64/pci_impl.h"

#define BRIDGE_IO_WINDOW 0x1c       /* base, limit: one byte each, address bits 15:12 on top */
#define BRIDGE_MEMORY_WINDOW 0x20   /* base, limit: 16 bits each, address bits 31:20 on top */
#define BRIDGE_PREFETCH_WINDOW 0x24 /* the same, and 32 more bits in 0x28 and 0x2c */
#define BRIDGE_PREFETCH_BASE_HIGH 0x28
#define BRIDGE_PREFETCH_LIMIT_HIGH 0x2c
#define WINDOW_64BIT 0x1u

/* Bases above limits: nothing passes. */
#define IO_WINDOW_CLOSED 0x00f0
#define MEMORY_WINDOW_CLOSED 0x0000fff0u

#define MEMORY_FIRST UINT64_C(0xc0000000)
#define MEMORY_END UINT64_C(0xfec00000) /* I/O APIC, HPET, local APIC and firmware from here on */
/* 64-bit registers of this size go above 4 GiB: the room below is for those that cannot. */
#define LARGE_REGISTERS UINT64_C(0x800000)
#define IO_FIRST 0xc000
#define IO_END 0x10000

#define SMALLEST_MEMORY UINT64_C(0x1000) /* two functions' registers never share a page */
#define SMALLEST_IO 4
#define TAKEN_MAX 256
#define HOTPLUG_MEMORY UINT64_C(0x200000) /* for an empty slot */
#define ANY_BUS (-1)

/*
 * One of the two address spaces: what is taken in it, on which bus, and how bridges let it through.
 */
struct space {
    const char *name;
    bool is_io;
    uint64_t window_granularity;
    unsigned taken_count;
    struct taken {
        uint64_t start, end;
        int bus; /* on which bus these addresses are looked at; ANY_BUS: everywhere */
    } * taken;   /* [TAKEN_MAX] once there is something to know */
};

static struct space memory_space = {.name = "memory", .window_granularity = 0x100000};
static struct space io_space = {.name = "I/O", .is_io = true, .window_granularity = 0x1000};

/* The bus by which `taken` knows what is on the bus of this function: all root buses share theirs. */
static int room_of(const struct pci_function *fn)
{
    return fn->bridge != NULL ? fn->bus : 0;
}

static void take(struct space *space, int bus, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    if (space->taken == NULL)
        space->taken = platform_dma_alloc(TAKEN_MAX * sizeof(*space->taken), SMALLEST_MEMORY);
    if (space->taken == NULL || space->taken_count == TAKEN_MAX) {
        log_warn("pci: too many address ranges to keep track of");
        return;
    }
    space->taken[space->taken_count++] = (struct taken){start, end, bus};
}

static void give_back(struct space *space, int bus, uint64_t start)
{
    for (unsigned i = 0; i < space->taken_count; i++) {
        if (space->taken[i].bus != bus || space->taken[i].start != start)
            continue;
        space->taken[i] = space->taken[--space->taken_count];
        return;
    }
}

/*
 * The lowest free multiple of `size` within [low, high) on that bus, now taken; 0: there is none.
 */
static uint64_t place(struct space *space, int bus, uint64_t low, uint64_t high, uint64_t size)
{
    uint64_t start = (low + size - 1) & ~(size - 1);
    bool moved = true;

    while (moved) {
        moved = false;
        if (start >= high || size > high - start)
            return 0;
        for (unsigned i = 0; i < space->taken_count; i++) {
            const struct taken *t = &space->taken[i];

            if ((t->bus == bus || t->bus == ANY_BUS) && start < t->end && t->start < start + size) {
                start = (t->end + size - 1) & ~(size - 1);
                moved = true;
            }
        }
    }
    take(space, bus, start, start + size);
    return start;
}

/*
 * A bridge's window as its registers have it; false when it lets nothing through, or was never set
 * (base 0).
 */
static bool read_window(const struct pci_function *bridge, const struct space *space,
                        uint64_t *start, uint64_t *end)
{
    if (space->is_io) {
        uint16_t io = pci_read16(bridge, BRIDGE_IO_WINDOW);

        *start = (uint64_t)(io & 0xf0) << 8;
        *end = ((uint64_t)(io >> 8 & 0xf0) << 8) + 0x1000;
    } else {
        uint32_t memory = pci_read32(bridge, BRIDGE_MEMORY_WINDOW);

        *start = (uint64_t)(memory & 0xfff0) << 16;
        *end = (uint64_t)(memory & 0xfff00000) + 0x100000;
    }
    return *start != 0 && *start < *end;
}

static void write_window(const struct pci_function *bridge, const struct space *space,
                         uint64_t start, uint64_t end)
{
    uint64_t last = end - space->window_granularity;

    if (space->is_io)
        pci_write16(bridge, BRIDGE_IO_WINDOW, (uint16_t)((start >> 8 & 0xf0) | (last & 0xf000)));
    else
        pci_write32(bridge, BRIDGE_MEMORY_WINDOW,
                    (uint32_t)((start >> 16 & 0xfff0) | (last & 0xfff00000)));
}

/* The prefetchable window, which is never opened here but may have been by firmware. */
static bool read_prefetch_window(const struct pci_function *bridge, uint64_t *start, uint64_t *end)
{
    uint32_t window = pci_read32(bridge, BRIDGE_PREFETCH_WINDOW);

    *start = (uint64_t)(window & 0xfff0) << 16;
    *end = window & 0xfff00000;
    if (window & WINDOW_64BIT) {
        *start |= (uint64_t)pci_read32(bridge, BRIDGE_PREFETCH_BASE_HIGH) << 32;
        *end |= (uint64_t)pci_read32(bridge, BRIDGE_PREFETCH_LIMIT_HIGH) << 32;
    }
    *end += 0x100000;
    return *start != 0 && *start < *end;
}

/*
 * Windows out of reset lie at address 0, where RAM is: they are closed before the bridge is
 * switched on.
 */
static void close_unset_windows(const struct pci_function *bridge)
{
    uint64_t start, end;

    if (!read_window(bridge, &memory_space, &start, &end))
        pci_write32(bridge, BRIDGE_MEMORY_WINDOW, MEMORY_WINDOW_CLOSED);
    if (!read_prefetch_window(bridge, &start, &end)) {
        pci_write32(bridge, BRIDGE_PREFETCH_WINDOW, MEMORY_WINDOW_CLOSED);
        pci_write32(bridge, BRIDGE_PREFETCH_BASE_HIGH, 0);
        pci_write32(bridge, BRIDGE_PREFETCH_LIMIT_HIGH, 0);
    }
    if (!read_window(bridge, &io_space, &start, &end))
        pci_write16(bridge, BRIDGE_IO_WINDOW, IO_WINDOW_CLOSED);
}

static uint64_t bar_space_size(const struct pci_function *fn, unsigned bar,
                               const struct space *space)
{
    const struct pci_bar *b = &fn->bar[bar];
    uint64_t smallest = space->is_io ? SMALLEST_IO : SMALLEST_MEMORY;

    if (b->size == 0 || b->address != 0 || b->is_io != space->is_io)
        return 0;
    return b->size < smallest ? smallest : b->size;
}

static uint64_t bridge_need(const struct pci_function *bridge, const struct space *space);

/*
 * Bytes that registers and closed windows on this bus still need. All are powers of two, so largest
 * first leaves no gaps.
 */
static uint64_t bus_need(unsigned bus, const struct space *space)
{
    uint64_t need = 0;

    for (unsigned i = 0; i < pci_function_count(); i++) {
        const struct pci_function *fn = pci_function_at(i);

        if (fn->bus != bus)
            continue;
        for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++)
            need += bar_space_size(fn, bar, space);
        need += bridge_need(fn, space);
    }
    return need;
}

/*
 * The size of the window this bridge needs, or 0: nothing behind it, or it has one already. Bus
 * numbers grow, so this ends.
 */
static uint64_t bridge_need(const struct pci_function *bridge, const struct space *space)
{
    uint64_t start, end, need;
    uint64_t size = space->window_granularity;

    if (pci_bridge_of(bridge) == NULL || pci_bridge_of(bridge)->secondary == 0 ||
        read_window(bridge, space, &start, &end))
        return 0;
    need = bus_need(pci_bridge_of(bridge)->secondary, space);
    /* What may be plugged in later. Ports are too few for that, and needed by old cards only. */
    if (!space->is_io && need < HOTPLUG_MEMORY && pci_has_hotplug_slot(bridge))
        need = HOTPLUG_MEMORY;
    while (size < need)
        size *= 2;
    return need == 0 ? 0 : size;
}

static void place_bar(struct space *space, struct pci_function *fn, unsigned bar, uint64_t low,
                      uint64_t high, uint64_t size)
{
    uint64_t address = place(space, room_of(fn), low, high, size);

    if (address == 0)
        return;
    pci_write_bar(fn, bar, address);
    log_debug("pci %02x:%02x.%x: placed BAR %u at %s 0x%llx", fn->bus, fn->device, fn->function,
              bar, space->name, (unsigned long long)address);
}

static void place_window(struct space *space, struct pci_function *bridge, uint64_t low,
                         uint64_t high, uint64_t size)
{
    uint64_t address = place(space, room_of(bridge), low, high, size);

    if (address == 0) {
        log_debug("pci %02x:%02x.%x: no room for a %s window of %llu bytes", bridge->bus,
                  bridge->device, bridge->function, space->name, (unsigned long long)size);
        return;
    }
    write_window(bridge, space, address, address + size);
    log_debug("pci %02x:%02x.%x: opened a %s window at 0x%llx", bridge->bus, bridge->device,
              bridge->function, space->name, (unsigned long long)address);
}

/* Places everything on `bus` within [low, high), largest first, then goes behind its bridges. */
static void place_bus(struct space *space, unsigned bus, uint64_t low, uint64_t high)
{
    uint64_t largest = 1;

    while (largest <= (high - low) / 2)
        largest *= 2;
    for (uint64_t size = largest; size > 0; size /= 2) {
        for (unsigned i = 0; i < pci_function_count(); i++) {
            struct pci_function *fn = pci_function_at(i);

            if (fn->bus != bus)
                continue;
            for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
                if (bar_space_size(fn, bar, space) == size)
                    place_bar(space, fn, bar, low, high, size);
            }
            if (bridge_need(fn, space) == size)
                place_window(space, fn, low, high, size);
        }
    }
    for (unsigned i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);
        uint64_t start, end;

        if (fn->bus == bus && pci_bridge_of(fn) != NULL && pci_bridge_of(fn)->secondary != 0 &&
            read_window(fn, space, &start, &end))
            place_bus(space, pci_bridge_of(fn)->secondary, start, end);
    }
}

/*
 * Where 64-bit registers may lie above 4 GiB. Behind a GPEX host bridge (QEMU's microvm) that is the
 * topmost quarter of what the CPU can address, elsewhere everything; and then the lower, the better,
 * since a hypervisor may claim more address bits for its CPU than the machine below it has.
 */
static uint64_t high_first(void)
{
    return pci_find_function(GPEX_HOST) != NULL ? paging_limit() / 4 * 3 : UINT64_C(1) << 32;
}

/* Places 64-bit registers of at least `least` bytes on root buses above 4 GiB, largest first. */
static void place_high(uint64_t least)
{
    uint64_t first = high_first(), limit = paging_limit();

    for (uint64_t size = limit; size >= least && size >= SMALLEST_MEMORY; size /= 2) {
        for (unsigned i = 0; i < pci_function_count(); i++) {
            struct pci_function *fn = pci_function_at(i);

            for (unsigned bar = 0; fn->bridge == NULL && bar < PCI_BAR_COUNT; bar++) {
                if (fn->bar[bar].is_64bit && bar_space_size(fn, bar, &memory_space) == size)
                    place_bar(&memory_space, fn, bar, first, limit, size);
            }
        }
    }
}

/*
 * Collects what is in use: what the memory map names, ECAM, and everything that firmware has
 * placed.
 */
static void collect_taken(void)
{
    const struct bootinfo *map = memory_boot_map();
    uint64_t start, end;

    for (unsigned i = 0; i < map->reserved_count; i++)
        take(&memory_space, ANY_BUS, map->reserved[i].start, map->reserved[i].end);
    for (unsigned i = 0; i < map->ram_count; i++)
        take(&memory_space, ANY_BUS, map->ram[i].start, map->ram[i].end);
    if (pci_ecam_range(&start, &end))
        take(&memory_space, ANY_BUS, start, end);
    for (unsigned i = 0; i < pci_function_count(); i++) {
        const struct pci_function *fn = pci_function_at(i);

        for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
            const struct pci_bar *b = &fn->bar[bar];

            if (b->size != 0 && b->address != 0)
                take(b->is_io ? &io_space : &memory_space, room_of(fn), b->address,
                     b->address + b->size);
        }
        if (pci_bridge_of(fn) == NULL)
            continue;
        close_unset_windows(fn);
        if (read_window(fn, &memory_space, &start, &end))
            take(&memory_space, room_of(fn), start, end);
        if (read_prefetch_window(fn, &start, &end))
            take(&memory_space, room_of(fn), start, end);
        if (read_window(fn, &io_space, &start, &end))
            take(&io_space, room_of(fn), start, end);
    }
}

static void place_roots(struct space *space, uint64_t low, uint64_t high)
{
    unsigned bus, last_bus;

    place_bus(space, 0, low, high);
    for (unsigned i = 0; pci_root_bus(i, &bus, &last_bus); i++)
        place_bus(space, bus, low, high);
}

static void log_unplaced(const struct pci_function *fn)
{
    for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
        const struct pci_bar *b = &fn->bar[bar];

        if (b->size != 0 && b->address == 0)
            log_debug("pci %02x:%02x.%x: no room for BAR %u (%s, %llu bytes)", fn->bus, fn->device,
                      fn->function, bar, b->is_io ? io_space.name : memory_space.name,
                      (unsigned long long)b->size);
    }
}

void pci_place_resources(void)
{
    collect_taken();
    place_high(LARGE_REGISTERS);
    place_roots(&memory_space, MEMORY_FIRST, MEMORY_END);
    place_roots(&io_space, IO_FIRST, IO_END);
    place_high(0);
    for (unsigned i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);

        log_unplaced(fn);
        if (pci_bridge_of(fn) != NULL && pci_bridge_of(fn)->secondary != 0)
            pci_command(fn, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
    }
}

void pci_place_behind(const struct pci_function *bridge)
{
    unsigned bus = pci_bridge_of(bridge)->secondary;
    uint64_t start, end;

    if (read_window(bridge, &memory_space, &start, &end))
        place_bus(&memory_space, bus, start, end);
    if (read_window(bridge, &io_space, &start, &end))
        place_bus(&io_space, bus, start, end);
    for (unsigned i = 0; i < pci_function_count(); i++) {
        if (pci_function_at(i)->bridge == bridge)
            log_unplaced(pci_function_at(i));
    }
}

void pci_release_resources(const struct pci_function *fn)
{
    for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
        const struct pci_bar *b = &fn->bar[bar];

        if (b->size != 0 && b->address != 0)
            give_back(b->is_io ? &io_space : &memory_space, room_of(fn), b->address);
    }
}
