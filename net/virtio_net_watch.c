/*
 * virtio_net_watch.c - a network device whose receive side died: it sends, and nothing ever comes.
 *
 * That a queue stalls is virtio/virtio_watch.c's to see. Receive buffers may stay with a device for
 * ever, so all there is to go by is what the user of the NIC had to send again while nothing at all
 * came, from a network that answered before. Sending alone says nothing: a program may be one that only
 * sends. A dead cable or peer looks alike, so the device is reset less and less often.
 */
#include "net/virtio_net_impl.h"

/* Seconds in which something was sent again; others do not count. TCP does so at growing intervals, of which
 * the first six take some ten seconds. */
#define SILENCE_S 6u
#define SILENCE_MAX_S 768u

static bool has_buffers(const struct virtio_net *net)
{
    unsigned i;

    for (i = 0; i < net->active; i++)
        if (virtqueue_in_flight(net->pair[i].rx) > 0)
            return true;
    return false;
}

bool virtio_net_attend(struct virtio_device *device)
{
    struct virtio_net *net = device->driver_data;
    const struct nic_stats *stats = &net->nic.stats;
    struct net_watch *watch = &net->watch;
    bool received = stats->rx_frames + stats->rx_dropped != watch->received;
    bool unanswered = net->nic.unanswered != watch->unanswered;

    watch->received = stats->rx_frames + stats->rx_dropped;
    watch->unanswered = net->nic.unanswered;
    if (received || !net->nic.link_up)
        watch->silent_s = 0;
    if (received || watch->limit_s == 0)
        watch->limit_s = SILENCE_S;
    if (received || !net->nic.link_up || !unanswered || watch->received == 0 || !has_buffers(net))
        return net->nic.link_up;
    if (++watch->silent_s < watch->limit_s)
        return true;
    watch->silent_s = 0;
    if (watch->limit_s < SILENCE_MAX_S)
        watch->limit_s *= 2;
    virtio_recover(device, "it hears nothing, though answers are due");
    return false;
}
