// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/violation.c hosted/ring_packed.c hosted/device_mmio.c tests/unit/plain_driver.c
/*
 * test_virtio_pci.c - the PCI transport (4.1): which functions it takes, and which capabilities it
 * believes. Interrupts are in test_virtio_pci_interrupts.c.
 *
 * Most of it is a table of configuration spaces, sound and nonsensical; the model device reports any
 * register access outside of the structures that its capabilities describe, and hosted/registers.c
 * ends the test at one outside of the BAR.
 */
#include "support.h"

#include "plain_driver.h"
#include "virtio/virtio_pci.h"

/* ---- configuration spaces ---- */

/*
 * Byte offset of the capability of a type in configuration space, found without the code under
 * test.
 */
static uint8_t *capability(uint8_t cfg_type)
{
    struct fake_function *f = plain_device.pci;
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
    struct fake_function *f = plain_device.pci;
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
    plain_device.pci->fn.bar[0] = (struct pci_bar){.address = 0xc000, .size = 0x100, .is_io = true};
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
    device_add_capability(plain_device.pci, CAP_COMMON, DEVICE_BAR, 0x800, CC_LENGTH, NULL, 0);
    device_add_capability(plain_device.pci, CAP_ISR, DEVICE_BAR, 0x1800, 1, NULL, 0);
}

static void loop_behind_all(void)
{
    plain_device.pci->config[plain_device.pci->capability_link] =
        plain_device.pci->config[PCI_CAPABILITY_LIST];
}

static void loop_without_isr(void)
{
    capability(CAP_ISR)[3] = 0x33;
    loop_behind_all();
}

static void capability_points_at_itself(void)
{
    uint8_t *common = capability(CAP_COMMON);

    common[1] = (uint8_t)(common - plain_device.pci->config);
}

static void list_in_the_header(void)
{
    plain_device.pci->config[PCI_CAPABILITY_LIST] = 0x10;
}

static void list_at_the_very_end(void)
{
    plain_device.pci->config[PCI_CAPABILITY_LIST] = 0xfc;
    plain_device.pci->config[0xfc] = PCI_CAP_ID_VENDOR;
}

static void no_list(void)
{
    plain_device.pci->config[PCI_STATUS] = 0;
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
    plain_device.pci->fn.bar[DEVICE_BAR].is_io = true;
}

static void no_bar(void)
{
    plain_device.pci->fn.bar[DEVICE_BAR] = (struct pci_bar){0};
}

static void bar_not_placed(void)
{
    plain_device.pci->fn.bar[DEVICE_BAR].address = 0;
}

static void notify_outside(void)
{
    plain_device.queue[1].notify_off = DEVICE_MAX_QUEUES;
}

static void notify_half_outside(void)
{
    uint32_t multiplier = 1;

    memcpy(capability(CAP_NOTIFY) + 16, &multiplier, 4);
    plain_device.queue[1].notify_off = DEVICE_MAX_QUEUES * DEVICE_NOTIFY_MULTIPLIER - 1;
}

/* Room for the 16 bits of a notification, but not for the 32 of one with data. */
static void notify_with_data_half_outside(void)
{
    uint32_t multiplier = 2;

    memcpy(capability(CAP_NOTIFY) + 16, &multiplier, 4);
    plain_device.queue[1].notify_off = DEVICE_MAX_QUEUES * DEVICE_NOTIFY_MULTIPLIER / 2 - 1;
    plain_device.offered[1] |= 1u << (F_NOTIFICATION_DATA - 32);
}

static void notify_far_outside(void)
{
    memset(capability(CAP_NOTIFY) + 16, 0xff, 4);
    plain_device.queue[1].notify_off = 0xffff;
}

static void one_notify_address_for_all(void)
{
    memset(capability(CAP_NOTIFY) + 16, 0, 4);
    plain_device.queue[0].notify_off = plain_device.queue[1].notify_off = 0;
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
        plain_make_pci(3);
        spaces[i].spoil();
        unsigned driven = virtio_pci_scan();
        if (driven != spaces[i].driven || violation_count(NULL))
            fail_msg("%s: %s\n%s%s", spaces[i].name, driven ? "driven" : "not driven",
                     violation_text(), hosted_log());
        if (driven) {
            for (unsigned n = 0; n < 40; n++)
                plain_transfer(n % 2, false);
        } else {
            assert_non_null(plain_device.pci->fn.refusal);
            assert_null(plain_device.pci->fn.driver);
            assert_false(plain_device.status & ST_DRIVER_OK);
        }
        plain_end();
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
        {0x1af4, 0x1040 + PLAIN_TYPE, 0x1100, 1, 0},  {0x1af4, 0x1040 + PLAIN_TYPE, 0, 0, 0},
        {0x1af4, 0x1040 + PLAIN_TYPE, 0xffff, 77, 0}, {0x1af4, 0x1000, PLAIN_TYPE, 0, 0},
        {0x1af4, 0x1009, PLAIN_TYPE, 0, 0},           {0x8086, 0x1040 + PLAIN_TYPE, 0, 1, -ENODEV},
        {0x1af4, 0x1080, PLAIN_TYPE, 1, -ENODEV},     {0x1af4, 0x0fff, PLAIN_TYPE, 1, -ENODEV},
        {0x1af4, 0x1040, PLAIN_TYPE, 1, -ENODEV},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        plain_make_pci(3);
        plain_device.pci->fn.vendor_id = ids[i].vendor;
        plain_device.pci->fn.device_id = ids[i].device;
        plain_device.pci->fn.subsystem_vendor_id = ids[i].subsystem;
        plain_device.pci->fn.subsystem_id = ids[i].subsystem;
        plain_device.pci->fn.revision = ids[i].revision;
        assert_int_equal(virtio_pci_probe(&plain_device.pci->fn), ids[i].result);
        assert_int_equal(plain_device.pci->fn.driver != NULL, ids[i].result == 0);
        plain_end();
    }
}

/*
 * A function that is not ours is not touched at all, not even its command register.
 * covers: PCI-DISC-1
 */
static void foreign_functions_are_left_alone(void **state)
{
    (void)state;
    plain_make_pci(3);
    plain_device.pci->fn.vendor_id = 0x8086;
    assert_int_equal(virtio_pci_scan(), 0);
    assert_int_equal(plain_device.pci->config[PCI_COMMAND], 0);
    assert_int_equal(hosted_register_accesses(), 0);
    assert_null(plain_device.pci->fn.refusal);
    plain_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(capabilities_4_1_4),
        TEST(which_functions_are_virtio_4_1_2),
        TEST(foreign_functions_are_left_alone),
    };

    return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
