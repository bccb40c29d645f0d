/*
 * virtio_net_setup.c - the network device driver (5.1): which features it takes, what it reads from
 * the configuration, and how a device comes up, changes and goes.
 *
 * Frames are virtio_net.c's. Read virtio_net_impl.h first.
 */
#include "net/virtio_net_impl.h"

#include <errno.h>
#include <string.h>

#include "log.h"

/* Which of the device's queues the core keeps where: the first pair, the control queue if there is
 * one, then the other pairs. */
enum { QUEUE_RX, QUEUE_TX, QUEUE_CONTROL, QUEUES = 2 * VIRTIO_NET_MAX_PAIRS + 1 };

#define QUEUE_SIZE 256
/* A frame that is not sent by then has had its time. */
#define TX_PATIENCE_S 5u
#define CONTROL_SIZE 8
#define DEFAULT_MTU 1500u
#define MIN_MTU 68u

static unsigned most_pairs = 1;

static bool several_pairs(void)
{
    return most_pairs > 1;
}

void virtio_net_limit_pairs(unsigned pairs)
{
    most_pairs = pairs < VIRTIO_NET_MAX_PAIRS ? pairs : VIRTIO_NET_MAX_PAIRS;
    if (most_pairs == 0)
        most_pairs = 1;
}

static void random_mac(uint8_t mac[6])
{
    uint64_t value = platform_random();

    memcpy(mac, &value, 6);
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* locally administered, one station */
}

static int read_mac(struct virtio_net *net)
{
    if (virtio_has_feature(net->device, VIRTIO_NET_F_MAC))
        return virtio_config_read(net->device, offsetof(struct virtio_net_config, mac),
                                  net->nic.mac, sizeof(net->nic.mac), 1);
    random_mac(net->nic.mac);
    return 0;
}

/* 5.1.4.2: what is no speed and no duplex is unknown. */
static void read_speed(struct virtio_net *net)
{
    uint8_t duplex = VIRTIO_NET_DUPLEX_UNKNOWN;
    le32 speed;

    net->nic.speed_mbit = 0;
    if (VIRTIO_CONFIG_READ(net->device, struct virtio_net_config, speed, &speed) == 0 &&
        le32_to_cpu(speed) <= VIRTIO_NET_SPEED_MAX)
        net->nic.speed_mbit = le32_to_cpu(speed);
    VIRTIO_CONFIG_READ(net->device, struct virtio_net_config, duplex, &duplex);
    net->nic.half_duplex = duplex == VIRTIO_NET_DUPLEX_HALF;
}

/*
 * 5.1.4.2: without STATUS the link is up. An unreadable status leaves it as it is. Returns the
 * status.
 */
static uint16_t read_link(struct virtio_net *net)
{
    le16 status = cpu_to_le16(0);

    if (virtio_has_feature(net->device, VIRTIO_NET_F_SPEED_DUPLEX))
        read_speed(net);
    if (!virtio_has_feature(net->device, VIRTIO_NET_F_STATUS))
        net->nic.link_up = true;
    else if (VIRTIO_CONFIG_READ(net->device, struct virtio_net_config, status, &status) == 0)
        net->nic.link_up = le16_to_cpu(status) & VIRTIO_NET_S_LINK_UP;
    return le16_to_cpu(status);
}

static void read_mtu(struct virtio_net *net)
{
    le16 mtu;

    if (!net->nic.mtu)
        net->nic.mtu = DEFAULT_MTU;
    if (!virtio_has_feature(net->device, VIRTIO_NET_F_MTU) ||
        VIRTIO_CONFIG_READ(net->device, struct virtio_net_config, mtu, &mtu))
        return;
    if (le16_to_cpu(mtu) < MIN_MTU)
        log_warn("%s: MTU %u is too small for IP, using %u", net->device->name, le16_to_cpu(mtu),
                 net->nic.mtu);
    else
        net->nic.mtu = le16_to_cpu(mtu);
}

/* How header and frame lie in buffers; the legacy interface has its own ways (5.1.9.1, 5.1.9.8). */
static void choose_framing(struct virtio_net *net)
{
    struct virtio_device *device = net->device;
    bool any_layout = !device->legacy || virtio_has_feature(device, VIRTIO_F_ANY_LAYOUT);

    net->merge_buffers = virtio_has_feature(device, VIRTIO_NET_F_MRG_RXBUF);
    net->hash_reported = virtio_has_feature(device, VIRTIO_NET_F_HASH_REPORT);
    net->header_size =
        net->hash_reported ? sizeof(struct virtio_net_hdr_hash) : sizeof(struct virtio_net_hdr);
    if (device->legacy && !net->merge_buffers)
        net->header_size = VIRTIO_NET_LEGACY_HDR_SIZE;
    net->rx_pieces = any_layout ? 1 : 2;
    net->nic.tx_headroom = any_layout ? net->header_size : 0;
}

/* What the device does for the user, as nic.h has it, and which large frames it may deliver. */
static void choose_offloads(struct virtio_net *net)
{
    static const struct {
        uint8_t feature;
        unsigned offload;
    } offloads[] = {{VIRTIO_NET_F_CSUM, NIC_CHECKSUM},
                    {VIRTIO_NET_F_HOST_TSO4, NIC_SEGMENT_TCP4},
                    {VIRTIO_NET_F_HOST_TSO6, NIC_SEGMENT_TCP6},
                    {VIRTIO_NET_F_HOST_ECN, NIC_SEGMENT_ECN},
                    {VIRTIO_NET_F_HOST_USO, NIC_SEGMENT_UDP},
                    {VIRTIO_NET_F_HOST_UFO, NIC_FRAGMENT_UDP},
                    {VIRTIO_NET_F_GUEST_TSO4, NIC_LARGE_RECEIVE},
                    {VIRTIO_NET_F_GUEST_TSO6, NIC_LARGE_RECEIVE},
                    {VIRTIO_NET_F_GUEST_UFO, NIC_LARGE_RECEIVE},
                    {VIRTIO_NET_F_GUEST_USO4, NIC_LARGE_RECEIVE},
                    {VIRTIO_NET_F_GUEST_USO6, NIC_LARGE_RECEIVE}};
    static const uint8_t kinds[][2] = {{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_HDR_GSO_TCPV4},
                                       {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_HDR_GSO_TCPV6},
                                       {VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_HDR_GSO_UDP},
                                       {VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_HDR_GSO_UDP_L4},
                                       {VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_HDR_GSO_UDP_L4}};
    unsigned i;

    for (i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
        if (virtio_has_feature(net->device, offloads[i].feature))
            net->nic.offloads |= offloads[i].offload;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (virtio_has_feature(net->device, kinds[i][0]))
            net->guest_segments |= (uint8_t)(1u << kinds[i][1]);
    net->guest_ecn = virtio_has_feature(net->device, VIRTIO_NET_F_GUEST_ECN);
    net->guest_checksum = virtio_has_feature(net->device, VIRTIO_NET_F_GUEST_CSUM);
}

/* 5.1.9.3.1; with merged buffers a larger frame takes several. */
static uint32_t rx_buffer_min(const struct virtio_net *net)
{
    uint32_t frame = net->nic.mtu + NIC_ETHERNET_HEADER + NIC_VLAN_TAG + net->header_size;

    return net->merge_buffers || frame < VIRTIO_NET_RX_BUFFER_MIN ? VIRTIO_NET_RX_BUFFER_MIN
                                                                  : frame;
}

/*
 * How many pairs are made, and the number of the control queue, which comes behind all pairs that
 * the device has (5.1.2), used or not. 0: it has none, or one that cannot be reached.
 */
static uint16_t choose_pairs(struct virtio_net *net)
{
    struct virtio_device *device = net->device;
    unsigned most = 1;
    le16 offered;

    net->pairs = net->active = 1;
    if (!virtio_has_feature(device, VIRTIO_NET_F_CTRL_VQ))
        return 0;
    if (virtio_has_feature(device, VIRTIO_NET_F_MQ)) {
        if (VIRTIO_CONFIG_READ(device, struct virtio_net_config, max_virtqueue_pairs, &offered))
            return 0;
        most = le16_to_cpu(offered);
    }
    if (most == 0 || 2 * most > UINT16_MAX || !virtio_has_queue(device, (uint16_t)(2 * most))) {
        log_warn("%s: no control queue behind %u queue pairs", device->name, most);
        return 0;
    }
    net->pairs = most < most_pairs ? most : most_pairs;
    return (uint16_t)(2 * most);
}

static void request_pair(struct virtio_queue_request *rx, unsigned pair, unsigned rx_pieces)
{
    static const char *const names[][2] = {{"net rx", "net tx"},   {"net rx1", "net tx1"},
                                           {"net rx2", "net tx2"}, {"net rx3", "net tx3"},
                                           {"net rx4", "net tx4"}, {"net rx5", "net tx5"},
                                           {"net rx6", "net tx6"}, {"net rx7", "net tx7"}};
    _Static_assert(sizeof(names) / sizeof(names[0]) == VIRTIO_NET_MAX_PAIRS, "a name for each");

    rx[QUEUE_RX] = (struct virtio_queue_request){.name = names[pair][0],
                                                 .index = (uint16_t)(2 * pair),
                                                 .max_size = QUEUE_SIZE,
                                                 .max_segments = (uint16_t)rx_pieces};
    rx[QUEUE_TX] = (struct virtio_queue_request){.name = names[pair][1],
                                                 .index = (uint16_t)(2 * pair + 1),
                                                 .max_size = QUEUE_SIZE,
                                                 .max_segments = NIC_MAX_TX_PIECES + 1,
                                                 .patience_s = TX_PATIENCE_S,
                                                 .cell_bytes = sizeof(struct virtio_net_hdr_hash)};
}

static int find_queues(struct virtio_net *net)
{
    struct virtio_queue_request requests[QUEUES];
    struct virtio_device *device = net->device;
    uint16_t control = choose_pairs(net);
    unsigned i, n = 0;
    int error;

    for (i = 0; i < net->pairs; i++) {
        request_pair(&requests[n], i, net->rx_pieces);
        n += 2;
        if (n == QUEUE_CONTROL && control)
            requests[n++] = (struct virtio_queue_request){.name = "net control",
                                                          .index = control,
                                                          .max_size = CONTROL_SIZE,
                                                          .max_segments = NET_CONTROL_PIECES + 2,
                                                          .no_interrupt = true};
    }
    error = virtio_find_queues(device, requests, n);
    if (error)
        return error;
    net->control = control ? device->queue[QUEUE_CONTROL] : NULL;
    for (i = 0; i < net->pairs; i++) {
        unsigned at = 2 * i + (i > 0);
        net->pair[i].rx = device->queue[at + QUEUE_RX];
        net->pair[i].tx = device->queue[at + QUEUE_TX];
    }
    net->nic.tx_queue = virtqueue_size(net->pair[0].tx);
    return 0;
}

static int net_probe(struct virtio_device *device)
{
    struct virtio_net *net = platform_dma_alloc(sizeof(*net), 64);
    int error;

    if (!net)
        return -ENOMEM;
    net->device = device;
    net->nic.ops = &virtio_net_ops;
    choose_framing(net);
    choose_offloads(net);
    error = read_mac(net);
    if (error)
        goto out;
    read_link(net);
    read_mtu(net);
    net->nic.rx_buffer_min = rx_buffer_min(net);
    virtio_net_read_steering(net);
    error = find_queues(net);
    if (error)
        goto out;
    device->driver_data = net;
    return 0;

out:
    platform_dma_free(net, sizeof(*net));
    return error;
}

static int net_ready(struct virtio_device *device)
{
    struct virtio_net *net = device->driver_data;

    virtio_net_control_start(net);
    if (device->recovering) {
        if (net->nic.callbacks)
            net->nic.callbacks->restarted(net->nic.arg);
        return 0;
    }
    if (nic_register(&net->nic) != 0) {
        device->refusal = "too many network devices";
        return -ENOSPC;
    }
    return 0;
}

static void net_reclaim_queue(struct virtio_device *device, unsigned i)
{
    virtio_net_reclaim(device->driver_data, device->queue[i]);
}

static void net_reclaim(struct virtio_device *device)
{
    unsigned i;

    for (i = 0; i < device->queue_count; i++)
        net_reclaim_queue(device, i);
}

static void net_ready_queue(struct virtio_device *device, unsigned i)
{
    struct virtio_net *net = device->driver_data;

    if (device->queue[i] == net->control)
        net->control_lost = false;
    if (virtio_net_receives(net, device->queue[i]) && net->nic.callbacks)
        net->nic.callbacks->restarted(net->nic.arg);
}

static void net_remove(struct virtio_device *device)
{
    struct virtio_net *net = device->driver_data;

    nic_unregister(&net->nic);
    platform_dma_free(net, sizeof(*net));
    device->driver_data = NULL;
}

static void net_config_changed(struct virtio_device *device)
{
    struct virtio_net *net = device->driver_data;
    bool was_up = net->nic.link_up;
    uint16_t status = read_link(net);

    if (net->nic.link_up != was_up)
        log_info("%s: link %s", net->nic.name, net->nic.link_up ? "up" : "down");
    if (!net->nic.callbacks)
        return;
    net->nic.callbacks->changed(net->nic.arg);
    if ((status & VIRTIO_NET_S_ANNOUNCE) &&
        virtio_has_feature(device, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
        net->nic.callbacks->announce(net->nic.arg);
        virtio_net_acknowledge_announce(net);
    }
}

#define NEEDS(feature) .depends = true, .requires = feature
/* Large frames without merged buffers would need receive buffers of 64 KiB each (5.1.9.3.1). */
#define LARGE_FRAMES NEEDS(VIRTIO_NET_F_GUEST_CSUM), .requires_too = VIRTIO_NET_F_MRG_RXBUF
/* For one pair there is nothing to steer. */
#define STEERING \
    NEEDS(VIRTIO_NET_F_MQ), .wanted = several_pairs, .refusal = "one queue pair is used"

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_NET_F_CSUM, .name = "CSUM"},
    {.bit = VIRTIO_NET_F_GUEST_CSUM, .name = "GUEST_CSUM"},
    {.bit = VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
     .name = "CTRL_GUEST_OFFLOADS",
     NEEDS(VIRTIO_NET_F_CTRL_VQ)},
    {.bit = VIRTIO_NET_F_MTU, .name = "MTU"},
    {.bit = VIRTIO_NET_F_MAC, .name = "MAC"},
    {.bit = VIRTIO_NET_F_GSO, .name = "GSO", .refusal = "legacy"},
    {.bit = VIRTIO_NET_F_GUEST_TSO4, .name = "GUEST_TSO4", LARGE_FRAMES},
    {.bit = VIRTIO_NET_F_GUEST_TSO6, .name = "GUEST_TSO6", LARGE_FRAMES},
    {.bit = VIRTIO_NET_F_GUEST_ECN, .name = "GUEST_ECN", NEEDS(VIRTIO_NET_F_GUEST_TSO4)},
    {.bit = VIRTIO_NET_F_GUEST_UFO, .name = "GUEST_UFO", LARGE_FRAMES},
    {.bit = VIRTIO_NET_F_HOST_TSO4, .name = "HOST_TSO4", NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_HOST_TSO6, .name = "HOST_TSO6", NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_HOST_ECN, .name = "HOST_ECN", NEEDS(VIRTIO_NET_F_HOST_TSO4)},
    {.bit = VIRTIO_NET_F_HOST_UFO, .name = "HOST_UFO", NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_MRG_RXBUF, .name = "MRG_RXBUF"},
    {.bit = VIRTIO_NET_F_STATUS, .name = "STATUS"},
    {.bit = VIRTIO_NET_F_CTRL_VQ, .name = "CTRL_VQ"},
    {.bit = VIRTIO_NET_F_CTRL_RX, .name = "CTRL_RX", NEEDS(VIRTIO_NET_F_CTRL_VQ)},
    {.bit = VIRTIO_NET_F_CTRL_VLAN, .name = "CTRL_VLAN", NEEDS(VIRTIO_NET_F_CTRL_VQ)},
    {.bit = VIRTIO_NET_F_CTRL_RX_EXTRA, .name = "CTRL_RX_EXTRA", NEEDS(VIRTIO_NET_F_CTRL_RX)},
    {.bit = VIRTIO_NET_F_GUEST_ANNOUNCE,
     .name = "GUEST_ANNOUNCE",
     NEEDS(VIRTIO_NET_F_CTRL_VQ),
     .requires_too = VIRTIO_NET_F_STATUS},
    {.bit = VIRTIO_NET_F_MQ, .name = "MQ", NEEDS(VIRTIO_NET_F_CTRL_VQ)},
    {.bit = VIRTIO_NET_F_CTRL_MAC_ADDR, .name = "CTRL_MAC_ADDR", NEEDS(VIRTIO_NET_F_CTRL_RX)},
    {.bit = VIRTIO_NET_F_DEVICE_STATS,
     .name = "DEVICE_STATS",
     .refusal = "the driver counts itself"},
    {.bit = VIRTIO_NET_F_HASH_TUNNEL, .name = "HASH_TUNNEL", .refusal = "there are no tunnels"},
    {.bit = VIRTIO_NET_F_NOTF_COAL, .name = "NOTF_COAL", NEEDS(VIRTIO_NET_F_CTRL_VQ)},
    {.bit = VIRTIO_NET_F_VQ_NOTF_COAL, .name = "VQ_NOTF_COAL", NEEDS(VIRTIO_NET_F_CTRL_VQ)},
    {.bit = VIRTIO_NET_F_GUEST_USO4, .name = "GUEST_USO4", LARGE_FRAMES},
    {.bit = VIRTIO_NET_F_GUEST_USO6, .name = "GUEST_USO6", LARGE_FRAMES},
    {.bit = VIRTIO_NET_F_HOST_USO, .name = "HOST_USO", NEEDS(VIRTIO_NET_F_CSUM)},
    {.bit = VIRTIO_NET_F_HASH_REPORT,
     .name = "HASH_REPORT",
     STEERING,
     .requires_too = VIRTIO_NET_F_RSS},
    {.bit = VIRTIO_NET_F_RSS, .name = "RSS", STEERING},
    {.bit = VIRTIO_NET_F_GUEST_HDRLEN, .name = "GUEST_HDRLEN"},
    {.bit = VIRTIO_NET_F_RSC_EXT, .name = "RSC_EXT", .refusal = "of no use"},
    {.bit = VIRTIO_NET_F_STANDBY, .name = "STANDBY", .refusal = "no fail-over"},
    {.bit = VIRTIO_NET_F_SPEED_DUPLEX, .name = "SPEED_DUPLEX"},
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
    .attend = virtio_net_attend,
};
