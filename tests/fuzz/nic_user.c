/*
 * nic_user.c - see nic_user.h.
 */
#include "nic_user.h"

#include "hosted/hosted.h"
#include "net/nic.h"

#define BUFFERS 32u
#define BUFFER_SIZE 2048u
#define TX_SLOTS 32u

static struct nic *nic;
static uint8_t *memory;
static bool lent[BUFFERS], sending[TX_SLOTS];
static uint32_t sum;

static void come_home(void *token)
{
    size_t n = (size_t)((uint8_t *)token - memory) / BUFFER_SIZE;

    if (n >= BUFFERS || !lent[n])
        hosted_fail("a receive buffer came back that was not lent");
    lent[n] = false;
}

static void received(void *arg, const struct nic_piece *piece, unsigned pieces,
                     const struct nic_received *how)
{
    (void)arg;
    (void)how;
    if (pieces == 0 || pieces > NIC_MAX_RX_PIECES)
        hosted_fail("a frame of %u pieces", pieces);
    for (unsigned i = 0; i < pieces; i++) {
        uint8_t *token = piece[i].token, *data = piece[i].data;

        if (data < token || data + piece[i].len > token + BUFFER_SIZE)
            hosted_fail("a piece lies outside of its buffer");
        for (uint32_t n = 0; n < piece[i].len; n += 64)
            sum += data[n];
        come_home(token);
    }
}

static void reclaimed(void *arg, void *token)
{
    (void)arg;
    come_home(token);
}

static void sent(void *arg, void *token)
{
    size_t n = (uintptr_t)token - 1;

    (void)arg;
    if (n >= TX_SLOTS || !sending[n])
        hosted_fail("a frame was sent twice");
    sending[n] = false;
}

static void provide(unsigned most)
{
    for (unsigned i = 0; i < BUFFERS && most; i++) {
        uint8_t *buffer = memory + i * BUFFER_SIZE;

        if (lent[i] || !nic_rx_room(nic) || nic_rx_provide(nic, buffer, BUFFER_SIZE, buffer) != 0)
            continue;
        lent[i] = true;
        most--;
    }
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

static void send(struct input *input)
{
    struct virtqueue_sg sg[NIC_MAX_TX_PIECES];
    unsigned n = 1 + input_u8(input) % NIC_MAX_TX_PIECES, slot = 0;
    struct nic_offload offload = {.checksum_start = input_u8(input), .checksum_offset = 6};

    while (slot < TX_SLOTS && sending[slot])
        slot++;
    if (slot == TX_SLOTS)
        return;
    for (unsigned i = 0; i < n; i++)
        sg[i] = (struct virtqueue_sg){memory + BUFFERS * BUFFER_SIZE + 64 + 128 * i, 14 + 7 * i};
    sending[slot] = true;
    offload.segment_size = input_u8(input);
    offload.header_len = 54;
    offload.cut = offload.checksum_start % 4;
    if (nic_tx(nic, sg, n, offload.checksum_start & 2 ? 64 : 0,
               offload.checksum_start ? &offload : NULL, (void *)(uintptr_t)(slot + 1)) != 0)
        sending[slot] = false;
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
