/*
 * pages.c - see pages.h.
 */
#include "hosted/pages.h"

#include <string.h>
#include <sys/mman.h>

#include "hosted/hosted.h"
#include "memory.h"

static uint8_t *base;
static bool taken[HOSTED_PAGES];
static unsigned taken_count, pages_max = HOSTED_PAGES, blocks_max = HOSTED_BLOCKS;
static void *block[HOSTED_BLOCKS];
static bool block_taken[HOSTED_BLOCKS], block_reported[HOSTED_BLOCKS];
static size_t (*release)(void *arg, size_t pages);
static void *release_arg;
static bool releasing;

static void count(void)
{
    uint64_t total = (uint64_t)pages_max * PAGE_SIZE;

    hosted_set_memory(total, total - (uint64_t)taken_count * PAGE_SIZE);
}

void hosted_pages_reset(void)
{
    if (!base) {
        base = mmap(NULL, (size_t)HOSTED_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        if (base == MAP_FAILED)
            hosted_fail("no room for pages below 4 GiB");
    }
    memset(taken, 0, sizeof(taken));
    memset(block_taken, 0, sizeof(block_taken));
    memset(block_reported, 0, sizeof(block_reported));
    taken_count = 0;
    release = NULL;
    for (unsigned i = 0; i < HOSTED_BLOCKS; i++)
        block[i] = platform_dma_alloc(MEMORY_BLOCK_SIZE, MEMORY_BLOCK_SIZE);
    count();
}

void hosted_pages_limit(unsigned pages, unsigned blocks)
{
    pages_max = pages;
    blocks_max = blocks;
    count();
}

void hosted_pages_finish(void)
{
    if (taken_count || hosted_blocks_taken())
        hosted_fail("%u pages and %u blocks were not given back", taken_count,
                    hosted_blocks_taken());
    for (unsigned i = 0; i < HOSTED_BLOCKS; i++)
        platform_dma_free(block[i], MEMORY_BLOCK_SIZE);
}

void memory_set_release(size_t (*function)(void *arg, size_t pages), void *arg)
{
    release = function;
    release_arg = arg;
}

static void *take_page(void)
{
    for (unsigned i = 0; i < pages_max; i++) {
        if (taken[i])
            continue;
        taken[i] = true;
        taken_count++;
        count();
        return base + (size_t)i * PAGE_SIZE;
    }
    return NULL;
}

void *memory_pages_alloc(size_t pages, size_t align)
{
    void *page = NULL;
    size_t freed = 1;

    if (pages != 1 || align != PAGE_SIZE)
        hosted_fail("the hosted machine hands out single pages only");
    while (!(page = take_page()) && release && !releasing && freed > 0) {
        releasing = true;
        freed = release(release_arg, pages);
        releasing = false;
    }
    return page;
}

void memory_pages_free(void *page, size_t pages)
{
    size_t i = (size_t)((uint8_t *)page - base) / PAGE_SIZE;

    if (pages != 1 || i >= HOSTED_PAGES || !taken[i])
        hosted_fail("%p was freed and is not a page that was taken", page);
    taken[i] = false;
    taken_count--;
    count();
}

unsigned hosted_pages_taken(void)
{
    return taken_count;
}

uint8_t *hosted_page(uint32_t number)
{
    uint64_t first = (uintptr_t)base / PAGE_SIZE;

    if (number < first || number >= first + HOSTED_PAGES || !taken[number - first])
        return NULL;
    return base + (number - first) * PAGE_SIZE;
}

void *memory_unreported_take(void)
{
    for (unsigned i = 0; i < blocks_max; i++) {
        if (block_taken[i] || block_reported[i])
            continue;
        block_taken[i] = true;
        return block[i];
    }
    return NULL;
}

void memory_unreported_return(void *memory, bool reported)
{
    for (unsigned i = 0; i < HOSTED_BLOCKS; i++) {
        if (block[i] != memory)
            continue;
        if (!block_taken[i])
            hosted_fail("a block was given back twice");
        block_taken[i] = false;
        block_reported[i] = reported;
    }
}

static unsigned count_set(const bool *set)
{
    unsigned n = 0;

    for (unsigned i = 0; i < HOSTED_BLOCKS; i++)
        n += set[i];
    return n;
}

unsigned hosted_blocks_taken(void)
{
    return count_set(block_taken);
}

unsigned hosted_blocks_reported(void)
{
    return count_set(block_reported);
}

void hosted_blocks_use(unsigned n)
{
    memset(block_reported, 0, n * sizeof(block_reported[0]));
}
