/*
 * threaded_device.c - see threaded_device.h. The rings are read with the orders of 2.7.13 and 2.8.21
 * of the device's side: acquire where the driver releases, and a fence between asking and looking.
 */
#include "threaded_device.h"

#include <sched.h>
#include <time.h>

#include "hosted/wire.h"
#include "virtio/spec.h"

#define PATIENCE_S 20

static struct threaded_device *of(void *device)
{
    return device;
}

static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static void add_piece(struct threaded_chain *chain, uint64_t address, uint32_t len, uint16_t flags)
{
    if (chain->pieces == THREADED_PIECES)
        abort();
    chain->piece[chain->pieces].data = at(address);
    chain->piece[chain->pieces++].len = len;
    chain->out += !(flags & DESC_WRITE);
}

/* ---- a split ring ---- */

static bool split_has(const struct threaded_queue *q)
{
    const uint16_t *avail = q->driver;

    return __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE) != (uint16_t)q->taken;
}

static void split_take(struct threaded_queue *q, struct threaded_chain *chain)
{
    const uint16_t *avail = q->driver;
    const struct wire_desc *desc = q->desc;
    uint16_t i = chain->id = avail[2 + q->taken % q->size];

    if (desc[i].flags & DESC_INDIRECT) {
        desc = at(desc[i].addr);
        i = 0;
    }
    for (;; i = desc[i].next) {
        add_piece(chain, desc[i].addr, desc[i].len, desc[i].flags);
        if (!(desc[i].flags & DESC_NEXT))
            break;
    }
    q->taken++;
}

static void split_put(struct threaded_queue *q, const struct threaded_chain *chain, uint32_t len)
{
    uint16_t *used = q->device;
    uint32_t element[2] = {chain->id, len};

    memcpy(&used[2 + 4 * (q->put % q->size)], element, sizeof(element));
    q->put++;
    __atomic_store_n(&used[1], (uint16_t)q->put, __ATOMIC_RELEASE);
}

static void split_ask(struct threaded_queue *q, bool event_idx, bool wanted)
{
    uint16_t *used = q->device;

    if (event_idx)
        __atomic_store_n(&used[2 + 4 * q->size], (uint16_t)(q->taken - !wanted), __ATOMIC_RELAXED);
    else
        __atomic_store_n(&used[0], wanted ? 0 : USED_NO_NOTIFY, __ATOMIC_RELAXED);
}

static bool split_is_asked(const struct threaded_queue *q, bool event_idx)
{
    const uint16_t *avail = q->driver;

    if (event_idx)
        return __atomic_load_n(&avail[2 + q->size], __ATOMIC_RELAXED) == (uint16_t)(q->put - 1);
    return !(__atomic_load_n(&avail[0], __ATOMIC_RELAXED) & AVAIL_NO_INTERRUPT);
}

/* ---- a packed ring ---- */

static void go_on(uint16_t *place, bool *wrap, unsigned by, uint16_t size)
{
    *place = (uint16_t)(*place + by);
    if (*place >= size) {
        *place = (uint16_t)(*place - size);
        *wrap = !*wrap;
    }
}

static bool packed_has(const struct threaded_queue *q)
{
    const struct wire_packed_desc *desc = (const struct wire_packed_desc *)q->desc + q->avail_at;
    uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);

    return (flags & (DESC_AVAIL | DESC_USED)) == (q->avail_wrap ? DESC_AVAIL : DESC_USED);
}

static void packed_take(struct threaded_queue *q, struct threaded_chain *chain)
{
    const struct wire_packed_desc *ring = q->desc, *desc = &ring[q->avail_at];

    chain->id = desc->id;
    chain->descriptors = 1;
    if (desc->flags & DESC_INDIRECT) {
        const struct wire_packed_desc *table = at(desc->addr);

        for (uint32_t i = 0; i < desc->len / sizeof(*table); i++)
            add_piece(chain, table[i].addr, table[i].len, table[i].flags);
        go_on(&q->avail_at, &q->avail_wrap, 1, q->size);
        return;
    }
    for (;; chain->descriptors++) {
        desc = &ring[q->avail_at];
        add_piece(chain, desc->addr, desc->len, desc->flags);
        chain->id = desc->id;
        go_on(&q->avail_at, &q->avail_wrap, 1, q->size);
        if (!(desc->flags & DESC_NEXT))
            break;
    }
}

static void packed_put(struct threaded_queue *q, const struct threaded_chain *chain, uint32_t len)
{
    struct wire_packed_desc *desc = (struct wire_packed_desc *)q->desc + q->used_at;
    uint16_t flags = (uint16_t)((chain->pieces > chain->out ? DESC_WRITE : 0) |
                                (q->used_wrap ? DESC_AVAIL | DESC_USED : 0));

    desc->id = chain->id;
    desc->len = len;
    __atomic_store_n(&desc->flags, flags, __ATOMIC_RELEASE);
    go_on(&q->used_at, &q->used_wrap, chain->descriptors, q->size);
}

/* Without an index: one notification too many does no harm. */
static void packed_ask(struct threaded_queue *q, bool wanted)
{
    __atomic_store_n((uint32_t *)q->device, (uint32_t)(wanted ? EVENTS_ON : EVENTS_OFF) << 16,
                     __ATOMIC_RELAXED);
}

static bool packed_is_asked(const struct threaded_queue *q)
{
    uint32_t events = __atomic_load_n((const uint32_t *)q->driver, __ATOMIC_RELAXED);

    return events >> 16 != EVENTS_OFF;
}

/* ---- both ---- */

static bool has(const struct threaded_device *device, const struct threaded_queue *q)
{
    return q->vq && (device->packed ? packed_has(q) : split_has(q));
}

bool threaded_take(struct threaded_device *device, unsigned queue, struct threaded_chain *chain)
{
    struct threaded_queue *q = &device->queue[queue];

    if (!has(device, q))
        return false;
    memset(chain, 0, sizeof(*chain));
    if (device->packed)
        packed_take(q, chain);
    else
        split_take(q, chain);
    return true;
}

void threaded_put(struct threaded_device *device, unsigned queue,
                  const struct threaded_chain *chain, uint32_t len)
{
    struct threaded_queue *q = &device->queue[queue];

    if (device->packed)
        packed_put(q, chain, len);
    else
        split_put(q, chain, len);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(device->packed ? packed_is_asked(q) : split_is_asked(q, device->event_idx)))
        return;
    virtqueue_interrupt(q->vq);
    __atomic_store_n(&device->notified, 1, __ATOMIC_RELEASE);
}

static void ask(struct threaded_device *device, bool wanted)
{
    for (unsigned i = 0; i < device->queues; i++)
        if (device->packed)
            packed_ask(&device->queue[i], wanted);
        else
            split_ask(&device->queue[i], device->event_idx, wanted);
}

static bool has_any(const struct threaded_device *device)
{
    for (unsigned i = 0; i < device->queues; i++)
        if (has(device, &device->queue[i]))
            return true;
    return false;
}

static void *run(void *arg)
{
    struct threaded_device *device = arg;

    ask(device, false);
    while (!__atomic_load_n(&device->stop, __ATOMIC_ACQUIRE)) {
        if (device->serve(device))
            continue;
        ask(device, true);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        device->sleeps++;
        while (!has_any(device) && !__atomic_exchange_n(&device->kicked, 0, __ATOMIC_ACQ_REL) &&
               !__atomic_load_n(&device->stop, __ATOMIC_ACQUIRE))
            sched_yield();
        ask(device, false);
    }
    return NULL;
}

bool threaded_wait(struct threaded_device *device)
{
    struct timespec start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);
    while (!__atomic_exchange_n(&device->notified, 0, __ATOMIC_ACQ_REL)) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec > PATIENCE_S)
            return false;
    }
    return true;
}

/* ---- the transport ---- */

static uint8_t get_status(struct virtio_device *device)
{
    return of(device)->status;
}

static void stop(struct threaded_device *device)
{
    if (!device->running)
        return;
    __atomic_store_n(&device->stop, 1, __ATOMIC_RELEASE);
    pthread_join(device->thread, NULL);
    device->running = false;
}

static void set_status(struct virtio_device *virtio, uint8_t status)
{
    struct threaded_device *device = of(virtio);

    if (status == 0) {
        stop(device);
        memset(device->queue, 0, sizeof(device->queue));
    }
    device->status = status;
    if (!(status & VIRTIO_STATUS_DRIVER_OK) || device->running)
        return;
    device->stop = 0;
    device->running = true;
    assert_int_equal(pthread_create(&device->thread, NULL, run, device), 0);
}

static void get_features(struct virtio_device *device, struct virtio_features *offered)
{
    for (unsigned bit = 0; bit < 64; bit++)
        if (of(device)->features >> bit & 1)
            virtio_features_add(offered, bit);
}

static void set_features(struct virtio_device *device, const struct virtio_features *accepted)
{
    of(device)->packed = virtio_features_has(accepted, VIRTIO_F_RING_PACKED);
    of(device)->event_idx = virtio_features_has(accepted, VIRTIO_F_EVENT_IDX);
}

static uint32_t read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    uint32_t value = 0;

    memcpy(&value, of(device)->config + offset, width);
    return value;
}

static void write_config(struct virtio_device *device, unsigned offset, unsigned width,
                         uint32_t value)
{
    memcpy(of(device)->config + offset, &value, width);
}

static uint32_t config_generation(struct virtio_device *device)
{
    (void)device;
    return 0;
}

static uint16_t queue_max_size(struct virtio_device *device, uint16_t index)
{
    return index < of(device)->queues ? of(device)->queue_size : 0;
}

static int queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    const struct virtqueue_areas *areas = virtqueue_areas(vq);

    (void)interrupt;
    of(device)->queue[virtqueue_index(vq)] = (struct threaded_queue){.vq = vq,
                                                                     .size = virtqueue_size(vq),
                                                                     .desc = at(areas->descriptor),
                                                                     .driver = at(areas->driver),
                                                                     .device = at(areas->device),
                                                                     .avail_wrap = true,
                                                                     .used_wrap = true};
    return 0;
}

static void notify(void *device, struct virtqueue *vq)
{
    (void)vq;
    __atomic_store_n(&of(device)->kicked, 1, __ATOMIC_RELEASE);
}

static void interrupts_setup(struct virtio_device *device, unsigned queues)
{
    (void)queues;
    device->interrupt_mode = VIRTIO_INTERRUPT_MSIX;
}

static void interrupts_teardown(struct virtio_device *device)
{
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
}

static void nothing(struct virtio_device *device)
{
    (void)device;
}

static const struct virtio_transport_ops ops = {
    .name = "threads",
    .get_status = get_status,
    .set_status = set_status,
    .get_features = get_features,
    .set_features = set_features,
    .read_config = read_config,
    .write_config = write_config,
    .config_generation = config_generation,
    .queue_max_size = queue_max_size,
    .queue_enable = queue_enable,
    .notify = notify,
    .interrupts_setup = interrupts_setup,
    .interrupts_teardown = interrupts_teardown,
    .isolate = nothing,
    .release = nothing,
};

bool threaded_start(struct threaded_device *device, const struct virtio_driver *driver)
{
    static const struct virtio_driver *drivers[1];

    drivers[0] = driver;
    device->device.name = "threads";
    device->device.type = driver->device_types[0];
    device->device.ops = &ops;
    device->device.config_length = sizeof(device->config);
    device->features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
    virtio_set_drivers(drivers, 1);
    virtio_add_device(&device->device);
    return device->device.driver_ok;
}

void threaded_end(struct threaded_device *device)
{
    virtio_shutdown();
    stop(device);
}
