/*
 * share_file.c - positions in files of the host, and the way through its directories.
 *
 * Owns the loops over messages of limited size, and the bound on entries that are not shown. It
 * sends nothing itself and keeps no data: ninep_file.c and fuse_file.c do one message at a time.
 */
#include "fs/share_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Entries in a row that are not shown. A directory can have many; a host can send them for ever. */
#define SKIPPED_MAX 100000u

/* --- Files ------------------------------------------------------------------------------------ */

static uint32_t step_of(const struct share_file *file, size_t left)
{
    return left < file->data_max ? (uint32_t)left : file->data_max;
}

ssize_t share_file_read(void *object, void *data, size_t count)
{
    struct share_file *file = object;
    size_t done = 0;
    int error = 0;

    while (done < count) {
        uint32_t wanted = step_of(file, count - done), got = wanted;

        error = file->ops->read(file, file->position, (char *)data + done, &got);
        if (error)
            break;
        done += got;
        file->position += got;
        if (got < wanted)
            break;
    }
    return done ? (ssize_t)done : error;
}

ssize_t share_file_write(void *object, const void *data, size_t count)
{
    struct share_file *file = object;
    size_t done = 0;
    int error = file->append ? file->ops->size(file, &file->position) : 0;

    if (!error && file->position > (uint64_t)INT64_MAX - count)
        error = -EFBIG;
    while (!error && done < count) {
        uint32_t moved = step_of(file, count - done);

        error = file->ops->write(file, file->position, (const char *)data + done, &moved);
        if (!error && !moved)
            error = -ENOSPC;
        if (error)
            break;
        done += moved;
        file->position += moved;
    }
    return done ? (ssize_t)done : error;
}

int64_t share_file_seek(void *object, int64_t offset, int whence)
{
    struct share_file *file = object;
    uint64_t base = 0;
    int error = 0;

    if (whence == SEEK_CUR)
        base = file->position;
    else if (whence == SEEK_END)
        error = file->ops->size(file, &base);
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

/* --- Directories ------------------------------------------------------------------------------ */

int share_entry_name(struct fs_entry *entry, const void *name, uint32_t len)
{
    if (!len || len > FS_NAME_MAX)
        return -ENOENT;
    memcpy(entry->name, name, len);
    entry->name[len] = '\0';
    return strlen(entry->name) != len || strchr(entry->name, '/') || !strcmp(entry->name, ".") ||
                   !strcmp(entry->name, "..")
               ? -ENOENT
               : 0;
}

int share_directory_path(const struct share_directory *directory, const char *name,
                         char path[FS_PATH_MAX])
{
    size_t folder = strcmp(directory->path, "/") ? strlen(directory->path) : 0, len = strlen(name);

    if (folder + 1 + len >= FS_PATH_MAX)
        return -ENOENT;
    memcpy(path, directory->path, folder);
    path[folder] = '/';
    memcpy(path + folder + 1, name, len + 1);
    return 0;
}

/* Size and kind of an entry. -ENOENT when it cannot be shown: gone, a link to nowhere. */
static int describe(struct share_directory *directory, struct fs_entry *entry)
{
    struct stat status;
    int error = directory->ops->entry_status(directory, entry->name, &status);

    if (error)
        return directory->ops->check(directory) ? error : -ENOENT;
    entry->mode = status.st_mode;
    entry->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? 0 : -ENOENT;
}

int share_directory_read(void *object, struct fs_entry *entry)
{
    struct share_directory *directory = object;
    int error = 0;

    for (unsigned i = 0; !error && i < SKIPPED_MAX; i++) {
        if (directory->at == directory->len) {
            directory->at = 0;
            error = directory->ops->read_ahead(directory);
            if (error || !directory->len)
                break;
        }
        error = directory->ops->take_entry(directory, entry);
        if (!error)
            error = describe(directory, entry);
        if (!error)
            return 1;
        if (error == -ENOENT)
            error = 0;
    }
    if (error || !directory->len) {
        directory->at = directory->len = 0;
        return error;
    }
    return directory->ops->violation(directory, "a directory without an end");
}

int share_directory_rewind(void *object)
{
    struct share_directory *directory = object;

    directory->offset = 0;
    directory->at = directory->len = 0;
    return directory->ops->check(directory);
}
