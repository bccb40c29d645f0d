/*
 * proof_ring_row.c - virtqueue_add_row() and virtqueue_get_row() in any valid state, with any
 * buffers and a device that writes anything at any time: as many buffers as they say move, each
 * once, with lengths within what was posted; those that were not added are as before, and the state
 * stays valid.
 */
// variant add-split: -DADD
// variant add-split-in-order: -DADD -DIN_ORDER
// variant add-packed: -DADD -DPACKED
// variant add-packed-in-order: -DADD -DPACKED -DIN_ORDER
// variant get-split:
// variant get-split-in-order: -DIN_ORDER
// variant get-packed: -DPACKED
// variant get-packed-in-order: -DPACKED -DIN_ORDER
// control add-split: virtio/virtqueue_buffers.h: unsigned most = count < vq->free ? count : vq->free, i; => unsigned most = count, i;
// control add-split: virtio/virtqueue_buffers.h: i < most && token[i] && map_piece => i < most && map_piece
// control add-packed: virtio/virtqueue_buffers.h: vq->free -= i; => vq->free -= 1;
// control add-packed: virtio/virtqueue_packed.c: vq->packed.next_avail = place->index; =>
// control add-packed-in-order: virtio/virtqueue_buffers.h: slot->writable = in ? piece.len : 0; => slot->writable = piece.len;
// control get-split: virtio/virtqueue_buffers.h: len[i] = written; => len[0] = written;
// control get-split: virtio/virtqueue_buffers.h: vq->in_flight -= i; => vq->in_flight -= i > 0;
// control get-split-in-order: virtio/virtqueue_buffers.h: vq->batch = *id != vq->batch_last; =>
// control get-packed: virtio/virtqueue_packed.c: vq->packed.used_bits = place->bits; =>
// control get-packed-in-order: virtio/virtqueue_buffers.h: || !vq->slot[used_id].token => || 0
#define RING_SIZE 4
#include "ring_state.h"

#define ROW 2

#ifdef ADD

static void check(struct virtqueue *vq)
{
    struct virtqueue_sg sg[ROW];
    void *token[ROW];
    static uint8_t data;
    unsigned in_flight = vq->in_flight, room = vq->free, count = any_unsigned(), i;
    uint16_t id = vq->next_id;
    bool in = any_bool();
    int added;

    assume(count >= 1 && count <= ROW);
    for (i = 0; i < ROW; i++) {
        sg[i] = (struct virtqueue_sg){&data, any_u32()};
        token[i] = i < room ? &tokens[id] : tokens;
        if (any_bool())
            token[i] = NULL;
        id = i < room ? vq->slot[id].next : id;
        assume(id < RING_SIZE || i + 1 >= room);
    }
    added = virtqueue_add_row(vq, sg, token, count, in);
    claim(is_valid(vq));
    if (added < 0) {
        claim(vq->in_flight == in_flight && vq->free == room && mapped == 0);
        claim(added == -EINVAL || (added == -ENOSPC && room == 0));
        return;
    }
    claim(added >= 1 && (unsigned)added <= count && (unsigned)added <= room);
    claim(vq->in_flight == in_flight + added && vq->free == room - added);
    claim(mapped == (unsigned)added && unmapped == 0);
    for (i = 0; i < ROW; i++)
        if (i < (unsigned)added) {
            const struct virtqueue_slot *slot = &vq->slot[(char *)token[i] - tokens];

            claim(token[i] && slot->token == token[i] && slot->writable == (in ? sg[i].len : 0));
        }
}

#else

static void check(struct virtqueue *vq)
{
    struct virtqueue_slot before[RING_SIZE];
    unsigned in_flight = vq->in_flight, most = any_unsigned(), pieces = 0, got, i;
    bool seen[RING_SIZE] = {false};
    void *token[ROW];
    uint32_t len[ROW];

    assume(most >= 1 && most <= ROW);
    memcpy(before, vq->slot, sizeof(before));
    got = virtqueue_get_row(vq, token, len, most);
    claim(is_valid(vq));
    claim(got <= most && vq->in_flight == in_flight - got);
    for (i = 0; i < ROW && i < got; i++) {
        unsigned id = (unsigned)((char *)token[i] - tokens);

        claim(id < RING_SIZE && !seen[id] && before[id].token == token[i]);
        claim(len[i] <= before[id].writable && vq->slot[id].token == NULL);
        seen[id] = true;
        pieces += before[id].pieces;
    }
    claim(unmapped == pieces);
}

#endif

int main(void)
{
    struct virtqueue vq;

    any_state(&vq);
    check(&vq);
    return 0;
}
