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

/*
 * Sends a command with n pieces of data, each in a piece of its own as the legacy interface wants
 * it (5.1.9.8). 0; -ENOTSUP: there is no control queue, or the device refused; -EIO: no answer, now
 * or earlier.
 */
static int command(struct virtio_net *net, uint8_t class, uint8_t code,
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
    return command(net, VIRTIO_NET_CTRL_RX, code, &data, 1);
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
    return command(net, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 2);
}

static int send_filter(struct virtio_net *net)
{
    const struct nic_filter *filter = &net->filter;
    int error = 0;

    if (!filter->all_groups)
        error = set_table(net, filter);
    if (!error)
        error = set_mode(net, VIRTIO_NET_CTRL_RX_ALLMULTI, filter->all_groups);
    if (!error)
        error = set_mode(net, VIRTIO_NET_CTRL_RX_PROMISC, filter->promiscuous);
    return error;
}

int virtio_net_set_filter(struct nic *nic, const struct nic_filter *filter)
{
    struct virtio_net *net = (struct virtio_net *)nic;

    if (!virtio_has_feature(net->device, VIRTIO_NET_F_CTRL_RX))
        return -ENOTSUP;
    net->filter = *filter;
    net->filter_set = true;
    return send_filter(net);
}

/* 5.1.9.5.6: the device uses the first pair alone until it is told otherwise. */
static void start_pairs(struct virtio_net *net)
{
    struct virtqueue_sg data = {&net->message.data.pairs, sizeof(le16)};

    net->active = 1;
    if (net->pairs == 1)
        return;
    net->message.data.pairs = cpu_to_le16((uint16_t)net->pairs);
    if (command(net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &data, 1) == 0)
        net->active = net->pairs;
    else
        log_warn("%s: the device does not take %u queue pairs, one is used", net->device->name,
                 net->pairs);
}

void virtio_net_control_start(struct virtio_net *net)
{
    net->control_lost = false;
    start_pairs(net);
    if (net->filter_set && send_filter(net) != 0)
        log_warn("%s: the receive filter could not be set again", net->device->name);
}

void virtio_net_acknowledge_announce(struct virtio_net *net)
{
    if (command(net, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0) != 0)
        log_warn("%s: the device did not take the acknowledgement of its announce request",
                 net->device->name);
}
