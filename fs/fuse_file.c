/*
 * fuse_file.c - open files and directories of the host, behind FUSE.
 *
 * Owns nodes and handles, and the entries of a directory that were read ahead; positions are
 * share_file.c's. File data is not kept: it goes from the host straight into the caller's buffer and
 * back. An open object whose session has ended answers -EIO. Read virtio_fs.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse_internal.h"
#include "fs/share_file.h"

struct fuse_file {
    struct share_file shared;
    struct fuse_volume *volume;
    struct fuse_node node;
    uint64_t handle;
    uint32_t flags; /* FUSE_O_* */
};

struct fuse_directory {
    struct share_directory shared;
    struct fuse_volume *volume;
    struct fuse_node node;
    uint64_t handle;
    uint8_t entries[FUSE_REPLY_SIZE];
};

/* --- Files ------------------------------------------------------------------------------------ */

static int read_step(void *object, uint64_t position, void *data, uint32_t *count)
{
    struct fuse_file *file = object;

    return fuse_read(file->volume, file->node, file->handle, position, data, count);
}

static int write_step(void *object, uint64_t position, const void *data, uint32_t *count)
{
    struct fuse_file *file = object;

    return fuse_write(file->volume, file->node, file->handle, position, data, count);
}

static int file_size(void *object, uint64_t *size)
{
    struct fuse_file *file = object;
    struct stat status;
    int error = fuse_get_status(file->volume, file->node, &status);

    if (!error)
        *size = (uint64_t)status.st_size;
    return error;
}

static const struct share_file_ops shared_file_ops = {
    .read = read_step,
    .write = write_step,
    .size = file_size,
};

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
    .read = share_file_read,
    .write = share_file_write,
    .seek = share_file_seek,
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
    file->shared = (struct share_file){
        .ops = &shared_file_ops, .data_max = file->volume->data_max, .append = flags & O_APPEND};
    file->volume->open++;
    *out = (struct file_object){&fuse_file_ops, file};
    return 0;
}

/* --- Directories ------------------------------------------------------------------------------ */

static int directory_check(void *object)
{
    struct fuse_directory *directory = object;

    return fuse_check(directory->volume, directory->node);
}

static int directory_violation(void *object, const char *what)
{
    struct fuse_directory *directory = object;

    return fuse_violation(directory->volume, what);
}

static int read_ahead(void *object)
{
    struct fuse_directory *directory = object;

    return fuse_read_directory(directory->volume, directory->node, directory->handle,
                               directory->shared.offset, directory->entries,
                               &directory->shared.len);
}

static int take_entry(void *object, struct fs_entry *entry)
{
    struct fuse_directory *directory = object;
    uint32_t left = directory->shared.len - directory->shared.at;
    const uint8_t *at = directory->entries + directory->shared.at;
    struct fuse_dirent wire;
    size_t taken;

    if (left < sizeof(wire))
        return fuse_violation(directory->volume, "half an entry in a directory");
    memcpy(&wire, at, sizeof(wire));
    if (wire.namelen > left - sizeof(wire))
        return fuse_violation(directory->volume, "half a name in a directory");
    taken = (sizeof(wire) + wire.namelen + FUSE_DIRENT_ALIGN - 1) & ~(FUSE_DIRENT_ALIGN - 1ul);
    directory->shared.at += taken < left ? (uint32_t)taken : left;
    directory->shared.offset = wire.off;
    if (share_entry_name(entry, at + sizeof(wire), wire.namelen))
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
    int error = share_directory_path(&directory->shared, name, path);

    if (!error)
        error = fuse_walk(directory->volume, path, true, &node, status);
    if (!error)
        fuse_forget(directory->volume, node);
    return error;
}

static int entry_status(void *object, const char *name, struct stat *status)
{
    struct fuse_directory *directory = object;
    struct fuse_node node;
    int error = fuse_lookup(directory->volume, directory->node, name, strlen(name), &node, status);

    if (error)
        return error;
    fuse_forget(directory->volume, node);
    return S_ISLNK(status->st_mode) ? link_status(directory, name, status) : 0;
}

static const struct share_directory_ops shared_directory_ops = {
    .check = directory_check,
    .read_ahead = read_ahead,
    .take_entry = take_entry,
    .entry_status = entry_status,
    .violation = directory_violation,
};

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
    .read_entry = share_directory_read,
    .rewind = share_directory_rewind,
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
    directory->shared.ops = &shared_directory_ops;
    strcpy(directory->shared.path, path);
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
