/*
 * cache.c - a small cache in front of a block device, writing through or back.
 *
 * Lines of 4 KiB, aligned on the device, four to a set; the one that was used longest ago gives
 * way, after what it keeps was written. Each sector of a line is known or not, and kept back or not,
 * by a bit. All memory is taken when the cache is made. The contract is in cache.h.
 */
#include "blk/cache.h"

#include <stdbool.h>
#include <string.h>

#include "platform.h"

#define LINE_SECTORS 8u
#define LINE_SIZE (LINE_SECTORS * BLK_SECTOR_SIZE)
#define WAYS 4u
#define NO_LINE UINT64_MAX
/* The cache of a volume: one part in so many of the free memory, and not more than is of use. */
#define VOLUME_SHARE 32u
#define VOLUME_MAX (1u << 20)
/* Lines written in one request. */
#define MERGE_MAX 32u
#define ALL_SECTORS ((1u << LINE_SECTORS) - 1)
_Static_assert(LINE_SECTORS == 8, "a bit for each sector in a byte");

struct line {
    uint64_t number; /* which LINE_SIZE of the device it holds, or NO_LINE */
    uint64_t used;   /* value of the clock when it was last asked for */
    uint8_t known;   /* a bit for each sector whose data is here */
    uint8_t kept;    /* ... and newer than the device's */
};

struct blk_cache {
    struct blk_device *device;
    unsigned sets;
    unsigned kept_lines; /* lines with something kept back */
    bool write_back;
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

struct blk_cache *blk_cache_create_for_volume(struct blk_device *device)
{
    uint64_t total, available;
    struct blk_cache *cache;

    platform_memory(&total, &available);
    available /= VOLUME_SHARE;
    cache = blk_cache_create(device, available < VOLUME_MAX ? (size_t)available : VOLUME_MAX);
    if (cache)
        cache->write_back = true;
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

/* ---- writing back ---- */

static void set_kept(struct blk_cache *cache, struct line *line, unsigned kept)
{
    cache->kept_lines += (kept != 0) - (line->kept != 0);
    line->kept = (uint8_t)kept;
}

/* The first run of sectors that a line keeps back, as a mask. */
static unsigned first_run(unsigned kept)
{
    unsigned lowest = kept & -kept;

    return kept & ~(kept + lowest);
}

static int write_vector(struct blk_cache *cache, uint64_t sector, struct blk_segment *segment,
                        unsigned segments)
{
    cache->stats.written_back++;
    return blk_write_vector(cache->device, sector, segment, segments);
}

static struct blk_segment run_segment(const struct blk_cache *cache, const struct line *line,
                                      unsigned run)
{
    unsigned offset = (unsigned)__builtin_ctz(run);

    return (struct blk_segment){line_data(cache, line) + offset * BLK_SECTOR_SIZE,
                                (uint32_t)__builtin_popcount(run) * BLK_SECTOR_SIZE};
}

/* Writes what one line keeps back. What fails stays. */
static int clean(struct blk_cache *cache, struct line *line)
{
    while (line->kept) {
        unsigned run = first_run(line->kept);
        struct blk_segment segment = run_segment(cache, line, run);
        uint64_t sector = line->number * LINE_SECTORS + (unsigned)__builtin_ctz(run);
        int error = write_vector(cache, sector, &segment, 1);

        if (error)
            return error;
        set_kept(cache, line, line->kept & ~run);
    }
    return 0;
}

/* Of the lines that keep something back, the one with the lowest number from `from` on. */
static struct line *next_kept(const struct blk_cache *cache, uint64_t from)
{
    struct line *next = NULL;
    size_t i;

    for (i = 0; i < line_count(cache); i++) {
        struct line *line = &cache->line[i];

        if (line->kept && line->number >= from && (!next || line->number < next->number))
            next = line;
    }
    return next;
}

/*
 * Writes as many lines as follow each other without a gap, the first of them beginning with the run
 * that ends with the line, in one request. *from moves behind what was tried.
 */
static int clean_neighbours(struct blk_cache *cache, struct line *line, uint64_t *from)
{
    struct blk_segment segment[MERGE_MAX];
    struct line *lines[MERGE_MAX], *oldest;
    unsigned n = 0, run = first_run(line->kept), i;
    uint64_t sector = line->number * LINE_SECTORS + (unsigned)__builtin_ctz(run);
    int error;

    *from = line->number;
    /* A run that does not reach the end of its line has no neighbour. */
    while (n < MERGE_MAX) {
        segment[n] = run_segment(cache, line, run);
        lines[n++] = line;
        if (!(run >> (LINE_SECTORS - 1)))
            break;
        line = find(cache, line->number + 1, &oldest);
        if (!line || !(line->kept & 1))
            break;
        run = first_run(line->kept);
    }
    error = write_vector(cache, sector, segment, n);
    if (error) {
        /* Others may be better off: the flush goes on behind these. */
        *from = lines[n - 1]->number + 1;
        return error;
    }
    for (i = 0; i < n; i++) {
        run = first_run(lines[i]->kept);
        set_kept(cache, lines[i], lines[i]->kept & ~run);
    }
    return 0;
}

int blk_cache_write_back(struct blk_cache *cache)
{
    struct line *line;
    uint64_t from = 0;
    int first_error = 0, error;

    while (cache->kept_lines && (line = next_kept(cache, from)) != NULL) {
        error = clean_neighbours(cache, line, &from);
        if (error && !first_error)
            first_error = error;
    }
    return first_error;
}

int blk_cache_flush(struct blk_cache *cache)
{
    int first_error = blk_cache_write_back(cache), error = blk_flush(cache->device);

    return first_error ? first_error : error;
}

void blk_cache_set_write_back(struct blk_cache *cache, bool on)
{
    cache->write_back = on;
}

/* ---- lines ---- */

/* Makes room for this number in the line that gives way. NULL: what it keeps cannot be written. */
static struct line *replace(struct blk_cache *cache, struct line *line, uint64_t number, int *error)
{
    *error = clean(cache, line);
    if (*error)
        return NULL;
    line->number = number;
    line->known = 0;
    return line;
}

/*
 * The line with this number and all its sectors, from the device if need be. NULL: it cannot be read
 * as a whole, or the one in its place cannot be written.
 */
static struct line *get(struct blk_cache *cache, uint64_t number)
{
    struct line *oldest, *line = find(cache, number, &oldest);
    int error = 0;

    if (line && line->known == ALL_SECTORS) {
        cache->stats.hits++;
    } else {
        cache->stats.misses++;
        if ((number + 1) * LINE_SECTORS > cache->device->capacity)
            return NULL;
        /* What it keeps goes out first, so that all of it can be read. */
        line = replace(cache, line ? line : oldest, number, &error);
        if (!line)
            return NULL;
        if (blk_read(cache->device, number * LINE_SECTORS, line_data(cache, line), LINE_SECTORS)) {
            line->number = NO_LINE;
            return NULL;
        }
        line->known = ALL_SECTORS;
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

static unsigned span_mask(const struct span *span)
{
    return ((1u << span->count) - 1) << span->offset;
}

/* A long transfer from the device, and over it what is newer here. */
static int read_past(struct blk_cache *cache, uint64_t sector, uint8_t *to, uint32_t count)
{
    int error = blk_read(cache->device, sector, to, count);

    cache->stats.direct++;
    while (!error && cache->kept_lines && count > 0) {
        struct span span = first_span(sector, count);
        struct line *oldest, *line = find(cache, span.number, &oldest);
        uint32_t i;

        for (i = 0; line && i < span.count; i++)
            if (line->kept >> (span.offset + i) & 1)
                memcpy(to + i * BLK_SECTOR_SIZE,
                       line_data(cache, line) + (span.offset + i) * BLK_SECTOR_SIZE,
                       BLK_SECTOR_SIZE);
        to += span.count * BLK_SECTOR_SIZE;
        sector += span.count;
        count -= span.count;
    }
    return error;
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
    return read_past(cache, sector, data, count);
}

/* Puts a short write into memory, to be written later. */
static int keep(struct blk_cache *cache, uint64_t sector, const uint8_t *from, uint32_t count)
{
    int error = 0;

    cache->stats.kept++;
    while (count > 0) {
        struct span span = first_span(sector, count);
        struct line *oldest, *line = find(cache, span.number, &oldest);

        if (!line)
            line = replace(cache, oldest, span.number, &error);
        if (!line)
            return error;
        memcpy(line_data(cache, line) + span.offset * BLK_SECTOR_SIZE, from,
               span.count * BLK_SECTOR_SIZE);
        line->known |= (uint8_t)span_mask(&span);
        set_kept(cache, line, line->kept | span_mask(&span));
        line->used = ++cache->clock;
        from += span.count * BLK_SECTOR_SIZE;
        sector += span.count;
        count -= span.count;
    }
    return 0;
}

/* After a write that went to the device: what the lines hold of it is as new, or not known. */
static void follow(struct blk_cache *cache, uint64_t sector, const uint8_t *from, uint32_t count,
                   int error)
{
    while (count > 0) {
        struct span span = first_span(sector, count);
        struct line *oldest, *line = find(cache, span.number, &oldest);

        if (line) {
            set_kept(cache, line, line->kept & ~span_mask(&span));
            /* After an error nobody knows what the device holds. */
            if (error) {
                line->known &= (uint8_t)~span_mask(&span);
            } else {
                memcpy(line_data(cache, line) + span.offset * BLK_SECTOR_SIZE, from,
                       span.count * BLK_SECTOR_SIZE);
                line->known |= (uint8_t)span_mask(&span);
            }
        }
        from += span.count * BLK_SECTOR_SIZE;
        sector += span.count;
        count -= span.count;
    }
}

int blk_cache_write(struct blk_cache *cache, uint64_t sector, const void *data, uint32_t count)
{
    const struct blk_device *device = cache->device;
    int error;

    /* What the device would refuse is refused now, as long as somebody hears it. */
    if (cache->write_back && count > 0 && count <= LINE_SECTORS && !device->read_only &&
        sector <= device->capacity && count <= device->capacity - sector &&
        device->block_size == BLK_SECTOR_SIZE)
        return keep(cache, sector, data, count);
    error = blk_write(cache->device, sector, data, count);
    follow(cache, sector, data, count, error);
    return error;
}

const struct blk_cache_stats *blk_cache_stats(const struct blk_cache *cache)
{
    return &cache->stats;
}
