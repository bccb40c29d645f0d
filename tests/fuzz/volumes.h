/*
 * volumes.h - good volumes for image_disk.h: what a damaged one was before, and what drivers of disks
 * carry.
 *
 * Each has a file "/file" of more than one block and a folder "/folder".
 */
#ifndef FERRULE_TESTS_FUZZ_VOLUMES_H
#define FERRULE_TESTS_FUZZ_VOLUMES_H

/* The bytes from the start in which all structures lie. */
#define VOLUME_FAT_STRUCTURES (16 * 512)
/* The superblock, and the metadata of the root and of the folder. */
#define VOLUME_LITTLEFS_STRUCTURES (12 * 512)

/* Once each. The volume becomes the disk's good bytes. */
void volume_make_fat(void);
void volume_make_littlefs(void);

#endif
