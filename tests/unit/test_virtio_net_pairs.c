// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c tests/unit/nic_user.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_net.c hosted/device_net_control.c hosted/violation.c hosted/ring_packed.c hosted/device_legacy.c
/*
 * test_virtio_net_pairs.c - the network device driver (5.1) with several queue pairs: which are in
 * use, what goes through which, and a device that does not take them.
 *
 * Read nic_user.h first, then hosted/device_net.h.
 */
#include "nic_user.h"

#include "hosted/device_legacy.h"

#define PAIRS (USUAL | BIT(NET_F_CTRL_VQ) | BIT(NET_F_MQ))

/* The driver's; the core keeps the control queue behind the first pair. */
static const struct virtqueue *receive_queue(unsigned pair)
{
    return virtio_devices()->queue[2 * pair + (pair > 0)];
}

#define FLOW_LEN 100u
#define TCP 6
#define UDP 17
#define FRAGMENT 44 /* in the place of a protocol: part of a UDP packet */

/* What tells packets of one flow from those of another. */
struct flow {
    bool ipv6, vlan;
    uint8_t protocol;
    uint16_t number; /* becomes addresses and ports */
};

/* One end of a flow: an address and a port. */
static void put_end(uint8_t *address, unsigned len, uint8_t *port, unsigned seed)
{
    for (unsigned i = 0; i < len; i++)
        address[i] = (uint8_t)(seed * 7 + i * 11);
    port[0] = (uint8_t)(seed >> 8);
    port[1] = (uint8_t)seed;
}

/* A packet of a flow, or with `back` of the other direction; `tag` differs between packets. */
static void make_packet(uint8_t *frame, struct flow flow, bool back, uint8_t tag)
{
    uint8_t *ip = frame + (flow.vlan ? 18 : 14), *type = ip - 2;
    uint8_t *ports = ip + (flow.ipv6 ? 40 : 20);
    unsigned len = flow.ipv6 ? 16 : 4;
    uint8_t *first = ip + (flow.ipv6 ? 8 : 12), *second = first + len;
    uint8_t protocol = flow.protocol == FRAGMENT && !flow.ipv6 ? UDP : flow.protocol;

    memset(frame, 0, FLOW_LEN);
    frame[12] = flow.vlan ? 0x81 : 0;
    type[0] = flow.ipv6 ? 0x86 : 0x08;
    type[1] = flow.ipv6 ? 0xdd : 0x00;
    ip[0] = flow.ipv6 ? 0x60 : 0x45;
    ip[flow.ipv6 ? 5 : 3] = 70;
    ip[flow.ipv6 ? 3 : 5] = tag;
    ip[flow.ipv6 ? 6 : 9] = protocol;
    if (flow.protocol == FRAGMENT && !flow.ipv6)
        ip[6] = 0x20;
    put_end(back ? second : first, len, ports + (back ? 2 : 0), flow.number);
    put_end(back ? first : second, len, ports + (back ? 0 : 2), 40001);
    if (flow.protocol == FRAGMENT)
        memset(ports, tag, 4);
}

static int transmit_packet(struct flow flow, bool back, unsigned token)
{
    struct virtqueue_sg sg = {TX_MEMORY, FLOW_LEN};

    make_packet(TX_MEMORY, flow, back, (uint8_t)token);
    int error = nic_tx(nic, &sg, 1, 0, NULL, (void *)(uintptr_t)token);
    user.in_flight[token - 1] += !error;
    nic_kick(nic);
    device_run(&model.device);
    nic_poll(nic, 64);
    return error;
}

static int transmit_flow(uint16_t number, bool ipv6, unsigned token)
{
    return transmit_packet((struct flow){.ipv6 = ipv6, .protocol = UDP, .number = number}, false,
                           token);
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

#define STEERED (PAIRS | BIT(NET_F_RSS))

/*
 * A flow's packets are sent by the pair that its answers come by, which the device chooses by the
 * hash and the table that it was given.
 * covers: NET-RSS-1 NET-RSS-2 NET-RSS-3 NET-RSS-4 NET-RSS-5 NET-RX-4 NET-CFG-13
 */
static void a_flow_has_one_pair_for_both_ways(void **state)
{
    static const uint8_t protocols[] = {UDP, TCP, FRAGMENT, 1};
    uint8_t packet[FLOW_LEN];

    (void)state;
    virtio_net_limit_pairs(3);
    for (unsigned reported = 0; reported < 2; reported++) {
        make_nic(STEERED | BIT(NET_F_HASH_REPORT) * reported);
        assert_true(model.control.steered);
        assert_int_equal(model.control.hash_types, 0x3f);
        assert_int_equal(nic->pairs, 3);
        for (unsigned i = 0; i < 512; i++) {
            struct flow flow = {.ipv6 = i & 1,
                                .vlan = i & 2,
                                .protocol = protocols[i / 4 % 4],
                                .number = (uint16_t)(i * 97)};
            uint32_t hash = 0;
            /* The model's own frames have no ports behind an IPv6 header that is not theirs. */
            if (flow.ipv6 && flow.protocol == FRAGMENT)
                continue;
            provide(BUFFERS);
            make_packet(packet, flow, true, (uint8_t)i);
            bool known = device_net_hash(&model.control, packet, FLOW_LEN, &hash) != 0;
            unsigned pair = model.control.table[hash & model.control.mask];
            assert_true(known);
            assert_int_equal(device_net_receive(&model, packet, FLOW_LEN,
                                                &(struct device_net_rx){.steered = true}),
                             1);
            assert_int_equal(nic_poll(nic, 64), 1);
            assert_memory_equal(user.frame, packet, FLOW_LEN);
            assert_int_equal(user.how.hashed, reported);
            assert_int_equal(user.how.hash, reported ? hash : 0);
            if (flow.ipv6 && flow.protocol == 1)
                continue; /* behind it no header is looked for */
            assert_int_equal(transmit_packet(flow, false, 1), 0);
            assert_int_equal(device_net_last(&model)->pair, pair);
        }
        assert_int_equal(nic->stats.rx_astray, 0);
        end();
    }
}

static void what_comes_by_a_wrong_queue_is_counted(void **state)
{
    uint8_t packet[FLOW_LEN];
    uint32_t hash = 0;
    unsigned kind;

    (void)state;
    virtio_net_limit_pairs(3);
    make_nic(STEERED | BIT(NET_F_HASH_REPORT));
    make_packet(packet, (struct flow){.protocol = UDP, .number = 5}, true, 0);
    kind = device_net_hash(&model.control, packet, FLOW_LEN, &hash);
    provide(BUFFERS);
    for (unsigned report = 0; report < 10; report++) {
        struct device_net_rx how = {
            .pair = (model.control.table[hash & model.control.mask] + 1u) % 3u,
            .header = {.hash_value = hash, .hash_report = (uint16_t)(report % 8 ? kind : report)}};
        assert_int_equal(device_net_receive(&model, packet, FLOW_LEN, &how), 1);
        assert_int_equal(nic_poll(nic, 64), 1);
        /* Kinds of hash that were not asked for, like 8, say nothing. */
        assert_int_equal(user.how.hashed, report % 8 != 0);
    }
    assert_int_equal(nic->stats.rx_astray, 8);
    end();
}

/* A key or a table that the device has no room for, no hash that we know, or a refusal. */
static void without_a_table_the_device_steers_by_itself(void **state)
{
    static const struct {
        uint8_t key_size;
        uint16_t table_size;
        uint32_t types;
    } devices[] = {{39, 128, 0x3f}, {40, 127, 0x3f}, {40, 128, 0x1c0}};

    (void)state;
    virtio_net_limit_pairs(3);
    for (unsigned i = 0; i < 3; i++) {
        begin_nic(STEERED, 64);
        model.device.config[NET_CONFIG_KEY_SIZE] = devices[i].key_size;
        memcpy(model.device.config + NET_CONFIG_TABLE_SIZE, &devices[i].table_size, 2);
        memcpy(model.device.config + NET_CONFIG_HASH_TYPES, &devices[i].types, 4);
        assert_int_equal(virtio_pci_scan(), 1);
        nic = nic_at(0);
        nic_attach(nic, &callbacks, &user);
        assert_false(model.control.steered);
        assert_int_equal(model.control.pairs, 3);
        end();
    }
    virtio_net_limit_pairs(1);
    make_nic(STEERED | BIT(NET_F_HASH_REPORT));
    assert_false(device_has(&model.device, NET_F_RSS));
    assert_false(device_has(&model.device, NET_F_HASH_REPORT));
    end();
}

/*
 * The legacy interface has the number of pairs in the guest's own order of bytes.
 * covers: LEG-NET-MQ-1
 */
static void a_legacy_device_has_pairs(void **state)
{
    (void)state;
    device_set_front(&device_legacy_front);
    virtio_net_limit_pairs(2);
    make_nic(PAIRS);
    assert_int_equal(model.control.pairs, 2);
    assert_int_equal(transmit_flow(1, false, 1), 0);
    end();
    device_set_front(NULL);
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
        TEST(a_flow_has_one_pair_for_both_ways),
        TEST(what_comes_by_a_wrong_queue_is_counted),
        TEST(as_many_pairs_as_asked_for),
        TEST(a_flow_stays_on_its_queue),
        TEST(every_receive_queue_is_filled_and_polled),
        TEST(the_budget_is_shared),
        TEST(a_device_that_refuses_pairs_has_one),
        TEST(an_impossible_number_of_pairs),
        TEST(without_a_table_the_device_steers_by_itself),
        TEST(a_legacy_device_has_pairs),
    };
    int failed = run_over_other_rings(tests, 7);

    return failed + cmocka_run_group_tests(tests, NULL, forget_limit);
}
