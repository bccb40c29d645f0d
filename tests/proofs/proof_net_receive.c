/*
 * proof_net_receive.c - one frame from a network device that says anything, in buffers that it used
 * in any order and number (5.1.9.3.2, 5.1.9.4): pieces lie in their buffers, every buffer that the
 * device gave back goes to the user once, and a slot is either free or the device's.
 */
// unwind: 5
// control: net/virtio_net.c: wanted == 0 || wanted > NIC_MAX_RX_PIECES => wanted == 0
// control: net/virtio_net.c: if (first->len < net->header_size)\n        return false; =>
// control: net/virtio_net.c: while (n < wanted && take_piece(net, rx, &piece[n]))\n        n++; => while (n < wanted && take_piece(net, rx, &piece[n++]))\n        ;
// control: net/virtio_net.c: type < 8 && (net->guest_segments >> type & 1) => (net->guest_segments >> type & 1)
#define LENT_MAX 3
#include "any_queue.h"

#include "net/nic.h"
#undef NIC_MAX_RX_PIECES
#define NIC_MAX_RX_PIECES 2
#include "net/virtio_net.c"

#define BUFFERS LENT_MAX
#define BUFFER_SIZE 24

static struct rx_slot slots[BUFFERS];
static uint8_t *buffers[BUFFERS];
static bool lent[BUFFERS]; /* buffers that the user has not got back; the token is &lent[i] */

static void came_back(void *token)
{
    bool *mine = token;

    claim(mine >= &lent[0] && mine < &lent[BUFFERS] && *mine);
    *mine = false;
}

static void received(void *arg, const struct nic_piece *piece, unsigned pieces,
                     const struct nic_received *how)
{
    unsigned i;

    (void)arg;
    (void)how;
    claim(pieces >= 1 && pieces <= NIC_MAX_RX_PIECES);
    for (i = 0; i < pieces && i < NIC_MAX_RX_PIECES; i++) {
        size_t number = (size_t)((bool *)piece[i].token - lent);

        came_back(piece[i].token);
        claim(piece[i].len > 0 && __CPROVER_same_object(piece[i].data, buffers[number]) &&
              __CPROVER_r_ok(piece[i].data, piece[i].len));
    }
}

static void reclaimed(void *arg, void *token)
{
    (void)arg;
    came_back(token);
}

/* The header still lies in front of the frame. */
void virtio_net_take_hash(struct virtio_net *net, const struct net_pair *pair,
                          const struct virtio_net_hdr_hash *header, struct nic_received *how)
{
    claim(net->hash_reported && pair->rx && header && how);
}

int main(void)
{
    static const struct nic_callbacks callbacks = {.received = received, .reclaimed = reclaimed};
    struct virtqueue rx = {.broken = any_bool()};
    struct net_pair pair = {.rx = &rx};
    struct virtio_net net = {.nic = {.callbacks = &callbacks},
                             .hash_reported = any_bool(),
                             .merge_buffers = any_bool(),
                             .guest_checksum = any_bool(),
                             .guest_ecn = any_bool(),
                             .guest_segments = any_u8()};
    const struct rx_slot *free_slot;
    unsigned i, free_slots = 0, with_device = 0;

    net.header_size = net.hash_reported ? 20 : net.merge_buffers || any_bool() ? 12 : 10;
    for (i = 0; i < BUFFERS; i++) {
        buffers[i] = malloc(BUFFER_SIZE);
        slots[i] = (struct rx_slot){.data = buffers[i], .token = &lent[i]};
        lent[i] = true;
        rx.token[i] = &slots[i];
        rx.writable[i] = BUFFER_SIZE;
    }
    receive_frame(&net, &pair);
    for (free_slot = net.rx_free; free_slot && free_slots <= BUFFERS; free_slots++)
        free_slot = free_slot->next_free;
    for (i = 0; i < BUFFERS; i++) {
        claim(lent[i] == queue_has(&rx, &slots[i]));
        with_device += lent[i];
    }
    claim(free_slots + with_device == BUFFERS);
    return 0;
}
