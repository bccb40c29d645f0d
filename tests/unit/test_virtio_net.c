// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c tests/unit/nic_user.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_net.c hosted/device_net_control.c hosted/violation.c hosted/ring_packed.c
/*
 * test_virtio_net.c - the network device driver (5.1): features, configuration, recovery, rings.
 *
 * Read nic_user.h first; frames have test_virtio_net_receive.c and test_virtio_net_transmit.c.
 */
#include "nic_user.h"

/* ---- configuration ---- */

/* covers: NET-CFG-1 NET-CFG-2 NET-CFG-3 NET-CFG-4 PCI-ACCESS-1 CORE-CFG-4 */
static void the_mac_address(void **state)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

    (void)state;
    make_nic(USUAL);
    assert_memory_equal(nic->mac, mac, 6);
    end();
    make_nic(0);
    assert_int_equal(nic->mac[0] & 3, 2);
    assert_memory_not_equal(nic->mac, mac, 6);
    assert_int_equal(model.device.config_writes, 0);
    end();
}

/* covers: NET-CFG-5 NET-CFG-6 CORE-CFG-4 */
static void the_link_state(void **state)
{
    uint16_t down = 0, up = 1, more = 0xfffe;

    (void)state;
    make_nic(0);
    assert_true(nic->link_up);
    end();
    make_nic(USUAL);
    assert_true(nic->link_up);
    device_change_config(&model.device, NET_CONFIG_STATUS, &down, 2);
    hosted_interrupts_deliver();
    assert_true(nic->link_up);
    virtio_poll();
    assert_false(nic->link_up);
    assert_int_equal(user.changed, 1);
    device_change_config(&model.device, NET_CONFIG_STATUS, &up, 2);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_true(nic->link_up);
    device_change_config(&model.device, NET_CONFIG_STATUS, &more, 2);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_false(nic->link_up);
    end();
}

/* covers: NET-CFG-7 NET-CFG-8 NET-CFG-9 */
static void the_mtu(void **state)
{
    static const struct {
        uint16_t mtu, expected;
    } mtus[] = {{1500, 1500}, {68, 68}, {576, 576}, {67, 1500}, {0, 1500}, {1518, 1518}};

    (void)state;
    make_nic(USUAL);
    assert_int_equal(nic->mtu, 1500);
    end();
    for (unsigned i = 0; i < 6; i++) {
        fake_pci_reset();
        memset(&user, 0, sizeof(user));
        device_net_init(&model, USUAL | BIT(NET_F_MTU), 64, 3);
        memcpy(model.device.config + NET_CONFIG_MTU, &mtus[i].mtu, 2);
        memory = platform_dma_alloc(BUFFERS * BUFFER_SIZE + TX_SIZE, 4096);
        assert_int_equal(virtio_pci_scan(), 1);
        nic = nic_at(0);
        nic_attach(nic, &callbacks, &user);
        assert_int_equal(nic->mtu, mtus[i].expected);
        if (mtus[i].mtu >= 68) {
            assert_true(nic->rx_buffer_min >= mtus[i].mtu + 14u + 12u);
            provide(BUFFERS);
            assert_int_equal(receive(mtus[i].mtu + 14u, NULL), 1);
            assert_int_equal(transmit(mtus[i].mtu + 14u, 1, NULL, 1), 0);
            nic_kick(nic);
            device_run(&model.device);
        }
        end();
    }
}

#define ALWAYS                                                                                 \
    (BIT(NET_F_CSUM) | BIT(NET_F_GUEST_CSUM) | BIT(NET_F_MTU) | USUAL | BIT(F_INDIRECT_DESC) | \
     BIT(F_EVENT_IDX))
#define CONTROLS                                                                        \
    (BIT(NET_F_CTRL_GUEST_OFFLOADS) | BIT(NET_F_CTRL_VLAN) | BIT(NET_F_CTRL_RX_EXTRA) | \
     BIT(NET_F_CTRL_MAC_ADDR))
#define SEGMENTS_OUT \
    (BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) | BIT(NET_F_HOST_ECN) | BIT(NET_F_HOST_UFO))
#define SEGMENTS_IN \
    (BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) | BIT(NET_F_GUEST_ECN) | BIT(NET_F_GUEST_UFO))

/*
 * covers: CORE-FEAT-1 CORE-FEAT-2 NET-FEATDEP-1 NET-CFG-13 NET-CFG-14 NET-TX-7 NET-TX-8 NET-TX-11
 */
static void features_that_are_accepted(void **state)
{
    (void)state;
    make_nic(~UINT64_C(0));
    assert_int_equal(model.device.accepted[0], ALWAYS | BIT(NET_F_MRG_RXBUF) | SEGMENTS_OUT |
                                                   SEGMENTS_IN | BIT(NET_F_CTRL_VQ) |
                                                   BIT(NET_F_CTRL_RX) | CONTROLS |
                                                   BIT(NET_F_GUEST_ANNOUNCE) | BIT(NET_F_MQ));
    assert_int_equal(model.device.accepted[1],
                     1u << (F_VERSION_1 - 32) | 1u << (F_ACCESS_PLATFORM - 32) |
                         1u << (F_RING_PACKED - 32) | 1u << (F_IN_ORDER - 32) |
                         1u << (F_ORDER_PLATFORM - 32) | 1u << (F_NOTIFICATION_DATA - 32) |
                         1u << (F_NOTIF_CONFIG_DATA - 32) | 1u << (F_RING_RESET - 32) |
                         1u << (NET_F_SPEED_DUPLEX - 32) | 1u << (NET_F_GUEST_HDRLEN - 32) |
                         1u << (NET_F_GUEST_USO4 - 32) | 1u << (NET_F_GUEST_USO6 - 32) |
                         1u << (NET_F_HOST_USO - 32) | 1u << (NET_F_NOTF_COAL - 32) |
                         1u << (NET_F_VQ_NOTF_COAL - 32));
    assert_int_equal(nic->mtu, 9000);
    assert_int_equal(nic->offloads, NIC_CHECKSUM | NIC_SEGMENT_TCP4 | NIC_SEGMENT_TCP6 |
                                        NIC_SEGMENT_ECN | NIC_SEGMENT_UDP | NIC_FRAGMENT_UDP |
                                        NIC_LARGE_RECEIVE);
    end();
}

/* covers: NET-FEATDEP-1 NET-RX-1 */
static void features_that_need_others(void **state)
{
    static const struct {
        uint64_t offered;
        uint32_t accepted;
    } sets[] = {
        {SEGMENTS_OUT, 0},
        {SEGMENTS_OUT | BIT(NET_F_CSUM), SEGMENTS_OUT | BIT(NET_F_CSUM)},
        {BIT(NET_F_HOST_ECN) | BIT(NET_F_CSUM), BIT(NET_F_CSUM)},
        {SEGMENTS_IN | BIT(NET_F_MRG_RXBUF), BIT(NET_F_MRG_RXBUF)},
        {SEGMENTS_IN | BIT(NET_F_GUEST_CSUM), BIT(NET_F_GUEST_CSUM)},
        {BIT(NET_F_CTRL_RX) | BIT(NET_F_GUEST_ANNOUNCE) | BIT(NET_F_STATUS), BIT(NET_F_STATUS)},
        {BIT(NET_F_CTRL_VQ) | BIT(NET_F_GUEST_ANNOUNCE), BIT(NET_F_CTRL_VQ)},
        {BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX_EXTRA) | BIT(NET_F_CTRL_MAC_ADDR),
         BIT(NET_F_CTRL_VQ)},
        {CONTROLS | BIT(NET_F_CTRL_RX), 0},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        make_nic(sets[i].offered);
        assert_int_equal(model.device.accepted[0], sets[i].accepted);
        end();
    }
}

/* ---- recovery ---- */

/* covers: CLEAN-2 CORE-STATUS-4 */
static void a_reset_returns_every_buffer_and_starts_again(void **state)
{
    (void)state;
    make_nic(USUAL);
    provide(BUFFERS);
    model.hold_tx = true;
    for (unsigned i = 0; i < 10; i++)
        transmit(100, 1, NULL, i + 1);
    nic_kick(nic);
    device_run(&model.device);
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(user.sent, 10);
    assert_int_equal(user.reclaimed, BUFFERS);
    assert_int_equal(user.restarted, 1);
    assert_int_equal(lent(), BUFFERS);
    model.hold_tx = false;
    assert_int_equal(receive(200, NULL), 1);
    assert_int_equal(transmit(100, 1, NULL, 1), 0);
    nic_kick(nic);
    device_run(&model.device);
    assert_int_equal(model.sent_count, 11);
    end();
}

static void a_broken_transmit_queue_is_recovered(void **state)
{
    (void)state;
    make_nic(USUAL);
    provide(BUFFERS);
    transmit(100, 1, NULL, 1);
    nic_kick(nic);
    ring_device_push_raw(&model.device.queue[1].ring, 12345, 0);
    nic_poll(nic, 64);
    assert_int_equal(user.sent, 1);
    /* A transmit queue that is reset alone leaves what was lent for reception where it is. */
    assert_int_equal(user.restarted, !device_has(&model.device, F_RING_RESET));
    assert_int_equal(receive(200, NULL), 1);
    end();
}

/* A NIC that does not come back refuses everything, without a crash. */
static void a_lost_device_refuses_everything(void **state)
{
    (void)state;
    make_nic(USUAL);
    provide(BUFFERS);
    model.device.lies.refuse_features = true;
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(lent(), 0);
    assert_int_equal(user.restarted, 0);
    assert_int_equal(transmit(100, 1, NULL, 1), -EIO);
    void *buffer = memory;
    assert_int_equal(nic_rx_provide(nic, &buffer, 1, BUFFER_SIZE), -EIO);
    assert_int_equal(nic_poll(nic, 64), 0);
    nic_kick(nic);
    nic_arm(nic);
    assert_int_equal(nic_rx_room(nic), 0);
    end();
}

/* Rings of every size, also too small to be of much use. */
static void small_and_large_rings(void **state)
{
    static const uint16_t sizes[] = {2, 4, 16, 256, 1024};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(make_nic_sized(USUAL | BIT(NET_F_MRG_RXBUF), sizes[i]), 1);
        for (unsigned n = 0; n < 100; n++) {
            provide(BUFFERS);
            assert_int_equal(receive(300, NULL), 1);
            assert_int_equal(transmit(300, 1, NULL, 1), 0);
            nic_kick(nic);
            device_run(&model.device);
            nic_poll(nic, 64);
        }
        assert_int_equal(user.sent, 100);
        end();
    }
}

static void bring_up_survives_lack_of_memory(void **state)
{
    unsigned nth, driven = 0;

    (void)state;
    for (nth = 1; !driven && nth < 60; nth++) {
        fake_pci_reset();
        virtio_set_drivers(net_drivers, 1);
        virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
        device_net_init(&model, USUAL, 64, 3);
        hosted_dma_fail_nth(nth);
        driven = virtio_pci_scan();
        hosted_dma_fail_nth(0);
        if (driven)
            nic_attach(nic_at(0), &callbacks, &user);
        virtio_shutdown();
        assert_null(nic_at(0));
        assert_int_equal(hosted_dma_allocations(), 0);
        device_net_finish(&model);
    }
    assert_in_range(nth, 8, 59);
    fake_pci_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_mac_address),
        TEST(the_link_state),
        TEST(the_mtu),
        TEST(features_that_are_accepted),
        TEST(features_that_need_others),
        TEST(a_reset_returns_every_buffer_and_starts_again),
        TEST(a_broken_transmit_queue_is_recovered),
        TEST(a_lost_device_refuses_everything),
        TEST(small_and_large_rings),
        TEST(bring_up_survives_lack_of_memory),
    };
    const struct CMUnitTest flows[] = {
        TEST(a_reset_returns_every_buffer_and_starts_again),
        TEST(a_broken_transmit_queue_is_recovered),
        TEST(small_and_large_rings),
        TEST(bring_up_survives_lack_of_memory),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
