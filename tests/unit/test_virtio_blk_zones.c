// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/zones.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/device_blk.c hosted/device_blk_zones.c hosted/violation.c
// sources: hosted/ring_packed.c
/*
 * test_virtio_blk_zones.c - disks with zones (5.2.5, 5.2.6) and blk/zones.h against the model device,
 * which keeps zones and checks each request about them.
 *
 * Read hosted/device_blk_zones.c next.
 */
#include "support.h"

#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "blk/zones.h"
#include "hosted/device_blk.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

#define ZONE 256u
#define ZONE_CAPACITY 192u
#define ZONES 80u
#define DATA_SIZE (ZONE * BLK_SECTOR_SIZE)

static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
static struct device_blk model;
static struct blk_device *disk;
static uint8_t *data, *back;

/* The last zone is a smaller one. */
static const struct device_blk_setup managed = {.capacity = ZONE * ZONES - 100,
                                                .seg_max = 8,
                                                .blk_size = 512,
                                                .flush = true,
                                                .max_discard = 64,
                                                .max_zeroes = 64,
                                                .max_erase = 64,
                                                .queue_size = 16,
                                                .msix_vectors = 2,
                                                .zoned = {.model = BLK_ZONED_HOST_MANAGED,
                                                          .zone_sectors = ZONE,
                                                          .capacity = ZONE_CAPACITY,
                                                          .max_open = 2,
                                                          .max_active = 3,
                                                          .max_append = 64,
                                                          .granularity = 4096,
                                                          .conventional = 2}};

/* Returns whether there is a disk. */
static bool make_disk(const struct device_blk_setup *setup)
{
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_blk_init(&model, setup);
    data = platform_dma_alloc(DATA_SIZE, 4096);
    back = platform_dma_alloc(DATA_SIZE, 4096);
    virtio_pci_scan();
    disk = blk_device_at(0);
    for (uint32_t i = 0; i < DATA_SIZE; i++)
        data[i] = (uint8_t)(i * 5 + i / 512);
    return disk != NULL;
}

static void end(void)
{
    virtio_shutdown();
    device_blk_finish(&model);
    fake_pci_reset();
    platform_dma_free(data, DATA_SIZE);
    platform_dma_free(back, DATA_SIZE);
}

static struct blk_zone zone_at(unsigned n)
{
    struct blk_zone zone;

    assert_int_equal(blk_zone_report(disk, n * ZONE, &zone, 1), 1);
    return zone;
}

/* ---- what there is ---- */

/* covers: BLK-INIT-5 BLK-INIT-6 */
static void a_zoned_disk_is_taken_as_what_it_is(void **state)
{
    struct device_blk_setup setup = managed;

    (void)state;
    assert_true(make_disk(&setup));
    assert_true(device_has(&model.device, BLK_F_ZONED));
    assert_false(device_has(&model.device, BLK_F_DISCARD));
    assert_true(blk_is_host_managed(disk));
    assert_int_equal(disk->zoning.zone_sectors, ZONE);
    assert_int_equal(disk->zoning.max_open, 2);
    assert_int_equal(disk->zoning.max_active, 3);
    assert_int_equal(disk->zoning.max_append_sectors, 64);
    assert_int_equal(disk->block_size, 4096);
    assert_int_equal(blk_write_zeroes(disk, 0, 8, false), -ENOTSUP);
    end();
    /* Host-aware: any write goes, and who asks gets to know the zones. */
    setup.zoned.model = BLK_ZONED_HOST_AWARE;
    assert_true(make_disk(&setup));
    assert_false(blk_is_host_managed(disk));
    assert_int_equal(disk->block_size, 512);
    assert_int_equal(blk_write(disk, 777, data, 3), 0);
    assert_int_equal(zone_at(3).type, BLK_ZONE_SEQUENTIAL_PREFERRED);
    end();
    /* Managed by the drive: an ordinary disk. */
    setup.zoned = (struct device_blk_zoned){.offered = true};
    assert_true(make_disk(&setup));
    assert_true(device_has(&model.device, BLK_F_ZONED));
    assert_int_equal(blk_write(disk, 777, data, 3), 0);
    assert_int_equal(blk_zone_reset_all(disk), -ENOTSUP);
    struct blk_zone zone;
    assert_int_equal(blk_zone_report(disk, 0, &zone, 1), -ENOTSUP);
    end();
}

static void nonsense_about_zones_refuses_the_disk(void **state)
{
    static const struct {
        uint8_t model;
        uint32_t zone_sectors, granularity;
    } bad[] = {{3, ZONE, 4096},   {1, 0, 4096}, {1, ZONE, 0}, {1, ZONE, 3000},
               {1, ZONE, 131072}, {1, 4, 4096}, {2, 0, 4096}};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct device_blk_setup setup = managed;

        setup.zoned.model = bad[i].model;
        setup.zoned.zone_sectors = bad[i].zone_sectors;
        setup.zoned.granularity = bad[i].granularity;
        assert_false(make_disk(&setup));
        end();
    }
    expect_log("what it says of its zones makes no sense", sizeof(bad) / sizeof(bad[0]));
}

/* Found by fuzzing: zones were measured in such blocks before the disk was refused. */
static void blocks_of_no_size_refuse_the_disk(void **state)
{
    struct device_blk_setup setup = managed;

    (void)state;
    setup.zoned.model = BLK_ZONED_HOST_AWARE;
    setup.blk_size = 256;
    assert_false(make_disk(&setup));
    end();
}

/* covers: BLK-OP-17 BLK-OP-18 */
static void all_zones_are_reported(void **state)
{
    static struct blk_zone zones[ZONES + 5];

    (void)state;
    make_disk(&managed);
    /* More than one request tells; the list begins with the zone that the sector lies in. */
    assert_int_equal(blk_zone_report(disk, 17, zones, ZONES + 5), ZONES);
    for (unsigned i = 0; i < ZONES; i++) {
        assert_int_equal(zones[i].start, i * ZONE);
        assert_int_equal(zones[i].capacity, i == ZONES - 1 ? ZONE - 100 : ZONE_CAPACITY);
        assert_int_equal(zones[i].type, i < 2 ? BLK_ZONE_CONVENTIONAL : BLK_ZONE_SEQUENTIAL);
        assert_int_equal(zones[i].state, i < 2 ? BLK_ZONE_NO_POINTER : BLK_ZONE_EMPTY);
        assert_int_equal(zones[i].write_pointer, i * ZONE);
    }
    assert_int_equal(model.requests, 2);
    assert_int_equal(blk_zone_report(disk, 5 * ZONE + 100, zones, 2), 2);
    assert_int_equal(zones[0].start, 5 * ZONE);
    assert_int_equal(blk_zone_report(disk, disk->capacity, zones, 2), 0);
    end();
}

static void a_senseless_report_is_an_error(void **state)
{
    struct blk_zone zone;

    (void)state;
    make_disk(&managed);
    model.lie_report = 8;
    assert_int_equal(blk_zone_report(disk, 0, &zone, 1), -EIO);
    model.lie_report = 0;
    for (unsigned type = 0; type < 6; type += 5) {
        model.zone[4].type = (uint8_t)type;
        assert_int_equal(blk_zone_report(disk, 4 * ZONE, &zone, 1), -EIO);
    }
    model.zone[4].type = ZONE_SEQUENTIAL;
    model.zone[4].state = 9;
    assert_int_equal(blk_zone_report(disk, 4 * ZONE, &zone, 1), -EIO);
    model.zone[4].state = ZONE_CLOSED;
    model.zone[4].pointer = 4 * ZONE + ZONE_CAPACITY + 1;
    assert_int_equal(blk_zone_report(disk, 4 * ZONE, &zone, 1), -EIO);
    model.zone[4].pointer = 4 * ZONE - 1;
    assert_int_equal(blk_zone_report(disk, 4 * ZONE, &zone, 1), -EIO);
    /* Of a zone that cannot be written the pointer is nothing. */
    model.zone[4].state = ZONE_OFFLINE;
    assert_int_equal(blk_zone_report(disk, 4 * ZONE, &zone, 1), 1);
    assert_int_equal(zone.write_pointer, 4 * ZONE);
    expect_log("makes no sense", 6);
    end();
}

/* ---- writing ---- */

/* covers: BLK-OP-24 BLK-OP-25 BLK-OP-26 */
static void a_zone_is_written_in_order(void **state)
{
    struct blk_zone zone;

    (void)state;
    make_disk(&managed);
    zone = zone_at(3);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), 0);
    assert_int_equal(blk_zone_write(disk, &zone, data + 8 * 512, 120), 0);
    assert_int_equal(zone.write_pointer, 3 * ZONE + 128);
    assert_int_equal(zone_at(3).write_pointer, 3 * ZONE + 128);
    assert_int_equal(zone_at(3).state, BLK_ZONE_OPEN_BY_WRITE);
    assert_int_equal(blk_read(disk, 3 * ZONE, back, 128), 0);
    assert_memory_equal(back, data, 128 * 512);
    /* What is not left is not written; the rest fills the zone. */
    assert_int_equal(blk_zone_write(disk, &zone, data, 72), -ENOSPC);
    assert_int_equal(blk_zone_write(disk, &zone, data, 64), 0);
    assert_int_equal(zone_at(3).state, BLK_ZONE_FULL);
    assert_int_equal(zone_at(3).write_pointer, 3 * ZONE + ZONE_CAPACITY);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), -ENOSPC);
    /* Not in whole blocks, and not in one zone. */
    zone = zone_at(4);
    assert_int_equal(blk_zone_write(disk, &zone, data, 7), -EINVAL);
    assert_int_equal(blk_write(disk, 5 * ZONE - 8, data, 16), -EINVAL);
    assert_int_equal(zone_at(4).write_pointer, 4 * ZONE);
    end();
}

static void only_the_write_pointer_takes_a_write(void **state)
{
    struct blk_zone zone, stale;

    (void)state;
    make_disk(&managed);
    assert_int_equal(blk_write(disk, 3 * ZONE + 8, data, 8), -ESPIPE);
    stale = zone = zone_at(3);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), 0);
    /* Who has missed that gets to know where the zone is. */
    assert_int_equal(blk_zone_write(disk, &stale, data, 8), -ESPIPE);
    assert_int_equal(stale.write_pointer, 3 * ZONE + 8);
    assert_int_equal(blk_zone_write(disk, &stale, data, 8), 0);
    /* Conventional zones are written anywhere. */
    assert_int_equal(blk_write(disk, 64, data, 8), 0);
    assert_int_equal(blk_write(disk, 8, data, 8), 0);
    zone = zone_at(1);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), -EINVAL);
    end();
}

/* covers: BLK-OP-21 BLK-OP-22 BLK-OP-23 */
static void appends_say_where_they_went(void **state)
{
    uint64_t sector;

    (void)state;
    make_disk(&managed);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(blk_zone_append(disk, 6 * ZONE, data + i * 4096, 8, &sector), 0);
        assert_int_equal(sector, 6 * ZONE + 8 * i);
    }
    assert_int_equal(blk_zone_append(disk, 6 * ZONE, data + 3 * 4096, 64, &sector), 0);
    assert_int_equal(blk_read(disk, 6 * ZONE, back, 24 + 64), 0);
    assert_memory_equal(back, data, (24 + 64) * 512);
    assert_int_equal(disk->stats.writes, 4);
    assert_int_equal(blk_zone_append(disk, 6 * ZONE, data, 72, &sector), -EINVAL);
    assert_int_equal(blk_zone_append(disk, 6 * ZONE, data, 4, &sector), -EINVAL);
    assert_int_equal(blk_zone_append(disk, 6 * ZONE, data, 0, &sector), -EINVAL);
    assert_int_equal(blk_zone_append(disk, 6 * ZONE + 8, data, 8, &sector), -EINVAL);
    assert_int_equal(blk_zone_append(disk, 0, data, 8, &sector), -EINVAL); /* conventional */
    model.lie_append = ZONE;
    assert_int_equal(blk_zone_append(disk, 6 * ZONE, data, 8, &sector), -EIO);
    model.lie_append = (uint64_t)0 - 4 * ZONE;
    assert_int_equal(blk_zone_append(disk, 6 * ZONE, data, 8, &sector), -EIO);
    end();
}

/* ---- states ---- */

/* covers: BLK-OP-19 BLK-OP-20 */
static void zones_are_opened_closed_finished_and_reset(void **state)
{
    struct blk_zone zone;

    (void)state;
    make_disk(&managed);
    zone = zone_at(3);
    assert_int_equal(blk_zone_open(disk, 3 * ZONE), 0);
    assert_int_equal(zone_at(3).state, BLK_ZONE_OPEN_BY_COMMAND);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), 0);
    assert_int_equal(blk_zone_close(disk, 3 * ZONE), 0);
    assert_int_equal(zone_at(3).state, BLK_ZONE_IS_CLOSED);
    assert_int_equal(blk_zone_finish(disk, 3 * ZONE), 0);
    assert_int_equal(zone_at(3).state, BLK_ZONE_FULL);
    assert_int_equal(blk_write(disk, 3 * ZONE + 8, data, 8), -EINVAL);
    assert_int_equal(blk_zone_open(disk, 3 * ZONE), -EINVAL);
    assert_int_equal(blk_zone_reset(disk, 3 * ZONE), 0);
    assert_int_equal(zone_at(3).state, BLK_ZONE_EMPTY);
    assert_int_equal(zone_at(3).write_pointer, 3 * ZONE);
    assert_int_equal(blk_zone_reset(disk, 3 * ZONE + 8), -EINVAL);
    assert_int_equal(blk_zone_reset(disk, disk->capacity + 1), -EINVAL);
    assert_int_equal(blk_zone_reset(disk, 0), -EINVAL); /* conventional */
    assert_int_equal(blk_zone_finish(disk, 8 * ZONE), 0);
    assert_int_equal(blk_zone_reset_all(disk), 0);
    for (unsigned i = 2; i < ZONES; i++)
        assert_int_equal(zone_at(i).state, BLK_ZONE_EMPTY);
    end();
}

static void too_many_zones_are_said_so(void **state)
{
    struct blk_zone zone;

    (void)state;
    make_disk(&managed);
    assert_int_equal(blk_zone_open(disk, 3 * ZONE), 0);
    assert_int_equal(blk_zone_open(disk, 4 * ZONE), 0);
    assert_int_equal(blk_zone_open(disk, 5 * ZONE), -ETOOMANYREFS);
    zone = zone_at(3);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), 0);
    assert_int_equal(blk_zone_close(disk, 3 * ZONE), 0);
    zone = zone_at(5);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), 0); /* opens it */
    zone = zone_at(6);
    assert_int_equal(blk_zone_write(disk, &zone, data, 8), -EOVERFLOW);
    end();
}

static void a_read_only_disk_keeps_its_zones(void **state)
{
    struct device_blk_setup setup = managed;
    uint64_t sector;

    (void)state;
    setup.read_only = true;
    make_disk(&setup);
    assert_int_equal(zone_at(3).state, BLK_ZONE_EMPTY);
    assert_int_equal(blk_zone_append(disk, 3 * ZONE, data, 8, &sector), -EROFS);
    assert_int_equal(blk_zone_reset(disk, 3 * ZONE), -EROFS);
    assert_int_equal(blk_zone_reset_all(disk), -EROFS);
    end();
}

/* ---- a reset in between ---- */

static struct blk_request held[3];
static struct blk_segment piece[3];
static unsigned done;

static void note_done(struct blk_request *request)
{
    (void)request;
    done++;
}

/* What may have been written must not be written again: it would end up behind itself. */
static void writes_are_not_given_again(void **state)
{
    static const enum blk_op ops[] = {BLK_WRITE, BLK_ZONE_APPEND, BLK_READ};

    (void)state;
    make_disk(&managed);
    model.hold = true;
    done = 0;
    for (unsigned i = 0; i < 3; i++) {
        piece[i] = (struct blk_segment){i == 2 ? back : data, 4096};
        held[i] = (struct blk_request){.op = ops[i],
                                       .sector = (3 + i) * ZONE,
                                       .segment = &piece[i],
                                       .segments = 1,
                                       .done = note_done};
        blk_submit(disk, &held[i]);
    }
    blk_poll(disk, 64);
    device_run(&model.device);
    assert_int_equal(virtio_recover(virtio_devices(), "a test"), 0);
    assert_int_equal(done, 2);
    assert_int_equal(held[0].status, -EIO);
    assert_int_equal(held[1].status, -EIO);
    model.hold = false;
    for (unsigned i = 0; i < 4; i++) {
        blk_poll(disk, 64);
        device_run(&model.device);
    }
    assert_int_equal(done, 3);
    assert_int_equal(held[2].status, 0);
    assert_int_equal(zone_at(3).write_pointer, 3 * ZONE);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_zoned_disk_is_taken_as_what_it_is),
        TEST(nonsense_about_zones_refuses_the_disk),
        TEST(blocks_of_no_size_refuse_the_disk),
        TEST(all_zones_are_reported),
        TEST(a_senseless_report_is_an_error),
        TEST(a_zone_is_written_in_order),
        TEST(only_the_write_pointer_takes_a_write),
        TEST(appends_say_where_they_went),
        TEST(zones_are_opened_closed_finished_and_reset),
        TEST(too_many_zones_are_said_so),
        TEST(a_read_only_disk_keeps_its_zones),
        TEST(writes_are_not_given_again),
    };

    return cmocka_run_group_tests_name("virtio-blk zones", tests, NULL, NULL);
}
