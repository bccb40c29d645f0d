/*
 * target_balloon.c - the balloon driver (5.5) under a hostile device, over a machine of few pages.
 */
#include "balloon/virtio_balloon.h"
#include "memory.h"

#include <sys/mman.h>

#include "fuzz.h"
#include "hostile.h"
#include "hosted/hosted.h"

#define PAGES 96u
#define BLOCKS 3u

static uint8_t *base;
static bool taken[PAGES];
static void *block[BLOCKS];
static bool block_taken[BLOCKS], block_reported[BLOCKS];
static size_t (*release_pages)(void *arg, size_t pages);
static void *release_arg;
static void *own[PAGES];
static unsigned owned;

/* ---- memory.h ---- */

void memory_set_release(size_t (*function)(void *arg, size_t pages), void *arg)
{
    release_pages = function;
    release_arg = arg;
}

static void *take_page(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        if (taken[i])
            continue;
        taken[i] = true;
        return base + (size_t)i * PAGE_SIZE;
    }
    return NULL;
}

void *memory_pages_alloc(size_t pages, size_t align)
{
    static bool releasing;
    void *page;

    if (pages != 1 || align != PAGE_SIZE)
        hosted_fail("pages are taken one by one here");
    while (!(page = take_page()) && release_pages && !releasing) {
        size_t freed;

        releasing = true;
        freed = release_pages(release_arg, pages);
        releasing = false;
        if (!freed)
            return NULL;
    }
    return page;
}

void memory_pages_free(void *page, size_t pages)
{
    size_t i = (size_t)((uint8_t *)page - base) / PAGE_SIZE;

    if (pages != 1 || i >= PAGES || !taken[i])
        hosted_fail("a page was freed that was not taken");
    taken[i] = false;
}

void *memory_unreported_take(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (block_taken[i] || block_reported[i])
            continue;
        block_taken[i] = true;
        return block[i];
    }
    return NULL;
}

void memory_unreported_return(void *memory, bool reported)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (block[i] != memory)
            continue;
        if (!block_taken[i])
            hosted_fail("a block was given back twice");
        block_taken[i] = false;
        block_reported[i] = reported;
    }
}

/* ---- the run ---- */

static void use(uint8_t op, struct input *input)
{
    (void)input;
    switch (op % 3) {
    case 0:
        if (owned < PAGES && (own[owned] = memory_pages_alloc(1, PAGE_SIZE)))
            owned++;
        break;
    case 1:
        if (owned)
            memory_pages_free(own[--owned], 1);
        break;
    default:
        memset(block_reported, 0, sizeof(block_reported));
        hosted_clock_advance(op * UINT64_C(100000000));
    }
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    (void)chain;
    return queue == 2 ? HOSTILE_KEEP : 0;
}

static const struct hostile_type type = {
    .driver = &virtio_balloon_driver,
    .id = 5,
    .queues = 5,
    .features = 1u << VIRTIO_BALLOON_F_STATS_VQ | 1u << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                1u << VIRTIO_BALLOON_F_PAGE_REPORTING,
    .config = {20},
    .answer = answer,
    .use = use,
};

void fuzz_balloon(struct input *input, bool packed)
{
    memset(block_reported, 0, sizeof(block_reported));
    hostile_run(&type, packed, input);
    while (owned)
        memory_pages_free(own[--owned], 1);
    for (unsigned i = 0; i < PAGES; i++)
        if (taken[i])
            hosted_fail("page %u stayed in the balloon", i);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (block_taken[i])
            hosted_fail("block %u was never given back", i);
}

/* The driver wants pages with numbers of 32 bits. */
void fuzz_balloon_prepare(void)
{
    base = mmap(NULL, (size_t)PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (base == MAP_FAILED)
        hosted_fail("no room for pages below 4 GiB");
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = platform_dma_alloc(MEMORY_BLOCK_SIZE, MEMORY_BLOCK_SIZE);
    hosted_set_memory((uint64_t)PAGES * PAGE_SIZE, (uint64_t)PAGES * PAGE_SIZE);
}
