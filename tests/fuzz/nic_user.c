/*
 * nic_user.c - see nic_user.h.
 */
#include "nic_user.h"

#include "hosted/hosted.h"
#include "net/nic.h"

#define BUFFERS 32u
#define BUFFER_SIZE 2048u
#define TX_SLOTS 32u
#define TX_BURST 3u

static struct nic *nic;
static uint8_t *memory;
static bool lent[BUFFERS], sending[TX_SLOTS];
static uint32_t sum;

static size_t number_of(const void *buffer)
{
    return (size_t)((const uint8_t *)buffer - memory) / BUFFER_SIZE;
}

static void come_home(const void *buffer)
{
    size_t n = number_of(buffer);

    if (n >= BUFFERS || !lent[n])
        hosted_fail("a receive buffer came back that was not lent");
    lent[n] = false;
}

static void take_frame(const struct nic_piece *piece, unsigned pieces)
{
    if (pieces == 0 || pieces > NIC_MAX_RX_PIECES)
        hosted_fail("a frame of %u pieces", pieces);
    for (unsigned i = 0; i < pieces; i++) {
        uint8_t *buffer = piece[i].buffer, *data = piece[i].data;

        if (data < buffer || data + piece[i].len > buffer + BUFFER_SIZE)
            hosted_fail("a piece lies outside of its buffer");
        for (uint32_t n = 0; n < piece[i].len; n += 64)
            sum += data[n];
        come_home(buffer);
    }
}

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    (void)arg;
    if (count == 0 || count > NIC_BURST)
        hosted_fail("a burst of %u frames", count);
    for (unsigned i = 0; i < count; i++)
        take_frame(frame[i].piece, frame[i].pieces);
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    come_home(buffer);
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    for (unsigned i = 0; i < count; i++) {
        size_t n = (uintptr_t)token[i] - 1;

        if (n >= TX_SLOTS || !sending[n])
            hosted_fail("a frame was sent twice");
        sending[n] = false;
    }
}

static void provide(unsigned most)
{
    void *home[BUFFERS];
    unsigned count = 0;
    int taken = 0;

    for (unsigned i = 0; i < BUFFERS && count < most; i++)
        if (!lent[i])
            home[count++] = memory + i * BUFFER_SIZE;
    if (count > 0 && nic_rx_room(nic) > 0)
        taken = nic_rx_provide(nic, home, count, BUFFER_SIZE);
    for (int i = 0; i < taken; i++)
        lent[number_of(home[i])] = true;
    nic_kick(nic);
}

static void changed(void *arg)
{
    (void)arg;
    sum += nic->mtu + nic->link_up;
}

/* Unplugged; the structure goes next. */
static void removed(void *arg)
{
    (void)arg;
    nic = NULL;
}

static void restarted(void *arg)
{
    (void)arg;
    provide(BUFFERS);
}

/* A burst of frames that are alike. */
static void send(struct input *input)
{
    struct nic_tx_frame frame[TX_BURST];
    struct virtqueue_sg sg[NIC_MAX_TX_PIECES];
    unsigned n = 1 + input_u8(input) % NIC_MAX_TX_PIECES, count = 0;
    struct nic_offload offload = {.checksum_start = input_u8(input), .checksum_offset = 6};
    int taken = 0;

    for (unsigned i = 0; i < n; i++)
        sg[i] = (struct virtqueue_sg){memory + BUFFERS * BUFFER_SIZE + 64 + 128 * i, 14 + 7 * i};
    offload.segment_size = input_u8(input);
    offload.header_len = 54;
    offload.cut = offload.checksum_start % 4;
    for (unsigned slot = 0; slot < TX_SLOTS && count < TX_BURST; slot++) {
        if (sending[slot])
            continue;
        sending[slot] = true;
        frame[count++] = (struct nic_tx_frame){sg, n, offload.checksum_start & 2 ? 64 : 0,
                                               offload.checksum_start ? &offload : NULL,
                                               (void *)(uintptr_t)(slot + 1)};
    }
    if (count > 0)
        taken = nic_tx_burst(nic, frame, count);
    for (unsigned i = taken > 0 ? (unsigned)taken : 0; i < count; i++)
        sending[(uintptr_t)frame[i].token - 1] = false;
}

static const struct nic_callbacks callbacks = {.received = received,
                                               .reclaimed = reclaimed,
                                               .sent = sent,
                                               .changed = changed,
                                               .announce = changed,
                                               .restarted = restarted,
                                               .removed = removed};

void nic_user_start(uint8_t *at)
{
    memory = at;
    memset(lent, 0, sizeof(lent));
    memset(sending, 0, sizeof(sending));
    nic = nic_at(0);
    if (!nic)
        return;
    nic_attach(nic, &callbacks, NULL);
    provide(BUFFERS);
}

static void configure(uint8_t what, struct input *input)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 9, 9, 9};
    struct nic_filter filter = {.groups = 2, .vlans = 2};
    uint8_t bits = input_u8(input);

    switch (what % 4) {
    case 0:
        nic_set_mac(nic, mac);
        break;
    case 1:
        nic_set_large_receive(nic, bits & 1);
        break;
    default:
        filter.promiscuous = bits & 1;
        filter.all_groups = bits & 2;
        filter.no_broadcasts = bits & 4;
        filter.vlan[0] = 1 + (bits >> 4);
        filter.vlan[1] = 100;
        nic_set_filter(nic, &filter);
    }
}

bool nic_user_found(void)
{
    return nic && !nic_set_filter(nic, &(struct nic_filter){.groups = 1});
}

void nic_user_use(uint8_t op, struct input *input)
{
    if (!nic)
        return;
    switch (op % 8) {
    case 0:
        nic_poll(nic, 1 + op / 8);
        break;
    case 1:
        provide(1 + op / 8);
        break;
    case 2:
        nic_arm(nic);
        break;
    case 3:
        nic_kick(nic);
        break;
    case 4:
        configure(op / 8, input);
        break;
    default:
        send(input);
    }
}

void nic_user_check(void)
{
    for (unsigned i = 0; i < BUFFERS; i++)
        if (lent[i])
            hosted_fail("receive buffer %u was never given back", i);
    for (unsigned i = 0; i < TX_SLOTS; i++)
        if (sending[i])
            hosted_fail("frame %u was never given back", i);
}
