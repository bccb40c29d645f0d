/*
 * balloon_pages.c - see balloon_pages.h. Chunks of one page, linked from the newest to the oldest,
 * so that a balloon of any size costs a thousandth of what it holds.
 */
#include "balloon/balloon_pages.h"

#include <stddef.h>

#include "memory.h"
#include "platform.h"
#include "virtio/spec_devices.h"

#define CHUNK_PAGES ((PAGE_SIZE - 2 * sizeof(void *)) / sizeof(le32))

struct balloon_chunk {
    struct balloon_chunk *older;
    uint64_t count;
    le32 number[CHUNK_PAGES];
};
_Static_assert(sizeof(struct balloon_chunk) == PAGE_SIZE, "a chunk fills a page");

static struct balloon_chunk *top_with_room(struct balloon_pages *pages)
{
    struct balloon_chunk *chunk = pages->top;

    if (chunk && chunk->count < CHUNK_PAGES)
        return chunk;
    chunk = platform_dma_alloc(sizeof(*chunk), PAGE_SIZE);
    if (!chunk)
        return NULL;
    chunk->older = pages->top;
    pages->top = chunk;
    return chunk;
}

uint32_t balloon_pages_take(struct balloon_pages *pages, uint32_t wanted, le32 **numbers)
{
    struct balloon_chunk *chunk = top_with_room(pages);
    uint32_t taken = 0;

    if (!chunk)
        return 0;
    *numbers = &chunk->number[chunk->count];
    for (; taken < wanted && chunk->count < CHUNK_PAGES; taken++) {
        void *page = memory_pages_alloc(1, PAGE_SIZE);

        if (!page)
            break;
        chunk->number[chunk->count++] =
            cpu_to_le32((uint32_t)((uintptr_t)page >> VIRTIO_BALLOON_PFN_SHIFT));
    }
    pages->count += taken;
    return taken;
}

uint32_t balloon_pages_last(const struct balloon_pages *pages, uint32_t wanted, le32 **numbers)
{
    struct balloon_chunk *chunk = pages->top;

    if (chunk && chunk->count == 0)
        chunk = chunk->older;
    if (!chunk)
        return 0;
    if (wanted > chunk->count)
        wanted = (uint32_t)chunk->count;
    *numbers = &chunk->number[chunk->count - wanted];
    return wanted;
}

static void drop_empty_top(struct balloon_pages *pages)
{
    struct balloon_chunk *chunk = pages->top;

    if (!chunk || chunk->count > 0)
        return;
    pages->top = chunk->older;
    platform_dma_free(chunk, sizeof(*chunk));
}

void balloon_pages_free(struct balloon_pages *pages, uint32_t count)
{
    drop_empty_top(pages);
    for (; count > 0 && pages->top; count--) {
        struct balloon_chunk *chunk = pages->top;
        uint64_t number = le32_to_cpu(chunk->number[--chunk->count]);

        memory_pages_free((void *)(uintptr_t)(number << VIRTIO_BALLOON_PFN_SHIFT), 1);
        pages->count--;
        drop_empty_top(pages);
    }
}
