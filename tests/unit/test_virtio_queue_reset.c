// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtio_mmio.c virtio/virtio_mmio_scan.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/cmdline.c boot/pci_caps.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/ring_device.c hosted/ring_split.c
// sources: hosted/ring_packed.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_mmio.c hosted/violation.c tests/unit/plain_driver.c
/*
 * test_virtio_queue_reset.c - one queue of a live device reset and enabled again (2.6.1, 4.1.4.3,
 * 4.2.2), over PCI and MMIO, with split and packed rings.
 *
 * The model lets go of the queue only when the driver has read that it did, reports what is
 * unmapped or written before that, and wants every register of the queue written again. Read
 * virtio.h for virtio_reset_queue().
 */
#include "support.h"

#include "plain_driver.h"
#include "ring_variants.h"

#include "hosted/device_mmio.h"
#include "virtio/virtio_mmio.h"
#include "virtio/virtio_pci.h"

#define BUFFERS 3u

static const struct device_front *front; /* NULL: modern PCI */
static uint64_t ring_features;
static uint8_t *memory;

static void bring_up(uint64_t features)
{
    plain_setup.features = features | ring_features;
    plain_make(front);
    if (front) {
        struct mmio_place place = device_mmio_place(&plain_device);
        assert_int_equal(virtio_mmio_probe(&place), 0);
    } else {
        assert_int_equal(virtio_pci_scan(), 1);
    }
    memory = platform_dma_alloc(BUFFERS * 64, 64);
}

static void bring_up_with_reset(void)
{
    bring_up(RING_F(F_RING_RESET));
    assert_true(virtio_has_feature(plain_probed, F_RING_RESET));
}

static void end(void)
{
    platform_dma_free(memory, BUFFERS * 64);
    plain_end();
}

/* Gives buffers to queue 0 that the device takes and does not return. */
static void fill_queue(void)
{
    plain_keeps = true;
    for (unsigned i = 0; i < BUFFERS; i++) {
        struct virtqueue_sg sg = {memory + 64 * i, 64};
        assert_int_equal(virtqueue_add(plain_probed->queue[0], &sg, 0, 1, sg.data), 0);
    }
    virtqueue_kick(plain_probed->queue[0]);
    device_run(&plain_device);
    plain_keeps = false;
}

/* Each comes back once. */
static void take_all_back(void)
{
    unsigned seen = 0;
    uint8_t *token;

    while ((token = virtqueue_detach_unused(plain_probed->queue[0]))) {
        unsigned bit = 1u << (token - memory) / 64;
        assert_false(seen & bit);
        seen |= bit;
    }
    assert_int_equal(seen, (1u << BUFFERS) - 1);
}

static void both_queues_work(void)
{
    uint64_t before = plain_interrupts(0);

    assert_int_equal(plain_transfer(0, true), 1);
    assert_int_equal(plain_interrupts(0), before + 1);
    assert_int_equal(plain_transfer(1, false), 1);
}

/*
 * covers: CORE-QRESET-1 CORE-QRESET-2 CORE-QREENABLE-1 PCI-COMMON-7 PCI-COMMON-8
 * covers: MMIO-REG-19 MMIO-REG-20
 */
static void a_queue_is_reset_while_the_other_goes_on(void **state)
{
    (void)state;
    bring_up_with_reset();
    for (unsigned round = 0; round < 3; round++) {
        struct virtqueue_sg sg = {memory, 64};

        fill_queue();
        plain_device.lies.queue_reset_reads = 5 * round;
        assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
        assert_false(plain_device.queue[0].enabled);
        assert_int_equal(virtqueue_add(plain_probed->queue[0], &sg, 1, 0, memory), -EIO);
        virtqueue_kick(plain_probed->queue[0]);
        assert_null(virtqueue_get_buf(plain_probed->queue[0], NULL));
        plain_transfer(1, false);
        take_all_back();
        assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), 0);
        assert_int_equal(virtqueue_size(plain_probed->queue[0]), 8);
        virtqueue_enable_cb(plain_probed->queue[0]);
        both_queues_work();
    }
    assert_int_equal(plain_device.resets, 1);
    assert_int_equal(plain_probed->recoveries, 0);
    end();
}

/* 2.6.1.2: parameters may be others than before. covers: CORE-QREENABLE-1 */
static void a_queue_comes_back_with_another_size(void **state)
{
    static const uint16_t limits[] = {2, 16, 0, 1, 200, 5};
    bool packed = ring_features & RING_F(F_RING_PACKED);

    (void)state;
    bring_up_with_reset();
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        uint16_t before = virtqueue_size(plain_probed->queue[0]);
        uint16_t expected = limits[i] == 0   ? before
                            : limits[i] > 16 ? 16
                            : limits[i] == 5 ? (packed ? 5 : 4)
                                             : limits[i];

        assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
        assert_int_equal(virtio_enable_queue(plain_probed, 0, limits[i]), 0);
        assert_int_equal(virtqueue_size(plain_probed->queue[0]), expected);
        assert_int_equal(plain_device.queue[0].size, expected);
        assert_int_equal(virtqueue_free(plain_probed->queue[0]), expected);
        virtqueue_enable_cb(plain_probed->queue[0]);
        both_queues_work();
    }
    /* A recovery finds the queue with the size that it has by then. */
    assert_int_equal(virtio_recover(plain_probed, "test"), 0);
    both_queues_work();
    end();
}

static void a_smaller_device_makes_the_queue_smaller(void **state)
{
    (void)state;
    bring_up_with_reset();
    plain_device.queue[0].max_size = 4;
    assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), 0);
    assert_int_equal(virtqueue_size(plain_probed->queue[0]), 4);
    plain_device.queue[0].max_size = 0;
    assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), -EIO);
    end();
}

/* The state of the queue after a reset that failed, and the way out of it. */
static void assert_recovery_helps(void)
{
    struct virtqueue_sg sg = {memory, 64};

    assert_int_equal(virtqueue_add(plain_probed->queue[0], &sg, 1, 0, memory), -EIO);
    assert_int_equal(virtqueue_in_flight(plain_probed->queue[0]), BUFFERS);
    plain_device.lies = (struct device_lies){.mute = false};
    assert_int_equal(virtio_recover(plain_probed, "its queue cannot be reset"), 0);
    assert_int_equal(virtqueue_in_flight(plain_probed->queue[0]), 0);
    both_queues_work();
}

/* covers: CORE-QRESET-1 PCI-COMMON-7 MMIO-REG-19 */
static void a_queue_reset_that_never_ends_is_given_up(void **state)
{
    uint64_t start;

    (void)state;
    bring_up_with_reset();
    fill_queue();
    plain_device.lies.queue_reset_reads = DEVICE_FOR_EVER;
    start = platform_now_ns();
    assert_int_equal(virtio_reset_queue(plain_probed, 0), -ETIMEDOUT);
    assert_true(platform_now_ns() - start < UINT64_C(10000000000));
    expect_log("does not end", 1);
    assert_recovery_helps();
    end();
}

/* QEMU's virtio-mmio offers the feature and lacks the register. covers: CORE-QRESET-1 */
static void a_device_that_keeps_the_queue_is_noticed(void **state)
{
    (void)state;
    bring_up_with_reset();
    fill_queue();
    plain_device.lies.keeps_reset_queue = true;
    assert_int_equal(virtio_reset_queue(plain_probed, 0), -EIO);
    expect_log("keeps the queue", 1);
    assert_recovery_helps();
    end();
}

static void a_device_that_vanishes_meanwhile_is_noticed(void **state)
{
    (void)state;
    bring_up_with_reset();
    fill_queue();
    plain_device.lies.gone = true;
    assert_int_equal(virtio_reset_queue(plain_probed, 0), -ETIMEDOUT);
    assert_int_equal(virtio_recover(plain_probed, "its queue cannot be reset"), -EIO);
    assert_int_equal(virtio_reset_queue(plain_probed, 0), -EIO);
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), -EIO);
    end();
}

static void without_the_feature_nothing_happens(void **state)
{
    (void)state;
    bring_up(0);
    assert_int_equal(virtio_reset_queue(plain_probed, 0), -ENOTSUP);
    both_queues_work();
    end();
}

static void a_queue_in_use_is_not_enabled_again(void **state)
{
    (void)state;
    bring_up_with_reset();
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), -EIO);
    both_queues_work();
    fill_queue();
    assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), -EIO);
    take_all_back();
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), 0);
    virtqueue_enable_cb(plain_probed->queue[0]);
    both_queues_work();
    end();
}

/* What broke is reset, and nothing else. covers: CORE-STATUS-4 */
static void a_broken_queue_is_mended_alone(void **state)
{
    (void)state;
    bring_up_with_reset();
    for (unsigned round = 1; round <= 3; round++) {
        fill_queue();
        ring_device_push_raw(&plain_device.queue[0].ring, 0x7777, 0);
        device_signal(&plain_device, 0);
        assert_null(virtqueue_get_buf(plain_probed->queue[0], NULL));
        assert_true(virtqueue_is_broken(plain_probed->queue[0]));
        hosted_interrupts_deliver();
        assert_int_equal(virtio_mend(plain_probed, "test"), 0);
        assert_int_equal(plain_reclaimed, BUFFERS * round);
        both_queues_work();
        assert_int_equal(plain_device.resets, 1);
    }
    expect_log("resetting only first", 3);
    end();
}

/* Where that is not possible, does not help, or is needed again and again, the device is reset. */
static void mending_falls_back_to_the_device(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        bring_up(way ? RING_F(F_RING_RESET) : 0);
        fill_queue();
        virtqueue_break(plain_probed->queue[0], "test");
        plain_device.lies.keeps_reset_queue = way == 1;
        if (way == 2)
            device_need_reset(&plain_device);
        assert_int_equal(virtio_mend(plain_probed, "test"), 0);
        assert_int_equal(plain_reclaimed, BUFFERS);
        hosted_interrupts_deliver();
        both_queues_work();
        assert_int_equal(plain_device.resets, 3); /* one to stop it, one as the first step anew */
        end();
    }
}

static void a_queue_that_breaks_for_ever_ends_the_device(void **state)
{
    unsigned times = 0;

    (void)state;
    bring_up_with_reset();
    do {
        virtqueue_break(plain_probed->queue[0], "test");
        assert_in_range(++times, 1, 40);
    } while (virtio_mend(plain_probed, "test") == 0);
    assert_true(plain_probed->failed);
    assert_int_equal(virtio_mend(plain_probed, "test"), -EIO);
    end();
}

/* Whatever allocation of another size fails: the queue stays out of use, and can be had as it was. */
static void lack_of_memory_leaves_the_old_size(void **state)
{
    (void)state;
    bring_up_with_reset();
    for (unsigned n = 1; n <= 4; n++) {
        assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
        hosted_dma_fail_nth(n);
        assert_int_equal(virtio_enable_queue(plain_probed, 0, 16), -ENOMEM);
        hosted_dma_fail_nth(0);
        assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), 0);
        assert_int_equal(virtqueue_size(plain_probed->queue[0]), 8);
        virtqueue_enable_cb(plain_probed->queue[0]);
        both_queues_work();
    }
    end();
}

/* covers: PCI-MSIX-4 */
static void a_vector_refused_at_the_second_time_falls_back(void **state)
{
    (void)state;
    bring_up_with_reset();
    assert_int_equal(plain_probed->interrupt_mode,
                     front ? VIRTIO_INTERRUPT_INTX : VIRTIO_INTERRUPT_MSIX);
    assert_int_equal(virtio_reset_queue(plain_probed, 0), 0);
    plain_device.lies.refuse_queue_vector = 1;
    assert_int_equal(virtio_enable_queue(plain_probed, 0, 0), 0);
    assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_INTX);
    virtqueue_enable_cb(plain_probed->queue[0]);
    both_queues_work();
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queue_is_reset_while_the_other_goes_on),
        TEST(a_queue_comes_back_with_another_size),
        TEST(a_smaller_device_makes_the_queue_smaller),
        TEST(a_device_that_keeps_the_queue_is_noticed),
        TEST(without_the_feature_nothing_happens),
        TEST(a_queue_in_use_is_not_enabled_again),
        TEST(lack_of_memory_leaves_the_old_size),
        TEST(a_vector_refused_at_the_second_time_falls_back),
        TEST(a_broken_queue_is_mended_alone),
        TEST(mending_falls_back_to_the_device),
        TEST(a_queue_that_breaks_for_ever_ends_the_device),
    };
    /* Two seconds of a clock that only goes while the driver waits. */
    const struct CMUnitTest waits[] = {
        TEST(a_queue_reset_that_never_ends_is_given_up),
        TEST(a_device_that_vanishes_meanwhile_is_noticed),
    };
    const struct device_front *const fronts[] = {NULL, &device_mmio_front};
    const uint64_t rings[] = {0, RING_ALL, RING_F(F_RING_PACKED),
                              RING_F(F_RING_PACKED) | RING_ALL | RING_F(F_NOTIFICATION_DATA)};
    int failed = 0;

    for (unsigned i = 0; i < 2; i++) {
        front = fronts[i];
        ring_features = 0;
        failed += cmocka_run_group_tests_name("no end of a queue reset", waits, NULL, NULL);
        for (unsigned j = 0; j < 4; j++) {
            ring_features = rings[j];
            failed += cmocka_run_group_tests_name(
                front ? "queue reset over MMIO" : "queue reset over PCI", tests, NULL, NULL);
        }
    }
    return failed;
}
