/*
 * device_net.c - the model network device (5.1).
 *
 * Queue 0 receives, queue 1 transmits. Each sent frame's header is checked against 5.1.9.2.1 for
 * what was negotiated, each receive buffer against 5.1.9.3.1. Lies are those of struct
 * device_net_rx. Read device.c first.
 */
#include "hosted/device_net.h"

#include <stdlib.h>
#include <string.h>

#include "hosted/violation.h"

#define ETHERNET 14u

/* 5.1.2: the pairs, then the control queue. */
static unsigned control_of(const struct device *device)
{
    return 2 * (device_has(device, NET_F_MQ) ? DEVICE_NET_PAIRS : 1);
}

/* 5.1.9.1: num_buffers is missing on the legacy interface without MRG_RXBUF. */
static uint32_t header_size(const struct device *device)
{
    bool full = !device_is_legacy(device) || device_has(device, NET_F_MRG_RXBUF);

    if (device_has(device, NET_F_HASH_REPORT))
        return sizeof(struct wire_net_hdr);
    return full ? WIRE_NET_HDR_SIZE : offsetof(struct wire_net_hdr, num_buffers);
}

/* 5.1.9.8 */
static void check_framing(const struct device *device, const struct ring_chain *chain)
{
    if (device_is_legacy(device) && !device_has(device, F_ANY_LAYOUT) &&
        chain->piece[0].len != header_size(device))
        violation("LEG-NET-FRAME-1", "%u bytes in the descriptor of the header",
                  chain->piece[0].len);
}

static const struct device_field fields[] = {
    {NET_CONFIG_MAC, 1, 6, NET_F_MAC},
    {NET_CONFIG_STATUS, 2, 1, NET_F_STATUS},
    {NET_CONFIG_PAIRS, 2, 1, NET_F_MQ},
    {NET_CONFIG_MTU, 2, 1, NET_F_MTU},
    {NET_CONFIG_SPEED, 4, 1, NET_F_SPEED_DUPLEX},
    {NET_CONFIG_DUPLEX, 1, 1, NET_F_SPEED_DUPLEX},
    {NET_CONFIG_KEY_SIZE, 1, 1, NET_F_RSS},
    {NET_CONFIG_TABLE_SIZE, 2, 1, NET_F_RSS},
    {NET_CONFIG_HASH_TYPES, 4, 1, NET_F_RSS},
};

/* 5.1.3.1: what needs what, as pairs of bits. */
static void check_features(struct device *device)
{
    static const uint8_t needs[][2] = {{7, 1},   {8, 1},   {10, 1},  {54, 1},  {55, 1},  {11, 0},
                                       {12, 0},  {14, 0},  {56, 0},  {18, 17}, {19, 17}, {21, 17},
                                       {22, 17}, {23, 17}, {53, 17}, {52, 17}, {60, 17}};

    for (unsigned i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
        if (device_has(device, needs[i][0]) && !device_has(device, needs[i][1]))
            violation("NET-FEATDEP-1", "feature %u without %u", needs[i][0], needs[i][1]);
}

/* Bytes of headers of a TCP or UDP frame, Ethernet's to TCP's options; 0: it is none. */
static uint32_t transport_headers(const uint8_t *frame, uint32_t len)
{
    uint32_t ip = frame[12] == 0x81 ? ETHERNET + 4 : ETHERNET;
    bool v6 = frame[ip - 2] == 0x86;
    uint32_t tcp = ip + (v6 ? 40u : (frame[ip] & 15u) * 4u);

    if (len >= tcp + 8 && frame[ip + (v6 ? 6 : 9)] == 17)
        return tcp + 8;
    if (len < tcp + 20 || frame[ip + (v6 ? 6 : 9)] != 6)
        return 0;
    return tcp + (frame[tcp + 12] >> 4) * 4u;
}

/* 5.1.9.2.1: a frame that the device is to cut. */
static void check_tx_segments(struct device *device, const struct wire_net_hdr *h,
                              const uint8_t *frame, uint32_t len)
{
    static const struct {
        uint8_t type, feature;
        const char *id;
    } kinds[] = {{NET_GSO_TCPV4, NET_F_HOST_TSO4, "NET-TX-5"},
                 {NET_GSO_TCPV6, NET_F_HOST_TSO6, "NET-TX-6"},
                 {NET_GSO_UDP, NET_F_HOST_UFO, "NET-TX-7"},
                 {NET_GSO_UDP_L4, NET_F_HOST_USO, "NET-TX-8"}};
    uint32_t headers = transport_headers(frame, len);
    bool tcp;
    uint8_t type = h->gso_type & (uint8_t)~NET_GSO_ECN;
    bool known = false;

    for (unsigned i = 0; i < 4; i++) {
        known = known || type == kinds[i].type;
        if (type == kinds[i].type && !device_has(device, kinds[i].feature))
            violation(kinds[i].id, "gso_type %u without its feature", h->gso_type);
    }
    if (!known)
        violation("NET-TX-22", "gso_type %u", h->gso_type);
    if ((h->gso_type & NET_GSO_ECN) && !device_has(device, NET_F_HOST_ECN))
        violation("NET-TX-9", "gso_type %u without HOST_ECN", h->gso_type);
    tcp = type == NET_GSO_TCPV4 || type == NET_GSO_TCPV6;
    if (tcp && headers && (frame[h->csum_start + 13] & 0x80) && !(h->gso_type & NET_GSO_ECN))
        violation("NET-TX-10", "CWR in a frame of gso_type %u", h->gso_type);
    if (!(h->flags & NET_NEEDS_CSUM))
        violation("NET-TX-23", "gso_type %u without NEEDS_CSUM", h->gso_type);
    if (!h->gso_size || (type == NET_GSO_UDP && h->gso_size % 8))
        violation("NET-TX-24", "gso_size %u", h->gso_size);
    if (headers && h->hdr_len != headers && device_has(device, NET_F_GUEST_HDRLEN))
        violation("NET-TX-25", "hdr_len %u for %u bytes of headers", h->hdr_len, headers);
    if (headers && h->hdr_len < headers)
        violation("NET-TX-26", "hdr_len %u for %u bytes of headers", h->hdr_len, headers);
}

static void check_tx_header(struct device *device, const struct wire_net_hdr *h,
                            const uint8_t *frame, uint32_t len)
{
    if (h->hash_value || h->hash_report || h->padding)
        violation("NET-TX-1", "a hash in the header of a frame that is sent");
    if (h->num_buffers)
        violation("NET-TX-2", "num_buffers %u", h->num_buffers);
    if (!device_has(device, NET_F_CSUM) && h->flags)
        violation("NET-TX-3", "flags %#x without CSUM", h->flags);
    if (h->gso_type)
        check_tx_segments(device, h, frame, len);
    if (h->flags & ~NET_NEEDS_CSUM)
        violation("NET-TX-31", "flags %#x", h->flags);
    if ((h->flags & NET_NEEDS_CSUM) && (uint32_t)h->csum_start + h->csum_offset + 2 > len)
        violation("NET-TX-21", "checksum at %u + %u of a frame of %u", h->csum_start,
                  h->csum_offset, len);
}

/* 5.1.4.2: a VLAN tag is part of the Ethernet header. */
static void check_tx_length(struct device *device, const uint8_t *frame, uint32_t len)
{
    uint16_t mtu;
    uint32_t tag = len > ETHERNET && frame[12] == 0x81 && frame[13] == 0 ? 4 : 0;

    memcpy(&mtu, device->config + NET_CONFIG_MTU, 2);
    if (device_has(device, NET_F_MTU) && len > mtu + ETHERNET + tag)
        violation("NET-CFG-9", "a frame of %u bytes with an MTU of %u", len, mtu);
}

static void take_frame(struct device_net *net, unsigned pair, struct ring_chain *chain)
{
    struct device_net_frame *frame = &net->sent[net->sent_count % DEVICE_NET_FRAMES];
    uint32_t header = header_size(&net->device);

    if (chain->in || chain->readable < header) {
        violation("NET-TX-1", "a transmit buffer of %u readable and %u writable bytes",
                  chain->readable, chain->writable);
        return;
    }
    if (!frame->data)
        frame->data = malloc(DEVICE_NET_FRAME_SIZE);
    check_framing(&net->device, chain);
    if (pair >= net->control.pairs)
        violation(net->control.pairs == 1 ? "NET-MQ-3" : "NET-MQ-4",
                  "a frame on transmit queue %u of %u", pair, net->control.pairs);
    frame->pair = pair;
    frame->pieces = chain->out;
    memset(&frame->header, 0, sizeof(frame->header));
    ring_chain_read(chain, 0, &frame->header, header);
    frame->len = (uint32_t)ring_chain_read(chain, header, frame->data, DEVICE_NET_FRAME_SIZE);
    check_tx_header(&net->device, &frame->header, frame->data, frame->len);
    if (!frame->header.gso_type)
        check_tx_length(&net->device, frame->data, frame->len);
    net->sent_count++;
}

static void serve(struct device *device, unsigned queue)
{
    struct device_net *net = device->state;
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    /*
     * Receive buffers stay available until a frame comes; the device does not want to hear of each.
     */
    if (queue % 2 == 0 && queue != control_of(device))
        return;
    do {
        ring_device_want_notify(ring, false);
        while ((chain = ring_device_pop(ring))) {
            if (queue == control_of(device)) {
                device_net_command(device, &net->control, ring, chain);
                continue;
            }
            take_frame(net, queue / 2, chain);
            if (net->hold_tx)
                net->held[net->held_count++] = chain;
            else
                ring_device_push(ring, chain, 0);
        }
        ring_device_want_notify(ring, true);
    } while (ring_device_pending(ring));
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    struct device_net *net = device->state;

    net->held_count = 0;
    device_net_control_reset(&net->control);
}

static const struct device_type net_type = {
    .name = "net",
    .id = 1,
    .field = fields,
    .fields = sizeof(fields) / sizeof(fields[0]),
    .serve = serve,
    .reset = forget,
    .check_features = check_features,
};

void device_net_init(struct device_net *net, uint64_t features, uint16_t queue_size,
                     unsigned msix_vectors)
{
    static const uint8_t config[NET_CONFIG_LENGTH] = {0x52,
                                                      0x54,
                                                      0,
                                                      0x12,
                                                      0x34,
                                                      0x56,
                                                      1,
                                                      0,
                                                      DEVICE_NET_PAIRS,
                                                      0,
                                                      9000 & 0xff,
                                                      9000 >> 8,
                                                      [NET_CONFIG_KEY_SIZE] = 40,
                                                      [NET_CONFIG_TABLE_SIZE] = DEVICE_NET_TABLE,
                                                      [NET_CONFIG_HASH_TYPES] = 0x3f};

    unsigned pairs = features >> NET_F_MQ & 1 ? DEVICE_NET_PAIRS : 1;
    bool control = features >> NET_F_CTRL_VQ & 1;

    memset(net, 0, sizeof(*net));
    device_init(&net->device, &(struct device_setup){.type = &net_type,
                                                     .features = features,
                                                     .queues = 2 * pairs + control,
                                                     .queue_size = queue_size,
                                                     .msix_vectors = msix_vectors,
                                                     .config = config,
                                                     .config_length = sizeof(config),
                                                     .state = net});
}

void device_net_finish(struct device_net *net)
{
    device_finish(&net->device);
    for (unsigned i = 0; i < DEVICE_NET_FRAMES; i++)
        free(net->sent[i].data);
}

const struct device_net_frame *device_net_last(const struct device_net *net)
{
    if (!net->sent_count)
        hosted_fail("no frame was sent");
    return &net->sent[(net->sent_count - 1) % DEVICE_NET_FRAMES];
}

/* 5.1.9.3.1 */
static void check_rx_buffer(const struct device *device, const struct ring_chain *chain)
{
    bool merge = device_has(device, NET_F_MRG_RXBUF);

    if (chain->out)
        violation("NET-RX-3", "a receive buffer with %u readable pieces", chain->out);
    check_framing(device, chain);
    if (chain->writable < header_size(device))
        violation("NET-RX-3", "a receive buffer of %u bytes", chain->writable);
    if (!merge && chain->writable < 1514 + header_size(device))
        violation("NET-RX-2", "a receive buffer of %u bytes without MRG_RXBUF", chain->writable);
    uint16_t mtu;
    memcpy(&mtu, device->config + NET_CONFIG_MTU, 2);
    if (!merge && device_has(device, NET_F_MTU) &&
        chain->writable < mtu + ETHERNET + header_size(device))
        violation("NET-CFG-8", "a receive buffer of %u bytes with an MTU of %u", chain->writable,
                  mtu);
}

/* 5.1.9.5.7: which receive queue a frame goes to; its hash is reported where that was asked for. */
static unsigned steer(const struct device_net *net, const uint8_t *frame, uint32_t len,
                      struct wire_net_hdr *header)
{
    uint32_t hash;
    unsigned kind = device_net_hash(&net->control, frame, len, &hash);

    if (!net->control.steered)
        hosted_fail("the driver has not told what to steer by");
    header->hash_value = kind ? hash : 0;
    header->hash_report = (uint16_t)kind;
    return kind ? net->control.table[hash & net->control.mask] : 0;
}

unsigned device_net_receive(struct device_net *net, const void *frame, uint32_t len,
                            const struct device_net_rx *how)
{
    static const struct device_net_rx honest;
    struct ring_device *ring;
    struct ring_chain *chain[256];
    uint32_t used[256];
    uint32_t header = header_size(&net->device), total = len + header, done = 0;
    unsigned n = 0, pair;
    struct wire_net_hdr header_sent;

    how = how ? how : &honest;
    pair = how->pair;
    header_sent = how->header;
    if (how->steered)
        pair = steer(net, frame, len, &header_sent);
    if (pair >= net->control.pairs)
        hosted_fail("a frame for receive queue %u of %u", pair, net->control.pairs);
    ring = &net->device.queue[2 * pair].ring;
    uint8_t *bytes = calloc(1, total);
    if (!bytes)
        hosted_fail("out of memory for a frame");
    memcpy(bytes, &header_sent, header);
    memcpy(bytes + header, frame, len);
    while (done < total && n < 256 && (chain[n] = ring_device_pop(ring))) {
        uint32_t room = chain[n]->writable;
        check_rx_buffer(&net->device, chain[n]);
        if (how->split_at && room > how->split_at)
            room = how->split_at;
        used[n] = room < total - done ? room : total - done;
        done += used[n++];
    }
    if (done < total) {
        /* Not enough buffers: the device waits for more. */
        free(bytes);
        while (n)
            ring_device_unpop(ring, chain[--n]);
        return 0;
    }
    uint16_t buffers = how->lie_num_buffers                        ? how->header.num_buffers
                       : device_has(&net->device, NET_F_MRG_RXBUF) ? (uint16_t)n
                                                                   : 1;
    if (header >= WIRE_NET_HDR_SIZE)
        memcpy(bytes + offsetof(struct wire_net_hdr, num_buffers), &buffers, 2);
    done = 0;
    for (unsigned i = 0; i < n; i++) {
        ring_chain_write(chain[i], 0, bytes + done, used[i]);
        done += used[i];
    }
    for (unsigned i = 0; i + how->keep_back < n; i++)
        ring_device_push(ring, chain[i], used[i] - (i + 1 == n ? how->short_by : 0));
    free(bytes);
    return n;
}

void device_net_release_tx(struct device_net *net, bool reverse)
{
    struct ring_device *ring = &net->device.queue[1].ring;

    reverse = reverse && !ring->params.in_order;
    for (unsigned i = 0; i < net->held_count; i++)
        ring_device_push(ring, net->held[reverse ? net->held_count - 1 - i : i], 0);
    net->held_count = 0;
    device_signal(&net->device, 1);
}
