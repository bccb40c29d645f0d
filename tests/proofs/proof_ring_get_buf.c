/*
 * proof_ring_get_buf.c - virtqueue_get_buf() in any valid state, on a device that writes anything
 * at any time: it touches only its own memory, gives back a buffer that the device had, and no
 * more than once, with a length within what was posted, and leaves a valid state.
 */
// variant split:
// variant split-in-order: -DIN_ORDER
// variant packed: -DPACKED
// variant packed-in-order: -DPACKED -DIN_ORDER
// control split: virtio/virtqueue_buffers.h: used_id >= vq->params.size || => 0 ||
// control split: virtio/virtqueue_buffers.h: || !vq->slot[used_id].token => || 0
// control split: virtio/virtqueue_buffers.h: if (written > vq->slot[used_id].writable) { => if (0) {
// control split: virtio/virtqueue_split.c: known > vq->in_flight => 0
// control split: virtio/virtqueue_split.c: i = 1; i < count; i++)\n        last = => i = 1; i <= count; i++)\n        last =
// control split-in-order: virtio/virtqueue_buffers.h: vq->batch = *id != vq->batch_last; =>
// control packed: virtio/virtqueue_packed.c: *id >= vq->params.size || *len => *len
// control packed: virtio/virtqueue_packed.c: place->bits ^= WRAP_BITS; =>
// control packed: virtio/virtqueue_buffers.h: freed += vq->slot[id].descriptors; => freed++;
// control packed-in-order: virtio/virtqueue_packed.c: vq->oldest = vq->slot[id].next; =>
#include "ring_state.h"

int main(void)
{
    struct virtqueue vq;
    uint32_t len;

    any_state(&vq);
    struct virtqueue_slot before[RING_SIZE];
    unsigned in_flight = vq.in_flight;
    memcpy(before, vq.slot, sizeof(before));

    char *token = virtqueue_get_buf(&vq, &len);
    claim(is_valid(&vq));
    if (!token) {
        claim(vq.in_flight == in_flight && unmapped == 0);
        return 0;
    }
    unsigned id = (unsigned)(token - tokens);
    claim(id < RING_SIZE && before[id].token == token);
    claim(len <= before[id].writable);
    claim(vq.slot[id].token == NULL);
    claim(vq.in_flight == in_flight - 1 && unmapped == before[id].pieces);
    return 0;
}
