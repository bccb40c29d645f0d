/*
 * fs.c - bring-up and end of the files.
 *
 * Owns the choice of the disk that becomes "/". The mount table is mount.c's, the file system
 * fat.c's. Read mount.c next.
 */
#include "fs/fs.h"

#include <errno.h>

#include "blk/block.h"
#include "fs/fat.h"
#include "libc/files.h"
#include "log.h"

int fs_init(void)
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

void fs_shutdown(void)
{
    int error = file_close_all();
    int unmount_error = fs_unmount_all();
    if (error || unmount_error)
        log_error("fs: not everything could be written back: error %d",
                  error ? -error : -unmount_error);
}
