/*
 * ninep_file.c - open files and directories of the host.
 *
 * Owns fids, and the entries of a directory that were read ahead; positions are share_file.c's. File
 * data is not kept: it goes from the host straight into the caller's buffer and back, so that both
 * sides always see the same. An open object whose session has ended answers -EIO. Read virtio_9p.c
 * next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ninep_internal.h"
#include "fs/share_file.h"

struct ninep_file {
    struct share_file shared;
    struct ninep_volume *volume;
    struct ninep_fid fid;
};

struct ninep_directory {
    struct share_directory shared;
    struct ninep_volume *volume;
    struct ninep_fid fid;
    uint8_t entries[NINEP_REPLY_SIZE];
};

/* --- Files ------------------------------------------------------------------------------------ */

static int read_step(void *object, uint64_t position, void *data, uint32_t *count)
{
    struct ninep_file *file = object;
    return ninep_read(file->volume, file->fid.number, position, data, count);
}

static int write_step(void *object, uint64_t position, const void *data, uint32_t *count)
{
    struct ninep_file *file = object;
    return ninep_write(file->volume, file->fid.number, position, data, count);
}

static int file_size(void *object, uint64_t *size)
{
    struct ninep_file *file = object;
    struct stat status;
    int error = ninep_fid_check(file->volume, file->fid);
    if (!error)
        error = ninep_get_status(file->volume, file->fid.number, &status);
    if (!error)
        *size = (uint64_t)status.st_size;
    return error;
}

static const struct share_file_ops shared_file_ops = {
    .read = read_step,
    .write = write_step,
    .size = file_size,
};

static ssize_t ninep_file_read(void *object, void *data, size_t count)
{
    struct ninep_file *file = object;
    int error = ninep_fid_check(file->volume, file->fid);
    return error ? error : share_file_read(file, data, count);
}

static ssize_t ninep_file_write(void *object, const void *data, size_t count)
{
    struct ninep_file *file = object;
    int error = ninep_fid_check(file->volume, file->fid);
    return error ? error : share_file_write(file, data, count);
}

static int ninep_file_stat(void *object, struct stat *status)
{
    struct ninep_file *file = object;
    int error = ninep_fid_check(file->volume, file->fid);
    return error ? error : ninep_get_status(file->volume, file->fid.number, status);
}

static int ninep_file_truncate(void *object, int64_t size)
{
    struct ninep_file *file = object;
    int error = ninep_fid_check(file->volume, file->fid);
    return error ? error : ninep_set_size(file->volume, file->fid.number, (uint64_t)size);
}

static int ninep_file_sync(void *object)
{
    struct ninep_file *file = object;
    int error = ninep_fid_check(file->volume, file->fid);
    return error ? error : ninep_sync_fid(file->volume, file->fid.number);
}

static int ninep_file_close(void *object)
{
    struct ninep_file *file = object;
    int error = ninep_fid_drop(file->volume, file->fid);
    ninep_volume_put(file->volume);
    free(file);
    return error;
}

static const struct file_ops ninep_file_ops = {
    .read = ninep_file_read,
    .write = ninep_file_write,
    .seek = share_file_seek,
    .stat = ninep_file_stat,
    .truncate = ninep_file_truncate,
    .sync = ninep_file_sync,
    .close = ninep_file_close,
};

/* --- Opening ---------------------------------------------------------------------------------- */

static uint32_t dotl_flags(int flags)
{
    int access = flags & O_ACCMODE;
    uint32_t dotl = access == O_WRONLY ? P9_DOTL_WRONLY : access == O_RDWR ? P9_DOTL_RDWR : 0;
    dotl |= flags & O_CREAT ? P9_DOTL_CREATE : 0;
    dotl |= flags & O_EXCL ? P9_DOTL_EXCL : 0;
    dotl |= flags & O_TRUNC && access != O_RDONLY ? P9_DOTL_TRUNC : 0;
    return dotl | (flags & O_APPEND ? P9_DOTL_APPEND : 0);
}

/* Opens what is there already. */
static int open_found(struct ninep_file *file, const char *path, int flags)
{
    uint8_t type;
    int error = ninep_lookup(file->volume, path, true, &file->fid, &type);
    if (error)
        return error;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        error = -EEXIST;
    else if (type & P9_QTDIR)
        error = -EISDIR;
    else
        error = ninep_open_fid(file->volume, file->fid.number,
                               dotl_flags(flags & ~(O_CREAT | O_EXCL)), &file->shared.data_max);
    if (error)
        ninep_fid_drop(file->volume, file->fid);
    return error;
}

/* Tlcreate turns the directory's fid into that of the new file. */
static int open_new(struct ninep_file *file, const char *path, int flags)
{
    const char *name;
    int error = ninep_lookup_parent(file->volume, path, &file->fid, &name);
    if (error)
        return error;
    error = ninep_create(file->volume, file->fid.number, name, dotl_flags(flags),
                         &file->shared.data_max);
    if (error)
        ninep_fid_drop(file->volume, file->fid);
    return error;
}

int ninep_open(void *context, const char *path, int flags, struct file_object *out)
{
    struct ninep_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->volume = context;
    file->shared.ops = &shared_file_ops;
    file->shared.append = flags & O_APPEND;
    int error = open_found(file, path, flags);
    if (error == -ENOENT && (flags & O_CREAT))
        error = open_new(file, path, flags);
    if (error) {
        free(file);
        return error;
    }
    file->volume->open++;
    *out = (struct file_object){&ninep_file_ops, file};
    return 0;
}

/* --- Directories ------------------------------------------------------------------------------ */

static int directory_check(void *object)
{
    struct ninep_directory *directory = object;
    return ninep_fid_check(directory->volume, directory->fid);
}

static int directory_violation(void *object, const char *what)
{
    struct ninep_directory *directory = object;
    return ninep_violation(directory->volume, what);
}

static int read_ahead(void *object)
{
    struct ninep_directory *directory = object;
    return ninep_read_directory(directory->volume, directory->fid.number, directory->shared.offset,
                                directory->entries, &directory->shared.len);
}

static uint64_t entry_number(const struct ninep_directory *directory, unsigned bytes, uint32_t at)
{
    uint64_t value = 0;
    while (bytes--)
        value = value << 8 | directory->entries[at + bytes];
    return value;
}

/* What was read ahead is qid[13] offset[8] type[1] name[s]. */
static int take_entry(void *object, struct fs_entry *entry)
{
    struct ninep_directory *directory = object;
    struct share_directory *shared = &directory->shared;
    uint32_t fixed = P9_QID_SIZE + 8 + 1 + 2, at = shared->at;
    if (shared->len - at < fixed)
        return ninep_violation(directory->volume, "half an entry in a directory");
    uint32_t len = (uint32_t)entry_number(directory, 2, at + fixed - 2);
    if (shared->len - at - fixed < len)
        return ninep_violation(directory->volume, "half a name in a directory");
    shared->offset = entry_number(directory, 8, at + P9_QID_SIZE);
    uint8_t type = directory->entries[at + P9_QID_SIZE + 8];
    shared->at = at + fixed + len;
    if (share_entry_name(entry, directory->entries + at + fixed, len))
        return -ENOENT;
    /* What can be opened; a link leads somewhere or not. */
    return type == P9_DT_DIR || type == P9_DT_REG || type == P9_DT_LNK || !type ? 0 : -ENOENT;
}

static int entry_status(void *object, const char *name, struct stat *status)
{
    struct ninep_directory *directory = object;
    char path[FS_PATH_MAX];
    int error = share_directory_path(&directory->shared, name, path);
    return error ? error : ninep_stat(directory->volume, path, status);
}

static const struct share_directory_ops shared_directory_ops = {
    .check = directory_check,
    .read_ahead = read_ahead,
    .take_entry = take_entry,
    .entry_status = entry_status,
    .violation = directory_violation,
};

static int ninep_directory_read(void *object, struct fs_entry *entry)
{
    int error = directory_check(object);
    return error ? error : share_directory_read(object, entry);
}

static int ninep_directory_stat(void *object, struct stat *status)
{
    struct ninep_directory *directory = object;
    int error = ninep_fid_check(directory->volume, directory->fid);
    return error ? error : ninep_get_status(directory->volume, directory->fid.number, status);
}

static int ninep_directory_close(void *object)
{
    struct ninep_directory *directory = object;
    int error = ninep_fid_drop(directory->volume, directory->fid);
    ninep_volume_put(directory->volume);
    free(directory);
    return error;
}

static const struct file_ops ninep_directory_ops = {
    .stat = ninep_directory_stat,
    .read_entry = ninep_directory_read,
    .rewind = share_directory_rewind,
    .close = ninep_directory_close,
};

int ninep_open_directory(void *context, const char *path, struct file_object *out)
{
    struct ninep_volume *volume = context;
    uint32_t data_max;
    uint8_t type;
    struct ninep_directory *directory = calloc(1, sizeof(*directory));
    if (!directory)
        return -ENOMEM;
    directory->volume = volume;
    directory->shared.ops = &shared_directory_ops;
    strcpy(directory->shared.path, path);
    int error = ninep_lookup(volume, path, true, &directory->fid, &type);
    if (error)
        goto fail;
    error = type & P9_QTDIR
                ? ninep_open_fid(volume, directory->fid.number, P9_DOTL_DIRECTORY, &data_max)
                : -ENOTDIR;
    if (error) {
        ninep_fid_drop(volume, directory->fid);
        goto fail;
    }
    volume->open++;
    *out = (struct file_object){&ninep_directory_ops, directory};
    return 0;

fail:
    free(directory);
    return error;
}
