/*
 * partition.c - partitions as block devices: which disks are looked at, and the devices that come
 * of it.
 *
 * Owns the memory of partitions, and what is common to the formats: a partition must lie on the
 * disk and overlap no other. The formats are partition_gpt.c's and partition_mbr.c's, requests are
 * block.c's. Read partition_table.h next.
 */
#include "blk/partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk/partition_table.h"
#include "log.h"
#include "loop.h"
#include "platform.h"

#define LABEL_WORD "PARTLABEL="
#define UUID_WORD "PARTUUID="

struct partition {
    struct blk_device device;
    struct partition_info info;
    bool used;
};

static struct partition *partitions[PARTITION_MAX]; /* NULL: never needed so far */
static unsigned seen; /* blk_devices_added() when all disks were last looked at */

/* ---- for the readers ---- */

int partition_read(const struct partition_table *table, uint64_t block, void *data, uint32_t count)
{
    uint32_t sectors = partition_block_sectors(table);
    int error = blk_read(table->disk, block * sectors, data, count * sectors);

    if (error)
        log_error("%s: block %llu of the partition table cannot be read: error %d",
                  table->disk->name, (unsigned long long)block, -error);
    return error;
}

struct partition_entry *partition_take(struct partition_table *table, unsigned number,
                                       uint64_t first, uint64_t last)
{
    uint32_t sectors = partition_block_sectors(table);
    struct partition_entry *entry = &table->entry[table->count];
    unsigned i;

    if (table->count == PARTITION_MAX) {
        log_warn("%s: partition %u left out: more than %u are not supported", table->disk->name,
                 number, PARTITION_MAX);
        return NULL;
    }
    if (first == 0 || first > last || last >= partition_blocks(table)) {
        log_error("%s: partition %u left out: blocks %llu to %llu of %llu", table->disk->name,
                  number, (unsigned long long)first, (unsigned long long)last,
                  (unsigned long long)partition_blocks(table));
        return NULL;
    }
    *entry = (struct partition_entry){.start = first * sectors,
                                      .sectors = (last - first + 1) * sectors,
                                      .info = {.number = number}};
    for (i = 0; i < table->count; i++) {
        const struct partition_entry *other = &table->entry[i];

        if (entry->start >= other->start + other->sectors ||
            other->start >= entry->start + entry->sectors)
            continue;
        log_error("%s: partition %u left out: it overlaps partition %u", table->disk->name, number,
                  other->info.number);
        return NULL;
    }
    table->count++;
    return entry;
}

/* ---- devices ---- */

/* A place that nobody uses. One whose disk is gone stays taken while somebody holds it. */
static struct partition *free_partition(void)
{
    unsigned i;

    for (i = 0; i < PARTITION_MAX; i++) {
        if (!partitions[i])
            partitions[i] = calloc(1, sizeof(*partitions[i]));
        if (!partitions[i] || !partitions[i]->used ||
            (partitions[i]->device.gone && !partitions[i]->device.holder))
            return partitions[i];
    }
    return NULL;
}

static bool add_partition(struct blk_device *disk, const struct partition_entry *entry)
{
    struct partition *partition = free_partition();
    int error;

    if (!partition) {
        log_warn("%s: partition %u left out: no memory, or there are %u already", disk->name,
                 entry->info.number, PARTITION_MAX);
        return false;
    }
    memset(partition, 0, sizeof(*partition));
    partition->info = entry->info;
    partition->device.parent = disk;
    partition->device.start = entry->start;
    partition->device.capacity = entry->sectors;
    error = blk_add_partition(&partition->device, entry->info.number);
    if (error) {
        log_warn("%s: partition %u left out: error %d", disk->name, entry->info.number, -error);
        return false;
    }
    partition->used = true;
    log_info("%s: %llu KiB at sector %llu%s%s%s", partition->device.name,
             (unsigned long long)entry->sectors / 2, (unsigned long long)entry->start,
             entry->info.label[0] ? ", \"" : "", entry->info.label,
             entry->info.label[0] ? "\"" : "");
    return true;
}

/* Reads the first block, and what it leads to. False: there is no table. */
static bool read_table(struct partition_table *table)
{
    uint8_t *boot = platform_dma_alloc(table->disk->block_size, table->disk->block_size);
    int error = boot ? partition_read(table, 0, boot, 1) : -ENOMEM;

    if (!error)
        error = partition_read_mbr(table, boot);
    if (error == -EEXIST)
        error = partition_read_gpt(table);
    if (boot)
        platform_dma_free(boot, table->disk->block_size);
    return error == 0;
}

unsigned partition_scan(struct blk_device *disk)
{
    struct partition_table *table;
    unsigned i, added = 0;

    disk->scanned = true;
    if (disk->parent || disk->gone || disk->capacity < disk->block_size / BLK_SECTOR_SIZE)
        return 0;
    table = platform_dma_alloc(sizeof(*table), 64);
    if (!table) {
        log_error("%s: no memory to look for partitions", disk->name);
        return 0;
    }
    table->disk = disk;
    if (read_table(table)) {
        log_info("%s: %s with %u partition%s", disk->name, table->kind, table->count,
                 table->count == 1 ? "" : "s");
        for (i = 0; i < table->count; i++)
            added += add_partition(disk, &table->entry[i]);
    }
    platform_dma_free(table, sizeof(*table));
    return added;
}

static struct loop_source scanner;

/* Looks at the disks that came since it was called last. */
static unsigned scan_new(void *arg, unsigned budget)
{
    struct blk_device *device;
    unsigned i, work = 0;

    (void)arg;
    (void)budget;
    /* Reading may bring more disks along, and partitions count as devices too. */
    while (seen != blk_devices_added()) {
        seen = blk_devices_added();
        for (i = 0; (device = blk_device_at(i)) != NULL; i++) {
            if (device->parent || device->scanned)
                continue;
            partition_scan(device);
            work++;
        }
    }
    return work;
}

static bool nothing_new(void *arg)
{
    (void)arg;
    loop_sleep(&scanner); /* a disk that comes is added to the loop, which wakes all */
    return seen == blk_devices_added();
}

static struct loop_source scanner = {
    .name = "partitions", .poll = scan_new, .arm = nothing_new, .arm_finds_all = true};

void partition_init(void)
{
    scan_new(NULL, 0);
    loop_add(&scanner);
}

/* ---- by name ---- */

const struct partition_info *partition_info(const struct blk_device *device)
{
    return device->parent ? &((const struct partition *)device)->info : NULL;
}

static bool same_text(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 'a' - 'A') : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 'a' - 'A') : *b;

        if (x != y)
            return false;
    }
    return *a == *b;
}

struct blk_device *partition_find(const char *word)
{
    size_t label = strlen(LABEL_WORD), uuid = strlen(UUID_WORD);
    bool by_label = strncmp(word, LABEL_WORD, label) == 0 && word[label];
    bool by_uuid = strncmp(word, UUID_WORD, uuid) == 0 && word[uuid];
    struct blk_device *device;
    unsigned i;

    if (!by_label && !by_uuid)
        return blk_find(word);
    for (i = 0; (device = blk_device_at(i)) != NULL; i++) {
        const struct partition_info *info = partition_info(device);

        if (info && by_label && strcmp(info->label, word + label) == 0)
            return device;
        if (info && by_uuid && same_text(info->uuid, word + uuid))
            return device;
    }
    return NULL;
}
