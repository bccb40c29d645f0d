/*
 * target_rng.c - the entropy driver (5.4) and the generator it feeds under a hostile device.
 */
#include "rng/random.h"
#include "rng/virtio_rng.h"

#include "fuzz.h"
#include "hostile.h"

/* The generator lives as long as the program. Each run begins without a seed, as a machine does. */
bool __wrap_random_is_seeded(void);
bool __wrap_random_is_seeded(void)
{
    return false;
}

static void use(uint8_t op, struct input *input)
{
    uint8_t bytes[256];

    (void)input;
    switch (op % 3) {
    case 0:
        random_bytes(bytes, op);
        break;
    case 1:
        random_u64();
        break;
    default:
        random_mix(bytes, 0);
    }
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    (void)queue;
    return chain->writable;
}

static const struct hostile_type type = {
    .driver = &virtio_rng_driver, .id = 4, .queues = 1, .answer = answer, .use = use};

void fuzz_rng(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
}
