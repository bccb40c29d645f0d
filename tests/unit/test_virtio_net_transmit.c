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
 * test_virtio_net_transmit.c - the network device driver (5.1): frames that are sent, with what the
 * device is asked to do with them.
 *
 * Read nic_user.h first.
 */
#include "nic_user.h"

/* ---- sending ---- */

/* covers: NET-TX-1 NET-TX-2 NET-TX-3 NET-TX-22 NET-TX-31 */
static void frames_are_sent_as_they_are(void **state)
{
    (void)state;
    for (unsigned features = 0; features < 4; features++) {
        make_nic(USUAL | (uint64_t)features << F_INDIRECT_DESC);
        for (uint32_t len = 14; len <= 1514; len += 50)
            for (unsigned pieces = 1; pieces <= NIC_MAX_TX_PIECES; pieces += 7) {
                if (len < pieces)
                    continue;
                user.headroom = len % 100 == 14 ? TX_HEADROOM : 0;
                assert_int_equal(transmit(len, pieces, NULL, 1), 0);
                nic_kick(nic);
                device_run(&model.device);
                nic_poll(nic, 64);
                const struct device_net_frame *frame = device_net_last(&model);
                assert_int_equal(frame->len, len);
                assert_memory_equal(frame->data, frame_of(len), len);
                assert_int_equal(frame->header.flags, 0);
                assert_int_equal(user.in_flight[0], 0);
            }
        assert_int_equal(nic->stats.tx_frames, user.sent);
        end();
    }
}

/*
 * Header and frame take one descriptor when there is room in front, and nothing else is written.
 * covers: SPLIT-FRAME-2
 */
static void the_header_goes_into_the_headroom(void **state)
{
    (void)state;
    make_nic(USUAL);
    uint32_t header = nic->tx_headroom;
    assert_int_equal(header, WIRE_NET_HDR_SIZE);
    for (user.headroom = header - 1; user.headroom <= header + 1; user.headroom++)
        for (unsigned pieces = 1; pieces <= 3; pieces++) {
            bool joined = user.headroom >= header;
            memset(TX_MEMORY - TX_HEADROOM, 0xa5, TX_HEADROOM);
            assert_int_equal(transmit(600, pieces, NULL, 1), 0);
            nic_kick(nic);
            device_run(&model.device);
            nic_poll(nic, 64);
            const struct device_net_frame *frame = device_net_last(&model);
            assert_int_equal(frame->pieces, pieces + !joined);
            assert_memory_equal(frame->data, frame_of(600), 600);
            for (unsigned i = 1; i <= TX_HEADROOM; i++)
                assert_int_equal(*(TX_MEMORY - i), joined && i <= header ? 0 : 0xa5);
        }
    end();
}

/* covers: NET-CFG-9 */
static void bad_frames_are_not_sent(void **state)
{
    (void)state;
    make_nic(USUAL);
    assert_int_equal(transmit(13, 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(1519, 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(15000, 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(1000, NIC_MAX_TX_PIECES + 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(1000, 1, &(struct nic_offload){.checksum_start = 34}, 1), -EINVAL);
    struct virtqueue_sg wrap[2] = {{TX_MEMORY, UINT32_MAX}, {TX_MEMORY, 100}};
    assert_int_equal(nic_tx(nic, wrap, 2, 0, NULL, memory), -EINVAL);
    nic_kick(nic);
    device_run(&model.device);
    assert_int_equal(model.sent_count, 0);
    assert_int_equal(user.sent, 0);
    end();
}

/* covers: NET-TX-3 NET-TX-20 NET-TX-21 */
static void the_device_completes_checksums(void **state)
{
    struct nic_offload checksum = {.checksum_start = 34, .checksum_offset = 16};

    (void)state;
    make_nic(USUAL | BIT(NET_F_CSUM));
    assert_true(nic->offloads & NIC_CHECKSUM);
    assert_int_equal(transmit(200, 2, &checksum, 1), 0);
    assert_int_equal(transmit(200, 2, NULL, 2), 0);
    nic_kick(nic);
    device_run(&model.device);
    assert_int_equal(model.sent[0].header.flags, NET_NEEDS_CSUM);
    assert_int_equal(model.sent[0].header.csum_start, 34);
    assert_int_equal(model.sent[0].header.csum_offset, 16);
    assert_int_equal(model.sent[1].header.flags, 0);
    assert_int_equal(model.sent[1].header.csum_start, 0);
    end();
    make_nic(USUAL);
    assert_false(nic->offloads & NIC_CHECKSUM);
    end();
}

/* Makes the frame in TX_MEMORY TCP's over IPv4 or IPv6, without options. */
static void make_tcp(bool ipv6, bool cwr)
{
    uint8_t *tcp = TX_MEMORY + (ipv6 ? 54 : 34);

    TX_MEMORY[12] = ipv6 ? 0x86 : 0x08;
    TX_MEMORY[13] = ipv6 ? 0xdd : 0x00;
    TX_MEMORY[14] = ipv6 ? 0x60 : 0x45;
    TX_MEMORY[ipv6 ? 20 : 23] = 6;
    tcp[12] = 5 << 4;
    tcp[13] = cwr ? 0x90 : 0x10;
}

/* covers: NET-TX-5 NET-TX-6 NET-TX-9 NET-TX-10 NET-TX-23 NET-TX-24 NET-TX-26 */
static void the_device_cuts_large_frames(void **state)
{
    static const uint32_t lens[] = {1515, 9000, 65500, NIC_LARGE_FRAME};

    (void)state;
    make_nic(USUAL | BIT(NET_F_CSUM) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
             BIT(NET_F_HOST_ECN));
    for (unsigned i = 0; i < 16; i++) {
        bool ipv6 = i & 1, ecn = i & 2;
        uint32_t len = lens[i / 4];
        struct nic_offload offload = {ipv6 ? 54 : 34, 16, 1460, ipv6 ? 74 : 54, ipv6, ecn};
        struct virtqueue_sg sg[2] = {{TX_MEMORY, 100}, {TX_MEMORY + 100, len - 100}};
        memcpy(TX_MEMORY, frame_of(len), len);
        make_tcp(ipv6, ecn);
        assert_int_equal(nic_tx(nic, sg, 2, 0, &offload, (void *)1), 0);
        user.in_flight[0]++;
        nic_kick(nic);
        device_run(&model.device);
        nic_poll(nic, 64);
        const struct device_net_frame *frame = device_net_last(&model);
        assert_int_equal(frame->len, len);
        assert_memory_equal(frame->data, TX_MEMORY, len);
        assert_int_equal(frame->header.gso_type, (ipv6 ? 4 : 1) | (ecn ? 0x80 : 0));
        assert_int_equal(frame->header.gso_size, 1460);
        assert_int_equal(frame->header.hdr_len, ipv6 ? 74 : 54);
        assert_int_equal(frame->header.flags, NET_NEEDS_CSUM);
    }
    assert_int_equal(nic->stats.tx_large, 16);
    end();
}

/* covers: NET-TX-7 NET-TX-8 NET-TX-23 NET-TX-24 NET-TX-25 NET-TX-30 */
static void the_device_cuts_datagrams(void **state)
{
    static const struct {
        uint64_t feature;
        enum nic_cut cut;
        uint16_t size;
        uint8_t gso_type;
    } kinds[] = {{BIT(NET_F_HOST_USO), NIC_CUT_DATAGRAMS, 1200, 5},
                 {BIT(NET_F_HOST_UFO), NIC_CUT_FRAGMENTS, 1480, 3}};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        bool ipv6 = i & 1, able = i & 2;
        unsigned kind = i / 4;
        make_nic(USUAL | BIT(NET_F_CSUM) | BIT(NET_F_GUEST_HDRLEN) |
                 kinds[able ? kind : !kind].feature);
        struct nic_offload offload = {.checksum_start = ipv6 ? 54 : 34,
                                      .checksum_offset = 6,
                                      .segment_size = kinds[kind].size,
                                      .header_len = ipv6 ? 62 : 42,
                                      .cut = kinds[kind].cut};
        struct virtqueue_sg sg = {TX_MEMORY, 30000};
        memcpy(TX_MEMORY, frame_of(30000), 30000);
        make_tcp(ipv6, false);
        TX_MEMORY[ipv6 ? 20 : 23] = 17;
        assert_int_equal(nic_tx(nic, &sg, 1, 0, &offload, (void *)1), able ? 0 : -EINVAL);
        user.in_flight[0] += able;
        nic_kick(nic);
        device_run(&model.device);
        nic_poll(nic, 64);
        if (able) {
            const struct device_net_frame *frame = device_net_last(&model);
            assert_memory_equal(frame->data, TX_MEMORY, 30000);
            assert_int_equal(frame->header.gso_type, kinds[kind].gso_type);
            assert_int_equal(frame->header.gso_size, kinds[kind].size);
        }
        end();
    }
}

/* covers: NET-TX-5 NET-TX-6 NET-TX-9 NET-TX-22 */
static void what_the_device_cannot_cut_is_refused(void **state)
{
    struct nic_offload offload = {34, 16, 1460, 54, false, false};

    (void)state;
    make_nic(USUAL | BIT(NET_F_CSUM));
    assert_int_equal(transmit(9000, 1, &offload, 1), -EINVAL);
    end();
    make_nic(USUAL | BIT(NET_F_CSUM) | BIT(NET_F_HOST_TSO6));
    assert_int_equal(transmit(9000, 1, &offload, 1), -EINVAL);
    end();
    make_nic(USUAL | BIT(NET_F_CSUM) | BIT(NET_F_HOST_TSO4));
    offload.ecn = true;
    assert_int_equal(transmit(9000, 1, &offload, 1), -EINVAL);
    offload = (struct nic_offload){54, 16, 1460, 74, true, false};
    assert_int_equal(transmit(9000, 1, &offload, 1), -EINVAL);
    struct virtqueue_sg sg = {TX_MEMORY, NIC_LARGE_FRAME + 1};
    offload = (struct nic_offload){34, 16, 1460, 54, false, false};
    assert_int_equal(nic_tx(nic, &sg, 1, 0, &offload, memory), -EINVAL);
    assert_int_equal(model.sent_count, 0);
    end();
}

/* The budget is for frames: one is received although more transmissions than it have completed. */
static void completed_transmissions_leave_the_budget_alone(void **state)
{
    (void)state;
    make_nic(USUAL);
    provide(BUFFERS);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(transmit(100, 1, NULL, i + 1), 0);
    nic_kick(nic);
    device_run(&model.device);
    assert_int_not_equal(device_net_receive(&model, frame_of(100), 100, NULL), 0);
    assert_int_equal(nic_poll(nic, 8), 21);
    assert_int_equal(user.frames, 1);
    end();
}

static void a_full_ring_is_reaped_or_refused(void **state)
{
    unsigned n = 0;

    (void)state;
    make_nic(USUAL);
    model.hold_tx = true;
    while (transmit(100, 1, NULL, n % 64 + 1) == 0) {
        nic_kick(nic);
        device_run(&model.device);
        n++;
    }
    assert_int_equal(n, 32); /* header and frame in a ring of 64 */
    assert_int_equal(transmit(100, 1, NULL, 40), -ENOSPC);
    assert_int_equal(nic->stats.tx_full, 2);
    assert_int_equal(user.sent, 0);
    /* Completed frames are reaped by the next transmission itself. */
    device_net_release_tx(&model, true);
    assert_int_equal(transmit(100, 1, NULL, 40), 0);
    assert_int_equal(user.sent, 32);
    nic_kick(nic);
    device_run(&model.device);
    device_net_release_tx(&model, false);
    nic_poll(nic, 64);
    assert_int_equal(user.sent, 33);
    end();
}

static void one_notification_for_a_batch(void **state)
{
    (void)state;
    make_nic(USUAL);
    for (unsigned i = 0; i < 8; i++)
        transmit(100, 1, NULL, i + 1);
    uint64_t before = model.device.queue[1].ring.count.notified;
    nic_kick(nic);
    nic_kick(nic);
    assert_int_equal(model.device.queue[1].ring.count.notified, before + 1);
    device_run(&model.device);
    assert_int_equal(model.sent_count, 8);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_are_sent_as_they_are),
        TEST(the_header_goes_into_the_headroom),
        TEST(bad_frames_are_not_sent),
        TEST(the_device_completes_checksums),
        TEST(the_device_cuts_large_frames),
        TEST(the_device_cuts_datagrams),
        TEST(what_the_device_cannot_cut_is_refused),
        TEST(completed_transmissions_leave_the_budget_alone),
        TEST(a_full_ring_is_reaped_or_refused),
        TEST(one_notification_for_a_batch),
    };
    const struct CMUnitTest flows[] = {
        TEST(frames_are_sent_as_they_are),    TEST(the_header_goes_into_the_headroom),
        TEST(the_device_completes_checksums), TEST(the_device_cuts_large_frames),
        TEST(one_notification_for_a_batch),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
