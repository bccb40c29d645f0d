/*
 * partition_table.h - between partition.c and the readers of the two formats, partition_gpt.c and
 * partition_mbr.c.
 *
 * A reader adds what the table says to a list, in which every partition lies inside the disk and
 * none overlaps another. Numbers are in sectors of 512 bytes here; tables count in blocks.
 */
#ifndef FERRULE_BLK_PARTITION_TABLE_H
#define FERRULE_BLK_PARTITION_TABLE_H

#include "blk/partition.h"

/* Partitions of one disk at most; proofs take fewer. */
#ifndef PARTITION_MAX
#define PARTITION_MAX 64u
#endif

struct partition_entry {
    uint64_t start, sectors;
    struct partition_info info;
};

struct partition_table {
    struct blk_device *disk;
    const char *kind; /* "GPT" or "MBR" */
    unsigned count;
    struct partition_entry entry[PARTITION_MAX];
};

/* Blocks of the disk, and the sectors in one. */
static inline uint32_t partition_block_sectors(const struct partition_table *table)
{
    return table->disk->block_size / BLK_SECTOR_SIZE;
}

static inline uint64_t partition_blocks(const struct partition_table *table)
{
    return table->disk->capacity / partition_block_sectors(table);
}

/*
 * The next entry of the list, for blocks first to last (included) of the disk; its info has the
 * number and nothing else. NULL when it makes no sense, which the log has been told then.
 */
struct partition_entry *partition_take(struct partition_table *table, unsigned number,
                                       uint64_t first, uint64_t last);

/* Reads one or more blocks. 0 or a negative errno, which the log has been told. */
int partition_read(const struct partition_table *table, uint64_t block, void *data, uint32_t count);

/*
 * `boot` is the disk's first block. The MBR reader returns -EEXIST for a protective MBR, which says
 * that there is a GPT. 0: a table was found, even with nothing in it; -ENOENT: there is none, or
 * none that can be used.
 */
int partition_read_mbr(struct partition_table *table, const uint8_t *boot);
int partition_read_gpt(struct partition_table *table);

/* The fields of a GPT. A GUID has 16 bytes, a label PARTITION_LABEL_UNITS units of UTF-16. */
#define PARTITION_GUID_SIZE 16u
uint32_t partition_crc32(const uint8_t *data, size_t len);
void partition_guid_text(char text[PARTITION_UUID_SIZE], const uint8_t *guid);
void partition_label_text(char text[PARTITION_LABEL_SIZE], const uint8_t *name);

static inline uint32_t partition_get32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline uint64_t partition_get64(const uint8_t *from)
{
    return partition_get32(from) | (uint64_t)partition_get32(from + 4) << 32;
}

#endif
