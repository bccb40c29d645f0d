/*
 * proof_need_event.c - virtqueue_need_event() over all 2^48 arguments: true exactly when the batch
 * from old to new moved over the place that the other side asked about (2.7.10, 2.8.10). And the
 * packed ring's use of it, for every size, place and wrap counter.
 */
// unwind: 2
// control: virtio/virtqueue_impl.h: (uint16_t)(new_idx - event - 1) < => (uint16_t)(new_idx - event) <
// control: virtio/virtqueue_impl.h: < (uint16_t)(new_idx - old_idx) => <= (uint16_t)(new_idx - old_idx)
// control: virtio/virtqueue_packed.c: event -= vq->params.size; => event += vq->params.size;
// control: virtio/virtqueue_packed.c: if (event_wrap != avail_wrap(p)) => if (event_wrap == avail_wrap(p))
#define RING_SIZE 1
#define PACKED
#include "ring_state.h"

int main(void)
{
    uint16_t event = any_u16(), old_idx = any_u16(), batch = any_u16();
    /* Said without wrapping: old + 1, old + 2 ... are stepped over; which of them is the event? */
    uint16_t steps = (uint16_t)(event - old_idx);

    claim(virtqueue_need_event(event, (uint16_t)(old_idx + batch), old_idx) == (steps < batch));

    /* A packed ring of any size, on the way from a lap's first descriptor to the next lap's. */
    struct virtqueue vq;
    uint32_t size = any_u16(), place = any_u16(), moved = any_u16(), asked = any_u32();
    bool wrap = any_bool();
    assume(size >= 1 && size <= VIRTQ_MAX_SIZE && place < size && moved >= 1 && moved < size);
    /* The device asks about a place that is not more than a lap back, counted without end. */
    uint32_t now = size + place;
    assume(asked <= now && asked > now - size);
    vq.params.size = (uint16_t)size;
    vq.packed.next_avail = (uint16_t)place;
    vq.packed.avail_bits = wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
    bool asked_wrap = asked >= size ? wrap : !wrap;
    uint16_t off_wrap = (uint16_t)(asked % size | asked_wrap << RING_EVENT_WRAP_SHIFT);

    claim(event_reached(&vq, off_wrap, moved) == (asked >= now - moved && asked < now));
    return 0;
}
