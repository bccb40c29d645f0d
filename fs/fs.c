/*
 * fs.c - bring-up and end of the files.
 *
 * Owns the choice of what is mounted where, and the kernel words for it: `root=` and `9p.TAG=`. The
 * mount table is mount.c's, the file systems are fat.c's and ninep.c's. Read mount.c next.
 */
#include "fs/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk/block.h"
#include "cmdline.h"
#include "fs/fat.h"
#include "fs/ninep.h"
#include "fs/virtio_9p.h"
#include "libc/files.h"
#include "log.h"
#include "platform.h"

#define ROOT_WORD_SHARE "9p:"
#define WORD_SIZE 128u

/* The tag in `root=9p:TAG`, or an empty text. */
static void root_share(char tag[WORD_SIZE])
{
    char word[WORD_SIZE];
    size_t prefix = strlen(ROOT_WORD_SHARE);

    tag[0] = '\0';
    if (!cmdline_get(platform_cmdline(), "root", word, sizeof(word)))
        return;
    if (!strncmp(word, ROOT_WORD_SHARE, prefix) && word[prefix])
        strcpy(tag, word + prefix);
    else
        log_warn("root=%s: not understood (root=9p:TAG is), ignored", word);
}

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
    char *prefix = strdup(place); /* the mount's for ever */
    int error = prefix ? fs_mount(prefix, &ninep_ops, volume) : -ENOMEM;
    if (!error) {
        log_info("fs: 9p %s: mounted at %s", share->tag, place);
        *at_root |= !strcmp(place, "/");
        return;
    }
    log_error("fs: 9p %s: not mounted at %s: %s", share->tag, place,
              error == -EBUSY ? "something else is" : "no room");
    free(prefix);
    ninep_ops.unmount(volume);
}

static int mount_disk(void)
{
    unsigned i;
    struct blk_device *device;
    for (i = 0; (device = blk_device_at(i)); i++) {
        void *volume;
        if (fat_mount(device, &volume))
            continue;
        return fs_mount("/", &fat_ops, volume);
    }
    if (i)
        log_warn("fs: none of %u disks could be mounted: there are no files", i);
    else
        log_info("fs: no disk: there are no files");
    return -ENODEV;
}

int fs_init(void)
{
    char root_tag[WORD_SIZE];
    struct ninep_transport *share;
    bool at_root = false, found = false;

    root_share(root_tag);
    for (unsigned i = 0; (share = virtio_9p_at(i)); i++) {
        bool is_root = !strcmp(share->tag, root_tag);
        mount_share(share, is_root, &at_root);
        found |= is_root;
    }
    if (root_tag[0] && !found)
        log_error("root=9p:%s: there is no share with this tag", root_tag);
    if (at_root)
        return 0;
    return root_tag[0] ? -ENODEV : mount_disk();
}

void fs_shutdown(void)
{
    int error = file_close_all();
    int unmount_error = fs_unmount_all();
    if (error || unmount_error)
        log_error("fs: not everything could be written back: error %d",
                  error ? -error : -unmount_error);
}
