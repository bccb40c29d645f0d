/*
 * partition_gpt.c - the GUID partition table (UEFI specification, chapter 5).
 *
 * A table stands twice on the disk, each time a header and an array of entries under a checksum of
 * their own. The first is used when it is sound, else the one at the end of the disk; the log says
 * which, and when the other is damaged. Nothing is repaired.
 */
#include <errno.h>
#include <string.h>

#include "blk/partition_table.h"
#include "log.h"
#include "platform.h"

/* 5.3.2: the header. */
#define HEADER_SIZE 12u
#define HEADER_CRC 16u
#define HEADER_OWN_BLOCK 24u
#define HEADER_FIRST_USABLE 40u
#define HEADER_LAST_USABLE 48u
#define HEADER_ENTRIES_BLOCK 72u
#define HEADER_ENTRY_COUNT 80u
#define HEADER_ENTRY_SIZE 84u
#define HEADER_ENTRIES_CRC 88u
#define HEADER_SIZE_MIN 92u
/* 5.3.3: an entry. */
#define ENTRY_TYPE 0u
#define ENTRY_GUID 16u
#define ENTRY_FIRST 32u
#define ENTRY_LAST 40u
#define ENTRY_NAME 56u
#define ENTRY_SIZE_MIN 128u

#define PRIMARY_BLOCK 1u
/* An array of more bytes is nonsense, whatever its checksum. */
#define ENTRIES_SIZE_MAX (256u << 10)

struct gpt {
    uint64_t first_usable, last_usable;
    uint64_t entries_block;
    uint32_t entry_count, entry_size, entries_crc;
};

static uint64_t entries_size(const struct gpt *gpt)
{
    return (uint64_t)gpt->entry_size * gpt->entry_count;
}

static uint64_t entries_blocks(const struct partition_table *table, const struct gpt *gpt)
{
    return (entries_size(gpt) + table->disk->block_size - 1) / table->disk->block_size;
}

/* What is wrong with the numbers of a header, or NULL. */
static const char *check_numbers(const struct partition_table *table, const struct gpt *gpt)
{
    uint64_t blocks = partition_blocks(table);

    if (gpt->entry_size < ENTRY_SIZE_MIN || gpt->entry_size % 8 || gpt->entry_count == 0 ||
        entries_size(gpt) > ENTRIES_SIZE_MAX)
        return "its array of entries has an impossible size";
    if (gpt->first_usable > gpt->last_usable || gpt->last_usable >= blocks ||
        gpt->entries_block <= PRIMARY_BLOCK || gpt->entries_block >= blocks ||
        entries_blocks(table, gpt) > blocks - gpt->entries_block)
        return "it reaches beyond the disk";
    return NULL;
}

/* What is wrong with a header, or NULL. `block` has the size of a block of the disk. */
static const char *check_header(const struct partition_table *table, uint8_t *block, uint64_t at,
                                struct gpt *gpt)
{
    uint32_t size = partition_get32(block + HEADER_SIZE);
    uint32_t crc = partition_get32(block + HEADER_CRC);

    if (memcmp(block, "EFI PART", 8) != 0)
        return "there is none";
    if (size < HEADER_SIZE_MIN || size > table->disk->block_size)
        return "its header has an impossible size";
    memset(block + HEADER_CRC, 0, 4);
    if (partition_crc32(block, size) != crc)
        return "the checksum of its header is wrong";
    if (partition_get64(block + HEADER_OWN_BLOCK) != at)
        return "its header belongs to another place";
    *gpt = (struct gpt){.first_usable = partition_get64(block + HEADER_FIRST_USABLE),
                        .last_usable = partition_get64(block + HEADER_LAST_USABLE),
                        .entries_block = partition_get64(block + HEADER_ENTRIES_BLOCK),
                        .entry_count = partition_get32(block + HEADER_ENTRY_COUNT),
                        .entry_size = partition_get32(block + HEADER_ENTRY_SIZE),
                        .entries_crc = partition_get32(block + HEADER_ENTRIES_CRC)};
    return check_numbers(table, gpt);
}

static const char *read_header(const struct partition_table *table, uint64_t at, struct gpt *gpt)
{
    uint8_t *block = platform_dma_alloc(table->disk->block_size, table->disk->block_size);
    const char *wrong = "there is no memory";

    if (block && partition_read(table, at, block, 1) == 0)
        wrong = check_header(table, block, at, gpt);
    else if (block)
        wrong = "it cannot be read";
    if (block)
        platform_dma_free(block, table->disk->block_size);
    return wrong;
}

/* ---- entries ---- */

static void take(struct partition_table *table, const struct gpt *gpt, unsigned number,
                 const uint8_t *from)
{
    static const uint8_t unused[PARTITION_GUID_SIZE];
    uint64_t first = partition_get64(from + ENTRY_FIRST), last = partition_get64(from + ENTRY_LAST);
    struct partition_entry *entry;

    if (memcmp(from + ENTRY_TYPE, unused, PARTITION_GUID_SIZE) == 0)
        return;
    if (first < gpt->first_usable || last > gpt->last_usable) {
        log_error(
            "%s: partition %u left out: blocks %llu to %llu are not among those for partitions",
            table->disk->name, number, (unsigned long long)first, (unsigned long long)last);
        return;
    }
    entry = partition_take(table, number, first, last);
    if (!entry)
        return;
    partition_guid_text(entry->info.type, from + ENTRY_TYPE);
    partition_guid_text(entry->info.uuid, from + ENTRY_GUID);
    partition_label_text(entry->info.label, from + ENTRY_NAME);
}

/* Reads the array of entries, and takes them when the checksum is right. What is wrong, or NULL. */
static const char *read_entries(struct partition_table *table, const struct gpt *gpt)
{
    uint32_t block_size = table->disk->block_size, blocks = (uint32_t)entries_blocks(table, gpt), i;
    uint8_t *array = platform_dma_alloc((size_t)blocks * block_size, block_size);
    const char *wrong = NULL;

    if (!array)
        return "there is no memory for its entries";
    if (partition_read(table, gpt->entries_block, array, blocks))
        wrong = "its entries cannot be read";
    else if (partition_crc32(array, entries_size(gpt)) != gpt->entries_crc)
        wrong = "the checksum of its entries is wrong";
    for (i = 0; !wrong && i < gpt->entry_count; i++)
        take(table, gpt, i + 1, array + (size_t)i * gpt->entry_size);
    platform_dma_free(array, (size_t)blocks * block_size);
    return wrong;
}

int partition_read_gpt(struct partition_table *table)
{
    uint64_t end = partition_blocks(table) - 1;
    struct gpt primary, backup;
    const char *wrong, *backup_wrong;

    if (end <= PRIMARY_BLOCK)
        return -ENOENT;
    table->kind = "GPT";
    wrong = read_header(table, PRIMARY_BLOCK, &primary);
    backup_wrong = read_header(table, end, &backup);
    if (!wrong)
        wrong = read_entries(table, &primary);
    if (!wrong) {
        if (backup_wrong)
            log_warn("%s: the backup GPT at the end cannot be used: %s", table->disk->name,
                     backup_wrong);
        else if (backup.entries_crc != primary.entries_crc)
            log_warn("%s: the backup GPT says something else than the GPT", table->disk->name);
        return 0;
    }
    if (!backup_wrong)
        backup_wrong = read_entries(table, &backup);
    if (backup_wrong) {
        log_error("%s: no GPT can be used: %s; of the backup: %s", table->disk->name, wrong,
                  backup_wrong);
        return -ENOENT;
    }
    log_warn("%s: the GPT cannot be used: %s; the backup at the end is", table->disk->name, wrong);
    return 0;
}
