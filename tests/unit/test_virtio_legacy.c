// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c net/nic.c net/virtio_net.c net/virtio_net_setup.c
// sources: net/virtio_net_control.c net/virtio_net_watch.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c hosted/device.c
// sources: hosted/device_setup.c hosted/device_legacy.c hosted/device_mmio.c hosted/device_blk.c hosted/device_blk_zones.c
// sources: hosted/device_net.c hosted/device_net_control.c tests/unit/plain_driver.c
// sources: hosted/violation.c hosted/ring_packed.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c
/*
 * test_virtio_legacy.c - legacy devices over PCI (4.1.4.10): registers in ports, and what the core
 * and the drivers do differently for a legacy device.
 *
 * hosted/device_legacy.c checks widths and places of port accesses, device_net.c the framing rules.
 * Read test_virtio_mmio.c for the other legacy interface.
 */
#include "support.h"

#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/device_blk.h"
#include "hosted/device_legacy.h"
#include "hosted/device_net.h"
#include "net/virtio_net.h"
#include "plain_driver.h"
#include "virtio/virtio_pci.h"

#define BIT(n) (UINT64_C(1) << (n))

/*
 * covers: LEG-FEAT-1 LEG-FEAT-2 LEG-VRING-1 LEG-VRING-2 LEG-VRING-3 LEG-ENDIAN-1 LEG-INIT-1
 * covers: LEG-PCI-1 LEG-PCI-DETECT-1 LEG-PCI-DETECT-2 LEG-PCI-VQ-1 LEG-RSVF-1 LEG-RSVF-2
 */
static void a_legacy_device_comes_up_3_1_2(void **state)
{
    (void)state;
    plain_setup.features = BIT(F_ANY_LAYOUT) | BIT(F_INDIRECT_DESC) | BIT(F_EVENT_IDX) | BIT(30);
    plain_make(&device_legacy_front);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(plain_probed->legacy);
    assert_string_equal(plain_device.trace,
                        "reset acknowledge driver features? accept queue0 queue1 enable0 enable1 "
                        "driver-ok");
    assert_int_equal(plain_device.accepted[0],
                     BIT(F_ANY_LAYOUT) | BIT(F_INDIRECT_DESC) | BIT(F_EVENT_IDX));
    /* The driver asked for 8 entries in the first queue; the size cannot be chosen. */
    assert_int_equal(virtqueue_size(plain_probed->queue[0]), 16);
    for (unsigned i = 0; i < 2; i++) {
        const struct virtqueue_areas *areas = virtqueue_areas(plain_probed->queue[i]);
        assert_int_equal(areas->descriptor % LEGACY_PAGE, 0);
        assert_int_equal(areas->driver, areas->descriptor + 16 * 16);
        assert_int_equal(areas->device, areas->descriptor + LEGACY_PAGE);
    }
    for (unsigned n = 0; n < 40; n++)
        plain_transfer(n % 2, n % 3 == 0);
    expect_log("MSI-X, legacy interface", 1);
    plain_end();
}

/* covers: LEG-PCI-2 LEG-PCI-3 LEG-CFG-1 */
static void the_configuration_moves_with_msix(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t bytes[8];

        plain_make(&device_legacy_front);
        virtio_set_interrupt_limit((enum virtio_interrupt_mode)i);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(plain_probed->interrupt_mode, i);
        assert_int_equal(virtio_config_read(plain_probed, 0, bytes, 8, 4), 0);
        assert_memory_equal(bytes, plain_device.config, 8);
        assert_int_equal(virtio_config_write(plain_probed, 6, "\x55\x66", 2, 2), 0);
        assert_memory_equal(plain_device.config + 6, "\x55\x66", 2);
        assert_int_equal(virtio_config_write(plain_probed, 5, "\x44", 1, 1), 0);
        assert_int_equal(plain_device.config[5], 0x44);
        plain_end();
    }
}

/* Without a generation, what counts is that it reads the same twice (2.5.4). covers: LEG-CFG-1 */
static void a_configuration_that_moves_is_read_again(void **state)
{
    uint8_t bytes[8];

    (void)state;
    plain_make(&device_legacy_front);
    assert_int_equal(virtio_pci_scan(), 1);
    for (unsigned moves = 1; moves < 12; moves++) {
        plain_device.lies.config_moves = moves;
        assert_int_equal(virtio_config_read(plain_probed, 0, bytes, 8, 4), 0);
        assert_memory_equal(bytes, plain_device.config, 8);
    }
    plain_device.lies.config_moves = DEVICE_FOR_EVER;
    assert_int_equal(virtio_config_read(plain_probed, 0, bytes, 8, 4), -EIO);
    expect_log("its configuration never settles", 1);
    plain_device.lies.config_moves = 0;
    plain_end();
}

static void interrupts_by_each_mode(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        plain_make(&device_legacy_front);
        virtio_set_interrupt_limit((enum virtio_interrupt_mode)i);
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(plain_transfer(0, true), i > 0);
        assert_int_equal(plain_interrupts(0), i > 0);
        /* INTx means any queue, an MSI-X vector its own. */
        assert_int_equal(plain_interrupts(1), i == VIRTIO_INTERRUPT_INTX);
        device_change_config(&plain_device, 0, "\x9", 1);
        assert_int_equal(hosted_interrupts_deliver(), i > 0);
        hosted_clock_advance(200000000);
        assert_int_equal(virtio_poll(), 1);
        assert_int_equal(plain_changes, 1);
        plain_end();
    }
}

static void a_refused_vector_means_intx(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        plain_make(&device_legacy_front);
        plain_device.lies.refuse_config_vector = i == 0;
        plain_device.lies.refuse_queue_vector = i == 1 ? 2 : 0;
        assert_int_equal(virtio_pci_scan(), 1);
        assert_int_equal(plain_probed->interrupt_mode, VIRTIO_INTERRUPT_INTX);
        assert_int_equal(plain_transfer(0, true), 1);
        assert_int_equal(plain_transfer(1, true), 1);
        plain_end();
        hosted_reset();
    }
}

/* A modern device that claims too much breaks its queue; a legacy one is known to (2.7.8.1).
 * covers: LEG-USED-1 */
static void used_lengths_are_cut(void **state)
{
    (void)state;
    plain_make(&device_legacy_front);
    assert_int_equal(virtio_pci_scan(), 1);
    plain_excess = 100;
    plain_transfer(0, true);
    assert_int_equal(plain_len, PLAIN_BUFFER);
    plain_transfer(0, false);
    assert_int_equal(plain_len, 0);
    assert_false(virtqueue_is_broken(plain_probed->queue[0]));
    plain_end();
}

static void it_recovers_unless_its_queues_change(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        plain_make(&device_legacy_front);
        assert_int_equal(virtio_pci_scan(), 1);
        plain_transfer(0, true);
        /* Larger would do for a modern device. */
        if (i == 1)
            plain_device.queue[1].max_size = 32;
        assert_int_equal(virtio_recover(plain_probed, "a test"), i == 0 ? 0 : -EIO);
        if (i == 0)
            plain_transfer(1, true);
        plain_end();
        hosted_reset();
    }
}

static void a_size_that_no_ring_can_have(void **state)
{
    (void)state;
    plain_setup.queue_size = 12;
    plain_make(&device_legacy_front);
    assert_int_equal(virtio_pci_scan(), 0);
    expect_log("a queue of 12 entries and 1 segments cannot be made", 1);
    plain_end();
}

/*
 * Without capabilities only a transitional device with its ports in place is a legacy one.
 * covers: LEG-PCI-DETECT-3 LEG-PCI-DETECT-4
 */
static void what_is_not_a_legacy_device(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct pci_function *fn;

        plain_make(&device_legacy_front);
        fn = &plain_device.pci->fn;
        if (i == 0)
            fn->device_id = 0x1040 + PLAIN_TYPE;
        else if (i == 1)
            fn->revision = 1;
        else if (i == 2)
            fn->bar[0].is_io = false;
        else if (i == 3)
            fn->bar[0].address = 0;
        else
            fn->bar[0].size = 0x10;
        assert_int_equal(virtio_pci_scan(), 0);
        assert_string_equal(fn->refusal, "it has no virtio capabilities");
        assert_string_equal(plain_device.trace, "");
        plain_end();
        hosted_reset();
    }
}

/* A transitional device whose capabilities make no sense is still a legacy one. */
static void broken_capabilities_leave_the_ports(void **state)
{
    (void)state;
    plain_make(&device_legacy_front);
    device_add_capability(plain_device.pci, CAP_COMMON, 5, 0, CC_LENGTH, NULL, 0);
    device_add_capability(plain_device.pci, CAP_ISR, 5, 0, 1, NULL, 0);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(plain_probed->legacy);
    plain_end();
}

/* ---- drivers ---- */

/* covers: LEG-BLK-FRAME-1 LEG-BLK-REQ-1 LEG-BLK-REQ-2 LEG-BLK-CFG-1 */
static void a_legacy_disk(void **state)
{
    static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
    static const struct device_blk_setup setup = {.capacity = 4096,
                                                  .seg_max = 30,
                                                  .blk_size = 512,
                                                  .queue_size = 256,
                                                  .msix_vectors = 2,
                                                  .more_features = BIT(0) | BIT(7)};
    static struct device_blk model;
    uint8_t *data = platform_dma_alloc(1 << 20, 4096);
    uint32_t seed = 5;

    (void)state;
    fake_pci_reset();
    device_set_front(&device_legacy_front);
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_blk_init(&model, &setup);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(model.device.accepted[0] & (BIT(0) | BIT(7)), 0);
    model.lie_len = true;
    for (unsigned n = 0; n < 20; n++) {
        uint32_t sectors = support_random(&seed) % 200 + 1;
        for (unsigned b = 0; b < sectors * 512; b++)
            data[b] = (uint8_t)support_random(&seed);
        assert_int_equal(blk_write(blk_device_at(0), n, data, sectors), 0);
        assert_memory_equal(model.disk + n * 512, data, sectors * 512);
        assert_int_equal(blk_read(blk_device_at(0), n, data + (1 << 19), sectors), 0);
        assert_memory_equal(data + (1 << 19), data, sectors * 512);
    }
    virtio_shutdown();
    device_blk_finish(&model);
    fake_pci_reset();
    device_set_front(NULL);
    platform_dma_free(data, 1 << 20);
}

#define RX_BUFFERS 8u
#define RX_SIZE 2048u
#define ROOM 64u /* in front of frames to send */

static struct {
    uint8_t frame[4096];
    uint32_t len;
    unsigned frames, sent, home;
} user;

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    (void)arg;
    assert_int_equal(count, 1);
    user.len = 0;
    for (unsigned i = 0; i < frame->pieces; i++) {
        memcpy(user.frame + user.len, frame->piece[i].data, frame->piece[i].len);
        user.len += frame->piece[i].len;
        user.home++;
    }
    user.frames++;
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    (void)buffer;
    user.home++;
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    (void)token;
    user.sent += count;
}

static void nothing(void *arg)
{
    (void)arg;
}

static const struct nic_callbacks callbacks = {received, reclaimed, sent,   nothing,
                                               nothing,  nothing,   nothing};

static void transfer_frames(struct device_net *model, struct nic *nic, uint8_t *memory)
{
    static uint8_t frame[1514];

    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 7 + 1);
    for (unsigned i = 0; i < RX_BUFFERS; i++) {
        void *buffer = memory + i * RX_SIZE;
        assert_int_equal(nic_rx_provide(nic, &buffer, 1, RX_SIZE), 1);
    }
    nic_kick(nic);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t len = i == 0 ? 60 : sizeof(frame);
        struct virtqueue_sg sg = {memory + RX_BUFFERS * RX_SIZE + ROOM, len};

        assert_int_equal(device_net_receive(model, frame, len, NULL), 1);
        device_signal(&model->device, 0);
        while (nic_poll(nic, 64))
            continue;
        assert_int_equal(user.frames, i + 1);
        assert_int_equal(user.len, len);
        assert_memory_equal(user.frame, frame, len);

        memcpy(sg.data, frame, len);
        assert_int_equal(nic_tx(nic, &sg, 1, i % 2 ? ROOM : 0, NULL, memory), 0);
        nic_kick(nic);
        device_run(&model->device);
        nic_poll(nic, 64);
        assert_int_equal(user.sent, i + 1);
        assert_int_equal(device_net_last(model)->len, len);
        assert_memory_equal(device_net_last(model)->data, frame, len);
    }
}

/* covers: LEG-NET-CFG-1 LEG-NET-HDR-1 LEG-NET-HDR-2 LEG-NET-HDR-3 LEG-NET-FRAME-1 LEG-FRAME-1 */
static void frames_over_a_legacy_nic_5_1_9_1(void **state)
{
    static const struct virtio_driver *const drivers[] = {&virtio_net_driver};
    static struct device_net model;

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        size_t size = RX_BUFFERS * RX_SIZE + 4096;
        uint8_t *memory = platform_dma_alloc(size, 4096);
        struct nic *nic;

        fake_pci_reset();
        memset(&user, 0, sizeof(user));
        device_set_front(&device_legacy_front);
        virtio_set_drivers(drivers, 1);
        virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
        device_net_init(&model,
                        BIT(NET_F_MAC) | BIT(NET_F_STATUS) | BIT(6) |
                            (i & 1 ? BIT(NET_F_MRG_RXBUF) : 0) | (i & 2 ? BIT(F_ANY_LAYOUT) : 0) |
                            (uint64_t)(i >> 2) << F_INDIRECT_DESC,
                        32, 3);
        assert_int_equal(virtio_pci_scan(), 1);
        nic = nic_at(0);
        nic_attach(nic, &callbacks, &user);
        assert_memory_equal(nic->mac, "\x52\x54\0\x12\x34\x56", 6);
        assert_true(nic->link_up);
        /* A header of its own takes a descriptor of its own. */
        assert_int_equal(nic_rx_room(nic), i & 2 ? 32 : 16);
        transfer_frames(&model, nic, memory);
        virtio_shutdown();
        assert_int_equal(user.home, RX_BUFFERS);
        device_net_finish(&model);
        fake_pci_reset();
        device_set_front(NULL);
        platform_dma_free(memory, size);
        hosted_reset();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_legacy_device_comes_up_3_1_2),
        TEST(the_configuration_moves_with_msix),
        TEST(a_configuration_that_moves_is_read_again),
        TEST(interrupts_by_each_mode),
        TEST(a_refused_vector_means_intx),
        TEST(used_lengths_are_cut),
        TEST(it_recovers_unless_its_queues_change),
        TEST(a_size_that_no_ring_can_have),
        TEST(what_is_not_a_legacy_device),
        TEST(broken_capabilities_leave_the_ports),
        TEST(a_legacy_disk),
        TEST(frames_over_a_legacy_nic_5_1_9_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
