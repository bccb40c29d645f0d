/*
 * memory_disk.c - a disk in memory under the block layer, for its tests. The contract is in
 * memory_disk.h.
 */
#include "memory_disk.h"

struct memory_disk disk;
uint8_t data[SECTORS * BLK_SECTOR_SIZE];

void complete(unsigned index, int status)
{
    struct part part = disk.held[index];
    uint64_t at = part.sector * BLK_SECTOR_SIZE, sectors = 0;

    memmove(&disk.held[index], &disk.held[index + 1], (--disk.held_count - index) * sizeof(part));
    for (unsigned i = 0; i < part.segments; i++)
        sectors += part.segment[i].len / BLK_SECTOR_SIZE;
    if (disk.bad_sector && disk.bad_sector >= part.sector &&
        disk.bad_sector < part.sector + sectors)
        status = -EIO;
    for (unsigned i = 0; !status && i < part.segments; i++) {
        if (part.op == BLK_READ)
            memcpy(part.segment[i].data, disk.image + at, part.segment[i].len);
        else
            memcpy(disk.image + at, part.segment[i].data, part.segment[i].len);
        at += part.segment[i].len;
    }
    blk_complete(&disk.device, part.token, status);
}

/* Every part keeps the limits that the driver announced. */
static void check_part(const struct blk_part *part)
{
    const struct blk_limits *limits = &disk.device.limits;
    uint64_t bytes = 0;

    assert_in_range(part->segments, 1, limits->max_segments);
    for (unsigned i = 0; i < part->segments; i++) {
        assert_in_range(part->segment[i].len, 1, limits->max_segment_size);
        assert_int_equal(part->segment[i].len % BLK_SECTOR_SIZE, 0);
        bytes += part->segment[i].len;
    }
    assert_int_equal(bytes % disk.device.block_size, 0);
    assert_true(bytes / BLK_SECTOR_SIZE <= limits->max_sectors);
    assert_int_equal(part->sector * BLK_SECTOR_SIZE % disk.device.block_size, 0);
    assert_true(part->sector + bytes / BLK_SECTOR_SIZE <= disk.device.capacity);
    disk.sectors += bytes / BLK_SECTOR_SIZE;
}

static int disk_submit(struct blk_device *device, const struct blk_part *part)
{
    struct part *held = &disk.held[disk.held_count];

    assert_ptr_equal(device, &disk.device);
    if (disk.submit_error)
        return disk.submit_error;
    if (disk.held_count == disk.room)
        return -ENOSPC;
    disk.parts++;
    if (part->op == BLK_FLUSH) {
        assert_int_equal(part->segments, 0);
        disk.flushes++;
    } else {
        check_part(part);
    }
    *held = (struct part){
        .op = part->op, .sector = part->sector, .segments = part->segments, .token = part->token};
    memcpy(held->segment, part->segment, part->segments * sizeof(*part->segment));
    disk.held_count++;
    if (disk.at_once)
        complete(disk.held_count - 1, disk.status);
    return 0;
}

static void disk_kick(struct blk_device *device)
{
    (void)device;
    disk.kicks++;
}

static unsigned disk_poll(struct blk_device *device, unsigned budget)
{
    unsigned done = 0;

    (void)device;
    if (disk.wake_ns && platform_now_ns() >= disk.wake_ns)
        disk.by_poll = true;
    while (disk.by_poll && disk.held_count && done < budget) {
        complete(0, disk.status);
        done++;
    }
    return done;
}

static bool disk_arm(struct blk_device *device)
{
    (void)device;
    return !disk.arm_fails;
}

static uint64_t disk_deadline(struct blk_device *device)
{
    (void)device;
    return disk.wake_ns ? disk.wake_ns : PLATFORM_NO_DEADLINE;
}

void disk_reset(struct blk_device *device)
{
    (void)device;
    disk.resets++;
    while (disk.held_count)
        complete(0, -EIO);
}

void disk_lose_all(void)
{
    while (disk.held_count) {
        struct blk_request *token = disk.held[--disk.held_count].token;

        blk_lost(&disk.device, token);
    }
}

const struct blk_ops disk_ops = {.submit = disk_submit,
                                 .kick = disk_kick,
                                 .poll = disk_poll,
                                 .arm = disk_arm,
                                 .deadline = disk_deadline,
                                 .reset = disk_reset};

void open_disk(uint32_t segments, uint32_t segment_size, uint32_t sectors, uint32_t block_size)
{
    memset(&disk, 0, sizeof(disk));
    for (unsigned i = 0; i < sizeof(disk.image); i++)
        disk.image[i] = (uint8_t)(i * 7 + i / 512);
    disk.room = MAX_PARTS;
    disk.device.capacity = SECTORS;
    disk.device.block_size = block_size;
    disk.device.has_flush = true;
    disk.device.ops = &disk_ops;
    disk.device.limits = (struct blk_limits){
        .max_segments = segments, .max_segment_size = segment_size, .max_sectors = sectors};
    assert_int_equal(blk_add(&disk.device), 0);
}

void close_disk(void)
{
    assert_int_equal(disk.held_count, 0);
    blk_remove(&disk.device);
    assert_null(blk_device_at(0));
}

/* ---- requests ---- */

unsigned done_count;

void request_done(struct blk_request *blk)
{
    struct request *r = blk->context;

    r->done++;
    r->order = done_count++;
}

void submit(struct request *r, enum blk_op op, uint64_t sector, void *memory, uint32_t sectors)
{
    memset(r, 0, sizeof(*r));
    r->segment[0] = (struct blk_segment){memory, sectors * BLK_SECTOR_SIZE};
    r->blk = (struct blk_request){.op = op,
                                  .sector = sector,
                                  .segment = op == BLK_FLUSH ? NULL : r->segment,
                                  .segments = op != BLK_FLUSH,
                                  .done = request_done,
                                  .context = r};
    blk_submit(&disk.device, &r->blk);
}

void assert_done(const struct request *r, int status)
{
    assert_int_equal(r->done, 1);
    assert_int_equal(r->blk.status, status);
}
