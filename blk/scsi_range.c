/*
 * scsi_range.c - what a logical unit says about discarding and zeroing, and the commands for it.
 *
 * Pages come from the device and are believed only as far as they make sense: a limit that is
 * missing or absurd means that the operation is not used. Read scsi_range.h first.
 */
#include "blk/scsi_range.h"

#include <string.h>

#define OP_UNMAP 0x42
#define OP_WRITE_SAME_16 0x93
#define SAME_UNMAP 0x08
/*
 * A unit without a limit of its own for WRITE SAME, or with a large one, gets no more than 32 MiB at
 * once: it may really have to write them, and a command must end within the time-out.
 */
#define SAME_SECTORS_MAX 65536u

static uint64_t get_be(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *from++;
    return value;
}

static void put_be(uint8_t *to, unsigned bytes, uint64_t value)
{
    while (bytes-- > 0) {
        to[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

/* ---- pages ---- */

/* Bytes of a page with its header of 4, 0 when it is another one (SPC-5 7.7.2). */
static uint32_t page_length(const uint8_t *answer, uint32_t length, uint8_t page)
{
    uint32_t told;

    if (length < 4 || answer[1] != page)
        return 0;
    told = 4 + (uint32_t)get_be(answer + 2, 2);
    return told < length ? told : length;
}

bool scsi_range_has_page(const uint8_t *answer, uint32_t length, uint8_t page)
{
    uint32_t end = page_length(answer, length, SCSI_PAGE_LIST), i;

    for (i = 4; i < end; i++)
        if (answer[i] == page)
            return true;
    return false;
}

bool scsi_range_take_limits(struct scsi_ranges *ranges, const uint8_t *answer, uint32_t length)
{
    uint64_t max_same;

    length = page_length(answer, length, SCSI_PAGE_LIMITS);
    if (length < 16)
        return false;
    ranges->max_transfer = (uint32_t)get_be(answer + 8, 4);
    /* Shorter pages are of a time before provisioning. */
    if (length < 44)
        return true;
    /* No descriptor in the list of UNMAP: no UNMAP. */
    ranges->max_unmap = get_be(answer + 24, 4) ? (uint32_t)get_be(answer + 20, 4) : 0;
    ranges->granularity = (uint32_t)get_be(answer + 28, 4);
    /* Its multiples count from somewhere else than block 0, which limits do not tell. */
    if ((answer[32] & 0x80) && (get_be(answer + 32, 4) & 0x7fffffff))
        ranges->granularity = 0;
    if (ranges->granularity > ranges->max_unmap)
        ranges->granularity = 0;
    max_same = get_be(answer + 36, 8);
    ranges->max_same = max_same && max_same < UINT32_MAX ? (uint32_t)max_same : UINT32_MAX;
    return true;
}

bool scsi_range_take_provisioning(struct scsi_ranges *ranges, const uint8_t *answer,
                                  uint32_t length)
{
    if (page_length(answer, length, SCSI_PAGE_PROVISIONING) < 8)
        return false;
    ranges->unmap = (answer[5] & 0x80) && ranges->max_unmap;
    ranges->same_unmaps = (answer[5] & 0x40) && ranges->max_same;
    ranges->reads_zeroes = answer[5] & 0x04;
    return true;
}

/* ---- limits ---- */

/* Blocks as sectors, no more than `most` of them. */
static uint32_t to_sectors(uint32_t blocks, uint32_t per_block, uint32_t most)
{
    uint64_t sectors = (uint64_t)blocks * per_block;

    return sectors < most ? (uint32_t)sectors : most - most % per_block;
}

void scsi_range_set_limits(const struct scsi_ranges *ranges, uint32_t block_size,
                           struct blk_limits *limits)
{
    uint32_t per_block = block_size / BLK_SECTOR_SIZE, same = 0;

    if (ranges->max_transfer)
        limits->max_sectors = to_sectors(ranges->max_transfer, per_block, limits->max_sectors);
    if (block_size <= SCSI_ZEROS_SIZE)
        same = to_sectors(ranges->max_same, per_block, SAME_SECTORS_MAX);
    limits->max_zeroes_sectors = same;
    limits->max_discard_sectors = ranges->unmap
                                      ? to_sectors(ranges->max_unmap, per_block, UINT32_MAX)
                                      : (ranges->same_unmaps ? same : 0);
    limits->range_alignment = to_sectors(ranges->granularity, per_block, UINT32_MAX);
}

/* ---- commands ---- */

/* SBC-4 5.27: a list of one descriptor. */
static void build_unmap(struct scsi_command *command, uint8_t *list, uint64_t block,
                        uint32_t blocks)
{
    memset(list, 0, SCSI_UNMAP_LIST_SIZE);
    put_be(list, 2, SCSI_UNMAP_LIST_SIZE - 2);
    put_be(list + 2, 2, SCSI_UNMAP_LIST_SIZE - 8);
    put_be(list + 8, 8, block);
    put_be(list + 16, 4, blocks);
    command->cdb[0] = OP_UNMAP;
    put_be(command->cdb + 7, 2, SCSI_UNMAP_LIST_SIZE);
    command->sg[0] = (struct virtqueue_sg){list, SCSI_UNMAP_LIST_SIZE};
}

/* SBC-4 5.52: one block, written again and again. */
static void build_same(struct scsi_command *command, uint32_t block_size, bool unmap,
                       uint64_t block, uint32_t blocks, void *zeros)
{
    command->cdb[0] = OP_WRITE_SAME_16;
    command->cdb[1] = unmap ? SAME_UNMAP : 0;
    put_be(command->cdb + 2, 8, block);
    put_be(command->cdb + 10, 4, blocks);
    command->sg[0] = (struct virtqueue_sg){zeros, block_size};
}

void scsi_range_build(const struct scsi_ranges *ranges, uint32_t block_size,
                      const struct blk_part *part, struct scsi_command *command, uint8_t *list,
                      void *zeros)
{
    uint32_t per_block = block_size / BLK_SECTOR_SIZE, blocks = part->sectors / per_block;
    uint64_t block = part->sector / per_block;
    bool unmap =
        part->op == BLK_DISCARD || (part->unmap && ranges->same_unmaps && ranges->reads_zeroes);

    memset(command->cdb, 0, SCSI_CDB_SIZE);
    if (part->op == BLK_DISCARD && ranges->unmap)
        build_unmap(command, list, block, blocks);
    else
        build_same(command, block_size, unmap, block, blocks, zeros);
    command->data = SCSI_DATA_OUT;
    command->segments = 1;
    command->length = command->sg[0].len;
}
