/*
 * proof_ring_init.c - a new queue, and one after a reset, is in a valid state whatever it was
 * before (2.7.1, 2.8.1): where the induction of the other ring proofs begins.
 */
// variant split:
// variant split-in-order: -DIN_ORDER
// variant packed: -DPACKED
// variant packed-in-order: -DPACKED -DIN_ORDER
// control split: virtio/virtqueue_split.c: i + 1 < size ? i + 1 : 0 => i
// control split: virtio/virtqueue.c: vq->free = vq->params.size; => vq->free = vq->params.size + 1;
// control packed: virtio/virtqueue_packed.c: p->avail_wrap = p->used_wrap = true; => p->used_wrap = true;
// control packed-in-order: virtio/virtqueue.c: vq->oldest = vq->next_id; =>
#include "ring_state.h"

int main(void)
{
    struct virtqueue vq;

    make_queue(&vq);
    virtqueue_reinit(&vq);
    claim(is_valid(&vq));
    claim(virtqueue_free(&vq) == RING_SIZE && virtqueue_in_flight(&vq) == 0);
    return 0;
}
