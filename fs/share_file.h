/*
 * share_file.h - what open files and directories of the host have in common, whichever protocol
 * leads there (ninep_file.c, fuse_file.c).
 *
 * Owns a file's position and its way through messages of limited size, and how a directory is read
 * to its end. Handles, sessions and what messages say are the protocol's. Each of the two structs is
 * the first member of the protocol's own one, which is what the protocol's functions are given and
 * what file_ops know as the object. Read fs.h first, ninep_file.c next.
 */
#ifndef FERRULE_FS_SHARE_FILE_H
#define FERRULE_FS_SHARE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "fs/fs.h"

/* --- Files ------------------------------------------------------------------------------------ */

/* One message each; 0 or a negative errno. */
struct share_file_ops {
    /* *count: bytes asked for, at most data_max; then those transferred. */
    int (*read)(void *file, uint64_t position, void *data, uint32_t *count);
    int (*write)(void *file, uint64_t position, const void *data, uint32_t *count);
    int (*size)(void *file, uint64_t *size);
};

struct share_file {
    const struct share_file_ops *ops;
    uint32_t data_max; /* bytes of data in one message */
    bool append;
    uint64_t position;
};

/* As in file_ops. */
ssize_t share_file_read(void *file, void *data, size_t count);
ssize_t share_file_write(void *file, const void *data, size_t count);
int64_t share_file_seek(void *file, int64_t offset, int whence);

/* --- Directories ------------------------------------------------------------------------------ */

struct share_directory_ops {
    /* -EIO unless the directory's session is still open. */
    int (*check)(void *directory);
    /* Reads entries ahead from `offset` on and sets `len`; 0: the end. */
    int (*read_ahead)(void *directory);
    /* Takes the entry at `at`, name only, and moves on. -ENOENT: it is not to be shown. */
    int (*take_entry)(void *directory, struct fs_entry *entry);
    /* The status of a name in the directory, or of what it leads to. */
    int (*entry_status)(void *directory, const char *name, struct stat *status);
    /* The other side broke the protocol; -EIO. */
    int (*violation)(void *directory, const char *what);
};

struct share_directory {
    const struct share_directory_ops *ops;
    uint64_t offset;  /* where the host goes on, in its own terms */
    uint32_t len, at; /* of the entries that were read ahead */
    char path[FS_PATH_MAX];
};

/* As in file_ops. */
int share_directory_read(void *directory, struct fs_entry *entry);
int share_directory_rewind(void *directory);

/* The path of a name in the directory. -ENOENT when it is too long to be one. */
int share_directory_path(const struct share_directory *directory, const char *name,
                         char path[FS_PATH_MAX]);

/* Gives an entry its name of `len` bytes. -ENOENT for one that no path can lead to. */
int share_entry_name(struct fs_entry *entry, const void *name, uint32_t len);

#endif
