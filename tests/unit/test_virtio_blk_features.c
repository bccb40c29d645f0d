// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/device_blk.c hosted/device_blk_zones.c hosted/violation.c
// sources: hosted/ring_packed.c
/*
 * test_virtio_blk_features.c - the optional features of the block device (5.2.3) against the model
 * device, which checks each request and each access to the configuration.
 *
 * Reads and writes, and what happens when a device misbehaves, are test_virtio_blk.c's.
 */
#include "support.h"

#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/device_blk.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
static struct device_blk model;
static struct blk_device *disk;
static uint8_t *data;
#define DATA_SIZE (1u << 20)

static const struct device_blk_setup everything = {.capacity = 16384,
                                                   .more_features = 1 << F_INDIRECT_DESC,
                                                   .seg_max = 126,
                                                   .size_max = 65536,
                                                   .blk_size = 512,
                                                   .flush = true,
                                                   .config_wce = true,
                                                   .lifetime = true,
                                                   .topology = true,
                                                   .geometry = true,
                                                   .queues = 3,
                                                   .max_discard = 100,
                                                   .max_zeroes = 1000,
                                                   .max_erase = 64,
                                                   .discard_alignment = 16,
                                                   .may_unmap = true,
                                                   .id = "disk-17",
                                                   .queue_size = 16,
                                                   .msix_vectors = 5};

static void make_disk(const struct device_blk_setup *setup)
{
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_blk_init(&model, setup);
    data = platform_dma_alloc(DATA_SIZE, 4096);
    assert_int_equal(virtio_pci_scan(), 1);
    disk = blk_device_at(0);
    assert_non_null(disk);
    blk_poll(disk, 64);
    device_run(&model.device);
    blk_poll(disk, 64);
}

static void end(void)
{
    virtio_shutdown();
    device_blk_finish(&model);
    fake_pci_reset();
    platform_dma_free(data, DATA_SIZE);
}

#define REQUESTS 60u
static struct blk_request requests[REQUESTS];
static struct blk_segment segments[REQUESTS];
static unsigned done, failed;

static void request_done(struct blk_request *request)
{
    done++;
    failed += request->status != 0;
}

static void submit(unsigned n)
{
    segments[n] = (struct blk_segment){data + n * 4096, 4096};
    requests[n] = (struct blk_request){.op = BLK_WRITE,
                                       .sector = n * 8,
                                       .segment = &segments[n],
                                       .segments = 1,
                                       .done = request_done};
    memset(data + n * 4096, (int)n + 1, 4096);
    blk_submit(disk, &requests[n]);
}

/* covers: BLK-OP-8 BLK-T-REQ-1 */
static void facts_are_read(void **state)
{
    struct device_blk_setup setup = everything;

    (void)state;
    make_disk(&setup);
    assert_int_equal(disk->facts.physical_block, 4096);
    assert_int_equal(disk->facts.aligned_sector, 1);
    assert_int_equal(disk->facts.min_io, 4096);
    assert_int_equal(disk->facts.opt_io, 65536);
    assert_int_equal(disk->facts.cylinders, 1024);
    assert_int_equal(disk->facts.heads, 16);
    assert_int_equal(disk->facts.sectors, 63);
    assert_int_equal(disk->facts.queues, 3);
    assert_string_equal(disk->facts.serial, "disk-17");
    assert_int_equal(disk->facts.spare_blocks_used, 1);
    assert_int_equal(disk->facts.life_used_a, 4);
    assert_int_equal(disk->facts.life_used_b, 11);
    assert_int_equal(model.questions, 2);
    end();
    /* 20 bytes have no end of their own, and a device need not know. */
    setup.id = "12345678901234567\1x\3yz";
    make_disk(&setup);
    assert_string_equal(disk->facts.serial, "12345678901234567?x?");
    end();
    setup.id = NULL;
    make_disk(&setup);
    assert_string_equal(disk->facts.serial, "");
    assert_int_equal(disk->stats.errors, 1);
    end();
}

static void without_features_there_are_no_facts(void **state)
{
    struct device_blk_setup setup = {.capacity = 100, .queue_size = 16, .msix_vectors = 2};

    (void)state;
    make_disk(&setup);
    assert_int_equal(disk->facts.physical_block, 0);
    assert_int_equal(disk->facts.queues, 1);
    assert_int_equal(blk_discard(disk, 0, 8), -ENOTSUP);
    assert_int_equal(blk_write_zeroes(disk, 0, 8, true), -ENOTSUP);
    assert_int_equal(blk_secure_erase(disk, 0, 8), -ENOTSUP);
    assert_int_equal(blk_set_write_cache(disk, false), -ENOTSUP);
    assert_int_equal(model.requests, 0);
    end();
}

static void expect_part(unsigned n, uint32_t type, uint64_t sector, uint32_t sectors, bool unmap)
{
    assert_int_equal(model.history[n].type, type);
    assert_int_equal(model.history[n].sector, sector);
    assert_int_equal(model.history[n].bytes, sectors * 512);
    assert_int_equal(model.history[n].unmap, unmap);
}

/* Cut to what the device takes, and so that parts begin where it likes them to.
 * covers: BLK-OP-7 BLK-OP-9 BLK-OP-10 BLK-OP-11 BLK-OP-14 */
static void ranges_are_cut_to_the_limits(void **state)
{
    (void)state;
    make_disk(&everything);
    memset(model.disk, 0x11, 16384 * 512);
    assert_int_equal(blk_discard(disk, 10, 250), 0);
    assert_int_equal(model.requests, 3);
    expect_part(0, BLK_T_DISCARD, 10, 86, false); /* up to 96, a multiple of 16 */
    expect_part(1, BLK_T_DISCARD, 96, 96, false);
    expect_part(2, BLK_T_DISCARD, 192, 68, false);
    assert_int_equal(model.disk[10 * 512 - 1], 0x11);
    assert_int_equal(model.disk[10 * 512], 0xdd);
    assert_int_equal(model.disk[260 * 512 - 1], 0xdd);
    assert_int_equal(model.disk[260 * 512], 0x11);
    assert_int_equal(blk_write_zeroes(disk, 16, 1001, true), 0);
    expect_part(3, BLK_T_WRITE_ZEROES, 16, 992, true);
    expect_part(4, BLK_T_WRITE_ZEROES, 1008, 9, true);
    assert_int_equal(blk_write_zeroes(disk, 16383, 1, false), 0);
    expect_part(5, BLK_T_WRITE_ZEROES, 16383, 1, false);
    assert_int_equal(model.disk[16 * 512], 0);
    assert_int_equal(model.disk[16383 * 512], 0);
    assert_int_equal(blk_secure_erase(disk, 0, 64), 0);
    expect_part(6, BLK_T_SECURE_ERASE, 0, 64, false);
    /* A wish that only WRITE_ZEROES may have. */
    requests[1] =
        (struct blk_request){.op = BLK_DISCARD, .sectors = 8, .unmap = true, .done = request_done};
    blk_submit(disk, &requests[1]);
    blk_poll(disk, 1);
    device_run(&model.device);
    blk_poll(disk, 64);
    expect_part(7, BLK_T_DISCARD, 0, 8, false);
    /* Nothing wrong reaches the device. */
    assert_int_equal(blk_discard(disk, 16383, 2), -EINVAL);
    assert_int_equal(blk_discard(disk, 5, 0), -EINVAL);
    assert_int_equal(blk_discard(disk, 1, UINT64_MAX), -EINVAL);
    assert_int_equal(model.requests, 8);
    assert_int_equal(disk->stats.ranges, 5);
    assert_int_equal(disk->stats.sectors_in_ranges, 250 + 1001 + 1 + 64 + 8);
    end();
}

static void ranges_of_large_blocks_and_odd_hints(void **state)
{
    struct device_blk_setup setup = everything;

    (void)state;
    setup.blk_size = 4096;
    setup.discard_alignment = 3;
    make_disk(&setup);
    assert_int_equal(blk_discard(disk, 8, 16000), 0);
    assert_int_equal(model.requests, 167); /* of 96, the blocks in 100 */
    assert_int_equal(blk_discard(disk, 4, 8), -EINVAL);
    assert_int_equal(blk_discard(disk, 8, 4), -EINVAL);
    end();
    /* Less than a block at once is of no use; a hint larger than the limit cannot be kept. */
    setup.max_discard = 7;
    make_disk(&setup);
    assert_int_equal(blk_discard(disk, 8, 8), -ENOTSUP);
    end();
    setup.max_discard = 16;
    setup.discard_alignment = 1024;
    make_disk(&setup);
    assert_int_equal(blk_discard(disk, 8, 2048), 0);
    assert_int_equal(model.requests, 129); /* one ends at 1024 */
    end();
}

static void a_device_that_may_not_unmap_is_not_asked_to(void **state)
{
    struct device_blk_setup setup = everything;

    (void)state;
    setup.may_unmap = false;
    make_disk(&setup);
    assert_int_equal(blk_write_zeroes(disk, 0, 8, true), 0);
    expect_part(0, BLK_T_WRITE_ZEROES, 0, 8, false);
    end();
    setup.read_only = true;
    make_disk(&setup);
    assert_int_equal(blk_write_zeroes(disk, 0, 8, true), -EROFS);
    assert_int_equal(blk_discard(disk, 0, 8), -EROFS);
    assert_int_equal(model.requests, 0);
    end();
}

/*
 * The mode is chosen, kept over a reset, and decides whether flushes go out; switching the cache off
 * is one itself, since what it held is not stable by that.
 * covers: BLK-INIT-1 BLK-INIT-3 BLK-INIT-4 BLK-OP-12 BLK-OP-13
 */
static void the_write_cache_can_be_chosen(void **state)
{
    struct device_blk_setup setup = everything;

    (void)state;
    make_disk(&setup);
    assert_true(disk->has_flush);
    assert_int_equal(blk_flush(disk), 0);
    assert_int_equal(model.requests, 1);
    assert_int_equal(model.device.config_writes, 0);
    assert_int_equal(blk_set_write_cache(disk, false), 0);
    assert_int_equal(model.device.config[BLK_CONFIG_WRITEBACK], 0);
    assert_int_equal(model.requests, 2);
    assert_int_equal(blk_flush(disk), 0);
    assert_int_equal(model.requests, 2);
    model.device.config[BLK_CONFIG_WRITEBACK] = 1; /* as a reset does */
    assert_int_equal(virtio_recover(virtio_devices(), "a test"), 0);
    assert_int_equal(model.device.config[BLK_CONFIG_WRITEBACK], 0);
    assert_int_equal(blk_set_write_cache(disk, true), 0);
    assert_int_equal(blk_flush(disk), 0);
    assert_int_equal(model.requests, 3);
    end();
    /* A cache that cannot be flushed is switched off. */
    setup.flush = false;
    make_disk(&setup);
    assert_int_equal(model.device.config[BLK_CONFIG_WRITEBACK], 0);
    assert_int_equal(blk_set_write_cache(disk, true), -ENOTSUP);
    end();
}

/* ---- several queues ---- */

static unsigned notifications(void)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < virtio_devices()->queue_count; i++)
        sum += (unsigned)virtqueue_stats(virtio_devices()->queue[i])->notifications;
    return sum;
}

/* Each batch goes to one queue with one notification, the next one to the next queue. */
static void batches_go_round_the_queues(void **state)
{
    unsigned before, used[4] = {0};

    (void)state;
    make_disk(&everything);
    assert_int_equal(virtio_devices()->queue_count, 3);
    for (unsigned batch = 0; batch < 6; batch++) {
        before = notifications();
        for (unsigned n = 0; n < 4; n++)
            submit(batch * 4 + n);
        blk_poll(disk, 64);
        assert_int_equal(notifications(), before + 1);
        device_run(&model.device);
        blk_poll(disk, 64);
        for (unsigned n = 1; n < 4; n++)
            assert_int_equal(model.history[batch * 4 + n].queue, model.history[batch * 4].queue);
        used[model.history[batch * 4].queue]++;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(used[i], 2);
    done = failed = 0;
    end();
}

/* A full queue is no reason to wait while another one has room; with all full the rest waits. */
static void all_queues_are_filled_and_recovered(void **state)
{
    (void)state;
    done = failed = 0;
    make_disk(&everything);
    model.hold = true;
    for (unsigned n = 0; n < REQUESTS; n++)
        submit(n);
    blk_poll(disk, 64);
    device_run(&model.device);
    assert_in_range(model.held_most, 30, 48); /* as lists of descriptors fit */
    /* A reset loses what all three had; it is given again, and all of it is done in the end. */
    assert_int_equal(virtio_recover(virtio_devices(), "a test"), 0);
    model.hold = false;
    for (unsigned i = 0; i < 10; i++) {
        blk_poll(disk, 64);
        device_run(&model.device);
    }
    blk_poll(disk, 64);
    assert_int_equal(done, REQUESTS);
    assert_int_equal(failed, 0);
    for (unsigned n = 0; n < REQUESTS; n++)
        assert_int_equal(model.disk[n * 4096 + 4095], (uint8_t)(n + 1));
    end();
}

static void odd_numbers_of_queues(void **state)
{
    struct device_blk_setup setup = everything;

    (void)state;
    setup.queues = 6;
    setup.msix_vectors = 1;
    make_disk(&setup);
    assert_int_equal(virtio_devices()->queue_count, 4);
    assert_int_equal(blk_write(disk, 1, data, 100), 0);
    assert_int_equal(blk_read(disk, 1, data, 100), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(facts_are_read),
        TEST(without_features_there_are_no_facts),
        TEST(ranges_are_cut_to_the_limits),
        TEST(ranges_of_large_blocks_and_odd_hints),
        TEST(a_device_that_may_not_unmap_is_not_asked_to),
        TEST(the_write_cache_can_be_chosen),
        TEST(batches_go_round_the_queues),
        TEST(all_queues_are_filled_and_recovered),
        TEST(odd_numbers_of_queues),
    };

    return cmocka_run_group_tests_name("virtio_blk features", tests, NULL, NULL);
}
