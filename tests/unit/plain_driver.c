/*
 * plain_driver.c - see plain_driver.h.
 */
#include "plain_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hosted/device_mmio.h"

struct virtio_device *plain_probed;
unsigned plain_changes, plain_reclaimed;
struct device plain_device;
uint32_t plain_excess, plain_len;
bool plain_keeps, plain_second_polled;
static uint8_t *memory;

/* ---- the driver ---- */

static int probe(struct virtio_device *device)
{
    const struct virtio_queue_request requests[] = {
        {.name = "first", .index = 0, .max_size = 8, .max_segments = 1, .cell_bytes = 16},
        {.name = "second", .index = 1, .max_segments = 2, .no_interrupt = plain_second_polled},
    };
    int error = virtio_find_queues(device, requests, 2);

    plain_probed = error ? NULL : device;
    return error;
}

static int ready(struct virtio_device *device)
{
    virtqueue_enable_cb(device->queue[0]);
    virtqueue_enable_cb(device->queue[1]);
    return 0;
}

static void reclaim_queue(struct virtio_device *device, unsigned i)
{
    while (virtqueue_detach_unused(device->queue[i]))
        plain_reclaimed++;
}

static void reclaim(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++)
        reclaim_queue(device, i);
}

static void ready_queue(struct virtio_device *device, unsigned i)
{
    virtqueue_enable_cb(device->queue[i]);
}

static void forget(struct virtio_device *device)
{
    (void)device;
    plain_probed = NULL;
}

static void config_changed(struct virtio_device *device)
{
    (void)device;
    plain_changes++;
}

static const uint16_t types[] = {PLAIN_TYPE, 0};
static const struct virtio_driver driver = {
    .name = "plain-driver",
    .device_types = types,
    .probe = probe,
    .ready = ready,
    .reclaim = reclaim,
    .reclaim_queue = reclaim_queue,
    .ready_queue = ready_queue,
    .remove = forget,
    .config_changed = config_changed,
};
static const struct virtio_driver *const drivers[] = {&driver};

/* ---- the device ---- */

static void serve(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while ((chain = ring_device_pop(ring)))
        if (!plain_keeps)
            ring_device_push(ring, chain, chain->writable + plain_excess);
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static const struct device_type type = {.name = "plain-device", .id = PLAIN_TYPE, .serve = serve};
static const uint8_t config[8] = {1, 2, 3, 4, 5, 6, 7, 8};
#define USUAL                                                                              \
    {                                                                                      \
        .type = &type, .queues = 2, .queue_size = 16, .msix_vectors = 3, .config = config, \
        .config_length = sizeof(config)                                                    \
    }
struct device_setup plain_setup = USUAL;

/* ---- both ---- */

void plain_make(const struct device_front *front)
{
    fake_pci_reset();
    device_mmio_reset();
    device_set_front(front);
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    plain_changes = plain_reclaimed = 0;
    plain_excess = 0;
    plain_keeps = false;
    device_init(&plain_device, &plain_setup);
    memory = platform_dma_alloc(PLAIN_BUFFER, 64);
}

void plain_make_pci(unsigned msix_vectors)
{
    plain_setup.msix_vectors = msix_vectors;
    plain_make(NULL);
}

void plain_end(void)
{
    virtio_shutdown();
    assert_null(plain_probed);
    assert_int_equal(device_mmio_handlers(), 0);
    device_finish(&plain_device);
    fake_pci_reset();
    device_set_front(NULL);
    platform_dma_free(memory, PLAIN_BUFFER);
    plain_setup = (struct device_setup)USUAL;
    plain_second_polled = false;
}

unsigned plain_transfer(unsigned queue, bool in)
{
    struct virtqueue *vq = plain_probed->queue[queue];
    struct virtqueue_sg sg = {memory, PLAIN_BUFFER};

    assert_int_equal(virtqueue_add(vq, &sg, !in, in, memory), 0);
    virtqueue_kick(vq);
    device_run(&plain_device);
    unsigned delivered = hosted_interrupts_deliver();
    assert_ptr_equal(virtqueue_get_buf(vq, &plain_len), memory);
    virtqueue_enable_cb(vq);
    return delivered;
}

uint64_t plain_interrupts(unsigned queue)
{
    return virtqueue_stats(plain_probed->queue[queue])->interrupts;
}
