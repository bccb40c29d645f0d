/*
 * fuse.c - a directory of the host, behind FUSE, as one of the file systems behind fs.h.
 *
 * Owns mounting and everything that works by path: walks name by name, symbolic links, changes to
 * directories. Nothing is kept between two operations, so both sides always see the same. Links are
 * followed here, within the share: one that is absolute starts at the share's root. Open files are
 * fuse_file.c's, messages fuse_rpc.c's. Read fuse_file.c next.
 */
#include "fs/fuse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse_internal.h"
#include "log.h"

/* Symbolic links on the way to one file. */
#define LINKS_MAX 8u

/* --- Paths ------------------------------------------------------------------------------------ */

static struct fuse_node root_of(const struct fuse_volume *volume)
{
    return (struct fuse_node){FUSE_ROOT_ID, volume->session};
}

/*
 * Puts the target of the link `node`, which is the `len` bytes at path[at], in its place; the node
 * is given back.
 */
static int replace_link(struct fuse_volume *volume, struct fuse_node node, char path[FS_PATH_MAX],
                        size_t at, size_t len)
{
    char target[FS_PATH_MAX], joined[2 * FS_PATH_MAX];
    size_t folder, target_len;
    int error = fuse_read_link(volume, node, target);

    fuse_forget(volume, node);
    if (error)
        return error;
    folder = target[0] == '/' ? 0 : at;
    target_len = strlen(target);
    memcpy(joined, path, folder);
    memcpy(joined + folder, target, target_len);
    strcpy(joined + folder + target_len, path + at + len);
    return fs_normalise(joined, path);
}

/*
 * Walks along `path` until its end or a link that is to be followed: then *link_at is where its
 * name is, else SIZE_MAX.
 */
static int walk_names(struct fuse_volume *volume, const char *path, bool follow,
                      struct fuse_node *node, struct stat *status, size_t *link_at)
{
    size_t at = 1, len;

    *link_at = SIZE_MAX;
    *node = root_of(volume);
    if (!path[at])
        return fuse_get_status(volume, *node, status);
    status->st_mode = S_IFDIR;
    for (; path[at]; at += len + (path[at + len] == '/')) {
        struct fuse_node folder = *node;
        int error = S_ISDIR(status->st_mode) ? 0 : -ENOTDIR;

        len = strcspn(path + at, "/");
        if (!error)
            error = fuse_lookup(volume, folder, path + at, len, node, status);
        fuse_forget(volume, folder);
        if (error)
            return error;
        if (S_ISLNK(status->st_mode) && (follow || path[at + len])) {
            *link_at = at;
            return 0;
        }
    }
    return 0;
}

int fuse_walk(struct fuse_volume *volume, const char *path, bool follow, struct fuse_node *node,
              struct stat *status)
{
    char plain[FS_PATH_MAX];
    size_t link_at;
    int error = fuse_session(volume);

    strcpy(plain, path);
    for (unsigned links = 0; !error && links <= LINKS_MAX; links++) {
        error = walk_names(volume, plain, follow, node, status, &link_at);
        if (error || link_at == SIZE_MAX)
            return error;
        error = replace_link(volume, *node, plain, link_at, strcspn(plain + link_at, "/"));
    }
    return error ? error : -ELOOP;
}

int fuse_walk_parent(struct fuse_volume *volume, const char *path, struct fuse_node *node,
                     const char **name)
{
    char parent[FS_PATH_MAX];
    struct stat status;
    const char *slash = strrchr(path, '/');
    size_t len = (size_t)(slash - path);
    int error;

    memcpy(parent, path, len);
    strcpy(parent + len, len ? "" : "/");
    *name = slash + 1;
    error = fuse_walk(volume, parent, true, node, &status);
    if (error || S_ISDIR(status.st_mode))
        return error;
    fuse_forget(volume, *node);
    return -ENOTDIR;
}

/* --- By path ---------------------------------------------------------------------------------- */

static int fuse_stat(void *volume, const char *path, struct stat *status)
{
    struct fuse_node node;
    int error = fuse_walk(volume, path, true, &node, status);

    if (!error)
        fuse_forget(volume, node);
    return error;
}

/*
 * What is to be removed or renamed: servers know only names that were looked up, as those are that
 * a kernel with a cache asks them about.
 */
static int walk_to_name(struct fuse_volume *volume, const char *path, struct fuse_node *folder,
                        const char **name, struct fuse_node *node)
{
    struct stat status;
    int error = fuse_walk_parent(volume, path, folder, name);

    if (error)
        return error;
    error = fuse_lookup(volume, *folder, *name, strlen(*name), node, &status);
    if (error)
        fuse_forget(volume, *folder);
    return error;
}

static int fuse_remove(void *volume, const char *path, bool directory)
{
    struct fuse_node folder, node;
    const char *name;
    int error = walk_to_name(volume, path, &folder, &name, &node);

    if (error)
        return error;
    error = fuse_unlink(volume, folder, name, directory);
    fuse_forget(volume, node);
    fuse_forget(volume, folder);
    return error;
}

/* The second walk may have begun a new session; the first folder's node is refused then. */
static int fuse_rename_path(void *volume, const char *from, const char *to)
{
    struct fuse_node from_folder, to_folder, node;
    const char *from_name, *to_name;
    int error = walk_to_name(volume, from, &from_folder, &from_name, &node);

    if (error)
        return error;
    error = fuse_walk_parent(volume, to, &to_folder, &to_name);
    if (!error) {
        error = fuse_rename(volume, from_folder, from_name, to_folder, to_name);
        fuse_forget(volume, to_folder);
    }
    fuse_forget(volume, node);
    fuse_forget(volume, from_folder);
    return error;
}

static int fuse_make_directory_path(void *volume, const char *path)
{
    struct fuse_node folder;
    const char *name;
    int error = fuse_walk_parent(volume, path, &folder, &name);

    if (error)
        return error;
    error = fuse_make_directory(volume, folder, name);
    fuse_forget(volume, folder);
    return error;
}

/* --- The volume ------------------------------------------------------------------------------- */

/* All that was written is the host's already, and its own disk is reached by fsync() alone. */
static int fuse_sync_volume(void *volume)
{
    (void)volume;
    return 0;
}

void fuse_volume_put(struct fuse_volume *volume)
{
    if (--volume->open == 0 && volume->unmounted)
        free(volume);
}

static int nobody_answers(struct fuse_transport *transport, struct fuse_exchange *exchange)
{
    (void)transport;
    (void)exchange;
    return -EIO;
}

static int nobody_takes(struct fuse_transport *transport, const void *request, uint32_t len)
{
    (void)transport;
    (void)request;
    (void)len;
    return -EIO;
}

static int fuse_unmount(void *context)
{
    static uint8_t request[FUSE_REQUEST_SIZE], reply[FUSE_REPLY_SIZE];
    static struct fuse_transport nobody = {.tag = "",
                                           .request = request,
                                           .reply = reply,
                                           .exchange = nobody_answers,
                                           .post = nobody_takes};
    struct fuse_volume *volume = context;
    int error = fuse_destroy(volume);

    volume->transport = &nobody; /* the share may go at once */
    volume->unmounted = true;
    if (volume->open == 0)
        free(volume);
    return error;
}

static bool fuse_is_on(const void *context, const void *transport)
{
    const struct fuse_volume *volume = context;

    return volume->transport == transport;
}

int fuse_mount(struct fuse_transport *transport, void **out)
{
    struct fuse_volume *volume = calloc(1, sizeof(*volume));
    int error;

    if (!volume) {
        log_error("fs: virtiofs %s: no memory to mount it", transport->tag);
        return -ENOMEM;
    }
    volume->transport = transport;
    error = fuse_session(volume);
    if (error) {
        log_error("fs: virtiofs %s: no session: error %d", transport->tag, -error);
        free(volume);
        return error;
    }
    log_info("fs: virtiofs %s: session open, %u KiB in one message", transport->tag,
             (unsigned)(volume->data_max >> 10));
    *out = volume;
    return 0;
}

const struct fs_ops fuse_ops = {
    .name = "virtiofs",
    .is_shared = true,
    .open = fuse_open,
    .open_directory = fuse_open_directory,
    .stat = fuse_stat,
    .remove = fuse_remove,
    .rename = fuse_rename_path,
    .make_directory = fuse_make_directory_path,
    .sync = fuse_sync_volume,
    .unmount = fuse_unmount,
    .is_on = fuse_is_on,
};
