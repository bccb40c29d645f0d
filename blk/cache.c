/*
 * cache.c - a small write-through cache in front of a block device.
 *
 * Lines of 4 KiB, aligned on the device, four to a set; the one that was used longest ago gives
 * way. All memory is taken when the cache is made. The contract is in cache.h.
 */
#include "blk/cache.h"

#include <stdbool.h>
#include <string.h>

#include "platform.h"

#define LINE_SECTORS 8u
#define LINE_SIZE (LINE_SECTORS * BLK_SECTOR_SIZE)
#define WAYS 4u
#define NO_LINE UINT64_MAX

struct line {
    uint64_t number; /* which LINE_SIZE of the device it holds, or NO_LINE */
    uint64_t used;   /* value of the clock when it was last asked for */
};

struct blk_cache {
    struct blk_device *device;
    unsigned sets;
    uint64_t clock;
    struct blk_cache_stats stats;
    struct line *line; /* [sets * WAYS] */
    uint8_t *data;     /* [sets * WAYS][LINE_SIZE] */
};

static size_t line_count(const struct blk_cache *cache)
{
    return (size_t)cache->sets * WAYS;
}

struct blk_cache *blk_cache_create(struct blk_device *device, size_t bytes)
{
    struct blk_cache *cache;
    size_t i;

    /* A block larger than a line could not be read line by line. */
    if (device->block_size > LINE_SIZE || bytes < LINE_SIZE * WAYS)
        return NULL;
    cache = platform_dma_alloc(sizeof(*cache), 64);
    if (!cache)
        return NULL;
    cache->device = device;
    cache->sets = (unsigned)(bytes / (LINE_SIZE * WAYS));
    cache->line = platform_dma_alloc(line_count(cache) * sizeof(*cache->line), 64);
    cache->data = platform_dma_alloc(line_count(cache) * LINE_SIZE, LINE_SIZE);
    if (!cache->line || !cache->data) {
        blk_cache_destroy(cache);
        return NULL;
    }
    for (i = 0; i < line_count(cache); i++)
        cache->line[i].number = NO_LINE;
    return cache;
}

void blk_cache_destroy(struct blk_cache *cache)
{
    if (!cache)
        return;
    if (cache->data)
        platform_dma_free(cache->data, line_count(cache) * LINE_SIZE);
    if (cache->line)
        platform_dma_free(cache->line, line_count(cache) * sizeof(*cache->line));
    platform_dma_free(cache, sizeof(*cache));
}

static uint8_t *line_data(const struct blk_cache *cache, const struct line *line)
{
    return cache->data + (size_t)(line - cache->line) * LINE_SIZE;
}

/* The line with this number, or NULL; then `*oldest` is the one to give up for it. */
static struct line *find(struct blk_cache *cache, uint64_t number, struct line **oldest)
{
    struct line *set = &cache->line[number % cache->sets * WAYS];
    unsigned i;

    *oldest = set;
    for (i = 0; i < WAYS; i++) {
        if (set[i].number == number)
            return &set[i];
        if (set[i].used < (*oldest)->used)
            *oldest = &set[i];
    }
    return NULL;
}

/* The line with this number, from the device if need be. NULL: it cannot be read as a whole. */
static struct line *get(struct blk_cache *cache, uint64_t number)
{
    struct line *oldest, *line = find(cache, number, &oldest);

    if (line) {
        cache->stats.hits++;
    } else {
        cache->stats.misses++;
        if ((number + 1) * LINE_SECTORS > cache->device->capacity)
            return NULL;
        line = oldest;
        /* Whatever comes of the read, what the line held is gone. */
        line->number = NO_LINE;
        if (blk_read(cache->device, number * LINE_SECTORS, line_data(cache, line), LINE_SECTORS))
            return NULL;
        line->number = number;
    }
    line->used = ++cache->clock;
    return line;
}

/* The part of a transfer that lies in one line. */
struct span {
    uint64_t number;
    uint32_t offset, count; /* sectors: where in the line, and how many */
};

static struct span first_span(uint64_t sector, uint32_t count)
{
    struct span span = {.number = sector / LINE_SECTORS,
                        .offset = (uint32_t)(sector % LINE_SECTORS)};
    uint32_t room = LINE_SECTORS - span.offset;

    span.count = count < room ? count : room;
    return span;
}

int blk_cache_read(struct blk_cache *cache, uint64_t sector, void *data, uint32_t count)
{
    uint64_t at = sector;
    uint32_t left = count;
    uint8_t *to = data;

    while (count <= LINE_SECTORS && left > 0) {
        struct span span = first_span(at, left);
        struct line *line = get(cache, span.number);

        /* It may reach past the end of the device, or hold a bad sector that nobody asked for. */
        if (!line)
            break;
        memcpy(to, line_data(cache, line) + span.offset * BLK_SECTOR_SIZE,
               span.count * BLK_SECTOR_SIZE);
        to += span.count * BLK_SECTOR_SIZE;
        at += span.count;
        left -= span.count;
    }
    if (left == 0 && count > 0)
        return 0;
    cache->stats.direct++;
    return blk_read(cache->device, sector, data, count);
}

int blk_cache_write(struct blk_cache *cache, uint64_t sector, const void *data, uint32_t count)
{
    const uint8_t *from = data;
    int error = blk_write(cache->device, sector, data, count);

    while (count > 0) {
        struct span span = first_span(sector, count);
        struct line *oldest, *line = find(cache, span.number, &oldest);

        /* After an error nobody knows what the device holds. */
        if (line && error)
            line->number = NO_LINE;
        else if (line)
            memcpy(line_data(cache, line) + span.offset * BLK_SECTOR_SIZE, from,
                   span.count * BLK_SECTOR_SIZE);
        from += span.count * BLK_SECTOR_SIZE;
        sector += span.count;
        count -= span.count;
    }
    return error;
}

const struct blk_cache_stats *blk_cache_stats(const struct blk_cache *cache)
{
    return &cache->stats;
}
