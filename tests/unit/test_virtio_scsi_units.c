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
 * test_virtio_scsi_units.c - SCSI disks that come, go and change, and what happens when a unit or the
 * adapter stalls, against the model SCSI host: each request must end exactly once.
 *
 * Read test_virtio_scsi.c first.
 */
#include "scsi_user.h"

#include "hosted/device_legacy.h"

#include "blk/virtio_scsi.h"
#include "loop.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

/* ---- units that come, go and change ---- */

/*
 * covers: SCSI-FEAT-1 SCSI-EVT-1 SCSI-EVT-2 SCSI-EVT-3 SCSI-EVT-4 LEG-SCSI-EVT-1 LEG-SCSI-CFG-1
 */
static void disks_come_and_go(void **state)
{
    struct device_scsi_unit *unit;

    (void)state;
    plain();
    setup.event_info_size = 40;
    start();
    assert_int_equal(model.events, 16);
    for (unsigned i = 0; i < 40; i++) {
        unit = device_scsi_add(model.unit, 5, 1, BLOCKS);
        device_scsi_event(&model, SCSI_EVENT_RESET, 5, 1, SCSI_REASON_RESCAN);
        settle();
        assert_int_equal(disks(), 1);
        disk = blk_device_at(0);
        assert_string_equal(disk->name, "sda");
        assert_transfers(disk, unit);
        unit->present = false;
        device_scsi_event(&model, SCSI_EVENT_RESET, 5, 1, SCSI_REASON_REMOVED);
        settle();
        assert_int_equal(disks(), 0);
        /* Who kept the disk gets errors, not a crash. */
        assert_int_equal(blk_read(disk, 0, data, 1), -EIO);
        settle();
        assert_int_equal(model.events, 16);
    }
    expect_log("sda: removed: unplugged", 40);
    end();
}

/* covers: SCSI-EVT-7 */
static void an_event_for_lun_0_is_about_the_target(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 5, 1, BLOCKS);
    start();
    device_scsi_add(model.unit, 5, 0, BLOCKS);
    device_scsi_add(model.unit, 5, 2, BLOCKS);
    device_scsi_event(&model, SCSI_EVENT_RESET, 5, 0, SCSI_REASON_RESCAN);
    settle();
    assert_int_equal(disks(), 3);
    model.unit[0].present = model.unit[2].present = false;
    device_scsi_event(&model, SCSI_EVENT_RESET, 5, 0, SCSI_REASON_REMOVED);
    settle();
    assert_int_equal(disks(), 1); /* LUN 0, which is still listed, under a new name */
    model.unit[1].present = false;
    device_scsi_event(&model, SCSI_EVENT_RESET, 5, 0, SCSI_REASON_REMOVED);
    settle();
    assert_int_equal(disks(), 0);
    end();
}

/* covers: SCSI-EVT-5 SCSI-EVT-6 */
static void missed_events_lead_to_a_look_at_everything(void **state)
{
    unsigned scanned;

    (void)state;
    start_with_one_disk();
    for (unsigned i = 0; i < 20; i++)
        device_scsi_event(&model, SCSI_EVENT_CHANGE, 3, 0, 0x2a09);
    assert_true(model.missed);
    device_scsi_add(model.unit, 77, 0, BLOCKS);
    settle();
    assert_int_equal(disks(), 1);
    scanned = model.commands;
    device_scsi_event(&model, 0, 0, 0, 0);
    settle();
    assert_true(model.commands > scanned + 256);
    assert_int_equal(disks(), 2);
    end();
}

/* covers: SCSI-FEAT-2 */
static void a_change_of_capacity_is_seen(void **state)
{
    (void)state;
    start_with_one_disk();
    model.unit[0].blocks = 2 * BLOCKS;
    device_scsi_event(&model, SCSI_EVENT_CHANGE, 3, 0, 0x2a09);
    settle();
    assert_int_equal(disk->capacity, 2 * BLOCKS);
    expect_log("sda: capacity changed from 1000 to 2000 sectors", 1);
    /* The same by a unit attention, without events. */
    model.unit[0].blocks = BLOCKS;
    model.unit[0].read_only = true;
    model.unit[0].attention[model.unit[0].attentions++] = 0x2a09;
    assert_int_equal(blk_read(disk, 0, data, 1), 0);
    settle();
    assert_int_equal(disk->capacity, BLOCKS);
    assert_true(disk->read_only);
    assert_int_equal(disks(), 1);
    end();
}

/* A disk whose blocks or whose name are others is another disk. */
static void another_disk_at_the_address(void **state)
{
    struct blk_device *before;

    (void)state;
    start_with_one_disk();
    before = disk;
    model.unit[0].block_size = 4096;
    device_scsi_event(&model, SCSI_EVENT_CHANGE, 3, 0, 0x2a09);
    settle();
    assert_int_equal(disks(), 1);
    assert_ptr_not_equal(blk_device_at(0), before);
    assert_int_equal(blk_read(before, 0, data, 8), -EIO);
    assert_int_equal(blk_read(blk_device_at(0), 0, data, 8), 0);
    model.unit[0].product = "OTHER";
    device_scsi_event(&model, SCSI_EVENT_CHANGE, 3, 0, 0x3f03);
    settle();
    expect_log("another disk took its place", 1);
    expect_log("FERRULE OTHER", 1);
    assert_int_equal(disks(), 1);
    end();
}

/* Without any event: commands find nobody there. */
static void a_disk_that_vanished(void **state)
{
    (void)state;
    start_with_one_disk();
    model.unit[0].present = false;
    assert_int_equal(blk_read(disk, 0, data, 1), -EIO);
    settle();
    assert_int_equal(disks(), 0);
    expect_log("does not list it any more", 1);
    end();
}

/* It stays listed until the device gave back what it had of it. */
static void a_disk_goes_when_its_requests_have_ended(void **state)
{
    (void)state;
    start_with_one_disk();
    model.hold = true;
    for (unsigned n = 0; n < 3; n++)
        submit(disk, n, BLK_READ, n, 1);
    settle();
    model.unit[0].present = false;
    device_scsi_event(&model, SCSI_EVENT_RESET, 3, 0, SCSI_REASON_REMOVED);
    settle();
    assert_int_equal(disks(), 1);
    submit(disk, 3, BLK_READ, 0, 1);
    settle();
    assert_done(3, -EIO);
    device_scsi_release(&model, 3);
    settle();
    assert_int_equal(disks(), 0);
    for (unsigned n = 0; n < 3; n++)
        assert_done(n, -EIO);
    end();
}

static void odd_events_are_ignored(void **state)
{
    uint32_t seed = 9;

    (void)state;
    start_with_one_disk();
    for (unsigned i = 0; i < 500; i++) {
        device_scsi_event(&model, support_random(&seed) % 8, support_random(&seed) % 256,
                          support_random(&seed) % 16384,
                          i % 3 ? SCSI_REASON_RESCAN : support_random(&seed) % 5);
        settle();
    }
    assert_int_equal(disks(), 1);
    assert_transfers(blk_device_at(0), &model.unit[0]);
    expect_log("an event that does not exist", 1);
    end();
}

/* ---- resets ---- */

/*
 * One disk stalls: its requests fail after a reset of the adapter, those of others are given again.
 * covers: SCSI-INIT-2
 */
static void a_stalled_disk_does_not_take_others_along(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 0, 0, BLOCKS);
    device_scsi_add(setup.unit, 1, 0, BLOCKS);
    start();
    disk->timeout_ms = 1000;
    fail_next(0x88, 1)->silent = true;
    submit(blk_device_at(0), 0, BLK_READ, 0, 8);
    settle();
    model.hold = true;
    memset(data + 65536, 0x77, 4096);
    submit(blk_device_at(1), 1, BLK_WRITE, 8, 8);
    settle();
    assert_int_equal(model.held_count, 1);
    model.hold = false;
    hosted_clock_advance(UINT64_C(1500000000));
    settle();
    assert_done(0, -EIO);
    assert_done(1, 0);
    assert_int_equal(model.unit[1].disk[4096], 0x77);
    expect_log("running again", 1);
    assert_int_equal(model.events, 16);
    assert_int_equal(disks(), 2);
    assert_transfers(disk, &model.unit[0]);
    end();
}

static void a_unit_that_never_answers_the_scan(void **state)
{
    (void)state;
    plain();
    device_scsi_add(setup.unit, 0, 0, BLOCKS);
    device_scsi_add(setup.unit, 9, 0, BLOCKS);
    start();
    assert_int_equal(disks(), 2);
    /* From now on target 9 is mute. */
    *fail_next(DEVICE_SCSI_ANY, 1000) = (struct device_scsi_fault){
        .count = 1000, .opcode = DEVICE_SCSI_ANY, .target = 9, .silent = true};
    device_scsi_event(&model, SCSI_EVENT_RESET, 9, 0, SCSI_REASON_RESCAN);
    settle_for(20000);
    expect_log("target 9 LUN 0: does not answer: not asked again", 1);
    expect_log("running again", 1);
    assert_transfers(disk, &model.unit[0]);
    /* When it says that it is there, it is asked again. */
    model.fault[0].count = 0;
    device_scsi_event(&model, SCSI_EVENT_RESET, 9, 0, SCSI_REASON_RESCAN);
    settle();
    assert_transfers(blk_device_at(1), &model.unit[1]);
    end();
}

static void boot_does_not_wait_for_ever(void **state)
{
    (void)state;
    start_with_one_disk();
    end();
    plain();
    device_scsi_add(setup.unit, 0, 0, BLOCKS);
    device_scsi_add(setup.unit, 1, 0, BLOCKS)->not_ready = 70;
    start();
    assert_int_equal(disks(), 1);
    expect_log("some units are slow: going on without them", 1);
    settle_for(10000);
    assert_int_equal(disks(), 2);
    end();
}

static void the_adapter_asks_for_a_reset(void **state)
{
    (void)state;
    start_with_one_disk();
    model.hold = true;
    submit(disk, 0, BLK_WRITE, 0, 8);
    settle();
    model.hold = false;
    device_need_reset(&model.device);
    platform_wait(platform_now_ns() + 1);
    settle();
    assert_done(0, 0);
    assert_int_equal(model.events, 16);
    assert_transfers(disk, &model.unit[0]);
    end();
}

static void a_broken_queue_is_recovered(void **state)
{
    (void)state;
    start_with_one_disk();
    for (unsigned queue = SCSI_QUEUE_EVENT; queue <= SCSI_QUEUE_REQUEST; queue++) {
        model.hold = true;
        submit(disk, 0, BLK_READ, 0, 8);
        settle();
        model.hold = false;
        ring_device_push_raw(&model.device.queue[queue].ring, 999, 0);
        settle();
        assert_done(0, 0);
        assert_transfers(disk, &model.unit[0]);
    }
    end();
}

static void an_adapter_that_does_not_come_back(void **state)
{
    (void)state;
    start_with_one_disk();
    disk->timeout_ms = 1000;
    model.hold = true;
    submit(disk, 0, BLK_READ, 0, 8);
    settle();
    model.device.lies.refuse_features = true;
    hosted_clock_advance(UINT64_C(2000000000));
    settle();
    assert_done(0, -EIO);
    assert_int_equal(blk_read(disk, 0, data, 1), -EIO);
    settle_for(100);
    end();
}

static void shutdown_ends_requests(void **state)
{
    (void)state;
    start_with_one_disk();
    model.hold = true;
    for (unsigned n = 0; n < 3; n++)
        submit(disk, n, BLK_READ, n, 1);
    settle();
    end();
    for (unsigned n = 0; n < 3; n++)
        assert_done(n, -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(disks_come_and_go),
        TEST(an_event_for_lun_0_is_about_the_target),
        TEST(missed_events_lead_to_a_look_at_everything),
        TEST(a_change_of_capacity_is_seen),
        TEST(another_disk_at_the_address),
        TEST(a_disk_that_vanished),
        TEST(a_disk_goes_when_its_requests_have_ended),
        TEST(odd_events_are_ignored),
        TEST(a_stalled_disk_does_not_take_others_along),
        TEST(a_unit_that_never_answers_the_scan),
        TEST(boot_does_not_wait_for_ever),
        TEST(the_adapter_asks_for_a_reset),
        TEST(a_broken_queue_is_recovered),
        TEST(an_adapter_that_does_not_come_back),
        TEST(shutdown_ends_requests),
    };

    int failed = cmocka_run_group_tests_name("scsi units", tests, NULL, NULL);

    device_set_front(&device_legacy_front);
    return failed + cmocka_run_group_tests_name("scsi units, legacy interface", tests, NULL, NULL);
}
