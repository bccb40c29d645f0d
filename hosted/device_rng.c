/*
 * device_rng.c - the model entropy device (5.4). Read device.c first.
 */
#include "hosted/device_rng.h"

#include <string.h>

#include "hosted/violation.h"

static void answer(struct device_rng *rng, struct ring_chain *chain)
{
    uint8_t bytes[256];
    uint32_t len = chain->writable < rng->limit ? chain->writable : rng->limit;

    for (uint32_t i = 0; i < len && i < sizeof(bytes); i++)
        bytes[i] = ++rng->next;
    ring_chain_write(chain, 0, bytes, len);
    ring_device_push(&rng->device.queue[0].ring, chain, len);
}

static void serve(struct device *device, unsigned queue)
{
    struct device_rng *rng = device->state;
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while ((chain = ring_device_pop(ring))) {
        rng->requests++;
        if (chain->out || chain->writable > 256)
            violation("RNG-OP-1", "a request of %u readable and %u writable bytes", chain->readable,
                      chain->writable);
        if (rng->held)
            hosted_fail("the model entropy device holds one request only");
        if (rng->hold)
            rng->held = chain;
        else
            answer(rng, chain);
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    ((struct device_rng *)device->state)->held = NULL;
}

static const struct device_type rng_type = {
    .name = "rng", .id = 4, .serve = serve, .reset = forget};

void device_rng_init(struct device_rng *rng, unsigned msix_vectors)
{
    memset(rng, 0, sizeof(*rng));
    rng->limit = 256;
    device_init(&rng->device, &(struct device_setup){.type = &rng_type,
                                                     .queues = 1,
                                                     .queue_size = 8,
                                                     .msix_vectors = msix_vectors,
                                                     .state = rng});
}

void device_rng_finish(struct device_rng *rng)
{
    device_finish(&rng->device);
}

void device_rng_answer(struct device_rng *rng)
{
    struct ring_chain *chain = rng->held;

    rng->held = NULL;
    if (chain)
        answer(rng, chain);
    device_signal(&rng->device, 0);
}
