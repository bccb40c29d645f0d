/*
 * target_fat.c - mounting a FAT volume, with or without a partition table, and using it, from a disk
 * made of input, through the block layer and its cache.
 *
 * What the input does not patch is a good volume made here, so that more than the mount is reached.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "blk/block.h"
#include "fs/fat.h"
#include "fuzz.h"
#include "hosted/hosted.h"

#define SECTORS 256u
#define PARTITION_AT 8u
#define VOLUME_SECTORS (SECTORS - PARTITION_AT)
#define FAT_SECTORS 1u
#define ROOT_ENTRIES 16u

static uint8_t good[SECTORS * BLK_SECTOR_SIZE], disk[SECTORS * BLK_SECTOR_SIZE];
static bool dirty[SECTORS];

static int submit(struct blk_device *device, const struct blk_part *part)
{
    uint64_t at = part->sector * BLK_SECTOR_SIZE;

    for (unsigned i = 0; i < part->segments; i++) {
        const struct blk_segment *segment = &part->segment[i];

        if (at + segment->len > sizeof(disk))
            hosted_fail("the block layer went beyond the end of the disk");
        if (part->op == BLK_READ)
            memcpy(segment->data, disk + at, segment->len);
        else
            memcpy(disk + at, segment->data, segment->len);
        if (part->op == BLK_WRITE)
            memset(dirty + at / BLK_SECTOR_SIZE, true, segment->len / BLK_SECTOR_SIZE);
        at += segment->len;
    }
    blk_complete(device, part->token, 0);
    return 0;
}

static void kick(struct blk_device *device)
{
    (void)device;
}

static unsigned poll(struct blk_device *device, unsigned budget)
{
    (void)device;
    (void)budget;
    return 0;
}

static bool arm(struct blk_device *device)
{
    (void)device;
    return true;
}

static const struct blk_ops disk_ops = {
    .submit = submit, .kick = kick, .poll = poll, .arm = arm, .reset = kick};

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
    memcpy(disk, good, sizeof(disk));
}

static void restore(void)
{
    for (unsigned i = 0; i < SECTORS; i++)
        if (dirty[i])
            memcpy(disk + i * BLK_SECTOR_SIZE, good + i * BLK_SECTOR_SIZE, BLK_SECTOR_SIZE);
    memset(dirty, 0, sizeof(dirty));
}

/* Bytes of the input over the first sectors, which hold all structures. */
static void patch(struct input *input)
{
    for (unsigned n = input_u8(input) % 16; n; n--) {
        unsigned at = input_u16(input) % (16 * BLK_SECTOR_SIZE), len = 1 + input_u8(input) % 48;

        if (at + len > sizeof(disk))
            continue;
        input_bytes(input, disk + at, len);
        dirty[at / BLK_SECTOR_SIZE] = dirty[(at + len - 1) / BLK_SECTOR_SIZE] = true;
    }
}

static void use_file(void *volume, const char *path, int flags, struct input *input)
{
    static char data[2048];
    struct file_object file;
    struct stat status;

    if (fat_ops.open(volume, path, flags, &file) != 0)
        return;
    for (unsigned n = input_u8(input) % 4; n; n--) {
        uint8_t op = input_u8(input);

        if (op & 1)
            file.ops->read(file.object, data, input_u16(input) % sizeof(data));
        else if (op & 2)
            file.ops->write(file.object, data, input_u16(input) % sizeof(data));
        else if (op & 4)
            file.ops->seek(file.object, input_u16(input), op >> 6 & 3);
        else if (op & 8)
            file.ops->truncate(file.object, input_u16(input));
        else
            file.ops->stat(file.object, &status);
    }
    file.ops->close(file.object);
}

static void list(void *volume, const char *path)
{
    static struct fs_entry entry;
    struct file_object folder;

    if (fat_ops.open_directory(volume, path, &folder) != 0)
        return;
    for (unsigned n = 0; n < 64 && folder.ops->read_entry(folder.object, &entry) > 0; n++)
        continue;
    folder.ops->close(folder.object);
}

void fuzz_fat(struct input *input, bool packed)
{
    static struct blk_device device;
    void *volume;

    (void)packed;
    hosted_rewind();
    hosted_set_memory(8u << 20, 2u << 20);
    patch(input);
    device = (struct blk_device){
        .block_size = 512,
        .capacity = SECTORS,
        .read_only = input_u8(input) & 1,
        .limits = {.max_segments = BLK_MAX_SEGMENTS, .max_segment_size = 65536, .max_sectors = 128},
        .timeout_ms = 1000,
        .ops = &disk_ops};
    blk_add(&device);
    if (fat_mount(&device, &volume) == 0) {
        list(volume, "/");
        for (unsigned n = 0; n < 8 && !input_is_empty(input); n++) {
            switch (input_u8(input) % 7) {
            case 0:
                use_file(volume, "/file", O_RDWR, input);
                break;
            case 1:
                use_file(volume, "/a new file", O_RDWR | O_CREAT, input);
                break;
            case 2:
                list(volume, "/folder");
                break;
            case 3:
                fat_ops.rename(volume, "/file", "/folder/another name");
                break;
            case 4:
                fat_ops.remove(volume, "/file", false);
                break;
            case 5:
                fat_ops.make_directory(volume, "/folder/in it");
                break;
            default:
                fat_ops.sync(volume);
            }
        }
        fat_ops.unmount(volume);
    }
    blk_remove(&device);
    restore();
}
