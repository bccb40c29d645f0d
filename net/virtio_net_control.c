/*
 * virtio_net_control.c - the control queue of a network device (5.1.9.5): one command at a time,
 * with a limit on how long it may take.
 *
 * Owns the message that a command is made of, and what the device was told last, which a reset makes
 * it forget. A device that does not answer gets no more commands; frames go on. Read
 * virtio_net_impl.h first.
 */
#include "net/virtio_net_impl.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "platform.h"

#define ANSWER_TIMEOUT_NS 1000000000ull
#define PAUSE_NS 50000u

/* No value that a device may answer (5.1.9.5). */
#define ACK_PRESET 0xffu

static unsigned coalesce_usecs, coalesce_frames; /* 0: not asked for */

void virtio_net_coalesce(unsigned usecs, unsigned frames)
{
    coalesce_usecs = usecs;
    coalesce_frames = frames;
}

static bool wait_for_answer(struct virtio_net *net)
{
    uint64_t end = platform_now_ns() + ANSWER_TIMEOUT_NS;

    while (!virtqueue_get_buf(net->control, NULL)) {
        uint64_t now = platform_now_ns();
        if (now >= end || virtqueue_is_broken(net->control))
            return false;
        platform_wait(now + PAUSE_NS);
    }
    return true;
}

int virtio_net_command(struct virtio_net *net, uint8_t class, uint8_t code,
                       const struct virtqueue_sg *data, unsigned n)
{
    struct net_control_message *message = &net->message;
    struct virtqueue_sg sg[2 + NET_CONTROL_PIECES];
    unsigned i;

    if (!net->control)
        return -ENOTSUP;
    if (net->control_lost || !net->device->driver_ok)
        return -EIO;
    message->class = class;
    message->code = code;
    message->ack = ACK_PRESET;
    sg[0] = (struct virtqueue_sg){&message->class, 2};
    for (i = 0; i < n; i++)
        sg[i + 1] = data[i];
    sg[n + 1] = (struct virtqueue_sg){&message->ack, 1};
    if (virtqueue_add(net->control, sg, n + 1, 1, message) != 0)
        return -EIO;
    virtqueue_kick(net->control);
    if (!wait_for_answer(net)) {
        net->control_lost = true;
        log_warn("%s: no answer on the control queue, which is not used any more",
                 net->device->name);
        return -EIO;
    }
    return message->ack == VIRTIO_NET_OK ? 0 : -ENOTSUP;
}

static int set_mode(struct virtio_net *net, uint8_t code, bool on)
{
    struct virtqueue_sg data = {&net->message.data, 1};

    net->message.data.flag = on;
    return virtio_net_command(net, VIRTIO_NET_CTRL_RX, code, &data, 1);
}

/* 5.1.9.5.2: the unicast table is empty, since the device's own address needs no entry. */
static int set_table(struct virtio_net *net, const struct nic_filter *filter)
{
    unsigned n = filter->groups;
    struct virtqueue_sg data[2] = {
        {&net->message.data.unicasts, sizeof(le32)},
        {&net->message.data.multicasts, sizeof(le32) + n * 6},
    };

    net->message.data.unicasts = cpu_to_le32(0);
    net->message.data.multicasts = cpu_to_le32(n);
    memcpy(net->message.data.multicast, filter->group, n * 6);
    return virtio_net_command(net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 2);
}

static int send_stations(struct virtio_net *net)
{
    const struct nic_filter *filter = &net->filter;
    int error = 0;

    if (!filter->all_groups)
        error = set_table(net, filter);
    if (!error)
        error = set_mode(net, VIRTIO_NET_CTRL_RX_ALLMULTI, filter->all_groups);
    if (!error)
        error = set_mode(net, VIRTIO_NET_CTRL_RX_PROMISC, filter->promiscuous);
    /* The other modes of CTRL_RX_EXTRA say what an empty table and promiscuous mode say. */
    if (!error && virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_RX_EXTRA))
        error = set_mode(net, VIRTIO_NET_CTRL_RX_NOBCAST, filter->no_broadcasts);
    return error;
}

static int set_vlan(struct virtio_net *net, uint8_t code, uint16_t vlan)
{
    struct virtqueue_sg data = {&net->message.data.vlan, sizeof(le16)};

    net->message.data.vlan = cpu_to_le16(vlan);
    return virtio_net_command(net, VIRTIO_NET_CTRL_VLAN, code, &data, 1);
}

/* Sends a command for each VLAN of a filter that another one does not have. */
static int send_difference(struct virtio_net *net, uint8_t code, const struct nic_filter *of,
                           const struct nic_filter *to)
{
    unsigned i, k;
    int error = 0;

    for (i = 0; i < of->vlans && !error; i++) {
        for (k = 0; k < to->vlans && to->vlan[k] != of->vlan[i]; k++)
            continue;
        if (k == to->vlans)
            error = set_vlan(net, code, of->vlan[i]);
    }
    return error;
}

/* 5.1.9.5.3: the device's list of VLANs, which was that of `old`. */
static int send_vlans(struct virtio_net *net, const struct nic_filter *old)
{
    int error = send_difference(net, VIRTIO_NET_CTRL_VLAN_DEL, old, &net->filter);

    return error ? error : send_difference(net, VIRTIO_NET_CTRL_VLAN_ADD, &net->filter, old);
}

static int send_filter(struct virtio_net *net, const struct nic_filter *old)
{
    int error = 0;

    if (virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_RX))
        error = send_stations(net);
    if (!error && virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_VLAN))
        error = send_vlans(net, old);
    net->told = !error;
    return error;
}

int virtio_net_set_filter(struct nic *nic, const struct nic_filter *filter)
{
    struct virtio_net *net = (struct virtio_net *)nic;

    struct nic_filter old = {.vlans = 0};

    if (!virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_RX) &&
        !virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_VLAN))
        return -ENOTSUP;
    if (net->told)
        old = net->filter;
    net->filter = *filter;
    net->filter_set = true;
    return send_filter(net, &old);
}

static int send_mac(struct virtio_net *net, const uint8_t mac[6])
{
    struct virtqueue_sg data = {net->message.data.mac, 6};

    memcpy(net->message.data.mac, mac, 6);
    return virtio_net_command(net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, &data, 1);
}

int virtio_net_set_mac(struct nic *nic, const uint8_t mac[6])
{
    struct virtio_net *net = (struct virtio_net *)nic;
    int error = -ENOTSUP;

    if (virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_MAC_ADDR))
        error = send_mac(net, mac);
    if (error)
        return error;
    memcpy(nic->mac, mac, 6);
    net->mac_set = true;
    return 0;
}

/* 5.1.9.5.9: the offloads of receiving that are on, all that were negotiated or none that makes
 * frames large. */
static int send_offloads(struct virtio_net *net)
{
    static const uint8_t large[] = {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
                                    VIRTIO_NET_F_GUEST_ECN,  VIRTIO_NET_F_GUEST_UFO,
                                    VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6};
    struct virtqueue_sg data = {&net->message.data.offloads, sizeof(le64)};
    uint64_t on = 0;
    unsigned i;

    if (net->guest_checksum)
        on |= UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM;
    for (i = 0; i < sizeof(large) && !net->large_off; i++)
        if (virtio_has_feature(net->device, large[i]))
            on |= UINT64_C(1) << large[i];
    net->message.data.offloads = cpu_to_le64(on);
    return virtio_net_command(net, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
                              VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &data, 1);
}

int virtio_net_set_large_receive(struct nic *nic, bool on)
{
    struct virtio_net *net = (struct virtio_net *)nic;
    bool was_off = net->large_off;
    int error;

    if (!net->guest_segments || !virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
        return -ENOTSUP;
    net->large_off = !on;
    error = send_offloads(net);
    if (error)
        net->large_off = was_off;
    return error;
}

/* 5.1.9.5.10: one command for all queues of a direction, or one for each queue. */
static int send_coalescing(struct virtio_net *net)
{
    struct virtio_net_ctrl_coal_vq *all = &net->message.data.coalescing;
    struct virtqueue_sg for_all = {&all->max_packets, 2 * sizeof(le32)};
    struct virtqueue_sg for_one = {all, sizeof(*all)};
    unsigned i;
    int error = 0;

    all->max_packets = cpu_to_le32(coalesce_frames);
    all->max_usecs = cpu_to_le32(coalesce_usecs);
    all->reserved = cpu_to_le16(0);
    if (virtio_has_feature(net->device, VIRTIO_NET_F_NOTF_COAL)) {
        error = virtio_net_command(net, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET,
                                   &for_all, 1);
        return error ? error
                     : virtio_net_command(net, VIRTIO_NET_CTRL_NOTF_COAL,
                                          VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, &for_all, 1);
    }
    for (i = 0; i < 2 * net->active && !error; i++) {
        all->vq_index = cpu_to_le16((uint16_t)i);
        error = virtio_net_command(net, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET,
                                   &for_one, 1);
    }
    return error;
}

static bool can_coalesce(const struct virtio_net *net)
{
    return virtio_has_feature(net->device, VIRTIO_NET_F_NOTF_COAL) ||
           virtio_has_feature(net->device, VIRTIO_NET_F_VQ_NOTF_COAL);
}

void virtio_net_control_start(struct virtio_net *net)
{
    static const struct nic_filter empty;

    net->control_lost = net->told = false;
    virtio_net_start_pairs(net);
    net->nic.pairs = net->active;
    /* 5.1.9.5.3: number 0 is no VLAN but a priority (802.1Q, 9.6). */
    if (virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_VLAN))
        set_vlan(net, VIRTIO_NET_CTRL_VLAN_ADD, 0);
    if (coalesce_frames && can_coalesce(net) && send_coalescing(net) != 0)
        log_warn("%s: the device does not coalesce its notifications", net->device->name);
    if ((net->mac_set && send_mac(net, net->nic.mac) != 0) ||
        (net->large_off && send_offloads(net) != 0) ||
        (net->filter_set && send_filter(net, &empty) != 0))
        log_warn("%s: what the device was told could not be told again", net->device->name);
}

void virtio_net_acknowledge_announce(struct virtio_net *net)
{
    if (virtio_net_command(net, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0) !=
        0)
        log_warn("%s: the device did not take the acknowledgement of its announce request",
                 net->device->name);
}
