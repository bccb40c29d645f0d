/*
 * virtio_9p.c - the driver of the 9P device: one message at a time through one queue.
 *
 * Owns the device-visible memory of requests and answers. File data lies in the caller's own
 * memory. The way through the queue is virtio_share.c's: when no answer comes the device is reset,
 * and its fids are gone. What messages say is ninep_rpc.c's business.
 */
#include "fs/virtio_9p.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fs/ninep_wire.h"
#include "fs/virtio_share.h"
#include "platform.h"
#include "virtio/spec_devices.h"

#define TAG_MAX 63
#define QUEUE_SIZE 16

/* A host under load, or one whose disk sleeps, may take this long. */
#define TIMEOUT_NS (30 * UINT64_C(1000000000))

/* Device-visible. */
struct p9_memory {
    uint8_t request[NINEP_REQUEST_SIZE], reply[NINEP_REPLY_SIZE];
};

struct virtio_9p {
    struct ninep_transport transport;
    struct virtio_device *device;
    struct virtqueue *vq;
    char tag[TAG_MAX + 1];
    struct p9_memory *memory;
};

static void *shares[VIRTIO_SHARES_MAX]; /* struct virtio_9p */
static void (*watcher)(struct ninep_transport *share, bool added);

/* ---- messages ---- */

static int exchange(struct ninep_transport *transport, struct ninep_exchange *x)
{
    struct virtio_9p *share = transport->driver;
    const struct virtio_share_wait wait = {.device = share->device,
                                           .vq = share->vq,
                                           .kind = "9p",
                                           .tag = share->tag,
                                           .resets = &share->transport.resets,
                                           .timeout_ns = TIMEOUT_NS};
    const struct virtio_share_message message = {
        .request = {share->memory->request, x->request_len},
        .data = {(void *)(uintptr_t)x->data, x->data_len},
        .reply = {share->memory->reply, x->room_len ? P9_READ_HEADER_SIZE : NINEP_REPLY_SIZE},
        .room = {x->room, x->room_len}};

    return virtio_share_exchange(&wait, &message, &x->reply_len);
}

/* ---- set-up ---- */

static int read_tag(struct virtio_9p *share)
{
    struct virtio_device *device = share->device;
    le16 len;
    unsigned tag_len;

    if (!virtio_has_feature(device, VIRTIO_9P_F_MOUNT_TAG)) {
        device->refusal = "it has no mount tag";
        return -EINVAL;
    }
    if (VIRTIO_CONFIG_READ(device, struct virtio_9p_config, tag_len, &len)) {
        device->refusal = "its configuration cannot be read";
        return -EIO;
    }
    tag_len = le16_to_cpu(len);
    if (tag_len == 0 || tag_len > TAG_MAX) {
        device->refusal = "its mount tag is empty or too long";
        return -EINVAL;
    }
    if (virtio_config_read(device, offsetof(struct virtio_9p_config, tag), share->tag, tag_len,
                           1)) {
        device->refusal = "its configuration cannot be read";
        return -EIO;
    }
    if (strlen(share->tag) != tag_len || !virtio_share_tag_is_usable(share->tag)) {
        device->refusal = "its mount tag cannot be the name of a folder";
        return -EINVAL;
    }
    return 0;
}

static void p9_free(struct virtio_9p *share)
{
    if (share->memory)
        platform_dma_free(share->memory, sizeof(*share->memory));
    platform_dma_free(share, sizeof(*share));
}

static int p9_probe(struct virtio_device *device)
{
    struct virtio_9p *share = platform_dma_alloc(sizeof(*share), 64);
    const struct virtio_queue_request queue = {.name = "9p requests",
                                               .index = 0,
                                               .max_size = QUEUE_SIZE,
                                               .max_segments = VIRTIO_SHARE_PIECES};
    int error = -ENOMEM;

    if (!share)
        return -ENOMEM;
    share->device = device;
    share->memory = platform_dma_alloc(sizeof(*share->memory), 64);
    if (share->memory)
        error = read_tag(share);
    if (!error)
        error = virtio_find_queues(device, &queue, 1);
    if (!error)
        error = virtio_share_check_queue(device, device->queue[0]);
    if (error) {
        p9_free(share);
        return error;
    }
    share->vq = device->queue[0];
    share->transport = (struct ninep_transport){.tag = share->tag,
                                                .request = share->memory->request,
                                                .reply = share->memory->reply,
                                                .exchange = exchange,
                                                .driver = share};
    device->driver_data = share;
    return 0;
}

static int p9_ready(struct virtio_device *device)
{
    struct virtio_9p *share = device->driver_data;
    int error;

    if (device->recovering)
        return 0;
    error = virtio_share_add(shares, share, device, share->tag);
    if (!error && watcher)
        watcher(&share->transport, true);
    return error;
}

static void p9_reclaim(struct virtio_device *device)
{
    struct virtio_9p *share = device->driver_data;

    while (virtqueue_detach_unused(share->vq) != NULL)
        ;
    share->transport.resets++;
}

static void p9_remove(struct virtio_device *device)
{
    struct virtio_9p *share = device->driver_data;

    if (watcher)
        watcher(&share->transport, false);
    virtio_share_drop(shares, share);
    p9_free(share);
    device->driver_data = NULL;
}

void virtio_9p_watch(void (*new_watcher)(struct ninep_transport *share, bool added))
{
    watcher = new_watcher;
}

struct ninep_transport *virtio_9p_at(unsigned index)
{
    struct virtio_9p *share = virtio_share_at(shares, index);

    return share ? &share->transport : NULL;
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_9P_F_MOUNT_TAG, .name = "MOUNT_TAG"},
};

static const uint16_t device_types[] = {VIRTIO_ID_9P, 0};

const struct virtio_driver virtio_9p_driver = {
    .name = "virtio-9p",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = p9_probe,
    .ready = p9_ready,
    .reclaim = p9_reclaim,
    .remove = p9_remove,
};
