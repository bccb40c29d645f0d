/*
 * cache.h - a small cache in front of a block device, for the short transfers of file systems.
 *
 * Directories, allocation tables and small files are read and written over and over in pieces of a
 * few sectors; each would cost a request and the wait for it. Longer transfers go past the cache
 * straight between the device and the caller's memory. It writes through, which keeps nothing back:
 * a write is on the device (as far as blk_write() says so) before it is in the cache. Or, when asked,
 * it writes back: short writes stay in memory until blk_cache_flush(), or until their place is
 * needed, and reach the device in larger pieces and in any order. Loop context. Read cache.c next.
 */
#ifndef FERRULE_BLK_CACHE_H
#define FERRULE_BLK_CACHE_H

#include <stdint.h>

#include "blk/block.h"

struct blk_cache;

struct blk_cache_stats {
    uint64_t hits, misses; /* lines looked for */
    uint64_t direct;       /* transfers that went past the cache */
    uint64_t kept;         /* writes that stayed in memory */
    uint64_t written_back; /* requests that brought them to the device */
};

/*
 * A cache of at most `bytes` for a device, or NULL when memory is short. It writes through.
 * blk_cache_destroy() takes NULL, and forgets what was not flushed.
 */
struct blk_cache *blk_cache_create(struct blk_device *device, size_t bytes);
/* For a file system: one that writes back, in a part of the memory that is free, which is little on a
 * small machine. NULL when that is not worth it: all works without, but slower. */
struct blk_cache *blk_cache_create_for_volume(struct blk_device *device);
void blk_cache_destroy(struct blk_cache *cache);

/* Like blk_read() and blk_write(), with the same results. */
int blk_cache_read(struct blk_cache *cache, uint64_t sector, void *data, uint32_t count);
int blk_cache_write(struct blk_cache *cache, uint64_t sector, const void *data, uint32_t count);

/*
 * Writes back from now on, or through again (what is kept stays so until the next flush). Not for a
 * file system that relies on the order of its writes without flushing in between.
 */
void blk_cache_set_write_back(struct blk_cache *cache, bool on);

/* Brings what is kept to the device, which may lose it when the power fails. 0, or the first error;
 * what could not be written is still kept. */
int blk_cache_write_back(struct blk_cache *cache);

/*
 * The same, and then everything to stable storage: what fsync() needs. What could not be written is tried again
 * by the next flush.
 */
int blk_cache_flush(struct blk_cache *cache);

const struct blk_cache_stats *blk_cache_stats(const struct blk_cache *cache);

#endif
