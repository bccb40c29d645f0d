/*
 * littlefs_internal.h - what littlefs.c, littlefs_file.c and littlefs_disk.c share, for them only.
 *
 * Owns the mounted volume and the step from littlefs's error codes to ours.
 */
#ifndef FERRULE_FS_LITTLEFS_INTERNAL_H
#define FERRULE_FS_LITTLEFS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lfs2.h"

#include "blk/block.h"
#include "blk/cache.h"
#include "fs/fs.h"

struct littlefs_file;

struct littlefs_volume {
    lfs2_t fs;
    struct lfs2_config config;
    struct blk_device *device;
    struct blk_cache *cache; /* for metadata and small files; may be NULL */
    /*
     * What was written since the last BLK_FLUSH: nothing, parts of one block of littlefs's, or of
     * several.
     */
    enum { NOTHING_UNFLUSHED, ONE_BLOCK_UNFLUSHED, BLOCKS_UNFLUSHED } unflushed;
    lfs2_block_t unflushed_block;
    unsigned complaints; /* log lines about errors so far */
    struct littlefs_file *open_files;
    unsigned open; /* files and directories */
    bool unmounted;
};

/* --- littlefs_disk.c --- */

/* What a superblock says of itself, as far as a mount needs it. */
struct littlefs_geometry {
    uint32_t version, block_size, block_count;
};

/* Reads the superblock at the device's start. -ENODEV: none can be read; -ENOMEM. */
int littlefs_probe(struct blk_device *device, struct littlefs_geometry *geometry);

/*
 * Gives the volume its configuration, buffers and cache for this geometry. -EINVAL when the device
 * cannot carry it; -ENOMEM. littlefs_disk_close() takes all of it back, also half of it.
 */
int littlefs_disk_open(struct littlefs_volume *volume, const struct littlefs_geometry *geometry);
void littlefs_disk_close(struct littlefs_volume *volume);

int littlefs_disk_flush(struct littlefs_volume *volume);

/* --- littlefs.c --- */

/* littlefs's result as a negative errno. A damaged volume is said in the log, a few times. */
int littlefs_result(struct littlefs_volume *volume, int64_t result);

/* A file or directory was closed. It may have been what an unmounted volume waited for. */
void littlefs_volume_put(struct littlefs_volume *volume);

/* A file's time is the attribute 't': seconds since 1970, 64 bits, little endian. */
#define LITTLEFS_TIME_ATTRIBUTE 0x74

void littlefs_fill_status(const struct littlefs_volume *volume, bool directory, uint64_t size,
                          time_t modified, struct stat *status);

/* --- littlefs_file.c --- */

/* fs_ops.open. */
int littlefs_open(void *volume, const char *path, int flags, struct file_object *file);

/* True when a file at this path, or in the directory at this path, is open. */
bool littlefs_is_open(const struct littlefs_volume *volume, const char *path);

/* Commits what open files hold back; the first error. */
int littlefs_sync_files(struct littlefs_volume *volume);

#endif
