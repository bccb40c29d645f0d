/*
 * vhost_user.c - the operations of a virtio transport on a vhost-user back end.
 *
 * Owns the status byte, which the protocol may lack, the eventfds of the queues, and what a lost
 * connection looks like to the core. What is said to the back end is vhost_user_session.c's. Read
 * vhost_user.h first.
 */
#include "hosted/vhost_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "hosted/vhost_user_impl.h"
#include "log.h"
#include "virtio/spec_net.h"

#define DEFAULT_TIMEOUT_MS 2000
#define DEFAULT_QUEUE_SIZE 256

/* What a device that does not answer reads as. */
#define STATUS_GONE 0xff

#define WORD(bit) ((bit) / 32)
#define BIT(bit) (1u << (bit) % 32)

static const struct vhost_user_kind kinds[] = {
    {.type = VIRTIO_ID_NET,
     .rings_each = 2,
     /* The control queue and the configuration of a NIC are the front end's. */
     .front_end.word = {[0] = BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_MTU) |
                              BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
                              BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) |
                              BIT(VIRTIO_NET_F_CTRL_VLAN) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) |
                              BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT(VIRTIO_NET_F_MQ) |
                              BIT(VIRTIO_NET_F_CTRL_MAC_ADDR),
                        [1] = BIT(VIRTIO_NET_F_NOTF_COAL) | BIT(VIRTIO_NET_F_VQ_NOTF_COAL) |
                              BIT(VIRTIO_NET_F_HASH_REPORT) | BIT(VIRTIO_NET_F_RSS) |
                              BIT(VIRTIO_NET_F_STANDBY) | BIT(VIRTIO_NET_F_SPEED_DUPLEX)}},
    /* Up to max_write_zeroes_seg and its flag: back ends refuse to be asked for more than they have. */
    {.type = VIRTIO_ID_BLOCK, .rings_each = 1, .config_length = 60},
    {.type = VIRTIO_ID_VSOCK, .rings_each = 3, .config_length = 8},
};
static const struct vhost_user_kind other_kind = {.rings_each = 1};

static const struct vhost_user_kind *find_kind(uint16_t type)
{
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].type == type)
            return &kinds[i];
    return &other_kind;
}

/* ---- status ---- */

static uint8_t when_lost(struct vhost_user *vhost)
{
    if (!vhost->status)
        return STATUS_GONE;
    return (uint8_t)((vhost->status & ~VIRTIO_STATUS_FEATURES_OK) |
                     VIRTIO_STATUS_DEVICE_NEEDS_RESET);
}

/* May talk to the back end, and so wait for it, at most for a few time limits. */
static uint8_t vhost_get_status(struct virtio_device *device)
{
    struct vhost_user *vhost = to_vhost(device);
    uint64_t status;

    if (vhost->backend_spoke)
        vhost_user_session_listen(vhost);
    if (vhost->lost && vhost->link.fd >= 0 && device->driver_ok && vhost_user_can_resume(vhost))
        vhost_user_session_resume(vhost);
    if (vhost->lost || vhost->link.fd < 0)
        return when_lost(vhost);
    if (!vhost->status || !vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_STATUS))
        return vhost->status;
    if (vhost_user_link_ask(&vhost->link, VHOST_USER_GET_STATUS, NULL, 0, &status, sizeof(status),
                            NULL))
        return when_lost(vhost);
    return (uint8_t)status;
}

static void forget_queues(struct vhost_user *vhost)
{
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        vhost->queue[i].vq = NULL;
}

/* A reset lets go of the queues; without a connection, a new one is what makes everything new. */
static void reset(struct vhost_user *vhost)
{
    vhost->status = 0;
    if (vhost->lost || (vhost->link.fd >= 0 && vhost_user_session_stop(vhost)))
        vhost_user_session_close(vhost);
    forget_queues(vhost);
    if (vhost->link.fd < 0)
        vhost_user_session_open(vhost);
}

static void vhost_set_status(struct virtio_device *device, uint8_t status)
{
    struct vhost_user *vhost = to_vhost(device);
    uint64_t value = status;

    if (status == 0)
        reset(vhost);
    vhost->status = status & ~VIRTIO_STATUS_DEVICE_NEEDS_RESET;
    if (vhost->link.fd >= 0 && vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_STATUS))
        vhost_user_link_send(&vhost->link, VHOST_USER_SET_STATUS, &value, sizeof(value), -1);
}

/* ---- features and configuration ---- */

static void vhost_get_features(struct virtio_device *device, struct virtio_features *offered)
{
    struct vhost_user *vhost = to_vhost(device);

    offered->word[0] = (uint32_t)vhost->offered;
    offered->word[1] = (uint32_t)(vhost->offered >> 32);
    for (unsigned i = 0; i < VIRTIO_FEATURE_BITS / 32; i++)
        offered->word[i] &= ~(vhost->kind->front_end.word[i] | vhost->withheld.word[i]);
    virtio_features_remove(offered, VHOST_F_LOG_ALL);
    virtio_features_remove(offered, VHOST_USER_F_PROTOCOL_FEATURES);
    /* There is no IOMMU in between that could be asked. */
    virtio_features_remove(offered, VIRTIO_F_ACCESS_PLATFORM);
}

static void vhost_set_features(struct virtio_device *device, const struct virtio_features *accepted)
{
    (void)accepted; /* device->accepted */
    vhost_user_session_features(to_vhost(device));
}

static uint32_t vhost_read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    uint32_t value = 0;

    memcpy(&value, to_vhost(device)->config + offset, width);
    return value;
}

static void vhost_write_config(struct virtio_device *device, unsigned offset, unsigned width,
                               uint32_t value)
{
    struct vhost_user *vhost = to_vhost(device);
    struct vhost_user_config config = {.offset = offset, .size = width};

    memcpy(config.data, &value, width);
    if (vhost_user_link_send(&vhost->link, VHOST_USER_SET_CONFIG, &config,
                             VHOST_USER_CONFIG_HEADER + width, -1) == 0)
        vhost_user_session_read_config(vhost);
}

static uint32_t vhost_config_generation(struct virtio_device *device)
{
    return to_vhost(device)->generation;
}

/* ---- queues ---- */

static uint16_t vhost_queue_max_size(struct virtio_device *device, uint16_t index)
{
    struct vhost_user *vhost = to_vhost(device);

    return index < vhost->queue_count ? vhost->queue_size : 0;
}

/* An eventfd's count says how often, which nobody wants to know. */
static void call_event(void *arg)
{
    struct vhost_user_queue *queue = arg;
    uint64_t count;

    if (read(queue->call, &count, sizeof(count)) == sizeof(count) && queue->vq)
        virtqueue_interrupt(queue->vq);
}

static int open_eventfds(struct vhost_user_queue *queue)
{
    if (queue->kick >= 0)
        return 0;
    queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->kick < 0 || queue->call < 0)
        return -errno;
    return 0;
}

static int vhost_queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    struct vhost_user *vhost = to_vhost(device);
    struct vhost_user_queue *queue = &vhost->queue[virtqueue_index(vq)];
    int error = open_eventfds(queue);

    if (error)
        return error;
    queue->vq = vq;
    /* The back end gets one in any case: some take it for an error to have none. */
    if (interrupt && device->interrupt_mode != VIRTIO_INTERRUPT_NONE)
        hosted_event_add(queue->call, call_event, queue);
    else
        hosted_event_remove(queue->call);
    return vhost_user_session_queue(vhost, virtqueue_index(vq), false);
}

static void vhost_notify(void *device, struct virtqueue *vq)
{
    struct vhost_user *vhost = device;
    uint64_t one = 1;

    /* It fails only at 2^64 - 2 notifications that nobody took, and then one is there already. */
    if (write(vhost->queue[virtqueue_index(vq)].kick, &one, sizeof(one)) < 0)
        return;
}

static void vhost_interrupts_setup(struct virtio_device *device, unsigned queues)
{
    (void)queues;
    device->interrupt_mode = virtio_interrupt_limit() == VIRTIO_INTERRUPT_NONE
                                 ? VIRTIO_INTERRUPT_NONE
                                 : VIRTIO_INTERRUPT_MSIX;
}

static void vhost_interrupts_teardown(struct virtio_device *device)
{
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
}

static bool vhost_poll_config_change(struct virtio_device *device)
{
    struct vhost_user *vhost = to_vhost(device);

    return vhost->lost || vhost->link.fd < 0 || vhost->backend_spoke;
}

/* ---- the end ---- */

static void vhost_isolate(struct virtio_device *device)
{
    vhost_user_session_close(to_vhost(device));
}

static void vhost_release(struct virtio_device *device)
{
    struct vhost_user *vhost = to_vhost(device);

    vhost_user_session_close(vhost);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        if (vhost->queue[i].call >= 0) {
            hosted_event_remove(vhost->queue[i].call);
            close(vhost->queue[i].call);
        }
        if (vhost->queue[i].kick >= 0)
            close(vhost->queue[i].kick);
    }
    if (vhost->inflight_fd >= 0)
        close(vhost->inflight_fd);
    free(vhost);
}

static const struct virtio_transport_ops vhost_ops = {
    .get_status = vhost_get_status,
    .set_status = vhost_set_status,
    .get_features = vhost_get_features,
    .set_features = vhost_set_features,
    .read_config = vhost_read_config,
    .write_config = vhost_write_config,
    .config_generation = vhost_config_generation,
    .queue_max_size = vhost_queue_max_size,
    .queue_enable = vhost_queue_enable,
    .notify = vhost_notify,
    .interrupts_setup = vhost_interrupts_setup,
    .interrupts_teardown = vhost_interrupts_teardown,
    .poll_config_change = vhost_poll_config_change,
    .isolate = vhost_isolate,
    .release = vhost_release,
};

/* ---- the beginning ---- */

static struct vhost_user *make(const struct vhost_user_setup *setup)
{
    struct vhost_user *vhost = calloc(1, sizeof(*vhost));

    if (!vhost)
        hosted_fail("out of memory for a vhost-user device");
    vhost->kind = find_kind(setup->type);
    vhost->withheld = setup->withheld;
    vhost->queue_size = setup->queue_size ? setup->queue_size : DEFAULT_QUEUE_SIZE;
    vhost->queue_limit = setup->queues ? setup->queues : vhost->kind->rings_each;
    if (vhost->queue_limit > VIRTIO_MAX_QUEUES)
        vhost->queue_limit = VIRTIO_MAX_QUEUES;
    format_text(vhost->path, sizeof(vhost->path), "%s", setup->path);
    format_text(vhost->name, sizeof(vhost->name), "vhost-user %s", vhost->path);
    vhost->link = (struct vhost_user_link){
        .path = vhost->path,
        .fd = -1,
        .timeout_ms = setup->timeout_ms ? setup->timeout_ms : DEFAULT_TIMEOUT_MS,
    };
    vhost->backend_fd = vhost->inflight_fd = -1;
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        vhost->queue[i].kick = vhost->queue[i].call = -1;
    vhost->device =
        (struct virtio_device){.name = vhost->name, .type = setup->type, .ops = &vhost_ops};
    return vhost;
}

struct virtio_device *vhost_user_open(const struct vhost_user_setup *setup)
{
    struct vhost_user *vhost = make(setup);

    if (vhost_user_session_open(vhost)) {
        free(vhost);
        return NULL;
    }
    /* Even a device that does not come up stays listed, until virtio_shutdown(). */
    virtio_add_device(&vhost->device);
    return &vhost->device;
}

void vhost_user_set_timeout(struct virtio_device *device, unsigned timeout_ms)
{
    to_vhost(device)->link.timeout_ms = timeout_ms;
    vhost_user_link_apply_timeout(&to_vhost(device)->link);
}

unsigned vhost_user_connections(const struct virtio_device *device)
{
    return ((const struct vhost_user *)device)->connections;
}

uint64_t vhost_user_protocol_features(const struct virtio_device *device)
{
    return ((const struct vhost_user *)device)->protocol;
}
