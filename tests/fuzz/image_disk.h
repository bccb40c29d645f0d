/*
 * image_disk.h - a disk whose bytes are the input's: a good image made by the target, patched by the
 * input, behind the block layer.
 *
 * For the targets of what reads disks: partition tables and file systems. A run costs what it
 * touches, since only changed sectors are put back afterwards.
 */
#ifndef FERRULE_TESTS_FUZZ_IMAGE_DISK_H
#define FERRULE_TESTS_FUZZ_IMAGE_DISK_H

#include "blk/block.h"
#include "input.h"

#define IMAGE_SECTORS 256u
#define IMAGE_SIZE (IMAGE_SECTORS * BLK_SECTOR_SIZE)

/* The good image, zero at first. What is changed in it counts from image_disk_restore() on. */
uint8_t *image_disk_good(void);
/* The disk is the good image again. */
void image_disk_restore(void);
/* What is on the disk now is the good image from here on. */
void image_disk_keep(void);

/* `len` bytes of the disk, to be changed. They must lie on it. */
uint8_t *image_disk_bytes(unsigned at, unsigned len);
/* Up to 15 runs of the input's bytes over places below `within`. */
void image_disk_patch(struct input *input, unsigned within);
/* Requests from the nth on (1: the next) end in -EIO; 0: none do. Until image_disk_remove(). */
void image_disk_fail_from(unsigned nth);

/* The disk as a device; there is one at a time. Removing it restores the image. */
struct blk_device *image_disk_add(uint32_t block_size, bool read_only);
void image_disk_remove(void);

#endif
