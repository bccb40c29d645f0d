/*
 * paging.c - the final page tables: all RAM one to one, the kernel's parts each with the least
 * rights, registers on demand.
 *
 * Owns CR3. Text can be executed and not written, everything else can not be executed; page 0 and
 * the page below each stack are not mapped. Mappings are added and stay; only the guard pages of
 * threads' stacks come and go. Intel SDM volume 3, chapter 4.5. Read trap.c next.
 */
#include <errno.h>

#include "boot/bootinfo.h"
#include "machine.h"
#include "memory.h"
#include "platform.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/mem.h"

#define PTE_PRESENT 0x001
#define PTE_WRITABLE 0x002
#define PTE_WRITE_THROUGH 0x008
#define PTE_UNCACHED 0x010
#define PTE_LEAF 0x080 /* in the upper levels: a large page, not a table */
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)
#define PTE_DEVICE (PTE_WRITABLE | PTE_WRITE_THROUGH | PTE_UNCACHED)

#define LEVELS 4
#define ADDRESS_LIMIT (UINT64_C(1) << 47)

extern const char kernel_start[], kernel_text_end[], kernel_rodata_start[], kernel_rodata_end[];
extern const char kernel_data_start[], kernel_end[];

static uint64_t *top_table;
static uint64_t no_execute; /* PTE_NX where the CPU has it */
static uint64_t physical_limit = UINT64_C(1) << 32;
static int largest_leaf = 2; /* the highest level that may hold a page: 2 for 2 MiB, 3 for 1 GiB */

/* Bytes covered by one entry of a table of `level`: 1 is the last, with 4 KiB pages. */
static uint64_t level_span(int level)
{
    return UINT64_C(1) << (12 + 9 * (level - 1));
}

static uint64_t *entry_at(uint64_t *table, int level, uint64_t address)
{
    return &table[address / level_span(level) % 512];
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & PTE_ADDRESS);
}

/* The entry that maps `address`, and its level; NULL: not mapped. */
static const uint64_t *lookup(uint64_t address, int *level)
{
    uint64_t *table = top_table;

    for (*level = LEVELS; *level >= 1; (*level)--) {
        const uint64_t *entry = entry_at(table, *level, address);

        if (!(*entry & PTE_PRESENT))
            return NULL;
        if (*level == 1 || (*level <= 3 && (*entry & PTE_LEAF)))
            return entry;
        table = table_of(*entry);
    }
    return NULL;
}

bool paging_readable(uint64_t address)
{
    int level;

    if (top_table == NULL)
        return address >= PAGE_SIZE && address < UINT64_C(1) << 32;
    return address < ADDRESS_LIMIT && lookup(address, &level) != NULL;
}

/*
 * Maps the largest page that starts at `address`, fits below `end` and meets no table already
 * there; returns its size or < 0.
 */
static int64_t map_one(uint64_t address, uint64_t end, uint64_t flags)
{
    uint64_t *table = top_table;

    for (int level = LEVELS; level >= 1; level--) {
        uint64_t *entry = entry_at(table, level, address);
        uint64_t span = level_span(level);

        if (level == 1 || (level <= largest_leaf && !(*entry & PTE_PRESENT) &&
                           address % span == 0 && end - address >= span)) {
            *entry = address | flags | PTE_PRESENT | (level > 1 ? PTE_LEAF : 0);
            return (int64_t)span;
        }
        if (!(*entry & PTE_PRESENT)) {
            void *page = memory_table_alloc();

            if (page == NULL)
                return -ENOMEM;
            *entry = (uintptr_t)page | PTE_PRESENT | PTE_WRITABLE;
        }
        table = table_of(*entry);
    }
    return -EINVAL;
}

/* `start` and `end` are on pages, and nothing in between is mapped yet. */
static int map_range(uint64_t start, uint64_t end, uint64_t flags)
{
    while (start < end) {
        int64_t step = map_one(start, end, flags);

        if (step < 0)
            return (int)step;
        start += (uint64_t)step;
    }
    return 0;
}

/*
 * Goes over what is mapped already, so that a range can be asked for again, or overlap its
 * neighbour.
 */
int paging_map(uint64_t address, uint64_t length, enum paging_kind kind)
{
    uint64_t start = address & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t end = (address + length + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t flags = (kind == PAGING_DEVICE ? PTE_DEVICE : 0) | no_execute;

    if (length == 0 || address < PAGE_SIZE || address >= physical_limit ||
        length > physical_limit - address)
        return -EINVAL;
    while (start < end) {
        int level;
        const uint64_t *entry = lookup(start, &level);
        uint64_t free_end;
        int result;

        if (entry != NULL) {
            if (kind == PAGING_DEVICE && !(*entry & PTE_UNCACHED))
                return -EBUSY;
            start = (start | (level_span(level) - 1)) + 1;
            continue;
        }
        /* Up to the next mapped page, or a whole large page where nothing is mapped at all. */
        free_end = end;
        for (uint64_t at = start; at < end; at += PAGE_SIZE) {
            if (lookup(at, &level) != NULL) {
                free_end = at;
                break;
            }
            if (level >= 2)
                at |= level_span(level) - PAGE_SIZE;
        }
        result = map_range(start, free_end, flags);
        if (result < 0)
            return result;
        start = free_end;
    }
    return 0;
}

uint64_t paging_limit(void)
{
    return physical_limit;
}

/* Makes a table of small pages of one that maps the same as a large page. 0 or -ENOMEM. */
static int split(uint64_t *entry, int level)
{
    uint64_t flags = *entry & ~PTE_ADDRESS, start = *entry & PTE_ADDRESS;
    uint64_t *table = memory_table_alloc();

    if (table == NULL)
        return -ENOMEM;
    if (level == 2)
        flags &= ~(uint64_t)PTE_LEAF;
    for (unsigned i = 0; i < 512; i++)
        table[i] = (start + i * level_span(level - 1)) | flags;
    *entry = (uintptr_t)table | PTE_PRESENT | PTE_WRITABLE;
    return 0;
}

int paging_set_guard(uint64_t address, bool on)
{
    uint64_t *table = top_table;

    for (int level = LEVELS; level > 1; level--) {
        uint64_t *entry = entry_at(table, level, address);

        if ((*entry & PTE_LEAF) && split(entry, level) != 0)
            return -ENOMEM;
        table = table_of(*entry);
    }
    *entry_at(table, 1, address) = on ? 0 : address | PTE_WRITABLE | no_execute | PTE_PRESENT;
    cpu_invalidate_page(address);
    return 0;
}

static void probe_cpu(void)
{
    uint32_t limit = cpu_id_limit(0x80000000);
    uint32_t bits = 36;

    if (limit >= 0x80000001 && (cpu_id(0x80000001, 0).edx & 1u << 26))
        largest_leaf = 3;
    if (limit >= 0x80000008)
        bits = cpu_id(0x80000008, 0).eax & 0xff;
    physical_limit = bits >= 47 ? ADDRESS_LIMIT : UINT64_C(1) << bits;
    if (cpu_read_msr(MSR_EFER) & EFER_NXE)
        no_execute = PTE_NX;
}

static int map_stacks(uint64_t start, uint64_t end)
{
    unsigned count;
    const struct stack_bounds *stacks = trap_stacks(&count);

    /*
     * The linker puts the stacks last and in the order of the table's addresses, so what lies
     * between guards is one range.
     */
    while (start < end) {
        uint64_t next = end;
        int result;

        for (unsigned i = 0; i < count; i++) {
            if (stacks[i].guard >= start && stacks[i].guard < next)
                next = stacks[i].guard;
        }
        result = map_range(start, next, PTE_WRITABLE | no_execute);
        if (result < 0)
            return result;
        start = next == end ? end : next + PAGE_SIZE;
    }
    return 0;
}

static uint64_t page_up(const char *symbol)
{
    return ((uintptr_t)symbol + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

void paging_init(void)
{
    const struct bootinfo *map = memory_boot_map();
    int result;

    probe_cpu();
    top_table = memory_table_alloc();
    if (top_table == NULL)
        platform_panic("no memory for page tables");
    result = map_range((uintptr_t)kernel_start, page_up(kernel_text_end), 0);
    if (result == 0)
        result = map_range((uintptr_t)kernel_rodata_start, page_up(kernel_rodata_end), no_execute);
    if (result == 0)
        result = map_stacks((uintptr_t)kernel_data_start, page_up(kernel_end));
    for (unsigned i = 0; result == 0 && i < map->ram_count; i++)
        result = map_range(map->ram[i].start, map->ram[i].end, PTE_WRITABLE | no_execute);
    if (result < 0)
        platform_panic("no memory for page tables");
    cpu_write_cr3((uintptr_t)top_table);
}
