/*
 * proof_partition_list.c - by induction: whatever a partition table says, the partitions that are
 * taken from it lie inside of the disk, behind its first block, and none overlaps another.
 */
// unwind: 4
// variant 512: -DBLOCK=512 -DCOUNT=1
// variant 4096: -DBLOCK=4096 -DCOUNT=1
// variant full: -DBLOCK=512 -DCOUNT=2
// control 512: blk/partition.c: last >= partition_blocks(table) => last > partition_blocks(table)
// control full: blk/partition.c: table->count == PARTITION_MAX => table->count > PARTITION_MAX
// control 512: blk/partition.c: entry->start >= other->start + other->sectors => entry->start >= other->start
// control 4096: blk/partition.c: .sectors = (last - first + 1) * sectors => .sectors = last - first + 1
#include "proof.h"

#define PARTITION_MAX 2
#include "blk/partition.c"

static struct blk_device disk = {.block_size = BLOCK};
static struct partition_table *table;

static bool is_apart(const struct partition_entry *a, const struct partition_entry *b)
{
    return a->start + a->sectors <= b->start || b->start + b->sectors <= a->start;
}

static bool list_is_valid(void)
{
    unsigned i, j;

    if (table->count > PARTITION_MAX)
        return false;
    for (i = 0; i < table->count; i++) {
        const struct partition_entry *entry = &table->entry[i];

        if (entry->start < BLOCK / 512 || entry->sectors == 0 || entry->start % (BLOCK / 512) ||
            entry->start > disk.capacity || entry->sectors > disk.capacity - entry->start)
            return false;
        for (j = 0; j < i; j++)
            if (!is_apart(entry, &table->entry[j]))
                return false;
    }
    return true;
}

int main(void)
{
    uint64_t first = any_u64(), last = any_u64();
    unsigned count = COUNT;

    table = malloc(sizeof(*table));
    table->disk = &disk;
    disk.capacity = any_u64();
    assume(disk.capacity <= BLK_MAX_SECTORS);
    table->count = count;
    assume(list_is_valid());
    struct partition_entry *entry = partition_take(table, any_unsigned(), first, last);
    claim(list_is_valid());
    claim(table->count == count + (entry != NULL));
    claim(!entry || (entry->start == first * (BLOCK / 512) &&
                     entry->sectors == (last - first + 1) * (BLOCK / 512)));
    return 0;
}
