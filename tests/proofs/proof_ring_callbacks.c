/*
 * proof_ring_callbacks.c - kick, callbacks, report and the end in any valid state, on a device that
 * writes anything: only the queue's own memory is touched, the state stays valid, and after a reset
 * each buffer that the device had comes back once.
 */
// variant split:
// variant split-in-order: -DIN_ORDER
// variant packed: -DPACKED
// variant packed-in-order: -DPACKED -DIN_ORDER
// control split: virtio/virtqueue_split.c: s->used_event = &s->avail->ring[size]; => s->used_event = &s->avail->ring[size] + 4096;
// control split: virtio/virtqueue_impl.h: slot->token = NULL;\n    return token; => return token;
// control packed: virtio/virtqueue_packed.c: driver_event_offset(params) + EVENT_ALIGNMENT + => driver_event_offset(params) +
// control packed: virtio/virtqueue.c: vq->detached < vq->params.size => vq->detached < vq->params.size - 1
#define RING_SIZE 2
#include "ring_state.h"

int main(void)
{
    struct virtqueue vq;
    bool seen[RING_SIZE] = {false};
    unsigned i;

    any_state(&vq);
    virtqueue_disable_cb(&vq);
    virtqueue_kick(&vq);
    virtqueue_enable_cb(&vq);
    claim(is_valid(&vq));
    claim(!virtqueue_kick_prepare(&vq)); /* one notification is enough */

    unsigned in_flight = vq.in_flight;
    virtqueue_break(&vq, "proof");
    claim(virtqueue_get_buf(&vq, NULL) == NULL && !virtqueue_kick_prepare(&vq));
    for (i = 0; i < in_flight; i++) {
        char *token = virtqueue_detach_unused(&vq);

        claim(token && !seen[token - tokens]);
        seen[token - tokens] = true;
    }
    claim(virtqueue_detach_unused(&vq) == NULL && vq.in_flight == 0);
    return 0;
}
