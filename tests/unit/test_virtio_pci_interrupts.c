// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/violation.c hosted/ring_packed.c hosted/device_mmio.c tests/unit/plain_driver.c
/*
 * test_virtio_pci_interrupts.c - the interrupts of modern virtio-pci (4.1.4.3, 4.1.5): a vector for
 * each queue, fewer, none that the device or the CPU will give, INTx, and polling.
 */
#include "support.h"

#include "plain_driver.h"
#include "virtio/virtio_pci.h"

/* covers: PCI-MSIX-1 PCI-MSIX-3 PCI-MSIX-4 PCI-ISR-1 */
static void one_vector_for_each_queue(void **state)
{
    static const unsigned tables[] = {3, 4, 5, 33, 0x800};
    uint8_t value = 7;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        plain_make_pci(tables[i]);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_MSIX);
        assert_int_not_equal(plain_device.queue[0].vector, plain_device.queue[1].vector);
        assert_int_not_equal(plain_device.queue[0].vector, plain_device.config_vector);
        assert_int_equal(plain_transfer(0, false), 1);
        assert_int_equal(plain_interrupts(0), 1);
        assert_int_equal(plain_interrupts(1), 0);
        assert_int_equal(plain_transfer(1, false), 1);
        assert_int_equal(plain_interrupts(0), 1);
        assert_int_equal(plain_interrupts(1), 1);
        device_change_config(&plain_device, 0, &value, 1);
        assert_int_equal(hosted_interrupts_deliver(), 1);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(plain_changes, 1);
        plain_end();
    }
}

/* covers: PCI-MSIX-1 PCI-MSIX-2 PCI-MSIX-5 PCI-CFGINT-1 */
static void fewer_vectors_are_shared(void **state)
{
    uint8_t value = 7;

    (void)state;
    for (unsigned entries = 1; entries <= 2; entries++) {
        plain_make_pci(entries);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_MSIX);
        assert_int_equal(plain_transfer(0, false), 1);
        assert_int_equal(plain_transfer(1, false), 1);
        assert_int_equal(plain_interrupts(0), 2);
        assert_int_equal(plain_interrupts(1), 2);
        virtio_poll();
        plain_changes = 0;
        device_change_config(&plain_device, 0, &value, 1);
        assert_int_equal(hosted_interrupts_deliver(), 1);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(plain_changes, 1);
        plain_end();
    }
}

static void a_queue_that_nobody_sleeps_on_gets_no_vector(void **state)
{
    (void)state;
    plain_make_pci(3);
    plain_second_polled = true;
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(plain_device.queue[1].vector, NO_VECTOR);
    assert_int_equal(plain_transfer(1, false), 0);
    assert_int_equal(plain_transfer(0, false), 1);
    plain_end();
}

/* Everything that can go wrong with MSI-X ends in INTx, for all queues. */
static void check_intx(void)
{
    uint8_t value = 7;

    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_INTX);
    assert_false(fake_pci_msix_enabled(plain_device.pci));
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(plain_transfer(n % 2, false), 1);
    assert_int_equal(plain_interrupts(0), 4);
    /* One interrupt with both meanings. */
    device_change_config(&plain_device, 0, &value, 1);
    assert_int_equal(plain_transfer(0, false), 1);
    assert_int_equal(virtio_poll(), 1);
    assert_int_equal(plain_changes, 1);
    assert_int_equal(plain_device.pci->intx_unclaimed, 0);
    /* Somebody else's interrupt on the same line. */
    assert_false(plain_device.pci->intx_handler(plain_device.pci->intx_arg));
    assert_int_equal(plain_interrupts(0), 5);
    plain_end();
}

/* covers: PCI-MSIX-1 PCI-CFGINT-1 PCI-T-ISR-1 */
static void without_msix_intx_is_used(void **state)
{
    (void)state;
    plain_make_pci(0);
    check_intx();
    plain_make_pci(3);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_INTX);
    check_intx();
}

/* covers: PCI-MSIX-4 PCI-MSIX-5 */
static void a_refused_vector_leads_to_intx(void **state)
{
    (void)state;
    plain_make_pci(3);
    plain_device.lies.refuse_config_vector = true;
    check_intx();
    plain_make_pci(3);
    plain_device.lies.refuse_queue_vector = 1;
    check_intx();
    plain_make_pci(3);
    plain_device.lies.refuse_queue_vector = 2;
    check_intx();
    plain_make_pci(1);
    plain_device.lies.refuse_queue_vector = 3;
    check_intx();
}

/* covers: PCI-MSIX-5 */
static void no_vectors_left_in_the_cpu_leads_to_intx(void **state)
{
    (void)state;
    for (unsigned spare = 0; spare < 3; spare++) {
        plain_make_pci(3);
        plain_device.pci->msix_spare = spare;
        check_intx();
    }
}

/*
 * Without any interrupt the queues are polled, and the ISR status says when the configuration
 * changed.
 * covers: PCI-T-ISR-1
 */
static void without_intx_the_device_is_polled(void **state)
{
    uint8_t value = 7;

    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        plain_make_pci(how == 2 ? 3 : 0);
        if (how == 0)
            plain_device.pci->fn.gsi = -1;
        else if (how == 1)
            plain_device.pci->fn.interrupt_pin = 0;
        else
            virtio_set_interrupt_limit(VIRTIO_INTERRUPT_NONE);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_NONE);
        assert_true(plain_device.pci->config[PCI_COMMAND + 1] & PCI_COMMAND_INTX_DISABLE >> 8);
        assert_int_equal(plain_transfer(0, false), 0);
        assert_int_equal(plain_transfer(1, false), 0);
        virtio_poll();
        device_change_config(&plain_device, 0, &value, 1);
        for (unsigned n = 0; n < 100 && !plain_changes; n++) {
            virtio_poll();
            hosted_clock_advance(10000000);
        }
        assert_int_equal(plain_changes, 1);
        plain_end();
    }
}

static void the_end_takes_the_bus_and_the_interrupts_away(void **state)
{
    (void)state;
    plain_make_pci(3);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(fake_pci_is_master(plain_device.pci));
    virtio_shutdown();
    assert_false(fake_pci_is_master(plain_device.pci));
    assert_false(fake_pci_msix_enabled(plain_device.pci));
    plain_end();
    plain_make_pci(0);
    assert_int_equal(virtio_pci_scan(), 1);
    virtio_shutdown();
    assert_null(plain_device.pci->intx_handler);
    plain_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_vector_for_each_queue),
        TEST(fewer_vectors_are_shared),
        TEST(a_queue_that_nobody_sleeps_on_gets_no_vector),
        TEST(without_msix_intx_is_used),
        TEST(a_refused_vector_leads_to_intx),
        TEST(no_vectors_left_in_the_cpu_leads_to_intx),
        TEST(without_intx_the_device_is_polled),
        TEST(the_end_takes_the_bus_and_the_interrupts_away),
    };

    return cmocka_run_group_tests_name("virtio_pci interrupts", tests, NULL, NULL);
}
