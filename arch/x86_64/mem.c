/*
 * mem.c - physical pages: one bitmap over the boot loader's map, runs from the top, the C heap from
 * below.
 *
 * Owns include/memory.h and platform_dma_alloc/free, platform_memory of platform.h. Page tables are
 * paging.c's business. Nothing here is fast: rings and buffers are allocated at set-up, and malloc
 * asks for large pieces. Read paging.c next.
 */
#include "memory.h"

#include <string.h>

#include "boot/bootinfo.h"
#include "log.h"
#include "machine.h"
#include "platform.h"

#include "arch/x86_64/mem.h"

#define FOUR_GIB (UINT64_C(1) << 32)
/*
 * The bitmap takes a 32768th of the address range it covers; beyond this it would no longer fit
 * small machines' holes.
 */
#define COVERED_LIMIT (UINT64_C(1) << 40)
#define NO_PAGE UINT64_MAX
#define BLOCK_PAGES (MEMORY_BLOCK_SIZE / PAGE_SIZE)

static const struct bootinfo *boot_map;
static uint64_t *taken;    /* one bit a page, set: not free */
static uint64_t *reported; /* one bit a block: free, and the hypervisor knows */
static uint64_t page_limit;
static uint64_t total_pages, free_pages;
static uint64_t search_top; /* no free page at or above this one */

/* The heap owns whole pages from heap_start to heap_end rounded up. */
static uint64_t heap_start, heap_end;

static size_t (*release_pages)(void *arg, size_t pages);
static void *release_arg;
static bool releasing;

void memory_set_release(size_t (*release)(void *arg, size_t pages), void *arg)
{
    release_pages = release;
    release_arg = arg;
}

/* After an allocation has failed: is it worth another try? */
static bool more_pages(size_t count)
{
    size_t freed = 0;

    if (release_pages == NULL || releasing || count > total_pages)
        return false;
    releasing = true;
    freed = release_pages(release_arg, count);
    releasing = false;
    return freed > 0;
}

const struct bootinfo *memory_boot_map(void)
{
    return boot_map;
}

static bool is_taken(uint64_t page)
{
    return taken[page / 64] >> (page % 64) & 1;
}

static void mark(uint64_t page, uint64_t count, bool take)
{
    for (uint64_t i = page; i < page + count; i++) {
        if (i % 64 == 0 && page + count - i >= 64) {
            taken[i / 64] = take ? UINT64_MAX : 0;
            i += 63;
        } else if (take) {
            taken[i / 64] |= UINT64_C(1) << (i % 64);
        } else {
            taken[i / 64] &= ~(UINT64_C(1) << (i % 64));
        }
    }
    if (take) {
        free_pages -= count;
        for (uint64_t block = page / BLOCK_PAGES;
             count > 0 && block <= (page + count - 1) / BLOCK_PAGES; block++)
            reported[block / 64] &= ~(UINT64_C(1) << (block % 64));
        return;
    }
    free_pages += count;
    if (page + count > search_top)
        search_top = page + count;
}

/* The highest free page below `page`, or NO_PAGE. */
static uint64_t free_below(uint64_t page)
{
    while (page > 0) {
        if (page % 64 == 0 && taken[page / 64 - 1] == UINT64_MAX) {
            page -= 64;
            continue;
        }
        page--;
        if (!is_taken(page))
            return page;
    }
    return NO_PAGE;
}

/*
 * The first page of the highest free run of `count` pages that ends at or below `top`, or NO_PAGE.
 * `step`: alignment, pages.
 */
static uint64_t find_run(uint64_t count, uint64_t step, uint64_t top)
{
    uint64_t page;

    while (top >= count) {
        uint64_t last = free_below(top);

        if (last == NO_PAGE || last + 1 < count)
            break;
        page = (last + 1 - count) & ~(step - 1);
        top = page + count;
        while (top > page && !is_taken(top - 1))
            top--;
        if (top == page)
            return page;
        top--; /* the page that is taken; go on below it */
    }
    return NO_PAGE;
}

static void *alloc_below(uint64_t count, uint64_t align, uint64_t top)
{
    uint64_t page;

    if (count == 0 || count > page_limit)
        return NULL;
    page = find_run(count, align / PAGE_SIZE, top);
    if (page == NO_PAGE)
        return NULL;
    mark(page, count, true);
    return (void *)(uintptr_t)(page * PAGE_SIZE);
}

static void *take_pages(size_t count, size_t align)
{
    uint64_t highest = free_below(search_top);

    if (highest == NO_PAGE || align < PAGE_SIZE || (align & (align - 1)) != 0)
        return NULL;
    search_top = highest + 1;
    return alloc_below(count, align, search_top);
}

void *memory_pages_alloc(size_t count, size_t align)
{
    void *pages;

    do
        pages = take_pages(count, align);
    while (pages == NULL && more_pages(count));
    return pages;
}

void memory_pages_free(void *pages, size_t count)
{
    if (pages != NULL)
        mark((uintptr_t)pages / PAGE_SIZE, count, false);
}

void *memory_table_alloc(void)
{
    uint64_t top = search_top < FOUR_GIB / PAGE_SIZE ? search_top : FOUR_GIB / PAGE_SIZE;
    void *page = alloc_below(1, PAGE_SIZE, top);

    if (page != NULL)
        memset(page, 0, PAGE_SIZE);
    return page;
}

static bool is_block_free(uint64_t block)
{
    const uint64_t *word = &taken[block * BLOCK_PAGES / 64];

    for (unsigned i = 0; i < BLOCK_PAGES / 64; i++) {
        if (word[i] != 0)
            return false;
    }
    return true;
}

void *memory_unreported_take(void)
{
    for (uint64_t block = page_limit / BLOCK_PAGES; block-- > 0;) {
        if ((reported[block / 64] >> (block % 64) & 1) || !is_block_free(block))
            continue;
        mark(block * BLOCK_PAGES, BLOCK_PAGES, true);
        return (void *)(uintptr_t)(block * MEMORY_BLOCK_SIZE);
    }
    return NULL;
}

void memory_unreported_return(void *memory, bool is_reported)
{
    uint64_t block = (uintptr_t)memory / MEMORY_BLOCK_SIZE;

    mark(block * BLOCK_PAGES, BLOCK_PAGES, false);
    if (is_reported)
        reported[block / 64] |= UINT64_C(1) << (block % 64);
}

static bool heap_has_room(uint64_t page, uint64_t end)
{
    for (; page < end; page++) {
        if (is_taken(page))
            return false;
    }
    return true;
}

void *memory_heap_grow(ptrdiff_t bytes)
{
    uint64_t old_end = heap_end;
    uint64_t new_end = heap_end + (uint64_t)bytes;
    uint64_t old_page = (old_end + PAGE_SIZE - 1) / PAGE_SIZE;
    uint64_t new_page;

    if (bytes < 0 ? new_end > old_end || new_end < heap_start : new_end < old_end)
        return NULL;
    if (new_end > page_limit * PAGE_SIZE)
        return NULL;
    new_page = (new_end + PAGE_SIZE - 1) / PAGE_SIZE;
    while (!heap_has_room(old_page, new_page)) {
        if (!more_pages(new_page - old_page))
            return NULL;
    }
    if (new_page > old_page)
        mark(old_page, new_page - old_page, true);
    else if (new_page < old_page)
        mark(new_page, old_page - new_page, false);
    heap_end = new_end;
    return (void *)(uintptr_t)old_end;
}

void *platform_dma_alloc(size_t size, size_t align)
{
    size_t count = (size + PAGE_SIZE - 1) / PAGE_SIZE;
    void *memory;

    if (size == 0 || size > SIZE_MAX - PAGE_SIZE)
        return NULL;
    memory = memory_pages_alloc(count, align < PAGE_SIZE ? PAGE_SIZE : align);
    if (memory != NULL)
        memset(memory, 0, count * PAGE_SIZE);
    return memory;
}

void platform_dma_free(void *memory, size_t size)
{
    memory_pages_free(memory, (size + PAGE_SIZE - 1) / PAGE_SIZE);
}

void platform_memory(uint64_t *total, uint64_t *available)
{
    *total = total_pages * PAGE_SIZE;
    *available = free_pages * PAGE_SIZE;
}

/* The bitmap's own place: the top of the highest free range that the first page tables reach. */
static uint64_t *bitmap_place(uint64_t bytes)
{
    for (unsigned i = boot_map->ram_count; i-- > 0;) {
        uint64_t start = boot_map->ram[i].start;
        uint64_t end = boot_map->ram[i].end < FOUR_GIB ? boot_map->ram[i].end : FOUR_GIB;

        if (end > start && end - start >= bytes)
            return (uint64_t *)(uintptr_t)(end - bytes);
    }
    return NULL;
}

/*
 * The heap starts in the largest free range below 4 GiB: after the image on most machines,
 * elsewhere when firmware sits there.
 */
static void heap_place(void)
{
    uint64_t best = 0;

    for (unsigned i = 0; i < boot_map->ram_count; i++) {
        uint64_t start = boot_map->ram[i].start;
        uint64_t end = boot_map->ram[i].end;

        if (start < FOUR_GIB && end - start > best) {
            best = end - start;
            heap_start = heap_end = start;
        }
    }
}

void memory_init(const struct bootinfo *info)
{
    uint64_t covered = info->ram_count == 0 ? 0 : info->ram[info->ram_count - 1].end;
    uint64_t page_bytes, bitmap_bytes;

    boot_map = info;
    if (covered > COVERED_LIMIT) {
        log_warn("memory: RAM above %llu GiB is not used",
                 (unsigned long long)(COVERED_LIMIT >> 30));
        covered = COVERED_LIMIT;
    }
    page_limit = (covered / PAGE_SIZE + 63) & ~UINT64_C(63);
    page_bytes = page_limit / 8;
    bitmap_bytes = page_bytes + (page_limit / BLOCK_PAGES / 64 + 1) * sizeof(*reported);
    bitmap_bytes = (bitmap_bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    taken = bitmap_place(bitmap_bytes);
    if (taken == NULL)
        platform_panic("no memory below 4 GiB that could be used");
    memset(taken, 0xff, page_bytes);
    reported = taken + page_limit / 64;
    memset(reported, 0, bitmap_bytes - page_bytes);
    for (unsigned i = 0; i < info->ram_count; i++) {
        uint64_t start = info->ram[i].start / PAGE_SIZE;
        uint64_t end = info->ram[i].end / PAGE_SIZE;

        if (end > covered / PAGE_SIZE)
            end = covered / PAGE_SIZE;
        if (start < end)
            mark(start, end - start, false);
    }
    total_pages = info->ram_bytes / PAGE_SIZE;
    mark((uintptr_t)taken / PAGE_SIZE, bitmap_bytes / PAGE_SIZE, true);
    heap_place();
    if (info->dropped > 0)
        log_warn("memory: %u ranges of the boot map did not fit the table", info->dropped);
}
