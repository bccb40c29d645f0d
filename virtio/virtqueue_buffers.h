/*
 * virtqueue_buffers.h - a buffer's way to the device and back, which each ring layout compiles for
 * itself, with its own steps inlined: the data path of a queue is one call through the table of
 * operations each way.
 *
 * Owns the slots and their tokens, mapping, and the checks of what the device says. Does not touch
 * shared memory and holds no barrier: those are the layouts' steps. Included by virtqueue_split.c
 * and virtqueue_packed.c only. Read virtqueue_impl.h first.
 */
#ifndef FERRULE_VIRTIO_VIRTQUEUE_BUFFERS_H
#define FERRULE_VIRTIO_VIRTQUEUE_BUFFERS_H

#include <errno.h>

#include "virtio/virtqueue_impl.h"

#define INLINED static inline __attribute__((always_inline))

/* The steps that differ. */
struct virtqueue_steps {
    /* Puts the `count` pieces into the ring as the buffer vq->next_id. There is room. Moves next_id
     * on. */
    void (*add)(struct virtqueue *vq, const struct virtqueue_piece *piece, unsigned count,
                bool indirect);
    /* Makes visible what was put there, if that was not done yet. */
    void (*publish)(struct virtqueue *vq);
    /* The next used element, copied out of shared memory once. False: none, or an impossible index,
     * which broke the queue. */
    bool (*pop)(struct virtqueue *vq, uint32_t *id, uint32_t *len);
    /* Steps over the element that pop returned, whose id was found good, and takes back its
     * descriptors. False: this broke the queue, and the buffer is the device's still. */
    bool (*release)(struct virtqueue *vq, uint16_t id);
};

/* ---- to the device ---- */

/*
 * Direct descriptors are cheaper for the device, which fetches them together with the ring; an
 * indirect table saves ring entries. So a list goes direct as long as it leaves half of the ring
 * free.
 */
INLINED bool prefer_indirect(const struct virtqueue *vq, unsigned count)
{
    return count > 1 && vq->table && count + vq->params.size / 2 > vq->free;
}

INLINED bool map_piece(struct virtqueue_piece *piece, const struct virtqueue_sg *sg, bool in)
{
    if (sg->len == 0)
        return false;
    piece->addr = platform_dma_map(sg->data, sg->len, in ? DMA_FROM_DEVICE : DMA_TO_DEVICE);
    piece->len = sg->len;
    piece->in = in;
    return piece->addr != DMA_ADDR_INVALID;
}

/* Maps the list and adds up what the device may write. Undone wholly on an error. */
INLINED bool map_pieces(struct virtqueue_piece *piece, const struct virtqueue_sg *sg, unsigned out,
                        unsigned count, uint32_t *writable)
{
    uint64_t total = 0, total_in = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        bool in = i >= out;

        total += sg[i].len;
        total_in += in ? sg[i].len : 0;
        if (total > UINT32_MAX || !map_piece(&piece[i], &sg[i], in))
            break;
    }
    if (i < count) {
        virtqueue_unmap_pieces(piece, i);
        return false;
    }
    *writable = (uint32_t)total_in;
    return true;
}

/* virtqueue_add() of a list of `count` pieces, the device-readable `out` first. */
INLINED int add_list(struct virtqueue *vq, const struct virtqueue_steps *steps,
                     const struct virtqueue_sg *sg, unsigned out, unsigned count, void *token)
{
    uint16_t id = vq->next_id;
    struct virtqueue_slot *slot;
    struct virtqueue_piece *piece;
    uint32_t writable;
    bool indirect;

    if (vq->broken)
        return -EIO;
    if (count < 2 || count > vq->params.max_segments || !token)
        return -EINVAL;
    indirect = prefer_indirect(vq, count);
    if (vq->free < (indirect ? 1 : count)) {
        vq->stats.full++;
        return -ENOSPC;
    }
    slot = &vq->slot[id];
    piece = virtqueue_pieces(vq, id);
    if (!map_pieces(piece, sg, out, count, &writable))
        return -EINVAL;

    slot->token = token;
    slot->writable = writable;
    slot->pieces = (uint16_t)count;
    slot->descriptors = indirect ? 1 : (uint16_t)count;
    vq->free -= slot->descriptors;
    vq->in_flight++;
    vq->stats.added++;
    vq->stats.indirect += indirect;
    steps->add(vq, piece, count, indirect);
    steps->publish(vq);
    return 0;
}

/* virtqueue_add_row(). */
INLINED int add_row(struct virtqueue *vq, const struct virtqueue_steps *steps,
                    const struct virtqueue_sg *sg, void *const *token, unsigned count, bool in)
{
    unsigned most = count < vq->free ? count : vq->free, i;
    struct virtqueue_piece piece;

    if (vq->broken)
        return -EIO;
    for (i = 0; i < most && token[i] && map_piece(&piece, &sg[i], in); i++) {
        struct virtqueue_slot *slot = &vq->slot[vq->next_id];

        slot->token = token[i];
        slot->addr = piece.addr;
        slot->len = piece.len;
        slot->writable = in ? piece.len : 0;
        slot->pieces = slot->descriptors = 1;
        steps->add(vq, &piece, 1, false);
    }
    vq->stats.full += i == most && most < count;
    if (i == 0)
        return most == 0 ? -ENOSPC : -EINVAL;
    vq->free -= i;
    vq->in_flight += i;
    vq->stats.added += i;
    steps->publish(vq);
    return (int)i;
}

/* ---- and back ---- */

/* The next used element, checked: the device had this buffer, and could write so much into it. */
INLINED bool pop_checked(struct virtqueue *vq, const struct virtqueue_steps *steps, uint16_t *id,
                         uint32_t *len)
{
    uint32_t used_id, written;

    if (!steps->pop(vq, &used_id, &written))
        return false;
    if (used_id >= vq->params.size || !vq->slot[used_id].token) {
        virtqueue_break(vq, "the device returned a buffer that it did not have");
        return false;
    }
    if (written > vq->slot[used_id].writable) {
        if (!vq->params.layout.legacy && !vq->params.loose_lengths) {
            virtqueue_break(vq, "the device claims to have written more than was writable");
            return false;
        }
        written = vq->slot[used_id].writable;
    }
    *id = (uint16_t)used_id;
    *len = written;
    return true;
}

/*
 * The next buffer in order. A used element may close a batch: then it names the last buffer of it,
 * and those before it count as used in full, since nothing else is said of them. Every buffer of
 * the queue lies ahead of `oldest`, so a batch ends.
 */
INLINED bool pop_in_order(struct virtqueue *vq, const struct virtqueue_steps *steps, uint16_t *id,
                          uint32_t *len)
{
    if (!vq->batch && !pop_checked(vq, steps, &vq->batch_last, &vq->batch_len))
        return false;
    *id = vq->oldest;
    *len = *id == vq->batch_last ? vq->batch_len : vq->slot[*id].writable;
    vq->batch = *id != vq->batch_last;
    return true;
}

/* virtqueue_get_row(). */
INLINED unsigned get_row(struct virtqueue *vq, const struct virtqueue_steps *steps, void **token,
                         uint32_t *len, unsigned most)
{
    uint32_t written;
    uint16_t id;
    unsigned i;

    vq->stats.polls++;
    if (vq->broken)
        return 0;
    for (i = 0; i < most; i++) {
        if (!(vq->params.layout.in_order ? pop_in_order(vq, steps, &id, &written)
                                         : pop_checked(vq, steps, &id, &written)) ||
            !steps->release(vq, id))
            break;
        vq->free += vq->slot[id].descriptors;
        if (len)
            len[i] = written;
        token[i] = virtqueue_take_back(vq, id);
    }
    vq->stats.used += i;
    return i;
}

#endif
