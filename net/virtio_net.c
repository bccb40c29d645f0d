/*
 * virtio_net.c - the network device driver (5.1): frames with their virtio header through the
 * receive and the transmit queue.
 *
 * Frames and receive buffers are the user's of nic.h, and lent to the device.
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

static unsigned reap_transmitted(struct virtio_net *net, struct virtqueue *tx)
{
    void *token[NIC_BURST];
    unsigned done = 0, n;

    if (virtqueue_in_flight(tx) == 0)
        return 0;
    do {
        n = virtqueue_get_row(tx, token, NULL, NIC_BURST);
        if (n > 0)
            net->nic.callbacks->sent(net->nic.arg, token, n);
        done += n;
    } while (n == NIC_BURST);
    return done;
}

static bool is_segmented(const struct nic_tx_frame *frame)
{
    return frame->offload && frame->offload->segment_size;
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

/* A frame may be so long: not more than the MTU and the Ethernet header (5.1.4.2), unless the device is
 * to cut it. */
static inline bool may_send(const struct virtio_net *net, const struct nic_tx_frame *frame,
                            uint64_t len)
{
    uint32_t most =
        is_segmented(frame) ? NIC_LARGE_FRAME : net->nic.mtu + NIC_ETHERNET_HEADER + NIC_VLAN_TAG;

    return len >= NIC_ETHERNET_HEADER && len <= most && can_offload(net, frame->offload);
}

/* The header may lie in front of the frame, in one piece with it: every descriptor costs both sides
 * something. */
static inline bool has_headroom(const struct virtio_net *net, const struct nic_tx_frame *frame)
{
    return net->nic.tx_headroom != 0 && frame->headroom >= net->header_size;
}

/* Writes a frame's header, of whatever size it has: shorter in legacy devices, longer with room for
 * a hash. */
static inline void put_header(const struct virtio_net *net, const struct nic_tx_frame *frame,
                              uint8_t *at)
{
    struct virtio_net_hdr header = {0};
    uint32_t size = net->header_size;

    if (frame->offload)
        fill_header(&header, frame->offload);
    if (size == sizeof(header)) { /* nearly always: a copy of known size is two moves */
        memcpy(at, &header, sizeof(header));
        return;
    }
    memset(at, 0, size);
    memcpy(at, &header, size < sizeof(header) ? size : sizeof(header));
}

static struct virtqueue *tx_queue(const struct virtio_net *net, const struct nic_tx_frame *frame)
{
    return net->pair[net->active == 1 ? 0 : virtio_net_pair_of(net, &frame->sg[0])].tx;
}

/* Sends a frame of any kind. 1 or its error. */
static int send_frame(struct virtio_net *net, const struct nic_tx_frame *frame)
{
    bool joined = has_headroom(net, frame);
    unsigned i, first = joined ? 0 : 1;
    struct virtqueue_sg list[NIC_MAX_TX_PIECES + 1];
    struct virtqueue *tx;
    uint64_t len = 0;
    int error;

    if (frame->n == 0 || frame->n > NIC_MAX_TX_PIECES)
        return -EINVAL;
    for (i = 0; i < frame->n; i++) {
        list[first + i] = frame->sg[i];
        len += frame->sg[i].len;
    }
    if (!may_send(net, frame, len))
        return -EINVAL;
    tx = tx_queue(net, frame);
    if (virtqueue_free(tx) <= frame->n)
        reap_transmitted(net, tx);
    if (joined) {
        list[0].data = (uint8_t *)list[0].data - net->header_size;
        list[0].len += net->header_size;
    } else {
        list[0] = (struct virtqueue_sg){virtqueue_next_cell(tx), net->header_size};
    }
    if (virtqueue_free(tx) > 0)
        put_header(net, frame, list[0].data);
    error = virtqueue_add(tx, list, first + frame->n, 0, frame->token);
    if (error)
        return error;
    net->nic.stats.tx_frames++;
    net->nic.stats.tx_bytes += len;
    net->nic.stats.tx_large += is_segmented(frame);
    return 1;
}

/* Frames of one piece each, with their headers in front: how they go into the ring. */
struct tx_row {
    struct virtqueue *tx;
    struct virtqueue_sg sg[NIC_BURST];
    void *token[NIC_BURST];
    unsigned count, large;
    uint64_t bytes;
};

/* Puts a frame into the row, if it is of that kind and goes by the same queue. */
static inline bool put_into_row(const struct virtio_net *net, const struct nic_tx_frame *frame,
                                struct tx_row *row)
{
    uint32_t size = net->header_size, len = frame->n == 1 ? frame->sg[0].len : 0;
    struct virtqueue_sg *sg = &row->sg[row->count];

    if (len == 0 || !has_headroom(net, frame) || !may_send(net, frame, len))
        return false;
    if (row->count == 0)
        row->tx = tx_queue(net, frame);
    else if (net->active > 1 && tx_queue(net, frame) != row->tx)
        return false;
    sg->data = (uint8_t *)frame->sg[0].data - size;
    sg->len = len + size;
    put_header(net, frame, sg->data);
    row->token[row->count++] = frame->token;
    row->bytes += len;
    row->large += is_segmented(frame);
    return true;
}

/* Sends the frames, from the first on, that make a row. Returns their number, 0 if the first one does
 * not, or its error. */
static int send_row(struct virtio_net *net, const struct nic_tx_frame *frame, unsigned count)
{
    struct tx_row row;
    int sent;

    row.count = row.large = 0;
    row.bytes = 0;
    while (row.count < count && row.count < NIC_BURST && put_into_row(net, &frame[row.count], &row))
        continue;
    if (row.count == 0)
        return 0;
    if (virtqueue_free(row.tx) <= row.count)
        reap_transmitted(net, row.tx);
    sent = virtqueue_add_row(row.tx, row.sg, row.token, row.count, false);
    while (row.count > 0 && (int)row.count > sent) {
        row.count--;
        row.bytes -= frame[row.count].sg[0].len;
        row.large -= is_segmented(&frame[row.count]);
    }
    net->nic.stats.tx_frames += row.count;
    net->nic.stats.tx_bytes += row.bytes;
    net->nic.stats.tx_large += row.large;
    return sent;
}

static int net_tx(struct nic *nic, const struct nic_tx_frame *frame, unsigned count)
{
    struct virtio_net *net = net_of(nic);
    unsigned done = 0;
    int sent = -EIO;

    while (net->device->driver_ok && done < count) {
        sent = send_row(net, frame + done, count - done);
        if (sent == 0)
            sent = send_frame(net, frame + done);
        if (sent < 0)
            break;
        done += (unsigned)sent;
    }
    if (done < count)
        nic->stats.tx_full += sent == -ENOSPC;
    return done > 0 ? (int)done : sent;
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

/* 5.1.9.8: a legacy device without ANY_LAYOUT wants the header in a descriptor of its own. 1 or its
 * error. */
static int provide_apart(struct virtio_net *net, uint8_t *buffer, uint32_t len)
{
    uint32_t header = net->header_size;
    struct virtqueue_sg sg[2] = {{buffer, header}, {buffer + header, len - header}};
    int error = virtqueue_add(emptiest_rx(net), sg, 0, 2, buffer);

    return error ? error : 1;
}

/* The first of `count` buffers: as many as there is room for and make no difference to which queue has the
 * fewest. */
static int provide_row(struct virtio_net *net, void *const *buffer, unsigned count, uint32_t len)
{
    struct virtqueue *rx = emptiest_rx(net);
    struct virtqueue_sg sg[NIC_BURST];
    unsigned i, most = net->active == 1 ? NIC_BURST : 1, room = virtqueue_free(rx);

    if (most > room)
        most = room;
    if (count > most)
        count = most;
    if (count == 0)
        return -ENOSPC;
    for (i = 0; i < count; i++)
        sg[i] = (struct virtqueue_sg){buffer[i], len};
    return virtqueue_add_row(rx, sg, buffer, count, true);
}

static int net_rx_provide(struct nic *nic, void *const *buffer, unsigned count, uint32_t len)
{
    struct virtio_net *net = net_of(nic);
    unsigned done = 0;
    int taken = 0;

    if (!net->device->driver_ok)
        return -EIO;
    if (len < nic->rx_buffer_min)
        return -EINVAL;
    while (done < count && taken >= 0) {
        taken = net->rx_pieces == 2 ? provide_apart(net, buffer[done], len)
                                    : provide_row(net, buffer + done, count - done, len);
        done += taken > 0 ? (unsigned)taken : 0;
    }
    return done > 0 ? (int)done : taken;
}

/* Used buffers that were taken from a receive queue together, and the frames that were found in them. */
struct rx_burst {
    const struct net_pair *pair;
    void *buffer[NIC_BURST];
    uint32_t len[NIC_BURST];
    unsigned next, count; /* of these, the one that is looked at next, and all */
    struct nic_rx_frame frame[NIC_BURST];
    struct nic_piece piece[NIC_BURST + NIC_MAX_RX_PIECES];
    unsigned frames, pieces;
    uint64_t bytes;
};

/* The next buffer of the burst as a piece of a frame, which follows a header of `header` bytes. */
static inline struct nic_piece *next_piece(struct rx_burst *burst, uint32_t header)
{
    struct nic_piece *piece = &burst->piece[burst->pieces++];
    uint8_t *buffer = burst->buffer[burst->next];

    piece->data = buffer + header;
    piece->len = burst->len[burst->next++] - header;
    piece->buffer = buffer;
    return piece;
}

/* The frame that begins at `first` is none. */
static void drop(struct virtio_net *net, struct rx_burst *burst, unsigned first)
{
    unsigned i;

    net->nic.stats.rx_dropped++;
    for (i = first; i < burst->pieces; i++)
        net->nic.callbacks->reclaimed(net->nic.arg, burst->piece[i].buffer);
    burst->pieces = first;
}

/* HASH_REPORT: what follows the header, which was taken off the first piece. */
static void read_hash(struct virtio_net *net, const struct net_pair *pair,
                      const struct nic_piece *first, struct nic_received *how)
{
    struct virtio_net_hdr_hash header;

    memcpy(&header, (const uint8_t *)first->data - sizeof(header), sizeof(header));
    virtio_net_take_hash(net, pair, &header, how);
}

/*
 * The rest of a frame of several buffers, which the device made used together (5.1.9.3.2): past the end
 * of the burst they come one by one. Returns its length; 0: the frame is none, since a piece is empty or
 * missing.
 */
static uint64_t take_rest(struct rx_burst *burst, unsigned wanted, uint64_t len)
{
    struct virtqueue *rx = burst->pair->rx;
    bool empty = len == 0;
    uint32_t more;

    if (wanted == 0 || wanted > NIC_MAX_RX_PIECES) {
        virtqueue_break(rx, "a frame in an impossible number of buffers");
        return 0;
    }
    while (--wanted > 0) {
        if (burst->next == burst->count) {
            burst->next = 0;
            burst->count = virtqueue_get_row(rx, burst->buffer, burst->len, 1);
            if (burst->count == 0)
                break;
        }
        more = next_piece(burst, 0)->len;
        empty = empty || more == 0;
        len += more;
    }
    if (wanted > 0 && !virtqueue_is_broken(rx))
        virtqueue_break(rx, "a frame in more buffers than were used");
    return wanted > 0 || empty ? 0 : len;
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

/* Takes the next frame of a burst. There is a buffer. */
static void take_frame(struct virtio_net *net, struct rx_burst *burst)
{
    struct nic_rx_frame *frame = &burst->frame[burst->frames];
    unsigned first = burst->pieces, wanted;
    uint32_t size = net->header_size;
    bool whole =
        burst->len[burst->next] >= size; /* 5.1.9.4: the header comes first, in one buffer */
    const struct nic_piece *piece = next_piece(burst, whole ? size : 0);
    struct virtio_net_hdr header;
    uint64_t len = piece->len;

    if (!whole) {
        drop(net, burst, first);
        return;
    }
    /* Copied, so that the device cannot change it under us; a buffer is larger than any header. */
    memcpy(&header, piece->buffer, sizeof(header));
    wanted = net->merge_buffers ? le16_to_cpu(header.num_buffers) : 1;
    if (wanted != 1)
        len = take_rest(burst, wanted, len);
    if (len < NIC_ETHERNET_HEADER || !good_segments(net, &header)) {
        drop(net, burst, first);
        return;
    }
    *frame = (struct nic_rx_frame){.piece = piece,
                                   .pieces = burst->pieces - first,
                                   .how.checksum = checksum_state(net, &header)};
    if (header.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
        frame->how.datagram_size = le16_to_cpu(header.gso_size);
    if (net->hash_reported)
        read_hash(net, burst->pair, piece, &frame->how);
    net->nic.stats.rx_large += header.gso_type != VIRTIO_NET_HDR_GSO_NONE;
    burst->bytes += len;
    burst->frames++;
}

/* Takes what the device filled, `most` buffers besides the rest of the last frame, and delivers the
 * frames. Returns how many there were, good or not; `*more`: there may be more. */
static unsigned receive_burst(struct virtio_net *net, const struct net_pair *pair, unsigned most,
                              bool *more)
{
    struct rx_burst burst;
    unsigned taken = 0;

    burst.pair = pair;
    burst.next = burst.frames = burst.pieces = 0;
    burst.bytes = 0;
    burst.count = virtqueue_get_row(pair->rx, burst.buffer, burst.len, most);
    *more = burst.count == most;
    for (; burst.next < burst.count; taken++)
        take_frame(net, &burst);
    if (burst.frames == 0)
        return taken;
    net->nic.stats.rx_frames += burst.frames;
    net->nic.stats.rx_bytes += burst.bytes;
    net->nic.callbacks->received(net->nic.arg, burst.frame, burst.frames);
    return taken;
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
    unsigned sent, most;
    bool more = true;

    virtqueue_disable_cb(pair->tx);
    sent = reap_transmitted(net, pair->tx);
    virtqueue_disable_cb(pair->rx);
    while (*received < budget && more) {
        most = budget - *received < NIC_BURST ? budget - *received : NIC_BURST;
        *received += receive_burst(net, pair, most, &more);
    }
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
        if (receives)
            net->nic.callbacks->reclaimed(net->nic.arg, token);
        else if (vq != net->control)
            net->nic.callbacks->sent(net->nic.arg, &token, 1);
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
