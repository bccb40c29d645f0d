/*
 * fs.c - bring-up and end of the files.
 *
 * Owns what `root=` says, and where the shares of the host are mounted: `9p.TAG=`. Disks are
 * disks.c's, the mount table is mount.c's. Read disks.c next.
 */
#include "fs/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline.h"
#include "fs/disks.h"
#include "fs/ninep.h"
#include "fs/virtio_9p.h"
#include "libc/files.h"
#include "log.h"
#include "platform.h"

#define ROOT_WORD_SHARE "9p:"
#define WORD_SIZE 128u

/* Where a share belongs. */
static int share_place(const char *tag, bool is_root, char place[FS_PATH_MAX])
{
    char key[WORD_SIZE], value[FS_PATH_MAX];

    format_text(key, sizeof(key), "9p.%s", tag);
    if (is_root)
        strcpy(value, "/");
    else if (!cmdline_get(platform_cmdline(), key, value, sizeof(value)))
        format_text(value, sizeof(value), "/mnt/%s", tag);
    else if (value[0] != '/')
        return -EINVAL;
    return fs_normalise(value, place);
}

/* *at_root: set when it is mounted at "/". */
static void mount_share(struct ninep_transport *share, bool is_root, bool *at_root)
{
    char place[FS_PATH_MAX];
    void *volume;

    if (share_place(share->tag, is_root, place)) {
        log_error("9p.%s=: not an absolute path; not mounted", share->tag);
        return;
    }
    if (ninep_mount(share, &volume))
        return;
    int error = fs_mount(place, &ninep_ops, volume);
    if (!error) {
        log_info("fs: 9p %s: mounted at %s", share->tag, place);
        *at_root |= !strcmp(place, "/");
        return;
    }
    log_error("fs: 9p %s: not mounted at %s: %s", share->tag, place,
              error == -EBUSY ? "something else is" : "no room");
    ninep_ops.unmount(volume);
}

/* What `root=` says: the tag of a share, else an empty text, or a disk, else NULL. */
static void read_root_word(char word[WORD_SIZE], const char **tag, const char **disk)
{
    size_t prefix = strlen(ROOT_WORD_SHARE);

    *tag = "";
    *disk = NULL;
    if (!cmdline_get(platform_cmdline(), "root", word, WORD_SIZE) || !word[0])
        return;
    if (!strncmp(word, ROOT_WORD_SHARE, prefix))
        *tag = word + prefix;
    else
        *disk = word;
}

static void on_disk(struct blk_device *device, bool added)
{
    char word[WORD_SIZE];
    const char *root_tag, *root_disk;

    read_root_word(word, &root_tag, &root_disk);
    if (added)
        disks_mount_plugged(device, root_disk, root_tag[0]);
    else
        fs_unmount_from(device);
}

static void on_share(struct ninep_transport *share, bool added)
{
    char word[WORD_SIZE];
    const char *root_tag, *root_disk;
    bool at_root = false;

    read_root_word(word, &root_tag, &root_disk);
    if (added)
        mount_share(share, !strcmp(share->tag, root_tag), &at_root);
    else
        fs_unmount_from(share);
}

int fs_init(void)
{
    char word[WORD_SIZE];
    const char *root_tag, *root_disk;
    struct ninep_transport *share;
    bool at_root = false, found = false;

    virtio_9p_watch(on_share);
    blk_watch(on_disk);
    read_root_word(word, &root_tag, &root_disk);
    for (unsigned i = 0; (share = virtio_9p_at(i)); i++) {
        bool is_root = !strcmp(share->tag, root_tag);
        mount_share(share, is_root, &at_root);
        found |= is_root;
    }
    if (root_tag[0] && !found)
        log_error("root=9p:%s: there is no share with this tag", root_tag);
    disks_format();
    return disks_mount_all(root_disk, at_root || root_tag[0]) || (root_tag[0] && !at_root) ? -ENODEV
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
