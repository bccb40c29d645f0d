// sources: blk/block.c blk/wait.c boot/loop.c boot/log.c boot/format.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_blk.c - the block layer (blk/block.h): checks, splitting, order, flushes, time-outs, the
 * waiting forms.
 *
 * The driver underneath is a disk in memory that checks each part against its limits, and completes
 * parts when the test says so, in any order and with any status. No virtio here. Read blk/block.c
 * next.
 */
#include "support.h"

#include "blk/block.h"

#define SECTORS 4096u
#define MAX_PARTS 4096u

/* ---- the driver ---- */

struct part {
    enum blk_op op;
    uint64_t sector;
    struct blk_segment segment[BLK_MAX_SEGMENTS];
    unsigned segments;
    struct blk_request *token;
};

static struct {
    struct blk_device device;
    uint8_t image[SECTORS * BLK_SECTOR_SIZE];
    struct part held[MAX_PARTS];
    unsigned held_count, room;
    bool at_once; /* complete inside of submit */
    bool by_poll; /* complete all at the next poll */
    bool arm_fails;
    uint64_t wake_ns; /* when the driver wants to be polled, and then completes everything */
    int submit_error, status;
    unsigned parts, kicks, resets, flushes;
    uint64_t sectors; /* in all parts so far */
} disk;

static void complete(unsigned index, int status)
{
    struct part part = disk.held[index];
    uint64_t at = part.sector * BLK_SECTOR_SIZE;

    memmove(&disk.held[index], &disk.held[index + 1], (--disk.held_count - index) * sizeof(part));
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

static void disk_reset(struct blk_device *device)
{
    (void)device;
    disk.resets++;
    while (disk.held_count)
        complete(0, -EIO);
}

/* A reset for any other reason than a time-out: what the device had is lost. */
static void disk_lose_all(void)
{
    while (disk.held_count) {
        struct blk_request *token = disk.held[--disk.held_count].token;

        blk_lost(&disk.device, token);
    }
}

static const struct blk_ops disk_ops = {.submit = disk_submit,
                                        .kick = disk_kick,
                                        .poll = disk_poll,
                                        .arm = disk_arm,
                                        .deadline = disk_deadline,
                                        .reset = disk_reset};

static void open_disk(uint32_t segments, uint32_t segment_size, uint32_t sectors,
                      uint32_t block_size)
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

static void close_disk(void)
{
    assert_int_equal(disk.held_count, 0);
    blk_remove(&disk.device);
    assert_null(blk_device_at(0));
}

/* ---- requests ---- */

struct request {
    struct blk_request blk;
    struct blk_segment segment[64];
    unsigned done, order;
};
static unsigned done_count;

static void request_done(struct blk_request *blk)
{
    struct request *r = blk->context;

    r->done++;
    r->order = done_count++;
}

static void submit(struct request *r, enum blk_op op, uint64_t sector, void *data, uint32_t sectors)
{
    memset(r, 0, sizeof(*r));
    r->segment[0] = (struct blk_segment){data, sectors * BLK_SECTOR_SIZE};
    r->blk = (struct blk_request){.op = op,
                                  .sector = sector,
                                  .segment = op == BLK_FLUSH ? NULL : r->segment,
                                  .segments = op != BLK_FLUSH,
                                  .done = request_done,
                                  .context = r};
    blk_submit(&disk.device, &r->blk);
}

static void assert_done(const struct request *r, int status)
{
    assert_int_equal(r->done, 1);
    assert_int_equal(r->blk.status, status);
}

static uint8_t data[SECTORS * BLK_SECTOR_SIZE];

/* ---- splitting ---- */

/* A request with random pieces; written, read back by another with other pieces. */
static void random_request(struct request *r, enum blk_op op, uint64_t sector, uint32_t sectors,
                           uint8_t *memory, uint32_t *seed)
{
    unsigned n = 0;

    memset(r, 0, sizeof(*r));
    for (uint32_t left = sectors; left; n++) {
        uint32_t len = n == 63 ? left : support_random(seed) % (left < 24 ? left : 24) + 1;
        r->segment[n] = (struct blk_segment){memory, len * BLK_SECTOR_SIZE};
        memory += len * BLK_SECTOR_SIZE;
        left -= len;
    }
    r->blk = (struct blk_request){.op = op,
                                  .sector = sector,
                                  .segment = r->segment,
                                  .segments = n,
                                  .done = request_done,
                                  .context = r};
    blk_submit(&disk.device, &r->blk);
}

/*
 * All combinations of limits, with random requests: each part keeps the limits (check_part), each
 * sector is moved exactly once, and what was written is what is read.
 * covers: BLK-T-LIMITS-1 BLK-T-UNITS-1 BLK-OP-6
 */
static void requests_are_split_to_the_limits(void **state)
{
    static const uint32_t segments[] = {1, 2, 3, 128}, sizes[] = {1, 2, 5, 1000},
                          totals[] = {1, 3, 16, 4096};
    static uint8_t back[SECTORS * BLK_SECTOR_SIZE];
    uint32_t seed = 1;
    struct request r;

    (void)state;
    for (unsigned i = 0; i < 4 * 4 * 4; i++) {
        open_disk(segments[i % 4], sizes[i / 4 % 4] * 512, totals[i / 16], 512);
        disk.at_once = true;
        for (unsigned n = 0; n < 12; n++) {
            uint32_t sectors = support_random(&seed) % 300 + 1;
            uint64_t sector = support_random(&seed) % (SECTORS - sectors + 1);
            for (uint32_t b = 0; b < sectors * BLK_SECTOR_SIZE; b++)
                data[b] = (uint8_t)support_random(&seed);
            disk.sectors = 0;
            random_request(&r, BLK_WRITE, sector, sectors, data, &seed);
            assert_done(&r, 0);
            assert_int_equal(disk.sectors, sectors);
            assert_memory_equal(disk.image + sector * BLK_SECTOR_SIZE, data,
                                sectors * BLK_SECTOR_SIZE);
            random_request(&r, BLK_READ, sector, sectors, back, &seed);
            assert_done(&r, 0);
            assert_memory_equal(back, data, sectors * BLK_SECTOR_SIZE);
        }
        assert_int_equal(disk.device.stats.writes, 12);
        assert_int_equal(disk.device.stats.reads, 12);
        assert_int_equal(disk.device.stats.parts, disk.parts);
        close_disk();
    }
}

/*
 * Blocks of 4096 with pieces of 512: parts end on block borders although pieces do not.
 * covers: BLK-T-UNITS-1
 */
static void parts_end_on_blocks(void **state)
{
    static uint8_t back[SECTORS * BLK_SECTOR_SIZE];
    uint32_t seed = 5;
    struct request r;

    (void)state;
    for (unsigned max = 1; max <= 40; max += 3) {
        open_disk(max < 9 ? 9 : max, 8192, 8 * (max % 5 + 1), 4096);
        disk.at_once = true;
        for (unsigned n = 0; n < 20; n++) {
            uint32_t sectors = 8 * (support_random(&seed) % 12 + 1);
            uint64_t sector = 8 * (support_random(&seed) % (SECTORS / 8 - sectors / 8));
            memset(data, (int)n + 1, sectors * BLK_SECTOR_SIZE);
            disk.sectors = 0;
            random_request(&r, BLK_WRITE, sector, sectors, data, &seed);
            assert_done(&r, 0);
            assert_int_equal(disk.sectors, sectors);
            random_request(&r, BLK_READ, sector, sectors, back, &seed);
            assert_memory_equal(back, data, sectors * BLK_SECTOR_SIZE);
        }
        close_disk();
    }
}

/* A block in more pieces than the device takes cannot be given to it. */
static void pieces_too_small_for_a_block_are_an_error(void **state)
{
    struct request r = {0};

    (void)state;
    open_disk(4, 4096, 64, 4096);
    for (unsigned i = 0; i < 8; i++)
        r.segment[i] = (struct blk_segment){data + i * 512, 512};
    r.blk = (struct blk_request){
        .op = BLK_READ, .segment = r.segment, .segments = 8, .done = request_done, .context = &r};
    blk_submit(&disk.device, &r.blk);
    assert_done(&r, -EINVAL);
    assert_int_equal(disk.parts, 0);
    close_disk();
}

/* ---- requests that are refused ---- */

/* covers: BLK-OP-2 BLK-OP-6 */
static void senseless_requests_are_refused(void **state)
{
    static const struct {
        uint64_t sector;
        uint32_t len;
    } bad[] = {{0, 0},
               {0, 511},
               {0, 513},
               {SECTORS, 512},
               {SECTORS - 1, 1024},
               {UINT64_MAX, 512},
               {UINT64_MAX - 1, 1024},
               {UINT64_C(1) << 55, 512},
               {0, (SECTORS + 1) * 512}};

    (void)state;
    open_disk(8, 4096, 64, 512);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (unsigned op = BLK_READ; op <= BLK_WRITE; op++) {
            struct request r = {.segment = {{data, bad[i].len}}};
            r.blk = (struct blk_request){.op = op,
                                         .sector = bad[i].sector,
                                         .segment = r.segment,
                                         .segments = 1,
                                         .done = request_done,
                                         .context = &r};
            blk_submit(&disk.device, &r.blk);
            assert_done(&r, -EINVAL);
        }
    struct request none = {0};
    none.blk = (struct blk_request){.op = BLK_READ, .done = request_done, .context = &none};
    blk_submit(&disk.device, &none.blk);
    assert_done(&none, -EINVAL);
    assert_int_equal(disk.parts, 0);
    assert_int_equal(blk_read(&disk.device, 0, data, UINT32_MAX / 512 + 1), -EINVAL);
    close_disk();
}

/* covers: BLK-T-UNITS-1 */
static void alignment_to_the_block_size_is_asked_for(void **state)
{
    struct request r;

    (void)state;
    open_disk(8, 4096, 64, 4096);
    submit(&r, BLK_READ, 1, data, 8);
    assert_done(&r, -EINVAL);
    submit(&r, BLK_READ, 8, data, 7);
    assert_done(&r, -EINVAL);
    assert_int_equal(disk.parts, 0);
    disk.at_once = true;
    submit(&r, BLK_READ, 8, data, 8);
    assert_done(&r, 0);
    close_disk();
}

/* covers: BLK-OP-3 */
static void a_read_only_device_is_not_written(void **state)
{
    struct request r;

    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.device.read_only = true;
    disk.at_once = true;
    submit(&r, BLK_WRITE, 0, data, 1);
    assert_done(&r, -EROFS);
    assert_int_equal(disk.parts, 0);
    submit(&r, BLK_READ, 0, data, 1);
    assert_done(&r, 0);
    close_disk();
}

/* Found by fuzzing: a driver without anything of ours that was never ready for more. */
static void a_device_that_takes_nothing_is_given_up(void **state)
{
    uint8_t sector[BLK_SECTOR_SIZE];

    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.submit_error = -ENOSPC;
    assert_int_equal(blk_read(&disk.device, 0, sector, 1), -EIO);
    assert_in_range(platform_now_ns(), 1000000ull * disk.device.timeout_ms,
                    1100000ull * disk.device.timeout_ms);
    assert_int_equal(disk.device.stats.timeouts, 1);
    disk.submit_error = 0;
    disk.at_once = true;
    assert_int_equal(blk_read(&disk.device, 0, sector, 1), 0);
    close_disk();
}

static void senseless_devices_are_refused(void **state)
{
    static const struct {
        uint32_t block, segments, size, sectors;
    } bad[] = {{0, 1, 512, 1},      {256, 1, 512, 1},   {513, 1, 1024, 1}, {131072, 1, 131072, 256},
               {512, 0, 512, 1},    {512, 129, 512, 1}, {512, 1, 0, 1},    {512, 1, 511, 1},
               {512, 1, 513, 1},    {512, 1, 512, 0},   {4096, 1, 512, 8}, {4096, 1, 4096, 7},
               {4096, 1, 6144, 64}, {768, 1, 1536, 3}};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&disk, 0, sizeof(disk));
        disk.device.block_size = bad[i].block;
        disk.device.ops = &disk_ops;
        disk.device.limits = (struct blk_limits){.max_segments = bad[i].segments,
                                                 .max_segment_size = bad[i].size,
                                                 .max_sectors = bad[i].sectors};
        assert_int_equal(blk_add(&disk.device), -EINVAL);
        assert_null(blk_device_at(0));
    }
    expect_log("makes no sense", sizeof(bad) / sizeof(bad[0]));
}

static void devices_get_names_and_the_table_ends(void **state)
{
    static struct blk_device many[BLK_DEVICES_MAX + 1];

    (void)state;
    for (unsigned i = 0; i <= BLK_DEVICES_MAX; i++) {
        many[i] = (struct blk_device){
            .block_size = 512,
            .ops = &disk_ops,
            .limits = {.max_segments = 1, .max_segment_size = 512, .max_sectors = 1},
            .prefix = i % 2 ? "sd" : NULL};
        assert_int_equal(blk_add(&many[i]), i < BLK_DEVICES_MAX ? 0 : -ENOSPC);
    }
    assert_string_equal(many[0].name, "vda");
    assert_string_equal(many[1].name, "sda");
    assert_string_equal(many[50].name, "vdz");
    assert_string_equal(many[52].name, "vdaa");
    assert_string_equal(many[63].name, "sdaf");
    assert_ptr_equal(blk_device_at(3), &many[3]);
    assert_null(blk_device_at(BLK_DEVICES_MAX));
    blk_remove(&many[2]);
    assert_ptr_equal(blk_device_at(2), &many[3]);
    assert_int_equal(blk_add(&many[2]), 0);
    assert_string_equal(many[2].name, "vdb");
    for (unsigned i = 0; i < BLK_DEVICES_MAX; i++)
        blk_remove(&many[i]);
}

/* ---- errors and order ---- */

/* covers: BLK-T-REQ-2 */
static void the_first_error_of_a_split_request_wins(void **state)
{
    struct request r;

    (void)state;
    open_disk(1, 512, 1, 512);
    submit(&r, BLK_READ, 0, data, 4);
    assert_int_equal(disk.held_count, 4);
    complete(2, -ENOTSUP);
    assert_int_equal(r.done, 0);
    complete(0, -EIO);
    complete(0, 0);
    assert_int_equal(r.done, 0);
    complete(0, 0);
    assert_done(&r, -ENOTSUP);
    assert_int_equal(disk.device.stats.errors, 1);
    close_disk();
}

static void after_an_error_the_rest_is_not_given(void **state)
{
    struct request r;

    (void)state;
    open_disk(1, 512, 1, 512);
    disk.room = 2;
    submit(&r, BLK_WRITE, 0, data, 100);
    assert_int_equal(disk.held_count, 2);
    complete(0, -EIO);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_done(&r, -EIO);
    assert_int_equal(disk.parts, 2);
    close_disk();
}

static void an_error_of_submit_ends_the_request(void **state)
{
    struct request r, s;

    (void)state;
    open_disk(1, 512, 1, 512);
    disk.submit_error = -EIO;
    submit(&r, BLK_READ, 0, data, 3);
    assert_done(&r, -EIO);
    submit(&r, BLK_FLUSH, 0, NULL, 0);
    assert_done(&r, -EIO);
    /* The second part fails while the first is with the device. */
    disk.submit_error = 0;
    disk.room = 1;
    submit(&r, BLK_READ, 0, data, 3);
    disk.submit_error = -ENOTSUP;
    blk_poll(&disk.device, 64);
    assert_int_equal(r.done, 0);
    disk.submit_error = 0;
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_done(&r, -ENOTSUP);
    disk.at_once = true;
    submit(&s, BLK_READ, 0, data, 1);
    assert_done(&s, 0);
    close_disk();
}

static void a_full_device_is_waited_for_in_order(void **state)
{
    static struct request r[20];

    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.room = 3;
    done_count = 0;
    for (unsigned i = 0; i < 20; i++)
        submit(&r[i], BLK_READ, i, data + i * 512, 1);
    assert_int_equal(disk.held_count, 3);
    assert_true(disk.device.stats.full > 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(disk.held[0].sector, i);
        complete(0, 0);
        assert_done(&r[i], 0);
        assert_int_equal(r[i].order, i);
        blk_poll(&disk.device, 64);
    }
    close_disk();
}

/* covers: BLK-T-STABLE-1 BLK-T-REQ-2 */
static void a_flush_waits_and_makes_wait(void **state)
{
    struct request before[2], flush, after[2];

    (void)state;
    open_disk(8, 4096, 64, 512);
    submit(&before[0], BLK_WRITE, 0, data, 1);
    submit(&before[1], BLK_WRITE, 1, data, 1);
    submit(&flush, BLK_FLUSH, 0, NULL, 0);
    submit(&after[0], BLK_WRITE, 2, data, 1);
    assert_int_equal(disk.held_count, 2);
    complete(1, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.flushes, 0);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.flushes, 1);
    assert_int_equal(disk.held_count, 1);
    submit(&after[1], BLK_READ, 3, data, 1);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    assert_int_equal(flush.done, 0);
    complete(0, 0);
    assert_done(&flush, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 2);
    complete(0, 0);
    complete(0, 0);
    assert_done(&after[0], 0);
    assert_done(&after[1], 0);
    close_disk();
}

/* Two flushes in a row, one that finds the device full, one that fails. */
static void flushes_end_in_every_case(void **state)
{
    struct request write, flush[3];

    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.room = 0;
    submit(&flush[0], BLK_FLUSH, 0, NULL, 0);
    submit(&flush[1], BLK_FLUSH, 0, NULL, 0);
    submit(&write, BLK_WRITE, 0, data, 1);
    assert_int_equal(disk.held_count, 0);
    disk.room = 8;
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    complete(0, -EIO);
    assert_done(&flush[0], -EIO);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    assert_int_equal(disk.held[0].op, BLK_FLUSH);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    complete(0, 0);
    assert_done(&write, 0);
    assert_int_equal(disk.device.stats.flushes, 2);
    close_disk();
}

/* covers: BLK-INIT-2 */
static void without_a_cache_a_flush_is_done_at_once(void **state)
{
    struct request write, flush;

    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.device.has_flush = false;
    submit(&write, BLK_WRITE, 0, data, 1);
    submit(&flush, BLK_FLUSH, 0, NULL, 0);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_done(&write, 0);
    assert_done(&flush, 0);
    assert_int_equal(disk.flushes, 0);
    close_disk();
}

/* ---- callbacks that submit ---- */

static unsigned chain_left;
static struct request chain_request;

static void chain_done(struct blk_request *blk)
{
    assert_int_equal(blk->status, 0);
    if (chain_left-- == 0)
        return;
    blk->sector = chain_left % SECTORS;
    blk_submit(&disk.device, blk);
}

/*
 * A driver that completes at once and a callback that submits again: no recursion, however long it
 * goes on.
 */
static void completion_callbacks_may_submit(void **state)
{
    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.at_once = true;
    chain_left = 200000;
    chain_request.segment[0] = (struct blk_segment){data, 512};
    chain_request.blk = (struct blk_request){
        .op = BLK_WRITE, .segment = chain_request.segment, .segments = 1, .done = chain_done};
    blk_submit(&disk.device, &chain_request.blk);
    assert_int_equal(disk.parts, 200001);
    disk.at_once = false;
    disk.by_poll = true;
    chain_left = 1000;
    blk_submit(&disk.device, &chain_request.blk);
    while (blk_poll(&disk.device, 64))
        continue;
    assert_int_equal(disk.parts, 201002);
    close_disk();
}

/* ---- time-outs and the end ---- */

static void a_device_that_stalls_is_reset(void **state)
{
    static struct request r[6];

    (void)state;
    open_disk(1, 512, 1, 512);
    disk.device.timeout_ms = 1000;
    disk.room = 5;
    submit(&r[0], BLK_READ, 0, data, 2);
    hosted_clock_advance(UINT64_C(600) * 1000000);
    submit(&r[1], BLK_READ, 5, data, 1);
    submit(&r[2], BLK_WRITE, 6, data, 9); /* does not fit wholly */
    submit(&r[3], BLK_FLUSH, 0, NULL, 0);
    submit(&r[4], BLK_READ, 7, data, 1);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.resets, 0);
    hosted_clock_advance(UINT64_C(399) * 1000000);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.resets, 0);
    hosted_clock_advance(UINT64_C(2) * 1000000);
    assert_true(blk_poll(&disk.device, 64) > 0);
    assert_int_equal(disk.resets, 1);
    assert_int_equal(disk.device.stats.timeouts, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_done(&r[i], -EIO);
    /* What was not in flight goes on with the device that came back. */
    disk.by_poll = true;
    while (blk_poll(&disk.device, 64))
        continue;
    assert_done(&r[3], 0);
    assert_done(&r[4], 0);
    expect_log("took longer than 1000 ms", 1);
    close_disk();
}

static void what_a_reset_device_lost_is_given_again(void **state)
{
    static struct request r[5];

    (void)state;
    open_disk(1, 512, 1, 512);
    disk.room = 6;
    memset(data, 0x77, sizeof(data));
    submit(&r[0], BLK_WRITE, 0, data, 2);
    submit(&r[1], BLK_READ, 5, data + 4096, 1);
    submit(&r[2], BLK_WRITE, 10, data, 9); /* does not fit wholly */
    submit(&r[3], BLK_FLUSH, 0, NULL, 0);
    submit(&r[4], BLK_READ, 0, data + 8192, 1);
    complete(0, 0); /* the first part of r[0]: the whole request is given again all the same */
    disk_lose_all();
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(r[i].done, 0);
    assert_int_equal(disk.device.stats.replays, 3);
    disk.by_poll = true;
    blk_poll(&disk.device, 64);
    while (blk_poll(&disk.device, 64))
        continue;
    for (unsigned i = 0; i < 5; i++)
        assert_done(&r[i], 0);
    /* The flush still comes after all that was submitted before it, and before the rest. */
    assert_true(r[3].order > r[0].order && r[3].order > r[1].order && r[3].order > r[2].order);
    assert_true(r[4].order > r[3].order);
    for (unsigned i = 0; i < 2 * BLK_SECTOR_SIZE; i++)
        assert_int_equal(disk.image[i], 0x77);
    assert_int_equal(data[4096], (uint8_t)(5 * 512 * 7 + 5));
    /* A flush that is lost is given again, and holds up what was submitted after it. */
    disk.by_poll = false;
    submit(&r[3], BLK_FLUSH, 0, NULL, 0);
    submit(&r[4], BLK_READ, 0, data + 8192, 1);
    disk_lose_all();
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    assert_int_equal(disk.held[0].op, BLK_FLUSH);
    disk.by_poll = true;
    blk_poll(&disk.device, 64);
    while (blk_poll(&disk.device, 64))
        continue;
    assert_done(&r[3], 0);
    assert_done(&r[4], 0);
    close_disk();
}

/* A request that breaks the device each time must not do so for ever. */
static void a_request_is_not_given_again_for_ever(void **state)
{
    static struct request r[2];
    unsigned given = 0;

    (void)state;
    open_disk(1, 512, 1, 512);
    submit(&r[0], BLK_WRITE, 0, data, 2);
    while (!r[0].done && given < 100) {
        given++;
        blk_poll(&disk.device, 64);
        disk_lose_all();
    }
    assert_int_equal(given, 1 + BLK_REPLAYS_MAX);
    assert_done(&r[0], -EIO);
    /* Nor one of which the device said that it failed. */
    submit(&r[1], BLK_WRITE, 0, data, 2);
    complete(0, -ENOTSUP);
    disk_lose_all();
    assert_done(&r[1], -ENOTSUP);
    close_disk();
}

static void removal_ends_what_waits(void **state)
{
    static struct request r[4];

    (void)state;
    open_disk(8, 4096, 64, 512);
    disk.room = 1;
    for (unsigned i = 0; i < 3; i++)
        submit(&r[i], BLK_READ, i, data, 1);
    disk_reset(&disk.device);
    assert_done(&r[0], -EIO);
    blk_remove(&disk.device);
    assert_done(&r[1], -EIO);
    assert_done(&r[2], -EIO);
    submit(&r[3], BLK_READ, 0, data, 1);
    assert_done(&r[3], -EIO);
    assert_int_equal(blk_read(&disk.device, 0, data, 1), -EIO);
    assert_int_equal(disk.parts, 1);
}

/* ---- waiting forms ---- */

static uint64_t answer_at_ns;

static void answer_later(void *arg)
{
    (void)arg;
    if (platform_now_ns() >= answer_at_ns)
        disk.by_poll = true;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void the_waiting_forms_wait(void **state)
{
    uint8_t *one = data, *other = data + 65536;

    (void)state;
    open_disk(4, 4096, 16, 512);
    hosted_world_add(answer_later, NULL);
    for (unsigned i = 0; i < 65536; i++)
        one[i] = (uint8_t)(i * 13 + i / 256);
    /* Fast devices are caught while spinning, slow ones after sleeping. */
    answer_at_ns = 5000;
    assert_int_equal(blk_write(&disk.device, 100, one, 128), 0);
    assert_int_equal(hosted_wait_count(), 0);
    disk.by_poll = false;
    answer_at_ns = platform_now_ns() + 3000000;
    loop_set_polling(true);
    assert_int_equal(blk_read(&disk.device, 100, other, 128), 0);
    loop_set_polling(false);
    assert_true(hosted_wait_count() > 0);
    assert_memory_equal(one, other, 65536);
    assert_int_equal(blk_flush(&disk.device), 0);
    assert_int_equal(disk.flushes, 1);
    disk.status = -ENOTSUP;
    assert_int_equal(blk_read(&disk.device, 0, other, 1), -ENOTSUP);
    hosted_world_remove(answer_later, NULL);
    close_disk();
}

/* A driver with a retry to make is polled in time, without a notification. */
static void a_driver_may_ask_to_be_polled(void **state)
{
    (void)state;
    open_disk(4, 4096, 16, 512);
    disk.wake_ns = 5000000;
    assert_int_equal(blk_read(&disk.device, 0, data, 1), 0);
    assert_in_range(platform_now_ns(), 5000000, 6000000);
    assert_int_equal(disk.resets, 0);
    disk.wake_ns = 0;
    close_disk();
}

static void a_waiting_form_ends_when_the_device_never_answers(void **state)
{
    (void)state;
    open_disk(4, 4096, 16, 512);
    hosted_world_add(nothing, NULL);
    assert_int_equal(blk_read(&disk.device, 0, data, 128), -EIO);
    assert_int_equal(disk.resets, 1);
    assert_in_range(platform_now_ns() / 1000000, BLK_DEFAULT_TIMEOUT_MS,
                    BLK_DEFAULT_TIMEOUT_MS + 100);
    close_disk();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_split_to_the_limits),
        TEST(parts_end_on_blocks),
        TEST(pieces_too_small_for_a_block_are_an_error),
        TEST(senseless_requests_are_refused),
        TEST(alignment_to_the_block_size_is_asked_for),
        TEST(a_read_only_device_is_not_written),
        TEST(a_device_that_takes_nothing_is_given_up),
        TEST(senseless_devices_are_refused),
        TEST(devices_get_names_and_the_table_ends),
        TEST(the_first_error_of_a_split_request_wins),
        TEST(after_an_error_the_rest_is_not_given),
        TEST(an_error_of_submit_ends_the_request),
        TEST(a_full_device_is_waited_for_in_order),
        TEST(a_flush_waits_and_makes_wait),
        TEST(flushes_end_in_every_case),
        TEST(without_a_cache_a_flush_is_done_at_once),
        TEST(completion_callbacks_may_submit),
        TEST(a_device_that_stalls_is_reset),
        TEST(what_a_reset_device_lost_is_given_again),
        TEST(a_request_is_not_given_again_for_ever),
        TEST(removal_ends_what_waits),
        TEST(the_waiting_forms_wait),
        TEST(a_driver_may_ask_to_be_polled),
        TEST(a_waiting_form_ends_when_the_device_never_answers),
    };

    return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
