/*
 * dma_arena.c - device memory of a hosted build: one shared file, an allocator over it, and a book
 * of every mapping.
 *
 * The arena is a memfd, so that a back end in another process can map the same rings. Device
 * addresses equal pointers (what the kernel has, too), but only memory in the arena has one; behind
 * the IOMMU of hosted_dma_use_iommu() each mapping has addresses of its own, never used twice. Free
 * memory is poisoned for AddressSanitizer, with a gap between allocations; the book of mappings
 * lets a model device refuse what the driver did not map. Owns no time and no registers.
 */
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hosted/hosted.h"

#define ARENA_SIZE ((size_t)512 << 20)
#define ARENA_GAP 64
/* Where the arena goes if that is free: low, as a legacy queue has a page number of 32 bits. */
#define ARENA_HINT ((void *)0x20000000)
#define FREED_PATTERN 0xdf
/* Where the addresses behind the IOMMU begin: far above the arena. */
#define IOMMU_FIRST ((dma_addr_t)1 << 44)
#define IOMMU_PAGE 4096u

#ifdef HOSTED_SEES_UNWRITTEN
#include <sanitizer/msan_interface.h>
#define POISON(memory, size) __msan_poison(memory, size)
#define FIRST_UNWRITTEN(memory, size) __msan_test_shadow(memory, size)
#else
#define POISON(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define FIRST_UNWRITTEN(memory, size) ((void)(memory), (void)(size), -1)
#endif

/* One allocation; the list is sorted by offset. */
struct block {
    size_t offset, size;
    struct block *next;
    bool kept; /* see hosted_dma_keep() */
};

/*
 * One live mapping: in a hash chain by its address, and in one of two lists that are searched for
 * what lies inside a mapping. Rings and tables of indirect tables are large, buffers small.
 */
struct mapping {
    dma_addr_t addr;
    char *memory;
    size_t len;
    enum dma_direction direction;
    struct mapping *chain;
    struct mapping *next, **link;
};

#define HASH_SIZE 65536u
#define LARGE_MAPPING 4096u

static char *arena;
static int arena_fd = -1;
static struct block *blocks;
static struct mapping *mappings[HASH_SIZE];
static struct mapping *large_mappings, *small_mappings;
static struct mapping *spare_mappings; /* linked by next: a program may map millions of times */
static unsigned block_count, mapping_count, fail_countdown;
static bool iommu, heap;
static dma_addr_t next_iommu_page = IOMMU_FIRST;
static size_t allocated_bytes;

static void arena_open(void)
{
    if (arena)
        return;
    arena_fd = memfd_create("ferrule-dma", MFD_CLOEXEC);
    if (arena_fd < 0 || ftruncate(arena_fd, ARENA_SIZE) != 0)
        hosted_fail("cannot make the DMA arena: %s", strerror(errno));
    void *memory = mmap(ARENA_HINT, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, arena_fd, 0);
    if (memory == MAP_FAILED)
        hosted_fail("cannot map the DMA arena: %s", strerror(errno));
    arena = memory;
    ASAN_POISON_MEMORY_REGION(arena, ARENA_SIZE);
}

int hosted_dma_fd(void)
{
    arena_open();
    return arena_fd;
}

void *hosted_dma_base(void)
{
    arena_open();
    return arena;
}

size_t hosted_dma_size(void)
{
    return ARENA_SIZE;
}

unsigned hosted_dma_allocations(void)
{
    return block_count;
}

unsigned hosted_dma_mappings(void)
{
    return mapping_count;
}

size_t hosted_dma_allocated_bytes(void)
{
    return allocated_bytes;
}

void hosted_dma_fail_nth(unsigned nth)
{
    fail_countdown = nth;
}

static unsigned fail_map;

void hosted_dma_fail_map_nth(unsigned nth)
{
    fail_map = nth;
}

/* First fit. The gap behind each block stays poisoned. */
void *platform_dma_alloc(size_t size, size_t align)
{
    arena_open();
    if (!size || !align || (align & (align - 1)) || align > ((size_t)2 << 20))
        hosted_fail("platform_dma_alloc(%zu, %zu): bad arguments", size, align);
    if (fail_countdown && --fail_countdown == 0)
        return NULL;

    struct block **link = &blocks;
    size_t offset = 0;
    for (; *link; link = &(*link)->next) {
        if (offset + size + ARENA_GAP <= (*link)->offset)
            break;
        offset = ((*link)->offset + (*link)->size + ARENA_GAP + align - 1) & ~(align - 1);
    }
    if (size > ARENA_SIZE || offset + size + ARENA_GAP > ARENA_SIZE)
        return NULL;

    struct block *block = malloc(sizeof(*block));
    if (!block)
        return NULL;
    *block = (struct block){.offset = offset, .size = size, .next = *link};
    *link = block;
    block_count++;
    allocated_bytes += size;
    ASAN_UNPOISON_MEMORY_REGION(arena + offset, size);
    return memset(arena + offset, 0, size);
}

static bool overlaps(const struct mapping *m, uintptr_t start, size_t size)
{
    for (; m; m = m->next)
        if ((uintptr_t)m->memory < start + size && start < (uintptr_t)m->memory + m->len)
            return true;
    return false;
}

void platform_dma_free(void *memory, size_t size)
{
    if (!memory)
        return;
    for (struct block **link = &blocks; *link; link = &(*link)->next) {
        struct block *block = *link;
        if (block->kept || arena + block->offset != memory)
            continue;
        if (block->size != size)
            hosted_fail("platform_dma_free: %zu bytes freed as %zu", block->size, size);
        if (overlaps(large_mappings, (uintptr_t)memory, size) ||
            overlaps(small_mappings, (uintptr_t)memory, size))
            hosted_fail("platform_dma_free: the device still has a mapping of it");
        *link = block->next;
        free(block);
        block_count--;
        allocated_bytes -= size;
        memset(memory, FREED_PATTERN, size);
        POISON(memory, size);
        return;
    }
    hosted_fail("platform_dma_free: %p was not allocated", memory);
}

static unsigned hash(dma_addr_t addr)
{
    return (unsigned)((addr ^ addr >> 13) * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}

/*
 * Does one allocation contain all of it? Mapping freed or foreign memory is a bug that a real
 * machine would not notice.
 */
static bool in_arena(uintptr_t start, size_t len)
{
    uintptr_t base = (uintptr_t)arena;
    return arena && start >= base && start - base < ARENA_SIZE &&
           len <= ARENA_SIZE - (start - base);
}

void hosted_dma_use_iommu(bool on)
{
    iommu = on;
}

void hosted_dma_use_heap(bool on)
{
    heap = on;
}

/* The offset in a page stays. One page more lies between two mappings. */
static dma_addr_t address_for(const char *memory, size_t len)
{
    size_t offset = (uintptr_t)memory % IOMMU_PAGE;
    dma_addr_t page = next_iommu_page;

    if (!iommu)
        return (uintptr_t)memory;
    next_iommu_page += (offset + len + 2 * IOMMU_PAGE - 1) / IOMMU_PAGE * IOMMU_PAGE;
    return page + offset;
}

static struct mapping *take_mapping(void)
{
    struct mapping *m = spare_mappings;
    if (m)
        spare_mappings = m->next;
    else if (!(m = malloc(sizeof(*m))))
        hosted_fail("out of memory for the book of mappings");
    return m;
}

static void put_mapping(struct mapping *m)
{
    m->next = spare_mappings;
    spare_mappings = m;
}

dma_addr_t hosted_dma_map(const void *memory, size_t len, enum dma_direction direction)
{
    if (!heap && !in_arena((uintptr_t)memory, len))
        return DMA_ADDR_INVALID;
    if (!len)
        hosted_fail("platform_dma_map: nothing to map");
    if (fail_map && --fail_map == 0)
        return DMA_ADDR_INVALID;
#ifdef __SANITIZE_ADDRESS__
    if (__asan_region_is_poisoned((void *)(uintptr_t)memory, len))
        hosted_fail("platform_dma_map: memory that is not allocated");
#endif
    struct mapping *m = take_mapping();
    *m = (struct mapping){.addr = address_for(memory, len),
                          .memory = (char *)(uintptr_t)memory,
                          .len = len,
                          .direction = direction};
    struct mapping **bucket = &mappings[hash(m->addr)];
    m->chain = *bucket;
    *bucket = m;
    struct mapping **list = len >= LARGE_MAPPING ? &large_mappings : &small_mappings;
    m->next = *list;
    m->link = list;
    if (m->next)
        m->next->link = &m->next;
    *list = m;
    mapping_count++;
    return m->addr;
}

void hosted_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    for (struct mapping **chain = &mappings[hash(addr)]; *chain; chain = &(*chain)->chain) {
        struct mapping *m = *chain;
        if (m->addr != addr || m->len != len || m->direction != direction)
            continue;
        *chain = m->chain;
        *m->link = m->next;
        if (m->next)
            m->next->link = m->link;
        put_mapping(m);
        mapping_count--;
        return;
    }
    hosted_fail("platform_dma_unmap(%#llx, %zu, %d): not mapped so", (unsigned long long)addr, len,
                (int)direction);
}

static bool allows(const struct mapping *m, dma_addr_t addr, size_t len, bool device_writes)
{
    if (addr < m->addr || addr - m->addr >= m->len || len > m->len - (addr - m->addr))
        return false;
    return m->direction == DMA_BIDIRECTIONAL ||
           m->direction == (device_writes ? DMA_FROM_DEVICE : DMA_TO_DEVICE);
}

void *hosted_dma_device_pointer(dma_addr_t addr, size_t len, bool device_writes)
{
    struct mapping *m = mappings[hash(addr)];
    char *memory;
    long unwritten;

    if (!len)
        return NULL;
    while (m && !allows(m, addr, len, device_writes))
        m = m->chain;
    for (unsigned i = 0; i < 2 && !m; i++)
        for (m = i ? small_mappings : large_mappings; m && !allows(m, addr, len, device_writes);)
            m = m->next;
    if (!m)
        return NULL;
    memory = m->memory + (addr - m->addr);
    unwritten = device_writes ? -1 : (long)FIRST_UNWRITTEN(memory, len);
    if (unwritten >= 0)
        hosted_fail("the device can read byte %ld of %zu, which nobody has written", unwritten,
                    len);
    return memory;
}

static void forget(struct mapping **list)
{
    while (*list) {
        struct mapping *m = *list;
        *list = m->next;
        put_mapping(m);
    }
}

void hosted_dma_keep(void)
{
    for (struct block *block = blocks; block; block = block->next)
        block->kept = true;
    block_count = 0;
    allocated_bytes = 0;
}

bool hosted_dma_reset(void)
{
    bool leaked = block_count || mapping_count;
    if (mapping_count)
        memset(mappings, 0, sizeof(mappings));
    forget(&large_mappings);
    forget(&small_mappings);
    if (arena && leaked)
        ASAN_POISON_MEMORY_REGION(arena, ARENA_SIZE);
    for (struct block **link = &blocks; *link;) {
        struct block *block = *link;
        if (block->kept) {
            ASAN_UNPOISON_MEMORY_REGION(arena + block->offset, block->size);
            link = &block->next;
            continue;
        }
        *link = block->next;
        free(block);
    }
    mapping_count = 0;
    block_count = 0;
    allocated_bytes = 0;
    fail_countdown = 0;
    iommu = heap = false;
    return leaked;
}
