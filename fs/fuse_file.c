/*
 * fuse_file.c - open files and directories of the host, behind FUSE.
 *
 * Owns positions, and the entries of a directory that were read ahead. File data is not kept: it
 * goes from the host straight into the caller's buffer and back. An open object whose session has
 * ended answers -EIO. Read virtio_fs.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fuse_internal.h"

/* Entries in a row that are not shown. A directory can have many; a host can send them for ever. */
#define SKIPPED_MAX 100000u

struct fuse_file {
    struct fuse_volume *volume;
    struct fuse_node node;
    uint64_t handle;
    uint32_t flags; /* FUSE_O_* */
    uint64_t position;
};

struct fuse_directory {
    struct fuse_volume *volume;
    struct fuse_node node;
    uint64_t handle;
    uint64_t offset;  /* where the host goes on, in its own terms */
    uint32_t len, at; /* of `entries` */
    uint8_t entries[FUSE_REPLY_SIZE];
    char path[FS_PATH_MAX];
};

/* --- Files ------------------------------------------------------------------------------------ */

static uint32_t step_of(const struct fuse_file *file, size_t left)
{
    return left < file->volume->data_max ? (uint32_t)left : file->volume->data_max;
}

static ssize_t fuse_file_read(void *object, void *data, size_t count)
{
    struct fuse_file *file = object;
    size_t done = 0;
    int error = 0;

    while (!error && done < count) {
        uint32_t wanted = step_of(file, count - done), got = wanted;

        error = fuse_read(file->volume, file->node, file->handle, file->position,
                          (char *)data + done, &got);
        if (error)
            break;
        done += got;
        file->position += got;
        if (got < wanted)
            break;
    }
    return done ? (ssize_t)done : error;
}

static int file_size(struct fuse_file *file, uint64_t *size)
{
    struct stat status;
    int error = fuse_get_status(file->volume, file->node, &status);

    if (!error)
        *size = (uint64_t)status.st_size;
    return error;
}

static ssize_t fuse_file_write(void *object, const void *data, size_t count)
{
    struct fuse_file *file = object;
    size_t done = 0;
    int error = file->flags & FUSE_O_APPEND ? file_size(file, &file->position) : 0;

    if (!error && file->position > (uint64_t)INT64_MAX - count)
        error = -EFBIG;
    while (!error && done < count) {
        uint32_t moved = step_of(file, count - done);

        error = fuse_write(file->volume, file->node, file->handle, file->position,
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

static int64_t fuse_file_seek(void *object, int64_t offset, int whence)
{
    struct fuse_file *file = object;
    uint64_t base = 0;
    int error = 0;

    if (whence == SEEK_CUR)
        base = file->position;
    else if (whence == SEEK_END)
        error = file_size(file, &base);
    else if (whence != SEEK_SET)
        error = -EINVAL;
    if (!error && offset < -(int64_t)base)
        error = -EINVAL;
    if (!error && offset > INT64_MAX - (int64_t)base)
        error = -EOVERFLOW;
    if (error)
        return error;
    file->position = base + (uint64_t)offset;
    return (int64_t)file->position;
}

static int fuse_file_stat(void *object, struct stat *status)
{
    struct fuse_file *file = object;

    return fuse_get_status(file->volume, file->node, status);
}

static int fuse_file_truncate(void *object, int64_t size)
{
    struct fuse_file *file = object;

    return fuse_set_size(file->volume, file->node, file->handle, (uint64_t)size);
}

static int fuse_file_sync(void *object)
{
    struct fuse_file *file = object;

    return fuse_sync(file->volume, file->node, file->handle);
}

static int fuse_file_close(void *object)
{
    struct fuse_file *file = object;
    int error = fuse_release(file->volume, file->node, file->flags, file->handle);

    fuse_forget(file->volume, file->node);
    fuse_volume_put(file->volume);
    free(file);
    return error;
}

static const struct file_ops fuse_file_ops = {
    .read = fuse_file_read,
    .write = fuse_file_write,
    .seek = fuse_file_seek,
    .stat = fuse_file_stat,
    .truncate = fuse_file_truncate,
    .sync = fuse_file_sync,
    .close = fuse_file_close,
};

/* --- Opening ---------------------------------------------------------------------------------- */

static uint32_t wire_flags(int flags)
{
    int access = flags & O_ACCMODE;
    uint32_t wire = access == O_WRONLY ? FUSE_O_WRONLY : access == O_RDWR ? FUSE_O_RDWR : 0;

    return wire | (flags & O_APPEND ? FUSE_O_APPEND : 0);
}

/* Opens what is there already, and cuts it. */
static int open_found(struct fuse_file *file, const char *path, int flags)
{
    struct stat status;
    int error = fuse_walk(file->volume, path, true, &file->node, &status);

    if (error)
        return error;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        error = -EEXIST;
    else if (S_ISDIR(status.st_mode))
        error = -EISDIR;
    else
        error = fuse_open_node(file->volume, file->node, file->flags, &file->handle);
    if (!error && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) {
        error = fuse_set_size(file->volume, file->node, file->handle, 0);
        if (error)
            fuse_release(file->volume, file->node, file->flags, file->handle);
    }
    if (error)
        fuse_forget(file->volume, file->node);
    return error;
}

static int open_new(struct fuse_file *file, const char *path, int flags)
{
    uint32_t create = FUSE_O_CREAT | (flags & O_EXCL ? FUSE_O_EXCL : 0);
    struct fuse_node folder;
    const char *name;
    int error = fuse_walk_parent(file->volume, path, &folder, &name);

    if (error)
        return error;
    error =
        fuse_create(file->volume, folder, name, file->flags | create, &file->node, &file->handle);
    fuse_forget(file->volume, folder);
    return error;
}

int fuse_open(void *volume, const char *path, int flags, struct file_object *out)
{
    struct fuse_file *file = calloc(1, sizeof(*file));
    int error;

    if (!file)
        return -ENOMEM;
    file->volume = volume;
    file->flags = wire_flags(flags);
    error = open_found(file, path, flags);
    if (error == -ENOENT && (flags & O_CREAT))
        error = open_new(file, path, flags);
    if (error) {
        free(file);
        return error;
    }
    file->volume->open++;
    *out = (struct file_object){&fuse_file_ops, file};
    return 0;
}

/* --- Directories ------------------------------------------------------------------------------ */

/* Takes the next entry that was read ahead. -ENOENT for a name that no path can lead to. */
static int next_entry(struct fuse_directory *directory, struct fs_entry *entry)
{
    uint32_t left = directory->len - directory->at;
    const uint8_t *at = directory->entries + directory->at;
    struct fuse_dirent wire;
    size_t taken;

    if (left < sizeof(wire))
        return fuse_violation(directory->volume, "half an entry in a directory");
    memcpy(&wire, at, sizeof(wire));
    if (wire.namelen > left - sizeof(wire))
        return fuse_violation(directory->volume, "half a name in a directory");
    taken = (sizeof(wire) + wire.namelen + FUSE_DIRENT_ALIGN - 1) & ~(FUSE_DIRENT_ALIGN - 1ul);
    directory->at += taken < left ? (uint32_t)taken : left;
    directory->offset = wire.off;
    if (!wire.namelen || wire.namelen > FS_NAME_MAX)
        return -ENOENT;
    memcpy(entry->name, at + sizeof(wire), wire.namelen);
    entry->name[wire.namelen] = '\0';
    if (strlen(entry->name) != wire.namelen || strchr(entry->name, '/') ||
        !strcmp(entry->name, ".") || !strcmp(entry->name, ".."))
        return -ENOENT;
    /* What can be opened; a link leads somewhere or not. */
    return wire.type == FUSE_DT_DIR || wire.type == FUSE_DT_REG || wire.type == FUSE_DT_LNK ||
                   wire.type == FUSE_DT_UNKNOWN
               ? 0
               : -ENOENT;
}

/* What a link in the directory leads to. */
static int link_status(struct fuse_directory *directory, const char *name, struct stat *status)
{
    char path[FS_PATH_MAX];
    struct fuse_node node;
    size_t folder = strcmp(directory->path, "/") ? strlen(directory->path) : 0, len = strlen(name);
    int error;

    if (folder + 1 + len >= sizeof(path))
        return -ENOENT;
    memcpy(path, directory->path, folder);
    path[folder] = '/';
    memcpy(path + folder + 1, name, len + 1);
    error = fuse_walk(directory->volume, path, true, &node, status);
    if (!error)
        fuse_forget(directory->volume, node);
    return error;
}

/* Size and kind of an entry. -ENOENT when it cannot be shown: gone, a link to nowhere. */
static int entry_status(struct fuse_directory *directory, struct fs_entry *entry)
{
    struct fuse_node node;
    struct stat status;
    int error = fuse_lookup(directory->volume, directory->node, entry->name, strlen(entry->name),
                            &node, &status);

    if (!error) {
        fuse_forget(directory->volume, node);
        if (S_ISLNK(status.st_mode))
            error = link_status(directory, entry->name, &status);
    }
    if (error)
        return fuse_check(directory->volume, directory->node) ? error : -ENOENT;
    entry->mode = status.st_mode;
    entry->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? 0 : -ENOENT;
}

static int fuse_directory_read(void *object, struct fs_entry *entry)
{
    struct fuse_directory *directory = object;
    int error = 0;

    for (unsigned i = 0; !error && i < SKIPPED_MAX; i++) {
        if (directory->at == directory->len) {
            directory->at = 0;
            error = fuse_read_directory(directory->volume, directory->node, directory->handle,
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
    return fuse_violation(directory->volume, "a directory without an end");
}

static int fuse_directory_rewind(void *object)
{
    struct fuse_directory *directory = object;

    directory->offset = 0;
    directory->at = directory->len = 0;
    return fuse_check(directory->volume, directory->node);
}

static int fuse_directory_stat(void *object, struct stat *status)
{
    struct fuse_directory *directory = object;

    return fuse_get_status(directory->volume, directory->node, status);
}

static int fuse_directory_close(void *object)
{
    struct fuse_directory *directory = object;
    int error =
        fuse_release(directory->volume, directory->node, FUSE_O_DIRECTORY, directory->handle);

    fuse_forget(directory->volume, directory->node);
    fuse_volume_put(directory->volume);
    free(directory);
    return error;
}

static const struct file_ops fuse_directory_ops = {
    .stat = fuse_directory_stat,
    .read_entry = fuse_directory_read,
    .rewind = fuse_directory_rewind,
    .close = fuse_directory_close,
};

int fuse_open_directory(void *context, const char *path, struct file_object *out)
{
    struct fuse_volume *volume = context;
    struct fuse_directory *directory = calloc(1, sizeof(*directory));
    struct stat status;
    int error;

    if (!directory)
        return -ENOMEM;
    directory->volume = volume;
    strcpy(directory->path, path);
    error = fuse_walk(volume, path, true, &directory->node, &status);
    if (!error) {
        error = S_ISDIR(status.st_mode)
                    ? fuse_open_node(volume, directory->node, FUSE_O_DIRECTORY, &directory->handle)
                    : -ENOTDIR;
        if (error)
            fuse_forget(volume, directory->node);
    }
    if (error) {
        free(directory);
        return error;
    }
    volume->open++;
    *out = (struct file_object){&fuse_directory_ops, directory};
    return 0;
}
