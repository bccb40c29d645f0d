/*
 * nic_user.c - the tests' user of a network device. See nic_user.h.
 */
#include "nic_user.h"

const struct virtio_driver *const net_drivers[1] = {&virtio_net_driver};
struct device_net model;
uint64_t ring_features;
struct nic *nic;
uint8_t *memory;
struct nic_user user;

static void come_home(void *buffer)
{
    size_t n = (size_t)((uint8_t *)buffer - memory) / BUFFER_SIZE;

    assert_in_range(n, 0, BUFFERS - 1);
    assert_true(user.lent[n]);
    user.lent[n] = false;
}

static void take_frame(const struct nic_rx_frame *frame)
{
    user.len = 0;
    for (unsigned i = 0; i < frame->pieces; i++) {
        const struct nic_piece *piece = &frame->piece[i];
        uint8_t *buffer = piece->buffer;
        assert_true((uint8_t *)piece->data >= buffer &&
                    (uint8_t *)piece->data + piece->len <= buffer + BUFFER_SIZE);
        memcpy(user.frame + user.len, piece->data, piece->len);
        user.len += piece->len;
        come_home(buffer);
    }
    user.pieces = frame->pieces;
    user.checksum = frame->how.checksum;
    user.how = frame->how;
    user.frames++;
}

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    assert_ptr_equal(arg, &user);
    assert_false(hosted_in_interrupt());
    assert_in_range(count, 1, NIC_BURST);
    for (unsigned i = 0; i < count; i++)
        take_frame(&frame[i]);
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    come_home(buffer);
    user.reclaimed++;
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    assert_in_range(count, 1, NIC_BURST);
    for (unsigned i = 0; i < count; i++)
        user.in_flight[(uintptr_t)token[i] - 1]--;
    user.sent += count;
}

static void changed(void *arg)
{
    (void)arg;
    user.changed++;
}

static void announce(void *arg)
{
    (void)arg;
    user.announced++;
}

unsigned provide(unsigned most)
{
    unsigned n = 0, room = nic_rx_room(nic);
    void *buffer[BUFFERS];

    for (unsigned i = 0; i < BUFFERS && n < most && n < room; i++) {
        if (user.lent[i])
            continue;
        buffer[n++] = memory + i * BUFFER_SIZE;
        user.lent[i] = true;
    }
    if (n > 0)
        assert_int_equal(nic_rx_provide(nic, buffer, n, BUFFER_SIZE), n);
    nic_kick(nic);
    return n;
}

static void restarted(void *arg)
{
    (void)arg;
    user.restarted++;
    provide(BUFFERS);
}

static void removed(void *arg);

const struct nic_callbacks callbacks = {received, reclaimed, sent,   changed,
                                        announce, restarted, removed};

unsigned lent(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < BUFFERS; i++)
        n += user.lent[i];
    return n;
}

/* The last call of all, once everything has come home. */
static void removed(void *arg)
{
    (void)arg;
    assert_int_equal(lent(), 0);
    for (unsigned i = 0; i < sizeof(user.in_flight) / sizeof(user.in_flight[0]); i++)
        assert_int_equal(user.in_flight[i], 0);
}

/* ---- set-up ---- */

void begin_nic(uint64_t features, uint16_t queue_size)
{
    fake_pci_reset();
    memset(&user, 0, sizeof(user));
    virtio_set_drivers(net_drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_net_init(&model, features | ring_features, queue_size, 3);
    memory = platform_dma_alloc(BUFFERS * BUFFER_SIZE + TX_SIZE, 4096);
}

unsigned make_nic_sized(uint64_t features, uint16_t queue_size)
{
    begin_nic(features, queue_size);
    unsigned driven = virtio_pci_scan();
    nic = nic_at(0);
    for (unsigned bit = 0; driven && bit < 64; bit++)
        assert_true(!(ring_features >> bit & 1) || device_has(&model.device, bit));
    if (nic)
        nic_attach(nic, &callbacks, &user);
    return driven;
}

void make_nic(uint64_t features)
{
    assert_int_equal(make_nic_sized(features, 64), 1);
    assert_non_null(nic);
}

void end(void)
{
    virtio_shutdown();
    assert_null(nic_at(0));
    assert_int_equal(lent(), 0);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(user.in_flight[i], 0);
    device_net_finish(&model);
    fake_pci_reset();
    platform_dma_free(memory, BUFFERS * BUFFER_SIZE + TX_SIZE);
}

const uint8_t *frame_of(uint32_t len)
{
    static uint8_t frame[70000];

    for (uint32_t i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 31 + len);
    return frame;
}

/* Has the model deliver a frame and the driver look for it; how many frames came. */
unsigned receive(uint32_t len, const struct device_net_rx *how)
{
    unsigned before = user.frames;

    assert_int_not_equal(device_net_receive(&model, frame_of(len), len, how), 0);
    device_signal(&model.device, 0);
    while (nic_poll(nic, 64))
        continue;
    return user.frames - before;
}

/* Sends a frame in n pieces, with user.headroom in front of it; token 1 to 64. */
int transmit(uint32_t len, unsigned n, const struct nic_offload *offload, unsigned token)
{
    struct virtqueue_sg sg[64];
    uint32_t offset = 0;

    memcpy(TX_MEMORY, frame_of(len), len);
    for (unsigned i = 0; i < n; i++) {
        uint32_t part = i + 1 == n ? len - offset : len / n;
        sg[i] = (struct virtqueue_sg){TX_MEMORY + offset, part};
        offset += part;
    }
    int error = nic_tx(nic, sg, n, user.headroom, offload, (void *)(uintptr_t)token);
    user.in_flight[token - 1] += !error;
    return error;
}

int run_over_other_rings(const struct CMUnitTest *tests, size_t count)
{
    int failed = 0;

    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        ring_features = ring_variants[i];
        failed += _cmocka_run_group_tests("over other rings", tests, count, NULL, NULL);
    }
    ring_features = 0;
    return failed;
}
