/*
 * proof_net_steering.c - hashes that a network device reports, and what it says of receive steering
 * (5.1.4, 5.1.9.4.1, 5.1.9.5.7): a queue is looked up inside of the table, and the command that is made of it
 * fits into its memory.
 */
// unwind: 130
// variant hash: -DHASH
// variant setup: -DSETUP
// control hash: net/virtio_net_steering.c: (hash & net->table_mask) % net->active => (hash & net->table_mask)
// control hash: net/virtio_net_steering.c: if (net->steered) => if (1)
// control setup: net/virtio_net_steering.c: le32_to_cpu(types) & HASH_TYPES => le32_to_cpu(types)
// control setup: net/virtio_net_steering.c: at = put_le16(at, net->pairs); => at = put_le16(at, net->pairs) + 64;
#include "any_config.h"

#include "net/virtio_net_steering.c"

static struct virtio_net *net;

uint32_t flow_hash(const void *frame, size_t len)
{
    (void)frame;
    (void)len;
    return any_u32();
}

void flow_hash_key(uint8_t key[FLOW_HASH_KEY_SIZE])
{
    claim(__CPROVER_w_ok(key, FLOW_HASH_KEY_SIZE));
}

int virtio_net_command(struct virtio_net *of, uint8_t class, uint8_t command,
                       struct virtqueue_sg *data, unsigned pieces)
{
    claim(of == net && pieces == 1 && data->len > 0);
    claim(class == VIRTIO_NET_CTRL_MQ && command <= VIRTIO_NET_CTRL_MQ_RSS_CONFIG);
    claim(__CPROVER_r_ok(data->data, data->len) && data->len <= sizeof(net->message.data.steering));
    return any_bool() ? 0 : -EIO;
}

int main(void)
{
    struct virtio_device *device = malloc(sizeof(*device));

    net = malloc(sizeof(*net));
    net->device = device;
    net->table_mask = TABLE_MAX - 1;
    assume(net->pairs >= 1 && net->pairs <= sizeof(net->pair) / sizeof(net->pair[0]));
#ifdef HASH
    struct virtio_net_hdr_hash *header = malloc(sizeof(*header));
    struct nic_received how = {.hashed = false};
    const struct virtqueue_sg frame = {header, sizeof(*header)};
    unsigned pair = any_unsigned();

    /* Before the pairs are started nothing is steered. */
    net->active = net->steered ? net->pairs : 0;
    assume(pair < net->pairs);
    virtio_net_take_hash(net, &net->pair[pair], header, &how);
    claim(how.hashed || how.hash == 0);
    if (net->active)
        claim(virtio_net_pair_of(net, &frame) < net->pairs);
#else
    virtio_net_read_steering(net);
    claim((net->hash_types & ~HASH_TYPES) == 0);
    virtio_net_start_pairs(net);
    claim(net->active >= 1 && net->active <= net->pairs);
#endif
    return 0;
}
