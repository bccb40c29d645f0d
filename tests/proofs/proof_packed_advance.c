/*
 * proof_packed_advance.c - places and wrap counters of a packed ring, for every size up to 32768,
 * power of two or not (2.8.1): two laps are the start again, a descriptor made available is neither
 * used nor available in the next lap, and one that is used is seen as such in its lap alone.
 */
// share
// unwind: 2
// control: virtio/virtqueue_packed.c: next -= size; => next -= size - 1;
// control: virtio/virtqueue_packed.c: if (next >= size) { => if (next > size) {
// control: virtio/virtqueue_packed.c: avail == used && used == wrap => avail == used
// control: virtio/virtqueue_packed.c: wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED => VIRTQ_DESC_F_AVAIL
#define RING_SIZE 1
#define PACKED
#include "ring_state.h"

int main(void)
{
    uint16_t size = any_u16(), index = any_u16(), start;
    uint32_t by = any_u32();
    bool wrap = any_bool(), first = wrap;

    assume(size >= 1 && size <= VIRTQ_MAX_SIZE && index < size && by <= size);
    start = index;
    advance(&index, &wrap, by, size);
    claim(index < size && index == (start + by) % size);
    claim(wrap == (start + by >= size ? !first : first));
    advance(&index, &wrap, size - by, size);
    claim(index == start && wrap == !first);

    claim(!is_used(available_bits(wrap), true) && !is_used(available_bits(wrap), false));
    uint16_t used = wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;
    claim(is_used(used, wrap) && !is_used(used, !wrap));
    claim(available_bits(wrap) != available_bits(!wrap));
    return 0;
}
