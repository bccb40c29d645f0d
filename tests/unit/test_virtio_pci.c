// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/violation.c hosted/ring_packed.c
/*
 * test_virtio_pci.c - the PCI transport (4.1): which functions it takes, which capabilities it
 * believes, how interrupts arrive.
 *
 * The first part is a table of configuration spaces, sound and nonsensical; the model device
 * reports any register access outside of the structures that its capabilities describe, and
 * hosted/registers.c ends the test at one outside of the BAR. The second part walks through the
 * interrupt modes and what makes the transport fall back from one to the next.
 */
#include "support.h"

#include "hosted/device.h"
#include "loop.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

#define TYPE 60

/* ---- a driver that does next to nothing ---- */

static struct virtio_device *probed;
static unsigned changes;
static bool second_queue_sleeps = true;

static int test_probe(struct virtio_device *device)
{
    struct virtio_queue_request requests[] = {
        {.name = "first", .index = 0, .max_segments = 1},
        {.name = "second", .index = 1, .max_segments = 1, .no_interrupt = !second_queue_sleeps},
    };

    int error = virtio_find_queues(device, requests, 2);

    probed = error ? NULL : device;
    return error;
}

static int test_ready(struct virtio_device *device)
{
    virtqueue_enable_cb(device->queue[0]);
    virtqueue_enable_cb(device->queue[1]);
    return 0;
}

static void test_reclaim(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++)
        while (virtqueue_detach_unused(device->queue[i]))
            continue;
}

static void test_remove(struct virtio_device *device)
{
    (void)device;
    probed = NULL;
}

static void test_config_changed(struct virtio_device *device)
{
    (void)device;
    changes++;
}

static const uint16_t types[] = {TYPE, 0};
static const struct virtio_driver test_driver = {
    .name = "test-driver",
    .device_types = types,
    .probe = test_probe,
    .ready = test_ready,
    .reclaim = test_reclaim,
    .remove = test_remove,
    .config_changed = test_config_changed,
};
static const struct virtio_driver *const drivers[] = {&test_driver};

/* Answers everything at once. */
static void serve(struct device *device, unsigned queue)
{
    struct ring_chain *chain;

    while ((chain = ring_device_pop(&device->queue[queue].ring)))
        ring_device_push(&device->queue[queue].ring, chain, 0);
    ring_device_want_notify(&device->queue[queue].ring, true);
    device_signal(device, queue);
}

static const struct device_type type = {.name = "test-device", .id = TYPE, .serve = serve};
static struct device device;
static uint8_t *memory;

static void make_device(unsigned msix_vectors)
{
    static const uint8_t config[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    second_queue_sleeps = true;
    changes = 0;
    device_init(&device, &(struct device_setup){.type = &type,
                                                .queues = 2,
                                                .queue_size = 16,
                                                .msix_vectors = msix_vectors,
                                                .config = config,
                                                .config_length = sizeof(config)});
    memory = platform_dma_alloc(64, 64);
}

static void end(void)
{
    virtio_shutdown();
    assert_null(probed);
    device_finish(&device);
    fake_pci_reset();
    platform_dma_free(memory, 64);
}

/* One buffer through a queue; how many interrupts were handled. */
static unsigned transfer(unsigned queue)
{
    struct virtqueue_sg sg = {memory, 64};

    assert_int_equal(virtqueue_add(probed->queue[queue], &sg, 1, 0, memory), 0);
    virtqueue_kick(probed->queue[queue]);
    device_run(&device);
    unsigned delivered = hosted_interrupts_deliver();
    assert_ptr_equal(virtqueue_get_buf(probed->queue[queue], NULL), memory);
    virtqueue_enable_cb(probed->queue[queue]);
    return delivered;
}

static uint64_t interrupts(unsigned queue)
{
    return virtqueue_stats(probed->queue[queue])->interrupts;
}

/* ---- configuration spaces ---- */

/*
 * Byte offset of the capability of a type in configuration space, found without the code under
 * test.
 */
static uint8_t *capability(uint8_t cfg_type)
{
    struct fake_function *f = device.pci;
    unsigned at = f->config[PCI_CAPABILITY_LIST];

    while (at && f->config[at + 3] != cfg_type)
        at = f->config[at + 1];
    assert_int_not_equal(at, 0);
    return &f->config[at];
}

static void set_location(uint8_t *cap, uint8_t bar, uint32_t offset, uint32_t length)
{
    cap[4] = bar;
    memcpy(cap + 8, &offset, 4);
    memcpy(cap + 12, &length, 4);
}

/* A bad capability in front of the good ones: it goes first in the list. */
static void prepend(uint8_t cfg_type, uint8_t bar, uint32_t offset, uint32_t length)
{
    struct fake_function *f = device.pci;
    uint8_t first = f->config[PCI_CAPABILITY_LIST], last_link = (uint8_t)f->capability_link;
    unsigned at = device_add_capability(f, cfg_type, bar, offset, length, "\4\0\0\0", 4);

    f->config[last_link] = 0;
    f->config[PCI_CAPABILITY_LIST] = (uint8_t)at;
    f->config[at + 1] = first;
    f->capability_link = last_link;
}

static void nothing_special(void)
{
}

static void reserved_bar_first(void)
{
    prepend(CAP_COMMON, 6, 0, CC_LENGTH);
    prepend(CAP_NOTIFY, 0xff, 0, 64);
}

static void reserved_bar_only(void)
{
    capability(CAP_COMMON)[4] = 6;
}

static void beyond_the_bar_first(void)
{
    prepend(CAP_COMMON, DEVICE_BAR, DEVICE_BAR_SIZE - 8, CC_LENGTH);
}

static void common_beyond_the_bar(void)
{
    set_location(capability(CAP_COMMON), DEVICE_BAR, DEVICE_BAR_SIZE - CC_LENGTH + 4, CC_LENGTH);
}

static void offset_overflows(void)
{
    set_location(capability(CAP_COMMON), DEVICE_BAR, 0xfffffff0, 0x40);
}

static void offset_overflows_first(void)
{
    prepend(CAP_COMMON, DEVICE_BAR, 0xfffffff0, CC_LENGTH);
    prepend(CAP_NOTIFY, DEVICE_BAR, 0xffffffff, 64);
    prepend(CAP_ISR, DEVICE_BAR, 0xffffffff, 1);
}

static void io_bar_first(void)
{
    device.pci->fn.bar[0] = (struct pci_bar){.address = 0xc000, .size = 0x100, .is_io = true};
    prepend(CAP_COMMON, 0, 0, CC_LENGTH);
    prepend(CAP_NOTIFY, 0, 0, 64);
    prepend(CAP_ISR, 0, 0, 1);
}

static void isr_at_the_end_of_the_bar(void)
{
    set_location(capability(CAP_ISR), DEVICE_BAR, DEVICE_BAR_SIZE, 1);
}

static void notify_beyond_the_bar(void)
{
    set_location(capability(CAP_NOTIFY), DEVICE_BAR, 0xffffffff, 0xffffffff);
}

static void huge_lengths(void)
{
    set_location(capability(CAP_COMMON), DEVICE_BAR, DEVICE_COMMON_AT, 0xffffffff);
    set_location(capability(CAP_NOTIFY), DEVICE_BAR, DEVICE_NOTIFY_AT, 0xffffffff);
    set_location(capability(CAP_ISR), DEVICE_BAR, DEVICE_ISR_AT, 0xffffffff);
    set_location(capability(CAP_DEVICE), DEVICE_BAR, DEVICE_CONFIG_AT, 0xffffffff);
}

static void short_common(void)
{
    set_location(capability(CAP_COMMON), DEVICE_BAR, DEVICE_COMMON_AT, CC_LENGTH - 1);
}

static void empty_isr(void)
{
    set_location(capability(CAP_ISR), DEVICE_BAR, DEVICE_ISR_AT, 0);
}

static void longer_capabilities(void)
{
    capability(CAP_COMMON)[2] = 40;
    capability(CAP_ISR)[2] = 255;
}

static void short_capability(void)
{
    capability(CAP_COMMON)[2] = 12;
}

static void notify_without_multiplier(void)
{
    capability(CAP_NOTIFY)[2] = 16;
}

static void unknown_types_first(void)
{
    static const uint8_t unknown[] = {0, 6, 7, 10, 0x20, 0xff};

    for (unsigned i = 0; i < sizeof(unknown); i++)
        prepend(unknown[i], DEVICE_BAR, 0, 0x1000);
}

static void other_types_first(void)
{
    prepend(CAP_SHARED_MEMORY, 2, 0, 0x100000);
    prepend(CAP_VENDOR, 0, 0xffff, 0xffff);
    prepend(CAP_PCI, 0, 0, 0);
}

static void two_of_a_type(void)
{
    /* The first is the good one; reading the other's place would be a violation. */
    device_add_capability(device.pci, CAP_COMMON, DEVICE_BAR, 0x800, CC_LENGTH, NULL, 0);
    device_add_capability(device.pci, CAP_ISR, DEVICE_BAR, 0x1800, 1, NULL, 0);
}

static void loop_behind_all(void)
{
    device.pci->config[device.pci->capability_link] = device.pci->config[PCI_CAPABILITY_LIST];
}

static void loop_without_isr(void)
{
    capability(CAP_ISR)[3] = 0x33;
    loop_behind_all();
}

static void capability_points_at_itself(void)
{
    uint8_t *common = capability(CAP_COMMON);

    common[1] = (uint8_t)(common - device.pci->config);
}

static void list_in_the_header(void)
{
    device.pci->config[PCI_CAPABILITY_LIST] = 0x10;
}

static void list_at_the_very_end(void)
{
    device.pci->config[PCI_CAPABILITY_LIST] = 0xfc;
    device.pci->config[0xfc] = PCI_CAP_ID_VENDOR;
}

static void no_list(void)
{
    device.pci->config[PCI_STATUS] = 0;
}

static void no_common(void)
{
    capability(CAP_COMMON)[3] = 0x33;
}

static void no_notify(void)
{
    capability(CAP_NOTIFY)[3] = 0x33;
}

static void no_isr(void)
{
    capability(CAP_ISR)[3] = 0x33;
}

static void no_device_config(void)
{
    capability(CAP_DEVICE)[3] = 0x33;
}

static void io_bar(void)
{
    device.pci->fn.bar[DEVICE_BAR].is_io = true;
}

static void no_bar(void)
{
    device.pci->fn.bar[DEVICE_BAR] = (struct pci_bar){0};
}

static void bar_not_placed(void)
{
    device.pci->fn.bar[DEVICE_BAR].address = 0;
}

static void notify_outside(void)
{
    device.queue[1].notify_off = DEVICE_MAX_QUEUES;
}

static void notify_half_outside(void)
{
    uint32_t multiplier = 1;

    memcpy(capability(CAP_NOTIFY) + 16, &multiplier, 4);
    device.queue[1].notify_off = DEVICE_MAX_QUEUES * DEVICE_NOTIFY_MULTIPLIER - 1;
}

/* Room for the 16 bits of a notification, but not for the 32 of one with data. */
static void notify_with_data_half_outside(void)
{
    uint32_t multiplier = 2;

    memcpy(capability(CAP_NOTIFY) + 16, &multiplier, 4);
    device.queue[1].notify_off = DEVICE_MAX_QUEUES * DEVICE_NOTIFY_MULTIPLIER / 2 - 1;
    device.offered[1] |= 1u << (F_NOTIFICATION_DATA - 32);
}

static void notify_far_outside(void)
{
    memset(capability(CAP_NOTIFY) + 16, 0xff, 4);
    device.queue[1].notify_off = 0xffff;
}

static void one_notify_address_for_all(void)
{
    memset(capability(CAP_NOTIFY) + 16, 0, 4);
    device.queue[0].notify_off = device.queue[1].notify_off = 0;
}

static const struct {
    const char *name;
    void (*spoil)(void);
    bool driven;
} spaces[] = {
    {"as it should be", nothing_special, true},
    {"a capability with a reserved BAR before the good one", reserved_bar_first, true},
    {"a reserved BAR", reserved_bar_only, false},
    {"a structure beyond its BAR before the good one", beyond_the_bar_first, true},
    {"common configuration half beyond its BAR", common_beyond_the_bar, false},
    {"offset + length overflows", offset_overflows, false},
    {"offset + length overflows before the good one", offset_overflows_first, true},
    {"an I/O BAR before the good one", io_bar_first, true},
    {"ISR status behind its BAR", isr_at_the_end_of_the_bar, false},
    {"notification structure beyond its BAR", notify_beyond_the_bar, false},
    {"lengths of 4 GiB", huge_lengths, true},
    {"common configuration too short", short_common, false},
    {"ISR status of no length", empty_isr, false},
    {"cap_len larger than specified", longer_capabilities, true},
    {"cap_len too small", short_capability, false},
    {"notification capability without its multiplier", notify_without_multiplier, false},
    {"reserved types", unknown_types_first, true},
    {"types that are not needed", other_types_first, true},
    {"two of a type", two_of_a_type, true},
    {"the list loops", loop_behind_all, true},
    {"the list loops and lacks the ISR status", loop_without_isr, false},
    {"a capability points at itself", capability_points_at_itself, false},
    {"the list lies in the header", list_in_the_header, false},
    {"the list lies at the end", list_at_the_very_end, false},
    {"no list", no_list, false},
    {"no common configuration", no_common, false},
    {"no notification structure", no_notify, false},
    {"no ISR status", no_isr, false},
    {"no device configuration", no_device_config, true},
    {"an I/O BAR", io_bar, false},
    {"a BAR that does not exist", no_bar, false},
    {"a BAR without an address", bar_not_placed, false},
    {"a queue notified outside", notify_outside, false},
    {"a queue notified half outside", notify_half_outside, false},
    {"a queue notified with data half outside", notify_with_data_half_outside, false},
    {"a queue notified far outside", notify_far_outside, false},
    {"one address for all notifications", one_notify_address_for_all, true},
};

/*
 * covers: PCI-CAP-1 PCI-CAP-2 PCI-CAP-3 PCI-CAP-4 PCI-CAP-5 PCI-CAP-6 PCI-CAP-7 PCI-CAP-8
 * covers: PCI-T-NOTIFY-1
 * covers: PCI-NOTIFY-1 PCI-NOTIFY-3 PCI-ACCESS-1 PCI-ACCESS-2
 */
static void capabilities_4_1_4(void **state)
{
    for (unsigned i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        support_setup(state);
        make_device(3);
        spaces[i].spoil();
        unsigned driven = virtio_pci_scan();
        if (driven != spaces[i].driven || violation_count(NULL))
            fail_msg("%s: %s\n%s%s", spaces[i].name, driven ? "driven" : "not driven",
                     violation_text(), hosted_log());
        if (driven) {
            for (unsigned n = 0; n < 40; n++)
                transfer(n % 2);
        } else {
            assert_non_null(device.pci->fn.refusal);
            assert_null(device.pci->fn.driver);
            assert_false(device.status & ST_DRIVER_OK);
        }
        end();
        assert_int_equal(hosted_dma_allocations(), 0);
    }
}

/* covers: PCI-DISC-1 PCI-DISC-2 PCI-DISC-3 PCI-DISC-4 */
static void which_functions_are_virtio_4_1_2(void **state)
{
    static const struct {
        uint16_t vendor, device, subsystem;
        uint8_t revision;
        int result;
    } ids[] = {
        {0x1af4, 0x1040 + TYPE, 0x1100, 1, 0},  {0x1af4, 0x1040 + TYPE, 0, 0, 0},
        {0x1af4, 0x1040 + TYPE, 0xffff, 77, 0}, {0x1af4, 0x1000, TYPE, 0, 0},
        {0x1af4, 0x1009, TYPE, 0, 0},           {0x8086, 0x1040 + TYPE, 0, 1, -ENODEV},
        {0x1af4, 0x1080, TYPE, 1, -ENODEV},     {0x1af4, 0x0fff, TYPE, 1, -ENODEV},
        {0x1af4, 0x1040, TYPE, 1, -ENODEV},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        make_device(3);
        device.pci->fn.vendor_id = ids[i].vendor;
        device.pci->fn.device_id = ids[i].device;
        device.pci->fn.subsystem_vendor_id = ids[i].subsystem;
        device.pci->fn.subsystem_id = ids[i].subsystem;
        device.pci->fn.revision = ids[i].revision;
        assert_int_equal(virtio_pci_probe(&device.pci->fn), ids[i].result);
        assert_int_equal(device.pci->fn.driver != NULL, ids[i].result == 0);
        end();
    }
}

/*
 * A function that is not ours is not touched at all, not even its command register.
 * covers: PCI-DISC-1
 */
static void foreign_functions_are_left_alone(void **state)
{
    (void)state;
    make_device(3);
    device.pci->fn.vendor_id = 0x8086;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_int_equal(device.pci->config[PCI_COMMAND], 0);
    assert_int_equal(hosted_register_accesses(), 0);
    assert_null(device.pci->fn.refusal);
    end();
}

/* ---- interrupts ---- */

/* covers: PCI-MSIX-1 PCI-MSIX-3 PCI-MSIX-4 PCI-ISR-1 */
static void one_vector_for_each_queue(void **state)
{
    static const unsigned tables[] = {3, 4, 5, 33, 0x800};
    uint8_t value = 7;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        make_device(tables[i]);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(probed->interrupt_mode, VIRTIO_INTERRUPT_MSIX);
        assert_int_not_equal(device.queue[0].vector, device.queue[1].vector);
        assert_int_not_equal(device.queue[0].vector, device.config_vector);
        assert_int_equal(transfer(0), 1);
        assert_int_equal(interrupts(0), 1);
        assert_int_equal(interrupts(1), 0);
        assert_int_equal(transfer(1), 1);
        assert_int_equal(interrupts(0), 1);
        assert_int_equal(interrupts(1), 1);
        device_change_config(&device, 0, &value, 1);
        assert_int_equal(hosted_interrupts_deliver(), 1);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(changes, 1);
        end();
    }
}

/* covers: PCI-MSIX-1 PCI-MSIX-2 PCI-MSIX-5 PCI-CFGINT-1 */
static void fewer_vectors_are_shared(void **state)
{
    uint8_t value = 7;

    (void)state;
    for (unsigned entries = 1; entries <= 2; entries++) {
        make_device(entries);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(probed->interrupt_mode, VIRTIO_INTERRUPT_MSIX);
        assert_int_equal(transfer(0), 1);
        assert_int_equal(transfer(1), 1);
        assert_int_equal(interrupts(0), 2);
        assert_int_equal(interrupts(1), 2);
        virtio_poll();
        changes = 0;
        device_change_config(&device, 0, &value, 1);
        assert_int_equal(hosted_interrupts_deliver(), 1);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(changes, 1);
        end();
    }
}

static void a_queue_that_nobody_sleeps_on_gets_no_vector(void **state)
{
    (void)state;
    make_device(3);
    virtio_set_drivers(drivers, 1);
    second_queue_sleeps = false;
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(device.queue[1].vector, NO_VECTOR);
    assert_int_equal(transfer(1), 0);
    assert_int_equal(transfer(0), 1);
    end();
}

/* Everything that can go wrong with MSI-X ends in INTx, for all queues. */
static void check_intx(void)
{
    uint8_t value = 7;

    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(probed->interrupt_mode, VIRTIO_INTERRUPT_INTX);
    assert_false(fake_pci_msix_enabled(device.pci));
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(transfer(n % 2), 1);
    assert_int_equal(interrupts(0), 4);
    /* One interrupt with both meanings. */
    struct virtqueue_sg sg = {memory, 64};
    assert_int_equal(virtqueue_add(probed->queue[0], &sg, 1, 0, memory), 0);
    virtqueue_kick(probed->queue[0]);
    device_run(&device);
    device_change_config(&device, 0, &value, 1);
    assert_int_equal(hosted_interrupts_deliver(), 1);
    assert_ptr_equal(virtqueue_get_buf(probed->queue[0], NULL), memory);
    assert_int_equal(virtio_poll(), 1);
    assert_int_equal(changes, 1);
    assert_int_equal(device.pci->intx_unclaimed, 0);
    /* Somebody else's interrupt on the same line. */
    assert_false(device.pci->intx_handler(device.pci->intx_arg));
    assert_int_equal(interrupts(0), 5);
    end();
}

/* covers: PCI-MSIX-1 PCI-CFGINT-1 PCI-T-ISR-1 */
static void without_msix_intx_is_used(void **state)
{
    (void)state;
    make_device(0);
    check_intx();
    make_device(3);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_INTX);
    check_intx();
}

/* covers: PCI-MSIX-4 PCI-MSIX-5 */
static void a_refused_vector_leads_to_intx(void **state)
{
    (void)state;
    make_device(3);
    device.lies.refuse_config_vector = true;
    check_intx();
    make_device(3);
    device.lies.refuse_queue_vector = 1;
    check_intx();
    make_device(3);
    device.lies.refuse_queue_vector = 2;
    check_intx();
    make_device(1);
    device.lies.refuse_queue_vector = 3;
    check_intx();
}

/* covers: PCI-MSIX-5 */
static void no_vectors_left_in_the_cpu_leads_to_intx(void **state)
{
    (void)state;
    for (unsigned spare = 0; spare < 3; spare++) {
        make_device(3);
        device.pci->msix_spare = spare;
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
        make_device(how == 2 ? 3 : 0);
        if (how == 0)
            device.pci->fn.gsi = -1;
        else if (how == 1)
            device.pci->fn.interrupt_pin = 0;
        else
            virtio_set_interrupt_limit(VIRTIO_INTERRUPT_NONE);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(probed->interrupt_mode, VIRTIO_INTERRUPT_NONE);
        assert_true(device.pci->config[PCI_COMMAND + 1] & PCI_COMMAND_INTX_DISABLE >> 8);
        assert_int_equal(transfer(0), 0);
        assert_int_equal(transfer(1), 0);
        virtio_poll();
        device_change_config(&device, 0, &value, 1);
        for (unsigned n = 0; n < 100 && !changes; n++) {
            virtio_poll();
            hosted_clock_advance(10000000);
        }
        assert_int_equal(changes, 1);
        end();
    }
}

static void the_end_takes_the_bus_and_the_interrupts_away(void **state)
{
    (void)state;
    make_device(3);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(fake_pci_is_master(device.pci));
    virtio_shutdown();
    assert_false(fake_pci_is_master(device.pci));
    assert_false(fake_pci_msix_enabled(device.pci));
    end();
    make_device(0);
    assert_int_equal(virtio_pci_scan(), 1);
    virtio_shutdown();
    assert_null(device.pci->intx_handler);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(capabilities_4_1_4),
        TEST(which_functions_are_virtio_4_1_2),
        TEST(foreign_functions_are_left_alone),
        TEST(one_vector_for_each_queue),
        TEST(fewer_vectors_are_shared),
        TEST(a_queue_that_nobody_sleeps_on_gets_no_vector),
        TEST(without_msix_intx_is_used),
        TEST(a_refused_vector_leads_to_intx),
        TEST(no_vectors_left_in_the_cpu_leads_to_intx),
        TEST(without_intx_the_device_is_polled),
        TEST(the_end_takes_the_bus_and_the_interrupts_away),
    };

    return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
