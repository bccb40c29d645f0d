// sources: blk/ide.c blk/ide_channel.c blk/ide_setup.c blk/block.c blk/block_parts.c blk/block_devices.c boot/loop.c boot/log.c
// sources: blk/wait.c boot/format.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/fake_pci.c hosted/violation.c tests/unit/ide_model.c
/*
 * test_ide.c - the IDE driver (blk/ide.h) under the block layer, against a model of one channel with
 * one disk. Read ide_model.h first, blk/ide.c next.
 */
#include "ide_model.h"

#define FAR_SECTOR ((UINT64_C(1) << 28) + 8)

static const struct {
    const char *mode;
    bool interrupts;
} ways[] = {{"dma", true}, {"dma", false}, {"pio", true}, {"pio", false}, {NULL, true}};

static void round_trips(uint64_t sector, uint32_t count, unsigned shift)
{
    uint8_t *from = data + shift, *to = data + DATA_SIZE / 2 + shift;

    for (uint32_t i = 0; i < count * BLK_SECTOR_SIZE; i++)
        from[i] = (uint8_t)(i * 13 + count);
    assert_int_equal(blk_write(disk, sector, from, count), 0);
    assert_memory_equal(at_sector(sector), from, count * BLK_SECTOR_SIZE);
    assert_int_equal(blk_read(disk, sector, to, count), 0);
    assert_memory_equal(to, from, count * BLK_SECTOR_SIZE);
}

static void test_every_way(void **state)
{
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        setup(state);
        assert_int_equal(make_disk(ways[i].mode, ways[i].interrupts), 1);
        assert_string_equal(disk->name, "hda");
        assert_int_equal(disk->capacity, (UINT64_C(1) << 28) + 4096);
        assert_int_equal(hosted_log_count("MODEL DISK, 131074 MiB"), 1);
        for (uint32_t count = 1; count < 70; count += 17)
            round_trips(count * 3, count, 0);
        round_trips(100, 1500, 0); /* more than one command takes */
        round_trips(FAR_SECTOR, 5, 0);
        round_trips(7, 300, 512);
        round_trips(7, 3, 6);
        assert_int_equal(blk_flush(disk), 0);
        assert_int_equal(model.commands[0xea], 1);
        bool dma = !ways[i].mode || strcmp(ways[i].mode, "dma") == 0;
        assert_int_equal(model.commands[0xc8] > 0, dma);
        assert_int_equal(model.commands[0x25] > 0, dma);
        assert_int_equal(model.commands[0xc4] > 0, !dma);
        assert_int_equal(model.commands[0x39] > 0, !dma);
        end();
        support_teardown(state);
    }
    setup(state);
}

/* Memory that the bus master cannot reach goes by the CPU. */
static void test_odd_address(void **state)
{
    (void)state;
    assert_int_equal(make_disk("dma", true), 1);
    round_trips(11, 40, 1);
    assert_int_equal(model.commands[0xc8] + model.commands[0xca], 0);
    assert_true(model.commands[0xc4] > 0);
    end();
}

static void test_no_multiple(void **state)
{
    (void)state;
    put_word(47, 0);
    put_word(83, 0); /* neither LBA48 nor flush */
    assert_int_equal(make_disk("pio", true), 1);
    assert_int_equal(disk->capacity, 0x0fffffff);
    assert_false(disk->has_flush);
    round_trips(11, 300, 0);
    assert_int_equal(model.commands[0xc4] + model.commands[0x29], 0);
    assert_true(model.commands[0x20] >= 2);
    end();
}

static void test_errors(void **state)
{
    (void)state;
    for (unsigned dma = 0; dma < 2; dma++) {
        model.multiple = 1;
        assert_int_equal(make_disk(dma ? "dma" : "pio", true), 1);
        model.error_bits = IDE_ERROR_UNC;
        model.errors = 1;
        assert_int_equal(blk_read(disk, 5, data, 20), -EIO);
        model.errors = 1;
        assert_int_equal(blk_write(disk, 5, data, 20), -EIO);
        model.error_bits = IDE_ERROR_ABRT;
        model.errors = 1;
        assert_int_equal(blk_flush(disk), -ENOTSUP);
        round_trips(5, 20, 0);
        assert_int_equal(model.resets, 0);
        end();
        hosted_registers_remove(HOSTED_PORT_BASE + 0x1f0);
        hosted_registers_remove(HOSTED_PORT_BASE + 0x3f6);
    }
    assert_int_equal(hosted_log_count("read of 20 sectors at 5"), 2);
    assert_int_equal(hosted_log_count("(unreadable)"), 4);
}

static void test_error_lines_end(void **state)
{
    (void)state;
    assert_int_equal(make_disk("dma", true), 1);
    model.error_bits = IDE_ERROR_IDNF;
    model.errors = 100;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(blk_read(disk, i, data, 1), -EIO);
    assert_int_equal(hosted_log_count("(no such sector)"), 16);
    end();
}

static void test_short_dma(void **state)
{
    (void)state;
    assert_int_equal(make_disk("dma", true), 1);
    model.short_dma = true;
    assert_int_equal(blk_read(disk, 5, data, 20), -EIO);
    model.short_dma = false;
    model.bm_status = 0;
    round_trips(5, 20, 0);
    end();
}

/* No answer: a time-out, a reset, and the disk works again. */
static void test_busy(void **state)
{
    (void)state;
    for (unsigned dma = 0; dma < 2; dma++) {
        model.resets = 0;
        assert_int_equal(make_disk(dma ? "dma" : "pio", true), 1);
        round_trips(5, 20, 0);
        model.drops_interrupts = true;
        model.busy_for_ever = true;
        assert_true(blk_read(disk, 5, data, 20) == -EIO);
        model.drops_interrupts = model.busy_for_ever = false;
        round_trips(5, 20, 0);
        assert_true(model.resets >= 1);
        assert_int_equal(model.bm_command & IDE_BM_START, 0);
        end();
        hosted_registers_remove(HOSTED_PORT_BASE + 0x1f0);
        hosted_registers_remove(HOSTED_PORT_BASE + 0x3f6);
    }
}

static void test_dead(void **state)
{
    (void)state;
    assert_int_equal(make_disk("dma", true), 1);
    model.busy_for_ever = model.reset_hangs = true;
    assert_int_equal(blk_read(disk, 5, data, 20), -EIO);
    assert_false(fake_pci_is_master(model.pci));
    assert_int_equal(blk_write(disk, 5, data, 20), -EIO);
    assert_int_equal(hosted_log_count("given up"), 1);
    end();
}

/* Data is asked for where there is none: an error, and a reset before the next command. */
static void test_wants_data(void **state)
{
    (void)state;
    assert_int_equal(make_disk("dma", true), 1);
    model.wants_data = true;
    assert_int_equal(blk_flush(disk), -EIO);
    model.wants_data = false;
    assert_int_equal(model.resets, 1);
    round_trips(5, 20, 0);
    end();
}

static void refused(const char *why)
{
    assert_int_equal(make_disk("dma", true), 0);
    assert_int_equal(hosted_log_count(why), 1);
    end();
}

static void test_packet_device(void **state)
{
    (void)state;
    model.packet_device = true;
    refused("device 0 (MODEL DISK): not used: it is an ATAPI device");
}

static void test_old_disk(void **state)
{
    (void)state;
    put_word(49, 0x0100);
    refused("it has no sector numbers");
}

static void test_large_sectors(void **state)
{
    (void)state;
    put_word(106, 0x5000);
    refused("its sectors are larger than 512 bytes");
}

static void test_no_capacity(void **state)
{
    (void)state;
    for (unsigned i = 100; i < 104; i++)
        put_word(i, 0);
    refused("its capacity makes no sense");
}

static void test_busy_from_the_start(void **state)
{
    (void)state;
    model.busy_for_ever = true;
    refused("it stays busy");
}

/* Ports in BARs, and one pin for both channels, which here lead to the same disk. */
static void test_native_mode(void **state)
{
    (void)state;
    model.native = true;
    assert_int_equal(make_disk("pio", true), 2);
    assert_null(model.handler);
    for (unsigned i = 0; i < 2; i++) {
        disk = blk_device_at(i);
        round_trips(11 + i, 40, 0);
    }
    assert_non_null(model.pci->intx_handler);
    end();
}

/* A controller without ports where it says that they are is left alone. */
static void test_native_mode_without_ports(void **state)
{
    (void)state;
    fake_pci_reset();
    model.pci = fake_pci_add(0x1106, 0x0571);
    model.pci->fn.class_code = 0x010185;
    assert_int_equal(ide_scan("pio", true), 0);
    fake_pci_reset();
}

static void test_unknown_word(void **state)
{
    (void)state;
    assert_int_equal(make_disk("fast", true), 1);
    assert_int_equal(hosted_log_count("ide=fast: not one of pio, dma"), 1);
    round_trips(5, 20, 0);
    assert_true(model.commands[0xc8] > 0);
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_way, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_odd_address, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_no_multiple, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_error_lines_end, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_short_dma, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_busy, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_dead, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_wants_data, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_packet_device, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_old_disk, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_large_sectors, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_no_capacity, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_busy_from_the_start, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_native_mode, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_native_mode_without_ports, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_word, setup, support_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
