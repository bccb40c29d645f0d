/*
 * littlefs_file.c - an open file on a littlefs volume.
 *
 * Owns the list of open files and the rules between them: a file that is open for writing is open
 * once, and an open file keeps its name, as on FAT. What is written since the last fsync() appears
 * in the file all at once, with the next one or with close(). Read littlefs.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/littlefs_internal.h"
#include "platform.h"

struct littlefs_file {
    lfs2_file_t file;
    struct lfs2_file_config config;
    struct lfs2_attr time_attribute;
    int64_t modified; /* as it is stored: little endian, which x86 is */
    struct littlefs_volume *volume;
    struct littlefs_file *next;
    int flags;
    int write_error; /* what went wrong: littlefs then forgets all changes since the last sync */
    char path[];
};

static bool writes(const struct littlefs_file *file)
{
    return (file->flags & O_ACCMODE) != O_RDONLY;
}

static void touch(struct littlefs_file *file)
{
    file->modified = (int64_t)(platform_wall_ns() / 1000000000u);
}

bool littlefs_is_open(const struct littlefs_volume *volume, const char *path)
{
    size_t len = strlen(path);
    for (const struct littlefs_file *file = volume->open_files; file; file = file->next) {
        if (!strncmp(file->path, path, len) && (file->path[len] == '\0' || file->path[len] == '/'))
            return true;
    }
    return false;
}

/* --- The operations --------------------------------------------------------------------------- */

static ssize_t file_read_data(void *object, void *data, size_t count)
{
    struct littlefs_file *file = object;
    lfs2_size_t wanted = count < LFS2_FILE_MAX ? (lfs2_size_t)count : LFS2_FILE_MAX;
    lfs2_ssize_t done = lfs2_file_read(&file->volume->fs, &file->file, data, wanted);
    return done < 0 ? littlefs_result(file->volume, done) : (ssize_t)done;
}

static ssize_t file_write_data(void *object, const void *data, size_t count)
{
    struct littlefs_file *file = object;
    struct littlefs_volume *volume = file->volume;
    if (volume->device->read_only)
        return -EROFS;
    lfs2_size_t wanted = count < LFS2_FILE_MAX ? (lfs2_size_t)count : LFS2_FILE_MAX;
    touch(file);
    lfs2_ssize_t done = lfs2_file_write(&volume->fs, &file->file, data, wanted);
    if (done >= 0) {
        file->write_error = 0;
        return (ssize_t)done;
    }
    int error = littlefs_result(volume, done);
    /* Too large is refused before anything happens; after the rest littlefs keeps nothing. */
    if (error != -EFBIG)
        file->write_error = error;
    return error;
}

static int64_t file_seek_to(void *object, int64_t offset, int whence)
{
    struct littlefs_file *file = object;
    struct littlefs_volume *volume = file->volume;
    int64_t base;
    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = lfs2_file_tell(&volume->fs, &file->file);
        break;
    case SEEK_END:
        base = lfs2_file_size(&volume->fs, &file->file);
        break;
    default:
        return -EINVAL;
    }
    if (base < 0)
        return littlefs_result(volume, base);
    if (offset < -base)
        return -EINVAL;
    if (offset > (int64_t)LFS2_FILE_MAX - base)
        return -EOVERFLOW;
    lfs2_soff_t position =
        lfs2_file_seek(&volume->fs, &file->file, (lfs2_soff_t)(base + offset), LFS2_SEEK_SET);
    if (position >= 0)
        return position;
    /* Leaving a block writes it. */
    file->write_error = writes(file) ? littlefs_result(volume, position) : 0;
    return littlefs_result(volume, position);
}

static int file_status(void *object, struct stat *status)
{
    struct littlefs_file *file = object;
    lfs2_soff_t size = lfs2_file_size(&file->volume->fs, &file->file);
    if (size < 0)
        return littlefs_result(file->volume, size);
    littlefs_fill_status(file->volume, false, (uint64_t)size, (time_t)file->modified, status);
    return 0;
}

static int file_cut(void *object, int64_t size)
{
    struct littlefs_file *file = object;
    struct littlefs_volume *volume = file->volume;
    if (volume->device->read_only)
        return -EROFS;
    if (size > (int64_t)LFS2_FILE_MAX)
        return -EFBIG;
    touch(file);
    int error =
        littlefs_result(volume, lfs2_file_truncate(&volume->fs, &file->file, (lfs2_off_t)size));
    if (error)
        file->write_error = error;
    return error;
}

/* After a write that failed littlefs would skip the file and call that success. */
static int file_commit(struct littlefs_file *file)
{
    if (!file->write_error)
        file->write_error =
            littlefs_result(file->volume, lfs2_file_sync(&file->volume->fs, &file->file));
    return file->write_error;
}

static int file_sync_data(void *object)
{
    struct littlefs_file *file = object;
    int error = writes(file) ? file_commit(file) : 0;
    return error ? error : littlefs_disk_flush(file->volume);
}

static int file_close_object(void *object)
{
    struct littlefs_file *file = object;
    struct littlefs_volume *volume = file->volume;
    int error = littlefs_result(volume, lfs2_file_close(&volume->fs, &file->file));
    for (struct littlefs_file **at = &volume->open_files; *at; at = &(*at)->next) {
        if (*at == file) {
            *at = file->next;
            break;
        }
    }
    if (!error)
        error = file->write_error;
    littlefs_volume_put(volume);
    free(file);
    return error;
}

static const struct file_ops littlefs_file_ops = {
    .read = file_read_data,
    .write = file_write_data,
    .seek = file_seek_to,
    .stat = file_status,
    .truncate = file_cut,
    .sync = file_sync_data,
    .close = file_close_object,
};

int littlefs_sync_files(struct littlefs_volume *volume)
{
    int first_error = 0;
    for (struct littlefs_file *file = volume->open_files; file; file = file->next) {
        int error = writes(file) ? file_commit(file) : 0;
        first_error = first_error ? first_error : error;
    }
    return first_error;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int open_mode(int flags)
{
    int access = flags & O_ACCMODE;
    int mode = access == O_WRONLY ? LFS2_O_WRONLY : access == O_RDWR ? LFS2_O_RDWR : LFS2_O_RDONLY;
    if (flags & O_CREAT)
        mode |= LFS2_O_CREAT;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        mode |= LFS2_O_EXCL;
    if ((flags & O_TRUNC) && access != O_RDONLY)
        mode |= LFS2_O_TRUNC;
    if (flags & O_APPEND)
        mode |= LFS2_O_APPEND;
    return mode;
}

/*
 * Whether the file may be opened so, as far as littlefs does not look itself: *modified is its time
 * as it is stored.
 */
static int may_open(struct littlefs_volume *volume, const char *path, int flags, int64_t *modified)
{
    struct lfs2_info info;
    bool for_writing = (flags & O_ACCMODE) != O_RDONLY;
    int found = lfs2_stat(&volume->fs, path, &info);
    if (found == LFS2_ERR_NOENT)
        return !(flags & O_CREAT) ? -ENOENT : volume->device->read_only ? -EROFS : 0;
    if (found < 0)
        return littlefs_result(volume, found);
    if (info.type == LFS2_TYPE_DIR)
        return (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : -EISDIR;
    if (for_writing && volume->device->read_only)
        return -EROFS;
    for (const struct littlefs_file *file = volume->open_files; file; file = file->next) {
        if (!strcmp(file->path, path) && (for_writing || writes(file)))
            return -EBUSY;
    }
    lfs2_getattr(&volume->fs, path, LITTLEFS_TIME_ATTRIBUTE, modified, sizeof(*modified));
    return 0;
}

int littlefs_open(void *context, const char *path, int flags, struct file_object *out)
{
    struct littlefs_volume *volume = context;
    size_t len = strlen(path);
    struct littlefs_file *file = calloc(1, sizeof(*file) + len + 1);
    if (!file)
        return -ENOMEM;
    int error = may_open(volume, path, flags, &file->modified);
    if (error)
        goto fail;
    file->volume = volume;
    file->flags = flags;
    memcpy(file->path, path, len + 1);
    file->time_attribute = (struct lfs2_attr){
        .type = LITTLEFS_TIME_ATTRIBUTE,
        .buffer = &file->modified,
        .size = sizeof(file->modified),
    };
    file->config = (struct lfs2_file_config){.attrs = &file->time_attribute, .attr_count = 1};
    error = littlefs_result(
        volume, lfs2_file_opencfg(&volume->fs, &file->file, path, open_mode(flags), &file->config));
    if (error)
        goto fail;
    if (writes(file) && (flags & O_TRUNC))
        touch(file);
    file->next = volume->open_files;
    volume->open_files = file;
    volume->open++;
    *out = (struct file_object){&littlefs_file_ops, file};
    return 0;

fail:
    free(file);
    return error;
}
