/*
 * volume_user.h - who uses the volumes of target_fat.c and target_littlefs.c, whatever their format:
 * a volume with "/file" and "/folder".
 */
#ifndef FERRULE_TESTS_FUZZ_VOLUME_USER_H
#define FERRULE_TESTS_FUZZ_VOLUME_USER_H

#include "fs/fs.h"
#include "input.h"

/* Does a few things with the volume, as the input says, and unmounts it. */
void volume_user(const struct fs_ops *ops, void *volume, struct input *input);

#endif
