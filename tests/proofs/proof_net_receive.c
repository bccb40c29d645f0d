/*
 * proof_net_receive.c - a burst of frames from a network device that says anything, in buffers that it
 * used in any order and number (5.1.9.3.2, 5.1.9.4): pieces lie in their buffers, and every buffer that
 * the device gave back goes to the user once.
 */
// unwind: 5
// control: net/virtio_net.c: wanted == 0 || wanted > NIC_MAX_RX_PIECES => wanted == 0
// control: net/virtio_net.c: burst->len[burst->next] >= size; => true;
// control: net/virtio_net.c: if (burst->next == burst->count) { => if (burst->next > burst->count) {
// control: net/virtio_net.c: for (i = first; i < burst->pieces; i++) => for (i = first + 1; i < burst->pieces; i++)
// control: net/virtio_net.c: type < 8 && (net->guest_segments >> type & 1) => (net->guest_segments >> type & 1)
#define LENT_MAX 3
#include "any_queue.h"

#include "net/nic.h"
#undef NIC_MAX_RX_PIECES
#define NIC_MAX_RX_PIECES 2
#undef NIC_BURST
#define NIC_BURST 2
#include "net/virtio_net.c"

#define BUFFERS LENT_MAX
#define BUFFER_SIZE 24

static uint8_t *buffers[BUFFERS];
static bool lent[BUFFERS]; /* buffers that the user has not got back */

static unsigned came_back(const void *buffer)
{
    unsigned i = 0;

    while (i < BUFFERS && buffers[i] != buffer)
        i++;
    claim(i < BUFFERS && lent[i]);
    lent[i] = false;
    return i;
}

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    unsigned n, i;

    (void)arg;
    claim(count >= 1 && count <= NIC_BURST);
    for (n = 0; n < count && n < NIC_BURST; n++) {
        claim(frame[n].pieces >= 1 && frame[n].pieces <= NIC_MAX_RX_PIECES);
        for (i = 0; i < frame[n].pieces && i < NIC_MAX_RX_PIECES; i++) {
            const struct nic_piece *piece = &frame[n].piece[i];
            unsigned number = came_back(piece->buffer);

            claim(piece->len > 0 && __CPROVER_same_object(piece->data, buffers[number]) &&
                  __CPROVER_r_ok(piece->data, piece->len));
        }
    }
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    came_back(buffer);
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
    unsigned most = any_unsigned(), i;
    bool more;

    net.header_size = net.hash_reported ? 20 : net.merge_buffers || any_bool() ? 12 : 10;
    for (i = 0; i < BUFFERS; i++) {
        buffers[i] = malloc(BUFFER_SIZE);
        lent[i] = true;
        rx.token[i] = buffers[i];
        rx.writable[i] = BUFFER_SIZE;
    }
    assume(most >= 1 && most <= NIC_BURST);
    receive_burst(&net, &pair, most, &more);
    for (i = 0; i < BUFFERS; i++)
        claim(lent[i] == queue_has(&rx, buffers[i]));
    return 0;
}
