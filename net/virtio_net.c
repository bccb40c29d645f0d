/*
 * virtio_net.c - the network device driver (5.1): one receive and one transmit queue, frames with
 * their virtio header.
 *
 * Owns the headers of frames that are being sent; receive buffers are lent by the user of
 * virtio_net.h. Knows no protocol above Ethernet. A received frame may lie in several buffers
 * (MRG_RXBUF). Read virtio_net.h first.
 */
#include "net/virtio_net.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "virtio/spec.h"

enum { QUEUE_RX, QUEUE_TX, QUEUES };

#define MAX_NICS 8
#define QUEUE_SIZE 256
#define ETHERNET_HEADER 14u
#define VLAN_TAG 4u
#define DEFAULT_MTU 1500u
#define MIN_MTU 68u
#define RX_PIECES_MAX 2

/* A frame that the device is sending: the header, which it reads, and whose frame it is. */
struct tx_slot {
    struct virtio_net_hdr header;
    void *token;
    struct tx_slot *next_free;
};

/* A receive buffer that the device has. */
struct rx_slot {
    uint8_t *data;
    uint32_t len;
    void *token;
    struct rx_slot *next_free;
};

struct virtio_net {
    struct virtio_device *device;
    struct virtqueue *rx, *tx;
    const struct virtio_net_callbacks *callbacks;
    void *arg;
    char name[8];
    uint8_t mac[6];
    uint16_t mtu;
    uint8_t header_size; /* of every frame's virtio header (5.1.9, 5.1.9.1) */
    uint8_t rx_pieces;   /* descriptors of a receive buffer */
    bool link_up, merge_buffers, checksum, guest_checksum;
    struct tx_slot *tx_slots, *tx_free;
    struct rx_slot *rx_slots, *rx_free;
    struct virtio_net_stats stats;
};

static struct virtio_net *nics[MAX_NICS];

/* ---- transmit ---- */

static void fill_header(struct virtio_net_hdr *header,
                        const struct virtio_net_tx_checksum *checksum)
{
    /* 5.1.9.2.1: without GSO and checksum everything is 0, num_buffers always is. */
    memset(header, 0, sizeof(*header));
    if (!checksum)
        return;
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = cpu_to_le16(checksum->start);
    header->csum_offset = cpu_to_le16(checksum->offset);
}

static void end_tx(struct virtio_net *nic, struct tx_slot *slot)
{
    void *token = slot->token;

    slot->next_free = nic->tx_free;
    nic->tx_free = slot;
    nic->callbacks->sent(nic->arg, token);
}

static unsigned reap_transmitted(struct virtio_net *nic)
{
    struct tx_slot *slot;
    unsigned done = 0;

    while ((slot = virtqueue_get_buf(nic->tx, NULL)) != NULL) {
        end_tx(nic, slot);
        done++;
    }
    return done;
}

/* The length of a frame that may be sent, or 0 (5.1.4.2: not more than the MTU and the Ethernet
 * header). */
static uint32_t frame_length(const struct virtio_net *nic, const struct virtqueue_sg *sg,
                             unsigned n)
{
    uint64_t len = 0;
    unsigned i;

    for (i = 0; i < n; i++)
        len += sg[i].len;
    return len >= ETHERNET_HEADER && len <= nic->mtu + ETHERNET_HEADER + VLAN_TAG ? (uint32_t)len
                                                                                  : 0;
}

int virtio_net_tx(struct virtio_net *nic, const struct virtqueue_sg *sg, unsigned n,
                  const struct virtio_net_tx_checksum *checksum, void *token)
{
    struct virtqueue_sg list[VIRTIO_NET_MAX_TX_PIECES + 1];
    uint32_t len = frame_length(nic, sg, n);
    struct tx_slot *slot;
    int error;

    if (!nic->device->driver_ok || virtqueue_is_broken(nic->tx))
        return -EIO;
    if (n > VIRTIO_NET_MAX_TX_PIECES || !len || (checksum && !nic->checksum))
        return -EINVAL;
    if (!nic->tx_free || virtqueue_free(nic->tx) <= n)
        reap_transmitted(nic);
    slot = nic->tx_free;
    error = -ENOSPC;
    if (slot) {
        fill_header(&slot->header, checksum);
        list[0] = (struct virtqueue_sg){&slot->header, nic->header_size};
        memcpy(&list[1], sg, n * sizeof(*sg));
        error = virtqueue_add(nic->tx, list, n + 1, 0, slot);
    }
    if (error) {
        nic->stats.tx_full += error == -ENOSPC;
        return error;
    }
    slot->token = token;
    nic->tx_free = slot->next_free;
    nic->stats.tx_frames++;
    nic->stats.tx_bytes += len;
    return 0;
}

/* ---- receive ---- */

int virtio_net_rx_provide(struct virtio_net *nic, void *buffer, uint32_t len, void *token)
{
    struct rx_slot *slot = nic->rx_free;
    struct virtqueue_sg whole = {buffer, len};
    /* 5.1.9.8: a legacy device without ANY_LAYOUT wants the header in a descriptor of its own. */
    struct virtqueue_sg parts[RX_PIECES_MAX] = {
        {buffer, nic->header_size}, {(uint8_t *)buffer + nic->header_size, len - nic->header_size}};
    int error;

    if (!nic->device->driver_ok)
        return -EIO;
    if (len < virtio_net_rx_buffer_size(nic))
        return -EINVAL;
    if (!slot)
        return -ENOSPC;
    error = virtqueue_add(nic->rx, nic->rx_pieces == 1 ? &whole : parts, 0, nic->rx_pieces, slot);
    if (error)
        return error;
    *slot =
        (struct rx_slot){.data = buffer, .len = len, .token = token, .next_free = slot->next_free};
    nic->rx_free = slot->next_free;
    return 0;
}

/* Takes the next buffer that the device filled, as a piece of a frame. */
static bool take_piece(struct virtio_net *nic, struct virtio_net_piece *piece)
{
    struct rx_slot *slot = virtqueue_get_buf(nic->rx, &piece->len);

    if (!slot)
        return false;
    piece->data = slot->data;
    piece->token = slot->token;
    slot->next_free = nic->rx_free;
    nic->rx_free = slot;
    return true;
}

static void drop(struct virtio_net *nic, const struct virtio_net_piece *piece, unsigned pieces)
{
    unsigned i;

    nic->stats.rx_dropped++;
    for (i = 0; i < pieces; i++)
        nic->callbacks->reclaimed(nic->arg, piece[i].token);
}

/* 5.1.9.4: the header comes first, in the first buffer. Copied, so that the device cannot change it
 * under us. */
static bool read_header(struct virtio_net *nic, struct virtio_net_piece *first,
                        struct virtio_net_hdr *header)
{
    if (first->len < nic->header_size)
        return false;
    memcpy(header, first->data, nic->header_size);
    first->data = (uint8_t *)first->data + nic->header_size;
    first->len -= nic->header_size;
    if (!nic->merge_buffers)
        header->num_buffers = cpu_to_le16(1);
    return true;
}

/* The rest of a frame of several buffers, which the device made used together (5.1.9.3.2). Returns
 * the pieces there are. */
static unsigned take_rest(struct virtio_net *nic, struct virtio_net_piece *piece, unsigned wanted)
{
    unsigned n = 1;

    if (wanted == 0 || wanted > VIRTIO_NET_MAX_PIECES) {
        virtqueue_break(nic->rx, "a frame in an impossible number of buffers");
        return n;
    }
    while (n < wanted && take_piece(nic, &piece[n]))
        n++;
    if (n < wanted && !virtqueue_is_broken(nic->rx))
        virtqueue_break(nic->rx, "a frame in more buffers than were used");
    return n;
}

static enum virtio_net_checksum checksum_state(const struct virtio_net *nic,
                                               const struct virtio_net_hdr *header)
{
    if (!nic->guest_checksum)
        return VIRTIO_NET_CHECKSUM_UNKNOWN;
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        return VIRTIO_NET_CHECKSUM_PARTIAL;
    return header->flags & VIRTIO_NET_HDR_F_DATA_VALID ? VIRTIO_NET_CHECKSUM_VALID
                                                       : VIRTIO_NET_CHECKSUM_UNKNOWN;
}

/* Is it a frame at all, and one that was negotiated? No piece may be empty, and no segmented frame
 * was asked for. */
static uint64_t good_length(const struct virtio_net_hdr *header,
                            const struct virtio_net_piece *piece, unsigned n)
{
    uint64_t len = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (piece[i].len == 0)
            return 0;
        len += piece[i].len;
    }
    return len >= ETHERNET_HEADER && header->gso_type == VIRTIO_NET_HDR_GSO_NONE ? len : 0;
}

/* Takes one frame from the device and delivers it. False: there is none. */
static bool receive_frame(struct virtio_net *nic)
{
    struct virtio_net_piece piece[VIRTIO_NET_MAX_PIECES];
    struct virtio_net_hdr header;
    unsigned n = 1, wanted;
    uint64_t len;

    if (!take_piece(nic, &piece[0]))
        return false;
    if (!read_header(nic, &piece[0], &header)) {
        drop(nic, piece, 1);
        return true;
    }
    wanted = le16_to_cpu(header.num_buffers);
    if (wanted != 1)
        n = take_rest(nic, piece, wanted);
    len = n == wanted ? good_length(&header, piece, n) : 0;
    if (!len) {
        drop(nic, piece, n);
        return true;
    }
    nic->stats.rx_frames++;
    nic->stats.rx_bytes += len;
    nic->callbacks->received(nic->arg, piece, n, checksum_state(nic, &header));
    return true;
}

/* ---- the loop's side ---- */

void virtio_net_kick(struct virtio_net *nic)
{
    virtqueue_kick(nic->rx);
    virtqueue_kick(nic->tx);
}

unsigned virtio_net_poll(struct virtio_net *nic, unsigned budget)
{
    unsigned received = 0, sent;

    if (!nic->device->driver_ok)
        return 0;
    virtqueue_disable_cb(nic->tx);
    sent = reap_transmitted(nic);
    virtqueue_disable_cb(nic->rx);
    while (received < budget && receive_frame(nic))
        received++;
    if (virtqueue_is_broken(nic->rx) || virtqueue_is_broken(nic->tx)) {
        virtio_mend(nic->device, "a queue is broken");
        received++;
    }
    return received + sent;
}

bool virtio_net_arm(struct virtio_net *nic)
{
    bool idle = virtqueue_enable_cb(nic->rx);

    /* Sent frames are reaped when something else happens, unless so many are out that the room for
     * more may be waited for. */
    if (virtqueue_free(nic->tx) < virtqueue_size(nic->tx) / 2u)
        idle = virtqueue_enable_cb(nic->tx) && idle;
    return idle;
}

/* ---- what a NIC is ---- */

struct virtio_net *virtio_net_at(unsigned index)
{
    return index < MAX_NICS ? nics[index] : NULL;
}

void virtio_net_attach(struct virtio_net *nic, const struct virtio_net_callbacks *callbacks,
                       void *arg)
{
    nic->callbacks = callbacks;
    nic->arg = arg;
}

const uint8_t *virtio_net_mac(const struct virtio_net *nic)
{
    return nic->mac;
}

uint16_t virtio_net_mtu(const struct virtio_net *nic)
{
    return nic->mtu;
}

bool virtio_net_link_up(const struct virtio_net *nic)
{
    return nic->link_up;
}

bool virtio_net_can_checksum(const struct virtio_net *nic)
{
    return nic->checksum;
}

const struct virtio_net_stats *virtio_net_stats(const struct virtio_net *nic)
{
    return &nic->stats;
}

const char *virtio_net_name(const struct virtio_net *nic)
{
    return nic->name;
}

unsigned virtio_net_rx_room(const struct virtio_net *nic)
{
    return nic->device->driver_ok ? virtqueue_free(nic->rx) / nic->rx_pieces : 0;
}

uint32_t virtio_net_rx_buffer_size(const struct virtio_net *nic)
{
    uint32_t frame = nic->mtu + ETHERNET_HEADER + VLAN_TAG + nic->header_size;

    /* 5.1.9.3.1; with merged buffers a larger frame takes several. */
    return nic->merge_buffers || frame < VIRTIO_NET_RX_BUFFER_MIN ? VIRTIO_NET_RX_BUFFER_MIN
                                                                  : frame;
}

/* ---- set-up ---- */

static void random_mac(uint8_t mac[6])
{
    uint64_t value = platform_random();

    memcpy(mac, &value, 6);
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* locally administered, one station */
}

static int read_mac(struct virtio_net *nic)
{
    if (virtio_has_feature(nic->device, VIRTIO_NET_F_MAC))
        return virtio_config_read(nic->device, offsetof(struct virtio_net_config, mac), nic->mac,
                                  sizeof(nic->mac), 1);
    random_mac(nic->mac);
    return 0;
}

/* 5.1.4.2: without STATUS the link is up. An unreadable status leaves it as it is. */
static void read_link(struct virtio_net *nic)
{
    le16 status;

    if (!virtio_has_feature(nic->device, VIRTIO_NET_F_STATUS))
        nic->link_up = true;
    else if (VIRTIO_CONFIG_READ(nic->device, struct virtio_net_config, status, &status) == 0)
        nic->link_up = le16_to_cpu(status) & VIRTIO_NET_S_LINK_UP;
}

static void read_mtu(struct virtio_net *nic)
{
    le16 mtu;

    if (!nic->mtu)
        nic->mtu = DEFAULT_MTU;
    if (!virtio_has_feature(nic->device, VIRTIO_NET_F_MTU) ||
        VIRTIO_CONFIG_READ(nic->device, struct virtio_net_config, mtu, &mtu))
        return;
    if (le16_to_cpu(mtu) < MIN_MTU)
        log_warn("%s: MTU %u is too small for IP, using %u", nic->device->name, le16_to_cpu(mtu),
                 nic->mtu);
    else
        nic->mtu = le16_to_cpu(mtu);
}

static int make_slots(struct virtio_net *nic)
{
    unsigned i, rx = virtqueue_size(nic->rx), tx = virtqueue_size(nic->tx);

    nic->tx_slots = platform_dma_alloc(tx * sizeof(*nic->tx_slots), 64);
    nic->rx_slots = platform_dma_alloc(rx * sizeof(*nic->rx_slots), 64);
    if (!nic->tx_slots || !nic->rx_slots)
        return -ENOMEM;
    for (i = 0; i < tx; i++) {
        nic->tx_slots[i].next_free = nic->tx_free;
        nic->tx_free = &nic->tx_slots[i];
    }
    for (i = 0; i < rx; i++) {
        nic->rx_slots[i].next_free = nic->rx_free;
        nic->rx_free = &nic->rx_slots[i];
    }
    return 0;
}

static void net_free(struct virtio_net *nic)
{
    if (nic->tx_slots)
        platform_dma_free(nic->tx_slots, virtqueue_size(nic->tx) * sizeof(*nic->tx_slots));
    if (nic->rx_slots)
        platform_dma_free(nic->rx_slots, virtqueue_size(nic->rx) * sizeof(*nic->rx_slots));
    platform_dma_free(nic, sizeof(*nic));
}

/* How header and frame lie in buffers; the legacy interface has its own ways (5.1.9.1, 5.1.9.8). */
static void choose_framing(struct virtio_net *nic)
{
    struct virtio_device *device = nic->device;
    bool any_layout = !device->legacy || virtio_has_feature(device, VIRTIO_F_ANY_LAYOUT);

    nic->merge_buffers = virtio_has_feature(device, VIRTIO_NET_F_MRG_RXBUF);
    nic->header_size = sizeof(struct virtio_net_hdr);
    if (device->legacy && !nic->merge_buffers)
        nic->header_size = VIRTIO_NET_LEGACY_HDR_SIZE;
    nic->rx_pieces = any_layout ? 1 : RX_PIECES_MAX;
}

static int net_probe(struct virtio_device *device)
{
    struct virtio_queue_request requests[QUEUES] = {
        [QUEUE_RX] = {.name = "net rx", .index = 0, .max_size = QUEUE_SIZE},
        [QUEUE_TX] = {.name = "net tx",
                      .index = 1,
                      .max_size = QUEUE_SIZE,
                      .max_segments = VIRTIO_NET_MAX_TX_PIECES + 1},
    };
    struct virtio_net *nic = platform_dma_alloc(sizeof(*nic), 64);
    int error;

    if (!nic)
        return -ENOMEM;
    nic->device = device;
    choose_framing(nic);
    requests[QUEUE_RX].max_segments = nic->rx_pieces;
    nic->checksum = virtio_has_feature(device, VIRTIO_NET_F_CSUM);
    nic->guest_checksum = virtio_has_feature(device, VIRTIO_NET_F_GUEST_CSUM);
    error = read_mac(nic);
    if (error)
        goto out;
    read_link(nic);
    read_mtu(nic);
    error = virtio_find_queues(device, requests, QUEUES);
    if (error)
        goto out;
    nic->rx = device->queue[QUEUE_RX];
    nic->tx = device->queue[QUEUE_TX];
    error = make_slots(nic);
    if (error)
        goto out;
    device->driver_data = nic;
    return 0;

out:
    net_free(nic);
    return error;
}

static int net_ready(struct virtio_device *device)
{
    struct virtio_net *nic = device->driver_data;
    unsigned i;

    if (device->recovering) {
        if (nic->callbacks)
            nic->callbacks->restarted(nic->arg);
        return 0;
    }
    for (i = 0; i < MAX_NICS && nics[i]; i++)
        ;
    if (i == MAX_NICS) {
        device->refusal = "too many network devices";
        return -ENOSPC;
    }
    nics[i] = nic;
    format_text(nic->name, sizeof(nic->name), "eth%u", i);
    return 0;
}

static void net_reclaim_queue(struct virtio_device *device, unsigned i)
{
    struct virtio_net *nic = device->driver_data;
    struct tx_slot *tx;
    struct rx_slot *rx;

    while (i == QUEUE_TX && (tx = virtqueue_detach_unused(nic->tx)) != NULL)
        end_tx(nic, tx);
    while (i == QUEUE_RX && (rx = virtqueue_detach_unused(nic->rx)) != NULL) {
        rx->next_free = nic->rx_free;
        nic->rx_free = rx;
        nic->callbacks->reclaimed(nic->arg, rx->token);
    }
}

static void net_reclaim(struct virtio_device *device)
{
    net_reclaim_queue(device, QUEUE_TX);
    net_reclaim_queue(device, QUEUE_RX);
}

static void net_ready_queue(struct virtio_device *device, unsigned i)
{
    struct virtio_net *nic = device->driver_data;

    if (i == QUEUE_RX && nic->callbacks)
        nic->callbacks->restarted(nic->arg);
}

static void net_remove(struct virtio_device *device)
{
    struct virtio_net *nic = device->driver_data;
    unsigned i;

    for (i = 0; i < MAX_NICS; i++)
        if (nics[i] == nic)
            nics[i] = NULL;
    net_free(nic);
    device->driver_data = NULL;
}

static void net_config_changed(struct virtio_device *device)
{
    struct virtio_net *nic = device->driver_data;
    bool was_up = nic->link_up;

    read_link(nic);
    if (nic->link_up != was_up)
        log_info("%s: link %s", nic->name, nic->link_up ? "up" : "down");
    if (nic->callbacks)
        nic->callbacks->changed(nic->arg);
}

#define NEEDS(feature) .depends = true, .requires = feature
#define NO_SEGMENTATION "segmentation offload is not used"
#define NO_CONTROL "the control queue is not used"

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_NET_F_CSUM, .name = "CSUM"},
    {.bit = VIRTIO_NET_F_GUEST_CSUM, .name = "GUEST_CSUM"},
    {.bit = VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, .name = "CTRL_GUEST_OFFLOADS", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_MTU, .name = "MTU"},
    {.bit = VIRTIO_NET_F_MAC, .name = "MAC"},
    {.bit = VIRTIO_NET_F_GSO, .name = "GSO", .refusal = "legacy"},
    {.bit = VIRTIO_NET_F_GUEST_TSO4,
     .name = "GUEST_TSO4",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_GUEST_CSUM)},
    {.bit = VIRTIO_NET_F_GUEST_TSO6,
     .name = "GUEST_TSO6",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_GUEST_CSUM)},
    {.bit = VIRTIO_NET_F_GUEST_ECN, .name = "GUEST_ECN", .refusal = NO_SEGMENTATION},
    {.bit = VIRTIO_NET_F_GUEST_UFO,
     .name = "GUEST_UFO",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_GUEST_CSUM)},
    {.bit = VIRTIO_NET_F_HOST_TSO4,
     .name = "HOST_TSO4",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_HOST_TSO6,
     .name = "HOST_TSO6",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_HOST_ECN, .name = "HOST_ECN", .refusal = NO_SEGMENTATION},
    {.bit = VIRTIO_NET_F_HOST_UFO,
     .name = "HOST_UFO",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_MRG_RXBUF, .name = "MRG_RXBUF"},
    {.bit = VIRTIO_NET_F_STATUS, .name = "STATUS"},
    {.bit = VIRTIO_NET_F_CTRL_VQ, .name = "CTRL_VQ", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_CTRL_RX, .name = "CTRL_RX", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_CTRL_VLAN, .name = "CTRL_VLAN", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_CTRL_RX_EXTRA, .name = "CTRL_RX_EXTRA", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_GUEST_ANNOUNCE, .name = "GUEST_ANNOUNCE", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_MQ, .name = "MQ", .refusal = "one queue pair is used"},
    {.bit = VIRTIO_NET_F_CTRL_MAC_ADDR, .name = "CTRL_MAC_ADDR", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_NOTF_COAL, .name = "NOTF_COAL", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_VQ_NOTF_COAL, .name = "VQ_NOTF_COAL", .refusal = NO_CONTROL},
    {.bit = VIRTIO_NET_F_GUEST_USO4,
     .name = "GUEST_USO4",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_GUEST_CSUM)},
    {.bit = VIRTIO_NET_F_GUEST_USO6,
     .name = "GUEST_USO6",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_GUEST_CSUM)},
    {.bit = VIRTIO_NET_F_HOST_USO,
     .name = "HOST_USO",
     .refusal = NO_SEGMENTATION,
     NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_HASH_REPORT, .name = "HASH_REPORT", .refusal = "one queue pair is used"},
    {.bit = VIRTIO_NET_F_RSS, .name = "RSS", .refusal = "one queue pair is used"},
    {.bit = VIRTIO_NET_F_RSC_EXT, .name = "RSC_EXT", .refusal = NO_SEGMENTATION},
    {.bit = VIRTIO_NET_F_STANDBY, .name = "STANDBY", .refusal = "no fail-over"},
    {.bit = VIRTIO_NET_F_SPEED_DUPLEX, .name = "SPEED_DUPLEX", .refusal = "of no use"},
};

static const uint16_t device_types[] = {VIRTIO_ID_NET, 0};

const struct virtio_driver virtio_net_driver = {
    .name = "virtio-net",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = net_probe,
    .ready = net_ready,
    .reclaim = net_reclaim,
    .reclaim_queue = net_reclaim_queue,
    .ready_queue = net_ready_queue,
    .remove = net_remove,
    .config_changed = net_config_changed,
};
