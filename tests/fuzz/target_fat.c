/*
 * target_fat.c - mounting a FAT volume, with or without a partition table, and using it, from a disk
 * made of input, through the block layer and its cache.
 *
 * What the input does not patch is a good volume (volumes.h), so that more than the mount is reached.
 */
#include "fs/fat.h"

#include "fuzz.h"
#include "volume_user.h"
#include "volumes.h"

void fuzz_fat(struct input *input, bool packed)
{
    (void)packed;
    volume_run(fat_mount, &fat_ops, VOLUME_FAT_STRUCTURES, input);
}
