/*
 * virtio_share.c - a message to a share, the bounded wait for its answer, and what happens when none
 * comes: the device is reset, so that it cannot answer later. And the lists of shares.
 *
 * Owns no queue and no memory. Read virtio_9p.c or virtio_fs.c next.
 */
#include "fs/virtio_share.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "log.h"
#include "loop.h"
#include "platform.h"

/* How long is polled before the CPU is given up: about what a fast host needs. */
#define SPIN_NS 20000
/* How often a host that takes its time is looked after. */
#define LOOK_NS 100000000u

void *virtio_share_wait(const struct virtio_share_wait *wait, uint32_t *len)
{
    uint64_t start = platform_now_ns(), looked = start;
    unsigned resets = *wait->resets;
    void *token;

    virtqueue_disable_cb(wait->vq);
    while ((token = virtqueue_get_buf(wait->vq, len)) == NULL) {
        uint64_t now = platform_now_ns();

        if (virtqueue_is_broken(wait->vq)) {
            virtio_recover(wait->device, "its queue is broken");
            return NULL;
        }
        if (now - start >= wait->timeout_ns) {
            log_error("%s %s: no answer within %u s: resetting the device", wait->kind, wait->tag,
                      (unsigned)(wait->timeout_ns / 1000000000));
            virtio_recover(wait->device, "a request timed out");
            return NULL;
        }
        if (now - looked >= LOOK_NS) {
            looked = now;
            virtio_look(wait->device);
            if (*wait->resets != resets)
                return NULL;
        }
        if (now - start < SPIN_NS)
            platform_relax();
        else if (virtqueue_enable_cb(wait->vq))
            platform_wait(loop_wait_limit(looked + LOOK_NS));
    }
    return token;
}

int virtio_share_exchange(const struct virtio_share_wait *wait,
                          const struct virtio_share_message *message, uint32_t *reply_len)
{
    struct virtqueue_sg sg[VIRTIO_SHARE_PIECES];
    unsigned n = 0, out;
    int error;

    if (wait->device->failed || !wait->device->driver_ok)
        return -EIO;
    sg[n++] = message->request;
    if (message->data.len)
        sg[n++] = message->data;
    out = n;
    sg[n++] = message->reply;
    if (message->room.len)
        sg[n++] = message->room;
    error = virtqueue_add(wait->vq, sg, out, n - out, wait->device);
    if (error == -EINVAL)
        return -EFAULT;
    if (!error)
        virtqueue_kick(wait->vq);
    else if (!virtqueue_is_broken(wait->vq))
        return -EIO;
    return virtio_share_wait(wait, reply_len) ? 0 : -EIO;
}

int virtio_share_check_queue(struct virtio_device *device, const struct virtqueue *vq)
{
    if (virtqueue_size(vq) >= VIRTIO_SHARE_PIECES)
        return 0;
    device->refusal = "its queue is too small for a message";
    return -EINVAL;
}

bool virtio_share_tag_is_usable(const char *tag)
{
    const char *c;

    if (strcmp(tag, ".") == 0 || strcmp(tag, "..") == 0 || *tag == '\0')
        return false;
    for (c = tag; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == '/' || *c == '=' || *c == '"' || *c == 0x7f)
            return false;
    return true;
}

int virtio_share_add(void *shares[VIRTIO_SHARES_MAX], void *share,
                     const struct virtio_device *device, const char *tag)
{
    for (unsigned i = 0; i < VIRTIO_SHARES_MAX; i++) {
        if (shares[i])
            continue;
        shares[i] = share;
        log_info("%s: share of the host with tag %s", device->name, tag);
        return 0;
    }
    log_error("%s: more than %d shares", device->name, VIRTIO_SHARES_MAX);
    return -ENOSPC;
}

void virtio_share_drop(void *shares[VIRTIO_SHARES_MAX], const void *share)
{
    for (unsigned i = 0; i < VIRTIO_SHARES_MAX; i++)
        if (shares[i] == share)
            shares[i] = NULL;
}

void *virtio_share_at(void *const shares[VIRTIO_SHARES_MAX], unsigned index)
{
    for (unsigned i = 0; i < VIRTIO_SHARES_MAX; i++)
        if (shares[i] && index-- == 0)
            return shares[i];
    return NULL;
}
