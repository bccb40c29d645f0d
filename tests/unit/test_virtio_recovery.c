// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/violation.c hosted/ring_packed.c tests/unit/core_driver.c
/*
 * test_virtio_recovery.c - the device and driver model (2.1, 2.4): recovery of devices that ask for a
 * reset or break their queues, and devices that are given up.
 *
 * Read core_driver.h for the driver and the device.
 */
#include "support.h"

#include "core_driver.h"
#include "ring_variants.h"
#include "virtio/virtio_pci.h"

/* covers: CORE-STATUS-4 CORE-T-CFGINT-1 CORE-T-FEAT-1 CLEAN-2 INIT-1 */
static void needs_reset_is_answered_by_a_reset_2_1(void **state)
{
    (void)state;
    make_device(1);
    assert_int_equal(virtio_pci_scan(), 1);
    device_run(&device);
    answer(&device, 2);
    assert_int_equal(drain(), 2);
    device_need_reset(&device);
    hosted_interrupts_deliver();
    device.trace[0] = '\0';
    assert_int_equal(virtio_poll(), 1);
    assert_string_equal(device.trace, BRING_UP " queue0 queue1 enable0 enable1 driver-ok notify0");
    assert_int_equal(driver.reclaims, 1);
    assert_int_equal(driver.readies, 2);
    assert_int_equal(driver.probes, 1);
    assert_int_equal(driver.removes, 0);
    assert_int_equal(driver.device->recoveries, 1);
    /* Every buffer ended exactly once: used, or taken back by the reset. */
    assert_int_equal(driver.completed + driver.taken_back, BUFFERS);
    device_run(&device);
    assert_int_equal(held_count, BUFFERS);
    assert_true(virtqueue_enable_cb(driver.device->queue[0]));
    answer(&device, BUFFERS);
    assert_int_equal(hosted_interrupts_deliver(), 1);
    assert_int_equal(drain(), BUFFERS);
    end();
    assert_int_equal(driver.completed + driver.taken_back, driver.submitted);
}

static void a_broken_queue_is_mended_by_recovery(void **state)
{
    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    for (unsigned round = 1; round <= 3; round++) {
        device_run(&device);
        ring_device_push_raw(&device.queue[0].ring, 999, 0);
        assert_null(virtqueue_get_buf(driver.device->queue[0], NULL));
        assert_true(virtqueue_is_broken(driver.device->queue[0]));
        assert_int_equal(virtio_recover(driver.device, "test"), 0);
        assert_false(virtqueue_is_broken(driver.device->queue[0]));
        assert_int_equal(driver.taken_back, round * BUFFERS);
    }
    device_run(&device);
    answer(&device, 1);
    assert_int_equal(drain(), 1);
    end();
}

/*
 * The device's refusal to come back ends in an error, with every buffer taken back and nothing
 * working any more.
 */
static void check_given_up(void)
{
    assert_int_not_equal(virtio_recover(driver.device, "test"), 0);
    assert_int_equal(driver.taken_back + driver.completed, driver.submitted);
    assert_true(driver.device->failed);
    assert_false(driver.device->driver_ok);
    assert_true(virtqueue_is_broken(driver.device->queue[0]));
    assert_int_equal(submit(driver.device, 0), -EIO);
    assert_int_not_equal(virtio_recover(driver.device, "again"), 0);
    assert_int_equal(virtio_poll(), 0);
}

static void a_device_that_comes_back_different_is_given_up(void **state)
{
    (void)state;
    make_device(1);
    device.lies.offered_xor = 1;
    assert_int_equal(virtio_pci_scan(), 1);
    check_given_up();
    end();
}

static void a_device_that_comes_back_without_queues_is_given_up(void **state)
{
    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    device.lies.forgets_queues = true;
    check_given_up();
    end();
}

static void a_device_that_refuses_features_at_recovery_is_given_up(void **state)
{
    (void)state;
    make_device(1);
    assert_int_equal(virtio_pci_scan(), 1);
    device.lies.refuse_features = true;
    check_given_up();
    assert_true(device.status & ST_FAILED);
    end();
}

/* The driver fails with buffers given to the device that came back: they are taken back too. */
static void a_driver_that_cannot_go_on_gives_the_device_up(void **state)
{
    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    driver.ready_error = -ENOMEM;
    check_given_up();
    assert_int_equal(driver.submitted, 2 * BUFFERS);
    device_run(&device);
    assert_int_equal(held_count, 0);
    end();
}

/* One that will not even be reset is cut off from memory. */
static void a_device_that_will_not_be_reset_is_cut_off(void **state)
{
    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(fake_pci_is_master(device.pci));
    device.lies.reset_reads = DEVICE_FOR_EVER;
    check_given_up();
    assert_false(fake_pci_is_master(device.pci));
    end();
}

static void a_device_that_keeps_failing_is_given_up(void **state)
{
    unsigned recoveries = 0;

    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    while (recoveries < 1000 && virtio_recover(driver.device, "again") == 0)
        recoveries++;
    assert_in_range(recoveries, 1, 100);
    assert_true(driver.device->failed);
    assert_int_equal(driver.taken_back, driver.submitted);
    end();
}

/* What counts is how often it fails in a while, not in a life. */
static void a_device_that_fails_now_and_then_is_kept(void **state)
{
    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(virtio_recover(driver.device, "again"), 0);
        hosted_clock_advance(UINT64_C(10) * 1000000000);
    }
    assert_int_equal(driver.device->recoveries, 200);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(needs_reset_is_answered_by_a_reset_2_1),
        TEST(a_broken_queue_is_mended_by_recovery),
        TEST(a_device_that_comes_back_different_is_given_up),
        TEST(a_device_that_comes_back_without_queues_is_given_up),
        TEST(a_device_that_refuses_features_at_recovery_is_given_up),
        TEST(a_driver_that_cannot_go_on_gives_the_device_up),
        TEST(a_device_that_will_not_be_reset_is_cut_off),
        TEST(a_device_that_keeps_failing_is_given_up),
        TEST(a_device_that_fails_now_and_then_is_kept),
    };
    const struct CMUnitTest flows[] = {
        TEST(needs_reset_is_answered_by_a_reset_2_1),
        TEST(a_broken_queue_is_mended_by_recovery),
        TEST(a_device_that_comes_back_different_is_given_up),
        TEST(a_device_that_keeps_failing_is_given_up),
    };
    int failed = 0;

    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        ring_features = ring_variants[i];
        failed += cmocka_run_group_tests_name("recovery over other rings", flows, NULL, NULL);
    }
    ring_features = 0;
    return failed + cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
