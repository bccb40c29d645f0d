// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c tests/unit/nic_user.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_net.c hosted/device_net_control.c hosted/violation.c hosted/ring_packed.c
// sources: hosted/device_legacy.c
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

static void assert_vlans(const uint16_t *vlan, unsigned vlans)
{
    for (unsigned n = 0; n < 4095; n++) {
        bool wanted = n == 0;
        for (unsigned i = 0; i < vlans; i++)
            wanted = wanted || vlan[i] == n;
        assert_int_equal(device_net_has_vlan(&model.control, n), wanted);
    }
}

static void reset_and_recover(void)
{
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(user.restarted, 1);
    user.restarted = 0;
}

/* The device's table follows the filter, one command for each that comes or goes. */
static void vlans_follow_the_filter(void **state)
{
    static const struct nic_filter steps[] = {{.vlans = 2, .vlan = {100, 4094}},
                                              {.vlans = 3, .vlan = {7, 100, 4094}},
                                              {.vlans = 1, .vlan = {100}},
                                              {.vlans = 0}};
    static const unsigned commands[] = {2, 1, 2, 1};
    const uint64_t only_vlans = USUAL | BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_VLAN);

    (void)state;
    make_nic(only_vlans);
    assert_vlans(NULL, 0);
    for (unsigned i = 0; i < 4; i++) {
        unsigned before = model.control.commands;
        assert_int_equal(nic_set_filter(nic, &steps[i]), 0);
        assert_int_equal(model.control.commands - before, commands[i]);
        assert_vlans(steps[i].vlan, steps[i].vlans);
        reset_and_recover();
        assert_vlans(steps[i].vlan, steps[i].vlans);
    }
    end();
    /* What was refused is told again, whole. */
    make_nic(CONTROL | BIT(NET_F_CTRL_VLAN));
    model.control.refuse = true;
    assert_int_equal(nic_set_filter(nic, &steps[0]), -ENOTSUP);
    model.control.refuse = false;
    memset(model.control.vlan, 0, sizeof(model.control.vlan));
    model.control.vlan[0] = 1;
    assert_int_equal(nic_set_filter(nic, &steps[1]), 0);
    assert_vlans(steps[1].vlan, 3);
    end();
}

/* covers: NET-CTRLRX-2 NET-CFG-14 */
static void broadcasts_can_be_left_out(void **state)
{
    static const struct nic_filter filter = {.no_broadcasts = true};
    static const uint64_t sets[] = {CONTROL | BIT(NET_F_CTRL_RX_EXTRA), CONTROL,
                                    USUAL | BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_RX_EXTRA)};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        make_nic(sets[i]);
        assert_int_equal(nic_set_filter(nic, &filter), i == 2 ? -ENOTSUP : 0);
        assert_int_equal(model.control.no_broadcast, i == 0);
        assert_int_equal(nic_set_filter(nic, &(struct nic_filter){.groups = 0}),
                         i == 2 ? -ENOTSUP : 0);
        assert_false(model.control.no_broadcast);
        end();
    }
}

/* covers: NET-CTRLMAC-1 NET-CTRLMAC-2 */
static void another_address(void **state)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 5}, group[6] = {3, 0, 0, 0, 0, 5}, none[6] = {0};
    uint8_t own[6];

    (void)state;
    make_nic(CONTROL | BIT(NET_F_CTRL_MAC_ADDR));
    memcpy(own, nic->mac, 6);
    assert_int_equal(nic_set_mac(nic, group), -EINVAL);
    assert_int_equal(nic_set_mac(nic, none), -EINVAL);
    model.control.refuse = true;
    assert_int_equal(nic_set_mac(nic, mac), -ENOTSUP);
    assert_memory_equal(nic->mac, own, 6);
    model.control.refuse = false;
    assert_int_equal(nic_set_mac(nic, mac), 0);
    assert_memory_equal(nic->mac, mac, 6);
    assert_memory_equal(model.control.mac, mac, 6);
    reset_and_recover();
    assert_memory_equal(nic->mac, mac, 6);
    assert_memory_equal(model.control.mac, mac, 6);
    end();
    make_nic(CONTROL);
    assert_int_equal(nic_set_mac(nic, mac), -ENOTSUP);
    assert_memory_equal(nic->mac, own, 6);
    assert_int_equal(model.control.commands, 0);
    end();
}

#define LARGE                                                                         \
    (CONTROL | BIT(NET_F_MRG_RXBUF) | BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) | \
     BIT(NET_F_GUEST_TSO6) | BIT(NET_F_GUEST_UFO))

/* covers: NET-OFFLOADS-1 */
static void large_receive_off_and_on(void **state)
{
    const uint64_t all = BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) |
                         BIT(NET_F_GUEST_UFO);

    (void)state;
    make_nic(LARGE | BIT(NET_F_CTRL_GUEST_OFFLOADS));
    assert_int_equal(nic_set_large_receive(nic, false), 0);
    assert_int_equal(model.control.offloads, BIT(NET_F_GUEST_CSUM));
    reset_and_recover();
    assert_int_equal(model.control.offloads, BIT(NET_F_GUEST_CSUM));
    model.control.refuse = true;
    assert_int_equal(nic_set_large_receive(nic, true), -ENOTSUP);
    model.control.refuse = false;
    reset_and_recover();
    assert_int_equal(model.control.offloads, BIT(NET_F_GUEST_CSUM));
    assert_int_equal(nic_set_large_receive(nic, true), 0);
    assert_int_equal(model.control.offloads, all);
    end();
    make_nic(LARGE);
    assert_int_equal(nic_set_large_receive(nic, false), -ENOTSUP);
    end();
    make_nic(CONTROL | BIT(NET_F_CTRL_GUEST_OFFLOADS));
    assert_int_equal(nic_set_large_receive(nic, false), -ENOTSUP);
    end();
}

/* covers: NET-COAL-1 NET-COAL-2 NET-COAL-3 */
static void interrupts_are_coalesced_when_asked_for(void **state)
{
    static const uint64_t sets[] = {CONTROL, CONTROL | BIT(NET_F_NOTF_COAL),
                                    CONTROL | BIT(NET_F_VQ_NOTF_COAL),
                                    CONTROL | BIT(NET_F_NOTF_COAL) | BIT(NET_F_VQ_NOTF_COAL)};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        virtio_net_coalesce(0, 0);
        make_nic(sets[i]);
        assert_int_equal(model.control.commands, 0);
        virtio_net_coalesce(50, 16);
        for (unsigned again = 0; again < 2; again++) {
            reset_and_recover();
            for (unsigned queue = 0; queue < 2; queue++) {
                assert_int_equal(model.control.coalesce[queue].usecs, i ? 50 : 0);
                assert_int_equal(model.control.coalesce[queue].frames, i ? 16 : 0);
            }
        }
        end();
    }
    virtio_net_coalesce(0, 0);
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
 * covers: LEG-NET-FRAME-2 LEG-NET-FRAME-3 LEG-NET-FRAME-4 LEG-NET-FRAME-5 LEG-NET-VLAN-1
 * covers: LEG-NET-OFFLOADS-1
 */
static void a_legacy_device_gets_its_framing(void **state)
{
    struct nic_filter groups = some_groups(5),
                      all = {.all_groups = true, .vlans = 1, .vlan = {0x102}};
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 5};

    (void)state;
    device_set_front(&device_legacy_front);
    make_nic(LARGE | BIT(NET_F_CTRL_VLAN) | BIT(NET_F_CTRL_MAC_ADDR) |
             BIT(NET_F_CTRL_GUEST_OFFLOADS));
    assert_int_equal(nic_set_filter(nic, &groups), 0);
    assert_int_equal(model.control.multicasts, 5);
    assert_int_equal(nic_set_filter(nic, &all), 0);
    assert_true(model.control.all_multicast);
    assert_vlans(all.vlan, 1);
    assert_int_equal(nic_set_mac(nic, mac), 0);
    assert_memory_equal(model.control.mac, mac, 6);
    assert_int_equal(nic_set_large_receive(nic, false), 0);
    assert_int_equal(model.control.offloads, BIT(NET_F_GUEST_CSUM));
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
    for (unsigned duplex = 0; duplex < 256; duplex += 85) {
        uint8_t byte = (uint8_t)duplex;
        device_change_config(&model.device, NET_CONFIG_DUPLEX, &byte, 1);
        hosted_interrupts_deliver();
        virtio_poll();
        assert_int_equal(nic->half_duplex, duplex == 0);
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
        TEST(vlans_follow_the_filter),
        TEST(broadcasts_can_be_left_out),
        TEST(another_address),
        TEST(large_receive_off_and_on),
        TEST(interrupts_are_coalesced_when_asked_for),
    };
    const struct CMUnitTest flows[] = {
        TEST(a_filter_reaches_the_device),
        TEST(a_reset_device_is_told_again),
        TEST(announcements_are_made_and_acknowledged),
        TEST(vlans_follow_the_filter),
        TEST(another_address),
        TEST(large_receive_off_and_on),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
