// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c
// sources: tests/unit/nic_user.c virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_pci.c virtio/virtio_pci_access.c
// sources: virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c
// sources: boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c hosted/device.c
// sources: hosted/device_setup.c hosted/device_net.c hosted/device_net_control.c hosted/violation.c
// sources: hosted/ring_packed.c hosted/device_legacy.c
/*
 * test_virtio_net_control.c - the network device driver (5.1.9.5): commands on the control queue, to
 * a device that obeys, refuses, or does not answer.
 *
 * Read nic_user.h first, then hosted/device_net_control.h.
 */
#include "nic_user.h"

#include "hosted/device_legacy.h"

#define CONTROL (USUAL | BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX))
#define ANNOUNCE (CONTROL | BIT(NET_F_GUEST_ANNOUNCE))
#define STATUS_UP_ANNOUNCE 3

static struct nic_filter some_groups(unsigned n)
{
    struct nic_filter filter = {.groups = n};

    for (unsigned i = 0; i < n; i++)
        memcpy(filter.group[i], (uint8_t[6]){0x33, 0x33, 1, 2, 3, (uint8_t)i}, 6);
    return filter;
}

/* covers: NET-CTRLRX-1 NET-CTRLRX-2 NET-CTRLMAC-1 NET-CTRLMAC-3 NET-T-CTRL-1 */
static void a_filter_reaches_the_device(void **state)
{
    (void)state;
    make_nic(CONTROL);
    assert_true(model.control.promiscuous);
    for (unsigned n = 0; n <= NIC_MAX_GROUPS; n += 8) {
        struct nic_filter filter = some_groups(n);
        assert_int_equal(nic_set_filter(nic, &filter), 0);
        assert_false(model.control.promiscuous);
        assert_false(model.control.all_multicast);
        assert_int_equal(model.control.unicasts, 0);
        assert_int_equal(model.control.multicasts, n);
        assert_memory_equal(model.control.multicast, filter.group, n * 6);
    }
    struct nic_filter all = {.all_groups = true};
    assert_int_equal(nic_set_filter(nic, &all), 0);
    assert_true(model.control.all_multicast);
    assert_false(model.control.promiscuous);
    all = (struct nic_filter){.promiscuous = true};
    assert_int_equal(nic_set_filter(nic, &all), 0);
    assert_true(model.control.promiscuous);
    end();
}

/* covers: NET-CTRLRX-1 NET-CTRLMAC-1 */
static void without_the_features_nothing_is_sent(void **state)
{
    static const uint64_t sets[] = {USUAL, USUAL | BIT(NET_F_CTRL_VQ)};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct nic_filter filter = some_groups(3);
        make_nic(sets[i]);
        assert_int_equal(nic_set_filter(nic, &filter), -ENOTSUP);
        assert_int_equal(model.control.commands, 0);
        end();
    }
}

/* covers: NET-T-CTRL-1 */
static void a_refusal_is_told(void **state)
{
    struct nic_filter filter = some_groups(3);

    (void)state;
    make_nic(CONTROL);
    model.control.refuse = true;
    assert_int_equal(nic_set_filter(nic, &filter), -ENOTSUP);
    model.control.refuse = false;
    assert_int_equal(nic_set_filter(nic, &filter), 0);
    end();
}

/* A device that does not answer costs one second once; frames go on. */
static void a_mute_control_queue_is_given_up(void **state)
{
    struct nic_filter filter = some_groups(3);

    (void)state;
    make_nic(CONTROL);
    model.control.mute = true;
    assert_int_equal(nic_set_filter(nic, &filter), -EIO);
    assert_int_equal(model.control.commands, 1);
    assert_int_equal(nic_set_filter(nic, &filter), -EIO);
    assert_int_equal(model.control.commands, 1);
    provide(BUFFERS);
    assert_int_equal(receive(100, NULL), 1);
    /* A reset gives it another chance, and the filter is as it was wanted. */
    model.control.mute = false;
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(user.restarted, 1);
    assert_int_equal(model.control.multicasts, 3);
    assert_false(model.control.promiscuous);
    end();
}

static void a_reset_device_is_told_again(void **state)
{
    struct nic_filter filter = some_groups(5);

    (void)state;
    make_nic(CONTROL);
    assert_int_equal(nic_set_filter(nic, &filter), 0);
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(model.control.multicasts, 5);
    assert_false(model.control.promiscuous);
    end();
}

/* covers: NET-ANNOUNCE-1 NET-ANNOUNCE-2 */
static void announcements_are_made_and_acknowledged(void **state)
{
    uint16_t status = STATUS_UP_ANNOUNCE;

    (void)state;
    make_nic(ANNOUNCE);
    device_change_config(&model.device, NET_CONFIG_STATUS, &status, 2);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(user.announced, 1);
    assert_int_equal(model.control.announce_acks, 1);
    assert_true(nic->link_up);
    end();
    /* Not asked for: the bit means nothing. */
    make_nic(CONTROL);
    device_change_config(&model.device, NET_CONFIG_STATUS, &status, 2);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(user.announced, 0);
    assert_int_equal(model.control.announce_acks, 0);
    end();
}

/*
 * Without ANY_LAYOUT each part of a command has a descriptor of its own; the model looks.
 * covers: LEG-NET-FRAME-2 LEG-NET-FRAME-3 LEG-NET-FRAME-4 LEG-NET-FRAME-5
 */
static void a_legacy_device_gets_its_framing(void **state)
{
    struct nic_filter groups = some_groups(5), all = {.all_groups = true};

    (void)state;
    device_set_front(&device_legacy_front);
    make_nic(CONTROL);
    assert_int_equal(nic_set_filter(nic, &groups), 0);
    assert_int_equal(model.control.multicasts, 5);
    assert_int_equal(nic_set_filter(nic, &all), 0);
    assert_true(model.control.all_multicast);
    end();
    device_set_front(NULL);
}

/* covers: NET-CFG-11 NET-CFG-12 */
static void the_speed(void **state)
{
    static const struct {
        uint32_t speed, expected;
    } speeds[] = {{1000, 1000}, {0x7fffffff, 0x7fffffff}, {0x80000000, 0}, {0xffffffff, 0}};

    (void)state;
    make_nic(USUAL | BIT(NET_F_SPEED_DUPLEX));
    for (unsigned i = 0; i < 4; i++) {
        device_change_config(&model.device, NET_CONFIG_SPEED, &speeds[i].speed, 4);
        hosted_interrupts_deliver();
        virtio_poll();
        assert_int_equal(nic->speed_mbit, speeds[i].expected);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_filter_reaches_the_device),
        TEST(without_the_features_nothing_is_sent),
        TEST(a_refusal_is_told),
        TEST(a_mute_control_queue_is_given_up),
        TEST(a_reset_device_is_told_again),
        TEST(announcements_are_made_and_acknowledged),
        TEST(a_legacy_device_gets_its_framing),
        TEST(the_speed),
    };
    const struct CMUnitTest flows[] = {
        TEST(a_filter_reaches_the_device),
        TEST(a_reset_device_is_told_again),
        TEST(announcements_are_made_and_acknowledged),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
