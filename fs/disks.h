/*
 * disks.h - which disk is mounted where, by the words of the kernel command line.
 *
 * Owns the words `root=`, `mount=` and `format=` as far as they are about disks. Read disks.c
 * next.
 */
#ifndef FERRULE_FS_DISKS_H
#define FERRULE_FS_DISKS_H

#include "blk/block.h"
#include "fs/fs.h"

/*
 * The disk or partition that a word means: as partition_find() has it, or `LABEL=x` for the one with
 * a FAT volume of this label. NULL and a log line when there is none.
 */
struct blk_device *disks_find(const char *name);

/*
 * Mounts the volume on a disk at `prefix`, whatever type it has. 0, or a negative
 * errno and a log line.
 */
int disks_mount(struct blk_device *device, const char *prefix);

/* `format=`: makes a volume on each blank disk that is named so. What is not blank is left alone. */
void disks_format(void);

/*
 * `mount=`: what it names is mounted where it says. Then "/": `root`, or without one (NULL) the
 * first disk with a volume that is not mounted yet, unless something is at "/" already; "none" is
 * nothing. -ENODEV when
 * nothing came to "/" by this call.
 */
int disks_mount_all(const char *root, bool at_root);

/*
 * The same for one disk or partition that was plugged in. `elsewhere`: no disk belongs at "/".
 */
void disks_mount_plugged(struct blk_device *device, const char *root, bool elsewhere);

#endif
