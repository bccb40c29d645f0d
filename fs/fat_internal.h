/*
 * fat_internal.h - what fat.c, fat_file.c and fat_disk.c share, for them only.
 *
 * Owns the mounted volume and the helpers around FatFs's results, names and times.
 */
#ifndef FERRULE_FS_FAT_INTERNAL_H
#define FERRULE_FS_FAT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifndef FFCONF_H
#define FFCONF_H "fs/ffconf.h"
#endif
#include "ff.h"

#include "blk/block.h"
#include "blk/cache.h"
#include "fs/fs.h"
#include "loop.h"

struct fat_volume {
    FATFS fs;
    struct blk_device *device;
    /* For directories, allocation tables and small files; may be NULL. It keeps short writes back, for
     * WRITE_BACK_NS at most while the loop runs. */
    struct blk_cache *cache;
    struct loop_source write_back;
    uint64_t write_back_ns; /* when the first of them goes; 0: nothing is kept */
    uint32_t sector_size;   /* the volume's, at least the device's block size */
    bool unflushed;         /* something was written since the last BLK_FLUSH */
    unsigned open;          /* files and directories */
    bool unmounted;
    /*
     * The sector of the directory entry that is being brought up to date, or 0. It is written only
     * when everything before it is on stable storage: the entry says how long the file is, and must
     * not be there without the clusters.
     */
    uint64_t entry_sector;
    unsigned complaints; /* log lines about errors so far */
};

/*
 * `count` sectors of the volume's size between memory of any alignment and the device: 0 or a
 * negative errno.
 */
int fat_disk_read(struct fat_volume *volume, void *data, uint64_t sector, uint32_t count);
int fat_disk_write(struct fat_volume *volume, const void *data, uint64_t sector, uint32_t count);
int fat_disk_flush(struct fat_volume *volume);

/* Makes the cache, and ends it: what it keeps is forgotten. */
void fat_disk_open(struct fat_volume *volume);
void fat_disk_close(struct fat_volume *volume);

/*
 * In fat_tail.c: makes `cluster` the last one of its chain. Clusters behind it, if there are any, belong
 * to no file from now on.
 */
int fat_end_chain(struct fat_volume *volume, uint32_t cluster);

/* A file or directory of the volume was closed. It may have been what an unmounted one waited for. */
void fat_volume_put(struct fat_volume *volume);

/* FatFs's result as a negative errno. A damaged volume is said in the log, a few times. */
int fat_result(struct fat_volume *volume, FRESULT result);

/*
 * A directory entry's date and time (§6 of Microsoft's FAT specification), taken as UTC. 0 for an
 * impossible one.
 */
time_t fat_time(uint16_t date, uint16_t time);

/* Fills in everything but the time, for a file or directory with these attributes. */
void fat_fill_status(const struct fat_volume *volume, uint8_t attributes, uint64_t size,
                     struct stat *status);

/* fs_ops.open. */
int fat_open(void *volume, const char *path, int flags, struct file_object *file);

/* True when every part of `path` can be the name of something on a FAT volume. */
bool fat_path_usable(const char *path);

#endif
