// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/device_blk.c hosted/device_blk_zones.c hosted/violation.c
// sources: hosted/ring_packed.c tests/unit/blk_user.c
/*
 * test_virtio_blk_recovery.c - the block device driver (5.2) when its device stalls, lies, is reset or
 * leaves: each request must end exactly once.
 *
 * Read blk_user.h first.
 */
#include "blk_user.h"

/* ---- a device that stalls or breaks ---- */

/* covers: CLEAN-2 CORE-STATUS-4 */
static void a_stalled_device_is_reset_and_requests_end_once(void **state)
{
    (void)state;
    make_disk(&ordinary);
    model.hold = true;
    for (unsigned n = 0; n < 10; n++)
        submit(n, BLK_READ, n, 1);
    blk_poll(disk, 64);
    settle();
    assert_int_equal(model.held_count, 10);
    unsigned resets = model.device.resets;
    hosted_clock_advance((disk->timeout_ms + 1) * UINT64_C(1000000));
    blk_poll(disk, 64);
    assert_true(model.device.resets > resets);
    for (unsigned n = 0; n < 10; n++)
        assert_done(n, -EIO);
    /*
     * The reset took the chains from the model: nothing can come late. And the device works again.
     */
    assert_int_equal(model.held_count, 0);
    model.hold = false;
    assert_int_equal(blk_write(disk, 0, data, 8), 0);
    for (unsigned n = 0; n < 10; n++)
        assert_done(n, -EIO);
    end();
}

static void a_device_that_never_answers_ends_the_waiting_form(void **state)
{
    (void)state;
    make_disk(&ordinary);
    model.device.lies.mute = true;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    assert_true(platform_now_ns() < UINT64_C(60) * 1000000000);
    end();
}

/*
 * The late answer meets a device that would not even be reset: it is cut off, and every request has
 * ended.
 */
static void a_device_that_cannot_be_reset_is_given_up(void **state)
{
    (void)state;
    make_disk(&ordinary);
    model.hold = true;
    for (unsigned n = 0; n < 4; n++)
        submit(n, BLK_READ, n, 1);
    blk_poll(disk, 64);
    settle();
    model.device.lies.reset_reads = DEVICE_FOR_EVER;
    hosted_clock_advance((disk->timeout_ms + 1) * UINT64_C(1000000));
    blk_poll(disk, 64);
    for (unsigned n = 0; n < 4; n++)
        assert_done(n, -EIO);
    assert_false(fake_pci_is_master(model.device.pci));
    submit(5, BLK_READ, 0, 1);
    blk_poll(disk, 64);
    assert_done(5, -EIO);
    assert_int_equal(blk_write(disk, 0, data, 1), -EIO);
    assert_int_equal(blk_flush(disk), -EIO);
    end();
}

/*
 * Three ways to break the protocol; each resets the device, and the requests in flight are given to
 * it again: they end once, and well.
 */
static void a_broken_queue_is_recovered(void **state)
{
    (void)state;
    make_disk(&ordinary);
    for (unsigned lie = 0; lie < 3; lie++) {
        model.hold = true;
        for (unsigned n = 0; n < 6; n++)
            submit(n, n % 2 ? BLK_WRITE : BLK_READ, n, 1);
        blk_poll(disk, 64);
        settle();
        struct ring_device *ring = &model.device.queue[0].ring;
        if (lie == 0)
            ring_device_push_raw(ring, 4711, 0);
        else if (lie == 1)
            ring_device_push_raw(ring, model.held[0].chain->head, 99999);
        else if (!ring->params.packed)
            ring_device_skip_used(ring, 100);
        else
            ring_device_push_raw(ring, 127, 1);
        assert_true(blk_poll(disk, 64) > 0);
        for (unsigned n = 0; n < 6; n++)
            assert_int_equal(requests[n].done, 0);
        model.hold = false;
        device_blk_release(&model, 6, false);
        settle();
        for (unsigned n = 0; n < 6; n++)
            assert_done(n, 0);
        assert_int_equal(blk_read(disk, 0, data, 4), 0);
    }
    assert_int_equal(disk->stats.replays, 3 * 6);
    expect_log("queue broken", 3);
    end();
}

/* covers: CORE-T-CFGINT-1 CORE-STATUS-4 */
static void needs_reset_with_requests_in_flight(void **state)
{
    (void)state;
    make_disk(&ordinary);
    model.hold = true;
    submit(0, BLK_WRITE, 0, 8);
    blk_poll(disk, 64);
    settle();
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    while (loop_turn())
        continue;
    assert_int_equal(requests[0].done, 0);
    model.hold = false;
    settle();
    device_blk_release(&model, 1, false);
    settle();
    assert_done(0, 0);
    assert_int_equal(blk_write(disk, 0, data, 8), 0);
    end();
}

/* ---- the disk leaves ---- */

/* By the button: it still works, so it is reset, and everything ends before the call returns. */
static void a_disk_that_is_removed_ends_its_requests(void **state)
{
    for (unsigned held = 0; held < 12; held++) {
        (void)state;
        make_disk(&ordinary);
        model.hold = true;
        for (unsigned n = 0; n < held; n++)
            submit(n, n % 3 ? BLK_READ : BLK_WRITE, n, 1);
        if (held % 2)
            settle();
        assert_int_equal(blk_claim(disk, "test"), 0);
        virtio_pci_remove(&model.device.pci->fn);
        assert_null(virtio_devices());
        assert_null(blk_device_at(0));
        for (unsigned n = 0; n < held; n++)
            assert_done(n, -EIO);
        /* Whoever has a claim on it may still ask. */
        assert_int_equal(blk_read(disk, 0, data, 1), -EIO);
        assert_int_equal(blk_flush(disk), -EIO);
        blk_release(disk);
        end();
    }
}

/* Without warning: nothing answers any more, and that is found out soon, not after a time-out. */
static void a_disk_that_is_pulled_out_ends_its_requests(void **state)
{
    (void)state;
    for (unsigned asked = 0; asked < 2; asked++) {
        make_disk(&ordinary);
        model.hold = true;
        for (unsigned n = 0; n < 6; n++)
            submit(n, BLK_READ, n, 1);
        settle();
        model.device.lies.gone = model.device.pci->gone = true;
        uint64_t start = platform_now_ns();
        if (asked) {
            assert_int_equal(blk_read(disk, 9, data, 1), -EIO);
            for (unsigned n = 0; n < 6; n++)
                assert_done(n, -EIO);
        }
        virtio_pci_remove(&model.device.pci->fn);
        assert_true(platform_now_ns() - start < UINT64_C(1000000000));
        for (unsigned n = 0; n < 6; n++)
            assert_done(n, -EIO);
        assert_null(virtio_devices());
        assert_null(blk_device_at(0));
        model.device.lies.gone = model.device.pci->gone = false;
        end();
    }
    expect_log("it is gone", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stalled_device_is_reset_and_requests_end_once),
        TEST(a_device_that_never_answers_ends_the_waiting_form),
        TEST(a_device_that_cannot_be_reset_is_given_up),
        TEST(a_broken_queue_is_recovered),
        TEST(needs_reset_with_requests_in_flight),
        TEST(a_disk_that_is_removed_ends_its_requests),
        TEST(a_disk_that_is_pulled_out_ends_its_requests),
    };
    const struct CMUnitTest flows[] = {
        TEST(a_stalled_device_is_reset_and_requests_end_once),
        TEST(a_broken_queue_is_recovered),
        TEST(needs_reset_with_requests_in_flight),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
