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
 * test_virtio_net_receive.c - the network device driver (5.1): received frames, honest and not.
 *
 * Read nic_user.h first.
 */
#include "nic_user.h"

/* ---- receiving ---- */

/* covers: NET-RX-2 NET-RX-3 NET-RX-4 NET-T-MERGE-1 NET-CFG-8 */
static void frames_of_every_length_arrive(void **state)
{
    (void)state;
    for (unsigned merge = 0; merge < 2; merge++) {
        make_nic(USUAL | BIT(NET_F_MRG_RXBUF) * merge);
        for (uint32_t len = 14; len <= 1514; len += len < 70 ? 1 : 37) {
            provide(BUFFERS);
            assert_int_equal(receive(len, NULL), 1);
            assert_int_equal(user.len, len);
            assert_memory_equal(user.frame, frame_of(len), len);
            assert_int_equal(user.pieces, 1);
        }
        assert_int_equal(user.reclaimed, 0);
        assert_int_equal(nic->stats.rx_frames, user.frames);
        end();
    }
}

/* covers: NET-T-MERGE-1 NET-RX-3 */
static void a_frame_in_many_buffers(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(NET_F_MRG_RXBUF));
    for (uint32_t len = 2000; len < 60000; len += 4999) {
        provide(BUFFERS);
        assert_int_equal(receive(len, NULL), 1);
        assert_int_equal(user.len, len);
        assert_memory_equal(user.frame, frame_of(len), len);
        assert_int_equal(user.pieces, (len + 12 + BUFFER_SIZE - 1) / BUFFER_SIZE);
    }
    assert_int_equal(user.reclaimed, 0);
    end();
}

/*
 * A device that uses only a few bytes of each buffer is odd, but within the rules.
 * covers: NET-T-MERGE-1
 */
static void a_frame_in_sparingly_used_buffers(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(NET_F_MRG_RXBUF));
    provide(BUFFERS);
    assert_int_equal(receive(1000, &(struct device_net_rx){.split_at = 100}), 1);
    assert_memory_equal(user.frame, frame_of(1000), 1000);
    /*
     * With the header alone in the first buffer that piece is empty: the driver drops such a frame,
     * and loses nothing.
     */
    provide(BUFFERS);
    assert_int_equal(receive(60, &(struct device_net_rx){.split_at = 12}), 0);
    assert_int_equal(user.reclaimed, 6);
    assert_int_equal(lent(), BUFFERS - 6);
    assert_int_equal(user.restarted, 0);
    end();
}

/*
 * A frame that is too short, or whose first buffer lacks the header, is dropped; the next one is
 * taken.
 */
static void short_frames_are_dropped(void **state)
{
    (void)state;
    for (unsigned merge = 0; merge < 2; merge++) {
        make_nic(USUAL | BIT(NET_F_MRG_RXBUF) * merge);
        for (unsigned written = 0; written < 12 + 14; written++) {
            provide(BUFFERS);
            unsigned before = user.reclaimed;
            struct device_net_rx how = {.short_by = 12 + 60 - written};
            assert_int_equal(receive(60, &how), 0);
            assert_int_equal(user.reclaimed, before + 1);
        }
        assert_int_equal(nic->stats.rx_dropped, 26);
        provide(BUFFERS);
        assert_int_equal(receive(60, NULL), 1);
        end();
    }
}

/* covers: NET-T-MERGE-1 */
static void num_buffers_means_nothing_without_merging(void **state)
{
    static const uint16_t lies[] = {0, 2, 17, 0xffff};

    (void)state;
    make_nic(USUAL);
    for (unsigned i = 0; i < 4; i++) {
        struct device_net_rx how = {.header.num_buffers = lies[i], .lie_num_buffers = true};
        provide(BUFFERS);
        assert_int_equal(receive(100, &how), 1);
    }
    end();
}

/*
 * Impossible numbers of buffers: the frame is dropped, the device recovered, and no buffer is lost.
 */
static void lies_about_num_buffers(void **state)
{
    static const uint16_t lies[] = {0, 2, 3, 49, 1000, 0xffff};

    (void)state;
    make_nic(USUAL | BIT(NET_F_MRG_RXBUF));
    provide(BUFFERS);
    for (unsigned i = 0; i < 6; i++) {
        struct device_net_rx how = {.header.num_buffers = lies[i], .lie_num_buffers = true};
        assert_int_equal(receive(100, &how), 0);
        assert_int_equal(user.restarted, i + 1);
        assert_int_equal(lent(), BUFFERS);
        assert_int_equal(receive(100, NULL), 1);
        provide(BUFFERS);
    }
    end();
}

/* A device that spreads a frame over more buffers than any frame needs, and has them all used. */
static void a_frame_in_too_many_buffers(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(NET_F_MRG_RXBUF));
    provide(BUFFERS);
    assert_int_equal(receive(47 * 20 + 8, &(struct device_net_rx){.split_at = 20}), 1);
    assert_int_equal(user.pieces, 48);
    provide(BUFFERS);
    assert_int_equal(receive(60 * 20 - 12, &(struct device_net_rx){.split_at = 20}), 0);
    assert_int_equal(user.restarted, 1);
    assert_int_equal(lent(), BUFFERS);
    end();
}

/* A frame of three buffers of which one is used yet: by the rules all are used together. */
static void a_frame_with_a_missing_buffer(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(NET_F_MRG_RXBUF));
    provide(BUFFERS);
    assert_int_equal(receive(5000, &(struct device_net_rx){.keep_back = 1}), 0);
    assert_int_equal(user.restarted, 1);
    assert_int_equal(lent(), BUFFERS);
    assert_int_equal(receive(5000, NULL), 1);
    end();
}

/* covers: NET-RXPROC-1 NET-RXPROC-3 NET-RXPROC-6 */
static void checksum_flags_mean_what_they_say(void **state)
{
    static const struct {
        uint8_t flags;
        enum nic_checksum expected;
    } flags[] = {{0, NIC_CHECKSUM_UNKNOWN},
                 {NET_DATA_VALID, NIC_CHECKSUM_VALID},
                 {NET_NEEDS_CSUM, NIC_CHECKSUM_PARTIAL},
                 {0xf0, NIC_CHECKSUM_UNKNOWN},
                 {0xf0 | NET_DATA_VALID, NIC_CHECKSUM_VALID}};

    (void)state;
    for (unsigned offload = 0; offload < 2; offload++) {
        make_nic(USUAL | BIT(NET_F_GUEST_CSUM) * offload);
        for (unsigned i = 0; i < 5; i++) {
            struct device_net_rx how = {.header = {.flags = flags[i].flags,
                                                   .csum_start = 0xffff,
                                                   .csum_offset = 0xffff,
                                                   .hdr_len = 0xffff}};
            provide(BUFFERS);
            assert_int_equal(receive(100, &how), 1);
            assert_int_equal(user.checksum, offload ? flags[i].expected : NIC_CHECKSUM_UNKNOWN);
        }
        end();
    }
}

/* Segmented frames were not negotiated. */
static void segmented_frames_are_dropped(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(NET_F_GUEST_CSUM));
    for (unsigned type = 1; type < 256; type <<= 1) {
        struct device_net_rx how = {.header.gso_type = (uint8_t)type};
        provide(BUFFERS);
        assert_int_equal(receive(100, &how), 0);
    }
    assert_int_equal(nic->stats.rx_dropped, 8);
    end();
}

/*
 * Frames of several segments, of the kinds that were negotiated; what else the header says about
 * them may be nonsense.
 * covers: NET-RXPROC-4 NET-RXPROC-5 NET-T-MERGE-1
 */
static void large_frames_of_the_negotiated_kinds(void **state)
{
    static const struct {
        uint64_t features;
        uint8_t type;
        bool good;
    } kinds[] = {
        {BIT(NET_F_GUEST_TSO4), 1, true},
        {BIT(NET_F_GUEST_TSO4), 4, false},
        {BIT(NET_F_GUEST_TSO4), 0x81, false},
        {BIT(NET_F_GUEST_TSO6), 4, true},
        {BIT(NET_F_GUEST_TSO6), 1, false},
        {BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_ECN), 0x81, true},
        {BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_ECN), 0x80, false},
        {BIT(NET_F_GUEST_UFO), 3, true},
        {BIT(NET_F_GUEST_TSO4), 3, false},
        {BIT(NET_F_GUEST_TSO4), 5, false},
        {BIT(NET_F_GUEST_USO4), 5, true},
        {BIT(NET_F_GUEST_USO6), 5, true},
        {BIT(NET_F_GUEST_USO6), 3, false},
        {BIT(NET_F_GUEST_TSO4), 9, false},
        {BIT(NET_F_GUEST_TSO4), 0x7f, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        make_nic(USUAL | BIT(NET_F_MRG_RXBUF) | BIT(NET_F_GUEST_CSUM) | kinds[i].features);
        assert_true(nic->offloads & NIC_LARGE_RECEIVE);
        provide(BUFFERS);
        struct device_net_rx how = {.header = {.flags = NET_NEEDS_CSUM,
                                               .gso_type = kinds[i].type,
                                               .gso_size = 1448,
                                               .hdr_len = 0xffff}};
        assert_int_equal(receive(60000, &how), kinds[i].good);
        assert_int_equal(nic->stats.rx_large, kinds[i].good);
        assert_int_equal(user.how.datagram_size, kinds[i].good && kinds[i].type == 5 ? 1448 : 0);
        provide(BUFFERS);
        how.header.gso_size = 0;
        assert_int_equal(receive(60000, &how), 0);
        if (kinds[i].good)
            assert_memory_equal(user.frame, frame_of(60000), 60000);
        end();
    }
}

static void the_budget_bounds_a_poll(void **state)
{
    (void)state;
    make_nic(USUAL);
    provide(BUFFERS);
    for (unsigned i = 0; i < 20; i++)
        device_net_receive(&model, frame_of(60), 60, NULL);
    assert_int_equal(nic_poll(nic, 8), 8);
    assert_int_equal(user.frames, 8);
    assert_false(nic_arm(nic));
    assert_int_equal(nic_poll(nic, 64), 12);
    assert_true(nic_arm(nic));
    end();
}

/* covers: SPLIT-T-RECHECK-1 */
static void arm_and_interrupt(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(F_EVENT_IDX));
    provide(BUFFERS);
    nic_poll(nic, 64);
    device_net_receive(&model, frame_of(60), 60, NULL);
    assert_false(ring_device_signal(&model.device.queue[0].ring));
    assert_false(nic_arm(nic));
    nic_poll(nic, 64);
    assert_true(nic_arm(nic));
    device_net_receive(&model, frame_of(60), 60, NULL);
    device_signal(&model.device, 0);
    assert_int_equal(hosted_interrupts_deliver(), 1);
    assert_int_equal(nic_poll(nic, 64), 1);
    end();
}

/* covers: NET-RX-2 NET-RX-3 */
static void bad_receive_buffers_are_refused(void **state)
{
    (void)state;
    make_nic(USUAL);
    void *first = memory, *other = TX_MEMORY;
    assert_int_equal(nic_rx_provide(nic, &first, 1, nic->rx_buffer_min - 1), -EINVAL);
    assert_int_equal(provide(BUFFERS), 64);
    assert_int_equal(nic_rx_room(nic), 0);
    assert_int_equal(nic_rx_provide(nic, &other, 1, BUFFER_SIZE), -ENOSPC);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_of_every_length_arrive),
        TEST(a_frame_in_many_buffers),
        TEST(a_frame_in_sparingly_used_buffers),
        TEST(short_frames_are_dropped),
        TEST(num_buffers_means_nothing_without_merging),
        TEST(lies_about_num_buffers),
        TEST(a_frame_in_too_many_buffers),
        TEST(a_frame_with_a_missing_buffer),
        TEST(checksum_flags_mean_what_they_say),
        TEST(segmented_frames_are_dropped),
        TEST(large_frames_of_the_negotiated_kinds),
        TEST(the_budget_bounds_a_poll),
        TEST(arm_and_interrupt),
        TEST(bad_receive_buffers_are_refused),
    };
    const struct CMUnitTest flows[] = {
        TEST(frames_of_every_length_arrive),
        TEST(a_frame_in_many_buffers),
        TEST(a_frame_in_sparingly_used_buffers),
        TEST(short_frames_are_dropped),
        TEST(large_frames_of_the_negotiated_kinds),
        TEST(the_budget_bounds_a_poll),
        TEST(arm_and_interrupt),
    };
    int failed = run_over_other_rings(flows, sizeof(flows) / sizeof(flows[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
