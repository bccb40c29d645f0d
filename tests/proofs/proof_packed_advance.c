/*
 * proof_packed_advance.c - places and wrap counters of a packed ring, for every size up to 32768,
 * power of two or not (2.8.1): two laps are the start again, a descriptor made available is neither
 * used nor available in the next lap, and one that is used is seen as such in its lap alone.
 */
// share
// unwind: 2
// control: virtio/virtqueue_packed.c: next -= size; => next -= size - 1;
// control: virtio/virtqueue_packed.c: if (next >= size) { => if (next > size) {
// control: virtio/virtqueue_packed.c: place->bits ^= WRAP_BITS; => place->bits ^= VIRTQ_DESC_F_AVAIL;
// control: virtio/virtqueue_packed.c: #define WRAP_BITS (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED) => #define WRAP_BITS VIRTQ_DESC_F_AVAIL
#define RING_SIZE 1
#define PACKED
#include "ring_state.h"

int main(void)
{
    uint16_t size = any_u16(), start = any_u16();
    uint32_t by = any_u32();
    bool first = any_bool();
    uint16_t used_first = first ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;
    uint16_t available_first = first ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
    struct place used = {.index = start, .bits = used_first};
    struct place available = {.index = start, .bits = available_first};

    assume(size >= 1 && size <= VIRTQ_MAX_SIZE && start < size && by <= size);
    advance(&used, by, size);
    claim(used.index < size && used.index == (start + by) % size);
    claim((used.bits == used_first) == (start + by < size));
    advance(&used, size - by, size);
    claim(used.index == start);
    claim(used.bits == (first ? 0 : VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED));

    advance(&available, size, size);
    claim(available.index == start);
    claim(available.bits == (first ? VIRTQ_DESC_F_USED : VIRTQ_DESC_F_AVAIL));
    claim((available.bits & WRAP_BITS) != used_first);
    claim((available.bits & WRAP_BITS) != used.bits);
    claim((available_first & WRAP_BITS) != used_first);
    claim((available_first & WRAP_BITS) != used.bits);
    return 0;
}
