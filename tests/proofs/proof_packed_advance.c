/*
 * proof_packed_advance.c - places and wrap counters of a packed ring, for every size up to 32768,
 * power of two or not (2.8.1): two laps are the start again, a descriptor made available is neither
 * used nor available in the next lap, and one that is used is seen as such in its lap alone.
 */
// share
// unwind: 2
// control: virtio/virtqueue_packed.c: next -= size; => next -= size - 1;
// control: virtio/virtqueue_packed.c: if (next >= size) { => if (next > size) {
// control: virtio/virtqueue_packed.c: *bits ^= WRAP_BITS; => *bits ^= VIRTQ_DESC_F_AVAIL;
// control: virtio/virtqueue_packed.c: #define WRAP_BITS (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED) => #define WRAP_BITS VIRTQ_DESC_F_AVAIL
#define RING_SIZE 1
#define PACKED
#include "ring_state.h"

int main(void)
{
    uint16_t size = any_u16(), index = any_u16(), start;
    uint32_t by = any_u32();
    bool first = any_bool();
    uint16_t used = first ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;
    uint16_t available = first ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
    uint16_t used_first = used, available_first = available;

    assume(size >= 1 && size <= VIRTQ_MAX_SIZE && index < size && by <= size);
    start = index;
    advance(&index, &used, by, size);
    claim(index < size && index == (start + by) % size);
    claim((used == used_first) == (start + by < size));
    advance(&index, &used, size - by, size);
    claim(index == start && used == (first ? 0 : VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED));

    advance(&index, &available, size, size);
    claim(index == start && available == (first ? VIRTQ_DESC_F_USED : VIRTQ_DESC_F_AVAIL));
    claim((available & WRAP_BITS) != used_first && (available & WRAP_BITS) != used);
    claim((available_first & WRAP_BITS) != used_first && (available_first & WRAP_BITS) != used);
    return 0;
}
