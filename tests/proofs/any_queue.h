/*
 * any_queue.h - a virtqueue as a driver sees it whose device does anything: what the proofs of the
 * rings show of the real one, and no more.
 *
 * A buffer that was added comes back once, at any time and in any order, with any length up to what
 * was writable; or the queue breaks, and nothing comes back. What is in it is whatever it held at
 * first, so a proof begins with memory of any content. Include it instead of virtqueue.c.
 */
#ifndef FERRULE_PROOFS_ANY_QUEUE_H
#define FERRULE_PROOFS_ANY_QUEUE_H

#include "proof.h"
#include "virtio/virtqueue.h"

#ifndef LENT_MAX
#define LENT_MAX 2
#endif
#define QUEUE_PIECES 4

struct virtqueue {
    void *token[LENT_MAX]; /* NULL: the place is free */
    uint32_t writable[LENT_MAX];
    bool broken;
};

static uint32_t last_written; /* of the last buffer that came back */

static bool queue_has(const struct virtqueue *vq, const void *token)
{
    unsigned i;

    for (i = 0; i < LENT_MAX; i++)
        if (token && vq->token[i] == token)
            return true;
    return false;
}

int virtqueue_add(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
                  void *token)
{
    unsigned i = any_unsigned() % LENT_MAX, n;

    claim(token && out + in >= 1 && out + in <= QUEUE_PIECES);
    if (vq->broken)
        return -5; /* EIO */
    if (any_bool())
        return -22; /* EINVAL: memory that cannot be mapped */
    if (vq->token[i])
        return -28; /* ENOSPC */
    claim(!queue_has(vq, token));
    vq->writable[i] = 0;
    for (n = 0; n < out + in && n < QUEUE_PIECES; n++) {
        claim(sg[n].len > 0 && __CPROVER_r_ok(sg[n].data, sg[n].len));
        vq->writable[i] += n < out ? 0 : sg[n].len;
    }
    vq->token[i] = token;
    return 0;
}

void *virtqueue_get_buf(struct virtqueue *vq, uint32_t *len)
{
    unsigned i = any_unsigned() % LENT_MAX;
    uint32_t written = any_u32();
    void *token = vq->token[i];

    vq->broken = vq->broken || any_bool();
    if (vq->broken || !token || any_bool())
        return NULL;
    assume(written <= vq->writable[i]);
    last_written = written;
    if (len)
        *len = written;
    vq->token[i] = NULL;
    return token;
}

int virtqueue_add_row(struct virtqueue *vq, const struct virtqueue_sg *sg, void *const *token,
                      unsigned count, bool in)
{
    unsigned n = 0;
    int error = 0;

    claim(count >= 1);
    for (; n < count && n < LENT_MAX && !error; n++)
        error = virtqueue_add(vq, &sg[n], !in, in, token[n]);
    return n > 1 || !error ? (int)n - (error != 0) : error;
}

unsigned virtqueue_get_row(struct virtqueue *vq, void **token, uint32_t *len, unsigned most)
{
    unsigned n = 0;

    claim(most >= 1);
    while (n < most && n < LENT_MAX &&
           (token[n] = virtqueue_get_buf(vq, len ? &len[n] : NULL)) != NULL)
        n++;
    return n;
}

void virtqueue_break(struct virtqueue *vq, const char *reason)
{
    (void)reason;
    vq->broken = true;
}

bool virtqueue_is_broken(const struct virtqueue *vq)
{
    return vq->broken;
}

void virtqueue_kick(struct virtqueue *vq)
{
    (void)vq;
}

void virtqueue_disable_cb(struct virtqueue *vq)
{
    (void)vq;
}

#endif
