/*
 * scenario_volumes.h - a mounted volume in use, for every file system on whatever carries it, and the
 * life of a disk with FAT or littlefs on it.
 */
#ifndef FERRULE_TESTS_FAULTS_SCENARIO_VOLUMES_H
#define FERRULE_TESTS_FAULTS_SCENARIO_VOLUMES_H

#include "fs/fs.h"
#include "scenario.h"

/*
 * Uses a file and folders of the volume, with turns of the loop in between, in which its device may
 * leave, and unmounts it. `data` is 4096 bytes that the device can reach.
 */
void scenario_use_volume(struct device *device, const struct fs_ops *ops, void *volume,
                         uint8_t *data);

/* To be told that a disk or a share leaves. What is open stays open. */
void scenario_volume_leaves(const void *device);

struct device *fat_make(void);
void fat_use(void);
struct device *littlefs_make(void);
void littlefs_use(void);
void volumes_finish(void);

#endif
