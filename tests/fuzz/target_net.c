/*
 * target_net.c - the network driver (5.1) under a hostile device, with nic_user.h above it.
 */
#include "net/virtio_net.h"

#include "fuzz.h"
#include "hostile.h"
#include "net/nic.h"
#include "nic_user.h"
#include "virtio/spec_net.h"

#define PAIRS 2u

/* What the kernel's words would ask for. */
void fuzz_net_prepare(void)
{
    virtio_net_limit_pairs(PAIRS);
    virtio_net_coalesce(16, 4);
}

/* Every frame is sent, every command is obeyed, and a short frame arrives in every buffer. */
static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    static const uint8_t header[20] = {[10] = 1};

    (void)queue;
    if (chain->in == 0)
        return 0;
    if (chain->out) {
        chain->piece[chain->out].data[0] = VIRTIO_NET_OK;
        return 1;
    }
    if (chain->writable < sizeof(header) || chain->piece[0].len < sizeof(header))
        return HOSTILE_KEEP;
    memcpy(chain->piece[0].data, header, sizeof(header));
    return chain->writable < 76 ? chain->writable : 76;
}

/* It must have done all that it was asked for at the start. */
static bool found(void)
{
    return nic_user_found() && nic_at(0)->pairs == PAIRS;
}

static const struct hostile_type type = {
    .driver = &virtio_net_driver,
    .id = 1,
    .queues = 5,
    .features =
        1u << VIRTIO_NET_F_CTRL_VQ | 1u << VIRTIO_NET_F_CTRL_RX | 1u << VIRTIO_NET_F_CTRL_VLAN |
        1u << VIRTIO_NET_F_CTRL_RX_EXTRA | 1u << VIRTIO_NET_F_GUEST_ANNOUNCE |
        1u << VIRTIO_NET_F_MQ | 1u << VIRTIO_NET_F_CTRL_MAC_ADDR |
        1u << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | 1u << VIRTIO_NET_F_GUEST_TSO4 |
        1u << VIRTIO_NET_F_GUEST_TSO6 | 1u << VIRTIO_NET_F_MAC | 1u << VIRTIO_NET_F_STATUS |
        1u << VIRTIO_NET_F_MTU | 1u << VIRTIO_NET_F_MRG_RXBUF | 1u << VIRTIO_NET_F_CSUM |
        1u << VIRTIO_NET_F_GUEST_CSUM | 1u << VIRTIO_NET_F_HOST_TSO4 |
        1u << VIRTIO_NET_F_HOST_TSO6 | 1u << VIRTIO_NET_F_GUEST_UFO | 1u << VIRTIO_NET_F_HOST_UFO |
        1u << VIRTIO_NET_F_GUEST_ECN | 1u << VIRTIO_NET_F_HOST_ECN,
    .more_features = 1u << (VIRTIO_NET_F_RSS - 32) | 1u << (VIRTIO_NET_F_HASH_REPORT - 32) |
                     1u << (VIRTIO_NET_F_NOTF_COAL - 32) | 1u << (VIRTIO_NET_F_VQ_NOTF_COAL - 32) |
                     1u << (VIRTIO_NET_F_GUEST_HDRLEN - 32) | 1u << (VIRTIO_NET_F_GUEST_USO4 - 32) |
                     1u << (VIRTIO_NET_F_HOST_USO - 32),
    .config = {0x52, 0x54, 0, 1, 2, 3, VIRTIO_NET_S_LINK_UP, 0, 2, 0, 0xdc,
               5, [17] = 40, [18] = 128, [20] = 0x3f},
    .answer = answer,
    .start = nic_user_start,
    .use = nic_user_use,
    .found = found,
};

void fuzz_net(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
    nic_user_check();
}
