/*
 * virtio_net.c - the network device driver (5.1): frames with their virtio header through the
 * receive and the transmit queue.
 *
 * Owns the headers of frames that are being sent; receive buffers are lent by the user of nic.h.
 * Knows no protocol above Ethernet. A received frame may lie in several buffers (MRG_RXBUF), and may
 * stand for several segments (5.1.9.4). Bring-up is in virtio_net_setup.c. Read nic.h first.
 */
#include "net/virtio_net_impl.h"

#include <errno.h>
#include <string.h>

static struct virtio_net *net_of(struct nic *nic)
{
    return (struct virtio_net *)nic;
}

/* ---- transmit ---- */

static const struct {
    uint8_t gso_type, offload;
} cuts[] = {
    [NIC_CUT_TCP4] = {VIRTIO_NET_HDR_GSO_TCPV4, NIC_SEGMENT_TCP4},
    [NIC_CUT_TCP6] = {VIRTIO_NET_HDR_GSO_TCPV6, NIC_SEGMENT_TCP6},
    [NIC_CUT_DATAGRAMS] = {VIRTIO_NET_HDR_GSO_UDP_L4, NIC_SEGMENT_UDP},
    [NIC_CUT_FRAGMENTS] = {VIRTIO_NET_HDR_GSO_UDP, NIC_FRAGMENT_UDP},
};

/* 5.1.9.2.1: without offload everything stays 0, num_buffers always does. */
static void fill_header(struct virtio_net_hdr *header, const struct nic_offload *offload)
{
    if (!offload)
        return;
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = cpu_to_le16(offload->checksum_start);
    header->csum_offset = cpu_to_le16(offload->checksum_offset);
    if (!offload->segment_size)
        return;
    header->gso_type = cuts[offload->cut].gso_type;
    if (offload->ecn)
        header->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    header->gso_size = cpu_to_le16(offload->segment_size);
    header->hdr_len = cpu_to_le16(offload->header_len);
}

static void end_tx(struct virtio_net *net, struct tx_slot *slot)
{
    void *token = slot->token;

    slot->next_free = net->tx_free;
    net->tx_free = slot;
    net->nic.callbacks->sent(net->nic.arg, token);
}

static unsigned reap_transmitted(struct virtio_net *net, struct virtqueue *tx)
{
    struct tx_slot *slot;
    unsigned done = 0;

    while ((slot = virtqueue_get_buf(tx, NULL)) != NULL) {
        end_tx(net, slot);
        done++;
        if (virtqueue_in_flight(tx) == 0)
            break;
    }
    return done;
}

static bool can_offload(const struct virtio_net *net, const struct nic_offload *offload)
{
    unsigned needed = NIC_CHECKSUM;

    if (offload && offload->segment_size) {
        needed |= cuts[offload->cut].offload;
        if (offload->ecn)
            needed |= NIC_SEGMENT_ECN;
    }
    return !offload || (net->nic.offloads & needed) == needed;
}

/*
 * The length of a frame that may be sent, or 0: not more than the MTU and the Ethernet header
 * (5.1.4.2), unless the device is to cut it.
 */
static uint32_t frame_length(const struct virtio_net *net, const struct virtqueue_sg *sg,
                             unsigned n, bool segmented)
{
    uint64_t len = 0,
             most = segmented ? NIC_LARGE_FRAME : net->nic.mtu + NIC_ETHERNET_HEADER + NIC_VLAN_TAG;
    unsigned i;

    for (i = 0; i < n; i++)
        len += sg[i].len;
    return len >= NIC_ETHERNET_HEADER && len <= most ? (uint32_t)len : 0;
}

/* The shorter header of legacy devices, or the one with room for a hash. */
static void put_other_header(uint8_t *at, const struct virtio_net_hdr *header, uint32_t size)
{
    uint32_t used = size < sizeof(*header) ? size : sizeof(*header);

    memcpy(at, header, used);
    memset(at + used, 0, size - used);
}

/*
 * Lists the header and the frame: as one piece when there is room for the header in front of the
 * frame, since every descriptor costs both sides something. Returns the number of pieces.
 */
static unsigned list_frame(const struct virtio_net *net, const struct virtqueue_sg *sg, unsigned n,
                           uint32_t headroom, const struct virtio_net_hdr *header,
                           struct tx_slot *slot, struct virtqueue_sg *list)
{
    uint32_t size = net->header_size;
    bool joined = net->nic.tx_headroom != 0 && headroom >= size;
    unsigned i, first = joined ? 0 : 1;

    for (i = 0; i < n; i++)
        list[first + i] = sg[i];
    if (joined) {
        list[0].data = (uint8_t *)sg[0].data - size;
        list[0].len += size;
    } else {
        list[0] = (struct virtqueue_sg){&slot->header, size};
    }
    if (size == sizeof(*header)) /* nearly always: a copy of known size is two moves */
        memcpy(list[0].data, header, sizeof(*header));
    else
        put_other_header(list[0].data, header, size);
    return n + first;
}

static int net_tx(struct nic *nic, const struct virtqueue_sg *sg, unsigned n, uint32_t headroom,
                  const struct nic_offload *offload, void *token)
{
    struct virtio_net *net = net_of(nic);
    struct virtqueue_sg list[NIC_MAX_TX_PIECES + 1];
    struct virtio_net_hdr header = {0};
    bool segmented = offload && offload->segment_size;
    uint32_t len = frame_length(net, sg, n, segmented);
    struct virtqueue *tx;
    struct tx_slot *slot;
    int error;

    if (n > NIC_MAX_TX_PIECES || !len || !can_offload(net, offload))
        return net->device->driver_ok ? -EINVAL : -EIO;
    tx = net->pair[net->active == 1 ? 0 : virtio_net_pair_of(net, &sg[0])].tx;
    if (!net->device->driver_ok || virtqueue_is_broken(tx))
        return -EIO;
    if (!net->tx_free || virtqueue_free(tx) <= n)
        reap_transmitted(net, tx);
    slot = net->tx_free;
    error = -ENOSPC;
    if (slot) {
        fill_header(&header, offload);
        n = list_frame(net, sg, n, headroom, &header, slot, list);
        error = virtqueue_add(tx, list, n, 0, slot);
    }
    if (error) {
        nic->stats.tx_full += error == -ENOSPC;
        return error;
    }
    slot->token = token;
    net->tx_free = slot->next_free;
    nic->stats.tx_frames++;
    nic->stats.tx_bytes += len;
    nic->stats.tx_large += segmented;
    return 0;
}

static unsigned net_tx_room(const struct nic *nic)
{
    const struct virtio_net *net = (const struct virtio_net *)nic;

    unsigned i, room = net->device->driver_ok ? virtqueue_free(net->pair[0].tx) : 0;

    for (i = 1; i < net->active; i++)
        if (virtqueue_free(net->pair[i].tx) < room)
            room = virtqueue_free(net->pair[i].tx);
    return room;
}

/* ---- receive ---- */

static unsigned net_rx_room(const struct nic *nic)
{
    const struct virtio_net *net = (const struct virtio_net *)nic;

    unsigned i, room = 0;

    for (i = 0; net->device->driver_ok && i < net->active; i++)
        room += virtqueue_free(net->pair[i].rx) / net->rx_pieces;
    return room;
}

/* The receive queue with the fewest buffers: all are filled alike, and one that got more frames gets
 * more buffers. */
static struct virtqueue *emptiest_rx(const struct virtio_net *net)
{
    struct virtqueue *rx = net->pair[0].rx;
    unsigned i;

    for (i = 1; i < net->active; i++)
        if (virtqueue_free(net->pair[i].rx) > virtqueue_free(rx))
            rx = net->pair[i].rx;
    return rx;
}

static int net_rx_provide(struct nic *nic, void *buffer, uint32_t len, void *token)
{
    struct virtio_net *net = net_of(nic);
    struct rx_slot *slot = net->rx_free;
    /* 5.1.9.8: a legacy device without ANY_LAYOUT wants the header in a descriptor of its own. */
    struct virtqueue_sg sg[2] = {{buffer, len}};
    int error;

    if (!net->device->driver_ok)
        return -EIO;
    if (len < nic->rx_buffer_min)
        return -EINVAL;
    if (!slot)
        return -ENOSPC;
    if (net->rx_pieces == 2) {
        sg[0].len = net->header_size;
        sg[1] = (struct virtqueue_sg){(uint8_t *)buffer + sg[0].len, len - sg[0].len};
    }
    error = virtqueue_add(emptiest_rx(net), sg, 0, net->rx_pieces, slot);
    if (error)
        return error;
    slot->data = buffer;
    slot->token = token;
    net->rx_free = slot->next_free;
    return 0;
}

/* Takes the next buffer that the device filled, as a piece of a frame. */
static bool take_piece(struct virtio_net *net, struct virtqueue *rx, struct nic_piece *piece)
{
    struct rx_slot *slot = virtqueue_get_buf(rx, &piece->len);

    if (!slot)
        return false;
    piece->data = slot->data;
    piece->token = slot->token;
    slot->next_free = net->rx_free;
    net->rx_free = slot;
    return true;
}

static void drop(struct virtio_net *net, const struct nic_piece *piece, unsigned pieces)
{
    unsigned i;

    net->nic.stats.rx_dropped++;
    for (i = 0; i < pieces; i++)
        net->nic.callbacks->reclaimed(net->nic.arg, piece[i].token);
}

/* 5.1.9.4: the header comes first, in the first buffer. Copied, so that the device cannot change it
 * under us; a buffer is larger than any header. */
static bool read_header(struct virtio_net *net, struct nic_piece *first,
                        struct virtio_net_hdr *header)
{
    if (first->len < net->header_size)
        return false;
    memcpy(header, first->data, sizeof(*header));
    first->data = (uint8_t *)first->data + net->header_size;
    first->len -= net->header_size;
    if (!net->merge_buffers)
        header->num_buffers = cpu_to_le16(1);
    return true;
}

/* HASH_REPORT: what follows the header, which was taken off the first piece. */
static void read_hash(struct virtio_net *net, const struct net_pair *pair,
                      const struct nic_piece *first, struct nic_received *how)
{
    struct virtio_net_hdr_hash header;

    memcpy(&header, (const uint8_t *)first->data - sizeof(header), sizeof(header));
    virtio_net_take_hash(net, pair, &header, how);
}

/* The rest of a frame of several buffers, which the device made used together (5.1.9.3.2). Returns
 * the pieces there are. */
static unsigned take_rest(struct virtio_net *net, struct virtqueue *rx, struct nic_piece *piece,
                          unsigned wanted)
{
    unsigned n = 1;

    if (wanted == 0 || wanted > NIC_MAX_RX_PIECES) {
        virtqueue_break(rx, "a frame in an impossible number of buffers");
        return n;
    }
    while (n < wanted && take_piece(net, rx, &piece[n]))
        n++;
    if (n < wanted && !virtqueue_is_broken(rx))
        virtqueue_break(rx, "a frame in more buffers than were used");
    return n;
}

static enum nic_checksum checksum_state(const struct virtio_net *net,
                                        const struct virtio_net_hdr *header)
{
    if (!net->guest_checksum)
        return NIC_CHECKSUM_UNKNOWN;
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        return NIC_CHECKSUM_PARTIAL;
    return header->flags & VIRTIO_NET_HDR_F_DATA_VALID ? NIC_CHECKSUM_VALID : NIC_CHECKSUM_UNKNOWN;
}

/*
 * Does the frame stand for one packet, or for segments of a kind that was negotiated? The rest of
 * what the header says about segments is not relied on (5.1.9.4.2).
 */
static bool good_segments(const struct virtio_net *net, const struct virtio_net_hdr *header)
{
    uint8_t type = header->gso_type;

    if (type == VIRTIO_NET_HDR_GSO_NONE)
        return true;
    if ((type & VIRTIO_NET_HDR_GSO_ECN) && !net->guest_ecn)
        return false;
    type &= (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    return type < 8 && (net->guest_segments >> type & 1) && header->gso_size != 0;
}

/* The length of a frame; 0: it is none, since a piece is empty or no Ethernet header fits. */
static uint64_t good_length(const struct nic_piece *piece, unsigned n)
{
    uint64_t len = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (piece[i].len == 0)
            return 0;
        len += piece[i].len;
    }
    return len >= NIC_ETHERNET_HEADER ? len : 0;
}

/* Takes one frame from the device and delivers it. False: there is none. */
static bool receive_frame(struct virtio_net *net, const struct net_pair *pair)
{
    struct nic_piece piece[NIC_MAX_RX_PIECES];
    struct virtqueue *rx = pair->rx;
    struct virtio_net_hdr header;
    struct nic_received how;
    unsigned n = 1, wanted;
    uint64_t len;

    if (!take_piece(net, rx, &piece[0]))
        return false;
    if (!read_header(net, &piece[0], &header)) {
        drop(net, piece, 1);
        return true;
    }
    wanted = le16_to_cpu(header.num_buffers);
    if (wanted != 1)
        n = take_rest(net, rx, piece, wanted);
    len = n == wanted && good_segments(net, &header) ? good_length(piece, n) : 0;
    if (!len) {
        drop(net, piece, n);
        return true;
    }
    net->nic.stats.rx_frames++;
    net->nic.stats.rx_bytes += len;
    net->nic.stats.rx_large += header.gso_type != VIRTIO_NET_HDR_GSO_NONE;
    how = (struct nic_received){.checksum = checksum_state(net, &header)};
    if (header.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
        how.datagram_size = le16_to_cpu(header.gso_size);
    if (net->hash_reported)
        read_hash(net, pair, &piece[0], &how);
    net->nic.callbacks->received(net->nic.arg, piece, n, &how);
    return true;
}

/* ---- the loop's side ---- */

static void net_kick(struct nic *nic)
{
    struct virtio_net *net = net_of(nic);

    unsigned i;

    for (i = 0; i < net->active; i++) {
        virtqueue_kick(net->pair[i].rx);
        virtqueue_kick(net->pair[i].tx);
    }
}

/* One pair's share of a poll. */
static unsigned poll_pair(struct virtio_net *net, struct net_pair *pair, unsigned budget,
                          unsigned *received)
{
    unsigned sent;

    virtqueue_disable_cb(pair->tx);
    sent = reap_transmitted(net, pair->tx);
    virtqueue_disable_cb(pair->rx);
    while (*received < budget && receive_frame(net, pair))
        ++*received;
    return sent;
}

static unsigned net_poll(struct nic *nic, unsigned budget)
{
    struct virtio_net *net = net_of(nic);
    unsigned received = 0, sent = 0, i, pairs = net->active;
    bool broken = false;

    if (!net->device->driver_ok)
        return 0;
    /* Each pair may take what those before it left of their shares; another one is the last in each
     * turn. */
    for (i = 0; i < pairs; i++) {
        struct net_pair *pair = &net->pair[(net->turn + i) % pairs];
        sent += poll_pair(net, pair, budget * (i + 1) / pairs, &received);
        broken = broken || virtqueue_is_broken(pair->rx) || virtqueue_is_broken(pair->tx);
    }
    net->turn = pairs > 1 ? (net->turn + 1) % pairs : 0;
    if (broken) {
        virtio_mend(net->device, "a queue is broken");
        received++;
    }
    return received + sent;
}

static bool net_arm(struct nic *nic)
{
    struct virtio_net *net = net_of(nic);
    bool idle = true;
    unsigned i;

    for (i = 0; i < net->active; i++) {
        struct net_pair *pair = &net->pair[i];

        /* The next poll mends it. */
        if (virtqueue_is_broken(pair->rx) || virtqueue_is_broken(pair->tx))
            return !net->device->driver_ok;
        idle = virtqueue_enable_cb(pair->rx) && idle;
        /* Sent frames are reaped when something else happens, unless so many are out that the room
         * for more may be waited for. */
        if (virtqueue_free(pair->tx) < virtqueue_size(pair->tx) / 2u)
            idle = virtqueue_enable_cb(pair->tx) && idle;
    }
    return idle;
}

bool virtio_net_receives(const struct virtio_net *net, const struct virtqueue *vq)
{
    unsigned i;

    for (i = 0; i < net->pairs; i++)
        if (vq == net->pair[i].rx)
            return true;
    return false;
}

void virtio_net_reclaim(struct virtio_net *net, struct virtqueue *vq)
{
    bool receives = virtio_net_receives(net, vq);
    void *token;

    while ((token = virtqueue_detach_unused(vq)) != NULL) {
        struct rx_slot *rx = token;

        if (vq == net->control)
            continue;
        if (!receives) {
            end_tx(net, token);
            continue;
        }
        rx->next_free = net->rx_free;
        net->rx_free = rx;
        net->nic.callbacks->reclaimed(net->nic.arg, rx->token);
    }
}

const struct nic_ops virtio_net_ops = {
    .rx_room = net_rx_room,
    .rx_provide = net_rx_provide,
    .tx_room = net_tx_room,
    .tx = net_tx,
    .kick = net_kick,
    .poll = net_poll,
    .arm = net_arm,
    .set_filter = virtio_net_set_filter,
    .set_mac = virtio_net_set_mac,
    .set_large_receive = virtio_net_set_large_receive,
};
