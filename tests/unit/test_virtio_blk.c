// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/device_blk.c hosted/device_blk_zones.c hosted/violation.c
// sources: hosted/ring_packed.c tests/unit/blk_user.c
/*
 * test_virtio_blk.c - the block device driver (5.2) under the block layer: data, statuses, limits and
 * configuration. What happens when the device stalls or leaves is test_virtio_blk_recovery.c's.
 *
 * Read blk_user.h first.
 */
#include "blk_user.h"

/* ---- data ---- */

/*
 * What is written arrives where it should, under every combination of ring features and limits.
 * covers: BLK-OP-2 BLK-OP-6 BLK-T-LIMITS-1 BLK-T-UNITS-1 CORE-CFG-4 PCI-ACCESS-1 PCI-ACCESS-2
 * covers: SPLIT-FRAME-1
 */
static void data_goes_where_it_should(void **state)
{
    static const uint32_t size_max[] = {0, 512, 4096, 65536}, seg_max[] = {0, 1, 3, 126};
    uint32_t seed = 3;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct device_blk_setup setup = ordinary;
        setup.size_max = size_max[i % 4];
        setup.seg_max = seg_max[i / 4 % 4];
        setup.more_features = (uint64_t)(i / 16)
                              << F_INDIRECT_DESC; /* 28 and 29: both ring features */
        setup.queue_size = i % 3 ? 128 : 16;
        assert_int_equal(make_disk(&setup), 1);
        for (unsigned n = 0; n < 6; n++) {
            uint32_t sectors = support_random(&seed) % 200 + 1;
            uint64_t sector = support_random(&seed) % (setup.capacity - sectors);
            for (unsigned b = 0; b < sectors * 512; b++)
                data[b] = (uint8_t)support_random(&seed);
            assert_int_equal(blk_write(disk, sector, data, sectors), 0);
            assert_memory_equal(model.disk + sector * 512, data, sectors * 512);
            assert_int_equal(blk_read(disk, sector, data + DATA_SIZE / 2, sectors), 0);
            assert_memory_equal(data + DATA_SIZE / 2, data, sectors * 512);
        }
        end();
    }
}

/* covers: BLK-OP-2 */
static void nothing_past_the_end(void **state)
{
    (void)state;
    make_disk(&ordinary);
    assert_int_equal(blk_read(disk, ordinary.capacity, data, 1), -EINVAL);
    assert_int_equal(blk_write(disk, ordinary.capacity - 1, data, 2), -EINVAL);
    assert_int_equal(blk_read(disk, ordinary.capacity - 1, data, 1), 0);
    assert_int_equal(model.requests, 1);
    end();
}

/* covers: BLK-INIT-1 BLK-INIT-3 BLK-OP-4 BLK-OP-5 BLK-T-STABLE-1 */
static void a_flush_covers_completed_writes(void **state)
{
    (void)state;
    make_disk(&ordinary);
    model.hold = true;
    submit(0, BLK_WRITE, 10, 8);
    submit(1, BLK_FLUSH, 99, 0);
    submit(2, BLK_WRITE, 20, 8);
    blk_poll(disk, 64);
    settle();
    assert_int_equal(model.requests, 1);
    device_blk_release(&model, 1, false);
    settle();
    assert_int_equal(model.requests, 2);
    assert_int_equal(model.history[1].type, BLK_T_FLUSH);
    assert_int_equal(model.flushes_early, 0);
    assert_int_equal(requests[1].done, 0);
    device_blk_release(&model, 1, false);
    settle();
    assert_done(1, 0);
    device_blk_release(&model, 1, false);
    settle();
    assert_done(2, 0);
    end();
}

/* covers: BLK-INIT-1 BLK-INIT-2 */
static void no_flush_without_the_feature(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.flush = false;
    make_disk(&setup);
    assert_int_equal(blk_flush(disk), 0);
    assert_int_equal(model.requests, 0);
    end();
}

/* covers: BLK-OP-3 */
static void a_read_only_device_is_taken_as_such(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.read_only = true;
    make_disk(&setup);
    assert_true(device_has(&model.device, BLK_F_RO));
    assert_int_equal(blk_write(disk, 0, data, 1), -EROFS);
    assert_int_equal(blk_read(disk, 0, data, 1), 0);
    assert_int_equal(model.requests, 1);
    end();
}

/* covers: BLK-T-UNITS-1 */
static void larger_blocks_are_respected(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.blk_size = 4096;
    make_disk(&setup);
    assert_int_equal(disk->block_size, 4096);
    assert_int_equal(disk->capacity, setup.capacity);
    assert_int_equal(blk_read(disk, 1, data, 8), -EINVAL);
    assert_int_equal(blk_read(disk, 8, data, 4), -EINVAL);
    assert_int_equal(blk_write(disk, 8, data, 16), 0);
    end();
}

/* ---- status ---- */

/* covers: BLK-OP-16 SPLIT-USED-2 */
static void the_status_byte_decides_5_2_6(void **state)
{
    static const struct {
        bool keep;
        uint8_t status;
        int expected;
    } ends[] = {{false, BLK_S_OK, 0},  {false, BLK_S_IOERR, -EIO}, {false, BLK_S_UNSUPP, -ENOTSUP},
                {false, 3, -EIO},      {false, 0x7f, -EIO},        {false, 0xff, -EIO},
                {true, BLK_S_OK, -EIO}};

    (void)state;
    make_disk(&ordinary);
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        model.bad_status_on = true;
        model.bad_status = ends[i].status;
        model.keep_status = ends[i].keep;
        assert_int_equal(blk_read(disk, 0, data, 8), ends[i].expected);
        assert_int_equal(blk_write(disk, 0, data, 8), ends[i].expected);
        assert_int_equal(blk_flush(disk), ends[i].expected);
    }
    /* A slot whose status byte once was OK: the preset, not what is left of it, must be seen. */
    model.bad_status_on = false;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(blk_read(disk, i, data, 1), 0);
    model.bad_status_on = model.keep_status = true;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(blk_read(disk, i, data, 1), -EIO);
    end();
}

static void the_used_length_does_not_decide(void **state)
{
    (void)state;
    make_disk(&ordinary);
    model.lie_len = true;
    memset(model.disk, 0x5a, 512);
    assert_int_equal(blk_read(disk, 0, data, 1), 0);
    assert_int_equal(data[511], 0x5a);
    end();
}

static void one_failed_part_fails_the_request(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.seg_max = 1;
    setup.size_max = 512;
    make_disk(&setup);
    model.healthy = 5;
    model.bad_status_on = true;
    model.bad_status = BLK_S_UNSUPP;
    assert_int_equal(blk_read(disk, 0, data, 16), -ENOTSUP);
    assert_int_equal(model.requests, 16);
    end();
}

/* ---- many at once ---- */

/* covers: BLK-T-REQ-2 */
static void requests_may_complete_in_any_order(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.queue_size = 16; /* five requests at once */
    make_disk(&setup);
    model.hold = true;
    for (unsigned n = 0; n < REQUESTS; n++)
        submit(n, BLK_WRITE, n * 16, 8);
    for (unsigned round = 0; round < 200; round++) {
        settle();
        device_blk_release(&model, 2, round & 1);
    }
    settle();
    for (unsigned n = 0; n < REQUESTS; n++)
        assert_done(n, 0);
    assert_int_equal(model.requests, REQUESTS);
    assert_true(disk->stats.full > 0);
    assert_in_range(model.held_most, 2, 16);
    end();
}

static void one_notification_for_a_batch(void **state)
{
    (void)state;
    make_disk(&ordinary);
    uint64_t before = model.device.queue[0].ring.count.notified;
    for (unsigned n = 0; n < 10; n++)
        submit(n, BLK_READ, n, 1);
    blk_poll(disk, 64);
    assert_int_equal(model.device.queue[0].ring.count.notified, before + 1);
    settle();
    for (unsigned n = 0; n < 10; n++)
        assert_done(n, 0);
    end();
}

/* ---- configuration ---- */

/* covers: BLK-OP-1 BLK-OP-2 */
static void the_capacity_may_change(void **state)
{
    uint64_t capacity = 100;

    (void)state;
    make_disk(&ordinary);
    device_change_config(&model.device, BLK_CONFIG_CAPACITY, &capacity, 8);
    hosted_interrupts_deliver();
    assert_int_equal(virtio_poll(), 1);
    assert_int_equal(disk->capacity, 100);
    assert_int_equal(blk_read(disk, 100, data, 1), -EINVAL);
    assert_int_equal(blk_read(disk, 99, data, 1), 0);
    /* More than can be counted in bytes: as if nothing had been said. */
    capacity = BLK_MAX_SECTORS + 1;
    device_change_config(&model.device, BLK_CONFIG_CAPACITY, &capacity, 8);
    hosted_interrupts_deliver();
    assert_int_equal(virtio_poll(), 1);
    assert_int_equal(disk->capacity, 100);
    end();
}

static void senseless_configurations_are_refused(void **state)
{
    static const struct {
        uint32_t size_max, blk_size;
    } bad[] = {{0, 256},   {0, 513},   {0, 0x80000000}, {0, 131072},
               {256, 512}, {511, 512}, {2048, 4096},    {1, 512}};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct device_blk_setup setup = ordinary;
        setup.size_max = bad[i].size_max;
        setup.blk_size = bad[i].blk_size;
        assert_int_equal(make_disk(&setup), 0);
        assert_true(model.device.status & ST_FAILED);
        end();
    }
}

/* In bytes they are nothing, a few, or less than nothing. */
static void senseless_capacities_are_refused(void **state)
{
    static const uint64_t bad[] = {UINT64_MAX, (UINT64_C(1) << 55) + 8, BLK_MAX_SECTORS + 1};
    static struct blk_device device;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        device = (struct blk_device){
            .capacity = bad[i],
            .block_size = 512,
            .limits = {.max_segments = 1, .max_segment_size = 512, .max_sectors = 1}};
        assert_int_equal(blk_add(&device), -EINVAL);
    }
    expect_log("its capacity makes no sense", 3);
}

/* Limits far above ours, below a multiple of the block, and a queue too small for one request. */
static void odd_limits_are_made_sense_of(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.size_max = 0xffffffff;
    setup.seg_max = 0xffffffff;
    make_disk(&setup);
    assert_int_equal(blk_write(disk, 0, data, 4096), 0);
    end();
    setup.size_max = 1000;
    make_disk(&setup);
    assert_int_equal(disk->limits.max_segment_size, 512);
    assert_int_equal(blk_write(disk, 0, data, 100), 0);
    end();
    setup = ordinary;
    setup.queue_size = 4;
    make_disk(&setup);
    assert_int_equal(blk_write(disk, 0, data, 100), 0);
    end();
    setup.queue_size = 2;
    assert_int_equal(make_disk(&setup), 0);
    assert_true(model.device.status & ST_FAILED);
    end();
    setup = ordinary;
    setup.capacity = 0;
    assert_int_equal(make_disk(&setup), 1);
    assert_int_equal(blk_read(disk, 0, data, 1), -EINVAL);
    end();
}

/*
 * What is never accepted: barriers, SCSI commands, and discarding where there may be zones.
 * covers: BLK-INIT-5 BLK-INIT-6 BLK-OP-3 CORE-FEAT-1 CORE-FEAT-7
 */
static void unused_features_are_not_accepted(void **state)
{
    struct device_blk_setup setup = ordinary;

    (void)state;
    setup.more_features = ~UINT64_C(0);
    setup.size_max = 65536;
    setup.read_only = true;
    make_disk(&setup);
    assert_int_equal(model.device.accepted[0] & 0xffffff, 0x3de76);
    end();
}

/* Polling, INTx, MSI-X: the waiting forms work with each. */
static void every_interrupt_mode_works(void **state)
{
    (void)state;
    for (unsigned mode = VIRTIO_INTERRUPT_NONE; mode <= VIRTIO_INTERRUPT_MSIX; mode++) {
        fake_pci_reset();
        struct device_blk_setup setup = ordinary;
        setup.more_features = ring_features;
        device_blk_init(&model, &setup);
        virtio_set_drivers(blk_drivers, 1);
        virtio_set_interrupt_limit(mode);
        loop_set_polling(mode == VIRTIO_INTERRUPT_NONE);
        data = platform_dma_alloc(DATA_SIZE, 4096);
        assert_int_equal(virtio_pci_scan(), 1);
        disk = blk_device_at(0);
        for (unsigned n = 0; n < 50; n++)
            assert_int_equal(blk_write(disk, n, data, n + 1), 0);
        assert_int_equal(virtio_devices()->interrupt_mode, mode);
        end();
        loop_set_polling(false);
    }
}

static void bring_up_survives_lack_of_memory(void **state)
{
    unsigned nth, driven = 0;

    (void)state;
    for (nth = 1; !driven && nth < 40; nth++) {
        fake_pci_reset();
        virtio_set_drivers(blk_drivers, 1);
        virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
        device_blk_init(&model, &ordinary);
        hosted_dma_fail_nth(nth);
        driven = virtio_pci_scan();
        hosted_dma_fail_nth(0);
        virtio_shutdown();
        assert_null(blk_device_at(0));
        assert_int_equal(hosted_dma_allocations(), 0);
        device_blk_finish(&model);
    }
    assert_in_range(nth, 7, 39);
    fake_pci_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_goes_where_it_should),           TEST(nothing_past_the_end),
        TEST(a_flush_covers_completed_writes),     TEST(no_flush_without_the_feature),
        TEST(a_read_only_device_is_taken_as_such), TEST(larger_blocks_are_respected),
        TEST(the_status_byte_decides_5_2_6),       TEST(the_used_length_does_not_decide),
        TEST(one_failed_part_fails_the_request),   TEST(requests_may_complete_in_any_order),
        TEST(one_notification_for_a_batch),        TEST(the_capacity_may_change),
        TEST(senseless_capacities_are_refused),    TEST(senseless_configurations_are_refused),
        TEST(odd_limits_are_made_sense_of),        TEST(unused_features_are_not_accepted),
        TEST(every_interrupt_mode_works),          TEST(bring_up_survives_lack_of_memory),
    };
    const struct CMUnitTest flows[] = {
        TEST(data_goes_where_it_should),         TEST(a_flush_covers_completed_writes),
        TEST(the_status_byte_decides_5_2_6),     TEST(the_used_length_does_not_decide),
        TEST(one_failed_part_fails_the_request), TEST(requests_may_complete_in_any_order),
        TEST(one_notification_for_a_batch),      TEST(every_interrupt_mode_works),
        TEST(bring_up_survives_lack_of_memory),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
