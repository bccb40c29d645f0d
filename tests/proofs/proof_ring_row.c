/*
 * proof_ring_row.c - virtqueue_get_row() and virtqueue_add_row() of up to two buffers, in any valid state of a
 * ring of two, on a device that writes anything: what a row notes at its end leaves a valid state, as
 * buffers one by one do (proof_ring_get_buf.c, proof_ring_add.c).
 */
// variant split:
// variant split-in-order: -DIN_ORDER
// variant packed: -DPACKED
// variant packed-in-order: -DPACKED -DIN_ORDER
// control split: virtio/virtqueue_buffers.h: vq->in_flight -= i; => vq->in_flight -= i > 0;
// control split: virtio/virtqueue_buffers.h: unsigned most = count < vq->free ? count : vq->free, i; => unsigned most = count, i;
// control packed: virtio/virtqueue_packed.c: vq->packed.used_bits = place->bits; =>
// control packed-in-order: virtio/virtqueue_packed.c: vq->packed.next_avail = place->index; =>
#define RING_SIZE 2
#include "ring_state.h"

int main(void)
{
    struct virtqueue vq;
    struct virtqueue_sg sg[RING_SIZE];
    void *token[RING_SIZE] = {NULL};
    uint32_t len[RING_SIZE];
    static uint8_t data;
    unsigned most = any_unsigned(), i;

    any_state(&vq);
    assume(most >= 1 && most <= RING_SIZE);
    unsigned in_flight = vq.in_flight;
    unsigned got = virtqueue_get_row(&vq, token, len, most);

    claim(is_valid(&vq) && got <= most && vq.in_flight == in_flight - got);
    claim(got < 2 || token[0] != token[1]);
    if (vq.broken)
        return 0;
    /* Ids are taken in the order of the list, or of the circle. */
    uint16_t id = vq.next_id;
    for (i = 0; i < RING_SIZE; i++) {
        sg[i] = (struct virtqueue_sg){&data, any_u32()};
        token[i] = &tokens[id < RING_SIZE ? id : 0];
        id = id < RING_SIZE ? vq.slot[id].next : 0;
    }
    in_flight = vq.in_flight;
    unsigned room = vq.free;
    int added = virtqueue_add_row(&vq, sg, token, most, any_bool());

    claim(is_valid(&vq) && added <= (int)most && added <= (int)room && added != 0);
    claim(added < 0 ||
          (vq.in_flight == in_flight + (unsigned)added && vq.free == room - (unsigned)added));
    claim(added != -ENOSPC || room == 0);
    return 0;
}
