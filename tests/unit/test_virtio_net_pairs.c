// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c
// sources: tests/unit/nic_user.c virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_pci.c virtio/virtio_pci_access.c
// sources: virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c
// sources: boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c hosted/device.c
// sources: hosted/device_setup.c hosted/device_net.c hosted/device_net_control.c hosted/violation.c
// sources: hosted/ring_packed.c
/*
 * test_virtio_net_pairs.c - the network device driver (5.1) with several queue pairs: which are in
 * use, what goes through which, and a device that does not take them.
 *
 * Read nic_user.h first, then hosted/device_net.h.
 */
#include "nic_user.h"

#define PAIRS (USUAL | BIT(NET_F_CTRL_VQ) | BIT(NET_F_MQ))

/* The driver's; the core keeps the control queue behind the first pair. */
static const struct virtqueue *receive_queue(unsigned pair)
{
    return virtio_devices()->queue[2 * pair + (pair > 0)];
}

/* A UDP frame between two addresses in TX_MEMORY; `flow` is its source port. */
static int transmit_flow(uint16_t flow, bool ipv6, unsigned token)
{
    uint32_t ports = ipv6 ? 54 : 34;
    struct virtqueue_sg sg = {TX_MEMORY, 100};

    memset(TX_MEMORY, 0, 100);
    TX_MEMORY[12] = ipv6 ? 0x86 : 0x08;
    TX_MEMORY[13] = ipv6 ? 0xdd : 0x00;
    TX_MEMORY[14] = ipv6 ? 0x60 : 0x45;
    TX_MEMORY[16] = (uint8_t)token; /* differs between packets of a flow */
    TX_MEMORY[ports] = (uint8_t)(flow >> 8);
    TX_MEMORY[ports + 1] = (uint8_t)flow;
    int error = nic_tx(nic, &sg, 1, 0, NULL, (void *)(uintptr_t)token);
    user.in_flight[token - 1] += !error;
    nic_kick(nic);
    device_run(&model.device);
    nic_poll(nic, 64);
    return error;
}

/* covers: NET-MQ-1 NET-MQ-2 NET-T-INIT-1 */
static void as_many_pairs_as_asked_for(void **state)
{
    static const unsigned sets[][2] = {{0, 1}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {100, 3}};

    (void)state;
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        virtio_net_limit_pairs(sets[i][0]);
        make_nic(PAIRS | BIT(NET_F_CTRL_RX));
        assert_int_equal(model.control.pairs, sets[i][1]);
        assert_int_equal(model.control.commands, sets[i][1] > 1);
        assert_int_equal(model.device.queue[2 * sets[i][1]].enabled, sets[i][1] == 3);
        struct nic_filter filter = {.groups = 0};
        assert_int_equal(nic_set_filter(nic, &filter), 0); /* by queue 6, whatever is in use */
        end();
    }
    virtio_net_limit_pairs(3);
    make_nic(USUAL | BIT(NET_F_CTRL_VQ));
    assert_int_equal(model.control.commands, 0);
    end();
    make_nic(USUAL | BIT(NET_F_MQ));
    assert_false(device_has(&model.device, NET_F_MQ));
    end();
}

/* covers: NET-MQ-3 NET-MQ-4 */
static void a_flow_stays_on_its_queue(void **state)
{
    unsigned frames[DEVICE_NET_PAIRS] = {0};

    (void)state;
    virtio_net_limit_pairs(3);
    make_nic(PAIRS);
    for (unsigned flow = 0; flow < 256; flow++) {
        bool ipv6 = flow % 2;
        assert_int_equal(transmit_flow((uint16_t)(40000 + flow), ipv6, 1), 0);
        unsigned pair = device_net_last(&model)->pair;
        assert_int_equal(transmit_flow((uint16_t)(40000 + flow), ipv6, 2), 0);
        assert_int_equal(device_net_last(&model)->pair, pair);
        frames[pair]++;
    }
    for (unsigned i = 0; i < DEVICE_NET_PAIRS; i++)
        assert_in_range(frames[i], 48, 128);
    assert_int_equal(user.sent, 512);
    end();
}

/* covers: NET-RX-5 */
static void every_receive_queue_is_filled_and_polled(void **state)
{
    (void)state;
    virtio_net_limit_pairs(3);
    make_nic(PAIRS);
    provide(BUFFERS);
    for (unsigned i = 0; i < DEVICE_NET_PAIRS; i++)
        assert_in_range(ring_device_pending(&model.device.queue[2 * i].ring), BUFFERS / 3,
                        BUFFERS / 3 + 1);
    for (unsigned i = 0; i < 200; i++) {
        struct device_net_rx how = {.pair = i % 7 % DEVICE_NET_PAIRS};
        assert_int_equal(receive(100 + i, &how), 1);
        assert_int_equal(user.len, 100 + i);
        assert_memory_equal(user.frame, frame_of(100 + i), 100 + i);
        provide(BUFFERS);
    }
    /* One queue that is alone in getting frames gets the buffers for them, too. */
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(receive(500, &(struct device_net_rx){.pair = 2}), 1);
        provide(BUFFERS);
    }
    end();
}

/* A queue that is always full does not keep the others from being served. */
static void the_budget_is_shared(void **state)
{
    (void)state;
    virtio_net_limit_pairs(3);
    make_nic(PAIRS);
    provide(BUFFERS);
    for (unsigned i = 0; i < 48; i++)
        assert_int_equal(
            device_net_receive(&model, frame_of(60), 60, &(struct device_net_rx){.pair = i / 16}),
            1);
    for (unsigned turn = 0; turn < 8; turn++) {
        unsigned before[DEVICE_NET_PAIRS];
        for (unsigned i = 0; i < DEVICE_NET_PAIRS; i++)
            before[i] = virtqueue_in_flight(receive_queue(i));
        assert_int_equal(nic_poll(nic, 6), 6);
        for (unsigned i = 0; i < DEVICE_NET_PAIRS; i++)
            assert_int_equal(virtqueue_in_flight(receive_queue(i)), before[i] - 2);
    }
    assert_int_equal(nic_poll(nic, 6), 0);
    end();
}

static void a_device_that_refuses_pairs_has_one(void **state)
{
    (void)state;
    virtio_net_limit_pairs(3);
    make_nic(PAIRS);
    model.control.refuse = true;
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(model.control.pairs, 1);
    assert_int_equal(lent(), BUFFERS);
    assert_int_equal(ring_device_pending(&model.device.queue[0].ring), 64);
    for (unsigned flow = 0; flow < 16; flow++)
        assert_int_equal(transmit_flow((uint16_t)flow, false, 1), 0);
    model.control.refuse = false;
    device_need_reset(&model.device);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_int_equal(model.control.pairs, 3);
    assert_int_equal(receive(100, &(struct device_net_rx){.pair = 2}), 1);
    end();
}

/* 5.1.4.1 allows neither 0 nor more than 0x8000 pairs; there is no knowing the control queue then. */
static void an_impossible_number_of_pairs(void **state)
{
    static const uint16_t pairs[] = {0, 5, 0x8000, 0xffff};

    (void)state;
    virtio_net_limit_pairs(3);
    for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        begin_nic(PAIRS | BIT(NET_F_CTRL_RX), 64);
        memcpy(model.device.config + NET_CONFIG_PAIRS, &pairs[i], 2);
        assert_int_equal(virtio_pci_scan(), 1);
        nic = nic_at(0);
        nic_attach(nic, &callbacks, &user);
        struct nic_filter filter = {.groups = 0};
        assert_int_equal(nic_set_filter(nic, &filter), -ENOTSUP);
        provide(BUFFERS);
        assert_int_equal(receive(100, NULL), 1);
        assert_int_equal(transmit_flow(1, false, 1), 0);
        end();
    }
}

static int forget_limit(void **state)
{
    (void)state;
    virtio_net_limit_pairs(1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(as_many_pairs_as_asked_for),
        TEST(a_flow_stays_on_its_queue),
        TEST(every_receive_queue_is_filled_and_polled),
        TEST(the_budget_is_shared),
        TEST(a_device_that_refuses_pairs_has_one),
        TEST(an_impossible_number_of_pairs),
    };
    int failed = run_over_other_rings(tests, 5);

    return failed + cmocka_run_group_tests(tests, NULL, forget_limit);
}
