/*
 * image_disk.c - see image_disk.h.
 */
#include "image_disk.h"

#include <errno.h>

#include "hosted/hosted.h"

static uint8_t good[IMAGE_SIZE], disk[IMAGE_SIZE];
static bool dirty[IMAGE_SECTORS];
static struct blk_device device;
static unsigned until_failure;

uint8_t *image_disk_good(void)
{
    memset(dirty, true, sizeof(dirty));
    return good;
}

void image_disk_restore(void)
{
    for (unsigned i = 0; i < IMAGE_SECTORS; i++)
        if (dirty[i])
            memcpy(disk + i * BLK_SECTOR_SIZE, good + i * BLK_SECTOR_SIZE, BLK_SECTOR_SIZE);
    memset(dirty, 0, sizeof(dirty));
}

void image_disk_keep(void)
{
    memcpy(good, disk, sizeof(good));
    memset(dirty, 0, sizeof(dirty));
}

uint8_t *image_disk_bytes(unsigned at, unsigned len)
{
    if (at > IMAGE_SIZE || len > IMAGE_SIZE - at)
        hosted_fail("%u bytes at %u are not on the disk", len, at);
    for (unsigned sector = at / BLK_SECTOR_SIZE; sector * BLK_SECTOR_SIZE < at + len; sector++)
        dirty[sector] = true;
    return disk + at;
}

void image_disk_patch(struct input *input, unsigned within)
{
    for (unsigned n = input_u8(input) % 16; n; n--) {
        unsigned at = input_u16(input) % within, len = 1 + input_u8(input) % 48;

        if (at + len <= IMAGE_SIZE)
            input_bytes(input, image_disk_bytes(at, len), len);
    }
}

void image_disk_fail_from(unsigned nth)
{
    until_failure = nth;
}

static bool fails(void)
{
    if (until_failure > 1)
        until_failure--;
    else if (until_failure)
        return true;
    return false;
}

static int submit(struct blk_device *of, const struct blk_part *part)
{
    uint64_t at = part->sector * BLK_SECTOR_SIZE;
    int status = fails() ? -EIO : 0;

    for (unsigned i = 0; i < part->segments && !status; i++) {
        const struct blk_segment *segment = &part->segment[i];

        if (at + segment->len > IMAGE_SIZE)
            hosted_fail("the block layer went beyond the end of the disk");
        if (part->op == BLK_READ)
            memcpy(segment->data, disk + at, segment->len);
        else
            memcpy(image_disk_bytes((unsigned)at, segment->len), segment->data, segment->len);
        at += segment->len;
    }
    blk_complete(of, part->token, status);
    return 0;
}

static void kick(struct blk_device *of)
{
    (void)of;
}

static unsigned poll(struct blk_device *of, unsigned budget)
{
    (void)of;
    (void)budget;
    return 0;
}

static bool arm(struct blk_device *of)
{
    (void)of;
    return true;
}

static const struct blk_ops disk_ops = {
    .submit = submit, .kick = kick, .poll = poll, .arm = arm, .reset = kick};

struct blk_device *image_disk_add(uint32_t block_size, bool read_only)
{
    device = (struct blk_device){
        .block_size = block_size,
        .capacity = IMAGE_SECTORS,
        .read_only = read_only,
        .limits = {.max_segments = BLK_MAX_SEGMENTS, .max_segment_size = 65536, .max_sectors = 128},
        .timeout_ms = 1000,
        .ops = &disk_ops};
    if (blk_add(&device) != 0)
        hosted_fail("the disk was not taken");
    return &device;
}

void image_disk_remove(void)
{
    blk_remove(&device);
    image_disk_restore();
    until_failure = 0;
}
