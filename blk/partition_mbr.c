/*
 * partition_mbr.c - the partition table of the first sector, and the chain of logical partitions.
 *
 * A file system without any table begins with a boot sector of the same signature, so what looks
 * like one is no table. A chain of logical partitions may be a loop or lead outside: it is followed
 * inside the extended partition only, a bounded number of times, and ends at the first nonsense.
 */
#include <errno.h>
#include <string.h>

#include "blk/partition_table.h"
#include "log.h"
#include "platform.h"

/* Where things are in the sector. */
#define DISK_SIGNATURE 440u
#define ENTRIES 446u
#define ENTRY_SIZE 16u
#define ENTRY_COUNT 4u
#define BOOT_SIGNATURE 510u
/* ... in an entry ... */
#define ENTRY_STATUS 0u
#define ENTRY_TYPE 4u
#define ENTRY_START 8u
#define ENTRY_BLOCKS 12u
/* ... and in the boot sector of a FAT volume. */
#define BPB_BYTES_PER_SECTOR 11u
#define BPB_SECTORS_PER_CLUSTER 13u
#define BPB_FATS 16u

#define STATUS_ACTIVE 0x80u

#define TYPE_PROTECTIVE 0xeeu
/* Extended partitions: of DOS, of Windows and of Linux. */
#define TYPE_EXTENDED 0x05u
#define TYPE_EXTENDED_LBA 0x0fu
#define TYPE_EXTENDED_LINUX 0x85u

#define FIRST_LOGICAL 5u

struct mbr_entry {
    uint8_t status, type;
    uint32_t start, blocks;
};

static struct mbr_entry get_entry(const uint8_t *sector, unsigned i)
{
    const uint8_t *from = sector + ENTRIES + i * ENTRY_SIZE;

    return (struct mbr_entry){.status = from[ENTRY_STATUS],
                              .type = from[ENTRY_TYPE],
                              .start = partition_get32(from + ENTRY_START),
                              .blocks = partition_get32(from + ENTRY_BLOCKS)};
}

static bool is_extended(uint8_t type)
{
    return type == TYPE_EXTENDED || type == TYPE_EXTENDED_LBA || type == TYPE_EXTENDED_LINUX;
}

static bool has_signature(const uint8_t *sector)
{
    return sector[BOOT_SIGNATURE] == 0x55 && sector[BOOT_SIGNATURE + 1] == 0xaa;
}

/* A FAT volume on the whole disk: its jump, and sizes that no boot loader has there by chance. */
static bool is_fat_volume(const uint8_t *boot)
{
    unsigned bytes = boot[BPB_BYTES_PER_SECTOR] | boot[BPB_BYTES_PER_SECTOR + 1] << 8;
    unsigned cluster = boot[BPB_SECTORS_PER_CLUSTER];

    return (boot[0] == 0xeb || boot[0] == 0xe9) && bytes >= 512 && bytes <= 4096 &&
           (bytes & (bytes - 1)) == 0 && cluster && (cluster & (cluster - 1)) == 0 &&
           (boot[BPB_FATS] == 1 || boot[BPB_FATS] == 2);
}

static bool is_table(const uint8_t *boot)
{
    unsigned i;

    if (!has_signature(boot) || is_fat_volume(boot))
        return false;
    for (i = 0; i < ENTRY_COUNT; i++)
        if (get_entry(boot, i).status & ~STATUS_ACTIVE)
            return false;
    return true;
}

static bool take(struct partition_table *table, unsigned number, uint32_t signature, uint64_t start,
                 const struct mbr_entry *mbr)
{
    struct partition_entry *entry =
        partition_take(table, number, start, start + mbr->blocks - (uint64_t)1);

    if (!entry)
        return false;
    format_text(entry->info.uuid, sizeof(entry->info.uuid), "%08x-%02x", (unsigned)signature,
                number);
    format_text(entry->info.type, sizeof(entry->info.type), "%02x", mbr->type);
    return true;
}

/*
 * Takes the logical partition of one link in the chain. Returns where the next link is, relative to
 * the extended partition; 0: this was the last.
 */
static uint32_t take_logical(struct partition_table *table, const uint8_t *link, uint64_t at,
                             const struct mbr_entry *extended, uint32_t signature, unsigned *number)
{
    struct mbr_entry logical = get_entry(link, 0), next = get_entry(link, 1);
    uint64_t end = (uint64_t)extended->start + extended->blocks;
    uint64_t start = at + logical.start;

    if (logical.type && (start >= end || logical.blocks > end - start)) {
        log_error("%s: partition %u left out: it is not inside the extended partition",
                  table->disk->name, *number);
        return 0;
    }
    if (logical.type && !take(table, *number, signature, start, &logical))
        return 0;
    *number += logical.type != 0;
    return is_extended(next.type) ? next.start : 0;
}

static void read_logical(struct partition_table *table, const struct mbr_entry *extended,
                         uint32_t signature)
{
    uint8_t *link = platform_dma_alloc(table->disk->block_size, table->disk->block_size);
    unsigned number = FIRST_LOGICAL, links;
    uint32_t next = 0;

    if (!link) {
        log_error("%s: no memory for logical partitions", table->disk->name);
        return;
    }
    for (links = 0; links == 0 || next; links++) {
        uint64_t at = (uint64_t)extended->start + next;

        if (links == PARTITION_MAX || next >= extended->blocks || at >= partition_blocks(table)) {
            log_error("%s: the chain of logical partitions leads %s", table->disk->name,
                      links == PARTITION_MAX ? "nowhere" : "outside");
            break;
        }
        if (partition_read(table, at, link, 1))
            break;
        if (!has_signature(link)) {
            log_error("%s: the chain of logical partitions breaks off at block %llu",
                      table->disk->name, (unsigned long long)at);
            break;
        }
        next = take_logical(table, link, at, extended, signature, &number);
    }
    platform_dma_free(link, table->disk->block_size);
}

int partition_read_mbr(struct partition_table *table, const uint8_t *boot)
{
    uint32_t signature = partition_get32(boot + DISK_SIGNATURE);
    struct mbr_entry extended = {0};
    unsigned i;

    if (!is_table(boot))
        return -ENOENT;
    for (i = 0; i < ENTRY_COUNT; i++)
        if (get_entry(boot, i).type == TYPE_PROTECTIVE)
            return -EEXIST;
    table->kind = "MBR";
    for (i = 0; i < ENTRY_COUNT; i++) {
        struct mbr_entry entry = get_entry(boot, i);

        if (entry.type == 0 || entry.blocks == 0)
            continue;
        if (!is_extended(entry.type))
            take(table, i + 1, signature, entry.start, &entry);
        else if (extended.type)
            log_warn("%s: a second extended partition is left out", table->disk->name);
        else
            extended = entry;
    }
    if (extended.type)
        read_logical(table, &extended, signature);
    /* With no partition at all it is the boot sector of something else. */
    return table->count ? 0 : -ENOENT;
}
