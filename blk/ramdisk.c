/*
 * ramdisk.c - disks in memory.
 *
 * Every request is done inside of blk_submit(), so nothing is ever in flight. Checks, splitting and
 * order are block.c's. The contract is in ramdisk.h.
 */
#include "blk/ramdisk.h"

#include <errno.h>
#include <string.h>

#include "blk/partition.h"
#include "cmdline.h"
#include "log.h"
#include "platform.h"

#define ALIGNMENT 4096u
#define WORD_SIZE 160u
/* Copied at a time from another disk. */
#define COPY_SECTORS 2048u

struct ramdisk {
    struct blk_device block;
    uint8_t *memory;
    size_t size;
};

static int ramdisk_submit(struct blk_device *device, const struct blk_part *part)
{
    const struct ramdisk *disk = device->driver;
    uint8_t *at = disk->memory + part->sector * BLK_SECTOR_SIZE;
    unsigned i;

    if (part->op >= BLK_GET_ID)
        return -ENOTSUP;
    if (part->sectors)
        memset(at, 0, (size_t)part->sectors * BLK_SECTOR_SIZE);
    for (i = 0; i < part->segments; i++) {
        if (part->op == BLK_READ)
            memcpy(part->segment[i].data, at, part->segment[i].len);
        else
            memcpy(at, part->segment[i].data, part->segment[i].len);
        at += part->segment[i].len;
    }
    blk_complete(device, part->token, 0);
    return 0;
}

static void ramdisk_nothing(struct blk_device *device)
{
    (void)device;
}

static unsigned ramdisk_poll(struct blk_device *device, unsigned budget)
{
    (void)device;
    (void)budget;
    return 0;
}

static bool ramdisk_arm(struct blk_device *device)
{
    (void)device;
    return true;
}

static const struct blk_ops ramdisk_ops = {
    .submit = ramdisk_submit,
    .kick = ramdisk_nothing,
    .poll = ramdisk_poll,
    .arm = ramdisk_arm,
    .reset = ramdisk_nothing,
};

static void ramdisk_free(struct ramdisk *disk)
{
    if (disk->memory)
        platform_dma_free(disk->memory, disk->size);
    platform_dma_free(disk, sizeof(*disk));
}

struct blk_device *ramdisk_create(uint64_t bytes)
{
    struct ramdisk *disk;

    if (bytes == 0 || bytes % BLK_SECTOR_SIZE || bytes > SIZE_MAX) {
        log_error("a RAM disk of %llu bytes makes no sense", (unsigned long long)bytes);
        return NULL;
    }
    disk = platform_dma_alloc(sizeof(*disk), 64);
    if (!disk) {
        log_error("no memory for a RAM disk");
        return NULL;
    }
    disk->size = (size_t)bytes;
    disk->memory = platform_dma_alloc(disk->size, ALIGNMENT);
    disk->block = (struct blk_device){.prefix = "ram",
                                      .capacity = bytes / BLK_SECTOR_SIZE,
                                      .block_size = BLK_SECTOR_SIZE,
                                      .limits = {.max_segments = BLK_MAX_SEGMENTS,
                                                 .max_segment_size = 1u << 30,
                                                 .max_sectors = UINT32_MAX / BLK_SECTOR_SIZE,
                                                 .max_discard_sectors = UINT32_MAX,
                                                 .max_zeroes_sectors = UINT32_MAX,
                                                 .max_erase_sectors = UINT32_MAX},
                                      .ops = &ramdisk_ops,
                                      .driver = disk};
    if (!disk->memory)
        log_error("no memory for a RAM disk of %llu KiB", (unsigned long long)bytes >> 10);
    if (!disk->memory || blk_add(&disk->block)) {
        ramdisk_free(disk);
        return NULL;
    }
    log_info("%s: RAM disk of %llu KiB", disk->block.name, (unsigned long long)bytes >> 10);
    return &disk->block;
}

void ramdisk_destroy(struct blk_device *device)
{
    blk_remove(device);
    ramdisk_free(device->driver);
}

void *ramdisk_memory(struct blk_device *device)
{
    return ((struct ramdisk *)device->driver)->memory;
}

/* ---- kernel words ---- */

/* A RAM disk with the content of another one, of the size that this has now: it may grow meanwhile. */
static void copy_disk(struct blk_device *from)
{
    const uint64_t sectors = from->capacity;
    struct blk_device *to = ramdisk_create(sectors * BLK_SECTOR_SIZE);
    uint64_t at;
    int error = 0;

    for (at = 0; to && !error && at < sectors; at += COPY_SECTORS) {
        uint64_t left = sectors - at;

        error = blk_read(from, at, (uint8_t *)ramdisk_memory(to) + at * BLK_SECTOR_SIZE,
                         left < COPY_SECTORS ? (uint32_t)left : COPY_SECTORS);
    }
    if (!to)
        return;
    if (error) {
        log_error("%s: copying %s failed at sector %llu: error %d; removed", to->name, from->name,
                  (unsigned long long)at, -error);
        ramdisk_destroy(to);
        return;
    }
    log_info("%s: begins as a copy of %s", to->name, from->name);
    partition_scan(to);
}

void ramdisk_from_cmdline(const char *cmdline)
{
    char word[WORD_SIZE];

    while (cmdline_next(&cmdline, "ramdisk", word, sizeof(word))) {
        struct blk_device *from = partition_find(word);
        uint64_t size;

        if (from)
            copy_disk(from);
        else if (cmdline_parse_size(word, &size))
            ramdisk_create(size);
        else
            log_warn("ramdisk=%s: neither a size nor a disk, ignored", word);
    }
}
