/*
 * ninep_file.c - open files and directories of the host.
 *
 * Owns positions, and the entries of a directory that were read ahead. File data is not kept: it
 * goes from the host straight into the caller's buffer and back, so that both sides always see the
 * same. An open object whose session has ended answers -EIO. Read virtio_9p.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/ninep_internal.h"

/* Entries in a row that are not shown. A directory can have many; a host can send them for ever. */
#define SKIPPED_MAX 100000u

struct ninep_file {
    struct ninep_volume *volume;
    struct ninep_fid fid;
    uint32_t data_max; /* in one message */
    bool append;
    uint64_t position;
};

struct ninep_directory {
    struct ninep_volume *volume;
    struct ninep_fid fid;
    uint64_t offset;  /* where the host goes on, in its own terms */
    uint32_t len, at; /* of `entries` */
    uint8_t entries[NINEP_REPLY_SIZE];
    char path[FS_PATH_MAX];
};

/* --- Files ------------------------------------------------------------------------------------ */

static ssize_t ninep_file_read(void *object, void *data, size_t count)
{
    struct ninep_file *file = object;
    size_t done = 0;
    int error = ninep_fid_check(file->volume, file->fid);
    while (!error && done < count) {
        uint32_t wanted = count - done < file->data_max ? (uint32_t)(count - done) : file->data_max;
        uint32_t got = wanted;
        error =
            ninep_read(file->volume, file->fid.number, file->position, (char *)data + done, &got);
        if (error)
            break;
        done += got;
        file->position += got;
        if (got < wanted)
            break;
    }
    return done ? (ssize_t)done : error;
}

static int file_size(struct ninep_file *file, uint64_t *size)
{
    struct stat status;
    int error = ninep_fid_check(file->volume, file->fid);
    if (!error)
        error = ninep_get_status(file->volume, file->fid.number, &status);
    if (!error)
        *size = (uint64_t)status.st_size;
    return error;
}

static ssize_t ninep_file_write(void *object, const void *data, size_t count)
{
    struct ninep_file *file = object;
    size_t done = 0;
    int error = ninep_fid_check(file->volume, file->fid);
    if (!error && file->append)
        error = file_size(file, &file->position);
    if (!error && file->position > (uint64_t)INT64_MAX - count)
        error = -EFBIG;
    while (!error && done < count) {
        uint32_t moved = count - done < file->data_max ? (uint32_t)(count - done) : file->data_max;
        error = ninep_write(file->volume, file->fid.number, file->position,
                            (const char *)data + done, &moved);
        if (!error && !moved)
            error = -ENOSPC;
        if (error)
            break;
        done += moved;
        file->position += moved;
    }
    return done ? (ssize_t)done : error;
}

static int64_t ninep_file_seek(void *object, int64_t offset, int whence)
{
    struct ninep_file *file = object;
    uint64_t base = 0;
    int error = 0;
    switch (whence) {
    case SEEK_SET:
        break;
    case SEEK_CUR:
        base = file->position;
        break;
    case SEEK_END:
        error = file_size(file, &base);
        break;
    default:
        return -EINVAL;
    }
    if (error)
        return error;
    if (offset < -(int64_t)base)
        return -EINVAL;
    if (offset > INT64_MAX - (int64_t)base)
        return -EOVERFLOW;
    file->position = base + (uint64_t)offset;
    return (int64_t)file->position;
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
    .seek = ninep_file_seek,
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
                               dotl_flags(flags & ~(O_CREAT | O_EXCL)), &file->data_max);
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
    error = ninep_create(file->volume, file->fid.number, name, dotl_flags(flags), &file->data_max);
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
    file->append = flags & O_APPEND;
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

static uint64_t entry_number(const struct ninep_directory *directory, unsigned bytes, uint32_t at)
{
    uint64_t value = 0;
    while (bytes--)
        value = value << 8 | directory->entries[at + bytes];
    return value;
}

/*
 * Takes the next entry that was read ahead: qid[13] offset[8] type[1] name[s]. -ENOENT for a name
 * that no path can lead to.
 */
static int next_entry(struct ninep_directory *directory, struct fs_entry *entry)
{
    uint32_t fixed = P9_QID_SIZE + 8 + 1 + 2, at = directory->at;
    if (directory->len - at < fixed)
        return ninep_violation(directory->volume, "half an entry in a directory");
    uint32_t len = (uint32_t)entry_number(directory, 2, at + fixed - 2);
    if (directory->len - at - fixed < len)
        return ninep_violation(directory->volume, "half a name in a directory");
    directory->offset = entry_number(directory, 8, at + P9_QID_SIZE);
    uint8_t type = directory->entries[at + P9_QID_SIZE + 8];
    directory->at = at + fixed + len;
    if (!len || len > FS_NAME_MAX)
        return -ENOENT;
    memcpy(entry->name, directory->entries + at + fixed, len);
    entry->name[len] = '\0';
    if (strlen(entry->name) != len || strchr(entry->name, '/') || !strcmp(entry->name, ".") ||
        !strcmp(entry->name, ".."))
        return -ENOENT;
    /* What can be opened; a link leads somewhere or not. */
    return type == P9_DT_DIR || type == P9_DT_REG || type == P9_DT_LNK || !type ? 0 : -ENOENT;
}

/* Size and kind of an entry. -ENOENT when it cannot be shown: gone, a link to nowhere. */
static int entry_status(struct ninep_directory *directory, struct fs_entry *entry)
{
    char path[FS_PATH_MAX];
    struct stat status;
    size_t folder = strcmp(directory->path, "/") ? strlen(directory->path) : 0;
    size_t name = strlen(entry->name);
    if (folder + 1 + name >= sizeof(path))
        return -ENOENT;
    memcpy(path, directory->path, folder);
    path[folder] = '/';
    memcpy(path + folder + 1, entry->name, name + 1);
    int error = ninep_stat(directory->volume, path, &status);
    if (error)
        return ninep_fid_check(directory->volume, directory->fid) ? error : -ENOENT;
    entry->mode = status.st_mode;
    entry->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? 0 : -ENOENT;
}

static int ninep_directory_read(void *object, struct fs_entry *entry)
{
    struct ninep_directory *directory = object;
    int error = ninep_fid_check(directory->volume, directory->fid);
    for (unsigned i = 0; !error && i < SKIPPED_MAX; i++) {
        if (directory->at == directory->len) {
            directory->at = 0;
            error = ninep_read_directory(directory->volume, directory->fid.number,
                                         directory->offset, directory->entries, &directory->len);
            if (error || !directory->len)
                break;
        }
        error = next_entry(directory, entry);
        if (!error)
            error = entry_status(directory, entry);
        if (!error)
            return 1;
        if (error == -ENOENT)
            error = 0;
    }
    if (error || !directory->len) {
        directory->at = directory->len = 0;
        return error;
    }
    return ninep_violation(directory->volume, "a directory without an end");
}

static int ninep_directory_rewind(void *object)
{
    struct ninep_directory *directory = object;
    directory->offset = 0;
    directory->at = directory->len = 0;
    return ninep_fid_check(directory->volume, directory->fid);
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
    .rewind = ninep_directory_rewind,
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
    strcpy(directory->path, path);
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
