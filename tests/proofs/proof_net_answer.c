/*
 * proof_net_answer.c - a command on the control queue of a device that answers anything, late or
 * never (5.1.9.5): it ends, is done only if the device said OK, and memory that the device may still
 * read or write is not used for another one.
 */
// share
// unwind: 5
// control: net/virtio_net_control.c: if (now >= end || virtqueue_is_broken => if (virtqueue_is_broken
// control: net/virtio_net_control.c: net->control_lost = true; =>
// control: net/virtio_net_control.c: message->ack == VIRTIO_NET_OK ? 0 : -ENOTSUP => 0
#include "any_queue.h"

#include "net/virtio_net_control.c"

static struct virtqueue control;
static struct virtio_net *net;
static uint64_t now_ns;

/* Time goes on, in steps that a proof can walk. */
uint64_t platform_now_ns(void)
{
    now_ns += ANSWER_TIMEOUT_NS / 3 + any_u8();
    return now_ns;
}

void platform_wait(uint64_t deadline_ns)
{
    claim(deadline_ns != UINT64_MAX); /* it wakes up by itself */
}

bool virtio_has_feature(const struct virtio_device *device, unsigned feature)
{
    (void)device;
    (void)feature;
    return any_bool();
}

int main(void)
{
    struct virtio_device device = {.driver_ok = any_bool()};
    struct virtqueue_sg data = {.len = 1};
    int error, again;

    net = malloc(sizeof(*net));
    data.data = &net->message.data;
    net->device = &device;
    net->control = any_bool() ? &control : NULL;
    net->control_lost = any_bool();
    bool was_lost = net->control_lost;
    control.broken = any_bool();
    error = virtio_net_command(net, any_u8(), any_u8(), &data, any_u8() & 1);
    claim(error == 0 || error == -ENOTSUP || error == -EIO);
    claim(error != 0 || (net->control && net->message.ack == VIRTIO_NET_OK && !was_lost));
    claim(!queue_has(&control, &net->message) || net->control_lost);
    again = virtio_net_command(net, any_u8(), any_u8(), &data, 1);
    claim(again != 0 || !net->control_lost);
    return 0;
}
