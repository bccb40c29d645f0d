/*
 * fs.h - between files as an application sees them and the file systems that hold them.
 *
 * Owns three contracts: file_ops (an open file, directory, console or socket), fs_ops (one
 * type of file system: a new one is one more file that fills this table) and the mount table that
 * leads from an absolute path to a mounted volume. It does not own descriptors (libc/files.h) or
 * FAT (fat.h). Every function that can fail returns a negative errno. Loop context only.
 */
#ifndef FERRULE_FS_FS_H
#define FERRULE_FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define FS_PATH_MAX 1024u /* bytes of a path with its NUL */
#define FS_NAME_MAX 765u  /* bytes of one name: 255 UTF-16 units as UTF-8 */

/* One name in a directory. */
struct fs_entry {
    char name[FS_NAME_MAX + 1];
    mode_t mode; /* S_IFDIR or S_IFREG with permissions */
    uint64_t size;
};

/*
 * What can be done with an open object; `object` is what open() gave out. An absent function means
 * that the object cannot do it, and the caller chooses the errno. read, write and seek move the
 * object's own position.
 */
struct file_ops {
    /* Bytes transferred, 0 at the end of the file. Fewer than asked is no error. */
    ssize_t (*read)(void *object, void *data, size_t count);
    ssize_t (*write)(void *object, const void *data, size_t count);
    /* The new position. Beyond the end is allowed and changes nothing yet. */
    int64_t (*seek)(void *object, int64_t offset, int whence);
    int (*stat)(void *object, struct stat *status);
    int (*truncate)(void *object, int64_t size);
    /* Until it returns 0, written data may be lost with the power. */
    int (*sync)(void *object);
    /* The next name of a directory: 1, or 0 at its end. `.` and `..` are left out. */
    int (*read_entry)(void *object, struct fs_entry *entry);
    int (*rewind)(void *object);
    /*
     * For poll(): which of POLLIN, POLLOUT and the others hold now; whenever that changes the object
     * calls file_changed() (libc/files.h). Absent: always ready.
     */
    unsigned (*poll)(void *object);
    /* For FIONREAD: how many bytes read() would give at once. */
    int (*readable)(void *object, size_t *bytes);
    /* O_NONBLOCK was set or cleared. Absent: it makes no difference. */
    void (*set_nonblocking)(void *object, bool on);
    /* Frees the object, whatever it returns. */
    int (*close)(void *object);
};

struct file_object {
    const struct file_ops *ops;
    void *object;
};

/*
 * One type of file system. Paths are absolute within the volume, normalised (fs_normalise) and
 * begin with '/'; the root is "/".
 */
struct fs_ops {
    const char *name;
    bool is_shared; /* somebody else may change it at any time */
    /*
     * `flags` are open()'s: O_ACCMODE, O_CREAT, O_EXCL, O_TRUNC, O_APPEND. -EISDIR for a directory.
     */
    int (*open)(void *volume, const char *path, int flags, struct file_object *file);
    int (*open_directory)(void *volume, const char *path, struct file_object *directory);
    int (*stat)(void *volume, const char *path, struct stat *status);
    /* `directory`: remove an empty directory, else anything but a directory. */
    int (*remove)(void *volume, const char *path, bool directory);
    /* Takes the place of a file that has the new name. */
    int (*rename)(void *volume, const char *from, const char *to);
    int (*make_directory)(void *volume, const char *path);
    int (*sync)(void *volume);
    /*
     * Ends use of the volume, whatever it returns. Files of it that are still open end every call
     * with an error from now on; its memory goes with the last of them.
     */
    int (*unmount)(void *volume);
    /* Does the volume lie on this device (a struct blk_device or a share's transport)? */
    bool (*is_on)(const void *volume, const void *device);
};

/*
 * Makes `path` absolute and plain: relative ones start at the root, "." and empty parts vanish,
 * ".." takes the part before it away and stays in the root. By text only. -ENOENT for "",
 * -ENAMETOOLONG when the result or one part of it is too long.
 */
int fs_normalise(const char *path, char plain[FS_PATH_MAX]);

/*
 * Puts a volume at `prefix` ("/" or an absolute path). -EBUSY: taken; -ENOSPC: table full. From then
 * on the table owns the volume.
 */
int fs_mount(const char *prefix, const struct fs_ops *ops, void *volume);

/* The type of the volume that holds a path ("fat", "littlefs", "9p", "virtiofs"), or NULL. */
const char *fs_type(const char *path);

/*
 * For who keeps what was read: a number that is another one after anything that may have changed a
 * file, as far as this machine did it. A volume that others change, too, is shared.
 */
uint64_t fs_changes(void);
bool fs_is_shared(const char *path);

/* Something was written, through an open file (libc/files.c). */
void fs_note_change(void);

/* Is something mounted at exactly this path, which is normalised? */
bool fs_is_mount(const char *path);

/* Unmounts what lies on a device that leaves. */
void fs_unmount_from(const void *device);

/* Syncs all volumes; the first error. */
int fs_sync_all(void);

/* Unmounts all, the last one first; the first error. */
int fs_unmount_all(void);

/*
 * The operations by path, for any path an application gives: it is normalised, and the mount with
 * the longest fitting prefix does it. -ENODEV when nothing is mounted there, -EXDEV for a rename
 * between volumes, -EROFS and others from the file system. A folder on the way to a mount is listed
 * with it, and is there even if the volume around has none.
 */
int fs_open(const char *path, int flags, struct file_object *file);
int fs_open_directory(const char *path, struct file_object *directory);
int fs_stat(const char *path, struct stat *status);
int fs_remove(const char *path, bool directory);
int fs_rename(const char *from, const char *to);
int fs_make_directory(const char *path);

/*
 * Bring-up: mounts the shares of the host where the kernel words `root=`, `9p.TAG=` and
 * `virtiofs.TAG=` say, or else
 * at /mnt/TAG; then disks as `format=`, `mount=` and `root=` say, and without `root=` the first one
 * that holds a volume at "/" (disks.h). Says in one log line each what it found and why something
 * is not used. -ENODEV when nothing is at "/". From then on disks and shares that leave are
 * unmounted, and those that are plugged in are mounted as at bring-up.
 */
int fs_init(void);

/*
 * The end: closes what is open, writes everything back and unmounts. Harmless twice, or without
 * fs_init().
 */
void fs_shutdown(void);

#endif
