/*
 * proof_blk_status.c - requests of a block device that says anything about them (5.2.6): each ends
 * once, in an errno that the block layer knows, well only with the status OK, and its slot is free
 * again.
 */
// share
// unwind: 4
// control: blk/virtio_blk.c: default: /* IOERR, a value that does not exist, or not written at all */\n        return -EIO; => default:\n        return status;
// control: blk/virtio_blk.c: &&\n        status <= VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE) => )
// control: blk/virtio_blk.c: queue->free_slots = slot;\n    return request; => return request;
// control: blk/virtio_blk.c: while (done < budget && (slot => while ((slot
#include "any_queue.h"

#include "blk/virtio_blk.c"

#define SLOTS LENT_MAX

static struct slot *slots[SLOTS];
static struct blk_request requests_lent[SLOTS];
static bool lent[SLOTS];
static unsigned ended;

void blk_complete(struct blk_device *block, struct blk_request *request, int error)
{
    size_t i = (size_t)(request - requests_lent);

    (void)block;
    claim(i < SLOTS && lent[i]);
    lent[i] = false;
    ended++;
    claim(error <= 0 && error > -4096);
    claim(error != 0 || slots[i]->memory->status == VIRTIO_BLK_S_OK);
}

int main(void)
{
    struct virtqueue vq = {.broken = any_bool()};
    struct virtio_blk blk;
    struct blk_queue queue = {.vq = &vq};
    unsigned budget = any_unsigned(), i, free_slots = 0, with_device = 0;

    for (i = 0; i < SLOTS; i++) {
        slots[i] = malloc(sizeof(*slots[i]));
        slots[i]->memory = malloc(sizeof(*slots[i]->memory));
        slots[i]->request = &requests_lent[i];
        vq.token[i] = slots[i];
        vq.writable[i] = any_u32();
        lent[i] = true;
    }
    unsigned done = poll_queue(&blk, &queue, budget);
    claim(done == ended && done <= budget);
    for (struct slot *slot = queue.free_slots; slot && free_slots <= SLOTS; slot = slot->next_free)
        free_slots++;
    for (i = 0; i < SLOTS; i++) {
        claim(lent[i] == queue_has(&vq, slots[i]));
        with_device += lent[i];
    }
    claim(free_slots + with_device == SLOTS);
    return 0;
}
