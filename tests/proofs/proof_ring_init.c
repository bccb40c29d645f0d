/*
 * proof_ring_init.c - a new queue, and one after a reset, is in a valid state whatever it was
 * before (2.7.1, 2.8.1): where the induction of the other ring proofs begins.
 */
// variant split:
// variant split-in-order: -DIN_ORDER
// variant packed: -DPACKED
// variant packed-in-order: -DPACKED -DIN_ORDER
// control split: virtio/virtqueue.c: i + 1 < size ? i + 1 : 0 => i
// control split: virtio/virtqueue.c: vq->free = size; => vq->free = size + 1;
// control packed: virtio/virtqueue_packed.c: p->avail_bits = VIRTQ_DESC_F_AVAIL; =>
// control packed-in-order: virtio/virtqueue.c: vq->next_id = vq->oldest = 0; => vq->next_id = 0;
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
