// sources: tests/unit/memory_disk.c blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c boot/loop.c boot/log.c boot/format.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_blk.c - the block layer (blk/block.h): devices, checks and splitting. Order, errors, time-outs
 * and the waiting forms are test_blk_order.c's.
 *
 * The driver underneath is memory_disk.c. No virtio here. Read blk/block_parts.c next.
 */
#include "memory_disk.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_split_to_the_limits),          TEST(parts_end_on_blocks),
        TEST(pieces_too_small_for_a_block_are_an_error), TEST(senseless_requests_are_refused),
        TEST(alignment_to_the_block_size_is_asked_for),  TEST(a_read_only_device_is_not_written),
        TEST(a_device_that_takes_nothing_is_given_up),   TEST(senseless_devices_are_refused),
        TEST(devices_get_names_and_the_table_ends),
    };

    return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
