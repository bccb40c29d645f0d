/*
 * littlefs_disk.c - the block device that littlefs sees, on top of the block layer.
 *
 * Owns the step from littlefs's blocks to sectors, the superblock's place, and the order of writes:
 * littlefs promises to survive a power cut if what it has written earlier is there when something
 * written later is. A disk with a write cache promises that only across a flush. littlefs asks for
 * one after each commit of metadata; the one before it, between a file's data and the metadata that
 * points to it, is added here. Between two of them the order is open, so that short writes may wait in
 * memory (blk/cache.h) until the next one. Read littlefs.c next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/littlefs.h"
#include "fs/littlefs_internal.h"
#include "log.h"

/* Enough lines to see what is wrong, few enough not to drown the log when every sector is bad. */
#define COMPLAINTS_MAX 8u

#define BLOCK_SIZE_MIN 512u
#define BLOCK_SIZE_MAX 65536u
#define BLOCK_SIZE_USUAL 4096u
#define BLOCKS_MIN 8u

/* littlefs's own buffers: a whole block, but not more than this. */
#define BUFFER_MAX 4096u
/* The map of free blocks: a bit for each block, so that one pass finds them all, but no more. */
#define LOOKAHEAD_MAX 65536u

/* Where block 0 or 1 says what (littlefs SPEC.md, "The superblock"). */
#define SUPERBLOCK_MAGIC 8u
#define SUPERBLOCK_VERSION 20u
#define SUPERBLOCK_BLOCK_SIZE 24u
#define SUPERBLOCK_BLOCK_COUNT 28u
static const char magic[8] = {'l', 'i', 't', 't', 'l', 'e', 'f', 's'};

static void disk_complain(struct littlefs_volume *volume, const char *what, lfs2_block_t block,
                          int error)
{
    if (volume->complaints++ < COMPLAINTS_MAX)
        log_error("fs: %s: %s littlefs block %u: error %d", volume->device->name, what,
                  (unsigned)block, -error);
}

/* --- What littlefs calls ---------------------------------------------------------------------- */

/* The first sector of a range. littlefs keeps to its own block count, which was checked. */
static uint64_t disk_sector(const struct lfs2_config *config, lfs2_block_t block, lfs2_off_t offset)
{
    return ((uint64_t)block * config->block_size + offset) / BLK_SECTOR_SIZE;
}

static int disk_read(const struct lfs2_config *config, lfs2_block_t block, lfs2_off_t offset,
                     void *data, lfs2_size_t size)
{
    struct littlefs_volume *volume = config->context;
    uint64_t sector = disk_sector(config, block, offset);
    uint32_t count = size / BLK_SECTOR_SIZE;
    int error = volume->cache ? blk_cache_read(volume->cache, sector, data, count)
                              : blk_read(volume->device, sector, data, count);
    if (error)
        disk_complain(volume, "reading", block, error);
    return error ? LFS2_ERR_IO : 0;
}

/*
 * Metadata is written from the buffer that the configuration names; a file's data comes from the
 * file's own, but for blocks that are being moved. So a write from there to another block than the
 * ones still unflushed may be the commit that makes those count, and waits until they are safe.
 */
static int disk_prog(const struct lfs2_config *config, lfs2_block_t block, lfs2_off_t offset,
                     const void *data, lfs2_size_t size)
{
    struct littlefs_volume *volume = config->context;
    uint64_t sector = disk_sector(config, block, offset);
    uint32_t count = size / BLK_SECTOR_SIZE;
    int error = 0;
    bool elsewhere = volume->unflushed == BLOCKS_UNFLUSHED ||
                     (volume->unflushed == ONE_BLOCK_UNFLUSHED && volume->unflushed_block != block);
    if (elsewhere && data == config->prog_buffer) {
        error = littlefs_disk_flush(volume);
        elsewhere = false;
    }
    if (!error) {
        volume->unflushed = elsewhere ? BLOCKS_UNFLUSHED : ONE_BLOCK_UNFLUSHED;
        volume->unflushed_block = block;
        error = volume->cache ? blk_cache_write(volume->cache, sector, data, count)
                              : blk_write(volume->device, sector, data, count);
    }
    if (error)
        disk_complain(volume, "writing", block, error);
    return error == -EROFS ? -EROFS : error ? LFS2_ERR_IO : 0;
}

/* A disk's blocks can be written at any time. */
static int disk_erase(const struct lfs2_config *config, lfs2_block_t block)
{
    (void)config;
    (void)block;
    return 0;
}

static int disk_sync(const struct lfs2_config *config)
{
    return littlefs_disk_flush(config->context) ? LFS2_ERR_IO : 0;
}

int littlefs_disk_flush(struct littlefs_volume *volume)
{
    if (volume->unflushed == NOTHING_UNFLUSHED)
        return 0;
    int error = volume->cache ? blk_cache_flush(volume->cache) : blk_flush(volume->device);
    if (error)
        disk_complain(volume, "flushing", volume->unflushed_block, error);
    else
        volume->unflushed = NOTHING_UNFLUSHED;
    return error;
}

/* --- Finding a volume ------------------------------------------------------------------------- */

static uint32_t le32_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* True when a superblock can be read in the device's block at `offset` bytes. */
static bool probe_at(struct blk_device *device, uint64_t offset, uint8_t *buffer,
                     struct littlefs_geometry *geometry)
{
    uint64_t sector = offset / BLK_SECTOR_SIZE;
    uint32_t count = device->block_size / BLK_SECTOR_SIZE;
    if (sector + count > device->capacity || blk_read(device, sector, buffer, count) ||
        memcmp(buffer + SUPERBLOCK_MAGIC, magic, sizeof(magic)))
        return false;
    geometry->version = le32_at(buffer + SUPERBLOCK_VERSION);
    geometry->block_size = le32_at(buffer + SUPERBLOCK_BLOCK_SIZE);
    geometry->block_count = le32_at(buffer + SUPERBLOCK_BLOCK_COUNT);
    return true;
}

/*
 * The superblock is in blocks 0 and 1, and one of the two may be half written or unreadable. Where block 1 starts
 * depends on the block size, which only the superblock tells: the usual sizes are tried.
 */
int littlefs_probe(struct blk_device *device, struct littlefs_geometry *geometry)
{
    uint8_t *buffer = malloc(device->block_size);
    if (!buffer)
        return -ENOMEM;
    bool found = probe_at(device, 0, buffer, geometry);
    for (uint32_t size = BLOCK_SIZE_MIN; !found && size <= BLOCK_SIZE_MAX; size *= 2) {
        if (size % device->block_size)
            continue;
        found = probe_at(device, size, buffer, geometry) && geometry->block_size == size;
    }
    free(buffer);
    return found ? 0 : -ENODEV;
}

/* --- The configuration ------------------------------------------------------------------------ */

static int check_geometry(const struct blk_device *device, const struct littlefs_geometry *geometry)
{
    uint32_t size = geometry->block_size;
    uint64_t bytes = (uint64_t)size * geometry->block_count;
    if (size < BLOCK_SIZE_MIN || size > BLOCK_SIZE_MAX || size % device->block_size) {
        log_error("fs: %s: littlefs blocks of %u bytes cannot be used on blocks of %u",
                  device->name, (unsigned)size, (unsigned)device->block_size);
        return -EINVAL;
    }
    if (geometry->block_count < 2 || bytes / BLK_SECTOR_SIZE > device->capacity) {
        log_error("fs: %s: the littlefs volume has %u blocks of %u bytes, the disk %llu sectors "
                  "(truncated image?)",
                  device->name, (unsigned)geometry->block_count, (unsigned)size,
                  (unsigned long long)device->capacity);
        return -EINVAL;
    }
    return 0;
}

/* The largest power of two that divides a block, at most BUFFER_MAX; at least a disk's block. */
static uint32_t buffer_size(const struct blk_device *device, uint32_t block_size)
{
    uint32_t size = block_size & -block_size;
    if (size > BUFFER_MAX)
        size = BUFFER_MAX;
    return size > device->block_size ? size : device->block_size;
}

int littlefs_disk_open(struct littlefs_volume *volume, const struct littlefs_geometry *geometry)
{
    struct lfs2_config *config = &volume->config;
    struct blk_device *device = volume->device;
    int error = check_geometry(device, geometry);
    if (error)
        return error;
    uint32_t buffer = buffer_size(device, geometry->block_size);
    uint32_t lookahead = (geometry->block_count / 8 + 8) & ~7u;
    *config = (struct lfs2_config){
        .context = volume,
        .read = disk_read,
        .prog = disk_prog,
        .erase = disk_erase,
        .sync = disk_sync,
        .read_size = device->block_size,
        .prog_size = device->block_size,
        .block_size = geometry->block_size,
        .block_count = geometry->block_count,
        .block_cycles = -1, /* levelling wear is the disk's business */
        .cache_size = buffer,
        .lookahead_size = lookahead < LOOKAHEAD_MAX ? lookahead : LOOKAHEAD_MAX,
    };
    config->read_buffer = malloc(buffer);
    config->prog_buffer = malloc(buffer);
    config->lookahead_buffer = malloc(config->lookahead_size);
    if (!config->read_buffer || !config->prog_buffer || !config->lookahead_buffer)
        return -ENOMEM;
    volume->cache = blk_cache_create_for_volume(device);
    return 0;
}

void littlefs_disk_close(struct littlefs_volume *volume)
{
    blk_cache_destroy(volume->cache);
    volume->cache = NULL;
    free(volume->config.read_buffer);
    free(volume->config.prog_buffer);
    free(volume->config.lookahead_buffer);
    volume->config = (struct lfs2_config){0};
}

/* --- Making a volume -------------------------------------------------------------------------- */

int littlefs_format(struct blk_device *device, uint32_t block_size)
{
    if (!block_size)
        block_size = device->block_size > BLOCK_SIZE_USUAL ? device->block_size : BLOCK_SIZE_USUAL;
    uint64_t blocks = device->capacity / (block_size < 512 ? 1 : block_size / BLK_SECTOR_SIZE);
    struct littlefs_geometry geometry = {
        .block_size = block_size,
        .block_count = blocks > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)blocks,
    };
    if (device->read_only)
        return -EROFS;
    if (blocks < BLOCKS_MIN)
        return -ENOSPC;
    struct littlefs_volume *volume = calloc(1, sizeof(*volume));
    if (!volume)
        return -ENOMEM;
    volume->device = device;
    int error = littlefs_disk_open(volume, &geometry);
    if (!error)
        error = littlefs_result(volume, lfs2_format(&volume->fs, &volume->config));
    if (!error)
        error = littlefs_disk_flush(volume);
    littlefs_disk_close(volume);
    free(volume);
    if (error)
        log_error("fs: %s: no littlefs volume could be made on it: error %d", device->name, -error);
    else
        log_info("fs: %s: made a littlefs volume of %u blocks of %u bytes", device->name,
                 (unsigned)geometry.block_count, (unsigned)block_size);
    return error;
}
