/*
 * volumes.c - see volumes.h.
 */
#include "volumes.h"

#include <fcntl.h>
#include <string.h>

#include "fs/littlefs.h"
#include "hosted/hosted.h"
#include "image_disk.h"

/* ---- FAT ---- */

#define PARTITION_AT 8u
#define VOLUME_SECTORS (IMAGE_SECTORS - PARTITION_AT)
#define FAT_SECTORS 1u
#define ROOT_ENTRIES 16u

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
void volume_make_fat(void)
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

/* ---- littlefs ---- */

#define BLOCK_SIZE 512u
#define FILE_SIZE 1100u

static void write_file(void *volume, const char *path, uint32_t len)
{
    static const char data[FILE_SIZE];
    struct file_object file;

    if (littlefs_ops.open(volume, path, O_RDWR | O_CREAT, &file) != 0)
        hosted_fail("%s could not be made", path);
    file.ops->write(file.object, data, len);
    file.ops->close(file.object);
}

/* A file of several blocks, a small one inside its folder's metadata, and a folder. */
void volume_make_littlefs(void)
{
    struct blk_device *device = image_disk_add(BLK_SECTOR_SIZE, false);
    void *volume;

    hosted_set_memory(8u << 20, 2u << 20);
    if (littlefs_format(device, BLOCK_SIZE) != 0 || littlefs_mount(device, &volume) != 0)
        hosted_fail("there is no good volume");
    write_file(volume, "/file", FILE_SIZE);
    littlefs_ops.make_directory(volume, "/folder");
    write_file(volume, "/folder/small", 20);
    littlefs_ops.unmount(volume);
    image_disk_keep();
    image_disk_remove();
}
