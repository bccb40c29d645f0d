/*
 * target_config.c - reads and writes of the device configuration (2.5) at any place and width, while
 * a hostile device changes it.
 */
#include "fuzz.h"
#include "hostile.h"

static struct virtio_device *driven;

static int probe(struct virtio_device *device)
{
    driven = device;
    return 0;
}

static int ready(struct virtio_device *device)
{
    (void)device;
    return 0;
}

static void reclaim(struct virtio_device *device)
{
    (void)device;
}

static void forget(struct virtio_device *device)
{
    (void)device;
    driven = NULL;
}

static const uint16_t types[] = {60, 0};
static const struct virtio_driver driver = {.name = "config",
                                            .device_types = types,
                                            .probe = probe,
                                            .ready = ready,
                                            .reclaim = reclaim,
                                            .remove = forget,
                                            .config_changed = reclaim};

static void use(uint8_t op, struct input *input)
{
    uint8_t data[256];
    unsigned width = 1u << (op & 3);
    unsigned len = input_u8(input) / width * width;
    unsigned offset = input_u8(input) / width * width;

    if (!driven)
        return;
    memset(data, 0, sizeof(data));
    if (op & 4)
        virtio_config_write(driven, offset, data, len, width);
    else
        virtio_config_read(driven, offset, data, len, width);
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    (void)queue;
    (void)chain;
    return 0;
}

static const struct hostile_type type = {
    .driver = &driver, .id = 60, .queues = 1, .answer = answer, .use = use};

void fuzz_config(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
}
