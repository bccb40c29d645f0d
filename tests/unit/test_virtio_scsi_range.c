// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_scsi.c blk/virtio_scsi_request.c blk/scsi_disk.c blk/scsi_scan.c
// sources: blk/scsi_sense.c blk/scsi_range.c virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c virtio/virtio_pci_access.c
// sources: virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_scsi.c hosted/device_scsi_range.c hosted/violation.c hosted/ring_packed.c virtio/virtqueue_packed.c
// sources: hosted/device_legacy.c
/*
 * test_virtio_scsi_range.c - SCSI disks that discard and zero ranges: UNMAP and WRITE SAME, and the
 * pages of vital product data that tell of them, against the model SCSI host, which checks each
 * command against what it told.
 *
 * All else about SCSI disks is test_virtio_scsi.c's.
 */
#include "support.h"

#include "hosted/device_legacy.h"

#include "blk/block.h"
#include "blk/virtio_scsi.h"
#include "hosted/device_scsi.h"
#include "loop.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

#define BLOCKS 1000u

static const struct virtio_driver *const drivers[] = {&virtio_scsi_driver};
static struct device_scsi model;
static struct device_scsi_setup setup;
static struct device_scsi_unit *unit;
static struct blk_device *disk;

/* A disk that knows everything; tests change it before start(). */
static void plan(void)
{
    setup = device_scsi_ordinary;
    unit = device_scsi_add(setup.unit, 2, 0, BLOCKS);
    unit->provisioned = unit->unmaps = unit->same_unmaps = true;
    unit->max_unmap = 300;
    unit->unmap_descriptors = 1;
    unit->granularity = 8;
    unit->max_same = 200;
}

static void start(void)
{
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_scsi_init(&model, &setup);
    unit = &model.unit[0];
    memset(unit->disk, 0x55, DEVICE_SCSI_DISK);
    assert_int_equal(virtio_pci_scan(), 1);
    disk = blk_device_at(0);
    assert_non_null(disk);
}

static void end(void)
{
    virtio_shutdown();
    assert_null(blk_device_at(0));
    device_scsi_finish(&model);
    fake_pci_reset();
}

static void assert_filled(uint32_t first, uint32_t blocks, uint8_t value)
{
    uint8_t *at = unit->disk + first * unit->block_size;

    for (uint32_t i = 0; i < blocks * unit->block_size; i++)
        assert_int_equal(at[i], value);
}

/*
 * Parts are as long as the unit allows, and begin where it frees whole pieces.
 * covers: SCSI-T-REQ-1
 */
static void a_range_is_unmapped(void **state)
{
    (void)state;
    plan();
    start();
    expect_log(", discard, zeroes", 1);
    assert_int_equal(disk->limits.max_discard_sectors, 300);
    assert_int_equal(blk_discard(disk, 3, 900), 0);
    assert_int_equal(unit->unmapped, 900);
    assert_int_equal(unit->unmap_commands, 4);
    assert_filled(3, 900, 0xdd);
    assert_filled(0, 3, 0x55);
    assert_filled(903, 97, 0x55);
    assert_int_equal(blk_discard(disk, 996, 5), -EINVAL);
    assert_int_equal(blk_discard(disk, 0, 0), -EINVAL);
    end();
}

static void zeroes_are_written_by_the_unit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t per_block = i % 2 ? 8 : 1;

        plan();
        unit->block_size = per_block * 512;
        unit->blocks = 250;
        unit->reads_zeroes = i / 2;
        start();
        assert_int_equal(blk_write_zeroes(disk, per_block, 240 * per_block, true), 0);
        /* What is freed is sure to read as zeros only if the unit says so. */
        assert_int_equal(unit->zeroed, i / 2 ? 0 : 240);
        assert_int_equal(unit->unmapped, i / 2 ? 240 : 0);
        assert_filled(0, 1, 0x55);
        assert_filled(1, 240, 0);
        assert_filled(241, 9, 0x55);
        assert_int_equal(blk_write_zeroes(disk, 0, 2 * per_block, false), 0);
        assert_int_equal(unit->zeroed, (i / 2 ? 0 : 240) + 2);
        end();
    }
}

static void discards_by_write_same(void **state)
{
    (void)state;
    plan();
    unit->unmaps = false;
    start();
    assert_int_equal(blk_discard(disk, 0, 1000), 0);
    assert_int_equal(unit->unmapped, 1000);
    assert_int_equal(unit->unmap_commands, 0);
    end();
}

/* What the pages say, or do not, decides what is known. */
static void pages_decide(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        bool discards = false, zeroes = true;

        plan();
        switch (i) {
        case 0:
            unit->provisioned = false;
            break;
        case 1:
            unit->no_pages = true;
            zeroes = false;
            break;
        case 2:
            unit->page_is_another = true;
            zeroes = false;
            break;
        case 3:
            unit->page_length = 15;
            zeroes = false;
            break;
        case 4: /* long enough for limits on transfers, and no more */
            unit->page_length = 16;
            unit->max_transfer = 7;
            zeroes = false;
            break;
        case 5: /* no UNMAP in the limits: by WRITE SAME */
            unit->max_unmap = 0;
            discards = true;
            break;
        case 6:
            unit->unmap_descriptors = 0;
            unit->same_unmaps = false;
            break;
        case 7: /* one cannot send such a block */
            unit->block_size = 8192;
            unit->unmaps = zeroes = false;
            break;
        default:
            unit->no_16 = true;
            zeroes = false;
            break;
        }
        start();
        assert_int_equal(disk->limits.max_discard_sectors > 0, discards);
        assert_int_equal(disk->limits.max_zeroes_sectors > 0, zeroes);
        assert_int_equal(blk_discard(disk, 0, 16), discards ? 0 : -ENOTSUP);
        assert_int_equal(blk_write_zeroes(disk, 0, 16, false), zeroes ? 0 : -ENOTSUP);
        assert_int_equal(blk_secure_erase(disk, 0, 16), -ENOTSUP);
        if (i == 4)
            assert_int_equal(disk->limits.max_sectors, 7);
        end();
    }
}

/* Limits beyond all measure, or that contradict each other, are put right. */
static void odd_limits(void **state)
{
    (void)state;
    plan();
    unit->max_unmap = UINT32_MAX;
    unit->max_same = UINT64_MAX;
    unit->granularity = UINT32_MAX;
    unit->alignment = 0x80000003;
    unit->block_size = 4096;
    unit->blocks = UINT64_C(1) << 36;
    start();
    assert_in_range(disk->limits.max_discard_sectors, UINT32_MAX - 8, UINT32_MAX);
    assert_int_equal(disk->limits.max_zeroes_sectors, 65536);
    assert_int_equal(disk->limits.range_alignment, 0);
    assert_int_equal(blk_discard(disk, 8, UINT64_C(1) << 34), 0);
    assert_int_equal(unit->unmapped, UINT64_C(1) << 31);
    assert_in_range(unit->unmap_commands, 5, 5);
    end();
    plan();
    unit->max_same = 0; /* a limit that is not told */
    unit->granularity = 301;
    start();
    assert_int_equal(disk->limits.max_zeroes_sectors, 65536);
    assert_int_equal(disk->limits.range_alignment, 0);
    end();
}

/* A unit that tells of a command and then refuses it is not asked again; others still are. */
static void refusals_are_remembered(void **state)
{
    static const struct {
        uint8_t asc;
        int error;
    } cases[] = {{0x20, -ENOTSUP}, {0x24, -ENOTSUP}, {0x26, -ENOTSUP}, {0x55, -EIO}};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        plan();
        start();
        model.fault[0] = (struct device_scsi_fault){
            .count = 1, .opcode = 0x42, .target = DEVICE_SCSI_ANY, .key = 0x5, .asc = cases[i].asc};
        assert_int_equal(blk_discard(disk, 0, 64), cases[i].error);
        assert_int_equal(blk_discard(disk, 0, 64), cases[i].error == -EIO ? 0 : -ENOTSUP);
        assert_int_equal(unit->unmap_commands, cases[i].error == -EIO);
        assert_int_equal(blk_write_zeroes(disk, 0, 64, true), 0);
        end();
    }
    expect_log("sda: discarding 64 sectors at 0: ILLEGAL REQUEST", 4);
}

static void errors_are_told(void **state)
{
    (void)state;
    plan();
    start();
    model.fault[0] = (struct device_scsi_fault){
        .count = 1, .opcode = 0x93, .target = DEVICE_SCSI_ANY, .key = 0x3, .asc = 0x0c};
    assert_int_equal(blk_write_zeroes(disk, 8, 8, false), -EIO);
    expect_log("sda: zeroing 8 sectors at 8: MEDIUM ERROR", 1);
    model.fault[0] = (struct device_scsi_fault){
        .count = 1, .opcode = 0x93, .target = DEVICE_SCSI_ANY, .key = 0x6, .asc = 0x29};
    assert_int_equal(blk_write_zeroes(disk, 8, 8, false), 0);
    assert_filled(8, 8, 0);
    end();
    plan();
    unit->read_only = true;
    start();
    assert_int_equal(blk_discard(disk, 0, 8), -EROFS);
    end();
}

/* A disk whose unit gets other limits while it runs. */
static void limits_change(void **state)
{
    (void)state;
    plan();
    start();
    unit->provisioned = false;
    unit->max_same = 50;
    unit->blocks = 500;
    device_scsi_event(&model, SCSI_EVENT_CHANGE, 2, 0, 0x092a);
    for (unsigned i = 0; i < 50; i++) {
        loop_turn();
        device_run(&model.device);
    }
    assert_int_equal(disk->capacity, 500);
    assert_int_equal(disk->limits.max_zeroes_sectors, 50);
    assert_int_equal(blk_discard(disk, 0, 8), -ENOTSUP);
    assert_int_equal(blk_write_zeroes(disk, 0, 500, false), 0);
    assert_int_equal(unit->zeroed, 500);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_range_is_unmapped),
        TEST(zeroes_are_written_by_the_unit),
        TEST(discards_by_write_same),
        TEST(pages_decide),
        TEST(odd_limits),
        TEST(refusals_are_remembered),
        TEST(errors_are_told),
        TEST(limits_change),
    };
    int failed = cmocka_run_group_tests_name("scsi ranges", tests, NULL, NULL);

    device_set_front(&device_legacy_front);
    return failed + cmocka_run_group_tests_name("scsi ranges, legacy interface", tests, NULL, NULL);
}
