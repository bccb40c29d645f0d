/*
 * virtio_net_steering.c - several queue pairs (5.1.9.5.6, 5.1.9.5.7): how many are in use, which one
 * a received packet comes by, and which one a packet is sent by.
 *
 * A flow has one pair for both directions: with RSS because the device is given the hash and the
 * table that the driver sends by, without it because such a device learns from what is sent
 * (5.1.9.5.6). Read virtio_net_impl.h and flow_hash.h first.
 */
#include "net/virtio_net_impl.h"

#include <string.h>

#include "log.h"
#include "net/flow_hash.h"

/* Entries of the table that chooses a queue by the hash; enough to share evenly among any number. */
#define TABLE_MAX 128u

#define HASH_TYPES                                                                         \
    (VIRTIO_NET_HASH_TYPE_IPV4 | VIRTIO_NET_HASH_TYPE_TCPV4 | VIRTIO_NET_HASH_TYPE_UDPV4 | \
     VIRTIO_NET_HASH_TYPE_IPV6 | VIRTIO_NET_HASH_TYPE_TCPV6 | VIRTIO_NET_HASH_TYPE_UDPV6)

_Static_assert(NET_STEERING_BYTES >= 8 + 2 * TABLE_MAX + 3 + FLOW_HASH_KEY_SIZE, "a command fits");

/* A pair for each entry of the table, from the first one on. */
static unsigned pair_of(const struct virtio_net *net, uint32_t hash)
{
    return (hash & net->table_mask) % net->active;
}

unsigned virtio_net_pair_of(const struct virtio_net *net, const struct virtqueue_sg *first)
{
    return pair_of(net, flow_hash(first->data, first->len));
}

void virtio_net_take_hash(struct virtio_net *net, const struct net_pair *pair,
                          const struct virtio_net_hdr_hash *header, struct nic_received *how)
{
    uint16_t report = le16_to_cpu(header->hash_report);

    if (report == VIRTIO_NET_HASH_REPORT_NONE || report > VIRTIO_NET_HASH_REPORT_UDPV6)
        return;
    how->hashed = true;
    how->hash = le32_to_cpu(header->hash_value);
    if (net->steered)
        net->nic.stats.rx_astray += pair != &net->pair[pair_of(net, how->hash)];
}

void virtio_net_read_steering(struct virtio_net *net)
{
    struct virtio_device *device = net->device;
    uint8_t key_size;
    le16 most;
    le32 types;

    net->table_mask = TABLE_MAX - 1;
    net->hash_types = 0;
    if (!virtio_has_feature(device, VIRTIO_NET_F_RSS) ||
        VIRTIO_CONFIG_READ(device, struct virtio_net_config, rss_max_key_size, &key_size) ||
        VIRTIO_CONFIG_READ(device, struct virtio_net_config, rss_max_indirection_table_length,
                           &most) ||
        VIRTIO_CONFIG_READ(device, struct virtio_net_config, supported_hash_types, &types))
        return;
    /* 5.1.4.1: the key may have 40 bytes, the table 128 entries. */
    if (key_size < FLOW_HASH_KEY_SIZE || le16_to_cpu(most) < TABLE_MAX) {
        log_warn("%s: RSS with a key of %u bytes and a table of %u entries is not used",
                 device->name, key_size, le16_to_cpu(most));
        return;
    }
    net->hash_types = le32_to_cpu(types) & HASH_TYPES;
}

static uint8_t *put_le16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

/* 5.1.9.5.7.1: hash types, table, transmit queues, key. */
static int send_rss(struct virtio_net *net)
{
    struct virtqueue_sg data = {net->message.data.steering, 0};
    uint8_t *at = data.data;
    unsigned i;

    at = put_le16(at, net->hash_types);
    at = put_le16(at, net->hash_types >> 16);
    at = put_le16(at, net->table_mask);
    at = put_le16(at, 0); /* the first queue gets what has no hash */
    for (i = 0; i <= net->table_mask; i++)
        at = put_le16(at, i % net->pairs);
    at = put_le16(at, net->pairs);
    *at++ = FLOW_HASH_KEY_SIZE;
    flow_hash_key(at);
    data.len = (uint32_t)(at + FLOW_HASH_KEY_SIZE - net->message.data.steering);
    return virtio_net_command(net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, &data, 1);
}

static int send_pairs(struct virtio_net *net)
{
    struct virtqueue_sg data = {&net->message.data.pairs, sizeof(le16)};

    net->message.data.pairs = cpu_to_le16((uint16_t)net->pairs);
    return virtio_net_command(net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &data, 1);
}

/* 5.1.9.5.6: the device uses the first pair alone until it is told otherwise. */
void virtio_net_start_pairs(struct virtio_net *net)
{
    net->active = 1;
    net->steered = false;
    if (net->pairs == 1)
        return;
    net->steered = net->hash_types != 0 && send_rss(net) == 0;
    if (net->steered || send_pairs(net) == 0)
        net->active = net->pairs;
    else
        log_warn("%s: the device does not take %u queue pairs, one is used", net->device->name,
                 net->pairs);
}
