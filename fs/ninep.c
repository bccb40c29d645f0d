/*
 * ninep.c - a directory of the host as one of the file systems behind fs.h.
 *
 * Owns mounting and everything that works by path: walks, symbolic links, changes to directories.
 * Open files are ninep_file.c's, messages ninep_rpc.c's. The host's file system has the last word on
 * names, permissions and errors. Links are followed here, within the share: one that is absolute
 * starts at the share's root. Read ninep_file.c next.
 */
#include "fs/ninep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ninep_internal.h"
#include "log.h"

/* Symbolic links on the way to one file. */
#define LINKS_MAX 8u

/* --- Paths ------------------------------------------------------------------------------------ */

/* Where the walk along a path stands. */
struct progress {
    size_t reached; /* bytes of the path, as far as it was walked */
    uint8_t type;   /* of what lies there */
    bool complete;  /* then there is a fid for it */
};

/* The bytes of `names` parts, and of the slashes in between. */
static size_t parts_len(const char *path, unsigned names)
{
    size_t len = 0;
    while (names--) {
        len += strcspn(path + len, "/");
        if (names && path[len] == '/')
            len++;
    }
    return len;
}

static unsigned parts_count(const char *path)
{
    unsigned count = 0;
    for (; *path && count < P9_MAXWELEM; count++) {
        path += strcspn(path, "/");
        path += *path == '/';
    }
    return count;
}

/* Walks `path` from the root to `fid`, as far as it goes, in steps of P9_MAXWELEM names. */
static int walk_path(struct ninep_volume *volume, const char *path, uint32_t fid,
                     struct progress *progress)
{
    struct ninep_walked walked;
    uint32_t from = NINEP_ROOT_FID;
    *progress = (struct progress){0, P9_QTDIR, false};
    do {
        const char *rest = path + progress->reached;
        rest += *rest == '/';
        unsigned names = parts_count(rest);
        int error = ninep_walk(volume, from, fid, rest, names, &walked);
        /* The first name of a walk is refused with an error, a later one by going less far. */
        if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP)
            walked.names = 0;
        else if (error)
            return error;
        if (walked.names) {
            progress->reached = (size_t)(rest - path) + parts_len(rest, walked.names);
            progress->type = walked.type;
        }
        if (error || walked.names < names) {
            return from == fid ? ninep_clunk(volume, (struct ninep_fid){fid, volume->session}) : 0;
        }
        from = fid;
    } while (path[progress->reached] && path[progress->reached + 1]);
    progress->complete = true;
    return 0;
}

/*
 * Puts a link's target in the place of the link, which is the first `len` bytes of `path` and where
 * `fid` stands.
 */
static int replace_link(struct ninep_volume *volume, uint32_t fid, char path[FS_PATH_MAX],
                        size_t len)
{
    char target[FS_PATH_MAX], joined[3 * FS_PATH_MAX];
    int error = ninep_read_link(volume, fid, target);
    if (error)
        return error;
    size_t folder = 0;
    if (target[0] != '/') {
        for (folder = len; folder && path[folder - 1] != '/'; folder--)
            ;
    }
    memcpy(joined, path, folder);
    size_t target_len = strlen(target);
    memcpy(joined + folder, target, target_len);
    strcpy(joined + folder + target_len, path + len);
    return fs_normalise(joined, path);
}

/* Follows the link at `path`'s first `len` bytes; the walk there was part of a longer one. */
static int follow_link(struct ninep_volume *volume, struct ninep_fid fid, char path[FS_PATH_MAX],
                       size_t len)
{
    char link[FS_PATH_MAX];
    struct progress progress;
    memcpy(link, path, len);
    link[len] = '\0';
    int error = walk_path(volume, link, fid.number, &progress);
    if (!error && !progress.complete)
        error = -ENOENT;
    if (error)
        return error;
    error = replace_link(volume, fid.number, path, len);
    int clunk_error = ninep_clunk(volume, fid);
    return error ? error : clunk_error;
}

/* ninep_lookup() with a number for the fid, which has been used on success only. */
static int lookup_with(struct ninep_volume *volume, const char *path, bool follow,
                       struct ninep_fid fid, uint8_t *type)
{
    char plain[FS_PATH_MAX];
    struct progress progress;
    strcpy(plain, path);
    for (unsigned links = 0; links <= LINKS_MAX; links++) {
        int error = walk_path(volume, plain, fid.number, &progress);
        if (error)
            return error;
        bool link = progress.type & P9_QTSYMLINK;
        if (progress.complete && !(link && follow)) {
            *type = progress.type;
            return 0;
        }
        if (!progress.complete && !link)
            return progress.type & P9_QTDIR ? -ENOENT : -ENOTDIR;
        if (progress.complete)
            error = ninep_clunk(volume, fid);
        if (!error)
            error = follow_link(volume, fid, plain, progress.reached);
        if (error)
            return error;
    }
    return -ELOOP;
}

int ninep_lookup(struct ninep_volume *volume, const char *path, bool follow, struct ninep_fid *fid,
                 uint8_t *type)
{
    int error = ninep_session(volume);
    if (!error)
        error = ninep_fid_new(volume, fid);
    if (error)
        return error;
    error = lookup_with(volume, path, follow, *fid, type);
    if (error)
        ninep_fid_forget(volume, *fid);
    return error;
}

int ninep_lookup_parent(struct ninep_volume *volume, const char *path, struct ninep_fid *fid,
                        const char **name)
{
    char parent[FS_PATH_MAX];
    uint8_t type;
    const char *slash = strrchr(path, '/');
    size_t len = (size_t)(slash - path);
    memcpy(parent, path, len);
    strcpy(parent + len, len ? "" : "/");
    *name = slash + 1;
    int error = ninep_lookup(volume, parent, true, fid, &type);
    if (error || (type & P9_QTDIR))
        return error;
    ninep_fid_drop(volume, *fid);
    return -ENOTDIR;
}

/* --- By path ---------------------------------------------------------------------------------- */

int ninep_stat(void *context, const char *path, struct stat *status)
{
    struct ninep_volume *volume = context;
    struct ninep_fid fid;
    uint8_t type;
    int error = ninep_lookup(volume, path, true, &fid, &type);
    if (error)
        return error;
    error = ninep_get_status(volume, fid.number, status);
    ninep_fid_drop(volume, fid);
    return error;
}

static int ninep_remove(void *context, const char *path, bool directory)
{
    struct ninep_volume *volume = context;
    struct ninep_fid fid;
    const char *name;
    int error = ninep_lookup_parent(volume, path, &fid, &name);
    if (error)
        return error;
    error = ninep_unlink(volume, fid.number, name, directory ? P9_DOTL_AT_REMOVEDIR : 0);
    ninep_fid_drop(volume, fid);
    return error;
}

static int ninep_rename_path(void *context, const char *from, const char *to)
{
    struct ninep_volume *volume = context;
    struct ninep_fid from_fid, to_fid;
    const char *from_name, *to_name;
    int error = ninep_lookup_parent(volume, from, &from_fid, &from_name);
    if (error)
        return error;
    error = ninep_lookup_parent(volume, to, &to_fid, &to_name);
    if (!error) {
        /* The second walk may have begun a new session. */
        error = ninep_fid_check(volume, from_fid);
        if (!error)
            error = ninep_rename(volume, from_fid.number, from_name, to_fid.number, to_name);
        ninep_fid_drop(volume, to_fid);
    }
    ninep_fid_drop(volume, from_fid);
    return error;
}

static int ninep_make_directory_path(void *context, const char *path)
{
    struct ninep_volume *volume = context;
    struct ninep_fid fid;
    const char *name;
    int error = ninep_lookup_parent(volume, path, &fid, &name);
    if (error)
        return error;
    error = ninep_make_directory(volume, fid.number, name);
    ninep_fid_drop(volume, fid);
    return error;
}

/* --- The volume ------------------------------------------------------------------------------- */

/* All that was written is the host's already, and its own disk is reached by fsync() alone. */
static int ninep_sync(void *context)
{
    (void)context;
    return 0;
}

void ninep_volume_put(struct ninep_volume *volume)
{
    if (--volume->open == 0 && volume->unmounted)
        free(volume);
}

static int nobody_answers(struct ninep_transport *transport, struct ninep_exchange *exchange)
{
    (void)transport;
    (void)exchange;
    return -EIO;
}

static int ninep_unmount(void *context)
{
    static uint8_t request[NINEP_REQUEST_SIZE], reply[NINEP_REPLY_SIZE];
    static struct ninep_transport nobody = {
        .tag = "", .request = request, .reply = reply, .exchange = nobody_answers};
    struct ninep_volume *volume = context;
    int error = 0;
    if (volume->attached)
        error = ninep_fid_drop(volume, (struct ninep_fid){NINEP_ROOT_FID, volume->session});
    ninep_session_end(volume);
    volume->transport = &nobody; /* the share may go at once */
    volume->unmounted = true;
    if (volume->open == 0)
        free(volume);
    return error;
}

static bool ninep_is_on(const void *context, const void *transport)
{
    const struct ninep_volume *volume = context;
    return volume->transport == transport;
}

int ninep_mount(struct ninep_transport *transport, void **out)
{
    struct ninep_volume *volume = calloc(1, sizeof(*volume));
    if (!volume) {
        log_error("fs: 9p %s: no memory to mount it", transport->tag);
        return -ENOMEM;
    }
    volume->transport = transport;
    int error = ninep_session(volume);
    if (error) {
        log_error("fs: 9p %s: cannot be attached: error %d", transport->tag, -error);
        free(volume);
        return error;
    }
    log_info("fs: 9p %s: attached, %u KiB in one message", transport->tag,
             (unsigned)(volume->data_max >> 10));
    *out = volume;
    return 0;
}

const struct fs_ops ninep_ops = {
    .name = "9p",
    .is_shared = true,
    .open = ninep_open,
    .open_directory = ninep_open_directory,
    .stat = ninep_stat,
    .remove = ninep_remove,
    .rename = ninep_rename_path,
    .make_directory = ninep_make_directory_path,
    .sync = ninep_sync,
    .unmount = ninep_unmount,
    .is_on = ninep_is_on,
};
