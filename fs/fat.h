/*
 * fat.h - FAT12, FAT16 and FAT32 volumes on a block device.
 *
 * Owns the mounting of a volume and its fs_ops. The format is FatFs's business (third-party); see
 * fat.c for the seam.
 */
#ifndef FERRULE_FS_FAT_H
#define FERRULE_FS_FAT_H

#include "blk/block.h"
#include "fs/fs.h"

extern const struct fs_ops fat_ops;

/*
 * Looks for a FAT volume on the whole device or in its first FAT partition, and makes *volume for
 * fs_mount() with fat_ops. A read-only device gives a read-only volume. Logs one line: what was
 * mounted, or why not. -ENODEV: no FAT volume; -EINVAL: the volume does not fit the device; -EIO:
 * the device cannot be read; -ENOMEM.
 */
int fat_mount(struct blk_device *device, void **volume);

/*
 * The label in the boot sector of the FAT volume that starts with the device, with its NUL and
 * without the blanks that fill it up. -ENODEV: no FAT volume; -EIO, -ENOMEM.
 */
#define FAT_LABEL_SIZE 12u
int fat_label(struct blk_device *device, char label[FAT_LABEL_SIZE]);

#endif
