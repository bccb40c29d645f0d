/*
 * littlefs.h - littlefs volumes on a block device: data that survives power cuts.
 *
 * Owns the finding, making and mounting of a volume and its fs_ops. The format is littlefs's
 * business (third-party, disk version 2); see littlefs_disk.c for the seam and for what makes its
 * promises true on a disk that has a write cache.
 */
#ifndef FERRULE_FS_LITTLEFS_H
#define FERRULE_FS_LITTLEFS_H

#include "blk/block.h"
#include "fs/fs.h"

extern const struct fs_ops littlefs_ops;

/*
 * Makes *volume for fs_mount() with littlefs_ops, of the littlefs volume that starts with the
 * device. A read-only device gives a read-only volume. Logs one line: what was mounted, or why not;
 * none for -ENODEV: no littlefs volume can be read. -EINVAL: it does not fit the device, or has a
 * version or geometry that cannot be used; -EBUSY: the device is claimed; -EIO: it is damaged or
 * cannot be read; -ENOMEM.
 */
int littlefs_mount(struct blk_device *device, void **volume);

/*
 * Makes an empty volume of the whole device; what was on it is lost. The block size is littlefs's
 * unit of allocation in bytes: a multiple of the device's blocks, 512 to 65536; 0 chooses one. The
 * volume is on stable storage when this returns 0. Logs a line. -EINVAL, -EROFS, -EIO, -ENOMEM,
 * -ENOSPC when the device is too small. It must not be mounted meanwhile.
 */
int littlefs_format(struct blk_device *device, uint32_t block_size);

#endif
