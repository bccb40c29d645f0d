/*
 * hostile.c - a virtio device made of the fuzzer's input, and the run of a driver against it.
 *
 * Owns the transport's operations with their lies, the actions of the device, and the check at the
 * end that nothing is left. Read hostile.h first.
 */
#include "hostile.h"

#include <errno.h>

#include "hosted/hosted.h"
#include "hosted/wire.h"
#include "loop.h"
#include "quiet.h"

#define MAX_TURNS 64u
/* The first and the longest pause between two looks of a driver that waits. */
#define NAP_MIN_NS 100000u
#define NAP_MAX_NS 1000000000u
#define MEMORY_SIZE (256u << 10)

/* What happens in a turn: one of these, or something that the device or its user does. */
#define OP_ACT 0x80u
#define OP_WAIT 0xfeu
#define OP_REMOVE 0xffu

/* What the log says of the device takes half of a run: it is made for queue sizes of input from here. */
#define LOGGED_FROM 0xf8u
/* In the same byte: the other kind of device, where there is one. */
#define OTHER_KIND 8u

/* The first bytes of an input: what kind of device this is. All zero: a plain one. */
enum {
    VARIANT_INDIRECT = 1,
    VARIANT_EVENT_IDX = 2,
    VARIANT_IN_ORDER = 4,
    VARIANT_NOTIFICATION_DATA = 8,
    VARIANT_FEATURES = 16, /* the input has other features than those of the type ... */
    VARIANT_CONFIG = 32,   /* ... and another configuration */
    VARIANT_POLLED = 64,   /* no interrupts */
    VARIANT_RING_RESET = 128,
};

static struct hostile *to_hostile(void *device)
{
    return device;
}

/* What the driver is told instead of `honest`. */
static uint32_t answer(struct virtio_device *device, uint32_t honest)
{
    struct hostile *h = to_hostile(device);

    return h->gone ? UINT32_MAX : lies_answer(&h->lies, honest);
}

/* ---- the transport's operations ---- */

static uint8_t get_status(struct virtio_device *device)
{
    return (uint8_t)answer(device, to_hostile(device)->status);
}

static void set_status(struct virtio_device *device, uint8_t status)
{
    struct hostile *h = to_hostile(device);

    h->status = status;
    for (unsigned i = 0; status == 0 && i < HOSTILE_QUEUES; i++)
        h->queue[i].vq = NULL;
}

static void get_features(struct virtio_device *device, struct virtio_features *offered)
{
    for (unsigned i = 0; i < 2; i++)
        offered->word[i] = answer(device, to_hostile(device)->features[i]);
    /* The target's layout is what is wanted of it. */
    virtio_features_remove(offered, VIRTIO_F_RING_PACKED);
    if (to_hostile(device)->packed)
        virtio_features_add(offered, VIRTIO_F_RING_PACKED);
}

static void set_features(struct virtio_device *device, const struct virtio_features *accepted)
{
    (void)device;
    (void)accepted;
}

static uint32_t read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    uint32_t value = 0;

    if (offset + width > HOSTILE_CONFIG)
        hosted_fail("configuration read at %u", offset);
    memcpy(&value, to_hostile(device)->config + offset, width);
    return answer(device, value);
}

static void write_config(struct virtio_device *device, unsigned offset, unsigned width,
                         uint32_t value)
{
    if (offset + width > HOSTILE_CONFIG)
        hosted_fail("configuration written at %u", offset);
    memcpy(to_hostile(device)->config + offset, &value, width);
    if (to_hostile(device)->type->configured)
        to_hostile(device)->type->configured(to_hostile(device)->config, offset);
}

static uint32_t config_generation(struct virtio_device *device)
{
    return answer(device, to_hostile(device)->generation);
}

/* Small, since the time to clear the memory of large rings is all that they would show. */
static uint16_t queue_max_size(struct virtio_device *device, uint16_t index)
{
    struct hostile *h = to_hostile(device);
    uint32_t size;

    /* The configuration may say that the control queue is anywhere. */
    if (index >= HOSTILE_QUEUES)
        return 0;
    size = answer(device, index < h->type->queues ? h->queue[0].size : 0);
    return size == UINT32_MAX && h->gone ? 0 : size & 0xff;
}

static int queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    struct hostile *h = to_hostile(device);
    unsigned index = virtqueue_index(vq);

    (void)interrupt;
    if (index >= HOSTILE_QUEUES)
        hosted_fail("queue %u was enabled", index);
    if (answer(device, 1) != 1)
        return -5;
    h->queue[index].vq = vq;
    hostile_ring_start(&h->queue[index], h->packed);
    return 0;
}

static void queue_reset(struct virtio_device *device, struct virtqueue *vq)
{
    to_hostile(device)->queue[virtqueue_index(vq)].vq = NULL;
}

static int queue_reset_state(struct virtio_device *device, struct virtqueue *vq)
{
    uint32_t state = answer(device, 0);

    (void)vq;
    return state == 0 ? 0 : state & 1 ? -EBUSY : -EIO;
}

/* The driver waits. Longer and longer pauses let all its time-outs pass within a few looks. */
static void run(void *arg)
{
    struct hostile *h = arg;

    hosted_clock_advance(h->nap_ns);
    if (h->nap_ns < NAP_MAX_NS)
        h->nap_ns *= 2;
    hostile_act(h);
}

static void notify(void *device, struct virtqueue *vq)
{
    (void)vq;
    hostile_act(device);
}

static void interrupts_setup(struct virtio_device *device, unsigned queues)
{
    (void)queues;
    device->interrupt_mode =
        to_hostile(device)->polled ? VIRTIO_INTERRUPT_NONE : VIRTIO_INTERRUPT_MSIX;
}

static void interrupts_teardown(struct virtio_device *device)
{
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
}

static bool poll_config_change(struct virtio_device *device)
{
    return answer(device, 0) != 0;
}

/* Cut off: the rings are the driver's alone. */
static void isolate(struct virtio_device *device)
{
    for (unsigned i = 0; i < HOSTILE_QUEUES; i++)
        to_hostile(device)->queue[i].vq = NULL;
}

static bool is_present(struct virtio_device *device)
{
    return !to_hostile(device)->gone;
}

static void release(struct virtio_device *device)
{
    (void)device;
}

static const struct virtio_transport_ops hostile_ops = {
    .get_status = get_status,
    .set_status = set_status,
    .get_features = get_features,
    .set_features = set_features,
    .read_config = read_config,
    .write_config = write_config,
    .config_generation = config_generation,
    .queue_max_size = queue_max_size,
    .queue_enable = queue_enable,
    .queue_reset = queue_reset,
    .queue_reset_state = queue_reset_state,
    .notify = notify,
    .notify_data = notify,
    .interrupts_setup = interrupts_setup,
    .interrupts_teardown = interrupts_teardown,
    .poll_config_change = poll_config_change,
    .isolate = isolate,
    .is_present = is_present,
    .release = release,
};

/* ---- what the device does ---- */

static void interrupt(struct hostile *h, struct hostile_queue *q)
{
    if (q->vq && !h->polled)
        virtqueue_interrupt(q->vq);
}

void hostile_serve(struct hostile *h)
{
    static struct hostile_chain chain;

    for (unsigned i = 0; i < h->type->queues; i++) {
        struct hostile_queue *q = &h->queue[i];

        for (unsigned n = 0; n < q->size; n++) {
            struct hostile_queue before = *q;
            uint32_t len = HOSTILE_KEEP;

            if (hostile_ring_take(q, h->packed, &chain))
                len = h->type->answer(i, &chain);
            if (len == HOSTILE_KEEP) {
                *q = before;
                break;
            }
            hostile_ring_put(q, h->packed, chain.id, len, chain.descriptors);
        }
        interrupt(h, q);
    }
}

/* Fills what the device may write with up to `most` bytes of the input. Returns how many. */
static uint32_t fill(struct hostile *h, struct hostile_chain *chain, uint32_t most)
{
    uint32_t written = 0;

    for (unsigned i = chain->out; i < chain->out + chain->in && written < most; i++) {
        uint32_t len = chain->piece[i].len;

        len = len < most - written ? len : most - written;
        written += (uint32_t)input_bytes(h->input, chain->piece[i].data, len);
    }
    return written;
}

/* A good answer with one wrong byte. */
static void spoil(struct hostile *h, struct hostile_chain *chain)
{
    uint32_t at = input_u16(h->input);
    uint8_t value = input_u8(h->input);

    if (chain->writable == 0)
        return;
    at %= chain->writable;
    for (unsigned i = chain->out; i < chain->out + chain->in; i++) {
        if (at < chain->piece[i].len) {
            chain->piece[i].data[at] = value;
            return;
        }
        at -= chain->piece[i].len;
    }
}

enum action {
    SERVE,
    FILL,
    FILL_AND_LIE,
    PUT_RAW,
    SCRIBBLE,
    REPLAY,
    INTERRUPT,
    CHANGE_CONFIG,
    SET_STATUS,
    PASS_TIME,
    GO,
    SPOIL,
    HOLD,
    REORDER,
    LIE,
    ANSWER,
    ACTIONS
};

/* The actions that begin with taking a buffer. */
static void act_on_buffer(struct hostile *h, struct hostile_queue *q, enum action action)
{
    static struct hostile_chain chain, second;
    struct hostile_queue before = *q;
    uint32_t len;

    if (!hostile_ring_take(q, h->packed, &chain) || action == HOLD)
        return;
    if (action == FILL || action == FILL_AND_LIE)
        len = fill(h, &chain, input_u8(h->input) * 8u);
    else
        len = h->type->answer((unsigned)(q - h->queue), &chain);
    if (len == HOSTILE_KEEP) {
        *q = before;
        return;
    }
    if (action == ANSWER && h->type->complain && input_u8(h->input) & 1)
        len = h->type->complain(&chain, h->input);
    if (action == SPOIL)
        spoil(h, &chain);
    if (action == FILL_AND_LIE)
        len = input_u32(h->input);
    if (action == REORDER && hostile_ring_take(q, h->packed, &second))
        hostile_ring_put(q, h->packed, second.id, second.writable, second.descriptors);
    hostile_ring_put(q, h->packed, chain.id, len, chain.descriptors);
    interrupt(h, q);
}

static void act_on_queue(struct hostile *h, enum action action)
{
    struct hostile_queue *q = &h->queue[input_u8(h->input) % h->type->queues];
    uint16_t first;

    if (!q->vq)
        return;
    switch (action) {
    case PUT_RAW:
        first = input_u16(h->input);
        hostile_ring_put(q, h->packed, first, input_u32(h->input), 1);
        break;
    case REPLAY:
        hostile_ring_put(q, h->packed, q->last_id, 0, 1);
        break;
    case SCRIBBLE:
        first = input_u16(h->input);
        hostile_ring_scribble(q, h->packed, first, input_u16(h->input));
        break;
    case INTERRUPT:
        break;
    default:
        act_on_buffer(h, q, action);
        return;
    }
    interrupt(h, q);
}

static void act_on_device(struct hostile *h, enum action action)
{
    uint8_t first;

    switch (action) {
    case CHANGE_CONFIG:
        first = input_u8(h->input);
        h->config[first % HOSTILE_CONFIG] = input_u8(h->input);
        h->generation++;
        virtio_config_interrupt(&h->device);
        break;
    case SET_STATUS:
        h->status |= input_u8(h->input);
        virtio_config_interrupt(&h->device);
        break;
    case PASS_TIME:
        hosted_clock_advance(input_u16(h->input) * UINT64_C(1000000));
        break;
    case GO:
        h->gone = true;
        break;
    default:
        lies_begin(&h->lies);
    }
}

void hostile_act(struct hostile *h)
{
    enum action action = input_u8(h->input) % ACTIONS;

    if (h->running)
        return;
    h->running = true;
    switch (action) {
    case SERVE:
        hostile_serve(h);
        break;
    case CHANGE_CONFIG:
    case SET_STATUS:
    case PASS_TIME:
    case GO:
    case LIE:
        act_on_device(h, action);
        break;
    default:
        act_on_queue(h, action);
    }
    h->running = false;
}

/* ---- a run ---- */

uint8_t *hostile_memory(void)
{
    static uint8_t *memory;

    if (!memory)
        memory = platform_dma_alloc(MEMORY_SIZE, 4096);
    return memory;
}

static void describe(struct hostile *h)
{
    static const uint8_t sizes[] = {16, 1, 2, 4, 8, 32, 64, 128};
    uint8_t variant = input_u8(h->input), size;

    h->features[0] = h->type->features;
    h->features[1] = 1u << (VIRTIO_F_VERSION_1 - 32) | h->type->more_features;
    h->features[0] |= variant & VARIANT_INDIRECT ? 1u << VIRTIO_F_INDIRECT_DESC : 0;
    h->features[0] |= variant & VARIANT_EVENT_IDX ? 1u << VIRTIO_F_EVENT_IDX : 0;
    h->features[1] |= variant & VARIANT_IN_ORDER ? 1u << (VIRTIO_F_IN_ORDER - 32) : 0;
    h->features[1] |= variant & VARIANT_RING_RESET ? 1u << (VIRTIO_F_RING_RESET - 32) : 0;
    h->features[1] |=
        variant & VARIANT_NOTIFICATION_DATA ? 1u << (VIRTIO_F_NOTIFICATION_DATA - 32) : 0;
    h->polled = variant & VARIANT_POLLED;
    size = input_u8(h->input);
    h->queue[0].size = sizes[size % sizeof(sizes)];
    quiet_reports(size < LOGGED_FROM);
    lies_begin(&h->lies);
    if (variant & VARIANT_FEATURES) {
        uint32_t others = input_u32(h->input);

        h->features[0] ^= others;
        h->features[1] ^= others >> 4 & h->type->more_features;
    }
    memcpy(h->config,
           size & OTHER_KIND && h->type->other_config ? h->type->other_config : h->type->config,
           sizeof(h->config));
    if (variant & VARIANT_CONFIG)
        input_bytes(h->input, h->config, 1 + input_u8(h->input) % HOSTILE_CONFIG);
    if (h->type->bound)
        h->type->bound(h->config);
}

struct hostile *hostile_open(const struct hostile_type *type, bool packed, struct input *input)
{
    static struct hostile h;

    hosted_rewind();
    loop_set_polling(false);
    memset(&h, 0, sizeof(h));
    h.nap_ns = NAP_MIN_NS;
    h.type = type;
    h.input = h.lies.input = input;
    h.packed = packed;
    describe(&h);
    h.device.name = "hostile";
    h.device.type = type->id;
    h.device.ops = &hostile_ops;
    h.device.config_length = HOSTILE_CONFIG;
    virtio_features_add(&h.device.transport_features, VIRTIO_F_NOTIFICATION_DATA);
    virtio_features_add(&h.device.transport_features, VIRTIO_F_RING_RESET);
    hosted_world_add(run, &h);
    virtio_set_drivers(&type->driver, 1);
    virtio_add_device(&h.device);
    return &h;
}

/* The loop finds nothing to do and waits, but not for ever. */
static void wait_once(void)
{
    loop_set_polling(true);
    loop_step();
    loop_set_polling(false);
}

/* Driver, device and user act in turns. */
static void take_turns(struct hostile *h)
{
    for (unsigned turn = 0; turn < MAX_TURNS && !input_is_empty(h->input); turn++) {
        uint8_t op = input_u8(h->input);

        h->nap_ns = NAP_MIN_NS;
        if (op == OP_REMOVE) {
            virtio_remove_device(&h->device);
            return;
        }
        if (op == OP_WAIT)
            wait_once();
        else if (op & OP_ACT)
            hostile_act(h);
        else
            h->type->use(op, h->input);
        loop_turn();
    }
}

void hostile_run(const struct hostile_type *type, bool packed, struct input *input)
{
    uint8_t *memory = hostile_memory();
    unsigned allocations = hosted_dma_allocations();
    bool behaves = input_is_empty(input);
    struct hostile *h = hostile_open(type, packed, input);

    if (type->start)
        type->start(memory);
    if (behaves && type->found && !type->found())
        hosted_fail("a good device was not brought up");
    take_turns(h);
    if (type->stop)
        type->stop();
    virtio_shutdown();
    if (hosted_dma_allocations() != allocations || hosted_dma_mappings())
        hosted_fail("%u allocations instead of %u, %u mappings are left", hosted_dma_allocations(),
                    allocations, hosted_dma_mappings());
}
