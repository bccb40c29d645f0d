/*
 * proof_partition_mbr.c - any first block of 512 bytes: nothing beside it is read, and what goes to
 * the list of proof_partition_list.c is what the table says. There is no memory for the chain of
 * logical partitions, which is proof_partition_chain.c's.
 */
// unwind: 5
// variant primary: --max-field-sensitivity-array-size 1024
// control primary: blk/partition_mbr.c: mbr->blocks - (uint64_t)1 => mbr->blocks
// control primary: blk/partition_mbr.c: return table->count ? 0 : -ENOENT => return 0
// control primary: blk/partition_mbr.c: #define BOOT_SIGNATURE 510u => #define BOOT_SIGNATURE 511u
#include "proof.h"

#include "blk/partition_mbr.c"

#define BLOCK 512u

static struct blk_device disk = {.block_size = BLOCK};
static struct partition_table table = {.disk = &disk};
static const uint8_t *boot;

int format_text(char *out, size_t size, const char *format, ...)
{
    (void)format;
    claim(size > 0 && __CPROVER_w_ok(out, size));
    return 0;
}

void *platform_dma_alloc(size_t size, size_t align)
{
    claim(size == BLOCK && align == BLOCK);
    return NULL;
}

struct partition_entry *partition_take(struct partition_table *to, unsigned number, uint64_t first,
                                       uint64_t last)
{
    static struct partition_entry entry;
    const uint8_t *said = boot + 446 + 16 * (number - 1);

    claim(to == &table && number >= 1 && number <= 4);
    claim(said[4] != 0 && said[4] != TYPE_PROTECTIVE && !is_extended(said[4]));
    claim(first == partition_get32(said + 8) && last - first + 1 == partition_get32(said + 12));
    if (first == 0 || any_bool())
        return NULL;
    to->count++;
    return &entry;
}

int main(void)
{
    boot = malloc(BLOCK);
    int error = partition_read_mbr(&table, boot);

    claim(table.count <= 4);
    claim(error == (table.count ? 0 : -ENOENT) || (error == -EEXIST && !table.count));
    claim(error == -ENOENT || (boot[510] == 0x55 && boot[511] == 0xaa));
    return 0;
}
