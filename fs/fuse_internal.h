/*
 * fuse_internal.h - what fuse.c, fuse_file.c and fuse_rpc.c share, for them only.
 *
 * Owns the mounted share, and one function for each request of the protocol. All of them return 0
 * or a negative errno: the host's own, or -EIO when no sound answer came.
 */
#ifndef FERRULE_FS_FUSE_INTERNAL_H
#define FERRULE_FS_FUSE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/fuse.h"
#include "fs/fuse_wire.h"

/*
 * A session lasts from INIT until the other side was reset or broke the protocol. Nodes and handles
 * belong to their session; the next operation on a path begins a new one.
 */
struct fuse_volume {
    struct fuse_transport *transport;
    uint32_t data_max; /* bytes of data in one message */
    uint64_t unique;   /* of the last request */
    unsigned session;  /* the number of the one that is open, or was last */
    bool attached;     /* there is one, unless ... */
    unsigned resets;   /* ... the transport's count differs from this */
    unsigned open;     /* files and directories */
    bool unmounted;
    unsigned complaints; /* log lines about the other side so far */
};

/* A file or directory that the other side keeps for us until fuse_forget(). */
struct fuse_node {
    uint64_t id;
    unsigned session;
};

/* Makes sure that there is a session. */
int fuse_session(struct fuse_volume *volume);
void fuse_session_end(struct fuse_volume *volume);
/* Tells the other side that there will be no more requests. */
int fuse_destroy(struct fuse_volume *volume);

/* -EIO unless the node's session is still open. */
int fuse_check(const struct fuse_volume *volume, struct fuse_node node);

/* The node of a name in a directory, and its status. The name has `len` bytes. */
int fuse_lookup(struct fuse_volume *volume, struct fuse_node folder, const char *name, size_t len,
                struct fuse_node *node, struct stat *status);
/* Takes one lookup back. Harmless for the root and for nodes of an earlier session. */
void fuse_forget(struct fuse_volume *volume, struct fuse_node node);

int fuse_get_status(struct fuse_volume *volume, struct fuse_node node, struct stat *status);
int fuse_set_size(struct fuse_volume *volume, struct fuse_node node, uint64_t handle,
                  uint64_t size);
int fuse_read_link(struct fuse_volume *volume, struct fuse_node node, char target[FS_PATH_MAX]);

/* `flags` are FUSE_O_*; with FUSE_O_DIRECTORY a directory is opened. */
int fuse_open_node(struct fuse_volume *volume, struct fuse_node node, uint32_t flags,
                   uint64_t *handle);
int fuse_release(struct fuse_volume *volume, struct fuse_node node, uint32_t flags,
                 uint64_t handle);
/* Makes a file in a directory and opens it. */
int fuse_create(struct fuse_volume *volume, struct fuse_node folder, const char *name,
                uint32_t flags, struct fuse_node *node, uint64_t *handle);

/* *count: bytes asked for, at most the volume's data_max; then those transferred. */
int fuse_read(struct fuse_volume *volume, struct fuse_node node, uint64_t handle, uint64_t offset,
              void *data, uint32_t *count);
int fuse_write(struct fuse_volume *volume, struct fuse_node node, uint64_t handle, uint64_t offset,
               const void *data, uint32_t *count);
int fuse_sync(struct fuse_volume *volume, struct fuse_node node, uint64_t handle);

/* Entries as they come; `data` has room for FUSE_REPLY_SIZE bytes. *count 0: the end. */
int fuse_read_directory(struct fuse_volume *volume, struct fuse_node node, uint64_t handle,
                        uint64_t offset, void *data, uint32_t *count);

int fuse_make_directory(struct fuse_volume *volume, struct fuse_node folder, const char *name);
int fuse_unlink(struct fuse_volume *volume, struct fuse_node folder, const char *name,
                bool directory);
int fuse_rename(struct fuse_volume *volume, struct fuse_node from_folder, const char *from,
                struct fuse_node to_folder, const char *to);

/* The other side broke the protocol: said in the log, a few times, and ends the session. -EIO. */
int fuse_violation(struct fuse_volume *volume, const char *what);

/* --- fuse.c --- */

/* A file or directory was closed. It may have been what an unmounted volume waited for. */
void fuse_volume_put(struct fuse_volume *volume);

/* The node that `path` leads to; `follow`: through a symbolic link at its end, too. */
int fuse_walk(struct fuse_volume *volume, const char *path, bool follow, struct fuse_node *node,
              struct stat *status);
/* The node of the directory that `path` lies in; *name is its last part. */
int fuse_walk_parent(struct fuse_volume *volume, const char *path, struct fuse_node *node,
                     const char **name);

/* --- fuse_file.c: fs_ops --- */

int fuse_open(void *volume, const char *path, int flags, struct file_object *file);
int fuse_open_directory(void *volume, const char *path, struct file_object *directory);

#endif
