/*
 * core_driver.c - the made-up driver and device. See core_driver.h.
 */
#include "support.h"

#include "core_driver.h"
#include "virtio/virtio_pci.h"

#define TYPE 60

/* ---- the driver ---- */

struct core_driver driver;

int submit(struct virtio_device *of, unsigned n)
{
    struct virtqueue_sg sg = {driver.memory + 64 * n, 64};
    int error = virtqueue_add(of->queue[0], &sg, 0, 1, driver.memory + 64 * n);

    driver.submitted += !error;
    return error;
}

static int test_probe(struct virtio_device *of)
{
    static const struct virtio_queue_request requests[] = {
        {.name = "first", .index = 0, .max_size = 16, .max_segments = 2},
        {.name = "second", .index = 1, .max_segments = 4},
        {.name = "third", .index = 2, .max_segments = 4},
    };
    uint8_t value;
    int error;

    driver.probes++;
    driver.device = of;
    if (driver.probe_error)
        return driver.probe_error;
    error = virtio_config_read(of, 0, &value, 1, 1);
    if (!error)
        error = virtio_find_queues(of, requests, driver.want_third_queue ? 3 : 2);
    if (error)
        return error;
    if (driver.notify_in_probe)
        virtqueue_notify(of->queue[0]);
    driver.memory = platform_dma_alloc(64 * BUFFERS, 64);
    return driver.memory ? 0 : -ENOMEM;
}

static int test_ready(struct virtio_device *of)
{
    driver.readies++;
    for (unsigned i = 0; i < BUFFERS; i++)
        submit(of, i);
    virtqueue_kick(of->queue[0]);
    return driver.ready_error;
}

static void test_reclaim(struct virtio_device *of)
{
    driver.reclaims++;
    for (unsigned i = 0; i < of->queue_count; i++)
        while (virtqueue_detach_unused(of->queue[i]))
            driver.taken_back++;
}

static void test_remove(struct virtio_device *of)
{
    (void)of;
    driver.removes++;
    platform_dma_free(driver.memory, 64 * BUFFERS);
    driver.memory = NULL;
}

static void test_config_changed(struct virtio_device *of)
{
    (void)of;
    assert_false(hosted_in_interrupt());
    driver.changes++;
}

static const struct virtio_feature features[] = {
    {.bit = 0, .name = "PLAIN"},
    {.bit = 2, .name = "UNWANTED", .refusal = "it is a test"},
    {.bit = 3, .name = "NEEDS_PLAIN", .depends = true, .requires = 0},
    {.bit = 4, .name = "NEEDS_UNWANTED", .depends = true, .requires = 2},
    {.bit = 5, .name = "NEEDS_CHAIN", .depends = true, .requires = 4},
    {.bit = 55, .name = "HIGH"},
};
static const uint16_t types[] = {TYPE, 0};
static const struct virtio_driver test_driver = {
    .name = "test-driver",
    .device_types = types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = test_probe,
    .ready = test_ready,
    .reclaim = test_reclaim,
    .remove = test_remove,
    .config_changed = test_config_changed,
};
const struct virtio_driver *const drivers[1] = {&test_driver};

/* ---- the device ---- */

static struct ring_chain *held[64];
unsigned held_count;

static void hold(struct device *of, unsigned queue)
{
    struct ring_chain *chain;

    while ((chain = ring_device_pop(&of->queue[queue].ring)))
        held[held_count++] = chain;
}

static void forget(struct device *of)
{
    (void)of;
    held_count = 0;
}

void answer(struct device *of, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ring_device_push(&of->queue[0].ring, held[i], 8);
    held_count -= count;
    memmove(held, held + count, held_count * sizeof(held[0]));
    device_signal(of, 0);
}

static const struct device_field fields[] = {{0, 1, 8, DEVICE_NO_FEATURE},
                                             {8, 8, 1, DEVICE_NO_FEATURE},
                                             {16, 4, 1, DEVICE_NO_FEATURE},
                                             {20, 2, 2, DEVICE_NO_FEATURE}};
static const struct device_type type = {.name = "test-device",
                                        .id = TYPE,
                                        .field = fields,
                                        .fields = 4,
                                        .serve = hold,
                                        .reset = forget};
const uint8_t config[24] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                            13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

struct device device;
uint64_t ring_features;

void make_device(uint64_t more_features)
{
    fake_pci_reset();
    memset(&driver, 0, sizeof(driver));
    held_count = 0;
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_init(&device, &(struct device_setup){.type = &type,
                                                .features = more_features | ring_features,
                                                .queues = 2,
                                                .queue_size = 64,
                                                .msix_vectors = 4,
                                                .config = config,
                                                .config_length = sizeof(config)});
}

void end(void)
{
    virtio_shutdown();
    assert_null(virtio_devices());
    assert_null(driver.memory);
    device_finish(&device);
    fake_pci_reset();
}

unsigned drain(void)
{
    unsigned count = 0;

    while (virtqueue_get_buf(driver.device->queue[0], NULL))
        count++;
    driver.completed += count;
    return count;
}

void assert_failed(void)
{
    assert_true(device.status & ST_FAILED);
    assert_false(device.status & ST_DRIVER_OK);
    assert_non_null(virtio_devices()->refusal);
    assert_false(virtio_devices()->driver_ok);
}
