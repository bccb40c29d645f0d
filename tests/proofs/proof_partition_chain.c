/*
 * proof_partition_chain.c - any chain of logical partitions, loops too: it ends, each block that is
 * read lies on the disk and inside of the extended partition, and so does all that is taken. Of a
 * block, the types and the signature are anything, and numbers are something else at each look.
 */
// unwind: 4
// variant 512: -DBLOCK=512 --max-field-sensitivity-array-size 1024
// variant 1024: -DBLOCK=1024 --max-field-sensitivity-array-size 1024
// control 512: blk/partition_mbr.c: links == PARTITION_MAX || next >= => next >=
// control 512: blk/partition_mbr.c: || at >= partition_blocks(table)) => )
// control 512: blk/partition_mbr.c: logical.blocks > end - start => 0
// control 1024: blk/partition_mbr.c: dma_free(link, table->disk->block_size) => dma_free(link, 512)
#include "proof.h"

#define PARTITION_MAX 2
#define partition_get32 bytes_get32
#include "blk/partition_table.h"
#undef partition_get32

static uint32_t partition_get32(const uint8_t *from)
{
    claim(__CPROVER_r_ok(from, sizeof(uint32_t)));
    return any_u32();
}
#include "blk/partition_mbr.c"

static struct blk_device disk = {.block_size = BLOCK};
static struct partition_table table = {.disk = &disk};
static struct mbr_entry extended;
static uint8_t block_read[BLOCK];
static unsigned lent, reads;

int format_text(char *out, size_t size, const char *format, ...)
{
    (void)format;
    claim(size > 0 && __CPROVER_w_ok(out, size));
    return 0;
}

void *platform_dma_alloc(size_t size, size_t align)
{
    void *memory = any_bool() ? block_read : NULL;

    claim(size == BLOCK && align == BLOCK);
    lent += memory != NULL;
    return memory;
}

void platform_dma_free(void *memory, size_t size)
{
    claim(memory == block_read && size == BLOCK);
    lent--;
}

int partition_read(const struct partition_table *from, uint64_t block, void *data, uint32_t count)
{
    claim(from == &table && count == 1 && block < partition_blocks(&table));
    claim(block >= extended.start && block - extended.start < extended.blocks);
    claim(data == block_read);
    claim(reads++ < PARTITION_MAX);
    block_read[ENTRIES + ENTRY_TYPE] = any_u8();
    block_read[ENTRIES + ENTRY_SIZE + ENTRY_TYPE] = any_u8();
    block_read[BOOT_SIGNATURE] = any_u8();
    block_read[BOOT_SIGNATURE + 1] = any_u8();
    return any_bool() ? 0 : -EIO;
}

/* Takes at most what that of proof_partition_list.c takes. */
struct partition_entry *partition_take(struct partition_table *to, unsigned number, uint64_t first,
                                       uint64_t last)
{
    static struct partition_entry entry;

    claim(to == &table && number >= FIRST_LOGICAL && number < FIRST_LOGICAL + PARTITION_MAX);
    if (first == 0 || first > last || last >= partition_blocks(&table) || any_bool())
        return NULL;
    claim(first >= extended.start && last - extended.start < extended.blocks);
    return &entry;
}

int main(void)
{
    disk.capacity = any_u64();
    assume(disk.capacity <= BLK_MAX_SECTORS);
    extended = (struct mbr_entry){any_u8(), any_u8(), any_u32(), any_u32()};
    read_logical(&table, &extended, any_u32());
    claim(lent == 0);
    return 0;
}
