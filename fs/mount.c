/*
 * mount.c - the mount table: from a path to the volume that holds it.
 *
 * Owns the normal form of paths and the table of mounted volumes, and hands each operation to the
 * volume's file system. It knows no file system and no device. Read fat.c next.
 */
#include <errno.h>
#include <string.h>

#include "fs/fs.h"

#define MOUNTS_MAX 8u

struct mount {
    const char *prefix; /* without a slash at the end, so "" is the root */
    size_t prefix_len;
    const struct fs_ops *ops;
    void *volume;
};

static struct mount mounts[MOUNTS_MAX];
static unsigned mount_count;

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
    mounts[mount_count++] = (struct mount){prefix, len, ops, volume};
    return 0;
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
        struct mount mount = mounts[--mount_count];
        int error = mount.ops->unmount(mount.volume);
        first_error = first_error ? first_error : error;
    }
    return first_error;
}

int fs_open(const char *path, int flags, struct file_object *file)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    return error ? error : mount->ops->open(mount->volume, inner, flags, file);
}

int fs_open_directory(const char *path, struct file_object *directory)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    return error ? error : mount->ops->open_directory(mount->volume, inner, directory);
}

int fs_stat(const char *path, struct stat *status)
{
    char plain[FS_PATH_MAX];
    const struct mount *mount;
    const char *inner;
    int error = mount_find(path, plain, &mount, &inner);
    return error ? error : mount->ops->stat(mount->volume, inner, status);
}

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
    return mount->ops->remove(mount->volume, inner, directory);
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
    return mount->ops->rename(mount->volume, inner_from, inner_to);
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
    return mount->ops->make_directory(mount->volume, inner);
}
