/*
 * rig.c - makes the two sides of a queue meet; see rig.h.
 */
#include "tests/torture/rig.h"

#include <string.h>

#include "hosted/violation.h"

static void notify(void *arg, struct virtqueue *vq)
{
    struct rig *rig = arg;
    uint16_t data = virtqueue_notification_data(vq);

    RIG_CHECK(vq == rig->vq);
    rig->kicks++;
    rig->data = data;
    if (data != ring_device_notification_data(&rig->ring))
        violation(rig->ring.params.packed ? "CORE-T-NDATA-2" : "CORE-T-NDATA-1", "%#x, not %#x",
                  data, ring_device_notification_data(&rig->ring));
    ring_device_notified(&rig->ring);
}

void rig_attach(struct rig *rig)
{
    const struct virtqueue_areas *areas = virtqueue_areas(rig->vq);
    struct ring_params params = rig->ring.params;

    params.size = virtqueue_size(rig->vq);
    params.descriptor = areas->descriptor;
    params.driver = areas->driver;
    params.device = areas->device;
    ring_device_finish(&rig->ring);
    RIG_CHECK(ring_device_init(&rig->ring, &params));
}

void rig_open(struct rig *rig, uint16_t size, unsigned kind)
{
    struct virtqueue_params params = {.name = "test",
                                      .index = 3,
                                      .size = size,
                                      .max_segments = RIG_PIECES,
                                      .layout = {.packed = kind & RIG_PACKED,
                                                 .event_idx = kind & RIG_EVENT_IDX,
                                                 .indirect = kind & RIG_INDIRECT,
                                                 .in_order = kind & RIG_IN_ORDER},
                                      .notify = notify,
                                      .notify_arg = rig};

    memset(rig, 0, sizeof(*rig));
    hosted_dma_use_iommu(kind & RIG_ACCESS_PLATFORM);
    rig->vq = virtqueue_create(&params);
    RIG_CHECK(rig->vq);
    rig->ring.params = (struct ring_params){.name = "test",
                                            .index = 3,
                                            .size = size,
                                            .packed = kind & RIG_PACKED,
                                            .event_idx = kind & RIG_EVENT_IDX,
                                            .indirect = kind & RIG_INDIRECT,
                                            .in_order = kind & RIG_IN_ORDER};
    rig_attach(rig);
    rig->memory_size = (size_t)size * RIG_PIECES * RIG_BUFFER_SIZE;
    rig->memory = platform_dma_alloc(rig->memory_size, 64);
    RIG_CHECK(rig->memory);
}

void rig_close(struct rig *rig)
{
    while (virtqueue_in_flight(rig->vq))
        RIG_CHECK(virtqueue_detach_unused(rig->vq));
    ring_device_finish(&rig->ring);
    virtqueue_destroy(rig->vq);
    platform_dma_free(rig->memory, rig->memory_size);
    hosted_dma_use_iommu(false);
}

uint8_t *rig_buffer(const struct rig *rig, unsigned slot, unsigned piece)
{
    return rig->memory + ((size_t)slot * RIG_PIECES + piece) * RIG_BUFFER_SIZE;
}

unsigned rig_slot(const struct rig *rig, const void *memory)
{
    size_t offset = (size_t)((const uint8_t *)memory - rig->memory);

    RIG_CHECK(offset < rig->memory_size);
    return (unsigned)(offset / (RIG_PIECES * RIG_BUFFER_SIZE));
}

int rig_add(struct rig *rig, unsigned slot, unsigned out, unsigned in)
{
    struct virtqueue_sg sg[RIG_PIECES + 1];

    RIG_CHECK(out + in <= RIG_PIECES + 1);
    for (unsigned i = 0; i < out + in; i++)
        sg[i] = (struct virtqueue_sg){rig_buffer(rig, slot, i % RIG_PIECES), RIG_BUFFER_SIZE};
    return virtqueue_add(rig->vq, sg, out, in, rig_buffer(rig, slot, 0));
}

void rig_cycle(struct rig *rig, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        RIG_CHECK(rig_add(rig, 0, 1, 0) == 0);
        virtqueue_kick_prepare(rig->vq);
        struct ring_chain *chain = ring_device_pop(&rig->ring);
        RIG_CHECK(chain);
        ring_device_push(&rig->ring, chain, 0);
        ring_device_signal(&rig->ring);
        RIG_CHECK(virtqueue_get_buf(rig->vq, NULL) == rig_buffer(rig, 0, 0));
    }
}
