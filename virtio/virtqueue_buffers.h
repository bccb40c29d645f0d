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

/* A place in the ring, and the id that is the next one to be taken: of the queue, or of a row that is on
 * its way, which need not be written back for each of its buffers. */
struct place {
    uint16_t index;
    uint16_t bits; /* of a packed ring's descriptors there, see struct virtqueue_packed */
    uint16_t id;
};

/* The steps that differ. */
struct virtqueue_steps {
    /* Where the next buffer goes, and where the next used one is looked for; and that a row came so far
     * by `count` buffers, which makes visible what put() wrote if that was not done yet. */
    struct place (*next_avail)(const struct virtqueue *vq);
    void (*set_avail)(struct virtqueue *vq, const struct place *place, unsigned count);
    struct place (*next_used)(const struct virtqueue *vq);
    void (*set_used)(struct virtqueue *vq, const struct place *place);
    /* Puts a piece into the ring as the buffer place->id, and moves on. There is room. */
    void (*put)(struct virtqueue *vq, struct place *place, const struct virtqueue_piece *piece);
    /* The same for a list, directly or by a table. */
    void (*put_list)(struct virtqueue *vq, struct place *place, const struct virtqueue_piece *piece,
                     unsigned count, bool indirect);
    /* How many used elements, of `most` at most, may be looked at. 0: none, or an impossible index, which
     * broke the queue. */
    unsigned (*look)(struct virtqueue *vq, unsigned most);
    /* The used element at a place, copied out of shared memory once. False: none. */
    bool (*pop)(const struct virtqueue *vq, const struct place *place, uint32_t *id, uint32_t *len);
    /* Steps over it, of the buffer `id` which was found good, and takes back its descriptors. */
    void (*release)(struct virtqueue *vq, struct place *place, uint16_t id);
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
    struct place place = steps->next_avail(vq);
    struct virtqueue_slot *slot = &vq->slot[place.id];
    struct virtqueue_piece *piece = virtqueue_pieces(vq, place.id);
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
    steps->put_list(vq, &place, piece, count, indirect);
    steps->set_avail(vq, &place, indirect ? 1 : count);
    return 0;
}

/* virtqueue_add_row(). */
INLINED int add_row(struct virtqueue *vq, const struct virtqueue_steps *steps,
                    const struct virtqueue_sg *sg, void *const *token, unsigned count, bool in)
{
    unsigned most = count < vq->free ? count : vq->free, i;
    struct place place = steps->next_avail(vq);
    struct virtqueue_piece piece;

    if (vq->broken)
        return -EIO;
    for (i = 0; i < most && token[i] && map_piece(&piece, &sg[i], in); i++) {
        struct virtqueue_slot *slot = &vq->slot[place.id];

        slot->token = token[i];
        slot->addr = piece.addr;
        slot->len = piece.len;
        slot->writable = in ? piece.len : 0;
        slot->pieces = slot->descriptors = 1;
        steps->put(vq, &place, &piece);
    }
    if (i < count && i == most)
        vq->stats.full++;
    if (i == 0)
        return most == 0 ? -ENOSPC : -EINVAL;
    vq->free -= i;
    vq->in_flight += i;
    vq->stats.added += i;
    steps->set_avail(vq, &place, i);
    return (int)i;
}

/* ---- and back ---- */

/* The next used element, checked: the device had this buffer, and could write so much into it. */
INLINED bool pop_checked(struct virtqueue *vq, const struct virtqueue_steps *steps,
                         const struct place *place, uint16_t *id, uint32_t *len)
{
    uint32_t used_id, written;

    if (!steps->pop(vq, place, &used_id, &written))
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
INLINED bool pop_in_order(struct virtqueue *vq, const struct virtqueue_steps *steps,
                          const struct place *place, uint16_t *id, uint32_t *len)
{
    if (!vq->batch) {
        if (!pop_checked(vq, steps, place, id, len))
            return false;
        if (*id == vq->oldest)
            return true;
        vq->batch_last = *id;
        vq->batch_len = *len;
    }
    *id = vq->oldest;
    *len = *id == vq->batch_last ? vq->batch_len : vq->slot[*id].writable;
    vq->batch = *id != vq->batch_last;
    return true;
}

/* virtqueue_get_row(). */
INLINED unsigned get_row(struct virtqueue *vq, const struct virtqueue_steps *steps, void **token,
                         uint32_t *len, unsigned most)
{
    bool in_order = vq->params.layout.in_order;
    struct place place = steps->next_used(vq);
    unsigned i, freed = 0;
    uint32_t written;
    uint16_t id;

    vq->stats.polls++;
    if (vq->broken)
        return 0;
    most = steps->look(vq, most);
    for (i = 0; i < most && (in_order ? pop_in_order(vq, steps, &place, &id, &written)
                                      : pop_checked(vq, steps, &place, &id, &written));
         i++) {
        steps->release(vq, &place, id);
        freed += vq->slot[id].descriptors;
        if (len)
            len[i] = written;
        token[i] = virtqueue_empty_slot(vq, id);
    }
    steps->set_used(vq, &place);
    vq->free += freed;
    vq->in_flight -= i;
    vq->stats.used += i;
    return i;
}

#endif
