/*
 * ninep_internal.h - what ninep.c, ninep_file.c and ninep_rpc.c share, for them only.
 *
 * Owns the mounted share, and one function for each request of the protocol. All of them return 0
 * or a negative errno: the host's own, or -EIO when no sound answer came.
 */
#ifndef FERRULE_FS_NINEP_INTERNAL_H
#define FERRULE_FS_NINEP_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/ninep.h"
#include "fs/ninep_wire.h"

/* Open files, directories and walks under way at most. */
#define NINEP_FIDS 512u
#define NINEP_ROOT_FID 0u

/*
 * A session lasts from Tversion until the other side was reset or broke the protocol. Fids belong
 * to their session; the next operation on a path begins a new one.
 */
struct ninep_volume {
    struct ninep_transport *transport;
    uint32_t data_max; /* bytes of data in one message */
    unsigned session;  /* the number of the one that is open, or was last */
    bool attached;     /* there is one, unless ... */
    unsigned resets;   /* ... the transport's count differs from this */
    unsigned open;     /* files and directories */
    bool unmounted;
    unsigned complaints;             /* log lines about the other side so far */
    uint32_t fids[NINEP_FIDS / 32];  /* those in use, by bit */
    uint32_t stuck[NINEP_FIDS / 32]; /* whose end could not be sent: the other side has them */
};

/* A fid that is in use on the other side. */
struct ninep_fid {
    uint32_t number;
    unsigned session;
};

/* What a walk came to. */
struct ninep_walked {
    unsigned names; /* walked; when fewer than asked for there is no new fid */
    uint8_t type;   /* the qid type of the last one; P9_QTDIR when there was none */
};

/* Makes sure that there is a session. */
int ninep_session(struct ninep_volume *volume);
void ninep_session_end(struct ninep_volume *volume);

/* -EIO unless the fid's session is still open. */
int ninep_fid_check(struct ninep_volume *volume, struct ninep_fid fid);

/* Reserves a number for a walk; -ENFILE. ninep_fid_forget() when no fid came of it after all. */
int ninep_fid_new(struct ninep_volume *volume, struct ninep_fid *fid);
void ninep_fid_forget(struct ninep_volume *volume, struct ninep_fid fid);
/* Tclunk: the other side's fid is gone whatever it returns; the number stays reserved. */
int ninep_clunk(struct ninep_volume *volume, struct ninep_fid fid);
/* Both. */
int ninep_fid_drop(struct ninep_volume *volume, struct ninep_fid fid);

/*
 * Walks the first `names` parts of `path` ("a/b/c"; at most P9_MAXWELEM) from one fid to a new one,
 * or to itself.
 */
int ninep_walk(struct ninep_volume *volume, uint32_t from, uint32_t to, const char *path,
               unsigned names, struct ninep_walked *walked);

/* `flags` are P9_DOTL_*; *data_max becomes the most bytes that one message should carry. */
int ninep_open_fid(struct ninep_volume *volume, uint32_t fid, uint32_t flags, uint32_t *data_max);
int ninep_create(struct ninep_volume *volume, uint32_t fid, const char *name, uint32_t flags,
                 uint32_t *data_max);

/* *count: bytes asked for, at most the volume's data_max; then those transferred. */
int ninep_read(struct ninep_volume *volume, uint32_t fid, uint64_t offset, void *data,
               uint32_t *count);
int ninep_write(struct ninep_volume *volume, uint32_t fid, uint64_t offset, const void *data,
                uint32_t *count);

/* Entries as they come; `data` has room for NINEP_REPLY_SIZE bytes. *count 0: the end. */
int ninep_read_directory(struct ninep_volume *volume, uint32_t fid, uint64_t offset, void *data,
                         uint32_t *count);
int ninep_read_link(struct ninep_volume *volume, uint32_t fid, char target[FS_PATH_MAX]);

int ninep_get_status(struct ninep_volume *volume, uint32_t fid, struct stat *status);
int ninep_set_size(struct ninep_volume *volume, uint32_t fid, uint64_t size);
int ninep_sync_fid(struct ninep_volume *volume, uint32_t fid);
int ninep_make_directory(struct ninep_volume *volume, uint32_t fid, const char *name);
int ninep_unlink(struct ninep_volume *volume, uint32_t fid, const char *name, uint32_t flags);
int ninep_rename(struct ninep_volume *volume, uint32_t from_fid, const char *from, uint32_t to_fid,
                 const char *to);

/* The other side broke the protocol: said in the log, a few times, and ends the session. -EIO. */
int ninep_violation(struct ninep_volume *volume, const char *what);

/* --- ninep.c --- */

/* A file or directory was closed. It may have been what an unmounted volume waited for. */
void ninep_volume_put(struct ninep_volume *volume);

/* A fid for what `path` leads to; `follow`: through a symbolic link at its end, too. */
int ninep_lookup(struct ninep_volume *volume, const char *path, bool follow, struct ninep_fid *fid,
                 uint8_t *type);
/* A fid for the directory that `path` lies in; *name is its last part. */
int ninep_lookup_parent(struct ninep_volume *volume, const char *path, struct ninep_fid *fid,
                        const char **name);
int ninep_stat(void *volume, const char *path, struct stat *status);

/* --- ninep_file.c: fs_ops --- */

int ninep_open(void *volume, const char *path, int flags, struct file_object *file);
int ninep_open_directory(void *volume, const char *path, struct file_object *directory);

#endif
