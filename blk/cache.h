/*
 * cache.h - a small write-through cache in front of a block device, for the short reads of file
 * systems.
 *
 * Directories, allocation tables and small files are read over and over in pieces of a few sectors;
 * each would cost a request and the wait for it. Longer transfers go past the cache straight to the
 * caller's memory, which is correct at any time because nothing is kept back: a write is on the
 * device (as far as blk_write() says so) before it is in the cache. Loop context. Read cache.c
 * next.
 */
#ifndef FERRULE_BLK_CACHE_H
#define FERRULE_BLK_CACHE_H

#include <stdint.h>

#include "blk/block.h"

struct blk_cache;

struct blk_cache_stats {
    uint64_t hits, misses; /* lines looked for */
    uint64_t direct;       /* transfers that went past the cache */
};

/*
 * A cache of at most `bytes` for a device, or NULL when memory is short. blk_cache_destroy() takes
 * NULL; nothing has to be written back.
 */
struct blk_cache *blk_cache_create(struct blk_device *device, size_t bytes);
void blk_cache_destroy(struct blk_cache *cache);

/* Like blk_read() and blk_write(), with the same results. */
int blk_cache_read(struct blk_cache *cache, uint64_t sector, void *data, uint32_t count);
int blk_cache_write(struct blk_cache *cache, uint64_t sector, const void *data, uint32_t count);

const struct blk_cache_stats *blk_cache_stats(const struct blk_cache *cache);

#endif
