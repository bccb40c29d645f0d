/*
 * ramdisk.h - disks in memory: block devices without a device.
 *
 * For scratch files, for tests, and for volumes that must not change: a RAM disk may begin as a copy
 * of a disk. What is on one is lost when the machine ends. Loop context. Read ramdisk.c next.
 */
#ifndef FERRULE_BLK_RAMDISK_H
#define FERRULE_BLK_RAMDISK_H

#include "blk/block.h"

/*
 * A disk of `bytes` (a multiple of 512), all zero, called rama, ramb and so on. NULL, and a line in
 * the log, when memory is short or the size makes no sense. It takes one contiguous piece of memory,
 * so make it at start. ramdisk_destroy() ends what waits and gives the memory back.
 */
struct blk_device *ramdisk_create(uint64_t bytes);
void ramdisk_destroy(struct blk_device *device);

/* Its content, for filling it in or looking at it. */
void *ramdisk_memory(struct blk_device *device);

/*
 * Makes the disks that the kernel words `ramdisk=` ask for: a size like 16M, or the name of a disk
 * or partition (partition_find()) whose content it begins with.
 */
void ramdisk_from_cmdline(const char *cmdline);

#endif
