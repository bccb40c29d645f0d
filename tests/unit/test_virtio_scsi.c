// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_scsi.c blk/virtio_scsi_request.c blk/scsi_disk.c blk/scsi_scan.c
// sources: blk/scsi_sense.c blk/scsi_range.c virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c virtio/virtio_pci_access.c
// sources: virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_scsi.c hosted/device_scsi_range.c hosted/violation.c hosted/ring_packed.c virtio/virtqueue_packed.c
// sources: hosted/device_legacy.c tests/unit/scsi_user.c
/*
 * test_virtio_scsi.c - SCSI disks behind virtio (5.6) under the block layer, against the model SCSI
 * host.
 *
 * The model checks each command and keeps disks; the tests look at what is found, at data, errors
 * and limits. Units that come, go and stall are test_virtio_scsi_units.c's, ranges without data
 * test_virtio_scsi_range.c's. Read hosted/device_scsi.h for what the model can be told.
 */
#include "scsi_user.h"

#include "hosted/device_legacy.h"

#include "blk/virtio_scsi.h"
#include "loop.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

/* ---- what is found ---- */

/*
 * Disks on many targets and LUNs, named by address whatever the order of answers; others are named
 * and left alone.
 * covers: SCSI-INIT-1 SCSI-INIT-2 SCSI-REQ-1 SCSI-TASK-1 SCSI-T-REQ-1 SCSI-CFG-1 CORE-CFG-4
 */
static void units_are_found(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 200, 0, 64);
    device_scsi_add(setup.unit, 7, 300, 32)->not_ready = 3;
    device_scsi_add(setup.unit, 7, 0, 16);
    device_scsi_add(setup.unit, 9, 0, 16)->type = 5;
    device_scsi_add(setup.unit, 10, 2, 16)->qualifier = 1;
    device_scsi_add(setup.unit, 255, 16383, 128);
    assert_int_equal(start(), 1);
    assert_int_equal(disks(), 4);
    assert_int_equal(blk_device_at(0)->capacity, 16);
    assert_int_equal(blk_device_at(1)->capacity, 32);
    assert_int_equal(blk_device_at(2)->capacity, 64);
    assert_int_equal(blk_device_at(3)->capacity, 128);
    assert_string_equal(blk_device_at(3)->name, "sdd");
    expect_log("target 9 LUN 0: CD-ROM (type 05h, FERRULE MODEL DISK): left alone", 1);
    expect_log("sdb: target 7 LUN 300: FERRULE MODEL DISK", 1);
    assert_transfers(blk_device_at(1), &model.unit[1]);
    assert_int_equal(model.device.config_writes, 0);
    end();
}

/* 256 targets are asked many at a time. */
static void a_wide_scan_is_fast(void **state)
{
    (void)state;
    start_with_one_disk();
    assert_int_equal(model.scanned, 1);
    assert_in_range(model.batch_most, 16, 128);
    assert_in_range(model.commands, 256 + 4, 256 + 16);
    assert_in_range(hosted_wait_count(), 1, 40);
    end();
}

static void an_adapter_without_units(void **state)
{
    (void)state;
    plain();
    assert_int_equal(start(), 1);
    assert_null(disk);
    settle();
    end();
}

/* covers: SCSI-T-REQ-1 */
static void limits_of_addresses_are_kept(void **state)
{
    (void)state;
    plain();
    setup.max_target = 3;
    setup.max_lun = 10;
    device_scsi_add(setup.unit, 3, 10, 16);
    device_scsi_add(setup.unit, 3, 11, 16);
    start();
    assert_int_equal(disks(), 1);
    expect_log("has an address that is not supported", 1);
    end();
}

static void units_that_cannot_be_used_are_refused(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 0, 0, 16)->block_size = 520;
    device_scsi_add(setup.unit, 1, 0, 16)->block_size = 0;
    device_scsi_add(setup.unit, 2, 0, 0);
    device_scsi_add(setup.unit, 3, 0, UINT64_MAX / 2);
    device_scsi_add(setup.unit, 4, 0, UINT64_C(1) << 33)->no_16 = true;
    device_scsi_add(setup.unit, 5, 0, 16)->not_ready = 1000;
    device_scsi_add(setup.unit, 6, 0, 16);
    start();
    settle_for(30000);
    assert_int_equal(disks(), 1);
    expect_log("its block size is not supported", 2);
    expect_log("its capacity makes no sense", 3);
    expect_log("not ready: NOT READY, becoming ready (2/04/01)", 1);
    end();
}

/* A unit may know less: no REPORT LUNS, no MODE SENSE, the 10-byte commands only. */
static void simple_units(void **state)
{
    struct device_scsi_unit *unit;

    (void)state;
    plain();
    unit = device_scsi_add(setup.unit, 0, 0, BLOCKS);
    unit->no_16 = unit->no_mode_sense = unit->no_report_luns = true;
    device_scsi_add(setup.unit, 1, 0, BLOCKS)->refuses_rw_16 = true;
    start();
    assert_int_equal(disks(), 2);
    assert_true(disk->has_flush);
    assert_transfers(disk, &model.unit[0]);
    assert_int_equal(model.last_cdb[0], 0x28);
    assert_int_equal(blk_flush(disk), 0);
    assert_int_equal(model.unit[0].flushes, 1);
    assert_transfers(blk_device_at(1), &model.unit[1]);
    assert_int_equal(blk_flush(blk_device_at(1)), 0);
    assert_int_equal(model.last_cdb[0], 0x35);
    assert_int_equal(model.unit[1].flushes, 1);
    end();
}

static void a_disk_that_may_not_be_written_to(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 0, 0, BLOCKS)->read_only = true;
    start();
    assert_true(disk->read_only);
    assert_int_equal(blk_write(disk, 0, data, 1), -EROFS);
    assert_int_equal(blk_read(disk, 0, data, 1), 0);
    end();
}

static void a_disk_without_write_cache_needs_no_flush(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 0, 0, BLOCKS)->write_cache = false;
    start();
    assert_int_equal(blk_flush(disk), 0);
    assert_int_equal(model.unit[0].flushes, 0);
    end();
}

/* ---- set-up ---- */

static void adapters_that_cannot_be_used_are_refused(void **state)
{
    (void)state;
    plain();
    setup.num_queues = 0;
    assert_int_equal(start(), 0);
    expect_log("it has no request queue", 1);
    end();
    plain();
    setup.queue_size = 2;
    assert_int_equal(start(), 0);
    expect_log("its queue is too small for a command", 1);
    end();
}

/* covers: SCSI-CFG-1 */
static void sizes_of_before_are_put_right(void **state)
{
    (void)state;
    plain();
    setup.sense_size = 18;
    setup.cdb_size = 16;
    device_scsi_add(setup.unit, 0, 0, BLOCKS);
    assert_int_equal(start(), 1);
    assert_int_equal(model.device.config_writes, 2);
    assert_transfers(disk, &model.unit[0]);
    end();
}

/* covers: SCSI-FEAT-1 SCSI-FEAT-2 */
static void features_are_chosen(void **state)
{
    (void)state;
    plain();
    setup.features = 0xf;
    start();
    assert_true(device_has(&model.device, SCSI_F_HOTPLUG));
    assert_true(device_has(&model.device, SCSI_F_CHANGE));
    assert_false(device_has(&model.device, SCSI_F_INOUT));
    assert_false(device_has(&model.device, SCSI_F_T10_PI));
    expect_log("T10_PI (protection information is not used)", 1);
    end();
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 40; nth++) {
        plain();
        device_scsi_add(setup.unit, 0, 0, BLOCKS);
        hosted_dma_fail_nth(nth + 1); /* the first is the test's own */
        start();
        hosted_dma_fail_nth(0);
        end();
    }
}

/* ---- data ---- */

/*
 * Data under every combination of ring features, limits and block sizes.
 * covers: SCSI-T-REQ-1 SCSI-CFG-2 LEG-SCSI-REQ-1 LEG-SCSI-FRAME-1 LEG-SCSI-FRAME-2 LEG-SCSI-OP-1
 */
static void data_goes_where_it_should(void **state)
{
    static const uint32_t seg_max[] = {0, 1, 3, 126}, max_sectors[] = {8, 64, 0xffff, 0};
    uint32_t seed = 5;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct device_scsi_unit *unit;

        plain();
        setup.seg_max = seg_max[i % 4] ? seg_max[i % 4] : 1;
        setup.max_sectors = max_sectors[i / 4 % 4] ? max_sectors[i / 4 % 4] : 0xffff;
        setup.features |= (uint64_t)(i / 16) << F_INDIRECT_DESC;
        setup.queue_size = i % 3 ? 128 : 16;
        unit = device_scsi_add(setup.unit, 0, i % 5, i % 2 ? 2048 : 256);
        unit->block_size = i % 2 ? 512 : 4096;
        unit->no_16 = i % 7 == 0;
        start();
        assert_int_equal(disk->capacity, 2048);
        for (unsigned n = 0; n < 4; n++) {
            uint32_t sectors = (support_random(&seed) % 30 + 1) * 8;
            uint64_t sector = support_random(&seed) % 200 * 8;

            for (unsigned b = 0; b < sectors * 512; b++)
                data[b] = (uint8_t)support_random(&seed);
            assert_int_equal(blk_write(disk, sector, data, sectors), 0);
            assert_memory_equal(model.unit[0].disk + sector * 512, data, sectors * 512);
            assert_int_equal(blk_read(disk, sector, data + DATA_SIZE / 2, sectors), 0);
            assert_memory_equal(data + DATA_SIZE / 2, data, sectors * 512);
        }
        end();
    }
}

/* covers: SCSI-CFG-2 SCSI-CFG-3 SCSI-T-REQ-2 */
static void a_unit_gets_no_more_than_its_share(void **state)
{
    (void)state;
    plain();
    setup.cmd_per_lun = 5;
    device_scsi_add(setup.unit, 0, 0, BLOCKS);
    device_scsi_add(setup.unit, 1, 0, BLOCKS);
    start();
    model.hold = true;
    for (unsigned n = 0; n < 20; n++)
        submit(blk_device_at(n % 2), n, BLK_READ, n, 1);
    settle();
    assert_int_equal(model.held_count, 10);
    for (unsigned n = 0; n < 20; n++) {
        device_scsi_release(&model, 1);
        settle();
    }
    for (unsigned n = 0; n < 20; n++)
        assert_done(n, 0);
    assert_int_equal(model.unit[0].held_most, 5);
    end();
}

static void a_flush_covers_completed_writes(void **state)
{
    (void)state;
    start_with_one_disk();
    model.hold = true;
    submit(disk, 0, BLK_WRITE, 10, 8);
    submit(disk, 1, BLK_FLUSH, 99, 0);
    submit(disk, 2, BLK_WRITE, 20, 8);
    settle();
    assert_int_equal(model.held_count, 1);
    device_scsi_release(&model, 1);
    settle();
    assert_int_equal(model.held_count, 1);
    assert_int_equal(model.last_cdb[0], 0x91);
    device_scsi_release(&model, 1);
    settle();
    assert_done(1, 0);
    assert_int_equal(model.unit[0].flushes, 1);
    device_scsi_release(&model, 1);
    settle();
    assert_done(2, 0);
    end();
}

/* ---- errors ---- */

static void sense_data_becomes_an_errno(void **state)
{
    static const struct {
        uint8_t key, asc;
        int error;
    } cases[] = {{0x3, 0x11, -EIO},    {0x4, 0x44, -EIO}, {0x5, 0x24, -EIO},
                 {0x5, 0x21, -EINVAL}, {0x7, 0x27, -EIO}, {0x1, 0x17, 0}};

    (void)state;
    start_with_one_disk();
    for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct device_scsi_fault *fault = fail_next(0x88, 1);

        fault->key = cases[i / 2].key;
        fault->asc = cases[i / 2].asc;
        fault->descriptor = i % 2;
        assert_int_equal(blk_read(disk, 0, data, 8), cases[i / 2].error);
        assert_int_equal(blk_read(disk, 0, data, 8), 0);
    }
    expect_log("sda: reading 8 sectors at 0: MEDIUM ERROR, unrecovered read error (3/11/00)", 2);
    fail_next(0x8a, 1)->key = 0x7;
    model.fault[0].asc = 0x27;
    assert_int_equal(blk_write(disk, 0, data, 8), -EROFS);
    end();
}

/* A command that the unit aborted, or that came after news, is sent again, but not for ever. */
static void passing_errors_are_retried(void **state)
{
    static const uint8_t keys[] = {0x6, 0xb};

    (void)state;
    start_with_one_disk();
    for (unsigned i = 0; i < 2; i++) {
        fail_next(0x88, 3)->key = keys[i];
        assert_int_equal(blk_read(disk, 0, data, 8), 0);
        fail_next(0x88, 1000)->key = keys[i];
        assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
        assert_in_range(1000 - model.fault[0].count, 2, 20);
    }
    end();
}

static void a_busy_unit_is_asked_later(void **state)
{
    static const uint8_t statuses[] = {0x08, 0x28};

    (void)state;
    start_with_one_disk();
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = platform_now_ns();

        fail_next(0x88, 10)->status = statuses[i];
        assert_int_equal(blk_read(disk, 0, data, 8), 0);
        assert_true(platform_now_ns() - before >= 500000000);
        disk->timeout_ms = 100000;
        fail_next(0x88, 1000)->status = statuses[i];
        assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
        assert_true(model.fault[0].count > 900);
    }
    assert_int_equal(model.device.resets, 1);
    expect_log("the unit stays busy", 1);
    end();
}

/* covers: SCSI-REQ-2 */
static void every_response_has_a_meaning(void **state)
{
    (void)state;
    start_with_one_disk();
    for (unsigned response = 1; response < 256; response++) {
        unsigned sent = 1000;

        disk->timeout_ms = 100000;
        fail_next(0x88, sent)->response = (uint8_t)response;
        assert_int_equal(blk_read(blk_device_at(0), 0, data, 8), -EIO);
        sent -= model.fault[0].count;
        model.fault[0].count = 0;
        if (response == 2 || response == 4 || response == 6)
            assert_in_range(sent, 2, 10);
        else if (response == 5)
            assert_in_range(sent, 11, 100);
        else
            assert_int_equal(sent, 1);
        settle();
        assert_int_equal(blk_read(blk_device_at(0), 0, data, 8), 0);
    }
    assert_int_equal(model.device.resets, 1);
    end();
}

/* What a device writes into its part of a command is never believed unchecked. */
static void nonsense_is_an_error(void **state)
{
    (void)state;
    start_with_one_disk();
    fail_next(0x88, 1)->untouched = true;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 1)->sense_len = 97;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 1)->sense_len = UINT32_MAX;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 1)->residual = 4097;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 1)->residual = UINT32_MAX;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 1)->residual = 512;
    model.fault[0].executes = true;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 100)->status = 0x02; /* without sense data */
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    fail_next(0x88, 100)->key = 0x3;
    model.fault[0].sense_code = 0x55;
    assert_int_equal(blk_read(disk, 0, data, 8), -EIO);
    model.fault[0].count = 0;
    assert_int_equal(blk_read(disk, 0, data, 8), 0);
    expect_log("ended early", 1);
    end();
}

/* The same while units are looked for: each command of the scan fails in every way. */
static void a_scan_survives_nonsense(void **state)
{
    static const uint16_t opcodes[] = {0xa0, 0x12, 0x00, 0x9e, 0x25, 0x1a, DEVICE_SCSI_ANY};
    uint32_t seed = 7;

    (void)state;
    start_with_one_disk();
    for (unsigned i = 0; i < 400; i++) {
        struct device_scsi_fault *fault = fail_next(opcodes[i % 7], 1 + support_random(&seed) % 20);

        fault->target = 3;
        fault->response = support_random(&seed) % 3 ? 0 : (uint8_t)(support_random(&seed) % 16);
        fault->status = support_random(&seed) % 2 ? 0 : (uint8_t)support_random(&seed);
        fault->key = support_random(&seed) % 16;
        fault->asc = (uint8_t)(support_random(&seed) % 64);
        fault->sense_len = support_random(&seed) % 4 ? 0 : support_random(&seed) % 200;
        fault->residual = support_random(&seed) % 2 ? 0 : support_random(&seed) % 300;
        fault->executes = support_random(&seed) % 2;
        device_scsi_event(&model, SCSI_EVENT_RESET, 3, 0, SCSI_REASON_RESCAN);
        settle_for(300);
    }
    model.fault[0].count = 0;
    settle_for(30000);
    device_scsi_event(&model, SCSI_EVENT_RESET, 3, 0, SCSI_REASON_RESCAN);
    settle();
    assert_int_equal(disks(), 1);
    assert_transfers(blk_device_at(0), &model.unit[0]);
    end();
}

static void the_log_is_not_drowned(void **state)
{
    (void)state;
    start_with_one_disk();
    fail_next(0x88, 1000)->key = 0x3;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(blk_read(disk, 0, data, 1), -EIO);
    expect_log("MEDIUM ERROR", 16);
    expect_log("more errors, which are not logged", 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(units_are_found),
        TEST(a_wide_scan_is_fast),
        TEST(an_adapter_without_units),
        TEST(limits_of_addresses_are_kept),
        TEST(units_that_cannot_be_used_are_refused),
        TEST(simple_units),
        TEST(a_disk_that_may_not_be_written_to),
        TEST(a_disk_without_write_cache_needs_no_flush),
        TEST(adapters_that_cannot_be_used_are_refused),
        TEST(sizes_of_before_are_put_right),
        TEST(features_are_chosen),
        TEST(every_allocation_may_fail),
        TEST(data_goes_where_it_should),
        TEST(a_unit_gets_no_more_than_its_share),
        TEST(a_flush_covers_completed_writes),
        TEST(sense_data_becomes_an_errno),
        TEST(passing_errors_are_retried),
        TEST(a_busy_unit_is_asked_later),
        TEST(every_response_has_a_meaning),
        TEST(nonsense_is_an_error),
        TEST(a_scan_survives_nonsense),
        TEST(the_log_is_not_drowned),
    };

    int failed = cmocka_run_group_tests_name("scsi", tests, NULL, NULL);

    device_set_front(&device_legacy_front);
    return failed + cmocka_run_group_tests_name("scsi, legacy interface", tests, NULL, NULL);
}
