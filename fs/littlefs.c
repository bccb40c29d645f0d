/*
 * littlefs.c - littlefs volumes as one of the file systems behind fs.h.
 *
 * Owns mounting and everything that works by path; open files are littlefs_file.c's, blocks
 * littlefs_disk.c's, and the format itself is littlefs's (lfs2.h). Each change of a name or
 * directory is atomic, and on stable storage when its function returns. A damaged volume ends in
 * -EIO and a log line.
 */
#include "fs/littlefs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/littlefs_internal.h"
#include "log.h"

#define DAMAGE_COMPLAINTS_MAX 8u

struct littlefs_directory {
    lfs2_dir_t dir;
    struct littlefs_volume *volume;
};

/* --- Helpers for all of littlefs_*.c ---------------------------------------------------------- */

int littlefs_result(struct littlefs_volume *volume, int64_t result)
{
    static const struct {
        int theirs, ours;
    } codes[] = {
        {LFS2_ERR_IO, EIO},
        {LFS2_ERR_CORRUPT, EIO},
        {LFS2_ERR_NOENT, ENOENT},
        {LFS2_ERR_EXIST, EEXIST},
        {LFS2_ERR_NOTDIR, ENOTDIR},
        {LFS2_ERR_ISDIR, EISDIR},
        {LFS2_ERR_NOTEMPTY, ENOTEMPTY},
        {LFS2_ERR_BADF, EBADF},
        {LFS2_ERR_FBIG, EFBIG},
        {LFS2_ERR_INVAL, EINVAL},
        {LFS2_ERR_NOSPC, ENOSPC},
        {LFS2_ERR_NOMEM, ENOMEM},
        {LFS2_ERR_NAMETOOLONG, ENAMETOOLONG},
        {-EROFS, EROFS},
    };
    if (result >= 0)
        return 0;
    if (result == LFS2_ERR_CORRUPT && volume->complaints++ < DAMAGE_COMPLAINTS_MAX)
        log_error("fs: %s: the littlefs volume is damaged (a checksum or a pointer is wrong)",
                  volume->device->name);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (result == codes[i].theirs)
            return -codes[i].ours;
    }
    return -EIO;
}

void littlefs_fill_status(const struct littlefs_volume *volume, bool directory, uint64_t size,
                          time_t modified, struct stat *status)
{
    bool fixed = volume->device->read_only;
    memset(status, 0, sizeof(*status));
    if (directory) {
        status->st_mode = S_IFDIR | (fixed ? 0555 : 0755);
    } else {
        status->st_mode = S_IFREG | (fixed ? 0444 : 0644);
        status->st_size = (off_t)size;
        status->st_blocks = (blkcnt_t)((size + 511) / 512);
    }
    status->st_nlink = 1;
    status->st_blksize = (blksize_t)volume->config.block_size;
    status->st_mtime = status->st_atime = status->st_ctime = modified;
}

/* --- By path ---------------------------------------------------------------------------------- */

static int littlefs_stat(void *context, const char *path, struct stat *status)
{
    struct littlefs_volume *volume = context;
    struct lfs2_info info;
    int64_t modified = 0;
    int error = littlefs_result(volume, lfs2_stat(&volume->fs, path, &info));
    if (error)
        return error;
    if (info.type == LFS2_TYPE_REG) {
        lfs2_ssize_t size =
            lfs2_getattr(&volume->fs, path, LITTLEFS_TIME_ATTRIBUTE, &modified, sizeof(modified));
        if (size < 0 && size != LFS2_ERR_NOATTR)
            return littlefs_result(volume, size);
    }
    littlefs_fill_status(volume, info.type == LFS2_TYPE_DIR, info.size, (time_t)modified, status);
    return 0;
}

static int littlefs_remove(void *context, const char *path, bool directory)
{
    struct littlefs_volume *volume = context;
    struct lfs2_info info;
    int error = littlefs_result(volume, lfs2_stat(&volume->fs, path, &info));
    if (error)
        return error;
    if (directory != (info.type == LFS2_TYPE_DIR))
        return directory ? -ENOTDIR : -EISDIR;
    if (volume->device->read_only)
        return -EROFS;
    if (littlefs_is_open(volume, path))
        return directory ? -ENOTEMPTY : -EBUSY;
    return littlefs_result(volume, lfs2_remove(&volume->fs, path));
}

/* littlefs would move a directory into itself and lose both. */
static bool is_inside(const char *directory, const char *path)
{
    size_t len = strlen(directory);
    return !strncmp(directory, path, len) && path[len] == '/';
}

static int littlefs_rename(void *context, const char *from, const char *to)
{
    struct littlefs_volume *volume = context;
    struct lfs2_info info, there;
    int error = littlefs_result(volume, lfs2_stat(&volume->fs, from, &info));
    if (error || !strcmp(from, to))
        return error;
    if (!lfs2_stat(&volume->fs, to, &there) && info.type != there.type)
        return there.type == LFS2_TYPE_DIR ? -EISDIR : -ENOTDIR;
    if (volume->device->read_only)
        return -EROFS;
    if (is_inside(from, to))
        return -EINVAL;
    if (littlefs_is_open(volume, from) || littlefs_is_open(volume, to))
        return -EBUSY;
    return littlefs_result(volume, lfs2_rename(&volume->fs, from, to));
}

static int littlefs_make_directory(void *context, const char *path)
{
    struct littlefs_volume *volume = context;
    if (volume->device->read_only)
        return -EROFS;
    return littlefs_result(volume, lfs2_mkdir(&volume->fs, path));
}

/* --- Directories ------------------------------------------------------------------------------ */

static int directory_read(void *object, struct fs_entry *entry)
{
    struct littlefs_directory *directory = object;
    struct lfs2_info info;
    struct stat status;
    do {
        int found = lfs2_dir_read(&directory->volume->fs, &directory->dir, &info);
        if (found <= 0)
            return littlefs_result(directory->volume, found);
        /*
         * A damaged directory may hold names that no path can lead to: not shown, since nobody
         * could do anything with them.
         */
    } while (!strcmp(info.name, ".") || !strcmp(info.name, "..") || !info.name[0] ||
             strchr(info.name, '/'));
    littlefs_fill_status(directory->volume, info.type == LFS2_TYPE_DIR, info.size, 0, &status);
    strcpy(entry->name, info.name);
    entry->mode = status.st_mode;
    entry->size = (uint64_t)status.st_size;
    return 1;
}

static int directory_rewind(void *object)
{
    struct littlefs_directory *directory = object;
    return littlefs_result(directory->volume,
                           lfs2_dir_rewind(&directory->volume->fs, &directory->dir));
}

static int directory_stat(void *object, struct stat *status)
{
    struct littlefs_directory *directory = object;
    littlefs_fill_status(directory->volume, true, 0, 0, status);
    return 0;
}

static int directory_close(void *object)
{
    struct littlefs_directory *directory = object;
    int error =
        littlefs_result(directory->volume, lfs2_dir_close(&directory->volume->fs, &directory->dir));
    littlefs_volume_put(directory->volume);
    free(directory);
    return error;
}

static const struct file_ops directory_ops = {
    .stat = directory_stat,
    .read_entry = directory_read,
    .rewind = directory_rewind,
    .close = directory_close,
};

static int littlefs_open_directory(void *context, const char *path, struct file_object *out)
{
    struct littlefs_volume *volume = context;
    struct littlefs_directory *directory = calloc(1, sizeof(*directory));
    if (!directory)
        return -ENOMEM;
    directory->volume = volume;
    int error = littlefs_result(volume, lfs2_dir_open(&volume->fs, &directory->dir, path));
    if (error) {
        free(directory);
        return error;
    }
    volume->open++;
    *out = (struct file_object){&directory_ops, directory};
    return 0;
}

/* --- The volume ------------------------------------------------------------------------------- */

static int littlefs_sync(void *context)
{
    struct littlefs_volume *volume = context;
    int error = littlefs_sync_files(volume);
    int flush_error = littlefs_disk_flush(volume);
    return error ? error : flush_error;
}

static void end_volume(struct littlefs_volume *volume)
{
    lfs2_unmount(&volume->fs);
    blk_release(volume->device);
    littlefs_disk_close(volume);
    free(volume);
}

void littlefs_volume_put(struct littlefs_volume *volume)
{
    if (--volume->open == 0 && volume->unmounted)
        end_volume(volume);
}

static int littlefs_unmount(void *context)
{
    struct littlefs_volume *volume = context;
    int error = littlefs_sync(volume);
    volume->unmounted = true;
    if (volume->open == 0)
        end_volume(volume);
    return error;
}

static bool littlefs_is_on(const void *context, const void *device)
{
    const struct littlefs_volume *volume = context;
    return volume->device == device;
}

static int mount_volume(struct littlefs_volume *volume, const struct littlefs_geometry *geometry)
{
    int error = blk_claim(volume->device, "littlefs volume");
    if (error)
        return error;
    error = littlefs_disk_open(volume, geometry);
    if (!error)
        error = littlefs_result(volume, lfs2_mount(&volume->fs, &volume->config));
    if (!error)
        return 0;
    littlefs_disk_close(volume);
    blk_release(volume->device);
    return error;
}

int littlefs_mount(struct blk_device *device, void **out)
{
    struct littlefs_geometry geometry;
    int error = littlefs_probe(device, &geometry);
    if (error)
        return error;
    struct littlefs_volume *volume = calloc(1, sizeof(*volume));
    if (volume)
        volume->device = device;
    error = volume ? mount_volume(volume, &geometry) : -ENOMEM;
    if (error) {
        log_error("fs: %s: the littlefs volume could not be mounted: error %d", device->name,
                  -error);
        free(volume);
        return error;
    }
    log_info("fs: %s: littlefs volume, version %u.%u, %u blocks of %u bytes, %s", device->name,
             (unsigned)(geometry.version >> 16), (unsigned)(geometry.version & 0xffff),
             (unsigned)geometry.block_count, (unsigned)geometry.block_size,
             device->read_only ? "read-only" : "read-write");
    *out = volume;
    return 0;
}

const struct fs_ops littlefs_ops = {
    .name = "littlefs",
    .open = littlefs_open,
    .open_directory = littlefs_open_directory,
    .stat = littlefs_stat,
    .remove = littlefs_remove,
    .rename = littlefs_rename,
    .make_directory = littlefs_make_directory,
    .sync = littlefs_sync,
    .unmount = littlefs_unmount,
    .is_on = littlefs_is_on,
};
