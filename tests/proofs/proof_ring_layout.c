/*
 * proof_ring_layout.c - where the parts of a ring lie, for every size and legacy alignment: in
 * order, aligned as 2.7 and 2.8 ask, inside of the memory, and none over another.
 */
// share
// unwind: 2
// variant split:
// variant packed: -DPACKED
// control split: virtio/virtqueue_split.c: sizeof(le16) * (params->size + 1u) => sizeof(le16) * params->size
// control split: virtio/virtqueue_split.c: sizeof(struct virtq_used_elem) * params->size + sizeof(le16) => sizeof(struct virtq_used_elem) * params->size
// control packed: virtio/virtqueue_packed.c: (end + EVENT_ALIGNMENT - 1) / => end /
#define RING_SIZE 1
#include "ring_state.h"

int main(void)
{
    struct virtqueue_params params;
    uint32_t size = any_u16();

    assume(size >= 1 && size <= VIRTQ_MAX_SIZE);
    params.size = (uint16_t)size;
    params.layout.alignment = any_bool() ? VIRTQ_LEGACY_ALIGNMENT : 0;
#ifdef PACKED
    size_t driver = driver_event_offset(&params), device = driver + EVENT_ALIGNMENT;

    claim(driver >= 16 * size && driver % 4 == 0 && device % 4 == 0 && device >= driver + 4);
    claim(packed_memory_size(&params) >= device + 4);
#else
    size_t avail = 16 * size, used = used_offset(&params);

    /* 2.7: flags, idx, ring and event index of each. */
    claim(used >= avail + 4 + 2 * size + 2 && used % 4 == 0);
    claim(!params.layout.alignment || used % params.layout.alignment == 0);
    claim(split_memory_size(&params) >= used + 4 + 8 * size + 2);
#endif
    return 0;
}
