// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_window.c hosted/device_mmio.c tests/unit/plain_driver.c hosted/violation.c
// sources: hosted/ring_packed.c
/*
 * test_virtio_pci_window.c - registers through the PCI configuration access capability (4.1.4.9),
 * for a function whose BAR the CPU cannot reach.
 *
 * hosted/device_window.c checks how the window is aimed, device.c that it hits a structure. Not one
 * access may go to the BAR itself.
 */
#include "support.h"

#include "hosted/device_window.h"
#include "plain_driver.h"
#include "virtio/virtio_pci.h"

static void make(bool window)
{
    plain_make(NULL);
    if (window)
        device_window_add(&plain_device);
    /* No room for it. */
    plain_device.pci->fn.bar[DEVICE_BAR].address = 0;
}

/* covers: PCI-CFGACC-1 PCI-CFGACC-2 PCI-CAP-8 */
static void a_device_without_place_is_driven_4_1_4_9(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t bytes[8];

        make(true);
        virtio_set_interrupt_limit((enum virtio_interrupt_mode)i);
        assert_int_equal(virtio_pci_scan(), 1);
        expect_log("BAR 4 cannot be mapped: going through configuration space", 1);
        assert_int_equal(plain_probed->interrupt_mode, i);
        assert_string_equal(plain_device.trace,
                            "reset acknowledge driver features? accept features-ok queue0 queue1 "
                            "enable0 enable1 driver-ok");
        for (unsigned n = 0; n < 20; n++)
            assert_int_equal(plain_transfer(n % 2, n % 3 == 0), i > 0);
        assert_int_equal(virtio_config_read(plain_probed, 0, bytes, 8, 8), 0);
        assert_memory_equal(bytes, plain_device.config, 8);
        assert_int_equal(virtio_config_write(plain_probed, 6, "\x55\x66", 2, 2), 0);
        assert_memory_equal(plain_device.config + 6, "\x55\x66", 2);
        device_change_config(&plain_device, 0, "\x9", 1);
        hosted_interrupts_deliver();
        hosted_clock_advance(200000000);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(hosted_register_accesses(), 0);
        plain_end();
        hosted_reset();
    }
}

static void without_a_window_it_is_refused(void **state)
{
    (void)state;
    make(false);
    assert_int_equal(virtio_pci_scan(), 0);
    assert_string_equal(plain_device.pci->fn.refusal, "its registers cannot be mapped");
    assert_string_equal(plain_device.trace, "");
    plain_end();
}

static void a_window_too_short_for_its_data_is_none(void **state)
{
    (void)state;
    make(true);
    plain_device.pci->config[plain_device.pci->capability_link + 1] = 16;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_string_equal(plain_device.pci->fn.refusal, "its registers cannot be mapped");
    plain_end();
}

/* covers: PCI-CAP-8 */
static void where_the_bar_is_in_place_the_window_stays_shut(void **state)
{
    (void)state;
    plain_make(NULL);
    device_window_add(&plain_device);
    assert_int_equal(virtio_pci_scan(), 1);
    plain_transfer(0, true);
    assert_int_equal(plain_device.pci->config[*(unsigned *)plain_device.pci->config_hook_arg + 12],
                     0);
    plain_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_without_place_is_driven_4_1_4_9),
        TEST(without_a_window_it_is_refused),
        TEST(a_window_too_short_for_its_data_is_none),
        TEST(where_the_bar_is_in_place_the_window_stays_shut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
