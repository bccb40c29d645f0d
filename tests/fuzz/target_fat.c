/*
 * target_fat.c - mounting a FAT volume, with or without a partition table, and using it, from a disk
 * made of input, through the block layer and its cache.
 *
 * What the input does not patch is a good volume made here, so that more than the mount is reached.
 */
#include "blk/block.h"
#include "fs/fat.h"
#include "fuzz.h"
#include "hosted/hosted.h"
#include "image_disk.h"
#include "volume_user.h"

#define PARTITION_AT 8u
#define VOLUME_SECTORS (IMAGE_SECTORS - PARTITION_AT)
#define FAT_SECTORS 1u
#define ROOT_ENTRIES 16u
/* All structures lie in these. */
#define PATCHED (16 * BLK_SECTOR_SIZE)

static void put16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, 2);
}

static void put_entry(uint8_t *at, const char *name, uint8_t attributes, uint16_t cluster,
                      uint32_t size)
{
    memcpy(at, name, 11);
    at[11] = attributes;
    put16(at + 26, cluster);
    memcpy(at + 28, &size, 4);
}

/* A partition table, and a FAT12 volume with a file of two clusters and a folder. */
void fuzz_fat_prepare(void)
{
    static const uint8_t fat[] = {0xf8, 0xff, 0xff, 0x03, 0xf0, 0xff, 0xff, 0x0f};
    uint8_t *good = image_disk_good();
    uint8_t *boot = good + PARTITION_AT * BLK_SECTOR_SIZE;
    uint8_t *root = boot + (1 + FAT_SECTORS) * BLK_SECTOR_SIZE;

    good[446 + 4] = 1;
    good[446 + 8] = PARTITION_AT;
    good[446 + 12] = VOLUME_SECTORS;
    put16(good + 510, 0xaa55);
    memcpy(boot,
           "\xeb\x3c\x90"
           "FERRULE ",
           11);
    put16(boot + 11, BLK_SECTOR_SIZE);
    boot[13] = boot[14] = boot[16] = 1; /* sectors per cluster, reserved ones, tables */
    put16(boot + 17, ROOT_ENTRIES);
    put16(boot + 19, VOLUME_SECTORS);
    boot[21] = 0xf8;
    put16(boot + 22, FAT_SECTORS);
    memcpy(boot + 54, "FAT12   ", 8);
    put16(boot + 510, 0xaa55);
    memcpy(boot + BLK_SECTOR_SIZE, fat, sizeof(fat));
    put_entry(root, "FILE       ", 0x20, 2, 700);
    put_entry(root + 32, "FOLDER     ", 0x10, 4, 0);
    put_entry(root + BLK_SECTOR_SIZE + 2 * BLK_SECTOR_SIZE, ".          ", 0x10, 4, 0);
    image_disk_restore();
}

void fuzz_fat(struct input *input, bool packed)
{
    struct blk_device *device;
    void *volume;

    (void)packed;
    hosted_rewind();
    hosted_set_memory(8u << 20, 2u << 20);
    image_disk_patch(input, PATCHED);
    device = image_disk_add(BLK_SECTOR_SIZE, input_u8(input) & 1);
    if (fat_mount(device, &volume) == 0)
        volume_user(&fat_ops, volume, input);
    image_disk_remove();
}
