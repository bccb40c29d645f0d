// sources: tests/unit/memory_disk.c blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c boot/loop.c boot/log.c boot/format.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_blk_order.c - the block layer (blk/block.h): order, flushes, errors, time-outs, lost requests
 * and the waiting forms.
 *
 * The driver underneath is memory_disk.c. No virtio here. Read blk/block.c next.
 */
#include "memory_disk.h"

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
        submit(&r[i], BLK_READ, 2 * i, data + i * 512, 1);
    assert_int_equal(disk.held_count, 3);
    assert_true(disk.device.stats.full > 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(disk.held[0].sector, 2 * i);
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

    return cmocka_run_group_tests_name("blk order", tests, NULL, NULL);
}
