// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_mmio.c virtio/virtio_mmio_scan.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c
// sources: boot/cmdline.c boot/pci_caps.c blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/ring_device.c hosted/ring_split.c
// sources: hosted/fake_pci.c hosted/device.c hosted/device_setup.c hosted/device_mmio.c
// sources: hosted/device_blk.c hosted/device_blk_zones.c tests/unit/plain_driver.c hosted/violation.c hosted/ring_packed.c
/*
 * test_virtio_mmio.c - the MMIO transport (4.2), version 2 and legacy: which places it takes, how
 * it sets a device up, and how interrupts arrive.
 *
 * hosted/device_mmio.c checks every register access against 4.2.2.2 and 4.2.3 and reports what it
 * finds by requirement, which fails the test. Each act runs with both versions where it can.
 */
#include "support.h"

#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/device_blk.h"
#include "hosted/device_mmio.h"
#include "plain_driver.h"
#include "virtio/virtio_mmio.h"

static const struct device_front *const fronts[] = {&device_mmio_front, &device_mmio_legacy_front};
#define FRONTS 2

static int probe(void)
{
    struct mmio_place place = device_mmio_place(&plain_device);

    return virtio_mmio_probe(&place);
}

/*
 * The order of 3.1.1, with FEATURES_OK or without, and a buffer through each queue.
 * covers: MMIO-REG-1 MMIO-REG-2 MMIO-REG-3 MMIO-REG-4 MMIO-REG-5 MMIO-REG-10 MMIO-REG-11
 * covers: MMIO-REG-12 MMIO-REG-13 MMIO-INIT-1 MMIO-INIT-2 MMIO-INIT-5 MMIO-INIT-6 MMIO-T-VQ-1
 * covers: MMIO-T-FEAT-1 LEG-INIT-1 LEG-FEAT-1 LEG-FEAT-2 LEG-VRING-2 LEG-VRING-3
 * covers: LEG-MMIO-1 LEG-MMIO-2
 */
static void a_device_comes_up_4_2_3(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FRONTS; i++) {
        /* Bit 41, ADMIN_VQ, does not exist over MMIO (4.2.5). */
        plain_setup.features = UINT64_C(3) << F_INDIRECT_DESC | UINT64_C(1) << 41;
        plain_make(fronts[i]);
        assert_int_equal(probe(), 0);
        assert_non_null(plain_probed);
        assert_int_equal(plain_probed->legacy, i == 1);
        assert_string_equal(plain_device.trace,
                            i == 0 ? "reset acknowledge driver features? accept features-ok "
                                     "enable0 enable1 driver-ok"
                                   : "reset acknowledge driver features? accept enable0 enable1 "
                                     "driver-ok");
        assert_int_equal(plain_device.accepted[1], i == 0 ? 1u << (F_VERSION_1 - 32) : 0);
        /* Sizes: what the driver wants, and what the device has. */
        assert_int_equal(plain_device.queue[0].size, 8);
        assert_int_equal(plain_device.queue[1].size, 16);
        for (unsigned n = 0; n < 40; n++)
            plain_transfer(n % 2, n % 3 == 0);
        expect_log("driven by plain-driver", 1);
        plain_end();
        hosted_reset();
    }
}

/* covers: CORE-T-NDATA-1 */
static void notifications_carry_data_2_9(void **state)
{
    (void)state;
    plain_setup.features = UINT64_C(1) << F_NOTIFICATION_DATA;
    plain_make(&device_mmio_front);
    assert_int_equal(probe(), 0);
    assert_true(device_has(&plain_device, F_NOTIFICATION_DATA));
    for (unsigned n = 0; n < 40; n++)
        plain_transfer(n % 2, n % 3 == 0);
    plain_end();
}

/* covers: MMIO-INT-1 MMIO-INT-2 MMIO-INT-3 MMIO-REG-16 MMIO-REG-17 MMIO-REG-18 */
static void a_line_for_everything_4_2_3_4(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FRONTS; i++) {
        plain_make(fronts[i]);
        assert_int_equal(probe(), 0);
        assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_INTX);
        assert_int_equal(device_mmio_handlers(), 1);
        assert_int_equal(plain_transfer(1, false), 1);
        /* One bit for all queues: each has to be looked at. */
        assert_int_equal(plain_interrupts(0), 1);
        assert_int_equal(plain_interrupts(1), 1);
        device_change_config(&plain_device, 0, "\x9", 1);
        assert_int_equal(hosted_interrupts_deliver(), 1);
        assert_int_equal(plain_interrupts(0), 1);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(plain_changes, 1);
        plain_end();
    }
}

static void without_a_line_it_is_polled(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct mmio_place place;

        plain_make(fronts[i % 2]);
        place = device_mmio_place(&plain_device);
        if (i == 0)
            device_mmio_allow_lines(false);
        else if (i == 1)
            place.gsi = MMIO_NO_LINE;
        else
            virtio_set_interrupt_limit(VIRTIO_INTERRUPT_NONE);
        assert_int_equal(virtio_mmio_probe(&place), 0);
        assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_NONE);
        expect_log("cannot be used: polling it", i == 2 ? 0 : 1);
        assert_int_equal(plain_transfer(0, true), 0);
        device_change_config(&plain_device, 0, "\x9", 1);
        hosted_clock_advance(200000000);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(plain_changes, 1);
        /* It was acknowledged, so it is seen once. */
        hosted_clock_advance(200000000);
        assert_int_equal(virtio_poll(), 0);
        plain_end();
        hosted_reset();
    }
}

/* covers: CORE-CFG-1 LEG-CFG-1 */
static void configuration_fields_are_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FRONTS; i++) {
        uint8_t bytes[8];
        uint16_t word;

        plain_make(fronts[i]);
        assert_int_equal(probe(), 0);
        assert_int_equal(virtio_config_read(plain_probed, 0, bytes, 8, 8), 0);
        assert_memory_equal(bytes, plain_device.config, 8);
        assert_int_equal(virtio_config_read(plain_probed, 2, &word, 2, 2), 0);
        assert_int_equal(word, 0x0403);
        assert_int_equal(virtio_config_read(plain_probed, 0, bytes, 8, 1), 0);
        assert_int_equal(virtio_config_read(plain_probed, DEVICE_MMIO_SIZE, bytes, 1, 1), -ERANGE);
        assert_int_equal(virtio_config_write(plain_probed, 4, "\x11\x22\x33\x44", 4, 4), 0);
        assert_memory_equal(plain_device.config + 4, "\x11\x22\x33\x44", 4);
        plain_end();
    }
}

/* covers: MMIO-REG-14 MMIO-REG-15 */
static void a_device_that_does_not_reset_loses_its_queues(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FRONTS; i++) {
        plain_make(fronts[i]);
        assert_int_equal(probe(), 0);
        plain_device.lies.reset_reads = DEVICE_FOR_EVER;
        assert_int_not_equal(virtio_recover(plain_probed, "a test"), 0);
        assert_false(plain_device.queue[0].enabled);
        assert_false(plain_device.queue[1].enabled);
        /* The model sees registers written during the reset that was given up. */
        expect_violation("PCI-COMMON-5");
        plain_device.lies.reset_reads = 0;
        plain_end();
        hosted_reset();
    }
}

static void it_recovers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FRONTS; i++) {
        plain_make(fronts[i]);
        assert_int_equal(probe(), 0);
        plain_transfer(0, false);
        device_need_reset(&plain_device);
        hosted_interrupts_deliver();
        assert_int_equal(virtio_poll(), 1);
        assert_true(plain_probed->driver_ok);
        assert_int_equal(plain_probed->recoveries, 1);
        assert_int_equal(device_mmio_handlers(), 1);
        assert_int_equal(plain_transfer(1, true), 1);
        plain_end();
    }
}

/* ---- places ---- */

/*
 * covers: MMIO-REG-6 MMIO-REG-7 MMIO-REG-8 MMIO-REG-9 MMIO-INIT-3 MMIO-INIT-4
 */
static void what_is_no_device_is_left_alone_4_2_3_1_1(void **state)
{
    static const struct {
        uint32_t magic, version, id;
        const char *line;
    } strangers[] = {
        {0xffffffff, 0xffffffff, 0xffffffff, "no virtio device there (magic value 0xffffffff)"},
        {0x74726976, 3, 1, "version 3, which is not known"},
        {0x74726976, 0, 1, "version 0, which is not known"},
        {0x74726976, 2, 0, NULL},
        {0x74726976, 1, 0, NULL},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        struct mmio_place place = {.address = 0xfea00000, .size = DEVICE_MMIO_SIZE, .gsi = 5};

        device_mmio_reset();
        device_mmio_add_stranger(place.address, strangers[i].magic, strangers[i].version,
                                 strangers[i].id);
        assert_int_equal(virtio_mmio_probe(&place), -ENODEV);
        if (strangers[i].line)
            expect_log(strangers[i].line, 1);
        else
            assert_string_equal(hosted_log(), "");
        assert_null(virtio_devices());
        hosted_reset();
    }
}

static void places_that_make_no_sense(void **state)
{
    struct mmio_place place = {.address = 0xfea00000, .size = 0xff, .gsi = 5};

    (void)state;
    assert_int_equal(virtio_mmio_probe(&place), -EINVAL);
    place = (struct mmio_place){.address = 0xfea00002, .size = 0x200};
    assert_int_equal(virtio_mmio_probe(&place), -EINVAL);
    expect_log("cannot be a virtio device", 2);
    place = (struct mmio_place){.address = 0x1000, .size = 0x200};
    assert_int_equal(virtio_mmio_probe(&place), -EIO);
    expect_log("cannot be mapped", 1);
}

static void a_device_without_driver_is_listed_and_reset(void **state)
{
    (void)state;
    plain_make(&device_mmio_front);
    virtio_set_drivers(NULL, 0);
    assert_int_equal(probe(), 0);
    expect_log("not driven: no driver for this device type", 1);
    assert_string_equal(plain_device.trace, "reset");
    assert_int_equal(probe(), -EEXIST);
    plain_end();
}

static void words_in_linux_notation(void **state)
{
    static const struct {
        const char *word;
        uint64_t size, address;
        int line; /* -1: refused */
    } words[] = {
        {"512@0xfeb00e00:12", 512, 0xfeb00e00, 12},
        {"0x200@0xfeb00e00:12", 512, 0xfeb00e00, 12},
        {"01000@0xfeb00e00:014", 512, 0xfeb00e00, 12},
        {"4K@0xD0000000:5:7", 4096, 0xd0000000, 5},
        {"1m@4096:0", 1 << 20, 4096, 0},
        {"1G@0x100000000:47", 1 << 30, UINT64_C(1) << 32, 47},
        {"", 0, 0, -1},
        {"512", 0, 0, -1},
        {"512@", 0, 0, -1},
        {"512@0x:1", 0, 0, -1},
        {"512@0xfeb00000", 0, 0, -1},
        {"512@0xfeb00000:", 0, 0, -1},
        {"512@0xfeb00000:x", 0, 0, -1},
        {"512@0xfeb00000:5:", 0, 0, -1},
        {"512@0xfeb00000:5x", 0, 0, -1},
        {"512@0xfeb00000:-5", 0, 0, -1},
        {"512@0xfeb00000:2147483648", 0, 0, -1},
        {"512T@0xfeb00000:5", 0, 0, -1},
        {"0@0xfeb00000:5", 0, 0, -1},
        {"09@0xfeb00000:5", 0, 0, -1},
        {"18446744073709551615K@0:5", 0, 0, -1},
        {"99999999999999999999@0:5", 0, 0, -1},
        {"512@0xffffffffffffffff:5", 0, 0, -1},
        {"512@0xfffffffffffffffff:5", 0, 0, -1},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct mmio_place place;
        bool good = virtio_mmio_parse(words[i].word, &place);

        if (good != (words[i].line >= 0))
            fail_msg("%s was %s", words[i].word, good ? "taken" : "refused");
        if (!good)
            continue;
        assert_int_equal(place.size, words[i].size);
        assert_int_equal(place.address, words[i].address);
        assert_int_equal(place.gsi, words[i].line);
    }
}

/* Each source of places finds the device, and several of them find it once. */
static void who_says_where_devices_are(void **state)
{
    static const char word[] = "x=1 virtio_mmio.device=512@0xfeb00000:16 y=2 "
                               "virtio_mmio.device=nonsense virtio_mmio.device=512@0xfea00000:5";

    (void)state;
    for (unsigned sources = 1; sources < 8; sources++) {
        struct mmio_place place[2] = {{.address = 0xfea00000, .size = DEVICE_MMIO_SIZE}};

        plain_make(&device_mmio_front);
        device_mmio_add_stranger(0xfea00000, 0x74726976, 2, 0);
        place[1] = device_mmio_place(&plain_device);
        if (sources & 1)
            hosted_set_cmdline(word);
        if (sources & 2)
            device_mmio_set_places(place, 2);
        if (sources & 4)
            device_mmio_set_words(word);
        assert_int_equal(virtio_mmio_scan(), 1);
        assert_non_null(plain_probed);
        assert_null(virtio_devices()->next);
        /* The hypervisor is asked only when nobody else knew anything. */
        expect_log("virtio_mmio.device=nonsense: not of the form", (sources & 1) || sources == 4);
        plain_end();
        hosted_reset();
    }
}

/* ---- a real driver over it ---- */

/* covers: LEG-BLK-FRAME-1 LEG-BLK-REQ-2 LEG-BLK-CFG-1 */
static void a_disk_over_each_version(void **state)
{
    static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
    static struct device_blk model;
    uint32_t seed = 7;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct device_blk_setup setup = {.capacity = 4096,
                                         .seg_max = 30,
                                         .blk_size = 512,
                                         .flush = true,
                                         .queue_size = 64,
                                         .more_features = (uint64_t)(i / 2) << F_INDIRECT_DESC};
        uint8_t *data = platform_dma_alloc(1 << 20, 4096);

        device_mmio_reset();
        device_set_front(fronts[i % 2]);
        virtio_set_drivers(drivers, 1);
        virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
        device_blk_init(&model, &setup);
        struct mmio_place place = device_mmio_place(&model.device);
        assert_int_equal(virtio_mmio_probe(&place), 0);
        struct blk_device *disk = blk_device_at(0);
        assert_non_null(disk);
        assert_int_equal(disk->capacity, 4096);
        model.lie_len = i % 2; /* a legacy device that leaves the used length at 0 */
        for (unsigned n = 0; n < 8; n++) {
            uint32_t sectors = support_random(&seed) % 200 + 1;
            uint64_t sector = support_random(&seed) % (setup.capacity - sectors);
            for (unsigned b = 0; b < sectors * 512; b++)
                data[b] = (uint8_t)support_random(&seed);
            assert_int_equal(blk_write(disk, sector, data, sectors), 0);
            assert_memory_equal(model.disk + sector * 512, data, sectors * 512);
            assert_int_equal(blk_read(disk, sector, data + (1 << 19), sectors), 0);
            assert_memory_equal(data + (1 << 19), data, sectors * 512);
        }
        assert_int_equal(blk_flush(disk), 0);
        virtio_shutdown();
        device_blk_finish(&model);
        device_set_front(NULL);
        platform_dma_free(data, 1 << 20);
        hosted_reset();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_comes_up_4_2_3),
        TEST(notifications_carry_data_2_9),
        TEST(a_line_for_everything_4_2_3_4),
        TEST(without_a_line_it_is_polled),
        TEST(configuration_fields_are_whole),
        TEST(a_device_that_does_not_reset_loses_its_queues),
        TEST(it_recovers),
        TEST(what_is_no_device_is_left_alone_4_2_3_1_1),
        TEST(places_that_make_no_sense),
        TEST(a_device_without_driver_is_listed_and_reset),
        TEST(words_in_linux_notation),
        TEST(who_says_where_devices_are),
        TEST(a_disk_over_each_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
