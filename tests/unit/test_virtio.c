// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/violation.c hosted/ring_packed.c tests/unit/core_driver.c
/*
 * test_virtio.c - the device and driver model (2.1 to 2.5, 3.1): bring-up, features, configuration,
 * report, the end. Recovery is in test_virtio_recovery.c.
 *
 * A made-up driver for a made-up device type meets the model device, whose trace says in which
 * order things happened. The model itself reports what breaks a rule, so most tests only have to
 * get there. Read hosted/device.h for the lies it can tell.
 */
#include "support.h"

#include "core_driver.h"
#include "loop.h"
#include "ring_variants.h"
#include "virtio/virtio_pci.h"

/* ---- bring-up ---- */

/*
 * covers: INIT-1 INIT-2 INIT-3 INIT-4 INIT-5 INIT-6 INIT-7 INIT-9 INIT-10 INIT-13 CORE-STATUS-1
 * covers: CORE-STATUS-2
 * covers: PCI-COMMON-1 PCI-COMMON-3 PCI-COMMON-4 PCI-COMMON-5 PCI-COMMON-6 PCI-MSIX-4 PCI-T-QSIZE-1
 * covers: PCI-NOTIFY-1 PCI-NOTIFY-2 PCI-NOTIFY-3 PCI-NOTIFY-4 PCI-NOTIFY-5 PCI-NOTIFY-6 RSVF-12
 * covers: PACKED-DESC-3 CORE-T-NDATA-1 CORE-T-NDATA-2 PCI-COMMON-2
 */
static void the_sequence_of_3_1_1(void **state)
{
    (void)state;
    make_device(1);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_string_equal(device.trace,
                        BRING_UP " config? queue0 queue1 enable0 enable1 driver-ok notify0");
    assert_int_equal(device.status, ST_ACKNOWLEDGE | ST_DRIVER | ST_FEATURES_OK | ST_DRIVER_OK);
    assert_int_equal(device.queue[0].size, 16);
    assert_int_equal(device.queue[1].size, 64);
    assert_string_equal(device.pci->fn.driver, "test-driver");
    assert_int_equal(driver.readies, 1);
    device_run(&device);
    assert_int_equal(held_count, BUFFERS);
    end();
    assert_int_equal(driver.reclaims, 1);
    assert_int_equal(driver.removes, 1);
    assert_int_equal(driver.taken_back, BUFFERS);
    assert_int_equal(device.status, 0);
}

/* covers: CORE-RESET-1 PCI-COMMON-5 INIT-1 */
static void a_slow_reset_is_waited_for_2_4(void **state)
{
    (void)state;
    make_device(0);
    device.lies.reset_reads = 300;
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(device.status_reads > 300);
    device.lies.reset_reads = 0;
    end();
}

/* covers: CORE-RESET-1 INIT-11 INIT-12 */
static void a_reset_that_never_ends_fails_in_bounded_time(void **state)
{
    (void)state;
    make_device(0);
    device.lies.reset_reads = DEVICE_FOR_EVER;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_true(platform_now_ns() < UINT64_C(10000000000));
    assert_int_equal(driver.probes, 0);
    assert_null(strstr(device.trace, "accept"));
    assert_non_null(device.pci->fn.refusal);
    expect_log("reset not finished", 1);
    device.lies.reset_reads = 0;
    end();
}

/* A status with bits that nobody defined, for ever. covers: CORE-RESET-1 INIT-12 */
static void a_status_of_garbage_fails_in_bounded_time(void **state)
{
    (void)state;
    make_device(0);
    device.lies.status_or = 0x20;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_int_equal(driver.probes, 0);
    violation_reset(); /* the garbage comes back in what the driver writes */
    device.lies.status_or = 0;
    end();
}

/* covers: INIT-11 INIT-12 */
static void a_device_that_is_gone_fails_in_bounded_time(void **state)
{
    (void)state;
    make_device(0);
    device.lies.gone = true;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_int_equal(driver.probes, 0);
    assert_non_null(device.pci->fn.refusal);
    end();
}

/* covers: INIT-8 INIT-11 INIT-12 */
static void refused_features_end_the_bring_up(void **state)
{
    (void)state;
    make_device(1);
    device.lies.refuse_features = true;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_string_equal(device.trace, BRING_UP " failed");
    assert_failed();
    end();
}

/* covers: CORE-FEAT-9 RSVF-2 INIT-11 */
static void a_device_without_version_1_is_refused(void **state)
{
    (void)state;
    make_device(1);
    device.offered[1] = 0;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_failed();
    assert_int_equal(driver.probes, 0);
    expect_log("does not offer VERSION_1", 1);
    end();
}

/* covers: INIT-11 INIT-12 CORE-STATUS-3 */
static void a_probe_that_fails_leaves_failed_and_nothing_else(void **state)
{
    (void)state;
    make_device(0);
    driver.probe_error = -ENOMEM;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_failed();
    assert_int_equal(driver.removes, 0);
    assert_null(strstr(device.trace, "driver-ok"));
    end();
}

static void a_driver_that_cannot_start_is_undone(void **state)
{
    (void)state;
    make_device(0);
    driver.ready_error = -ENOSPC;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_failed();
    assert_int_equal(driver.reclaims, 1);
    assert_int_equal(driver.removes, 1);
    end();
}

/* covers: PCI-T-QSIZE-1 INIT-11 */
static void a_missing_queue_fails_the_bring_up(void **state)
{
    (void)state;
    make_device(0);
    driver.want_third_queue = true;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_failed();
    expect_log("third: the device has no queue 2", 1);
    end();
    make_device(0);
    device.queue[1].max_size = device.queue[1].size = 0;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_failed();
    end();
}

/*
 * Queue sizes that are no powers of two, or huge, are the upper limit for a split ring (2.7); a
 * packed one may have any size up to the largest (2.8).
 * covers: PCI-COMMON-3 SPLIT-T-SIZE-1
 */
static void odd_queue_sizes_are_the_limit(void **state)
{
    static const uint16_t sizes[][2] = {{1, 1}, {3, 2}, {100, 64}, {32768, 32768}, {65535, 32768}};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        make_device(0);
        device.queue[1].max_size = device.queue[1].size = sizes[i][0];
        assert_int_equal(virtio_pci_scan(), 1);
        uint16_t packed = sizes[i][0] < 32768 ? sizes[i][0] : 32768;
        assert_int_equal(device.queue[1].size,
                         device_has(&device, F_RING_PACKED) ? packed : sizes[i][1]);
        end();
    }
}

/*
 * Whichever allocation fails, the device ends in FAILED and all memory comes back.
 * covers: INIT-11
 */
static void bring_up_survives_lack_of_memory(void **state)
{
    unsigned nth, driven = 0;

    (void)state;
    for (nth = 1; !driven && nth < 40; nth++) {
        make_device(0);
        hosted_dma_fail_nth(nth);
        driven = virtio_pci_scan();
        hosted_dma_fail_nth(0);
        assert_int_equal(driven, (device.status & ST_DRIVER_OK) != 0);
        if (!driven && virtio_devices())
            assert_failed();
        end();
        assert_int_equal(hosted_dma_allocations(), 0);
    }
    assert_in_range(nth, 8, 39);
}

/* covers: INIT-13 */
static void notifying_before_driver_ok_is_caught(void **state)
{
    (void)state;
    make_device(0);
    driver.notify_in_probe = true;
    expect_panic(virtio_pci_scan());
    assert_null(strstr(device.trace, "notify"));
    /* The panic left the bring-up in the middle, with its memory; what is left of it ends here. */
    driver.notify_in_probe = false;
    hosted_dma_reset();
    device_finish(&device);
}

/* ---- features ---- */

/*
 * Everything is offered, and much that does not exist.
 * covers: CORE-FEAT-1 CORE-FEAT-2 CORE-FEAT-3 CORE-FEAT-4 CORE-FEAT-5
 * covers: CORE-FEAT-6 CORE-FEAT-7 CORE-FEAT-10 RSVF-1 RSVF-3 RSVF-6 RSVF-7 RSVF-10 LEG-RSVF-2
 */
static void of_all_features_only_the_known_are_accepted_2_2(void **state)
{
    (void)state;
    make_device(0);
    for (unsigned i = 0; i < 4; i++)
        device.offered[i] = ~0u;
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(device.accepted[0],
                     1u << 0 | 1u << 3 | 1u << F_INDIRECT_DESC | 1u << F_EVENT_IDX);
    /* NOTIF_CONFIG_DATA needs a register that this device does not have. */
    assert_int_equal(device.accepted[1], 1u << (F_VERSION_1 - 32) | 1u << (F_ACCESS_PLATFORM - 32) |
                                             1u << (F_RING_PACKED - 32) | 1u << (F_IN_ORDER - 32) |
                                             1u << (F_ORDER_PLATFORM - 32) |
                                             1u << (F_NOTIFICATION_DATA - 32) | 1u << (55 - 32));
    assert_int_equal(device.accepted[2], 0);
    assert_int_equal(device.accepted[3], 0);
    assert_true(virtio_has_feature(driver.device, 3));
    assert_false(virtio_has_feature(driver.device, 4));
    end();
}

/*
 * The registers at the end of the common configuration are there with their features and not used
 * without; the model has nothing behind its last one.
 * covers: PCI-T-QSIZE-2
 */
static void optional_registers_come_with_their_features(void **state)
{
    static const uint64_t optional[] = {UINT64_C(1) << F_NOTIF_CONFIG_DATA, UINT64_C(1)
                                                                                << F_RING_RESET};

    (void)state;
    for (unsigned which = 0; which < 4; which++) {
        uint64_t features = (which & 1 ? optional[0] : 0) | (which & 2 ? optional[1] : 0);
        unsigned length = which ? CC_LENGTH_WITH_QUEUE_RESET : CC_LENGTH;

        make_device(features);
        assert_int_equal(device.common_length, length);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(device_has(&device, F_NOTIF_CONFIG_DATA), which & 1);
        assert_int_equal(device_has(&device, F_RING_RESET), which >> 1);
        device_run(&device);
        assert_int_equal(virtio_reset_queue(driver.device, 0), which & 2 ? 0 : -ENOTSUP);
        end();
    }
}

/* covers: CORE-FEAT-2 CORE-FEAT-8 */
static void a_feature_without_what_it_needs_is_not_accepted(void **state)
{
    (void)state;
    make_device(1u << 2 | 1u << 3 | 1u << 5);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(device.accepted[0], 0);
    assert_true(hosted_log_count("UNWANTED") && hosted_log_count("it is a test"));
    assert_false(virtio_has_feature(driver.device, 3));
    expect_panic(virtio_has_feature(driver.device, 9));
    end();
}

/* ---- configuration ---- */

/* covers: CORE-CFG-1 CORE-CFG-2 CORE-CFG-3 PCI-ACCESS-1 PCI-ACCESS-2 */
static void configuration_is_read_in_one_generation_2_5(void **state)
{
    uint8_t bytes[8];
    uint64_t wide;
    uint32_t word;
    uint16_t half[2];

    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    for (unsigned moves = 0; moves < 6; moves++) {
        device.lies.generation_moves = moves;
        assert_int_equal(virtio_config_read(driver.device, 0, bytes, 8, 1), 0);
        assert_memory_equal(bytes, config, 8);
        device.lies.generation_moves = moves;
        assert_int_equal(virtio_config_read(driver.device, 8, &wide, 8, 8), 0);
        assert_memory_equal(&wide, config + 8, 8);
        assert_int_equal(virtio_config_read(driver.device, 16, &word, 4, 4), 0);
        assert_memory_equal(&word, config + 16, 4);
        assert_int_equal(virtio_config_read(driver.device, 20, half, 4, 2), 0);
        assert_memory_equal(half, config + 20, 4);
    }
    end();
}

/*
 * The device changes all of its configuration at every point of a read: what is returned is of one
 * generation, the last.
 * covers: CORE-CFG-1 CORE-CFG-2 CORE-CFG-3
 */
static void a_change_in_the_middle_of_a_read_is_noticed(void **state)
{
    static const unsigned widths[] = {1, 8}, offsets[] = {0, 8};
    uint8_t bytes[8];

    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    for (unsigned kind = 0; kind < 2; kind++)
        for (unsigned reads = 1; reads < 20; reads++) {
            device.lies.change_after_reads = reads;
            assert_int_equal(
                virtio_config_read(driver.device, offsets[kind], bytes, 8, widths[kind]), 0);
            assert_memory_equal(bytes, device.config + offsets[kind], 8);
        }
    device.lies.change_after_reads = 0;
    end();
}

/* covers: CORE-CFG-3 */
static void a_generation_that_never_settles_is_an_error(void **state)
{
    uint8_t bytes[8] = {1};

    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    device.lies.generation_moves = DEVICE_FOR_EVER;
    assert_int_equal(virtio_config_read(driver.device, 0, bytes, 8, 1), -EIO);
    assert_int_equal(bytes[0], 0);
    expect_log("never settles", 1);
    end();
}

/* covers: CORE-CFG-5 CORE-CFG-6 */
static void configuration_outside_of_the_device_is_not_touched(void **state)
{
    uint32_t value = 1;

    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    uint64_t before = hosted_register_accesses();
    assert_int_equal(virtio_config_read(driver.device, 24, &value, 4, 4), -ERANGE);
    assert_int_equal(value, 0);
    assert_int_equal(virtio_config_read(driver.device, 0xfffffff0u, &value, 4, 4), -ERANGE);
    assert_int_equal(virtio_config_write(driver.device, 24, &value, 4, 4), -ERANGE);
    assert_int_equal(hosted_register_accesses(), before);
    value = 0x01020304;
    assert_int_equal(virtio_config_write(driver.device, 16, &value, 4, 4), 0);
    assert_memory_equal(device.config + 16, &value, 4);
    end();
}

/* covers: CORE-T-CFGINT-1 PCI-CFGINT-1 */
static void a_configuration_change_reaches_the_driver_in_the_loop(void **state)
{
    uint8_t value = 99;

    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(virtio_poll(), 0);
    device_change_config(&device, 0, &value, 1);
    assert_int_equal(driver.changes, 0);
    platform_wait(PLATFORM_NO_DEADLINE);
    assert_int_equal(driver.changes, 0);
    assert_int_equal(loop_turn(), 1);
    assert_int_equal(driver.changes, 1);
    assert_int_equal(virtio_poll(), 0);
    end();
}

/* ---- the rest ---- */

static void a_device_without_driver_is_reset_and_left_alone(void **state)
{
    (void)state;
    make_device(0);
    virtio_set_drivers(drivers, 0);
    assert_int_equal(virtio_pci_scan(), 0);
    assert_string_equal(device.trace, "reset");
    assert_int_equal(device.status, 0);
    assert_non_null(device.pci->fn.refusal);
    virtio_print_report();
    expect_log("not driven", 1);
    expect_log("driver=none state=off reason=no_driver_for_this_device_type", 2);
    end();
}

/* One line for programs at boot, and all counters on demand. */
static void the_report_says_what_was_negotiated(void **state)
{
    (void)state;
    make_device(1 | 1 << 2 | UINT64_C(1) << 50);
    assert_int_equal(virtio_pci_scan(), 1);
    expect_log("virtio-report: device=pci_00:00.0 type=unknown id=60 transport=pci-modern "
               "driver=test-driver state=running offered=0x0004000100000005 "
               "accepted=0x0000000100000001 irq=msix recoveries=0 "
               "queues=first:0:16:vec1,second:1:64:vec2 "
               "refused=UNWANTED:it_is_a_test,50:unknown_to_the_driver\n",
               1);
    device_run(&device);
    answer(&device, 2);
    hosted_interrupts_deliver();
    assert_int_equal(drain(), 2);
    virtqueue_enable_cb(driver.device->queue[0]);
    virtqueue_break(driver.device->queue[1], "test");
    virtio_print_report();
    expect_log("state=running", 2);
    expect_log("virtio-queue: device=pci_00:00.0 queue=0 name=first size=16 in_flight=4 added=6 "
               "used=2 indirect=0 notified=1 suppressed=0 interrupts=0 polls=3 arms=1 full=0 "
               "bad=0 broken=0\n",
               1);
    expect_log("queue=1 name=second size=64 in_flight=0 added=0 used=0 indirect=0 notified=0 "
               "suppressed=0 interrupts=0 polls=0 arms=0 full=0 bad=1 broken=1\n",
               1);
    end();
}

/* A device that failed says why, also for programs. */
static void the_report_says_why_a_device_is_off(void **state)
{
    (void)state;
    make_device(0);
    device.lies.refuse_features = true;
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_NONE);
    assert_int_equal(virtio_pci_scan(), 0);
    expect_log("driver=test-driver state=off reason=the_device_refused_our_choice_of_features", 1);
    end();
}

static void shutdown_resets_a_live_device(void **state)
{
    (void)state;
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    device_run(&device);
    virtio_shutdown();
    assert_int_equal(device.status, 0);
    assert_int_equal(driver.taken_back, BUFFERS);
    virtio_shutdown();
    assert_int_equal(driver.removes, 1);
    device_finish(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_sequence_of_3_1_1),
        TEST(a_slow_reset_is_waited_for_2_4),
        TEST(a_reset_that_never_ends_fails_in_bounded_time),
        TEST(a_status_of_garbage_fails_in_bounded_time),
        TEST(a_device_that_is_gone_fails_in_bounded_time),
        TEST(refused_features_end_the_bring_up),
        TEST(a_device_without_version_1_is_refused),
        TEST(a_probe_that_fails_leaves_failed_and_nothing_else),
        TEST(a_driver_that_cannot_start_is_undone),
        TEST(a_missing_queue_fails_the_bring_up),
        TEST(odd_queue_sizes_are_the_limit),
        TEST(bring_up_survives_lack_of_memory),
        TEST(of_all_features_only_the_known_are_accepted_2_2),
        TEST(optional_registers_come_with_their_features),
        TEST(a_feature_without_what_it_needs_is_not_accepted),
        TEST(configuration_is_read_in_one_generation_2_5),
        TEST(a_change_in_the_middle_of_a_read_is_noticed),
        TEST(a_generation_that_never_settles_is_an_error),
        TEST(configuration_outside_of_the_device_is_not_touched),
        TEST(a_configuration_change_reaches_the_driver_in_the_loop),
        TEST(a_device_without_driver_is_reset_and_left_alone),
        TEST(the_report_says_what_was_negotiated),
        TEST(the_report_says_why_a_device_is_off),
        TEST(shutdown_resets_a_live_device),
        TEST(notifying_before_driver_ok_is_caught), /* last: it leaves a bring-up in the middle */
    };
    const struct CMUnitTest flows[] = {
        TEST(the_sequence_of_3_1_1),
        TEST(a_slow_reset_is_waited_for_2_4),
        TEST(a_driver_that_cannot_start_is_undone),
        TEST(a_missing_queue_fails_the_bring_up),
        TEST(odd_queue_sizes_are_the_limit),
        TEST(bring_up_survives_lack_of_memory),
        TEST(a_configuration_change_reaches_the_driver_in_the_loop),
        TEST(shutdown_resets_a_live_device),
    };
    int failed = 0;

    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        ring_features = ring_variants[i];
        failed += cmocka_run_group_tests_name("virtio over other rings", flows, NULL, NULL);
    }
    ring_features = 0;
    return failed + cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
