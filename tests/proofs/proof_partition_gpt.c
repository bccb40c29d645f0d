/*
 * proof_partition_gpt.c - any GUID partition table, its checksums right or not: of a header and of
 * the entries nothing is read beside the blocks that were read, and those lie on the disk. What is
 * said of a header that is taken is possible. Numbers are something else at each look. Texts and
 * checksums are proof_partition_gpt_fields.c's.
 */
// unwind: 18
// variant header: -DHEADER -DBLOCK=512
// variant numbers-512: -DNUMBERS -DBLOCK=512
// variant numbers-4096: -DNUMBERS -DBLOCK=4096
// variant entries-512: -DENTRIES=264u -DBLOCK=512
// variant entries-4096: -DENTRIES=2048u -DBLOCK=4096
// control header: blk/partition_gpt.c: size > table->disk->block_size => 0
// control numbers-512: blk/partition_gpt.c: gpt->entries_block >= blocks => 0
// control numbers-512: blk/partition_gpt.c: gpt->entry_count == 0 => 0
// control numbers-4096: blk/partition_gpt.c: gpt->last_usable >= blocks => 0
// control entries-512: blk/partition_gpt.c: + table->disk->block_size - 1) => )
// control entries-4096: blk/partition_gpt.c: (size_t)i * gpt->entry_size => (size_t)i * block_size
#include "proof.h"

#define partition_get32 bytes_get32
#define partition_get64 bytes_get64
#include "blk/partition_table.h"
#undef partition_get32
#undef partition_get64

static uint32_t partition_get32(const uint8_t *from)
{
    claim(__CPROVER_r_ok(from, sizeof(uint32_t)));
    return any_u32();
}

static uint64_t partition_get64(const uint8_t *from)
{
    claim(__CPROVER_r_ok(from, sizeof(uint64_t)));
    return any_u64();
}

#include "blk/partition_gpt.c"

static struct blk_device disk = {.block_size = BLOCK};
static struct partition_table table = {.disk = &disk};

uint32_t partition_crc32(const uint8_t *data, size_t len)
{
    claim(__CPROVER_r_ok(data, len));
    return any_u32();
}

void partition_guid_text(char text[PARTITION_UUID_SIZE], const uint8_t *guid)
{
    claim(__CPROVER_w_ok(text, PARTITION_UUID_SIZE));
    claim(__CPROVER_r_ok(guid, PARTITION_GUID_SIZE));
}

void partition_label_text(char text[PARTITION_LABEL_SIZE], const uint8_t *name)
{
    claim(__CPROVER_w_ok(text, PARTITION_LABEL_SIZE));
    claim(__CPROVER_r_ok(name, 2 * PARTITION_LABEL_UNITS));
}

static uint8_t *lent;
static size_t lent_size;

void *platform_dma_alloc(size_t size, size_t align)
{
    claim(!lent && size > 0 && align == BLOCK);
    if (any_bool())
        return NULL;
    lent = malloc(size);
    lent_size = size;
    return lent;
}

void platform_dma_free(void *memory, size_t size)
{
    claim(lent && memory == lent && size == lent_size);
    lent = NULL;
}

int partition_read(const struct partition_table *from, uint64_t block, void *data, uint32_t count)
{
    uint64_t blocks = partition_blocks(&table);

    claim(from == &table && count >= 1 && block < blocks && count <= blocks - block);
    claim(data == lent && count == lent_size / BLOCK);
    return any_bool() ? 0 : -EIO;
}

struct partition_entry *partition_take(struct partition_table *to, unsigned number, uint64_t first,
                                       uint64_t last)
{
    static struct partition_entry entry;

    (void)first;
    (void)last;
    claim(to == &table && number >= 1);
    return any_bool() ? &entry : NULL;
}

/* What a header that is taken promises to read_entries(). */
static bool possible(const struct gpt *gpt)
{
    uint64_t blocks = partition_blocks(&table);

    return gpt->entry_size >= ENTRY_SIZE_MIN && gpt->entry_count > 0 &&
           entries_size(gpt) <= ENTRIES_SIZE_MAX && gpt->entries_block < blocks &&
           (entries_size(gpt) + BLOCK - 1) / BLOCK <= blocks - gpt->entries_block;
}

static void check(struct gpt *gpt)
{
#if defined(HEADER)
    uint64_t at = any_bool() ? PRIMARY_BLOCK : partition_blocks(&table) - 1;

    read_header(&table, at, gpt);
#elif defined(NUMBERS)
    if (check_numbers(&table, gpt))
        return;
    claim(possible(gpt));
    claim(gpt->entries_block > PRIMARY_BLOCK && gpt->entry_size % 8 == 0);
    claim(gpt->first_usable <= gpt->last_usable && gpt->last_usable < partition_blocks(&table));
#else
    gpt->entry_size = ENTRIES;
    assume(gpt->entry_count <= 3 && possible(gpt));
    read_entries(&table, gpt);
#endif
}

int main(void)
{
    struct gpt gpt;

    disk.capacity = any_u64();
    assume(disk.capacity > 2 * (BLOCK / BLK_SECTOR_SIZE) && disk.capacity <= BLK_MAX_SECTORS);
    gpt = (struct gpt){any_u64(), any_u64(), any_u64(), any_u32(), any_u32(), any_u32()};
    check(&gpt);
    claim(!lent);
    return 0;
}
