/*
 * mount.c - the mount table: from a path to the volume that holds it.
 *
 * Owns the normal form of paths and the table of mounted volumes, and hands each operation to the
 * volume's file system. A folder that leads to a mount shows it, whether or not the volume around
 * it has such a folder. It knows no file system and no device. Read fat.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"

#define MOUNTS_MAX 8u

struct mount {
    char prefix[FS_PATH_MAX]; /* without a slash at the end, so "" is the root */
    size_t prefix_len;
    const struct fs_ops *ops;
    void *volume;
};

static struct mount mounts[MOUNTS_MAX];
static unsigned mount_count;
static uint64_t changes;

uint64_t fs_changes(void)
{
    return changes;
}

void fs_note_change(void)
{
    changes++;
}

int fs_normalise(const char *path, char plain[FS_PATH_MAX])
{
    size_t len = 0;
    if (!*path)
        return -ENOENT;
    for (;;) {
        path += strspn(path, "/");
        size_t part = strcspn(path, "/");
        if (!part)
            break;
        if (part == 2 && path[0] == '.' && path[1] == '.') {
            while (len && plain[--len] != '/')
                ;
        } else if (part != 1 || path[0] != '.') {
            if (part > FS_NAME_MAX || len + 1 + part >= FS_PATH_MAX)
                return -ENAMETOOLONG;
            plain[len] = '/';
            memcpy(plain + len + 1, path, part);
            len += 1 + part;
        }
        path += part;
    }
    if (!len)
        plain[len++] = '/';
    plain[len] = '\0';
    return 0;
}

/* True when `path` is the mount's root or lies below it; "/data" does not hold "/database". */
static bool mount_holds(const struct mount *mount, const char *path)
{
    if (strncmp(path, mount->prefix, mount->prefix_len))
        return false;
    char after = path[mount->prefix_len];
    return after == '/' || after == '\0';
}

/*
 * Normalises `path` into `plain` and finds its mount; *inner is the rest of the path within the
 * volume.
 */
static int mount_find(const char *path, char plain[FS_PATH_MAX], const struct mount **found,
                      const char **inner)
{
    if (!path)
        return -EFAULT;
    int error = fs_normalise(path, plain);
    if (error)
        return error;
    const struct mount *best = NULL;
    for (unsigned i = 0; i < mount_count; i++) {
        if (mount_holds(&mounts[i], plain) && (!best || mounts[i].prefix_len > best->prefix_len))
            best = &mounts[i];
    }
    if (!best)
        return -ENODEV;
    *found = best;
    *inner = plain[best->prefix_len] ? plain + best->prefix_len : "/";
    return 0;
}

int fs_mount(const char *prefix, const struct fs_ops *ops, void *volume)
{
    size_t len = strlen(prefix);
    while (len && prefix[len - 1] == '/')
        len--;
    for (unsigned i = 0; i < mount_count; i++) {
        if (mounts[i].prefix_len == len && !strncmp(mounts[i].prefix, prefix, len))
            return -EBUSY;
    }
    if (mount_count == MOUNTS_MAX)
        return -ENOSPC;
    if (len >= FS_PATH_MAX)
        return -ENAMETOOLONG;
    fs_note_change();
    struct mount *mount = &mounts[mount_count++];
    *mount = (struct mount){.prefix_len = len, .ops = ops, .volume = volume};
    memcpy(mount->prefix, prefix, len);
    return 0;
}

const char *fs_type(const char *path)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    return mount_find(path, plain, &mount, &inner) ? NULL : mount->ops->name;
}

bool fs_is_shared(const char *path)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    return mount_find(path, plain, &mount, &inner) == 0 && mount->ops->is_shared;
}

bool fs_is_mount(const char *path)
{
    const char *prefix = strcmp(path, "/") ? path : "";
    for (unsigned i = 0; i < mount_count; i++) {
        if (!strcmp(mounts[i].prefix, prefix))
            return true;
    }
    return false;
}

void fs_unmount_from(const void *device)
{
    for (unsigned i = 0; i < mount_count;) {
        const struct fs_ops *ops = mounts[i].ops;
        void *volume = mounts[i].volume;
        if (!ops->is_on || !ops->is_on(volume, device)) {
            i++;
            continue;
        }
        mount_count--;
        memmove(&mounts[i], &mounts[i + 1], (mount_count - i) * sizeof(mounts[0]));
        ops->unmount(volume);
        fs_note_change();
    }
}

int fs_sync_all(void)
{
    int first_error = 0;
    for (unsigned i = 0; i < mount_count; i++) {
        int error = mounts[i].ops->sync(mounts[i].volume);
        first_error = first_error ? first_error : error;
    }
    return first_error;
}

int fs_unmount_all(void)
{
    int first_error = 0;
    while (mount_count) {
        const struct mount *mount = &mounts[--mount_count];
        int error = mount->ops->unmount(mount->volume);
        first_error = first_error ? first_error : error;
    }
    fs_note_change();
    return first_error;
}

int fs_open(const char *path, int flags, struct file_object *file)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    if (error)
        return error;
    error = mount->ops->open(mount->volume, inner, flags, file);
    if ((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY)
        fs_note_change();
    return error;
}

/* --- Folders that lead to mounts -------------------------------------------------------------- */

/* Such a folder, open: what the volume has in it, then the mounts. */
struct folder {
    struct file_object volume_folder; /* ops is NULL when the volume has none, or no more to show */
    unsigned next;                    /* the mount to look at next */
    size_t path_len;
    char path[FS_PATH_MAX]; /* without a slash at the end */
};

/*
 * When mount `i` lies below the path: the length of the next part of the way there, which starts at
 * *name. 0 otherwise.
 */
static size_t mount_below(unsigned i, const char *path, size_t path_len, const char **name)
{
    const struct mount *mount = &mounts[i];
    if (mount->prefix_len <= path_len + 1 || strncmp(mount->prefix, path, path_len) ||
        mount->prefix[path_len] != '/')
        return 0;
    *name = mount->prefix + path_len + 1;
    return strcspn(*name, "/");
}

/* True when one of the first `count` mounts is reached by this name in the folder. */
static bool is_way_to_mount(const char *path, size_t path_len, unsigned count, const char *name,
                            size_t len)
{
    const char *other;
    for (unsigned i = 0; i < count; i++) {
        if (mount_below(i, path, path_len, &other) == len && !strncmp(name, other, len))
            return true;
    }
    return false;
}

static bool leads_to_mount(const char *plain)
{
    const char *name;
    size_t len = strcmp(plain, "/") ? strlen(plain) : 0;
    for (unsigned i = 0; i < mount_count; i++) {
        if (mount_below(i, plain, len, &name))
            return true;
    }
    return false;
}

static void folder_status(struct stat *status)
{
    memset(status, 0, sizeof(*status));
    status->st_mode = S_IFDIR | 0555;
    status->st_nlink = 1;
}

static int folder_read_entry(void *object, struct fs_entry *entry)
{
    struct folder *folder = object;
    const struct file_object *inner = &folder->volume_folder;
    while (inner->ops && !folder->next) {
        int found = inner->ops->read_entry(inner->object, entry);
        if (found < 0)
            return found;
        if (!found)
            break;
        if (!is_way_to_mount(folder->path, folder->path_len, mount_count, entry->name,
                             strlen(entry->name)))
            return 1;
    }
    while (folder->next < mount_count) {
        const char *name;
        unsigned i = folder->next++;
        size_t len = mount_below(i, folder->path, folder->path_len, &name);
        if (!len || is_way_to_mount(folder->path, folder->path_len, i, name, len))
            continue;
        memcpy(entry->name, name, len);
        entry->name[len] = '\0';
        entry->mode = S_IFDIR | 0555;
        entry->size = 0;
        return 1;
    }
    return 0;
}

static int folder_rewind(void *object)
{
    struct folder *folder = object;
    const struct file_object *inner = &folder->volume_folder;
    folder->next = 0;
    return inner->ops ? inner->ops->rewind(inner->object) : 0;
}

static int folder_stat(void *object, struct stat *status)
{
    struct folder *folder = object;
    const struct file_object *inner = &folder->volume_folder;
    if (inner->ops)
        return inner->ops->stat(inner->object, status);
    folder_status(status);
    return 0;
}

static int folder_close(void *object)
{
    struct folder *folder = object;
    const struct file_object *inner = &folder->volume_folder;
    int error = inner->ops ? inner->ops->close(inner->object) : 0;
    free(folder);
    return error;
}

static const struct file_ops folder_ops = {
    .stat = folder_stat,
    .read_entry = folder_read_entry,
    .rewind = folder_rewind,
    .close = folder_close,
};

/* `inner` becomes part of the folder; its ops are NULL when the volume has no such folder. */
static int open_folder(const char *plain, const struct file_object *inner, struct file_object *out)
{
    struct folder *folder = malloc(sizeof(*folder));
    if (!folder)
        return -ENOMEM;
    folder->volume_folder = *inner;
    folder->next = 0;
    folder->path_len = strcmp(plain, "/") ? strlen(plain) : 0;
    strcpy(folder->path, plain);
    *out = (struct file_object){&folder_ops, folder};
    return 0;
}

int fs_open_directory(const char *path, struct file_object *directory)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    struct file_object found = {0};
    int error = mount_find(path, plain, &mount, &inner);
    if (error && error != -ENODEV)
        return error;
    if (!error)
        error = mount->ops->open_directory(mount->volume, inner, &found);
    if ((!error || error == -ENOENT || error == -ENODEV) && leads_to_mount(plain)) {
        int folder_error = open_folder(plain, &found, directory);
        if (folder_error && !error)
            found.ops->close(found.object);
        return folder_error;
    }
    if (!error)
        *directory = found;
    return error;
}

int fs_stat(const char *path, struct stat *status)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    if (error && error != -ENODEV)
        return error;
    if (!error)
        error = mount->ops->stat(mount->volume, inner, status);
    if ((error == -ENOENT || error == -ENODEV) && leads_to_mount(plain)) {
        folder_status(status);
        return 0;
    }
    return error;
}

/* --- Changes ---------------------------------------------------------------------------------- */

int fs_remove(const char *path, bool directory)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    if (error)
        return error;
    if (!strcmp(inner, "/"))
        return -EBUSY;
    error = mount->ops->remove(mount->volume, inner, directory);
    fs_note_change();
    return error;
}

int fs_rename(const char *from, const char *to)
{
    char plain_from[FS_PATH_MAX], plain_to[FS_PATH_MAX];
    const struct mount *mount, *mount_to;
    const char *inner_from, *inner_to;
    int error = mount_find(from, plain_from, &mount, &inner_from);
    if (!error)
        error = mount_find(to, plain_to, &mount_to, &inner_to);
    if (error)
        return error;
    if (mount != mount_to)
        return -EXDEV;
    if (!strcmp(inner_from, "/") || !strcmp(inner_to, "/"))
        return -EBUSY;
    error = mount->ops->rename(mount->volume, inner_from, inner_to);
    fs_note_change();
    return error;
}

int fs_make_directory(const char *path)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    if (error)
        return error;
    if (!strcmp(inner, "/"))
        return -EEXIST;
    error = mount->ops->make_directory(mount->volume, inner);
    fs_note_change();
    return error;
}
