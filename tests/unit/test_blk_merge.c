// sources: tests/unit/memory_disk.c blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c boot/loop.c boot/log.c
// sources: boot/format.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_blk_merge.c - the block layer (blk/block.h): requests that wait and adjoin go to the device as
 * one, and each ends once with its own status whatever becomes of them.
 *
 * The driver underneath is memory_disk.c. Read blk/block_parts.c next.
 */
#include "memory_disk.h"

#define COUNT 8u

static struct request r[COUNT + 2];

/* A disk that is full, with requests for one sector each behind it, from `sector` on by `step`. */
static void open_full_disk(uint32_t segments, uint32_t sectors)
{
    open_disk(segments, 4096, sectors, 512);
    done_count = 0;
    disk.room = 1;
    submit(&r[COUNT], BLK_READ, 4000, data + 512 * 64, 1);
    assert_int_equal(disk.held_count, 1);
}

static void submit_run(enum blk_op op, uint64_t sector)
{
    for (unsigned i = 0; i < COUNT; i++)
        submit(&r[i], op, sector + i, data + i * 512, 1);
}

/* Lets the disk work off all that there is. */
static void finish_all(void)
{
    disk.by_poll = true;
    while (blk_poll(&disk.device, 64) || disk.held_count)
        continue;
    disk.by_poll = false;
}

static void assert_all_done(int status)
{
    for (unsigned i = 0; i < COUNT; i++)
        assert_done(&r[i], status);
}

static void waiting_neighbours_go_as_one(void **state)
{
    (void)state;
    for (unsigned op = BLK_READ; op <= BLK_WRITE; op++) {
        open_full_disk(16, 64);
        for (unsigned i = 0; i < COUNT; i++)
            memset(data + i * 512, op == BLK_WRITE ? 0x30 + (int)i : 0, 512);
        submit_run(op, 100);
        complete(0, 0);
        blk_poll(&disk.device, 64);
        assert_int_equal(disk.held_count, 1);
        assert_int_equal(disk.held[0].sector, 100);
        assert_int_equal(disk.held[0].segments, COUNT);
        assert_int_equal(disk.device.stats.merged, COUNT - 1);
        for (unsigned i = 0; i < COUNT; i++)
            assert_int_equal(r[i].done, 0);
        complete(0, 0);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_done(&r[i], 0);
            assert_int_equal(r[i].order, i + 1);
        }
        assert_memory_equal(disk.image + 100 * 512, data, COUNT * 512);
        assert_int_equal(disk.parts, 2);
        close_disk();
    }
}

static void merging_keeps_the_limits(void **state)
{
    static const struct {
        uint32_t segments, sectors;
        unsigned parts;
    } limits[] = {{3, 64, 3}, {16, 2, 4}, {1, 64, 8}, {8, 8, 1}, {7, 8, 2}};

    (void)state;
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        open_full_disk(limits[i].segments, limits[i].sectors);
        submit_run(BLK_WRITE, 100);
        finish_all();
        assert_all_done(0);
        assert_int_equal(disk.parts, 1 + limits[i].parts);
        close_disk();
    }
    /* A piece that has to be cut goes alone. */
    open_disk(16, 512, 64, 512);
    disk.room = 1;
    submit(&r[COUNT], BLK_READ, 4000, data, 1);
    submit(&r[0], BLK_WRITE, 100, data, 2);
    submit(&r[1], BLK_WRITE, 102, data, 1);
    submit(&r[2], BLK_WRITE, 103, data, 2);
    finish_all();
    for (unsigned i = 0; i < 3; i++)
        assert_done(&r[i], 0);
    assert_int_equal(disk.device.stats.merged, 0);
    close_disk();
}

/* The order of submission is not that on the disk; other kinds and other places lie between. */
static void neighbours_are_found_among_others(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit(&r[0], BLK_WRITE, 100, data, 1);
    submit(&r[1], BLK_READ, 101, data + 512, 1);
    submit(&r[2], BLK_WRITE, 300, data + 1024, 1);
    submit(&r[3], BLK_WRITE, 101, data + 1536, 1);
    submit(&r[4], BLK_READ, 102, data + 2048, 1);
    complete(0, 0);
    disk.room = 3;
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 3);
    assert_int_equal(disk.held[0].segments, 2);
    assert_ptr_equal(disk.held[0].segment[1].data, data + 1536);
    assert_int_equal(disk.held[1].op, BLK_READ);
    assert_int_equal(disk.held[1].segments, 2);
    assert_int_equal(disk.held[2].sector, 300);
    finish_all();
    for (unsigned i = 0; i < 5; i++)
        assert_done(&r[i], 0);
    close_disk();
}

static void nothing_is_merged_past_a_flush(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit(&r[0], BLK_WRITE, 100, data, 1);
    submit(&r[1], BLK_WRITE, 101, data, 1);
    submit(&r[2], BLK_FLUSH, 0, NULL, 0);
    submit(&r[3], BLK_WRITE, 102, data, 1);
    submit(&r[4], BLK_WRITE, 103, data, 1);
    complete(0, 0);
    disk.room = MAX_PARTS;
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    assert_int_equal(disk.held[0].segments, 2);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    assert_int_equal(disk.held[0].op, BLK_FLUSH);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    assert_int_equal(disk.held[0].segments, 2);
    finish_all();
    for (unsigned i = 0; i < 5; i++)
        assert_done(&r[i], 0);
    assert_true(r[2].order > r[1].order && r[3].order > r[2].order);
    close_disk();
}

/* What is not full does not wait, and what does not wait is not merged. */
static void without_waiting_nothing_is_merged(void **state)
{
    (void)state;
    open_disk(16, 4096, 64, 512);
    submit_run(BLK_WRITE, 100);
    assert_int_equal(disk.held_count, COUNT);
    finish_all();
    assert_all_done(0);
    assert_int_equal(disk.device.stats.merged, 0);
    close_disk();
}

/* ---- what goes wrong ---- */

/* One bad sector fails its own request only, whenever the device says so. */
static void an_error_is_that_of_one(void **state)
{
    (void)state;
    for (unsigned op = BLK_READ; op <= BLK_WRITE; op++)
        for (unsigned at_once = 0; at_once < 2; at_once++) {
            open_full_disk(16, 64);
            submit_run(op, 100);
            disk.bad_sector = 103;
            disk.at_once = at_once;
            finish_all();
            for (unsigned i = 0; i < COUNT; i++)
                assert_done(&r[i], i == 3 ? -EIO : 0);
            for (unsigned i = 1; i < COUNT; i++)
                assert_true(r[i].order > r[i - 1].order);
            assert_int_equal(disk.parts, 2 + COUNT);
            assert_int_equal(disk.device.stats.errors, 1);
            assert_int_equal(disk.device.stats.replays, 0);
            close_disk();
        }
}

static void a_driver_that_refuses_is_asked_for_each(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit_run(BLK_WRITE, 100);
    complete(0, 0);
    disk.submit_error = -ENOTSUP;
    blk_poll(&disk.device, 64);
    assert_all_done(-ENOTSUP);
    close_disk();
}

static void what_was_lost_goes_again_one_by_one(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit_run(BLK_WRITE, 100);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    disk_lose_all();
    assert_int_equal(disk.device.stats.replays, COUNT);
    disk.room = MAX_PARTS;
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(disk.held[i].sector, 100 + i);
    finish_all();
    assert_all_done(0);
    close_disk();
}

static void what_timed_out_ends(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit_run(BLK_WRITE, 100);
    complete(0, 0);
    blk_poll(&disk.device, 64);
    hosted_clock_advance((disk.device.timeout_ms + 1) * UINT64_C(1000000));
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.resets, 1);
    assert_all_done(-EIO);
    assert_int_equal(disk.parts, 2);
    close_disk();
}

static void a_device_that_takes_nothing_ends_each(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit_run(BLK_READ, 100);
    complete(0, 0);
    disk.submit_error = -ENOSPC;
    blk_poll(&disk.device, 64);
    hosted_clock_advance((disk.device.timeout_ms + 1) * UINT64_C(1000000));
    blk_poll(&disk.device, 64);
    assert_all_done(-EIO);
    assert_int_equal(disk.device.stats.merged, 0);
    close_disk();
}

/* The first of them submits a flush when it is done: it comes after all of them. */
static struct request after;

static void done_then_flush(struct blk_request *blk)
{
    request_done(blk);
    submit(&after, BLK_FLUSH, 0, NULL, 0);
}

static void callbacks_come_before_what_they_submit(void **state)
{
    (void)state;
    open_full_disk(16, 64);
    submit_run(BLK_WRITE, 100);
    r[0].blk.done = done_then_flush;
    complete(0, 0);
    blk_poll(&disk.device, 64);
    assert_int_equal(disk.held_count, 1);
    disk.at_once = true;
    complete(0, 0);
    finish_all();
    assert_all_done(0);
    assert_done(&after, 0);
    assert_int_equal(after.order, r[COUNT - 1].order + 1);
    close_disk();
}

/* ---- anything ---- */

#define MANY 48u
#define AREA 96u

static struct request many[MANY];
static bool busy[MANY];
static uint8_t expected[AREA * BLK_SECTOR_SIZE], buffer[MANY][4 * BLK_SECTOR_SIZE];
static unsigned before_flush[MANY]; /* requests not done when a flush was submitted */

static bool is_bad(uint64_t sector, uint32_t sectors)
{
    return disk.bad_sector && disk.bad_sector >= sector && disk.bad_sector < sector + sectors;
}

static void many_done(struct blk_request *blk)
{
    struct request *request = blk->context;
    unsigned n = (unsigned)(request - many);
    uint32_t len = request->segment[0].len;
    bool bad = blk->op != BLK_FLUSH && is_bad(blk->sector, len / BLK_SECTOR_SIZE);

    assert_true(busy[n]);
    busy[n] = false;
    assert_int_equal(blk->status, bad ? -EIO : 0);
    if (blk->op == BLK_READ && !bad)
        assert_memory_equal(buffer[n], expected + blk->sector * BLK_SECTOR_SIZE, len);
    /* A flush has found nothing of what was before it. */
    for (unsigned i = 0; i < MANY; i++)
        if (busy[i] && many[i].blk.op == BLK_FLUSH && before_flush[i])
            before_flush[i]--;
    if (blk->op == BLK_FLUSH)
        assert_int_equal(before_flush[n], 0);
}

static bool is_busy_at(uint64_t sector, uint32_t sectors)
{
    for (unsigned i = 0; i < MANY; i++)
        if (busy[i] && many[i].blk.op != BLK_FLUSH && sector < many[i].blk.sector + 4 &&
            many[i].blk.sector < sector + sectors)
            return true;
    return false;
}

static void submit_any(unsigned n, uint32_t *seed)
{
    unsigned kind = support_random(seed) % 12;
    enum blk_op op = kind == 0 ? BLK_FLUSH : kind < 4 ? BLK_READ : BLK_WRITE;
    uint32_t sectors = 1 + support_random(seed) % 4;
    uint64_t sector = 4 * (support_random(seed) % (AREA / 4));

    if (kind > 6)
        sectors = 4; /* reaches its neighbour */
    if (op != BLK_FLUSH && is_busy_at(sector, 4))
        return;
    before_flush[n] = 0;
    for (unsigned i = 0; op == BLK_FLUSH && i < MANY; i++)
        before_flush[n] += busy[i];
    for (uint32_t i = 0; op == BLK_WRITE && i < sectors * BLK_SECTOR_SIZE; i++)
        buffer[n][i] = (uint8_t)support_random(seed);
    if (op == BLK_WRITE && !is_bad(sector, sectors))
        memcpy(expected + sector * BLK_SECTOR_SIZE, buffer[n], sectors * BLK_SECTOR_SIZE);
    busy[n] = true;
    many[n].segment[0] = (struct blk_segment){buffer[n], sectors * BLK_SECTOR_SIZE};
    many[n].blk = (struct blk_request){.op = op,
                                       .sector = sector,
                                       .segment = op == BLK_FLUSH ? NULL : many[n].segment,
                                       .segments = op != BLK_FLUSH,
                                       .done = many_done,
                                       .context = &many[n]};
    blk_submit(&disk.device, &many[n].blk);
}

/* Against a plain array: full disks, bad sectors, answers in any order, losses. */
static void whatever_happens_each_ends_once(void **state)
{
    uint32_t seed = 11;
    uint64_t merged = 0;

    (void)state;
    for (unsigned run = 0; run < 60; run++) {
        open_disk(1 + run % 7, 2048, 4 + run % 23, 512);
        disk.bad_sector = run % 3 ? 0 : 4 + support_random(&seed) % (AREA - 4);
        disk.room = 1 + run % 4;
        memcpy(expected, disk.image, sizeof(expected));
        for (unsigned step = 0; step < 1500; step++) {
            unsigned n = support_random(&seed) % MANY;

            if (!busy[n])
                submit_any(n, &seed);
            if (disk.held_count && support_random(&seed) % 3 == 0)
                complete(support_random(&seed) % disk.held_count, 0);
            if (support_random(&seed) % 2)
                blk_poll(&disk.device, 64);
            if (support_random(&seed) % 200 == 0)
                disk_lose_all();
        }
        finish_all();
        for (unsigned i = 0; i < MANY; i++)
            assert_false(busy[i]);
        assert_memory_equal(disk.image, expected, sizeof(expected));
        merged += disk.device.stats.merged;
        close_disk();
    }
    assert_true(merged > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(waiting_neighbours_go_as_one),
        TEST(merging_keeps_the_limits),
        TEST(neighbours_are_found_among_others),
        TEST(nothing_is_merged_past_a_flush),
        TEST(without_waiting_nothing_is_merged),
        TEST(an_error_is_that_of_one),
        TEST(a_driver_that_refuses_is_asked_for_each),
        TEST(what_was_lost_goes_again_one_by_one),
        TEST(what_timed_out_ends),
        TEST(a_device_that_takes_nothing_ends_each),
        TEST(callbacks_come_before_what_they_submit),
        TEST(whatever_happens_each_ends_once),
    };

    return cmocka_run_group_tests_name("blk merge", tests, NULL, NULL);
}
