/*
 * virtio_share.c - the bounded wait for a share's answers, and what happens when none comes: the
 * device is reset, so that it cannot answer later.
 *
 * Owns no queue and no memory. Read virtio_9p.c or virtio_fs.c next.
 */
#include "fs/virtio_share.h"

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
