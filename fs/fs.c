/*
 * fs.c - bring-up and end of the files.
 *
 * Owns what `root=` says, and where the shares of the host are mounted: `9p.TAG=`,
 * `virtiofs.TAG=`. Disks are
 * disks.c's, the mount table is mount.c's. Read disks.c next.
 */
#include "fs/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline.h"
#include "fs/disks.h"
#include "fs/fuse.h"
#include "fs/ninep.h"
#include "fs/virtio_9p.h"
#include "fs/virtio_fs.h"
#include "libc/files.h"
#include "log.h"
#include "platform.h"

#define WORD_SIZE 128u

/* The two kinds of shares: how they are called in kernel words and log lines, and mounted. */
struct share_kind {
    const char *name;
    const struct fs_ops *ops;
    int (*mount)(void *transport, void **volume);
};

/* What `root=` says: the tag of a share of one kind, or a disk, or (both NULL) nothing. */
struct root_word {
    char text[WORD_SIZE];
    const struct share_kind *kind;
    const char *tag, *disk;
};

static int mount_9p(void *transport, void **volume)
{
    return ninep_mount(transport, volume);
}

static int mount_virtiofs(void *transport, void **volume)
{
    return fuse_mount(transport, volume);
}

static const struct share_kind share_9p = {"9p", &ninep_ops, mount_9p};
static const struct share_kind share_virtiofs = {"virtiofs", &fuse_ops, mount_virtiofs};
static const struct share_kind *const kinds[] = {&share_9p, &share_virtiofs};

static void read_root_word(struct root_word *root)
{
    root->kind = NULL;
    root->tag = root->disk = NULL;
    if (!cmdline_get(platform_cmdline(), "root", root->text, WORD_SIZE) || !root->text[0])
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i]->name);

        if (strncmp(root->text, kinds[i]->name, len) || root->text[len] != ':')
            continue;
        root->kind = kinds[i];
        root->tag = root->text + len + 1;
        return;
    }
    root->disk = root->text;
}

static bool is_root(const struct root_word *root, const struct share_kind *kind, const char *tag)
{
    return root->kind == kind && !strcmp(root->tag, tag);
}

/* Where a share belongs. */
static int share_place(const struct share_kind *kind, const char *tag, bool at_root,
                       char place[FS_PATH_MAX])
{
    char key[WORD_SIZE], value[FS_PATH_MAX];

    format_text(key, sizeof(key), "%s.%s", kind->name, tag);
    if (at_root)
        strcpy(value, "/");
    else if (!cmdline_get(platform_cmdline(), key, value, sizeof(value)))
        format_text(value, sizeof(value), "/mnt/%s", tag);
    else if (value[0] != '/')
        return -EINVAL;
    return fs_normalise(value, place);
}

/* *at_root: set when it is mounted at "/". */
static void mount_share(const struct share_kind *kind, void *transport, const char *tag,
                        const struct root_word *root, bool *at_root)
{
    char place[FS_PATH_MAX];
    void *volume;

    if (share_place(kind, tag, is_root(root, kind, tag), place)) {
        log_error("%s.%s=: not an absolute path; not mounted", kind->name, tag);
        return;
    }
    if (kind->mount(transport, &volume))
        return;
    int error = fs_mount(place, kind->ops, volume);
    if (!error) {
        log_info("fs: %s %s: mounted at %s", kind->name, tag, place);
        *at_root |= !strcmp(place, "/");
        return;
    }
    log_error("fs: %s %s: not mounted at %s: %s", kind->name, tag, place,
              error == -EBUSY ? "something else is" : "no room");
    kind->ops->unmount(volume);
}

static void share_plugged(const struct share_kind *kind, void *transport, const char *tag)
{
    struct root_word root;
    bool at_root = false;

    read_root_word(&root);
    mount_share(kind, transport, tag, &root, &at_root);
}

static void on_9p(struct ninep_transport *share, bool added)
{
    if (added)
        share_plugged(&share_9p, share, share->tag);
    else
        fs_unmount_from(share);
}

static void on_virtiofs(struct fuse_transport *share, bool added)
{
    if (added)
        share_plugged(&share_virtiofs, share, share->tag);
    else
        fs_unmount_from(share);
}

static void on_disk(struct blk_device *device, bool added)
{
    struct root_word root;

    read_root_word(&root);
    if (added)
        disks_mount_plugged(device, root.disk, root.kind != NULL);
    else
        fs_unmount_from(device);
}

/* True: the one that `root=` asks for was among them. */
static bool mount_shares(const struct root_word *root, bool *at_root)
{
    struct ninep_transport *share;
    struct fuse_transport *fuse;
    bool found = false;

    for (unsigned i = 0; (share = virtio_9p_at(i)); i++) {
        mount_share(&share_9p, share, share->tag, root, at_root);
        found |= is_root(root, &share_9p, share->tag);
    }
    for (unsigned i = 0; (fuse = virtio_fs_at(i)); i++) {
        mount_share(&share_virtiofs, fuse, fuse->tag, root, at_root);
        found |= is_root(root, &share_virtiofs, fuse->tag);
    }
    return found;
}

int fs_init(void)
{
    struct root_word root;
    bool at_root = false;

    virtio_9p_watch(on_9p);
    virtio_fs_watch(on_virtiofs);
    blk_watch(on_disk);
    read_root_word(&root);
    if (!mount_shares(&root, &at_root) && root.kind)
        log_error("root=%s: there is no share with this tag", root.text);
    disks_format();
    return disks_mount_all(root.disk, at_root || root.kind) || (root.kind && !at_root) ? -ENODEV
                                                                                       : 0;
}

void fs_shutdown(void)
{
    int error = file_close_all();
    int unmount_error = fs_unmount_all();
    if (error || unmount_error)
        log_error("fs: not everything could be written back: error %d",
                  error ? -error : -unmount_error);
}
