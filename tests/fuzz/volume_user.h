/*
 * volume_user.h - a run with a file system on a disk made of input, for the targets of file systems.
 */
#ifndef FERRULE_TESTS_FUZZ_VOLUME_USER_H
#define FERRULE_TESTS_FUZZ_VOLUME_USER_H

#include "blk/block.h"
#include "fs/fs.h"
#include "input.h"

/*
 * Patches the good disk (image_disk.h) within its first `patched` bytes, mounts it, uses files and
 * folders as the input says, if that worked, and takes the disk away again.
 */
void volume_run(int (*mount)(struct blk_device *device, void **volume), const struct fs_ops *ops,
                unsigned patched, struct input *input);

#endif
