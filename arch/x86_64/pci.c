/*
 * pci.c - PCI enumeration: configuration space, buses behind bridges, BAR sizes.
 *
 * Owns the table of functions. Configuration space is reached through ECAM where ACPI has it, else
 * ports 0xcf8/0xcfc. Buses that firmware did not number are numbered here; root buses beyond the
 * first are pci_roots.c's. The capability walk is
 * boot/pci_caps.c. PCI Local Bus 3.0 chapter 6, PCI-to-PCI Bridge 1.2 chapter 3, PCI Express 7.2.2.
 * Read pci_alloc.c next.
 */
#include "pci.h"

#include "log.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/mem.h"
#include "arch/x86_64/pci_impl.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define CONFIG_ENABLE 0x80000000u
#define CONFIG_BYTES_PORTS 256u
#define CONFIG_BYTES_ECAM 4096u
#define ECAM_BUS_SHIFT 20

#define DEVICES_PER_BUS 32
#define FUNCTIONS_PER_DEVICE 8
#define BUS_LAST 255

#define HEADER_MULTIFUNCTION 0x80
#define HEADER_TYPE_MASK 0x7f
#define HEADER_BRIDGE 1
#define BRIDGE_BAR_COUNT 2
#define BRIDGE_BUSES 0x18 /* primary, secondary, subordinate, latency */
#define BRIDGE_LATENCY 0xff000000u

#define BAR_IO 0x1u
#define BAR_TYPE_MASK 0x6u
#define BAR_TYPE_64BIT 0x4u
#define BAR_PREFETCHABLE 0x8u
#define BAR_IO_FLAGS 0x3u
#define BAR_MEMORY_FLAGS 0xfu

#define EXPRESS_TYPE_ROOT_PORT 4
#define EXPRESS_TYPE_DOWNSTREAM 6

static struct pci_function functions[PCI_FUNCTIONS_MAX];
static unsigned function_count;
static struct pci_bridge bridges[PCI_BRIDGES_MAX];
static unsigned bridge_count;
static bool table_full;

/* Firmware's bus numbers are kept unless they leave a bridge without one; then all are made anew. */
static bool numbers_ran_out;
static bool renumbering;

static const struct acpi_ecam *ecam;
static bool ports_work;

unsigned pci_function_count(void)
{
    return function_count;
}

struct pci_function *pci_function_at(unsigned index)
{
    return index < function_count ? &functions[index] : NULL;
}

const struct pci_function *pci_find_function(uint16_t vendor_id, uint16_t device_id)
{
    for (unsigned i = 0; i < pci_function_count(); i++) {
        const struct pci_function *fn = pci_function_at(i);

        if (fn->bus == 0 && fn->vendor_id == vendor_id && fn->device_id == device_id)
            return fn;
    }
    return NULL;
}

bool pci_ecam_range(uint64_t *start, uint64_t *end)
{
    if (ecam == NULL)
        return false;
    *start = ecam->address + ((uint64_t)ecam->first_bus << ECAM_BUS_SHIFT);
    *end = ecam->address + (((uint64_t)ecam->last_bus + 1) << ECAM_BUS_SHIFT);
    return true;
}

static volatile void *ecam_register(const struct pci_function *fn, unsigned offset)
{
    if (ecam == NULL || fn->bus < ecam->first_bus || fn->bus > ecam->last_bus ||
        offset >= CONFIG_BYTES_ECAM)
        return NULL;
    return (
        volatile void *)(uintptr_t)(ecam->address + ((uint64_t)fn->bus << ECAM_BUS_SHIFT) +
                                    ((unsigned)fn->device << 15 | (unsigned)fn->function << 12) +
                                    offset);
}

/* Selects a register for the data ports; false when it cannot be reached that way. */
static bool port_select(const struct pci_function *fn, unsigned offset)
{
    if (!ports_work || offset >= CONFIG_BYTES_PORTS)
        return false;
    pio_write32(CONFIG_ADDRESS, CONFIG_ENABLE | (uint32_t)fn->bus << 16 |
                                    (uint32_t)fn->device << 11 | (uint32_t)fn->function << 8 |
                                    (offset & ~3u));
    return true;
}

#define CONFIG_ACCESS(bits)                                                                    \
    uint##bits##_t pci_read##bits(const struct pci_function *fn, unsigned offset)              \
    {                                                                                          \
        volatile void *reg = ecam_register(fn, offset);                                        \
                                                                                               \
        if (reg != NULL)                                                                       \
            return mmio_read##bits(reg);                                                       \
        if (!port_select(fn, offset))                                                          \
            return (uint##bits##_t)UINT32_MAX;                                                 \
        return pio_read##bits((uint16_t)(CONFIG_DATA + (offset & 3)));                         \
    }                                                                                          \
    void pci_write##bits(const struct pci_function *fn, unsigned offset, uint##bits##_t value) \
    {                                                                                          \
        volatile void *reg = ecam_register(fn, offset);                                        \
                                                                                               \
        if (reg != NULL)                                                                       \
            mmio_write##bits(reg, value);                                                      \
        else if (port_select(fn, offset))                                                      \
            pio_write##bits((uint16_t)(CONFIG_DATA + (offset & 3)), value);                    \
    }
CONFIG_ACCESS(8)
CONFIG_ACCESS(16)
CONFIG_ACCESS(32)
#undef CONFIG_ACCESS

void pci_command(struct pci_function *fn, uint16_t set, uint16_t clear)
{
    uint16_t command = pci_read16(fn, PCI_COMMAND);
    uint16_t wanted = (uint16_t)((command & ~clear) | set);

    if (wanted != command)
        pci_write16(fn, PCI_COMMAND, wanted);
}

volatile void *pci_map_bar(struct pci_function *fn, unsigned bar, uint64_t offset, uint64_t length)
{
    const struct pci_bar *b;

    if (bar >= PCI_BAR_COUNT)
        return NULL;
    b = &fn->bar[bar];
    if (b->is_io || b->address == 0 || length == 0 || offset > b->size || length > b->size - offset)
        return NULL;
    if (paging_map(b->address + offset, length, PAGING_DEVICE) < 0) {
        log_warn("pci %02x:%02x.%x: BAR %u at 0x%llx cannot be mapped", fn->bus, fn->device,
                 fn->function, bar, (unsigned long long)b->address);
        return NULL;
    }
    return (volatile void *)(uintptr_t)(b->address + offset);
}

void pci_write_bar(struct pci_function *fn, unsigned bar, uint64_t address)
{
    struct pci_bar *b = &fn->bar[bar];

    pci_write32(fn, PCI_BAR0 + 4 * bar, (uint32_t)address);
    if (b->is_64bit)
        pci_write32(fn, PCI_BAR0 + 4 * bar + 4, (uint32_t)(address >> 32));
    b->address = address;
}

/*
 * The part of a register that can be set tells the size: everything but the bits that write ones
 * read back.
 */
static uint32_t probe_mask(const struct pci_function *fn, unsigned offset, uint32_t original)
{
    uint32_t mask;

    pci_write32(fn, offset, UINT32_MAX);
    mask = pci_read32(fn, offset);
    pci_write32(fn, offset, original);
    return mask;
}

/*
 * Sizes the BAR with index `bar`; returns how many registers it takes. The function does not decode
 * meanwhile.
 */
static unsigned size_bar(struct pci_function *fn, unsigned bar, unsigned bar_count)
{
    struct pci_bar *b = &fn->bar[bar];
    unsigned offset = PCI_BAR0 + 4 * bar;
    uint32_t low = pci_read32(fn, offset);
    uint64_t mask = probe_mask(fn, offset, low);

    if (mask == 0 || mask == UINT32_MAX)
        return 1;
    b->is_io = mask & BAR_IO;
    if (b->is_io) {
        b->address = low & ~BAR_IO_FLAGS & 0xffff;
        b->size = (~(mask & ~(uint64_t)BAR_IO_FLAGS) + 1) & 0xffff;
    } else if ((mask & BAR_TYPE_MASK) != BAR_TYPE_64BIT) {
        b->address = low & ~BAR_MEMORY_FLAGS;
        b->size = (~(mask & ~(uint64_t)BAR_MEMORY_FLAGS) + 1) & UINT32_MAX;
    } else {
        uint32_t high;

        if (bar + 1 >= bar_count)
            return 1;
        high = pci_read32(fn, offset + 4);
        b->is_64bit = true;
        b->address = (uint64_t)high << 32 | (low & ~BAR_MEMORY_FLAGS);
        mask |= (uint64_t)probe_mask(fn, offset + 4, high) << 32;
        b->size = ~(mask & ~(uint64_t)BAR_MEMORY_FLAGS) + 1;
    }
    b->prefetchable = !b->is_io && (mask & BAR_PREFETCHABLE);
    /* A size that is no power of two comes from no working register. */
    if ((b->size & (b->size - 1)) != 0)
        b->size = 0;
    return b->is_64bit ? 2 : 1;
}

static void size_bars(struct pci_function *fn, unsigned bar_count)
{
    uint16_t command = pci_read16(fn, PCI_COMMAND);
    const uint16_t decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

    /*
     * Registers full of ones must not be decoded: they would hide RAM or other devices for a
     * moment.
     */
    if (command & decode)
        pci_write16(fn, PCI_COMMAND, (uint16_t)(command & ~decode));
    for (unsigned bar = 0; bar < bar_count;)
        bar += size_bar(fn, bar, bar_count);
    if (command & decode)
        pci_write16(fn, PCI_COMMAND, command);
}

static bool is_bridge(const struct pci_function *fn)
{
    return fn->platform != NULL;
}

/* Where the next function goes: an entry that was given back, or one more. NULL: no room. */
static struct pci_function *free_entry(void)
{
    for (unsigned i = 0; i < function_count; i++) {
        if (functions[i].vendor_id == 0)
            return &functions[i];
    }
    if (function_count < PCI_FUNCTIONS_MAX)
        return &functions[function_count++];
    table_full = true;
    return NULL;
}

/* Reads one function's header into the table; NULL when there is no such function. */
static struct pci_function *add_function(struct pci_function *bridge, unsigned bus, unsigned device,
                                         unsigned function, uint8_t *header_type)
{
    struct pci_function fn = {.bus = (uint8_t)bus,
                              .device = (uint8_t)device,
                              .function = (uint8_t)function,
                              .bridge = bridge,
                              .gsi = -1};
    uint32_t id = pci_read32(&fn, PCI_VENDOR_ID);

    struct pci_function *entry;

    if ((id & 0xffff) == 0xffff || (id & 0xffff) == 0)
        return NULL;
    entry = free_entry();
    if (entry == NULL)
        return NULL;
    fn.vendor_id = (uint16_t)id;
    fn.device_id = (uint16_t)(id >> 16);
    fn.class_code = pci_read32(&fn, PCI_REVISION_ID) >> 8;
    fn.revision = pci_read8(&fn, PCI_REVISION_ID);
    fn.interrupt_pin = pci_read8(&fn, PCI_INTERRUPT_PIN);
    if (fn.interrupt_pin > 4)
        fn.interrupt_pin = 0;
    *header_type = pci_read8(&fn, PCI_HEADER_TYPE);
    if ((*header_type & HEADER_TYPE_MASK) == 0) {
        uint32_t subsystem = pci_read32(&fn, PCI_SUBSYSTEM_VENDOR_ID);

        fn.subsystem_vendor_id = (uint16_t)subsystem;
        fn.subsystem_id = (uint16_t)(subsystem >> 16);
        /* The chipset's own registers stay as they are. */
        if (fn.class_code >> 8 != PCI_CLASS_HOST_BRIDGE)
            size_bars(&fn, PCI_BAR_COUNT);
    } else if ((*header_type & HEADER_TYPE_MASK) == HEADER_BRIDGE) {
        size_bars(&fn, BRIDGE_BAR_COUNT);
        if (bridge_count < PCI_BRIDGES_MAX)
            fn.platform = &bridges[bridge_count++];
        else
            table_full = true;
    }
    *entry = fn;
    return entry;
}

/*
 * A link has one device only; asking for others would find the same one again on some hardware, and
 * nothing on the rest.
 */
static unsigned devices_behind(const struct pci_function *bridge)
{
    unsigned capability;
    unsigned type;

    if (bridge == NULL)
        return DEVICES_PER_BUS;
    capability = pci_find_capability(bridge, PCI_CAP_ID_EXPRESS, 0);
    if (capability == 0)
        return DEVICES_PER_BUS;
    type = pci_read16(bridge, capability + 2) >> 4 & 15;
    return type == EXPRESS_TYPE_ROOT_PORT || type == EXPRESS_TYPE_DOWNSTREAM ? 1 : DEVICES_PER_BUS;
}

void pci_buses_behind(const struct pci_function *fn, unsigned *last)
{
    uint32_t buses;

    if ((pci_read8(fn, PCI_HEADER_TYPE) & HEADER_TYPE_MASK) != HEADER_BRIDGE)
        return;
    buses = pci_read32(fn, BRIDGE_BUSES);
    if ((buses & 0xff) == fn->bus && (buses >> 8 & 0xff) > fn->bus && (buses >> 16 & 0xff) > *last)
        *last = buses >> 16 & 0xff;
}

static unsigned scan_bus(struct pci_function *bridge, unsigned bus, unsigned last_bus);

/*
 * Goes behind the bridges on `bus` that firmware has numbered, if the numbers make sense: within
 * the parent's and not used by a sibling before. Returns the first number that is free after them.
 */
static unsigned scan_numbered(unsigned first, unsigned end, unsigned bus, unsigned last_bus)
{
    unsigned next_bus = bus + 1;

    for (unsigned i = first; i < end; i++) {
        struct pci_function *fn = &functions[i];
        unsigned secondary, subordinate;
        uint32_t buses;

        if (!is_bridge(fn) || renumbering)
            continue;
        buses = pci_read32(fn, BRIDGE_BUSES);
        secondary = buses >> 8 & 0xff;
        subordinate = buses >> 16 & 0xff;
        if ((buses & 0xff) != bus || secondary < next_bus || subordinate < secondary ||
            subordinate > last_bus)
            continue;
        *pci_bridge_of(fn) = (struct pci_bridge){(uint8_t)secondary, (uint8_t)subordinate};
        next_bus = subordinate + 1;
        scan_bus(fn, secondary, subordinate);
    }
    return next_bus;
}

/*
 * Numbers the remaining bridges, from next_bus on, and goes behind them. Returns the first number
 * still free.
 */
static unsigned scan_unnumbered(unsigned first, unsigned end, unsigned bus, unsigned next_bus,
                                unsigned last_bus)
{
    /* Two bridges must not both answer for a bus while one of them still has an old number. */
    for (unsigned i = first; i < end; i++) {
        if (is_bridge(&functions[i]) && pci_bridge_of(&functions[i])->secondary == 0)
            pci_write32(&functions[i], BRIDGE_BUSES,
                        pci_read32(&functions[i], BRIDGE_BUSES) & BRIDGE_LATENCY);
    }
    for (unsigned i = first; i < end; i++) {
        struct pci_function *fn = &functions[i];
        uint32_t latency;
        unsigned subordinate;

        if (!is_bridge(fn) || pci_bridge_of(fn)->secondary != 0)
            continue;
        if (next_bus > last_bus) {
            numbers_ran_out = true;
            continue;
        }
        /*
         * While looking, everything up to last_bus goes this way; afterwards, only what was found.
         */
        latency = pci_read32(fn, BRIDGE_BUSES) & BRIDGE_LATENCY;
        pci_write32(fn, BRIDGE_BUSES, latency | last_bus << 16 | next_bus << 8 | bus);
        subordinate = scan_bus(fn, next_bus, last_bus);
        pci_write32(fn, BRIDGE_BUSES, latency | subordinate << 16 | next_bus << 8 | bus);
        *pci_bridge_of(fn) = (struct pci_bridge){(uint8_t)next_bus, (uint8_t)subordinate};
        log_debug("pci %02x:%02x.%x: numbered the buses behind it %u to %u", fn->bus, fn->device,
                  fn->function, next_bus, subordinate);
        next_bus = subordinate + 1;
    }
    return next_bus;
}

/*
 * Finds what is on `bus` and behind it; buses up to last_bus may be used. Returns the highest
 * number in use.
 */
static unsigned scan_bus(struct pci_function *bridge, unsigned bus, unsigned last_bus)
{
    unsigned first = function_count;
    unsigned devices = devices_behind(bridge);
    unsigned end;
    unsigned next_bus;

    for (unsigned device = 0; device < devices; device++) {
        uint8_t header_type = 0;
        uint8_t other = 0;

        if (add_function(bridge, bus, device, 0, &header_type) == NULL)
            continue;
        for (unsigned f = 1; (header_type & HEADER_MULTIFUNCTION) && f < FUNCTIONS_PER_DEVICE; f++)
            add_function(bridge, bus, device, f, &other);
    }
    end = function_count;
    if (bus == 0 && !renumbering)
        pci_find_roots(last_bus);
    if (bus == 0)
        last_bus = pci_last_behind_bus_0();
    next_bus = scan_numbered(first, end, bus, last_bus);
    return scan_unnumbered(first, end, bus, next_bus, last_bus) - 1;
}

/* ---- cards that come and go ---- */

unsigned pci_add_behind(struct pci_function *bridge, struct pci_function **added)
{
    unsigned bus = pci_bridge_of(bridge)->secondary;
    unsigned count = 0;
    uint8_t header_type = 0;

    for (unsigned f = 0; f < FUNCTIONS_PER_DEVICE; f++) {
        uint8_t type = 0;
        struct pci_function *fn;

        if (f > 0 && !(header_type & HEADER_MULTIFUNCTION))
            break;
        fn = add_function(bridge, bus, 0, f, &type);
        if (f == 0)
            header_type = type;
        if (fn == NULL)
            continue;
        if (is_bridge(fn)) {
            /* There are no bus numbers left to give out behind this port. */
            fn->platform = NULL;
            bridge_count--;
            fn->refusal = "a bridge in a slot; what is behind it is not looked for";
        }
        pci_route_line(fn);
        added[count++] = fn;
    }
    if (table_full)
        log_warn("pci: more functions than the %u this kernel keeps track of", PCI_FUNCTIONS_MAX);
    table_full = false;
    pci_place_behind(bridge);
    return count;
}

void pci_forget(struct pci_function *fn)
{
    pci_release_resources(fn);
    *fn = (struct pci_function){.vendor_id = 0};
}

/* ---- enumeration ---- */

/* Takes the ECAM range that holds bus 0, if it can be mapped. */
static void find_access(void)
{
    const struct acpi_info *acpi = acpi_info();
    uint64_t start, end;

    for (unsigned i = 0; i < acpi->ecam_count && ecam == NULL; i++) {
        if (acpi->ecam[i].first_bus != 0)
            continue;
        ecam = &acpi->ecam[i];
        pci_ecam_range(&start, &end);
        if (paging_map(start, end - start, PAGING_DEVICE) < 0) {
            log_warn("pci: ECAM at 0x%llx cannot be mapped", (unsigned long long)start);
            ecam = NULL;
        }
    }
    pio_write32(CONFIG_ADDRESS, CONFIG_ENABLE);
    ports_work = pio_read32(CONFIG_ADDRESS) == CONFIG_ENABLE;
}

static void scan_roots(void)
{
    unsigned bus;
    unsigned last_bus = ecam != NULL && !ports_work ? ecam->last_bus : BUS_LAST;

    scan_bus(NULL, 0, last_bus);
    for (unsigned i = 0; pci_root_bus(i, &bus, &last_bus); i++)
        scan_bus(NULL, bus, last_bus);
}

static void scan_all(void)
{
    scan_roots();
    if (!numbers_ran_out)
        return;
    log_debug("pci: firmware's bus numbers leave none for some bridges, numbering all anew");
    numbers_ran_out = false;
    renumbering = true;
    for (unsigned i = 0; i < bridge_count; i++)
        bridges[i] = (struct pci_bridge){0, 0};
    function_count = 0;
    bridge_count = 0;
    scan_roots();
    if (numbers_ran_out)
        log_warn("pci: not enough bus numbers for everything behind bridges");
}

unsigned pci_enumerate(void)
{
    find_access();
    if (ecam == NULL && !ports_work) {
        log_info("pci: none (neither ECAM nor configuration ports)");
        return 0;
    }
    log_debug("pci: configuration space by %s", ecam != NULL ? "ECAM" : "ports");
    scan_all();
    if (table_full)
        log_warn("pci: more functions than the %u this kernel keeps track of", PCI_FUNCTIONS_MAX);
    pci_place_resources();
    pci_route_lines();
    return function_count;
}
