/*
 * proof_ring_add.c - virtqueue_add() in any valid state and with any list: it writes only inside of
 * the rings and tables, takes as many descriptors as it says, undoes everything when it refuses,
 * and leaves a valid state.
 */
// variant split:
// variant split-in-order: -DIN_ORDER
// variant packed: -DPACKED
// variant packed-in-order: -DPACKED -DIN_ORDER
// control split: virtio/virtqueue_buffers.h: vq->free -= slot->descriptors; => vq->free -= 1;
// control split: virtio/virtqueue_split.c: avail->ring[place->index & (vq->params.size - 1)] => avail->ring[place->index]
// control split: virtio/virtqueue_buffers.h: count < 2 || count > vq->params.max_segments => count < 2
// control split: virtio/virtqueue_buffers.h: virtqueue_unmap_pieces(piece, i); =>
// control split-in-order: virtio/virtqueue_split.c: place->id = vq->slot[last].next; => place->id = vq->slot[place->id].next;
// control packed: virtio/virtqueue_buffers.h: vq->free < (indirect ? 1 : count) => vq->free < 1
// control packed: virtio/virtqueue_packed.c: if (next >= size) { => if (next > size) {
// control packed-in-order: virtio/virtqueue_buffers.h: slot->descriptors = indirect ? 1 : (uint16_t)count; => slot->descriptors = 1;
#include "ring_state.h"

int main(void)
{
    struct virtqueue vq;
    struct virtqueue_sg sg[SEGMENTS + 1];
    unsigned out = any_unsigned(), in = any_unsigned(), i;
    static uint8_t data;

    any_state(&vq);
    assume(out <= SEGMENTS + 1 && in <= SEGMENTS + 1 - out);
    for (i = 0; i < SEGMENTS + 1; i++) {
        sg[i].data = &data;
        sg[i].len = any_u32();
    }
    uint16_t id = vq.next_id;
    unsigned in_flight = vq.in_flight, room = vq.free;
    int error = virtqueue_add(&vq, sg, out, in, id < RING_SIZE ? &tokens[id] : tokens);

    claim(is_valid(&vq));
    if (error) {
        claim(vq.in_flight == in_flight && vq.free == room && mapped == unmapped);
        claim(error == -EINVAL || error == -ENOSPC);
        return 0;
    }
    claim(vq.in_flight == in_flight + 1 && vq.free < room);
    claim(mapped == out + in && unmapped == 0);
    return 0;
}
