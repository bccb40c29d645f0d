/*
 * virtio_fs.c - the driver of the file system device (5.11): one request at a time through the
 * first request queue, and what has no answer through the high priority queue.
 *
 * Owns the device-visible memory of messages. File data lies in the caller's own memory; there is
 * no DAX window and no cache, and hence nothing that notifications could be about. The way of
 * messages is virtio_share.c's, what they say fuse_rpc.c's.
 */
#include "fs/virtio_fs.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fs/fuse_wire.h"
#include "fs/virtio_share.h"
#include "platform.h"
#include "virtio/spec_devices.h"

#define QUEUE_SIZE 16
/* Requests without answer that the device may have at a time. */
#define POSTS 32

/* A host under load, or one whose disk sleeps, may take this long. */
#define TIMEOUT_NS (30 * UINT64_C(1000000000))
/* But not for the first answer of a session, which costs it nothing. */
#define INIT_TIMEOUT_NS (5 * UINT64_C(1000000000))

/* Device-visible. */
struct fs_memory {
    uint8_t post[POSTS][FUSE_FORGET_SIZE];
    uint8_t request[FUSE_REQUEST_SIZE] __attribute__((aligned(8)));
    uint8_t reply[FUSE_REPLY_SIZE] __attribute__((aligned(8)));
};

struct virtio_fs {
    struct fuse_transport transport;
    struct virtio_device *device;
    struct virtqueue *hiprio, *requests;
    char tag[VIRTIO_FS_TAG_SIZE + 1];
    bool posted[POSTS];
    struct fs_memory *memory;
};

static void *shares[VIRTIO_SHARES_MAX]; /* struct virtio_fs */
static void (*watcher)(struct fuse_transport *share, bool added);

/* ---- messages ---- */

static struct virtio_share_wait wait_on(const struct virtio_fs *share, struct virtqueue *vq,
                                        uint64_t timeout_ns)
{
    return (struct virtio_share_wait){.device = share->device,
                                      .vq = vq,
                                      .kind = "virtiofs",
                                      .tag = share->tag,
                                      .resets = &share->transport.resets,
                                      .timeout_ns = timeout_ns};
}

static int exchange(struct fuse_transport *transport, struct fuse_exchange *x)
{
    struct virtio_fs *share = transport->driver;
    const struct fuse_in_header *header = (const void *)share->memory->request;
    const struct virtio_share_wait wait =
        wait_on(share, share->requests, header->opcode == FUSE_INIT ? INIT_TIMEOUT_NS : TIMEOUT_NS);
    const struct virtio_share_message message = {
        .request = {share->memory->request, x->request_len},
        .data = {(void *)(uintptr_t)x->data, x->data_len},
        .reply = {share->memory->reply,
                  x->room_len ? sizeof(struct fuse_out_header) : FUSE_REPLY_SIZE},
        .room = {x->room, x->room_len}};

    return virtio_share_exchange(&wait, &message, &x->reply_len);
}

/* A place for a request without answer; waits for one when the device has them all. -1: none. */
static int free_post(struct virtio_fs *share)
{
    bool *done;
    unsigned i = 0;

    while ((done = virtqueue_get_buf(share->hiprio, NULL)) != NULL)
        *done = false;
    while (i < POSTS && share->posted[i])
        i++;
    if (i == POSTS || i >= virtqueue_size(share->hiprio)) {
        const struct virtio_share_wait wait = wait_on(share, share->hiprio, TIMEOUT_NS);

        done = virtio_share_wait(&wait, NULL);
        if (!done)
            return -1;
        *done = false;
        i = (unsigned)(done - share->posted);
    }
    return (int)i;
}

static int post(struct fuse_transport *transport, const void *request, uint32_t len)
{
    struct virtio_fs *share = transport->driver;
    struct virtqueue_sg sg = {.len = len};
    int i, error;

    if (share->device->failed || !share->device->driver_ok || len > FUSE_FORGET_SIZE)
        return -EIO;
    i = free_post(share);
    if (i < 0)
        return -EIO;
    memcpy(share->memory->post[i], request, len);
    sg.data = share->memory->post[i];
    error = virtqueue_add(share->hiprio, &sg, 1, 0, &share->posted[i]);
    if (error) {
        if (virtqueue_is_broken(share->hiprio))
            virtio_recover(share->device, "its queue is broken");
        return -EIO;
    }
    share->posted[i] = true;
    virtqueue_kick(share->hiprio);
    return 0;
}

/* ---- set-up ---- */

static int read_config(struct virtio_fs *share)
{
    struct virtio_device *device = share->device;
    le32 queues;

    if (virtio_config_read(device, offsetof(struct virtio_fs_config, tag), share->tag,
                           VIRTIO_FS_TAG_SIZE, 1) ||
        VIRTIO_CONFIG_READ(device, struct virtio_fs_config, num_request_queues, &queues)) {
        device->refusal = "its configuration cannot be read";
        return -EIO;
    }
    if (le32_to_cpu(queues) == 0) {
        device->refusal = "it has no request queue";
        return -EINVAL;
    }
    if (!virtio_share_tag_is_usable(share->tag)) {
        device->refusal = "its tag cannot be the name of a folder";
        return -EINVAL;
    }
    return 0;
}

static void share_free(struct virtio_fs *share)
{
    if (share->memory)
        platform_dma_free(share->memory, sizeof(*share->memory));
    platform_dma_free(share, sizeof(*share));
}

static int share_probe(struct virtio_device *device)
{
    static const struct virtio_queue_request queues[] = {
        {.name = "fs hiprio", .index = VIRTIO_FS_Q_HIPRIO, .max_size = POSTS, .max_segments = 1},
        {.name = "fs requests",
         .index = VIRTIO_FS_Q_REQUEST,
         .max_size = QUEUE_SIZE,
         .max_segments = VIRTIO_SHARE_PIECES},
    };
    struct virtio_fs *share = platform_dma_alloc(sizeof(*share), 64);
    int error = -ENOMEM;

    if (!share)
        return -ENOMEM;
    share->device = device;
    share->memory = platform_dma_alloc(sizeof(*share->memory), 64);
    if (share->memory)
        error = read_config(share);
    if (!error)
        error = virtio_find_queues(device, queues, 2);
    if (!error)
        error = virtio_share_check_queue(device, device->queue[1]);
    if (error) {
        share_free(share);
        return error;
    }
    share->hiprio = device->queue[0];
    share->requests = device->queue[1];
    share->transport = (struct fuse_transport){.tag = share->tag,
                                               .request = share->memory->request,
                                               .reply = share->memory->reply,
                                               .exchange = exchange,
                                               .post = post,
                                               .driver = share};
    device->driver_data = share;
    return 0;
}

static int share_ready(struct virtio_device *device)
{
    struct virtio_fs *share = device->driver_data;
    int error;

    virtqueue_disable_cb(share->hiprio);
    if (device->recovering)
        return 0;
    error = virtio_share_add(shares, share, device, share->tag);
    if (!error && watcher)
        watcher(&share->transport, true);
    return error;
}

static void share_reclaim(struct virtio_device *device)
{
    struct virtio_fs *share = device->driver_data;

    while (virtqueue_detach_unused(share->hiprio) != NULL)
        continue;
    while (virtqueue_detach_unused(share->requests) != NULL)
        continue;
    memset(share->posted, 0, sizeof(share->posted));
    share->transport.resets++;
}

static void share_remove(struct virtio_device *device)
{
    struct virtio_fs *share = device->driver_data;

    if (watcher)
        watcher(&share->transport, false);
    virtio_share_drop(shares, share);
    share_free(share);
    device->driver_data = NULL;
}

void virtio_fs_watch(void (*new_watcher)(struct fuse_transport *share, bool added))
{
    watcher = new_watcher;
}

struct fuse_transport *virtio_fs_at(unsigned index)
{
    struct virtio_fs *share = virtio_share_at(shares, index);

    return share ? &share->transport : NULL;
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_FS_F_NOTIFICATION,
     .name = "NOTIFICATION",
     .refusal = "nothing is cached that a notification could be about"},
};

static const uint16_t device_types[] = {VIRTIO_ID_FS, 0};

const struct virtio_driver virtio_fs_driver = {
    .name = "virtio-fs",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = share_probe,
    .ready = share_ready,
    .reclaim = share_reclaim,
    .remove = share_remove,
};
