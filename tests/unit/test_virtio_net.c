// sources: net/virtio_net.c virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_pci.c virtio/virtio_pci_access.c
// sources: virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c
// sources: boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c hosted/device.c
// sources: hosted/device_setup.c hosted/device_net.c hosted/violation.c hosted/ring_packed.c
/*
 * test_virtio_net.c - the network device driver (5.1) against the model network device.
 *
 * The test stands where the TCP/IP stack's interface is: it lends receive buffers, counts where
 * each of them is, and sends frames. The model checks headers and buffer sizes and tells the lies
 * of the receive path. Read hosted/device_net.h for those.
 */
#include "support.h"

#include "hosted/device_net.h"
#include "net/virtio_net.h"
#include "ring_variants.h"
#include "virtio/virtio_pci.h"

#define BUFFERS 64u
#define BUFFER_SIZE 2048u

static const struct virtio_driver *const drivers[] = {&virtio_net_driver};
static struct device_net model;
static uint64_t ring_features; /* added to those of every device */
static struct virtio_net *nic;

/* ---- the user of the driver ---- */

static uint8_t *memory; /* BUFFERS receive buffers, then room for frames to send */
#define TX_MEMORY (memory + BUFFERS * BUFFER_SIZE)
#define TX_SIZE 16384u

static struct {
    bool lent[BUFFERS];
    unsigned reclaimed, sent, changed, restarted, frames;
    uint8_t frame[70000];
    uint32_t len;
    unsigned pieces;
    enum virtio_net_checksum checksum;
    unsigned in_flight[64]; /* sent() calls by token */
} user;

static void come_home(void *token)
{
    size_t n = (size_t)((uint8_t *)token - memory) / BUFFER_SIZE;

    assert_in_range(n, 0, BUFFERS - 1);
    assert_true(user.lent[n]);
    user.lent[n] = false;
}

static void received(void *arg, const struct virtio_net_piece *piece, unsigned pieces,
                     enum virtio_net_checksum checksum)
{
    assert_ptr_equal(arg, &user);
    assert_false(hosted_in_interrupt());
    user.len = 0;
    for (unsigned i = 0; i < pieces; i++) {
        uint8_t *token = piece[i].token;
        assert_true((uint8_t *)piece[i].data >= token &&
                    (uint8_t *)piece[i].data + piece[i].len <= token + BUFFER_SIZE);
        memcpy(user.frame + user.len, piece[i].data, piece[i].len);
        user.len += piece[i].len;
        come_home(token);
    }
    user.pieces = pieces;
    user.checksum = checksum;
    user.frames++;
}

static void reclaimed(void *arg, void *token)
{
    (void)arg;
    come_home(token);
    user.reclaimed++;
}

static void sent(void *arg, void *token)
{
    (void)arg;
    user.in_flight[(uintptr_t)token - 1]--;
    user.sent++;
}

static void changed(void *arg)
{
    (void)arg;
    user.changed++;
}

static unsigned provide(unsigned most)
{
    unsigned n = 0;

    for (unsigned i = 0; i < BUFFERS && n < most; i++) {
        uint8_t *buffer = memory + i * BUFFER_SIZE;
        if (user.lent[i] || !virtio_net_rx_room(nic))
            continue;
        assert_int_equal(virtio_net_rx_provide(nic, buffer, BUFFER_SIZE, buffer), 0);
        user.lent[i] = true;
        n++;
    }
    virtio_net_kick(nic);
    return n;
}

static void restarted(void *arg)
{
    (void)arg;
    user.restarted++;
    provide(BUFFERS);
}

static const struct virtio_net_callbacks callbacks = {received, reclaimed, sent, changed,
                                                      restarted};

static unsigned lent(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < BUFFERS; i++)
        n += user.lent[i];
    return n;
}

/* ---- set-up ---- */

#define BIT(n) (UINT64_C(1) << (n))
#define USUAL (BIT(NET_F_MAC) | BIT(NET_F_STATUS))

static unsigned make_nic_sized(uint64_t features, uint16_t queue_size)
{
    fake_pci_reset();
    memset(&user, 0, sizeof(user));
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_net_init(&model, features | ring_features, queue_size, 3);
    memory = platform_dma_alloc(BUFFERS * BUFFER_SIZE + TX_SIZE, 4096);
    unsigned driven = virtio_pci_scan();
    nic = virtio_net_at(0);
    for (unsigned bit = 0; driven && bit < 64; bit++)
        assert_true(!(ring_features >> bit & 1) || device_has(&model.device, bit));
    if (nic)
        virtio_net_attach(nic, &callbacks, &user);
    return driven;
}

static void make_nic(uint64_t features)
{
    assert_int_equal(make_nic_sized(features, 64), 1);
    assert_non_null(nic);
}

static void end(void)
{
    virtio_shutdown();
    assert_null(virtio_net_at(0));
    assert_int_equal(lent(), 0);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(user.in_flight[i], 0);
    device_net_finish(&model);
    fake_pci_reset();
    platform_dma_free(memory, BUFFERS * BUFFER_SIZE + TX_SIZE);
}

static const uint8_t *frame_of(uint32_t len)
{
    static uint8_t frame[70000];

    for (uint32_t i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 31 + len);
    return frame;
}

/* Has the model deliver a frame and the driver look for it; how many frames came. */
static unsigned receive(uint32_t len, const struct device_net_rx *how)
{
    unsigned before = user.frames;

    assert_int_not_equal(device_net_receive(&model, frame_of(len), len, how), 0);
    device_signal(&model.device, 0);
    while (virtio_net_poll(nic, 64))
        continue;
    return user.frames - before;
}

/* Sends a frame in n pieces; token 1 to 64. */
static int transmit(uint32_t len, unsigned n, const struct virtio_net_tx_checksum *checksum,
                    unsigned token)
{
    struct virtqueue_sg sg[64];
    uint32_t offset = 0;

    memcpy(TX_MEMORY, frame_of(len), len);
    for (unsigned i = 0; i < n; i++) {
        uint32_t part = i + 1 == n ? len - offset : len / n;
        sg[i] = (struct virtqueue_sg){TX_MEMORY + offset, part};
        offset += part;
    }
    int error = virtio_net_tx(nic, sg, n, checksum, (void *)(uintptr_t)token);
    user.in_flight[token - 1] += !error;
    return error;
}

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
        assert_int_equal(virtio_net_stats(nic)->rx_frames, user.frames);
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
        assert_int_equal(virtio_net_stats(nic)->rx_dropped, 26);
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
        enum virtio_net_checksum expected;
    } flags[] = {{0, VIRTIO_NET_CHECKSUM_UNKNOWN},
                 {NET_DATA_VALID, VIRTIO_NET_CHECKSUM_VALID},
                 {NET_NEEDS_CSUM, VIRTIO_NET_CHECKSUM_PARTIAL},
                 {0xf0, VIRTIO_NET_CHECKSUM_UNKNOWN},
                 {0xf0 | NET_DATA_VALID, VIRTIO_NET_CHECKSUM_VALID}};

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
            assert_int_equal(user.checksum,
                             offload ? flags[i].expected : VIRTIO_NET_CHECKSUM_UNKNOWN);
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
    assert_int_equal(virtio_net_stats(nic)->rx_dropped, 8);
    end();
}

static void the_budget_bounds_a_poll(void **state)
{
    (void)state;
    make_nic(USUAL);
    provide(BUFFERS);
    for (unsigned i = 0; i < 20; i++)
        device_net_receive(&model, frame_of(60), 60, NULL);
    assert_int_equal(virtio_net_poll(nic, 8), 8);
    assert_int_equal(user.frames, 8);
    assert_false(virtio_net_arm(nic));
    assert_int_equal(virtio_net_poll(nic, 64), 12);
    assert_true(virtio_net_arm(nic));
    end();
}

/* covers: SPLIT-T-RECHECK-1 */
static void arm_and_interrupt(void **state)
{
    (void)state;
    make_nic(USUAL | BIT(F_EVENT_IDX));
    provide(BUFFERS);
    virtio_net_poll(nic, 64);
    device_net_receive(&model, frame_of(60), 60, NULL);
    assert_false(ring_device_signal(&model.device.queue[0].ring));
    assert_false(virtio_net_arm(nic));
    virtio_net_poll(nic, 64);
    assert_true(virtio_net_arm(nic));
    device_net_receive(&model, frame_of(60), 60, NULL);
    device_signal(&model.device, 0);
    assert_int_equal(hosted_interrupts_deliver(), 1);
    assert_int_equal(virtio_net_poll(nic, 64), 1);
    end();
}

/* covers: NET-RX-2 NET-RX-3 */
static void bad_receive_buffers_are_refused(void **state)
{
    (void)state;
    make_nic(USUAL);
    assert_int_equal(virtio_net_rx_provide(nic, memory, virtio_net_rx_buffer_size(nic) - 1, memory),
                     -EINVAL);
    assert_int_equal(provide(BUFFERS), 64);
    assert_int_equal(virtio_net_rx_room(nic), 0);
    assert_int_equal(virtio_net_rx_provide(nic, TX_MEMORY, BUFFER_SIZE, TX_MEMORY), -ENOSPC);
    end();
}

/* ---- sending ---- */

/* covers: NET-TX-1 NET-TX-2 NET-TX-3 NET-TX-22 NET-TX-31 */
static void frames_are_sent_as_they_are(void **state)
{
    (void)state;
    for (unsigned features = 0; features < 4; features++) {
        make_nic(USUAL | (uint64_t)features << F_INDIRECT_DESC);
        for (uint32_t len = 14; len <= 1514; len += 50)
            for (unsigned pieces = 1; pieces <= VIRTIO_NET_MAX_TX_PIECES; pieces += 7) {
                if (len < pieces)
                    continue;
                assert_int_equal(transmit(len, pieces, NULL, 1), 0);
                virtio_net_kick(nic);
                device_run(&model.device);
                virtio_net_poll(nic, 64);
                const struct device_net_frame *frame = device_net_last(&model);
                assert_int_equal(frame->len, len);
                assert_memory_equal(frame->data, frame_of(len), len);
                assert_int_equal(frame->header.flags, 0);
                assert_int_equal(user.in_flight[0], 0);
            }
        assert_int_equal(virtio_net_stats(nic)->tx_frames, user.sent);
        end();
    }
}

/* covers: NET-CFG-9 */
static void bad_frames_are_not_sent(void **state)
{
    (void)state;
    make_nic(USUAL);
    assert_int_equal(transmit(13, 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(1519, 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(15000, 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(1000, VIRTIO_NET_MAX_TX_PIECES + 1, NULL, 1), -EINVAL);
    assert_int_equal(transmit(1000, 1, &(struct virtio_net_tx_checksum){34, 16}, 1), -EINVAL);
    struct virtqueue_sg wrap[2] = {{TX_MEMORY, UINT32_MAX}, {TX_MEMORY, 100}};
    assert_int_equal(virtio_net_tx(nic, wrap, 2, NULL, memory), -EINVAL);
    virtio_net_kick(nic);
    device_run(&model.device);
    assert_int_equal(model.sent_count, 0);
    assert_int_equal(user.sent, 0);
    end();
}

/* covers: NET-TX-3 NET-TX-20 NET-TX-21 */
static void the_device_completes_checksums(void **state)
{
    struct virtio_net_tx_checksum checksum = {.start = 34, .offset = 16};

    (void)state;
    make_nic(USUAL | BIT(NET_F_CSUM));
    assert_true(virtio_net_can_checksum(nic));
    assert_int_equal(transmit(200, 2, &checksum, 1), 0);
    assert_int_equal(transmit(200, 2, NULL, 2), 0);
    virtio_net_kick(nic);
    device_run(&model.device);
    assert_int_equal(model.sent[0].header.flags, NET_NEEDS_CSUM);
    assert_int_equal(model.sent[0].header.csum_start, 34);
    assert_int_equal(model.sent[0].header.csum_offset, 16);
    assert_int_equal(model.sent[1].header.flags, 0);
    assert_int_equal(model.sent[1].header.csum_start, 0);
    end();
    make_nic(USUAL);
    assert_false(virtio_net_can_checksum(nic));
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
    virtio_net_kick(nic);
    device_run(&model.device);
    assert_int_not_equal(device_net_receive(&model, frame_of(100), 100, NULL), 0);
    assert_int_equal(virtio_net_poll(nic, 8), 21);
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
        virtio_net_kick(nic);
        device_run(&model.device);
        n++;
    }
    assert_int_equal(n, 32); /* header and frame in a ring of 64 */
    assert_int_equal(transmit(100, 1, NULL, 40), -ENOSPC);
    assert_int_equal(virtio_net_stats(nic)->tx_full, 2);
    assert_int_equal(user.sent, 0);
    /* Completed frames are reaped by the next transmission itself. */
    device_net_release_tx(&model, true);
    assert_int_equal(transmit(100, 1, NULL, 40), 0);
    assert_int_equal(user.sent, 32);
    virtio_net_kick(nic);
    device_run(&model.device);
    device_net_release_tx(&model, false);
    virtio_net_poll(nic, 64);
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
    virtio_net_kick(nic);
    virtio_net_kick(nic);
    assert_int_equal(model.device.queue[1].ring.count.notified, before + 1);
    device_run(&model.device);
    assert_int_equal(model.sent_count, 8);
    end();
}

/* ---- configuration ---- */

/* covers: NET-CFG-1 NET-CFG-2 NET-CFG-3 NET-CFG-4 PCI-ACCESS-1 CORE-CFG-4 */
static void the_mac_address(void **state)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

    (void)state;
    make_nic(USUAL);
    assert_memory_equal(virtio_net_mac(nic), mac, 6);
    end();
    make_nic(0);
    assert_int_equal(virtio_net_mac(nic)[0] & 3, 2);
    assert_memory_not_equal(virtio_net_mac(nic), mac, 6);
    assert_int_equal(model.device.config_writes, 0);
    end();
}

/* covers: NET-CFG-5 NET-CFG-6 CORE-CFG-4 */
static void the_link_state(void **state)
{
    uint16_t down = 0, up = 1, more = 0xfffe;

    (void)state;
    make_nic(0);
    assert_true(virtio_net_link_up(nic));
    end();
    make_nic(USUAL);
    assert_true(virtio_net_link_up(nic));
    device_change_config(&model.device, NET_CONFIG_STATUS, &down, 2);
    hosted_interrupts_deliver();
    assert_true(virtio_net_link_up(nic));
    virtio_poll();
    assert_false(virtio_net_link_up(nic));
    assert_int_equal(user.changed, 1);
    device_change_config(&model.device, NET_CONFIG_STATUS, &up, 2);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_true(virtio_net_link_up(nic));
    device_change_config(&model.device, NET_CONFIG_STATUS, &more, 2);
    hosted_interrupts_deliver();
    virtio_poll();
    assert_false(virtio_net_link_up(nic));
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
    assert_int_equal(virtio_net_mtu(nic), 1500);
    end();
    for (unsigned i = 0; i < 6; i++) {
        fake_pci_reset();
        memset(&user, 0, sizeof(user));
        device_net_init(&model, USUAL | BIT(NET_F_MTU), 64, 3);
        memcpy(model.device.config + NET_CONFIG_MTU, &mtus[i].mtu, 2);
        memory = platform_dma_alloc(BUFFERS * BUFFER_SIZE + TX_SIZE, 4096);
        assert_int_equal(virtio_pci_scan(), 1);
        nic = virtio_net_at(0);
        virtio_net_attach(nic, &callbacks, &user);
        assert_int_equal(virtio_net_mtu(nic), mtus[i].expected);
        if (mtus[i].mtu >= 68) {
            assert_true(virtio_net_rx_buffer_size(nic) >= mtus[i].mtu + 14u + 12u);
            provide(BUFFERS);
            assert_int_equal(receive(mtus[i].mtu + 14u, NULL), 1);
            assert_int_equal(transmit(mtus[i].mtu + 14u, 1, NULL, 1), 0);
            virtio_net_kick(nic);
            device_run(&model.device);
        }
        end();
    }
}

/*
 * covers: CORE-FEAT-1 CORE-FEAT-2 NET-FEATDEP-1 NET-CFG-13 NET-CFG-14 NET-TX-5 NET-TX-6 NET-TX-7
 * covers: NET-TX-8 NET-TX-11
 */
static void offloads_and_control_are_not_accepted(void **state)
{
    (void)state;
    make_nic(~UINT64_C(0));
    assert_int_equal(model.device.accepted[0], BIT(NET_F_CSUM) | BIT(NET_F_GUEST_CSUM) |
                                                   BIT(NET_F_MTU) | BIT(NET_F_MAC) |
                                                   BIT(NET_F_MRG_RXBUF) | BIT(NET_F_STATUS) |
                                                   BIT(F_INDIRECT_DESC) | BIT(F_EVENT_IDX));
    assert_int_equal(model.device.accepted[1],
                     1u << (F_VERSION_1 - 32) | 1u << (F_ACCESS_PLATFORM - 32) |
                         1u << (F_RING_PACKED - 32) | 1u << (F_IN_ORDER - 32) |
                         1u << (F_ORDER_PLATFORM - 32) | 1u << (F_NOTIFICATION_DATA - 32) |
                         1u << (F_NOTIF_CONFIG_DATA - 32) | 1u << (F_RING_RESET - 32));
    assert_int_equal(virtio_net_mtu(nic), 9000);
    end();
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
    virtio_net_kick(nic);
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
    virtio_net_kick(nic);
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
    virtio_net_kick(nic);
    ring_device_push_raw(&model.device.queue[1].ring, 12345, 0);
    virtio_net_poll(nic, 64);
    assert_int_equal(user.sent, 1);
    assert_int_equal(user.restarted, 1);
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
    assert_int_equal(virtio_net_rx_provide(nic, memory, BUFFER_SIZE, memory), -EIO);
    assert_int_equal(virtio_net_poll(nic, 64), 0);
    virtio_net_kick(nic);
    virtio_net_arm(nic);
    assert_int_equal(virtio_net_rx_room(nic), 0);
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
            virtio_net_kick(nic);
            device_run(&model.device);
            virtio_net_poll(nic, 64);
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
        virtio_set_drivers(drivers, 1);
        virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
        device_net_init(&model, USUAL, 64, 3);
        hosted_dma_fail_nth(nth);
        driven = virtio_pci_scan();
        hosted_dma_fail_nth(0);
        if (driven)
            virtio_net_attach(virtio_net_at(0), &callbacks, &user);
        virtio_shutdown();
        assert_null(virtio_net_at(0));
        assert_int_equal(hosted_dma_allocations(), 0);
        device_net_finish(&model);
    }
    assert_in_range(nth, 8, 59);
    fake_pci_reset();
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
        TEST(the_budget_bounds_a_poll),
        TEST(arm_and_interrupt),
        TEST(bad_receive_buffers_are_refused),
        TEST(frames_are_sent_as_they_are),
        TEST(bad_frames_are_not_sent),
        TEST(the_device_completes_checksums),
        TEST(completed_transmissions_leave_the_budget_alone),
        TEST(a_full_ring_is_reaped_or_refused),
        TEST(one_notification_for_a_batch),
        TEST(the_mac_address),
        TEST(the_link_state),
        TEST(the_mtu),
        TEST(offloads_and_control_are_not_accepted),
        TEST(a_reset_returns_every_buffer_and_starts_again),
        TEST(a_broken_transmit_queue_is_recovered),
        TEST(a_lost_device_refuses_everything),
        TEST(small_and_large_rings),
        TEST(bring_up_survives_lack_of_memory),
    };
    const struct CMUnitTest flows[] = {
        TEST(frames_of_every_length_arrive),
        TEST(a_frame_in_many_buffers),
        TEST(a_frame_in_sparingly_used_buffers),
        TEST(short_frames_are_dropped),
        TEST(the_budget_bounds_a_poll),
        TEST(arm_and_interrupt),
        TEST(frames_are_sent_as_they_are),
        TEST(the_device_completes_checksums),
        TEST(one_notification_for_a_batch),
        TEST(a_reset_returns_every_buffer_and_starts_again),
        TEST(a_broken_transmit_queue_is_recovered),
        TEST(small_and_large_rings),
        TEST(bring_up_survives_lack_of_memory),
    };
    int failed = 0;

    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        ring_features = ring_variants[i];
        failed += cmocka_run_group_tests_name("virtio_net over other rings", flows, NULL, NULL);
    }
    ring_features = 0;
    return failed + cmocka_run_group_tests_name("virtio_net", tests, NULL, NULL);
}
