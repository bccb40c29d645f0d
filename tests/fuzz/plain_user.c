/*
 * plain_user.c - see plain_user.h.
 */
#include "plain_user.h"

#include "hosted/violation.h"
#include "loop.h"

#define RELAX_NS 20000000u
#define TURNS 32u
#define BUFFER 64u

/* ---- the driver ---- */

static struct virtio_device *driven;
static uint8_t *memory;

static int probe(struct virtio_device *device)
{
    static const struct virtio_queue_request requests[] = {
        {.name = "first", .index = 0, .max_size = 16, .max_segments = 1},
        {.name = "second", .index = 1, .max_size = 64, .max_segments = 2},
    };
    uint8_t config[16];
    int error;

    virtio_config_read(device, 0, config, 8, 8);
    virtio_config_read(device, 0, config, 16, 1);
    error = virtio_find_queues(device, requests, virtio_has_queue(device, 1) ? 2 : 1);
    driven = error ? NULL : device;
    return error;
}

static int ready(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++)
        virtqueue_enable_cb(device->queue[i]);
    return 0;
}

static void reclaim(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++)
        while (virtqueue_detach_unused(device->queue[i]))
            continue;
}

static void forget(struct virtio_device *device)
{
    (void)device;
    driven = NULL;
}

static void changed(struct virtio_device *device)
{
    uint8_t config[8];

    virtio_config_read(device, 0, config, 8, 4);
}

static const uint16_t types[] = {PLAIN_ID, 0};
static const struct virtio_driver driver = {.name = "plain",
                                            .device_types = types,
                                            .probe = probe,
                                            .ready = ready,
                                            .reclaim = reclaim,
                                            .remove = forget,
                                            .config_changed = changed};
const struct virtio_driver *const plain_drivers[1] = {&driver};

static void transfer(uint8_t op)
{
    struct virtqueue *vq = driven->queue[op % driven->queue_count];
    struct virtqueue_sg sg = {memory, BUFFER};

    virtqueue_add(vq, &sg, op & 1, !(op & 1), memory);
    virtqueue_kick(vq);
    virtqueue_get_buf(vq, NULL);
    virtqueue_enable_cb(vq);
}

/* ---- the registers ---- */

void plain_set(struct plain_registers *r, unsigned offset, uint32_t value, unsigned width)
{
    memcpy(r->image + offset, &value, width);
}

static uint64_t read_register(void *arg, uint64_t offset, unsigned width)
{
    struct plain_registers *r = arg;
    uint32_t value = 0;

    if (offset + width <= sizeof(r->image))
        memcpy(&value, r->image + offset, width < sizeof(value) ? width : sizeof(value));
    return lies_answer(&r->lies, value);
}

static void write_register(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    struct plain_registers *r = arg;

    if (offset + width <= sizeof(r->image))
        memcpy(r->image + offset, &value, width);
}

struct hosted_registers plain_as_registers(struct plain_registers *r)
{
    return (struct hosted_registers){
        .name = "input", .read = read_register, .write = write_register, .arg = r};
}

/* ---- a run ---- */

struct plain_registers *plain_start(struct input *input)
{
    static struct plain_registers registers;

    if (!memory)
        memory = platform_dma_alloc(BUFFER, 64);
    hosted_rewind();
    hosted_clock_set_relax(RELAX_NS);
    loop_set_polling(false);
    violation_reset();
    memset(&registers, 0, sizeof(registers));
    registers.lies.input = input;
    lies_begin(&registers.lies);
    virtio_set_drivers(plain_drivers, 1);
    virtio_set_interrupt_limit(input_u8(input) % 3);
    return &registers;
}

void plain_use(struct input *input)
{
    for (unsigned turn = 0; turn < TURNS && !input_is_empty(input); turn++) {
        uint8_t op = input_u8(input);

        if (driven && driven->driver_ok && op < 0xe0)
            transfer(op);
        else if (driven)
            virtio_config_interrupt(driven);
        if (op & 0x10)
            hosted_interrupts_deliver();
        loop_turn();
    }
}

void plain_end(void)
{
    virtio_shutdown();
    if (driven || hosted_dma_allocations() != 1 || hosted_dma_mappings())
        hosted_fail("%u allocations, %u mappings are left", hosted_dma_allocations(),
                    hosted_dma_mappings());
}
