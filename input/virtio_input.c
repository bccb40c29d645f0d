/*
 * virtio_input.c - the input device driver (5.8): keyboards, mice, tablets.
 *
 * Owns the questions that the configuration answers (5.8.5), the buffers that events arrive in, and
 * those that carry states to the device. What events mean is the listener's business, input.h's
 * contract. A buffer goes back to the device before the listener sees its event, so that a listener
 * that takes its time costs no room.
 */
#include "input/virtio_input.h"

#include <errno.h>
#include <string.h>

#include "input/input.h"
#include "log.h"
#include "loop.h"
#include "virtio/spec_devices.h"

#define DEVICES_MAX 16
/* What can happen between two turns of the loop: a mouse sends some hundred events a second. */
#define EVENTS 64
/* States on their way to the device. */
#define STATES 8
/* A light is switched at once or not at all. */
#define STATE_PATIENCE_S 30u

struct virtio_input {
    struct input_device public;
    struct virtio_device *device;
    struct virtqueue *event_vq, *status_vq;
    struct loop_source source;
    unsigned events; /* buffers that there are: no more than fit into the queue */
    bool state_used[STATES];
    struct virtio_input_event *event, *state; /* EVENTS and STATES of them, device-visible */
};

static struct virtio_input *inputs[DEVICES_MAX];
static void (*listener)(void *arg, struct input_device *device, const struct input_event *event);
static void *listener_arg;

static struct virtio_input *input_of(struct input_device *device)
{
    return (struct virtio_input *)((char *)device - offsetof(struct virtio_input, public));
}

struct input_device *input_at(unsigned index)
{
    for (unsigned i = 0; i < DEVICES_MAX; i++)
        if (inputs[i] && index-- == 0)
            return &inputs[i]->public;
    return NULL;
}

void input_listen(void (*handler)(void *arg, struct input_device *device,
                                  const struct input_event *event),
                  void *arg)
{
    listener = handler;
    listener_arg = arg;
}

/* ---- what the device is ---- */

/*
 * Selects and reads (5.8.5.1): the bytes that the device has of it, at most `room`, the rest zero;
 * or a negative errno.
 */
static int query(struct virtio_device *device, uint8_t select, uint8_t subsel, void *data,
                 unsigned room)
{
    const unsigned at = offsetof(struct virtio_input_config, u);
    uint8_t size, available = sizeof(((struct virtio_input_config *)0)->u);
    int error;

    memset(data, 0, room);
    error =
        virtio_config_write(device, offsetof(struct virtio_input_config, select), &select, 1, 1);
    if (!error)
        error = virtio_config_write(device, offsetof(struct virtio_input_config, subsel), &subsel,
                                    1, 1);
    if (!error)
        error = VIRTIO_CONFIG_READ(device, struct virtio_input_config, size, &size);
    if (error)
        return error;
    if (size > available)
        return -EPROTO;
    if (size > room)
        size = (uint8_t)room;
    if (!size)
        return 0;
    error = virtio_config_read(device, at, data, size, 1);
    return error ? error : size;
}

static int ask(struct input_device *device, uint8_t select, uint8_t subsel, void *data,
               unsigned room)
{
    struct virtio_device *virtio = input_of(device)->device;

    memset(data, 0, room);
    return virtio->driver_ok && !virtio->failed ? query(virtio, select, subsel, data, room) : -EIO;
}

/* A text of the device that can be shown. */
static int query_text(struct virtio_device *device, uint8_t select, char *text, unsigned size)
{
    int len = query(device, select, 0, text, size - 1);

    for (int i = 0; i < len; i++)
        if (text[i] != '\0' && (text[i] < ' ' || text[i] > '~'))
            text[i] = '?';
    return len < 0 ? len : 0;
}

static int read_identity(struct virtio_input *input)
{
    struct virtio_input_devids ids;
    struct input_device *public = &input->public;
    int got, error;

    error = query_text(input->device, VIRTIO_INPUT_CFG_ID_NAME, public->name, sizeof(public->name));
    if (!error)
        error = query_text(input->device, VIRTIO_INPUT_CFG_ID_SERIAL, public->serial,
                           sizeof(public->serial));
    if (error)
        return error;
    got = query(input->device, VIRTIO_INPUT_CFG_ID_DEVIDS, 0, &ids, sizeof(ids));
    if (got == (int)sizeof(ids)) {
        public->bus = le16_to_cpu(ids.bustype);
        public->vendor = le16_to_cpu(ids.vendor);
        public->product = le16_to_cpu(ids.product);
        public->version = le16_to_cpu(ids.version);
    }
    return got < 0 ? got : 0;
}

int input_read_codes(struct input_device *device, uint16_t type, uint8_t bits[INPUT_BITS_SIZE])
{
    if (type > UINT8_MAX)
        return -EINVAL;
    return ask(device, VIRTIO_INPUT_CFG_EV_BITS, (uint8_t)type, bits, INPUT_BITS_SIZE);
}

int input_read_properties(struct input_device *device, uint8_t bits[INPUT_BITS_SIZE])
{
    return ask(device, VIRTIO_INPUT_CFG_PROP_BITS, 0, bits, INPUT_BITS_SIZE);
}

bool input_can(struct input_device *device, uint16_t type, uint16_t code)
{
    uint8_t bits[INPUT_BITS_SIZE];
    int got = input_read_codes(device, type, bits);

    return got > 0 && code / 8 < got && (bits[code / 8] >> code % 8 & 1);
}

int input_read_range(struct input_device *device, uint16_t axis, struct input_range *range)
{
    struct virtio_input_absinfo info;
    int got;

    if (axis > UINT8_MAX)
        return -ENOENT;
    got = ask(device, VIRTIO_INPUT_CFG_ABS_INFO, (uint8_t)axis, &info, sizeof(info));
    if (got < (int)sizeof(info))
        return got < 0 ? got : -ENOENT;
    *range = (struct input_range){.min = (int32_t)le32_to_cpu(info.min),
                                  .max = (int32_t)le32_to_cpu(info.max),
                                  .fuzz = (int32_t)le32_to_cpu(info.fuzz),
                                  .flat = (int32_t)le32_to_cpu(info.flat),
                                  .resolution = (int32_t)le32_to_cpu(info.res)};
    return 0;
}

/* ---- events and states ---- */

/* The token of a buffer is the event in it. There is room: the queue has a place for each. */
static void give_event(struct virtio_input *input, struct virtio_input_event *event)
{
    struct virtqueue_sg sg = {event, sizeof(*event)};

    virtqueue_add(input->event_vq, &sg, 0, 1, event);
}

/* True: an event was there. */
static bool take_event(struct virtio_input *input)
{
    uint32_t len;
    struct virtio_input_event *buffer = virtqueue_get_buf(input->event_vq, &len), wire;

    if (!buffer)
        return false;
    wire = *(volatile struct virtio_input_event *)buffer;
    give_event(input, buffer);
    if (len < sizeof(wire)) {
        input->public.short_events++;
        return true;
    }
    input->public.events++;
    if (listener) {
        struct input_event event = {.type = le16_to_cpu(wire.type),
                                    .code = le16_to_cpu(wire.code),
                                    .value = (int32_t)le32_to_cpu(wire.value)};
        listener(listener_arg, &input->public, &event);
    }
    return true;
}

static bool take_state(struct virtio_input *input)
{
    struct virtio_input_event *state = virtqueue_get_buf(input->status_vq, NULL);

    if (!state)
        return false;
    input->state_used[state - input->state] = false;
    input->public.send_done++;
    return true;
}

int input_send(struct input_device *device, const struct input_event *event)
{
    struct virtio_input *input = input_of(device);
    struct virtqueue_sg sg = {.len = sizeof(struct virtio_input_event)};
    unsigned i = 0;
    int error;

    if (!input->device->driver_ok || input->device->failed)
        return -EIO;
    while (take_state(input))
        continue;
    while (i < STATES && input->state_used[i])
        i++;
    if (i == STATES)
        return -ENOSPC;
    input->state[i] = (struct virtio_input_event){.type = cpu_to_le16(event->type),
                                                  .code = cpu_to_le16(event->code),
                                                  .value = cpu_to_le32((uint32_t)event->value)};
    sg.data = &input->state[i];
    error = virtqueue_add(input->status_vq, &sg, 1, 0, &input->state[i]);
    if (error)
        return error;
    input->state_used[i] = true;
    device->sent++;
    virtqueue_kick(input->status_vq);
    return 0;
}

/* One notification for all the buffers that went back. */
static unsigned input_poll(void *arg, unsigned budget)
{
    struct virtio_input *input = arg;
    unsigned done = 0, taken = 0;

    if (!input->device->driver_ok)
        return 0;
    virtqueue_disable_cb(input->event_vq);
    virtqueue_disable_cb(input->status_vq);
    while (taken < budget && take_event(input))
        taken++;
    if (taken)
        virtqueue_kick(input->event_vq);
    while (done < STATES && take_state(input))
        done++;
    if (virtqueue_is_broken(input->event_vq) || virtqueue_is_broken(input->status_vq)) {
        virtio_recover(input->device, "a queue of it is broken");
        done++;
    }
    return taken + done;
}

static bool input_arm(void *arg)
{
    struct virtio_input *input = arg;

    return !input->device->driver_ok ||
           (virtqueue_enable_cb(input->event_vq) && virtqueue_enable_cb(input->status_vq));
}

/* ---- set-up ---- */

static void input_free(struct virtio_input *input)
{
    platform_dma_free(input->event, (EVENTS + STATES) * sizeof(*input->event));
    platform_dma_free(input, sizeof(*input));
}

static int input_probe(struct virtio_device *device)
{
    static const struct virtio_queue_request queues[] = {
        {.name = "input events",
         .index = VIRTIO_INPUT_Q_EVENT,
         .max_size = EVENTS,
         .max_segments = 1},
        {.name = "input states",
         .index = VIRTIO_INPUT_Q_STATUS,
         .max_size = STATES,
         .max_segments = 1,
         .patience_s = STATE_PATIENCE_S,
         .loose_lengths = true}, /* QEMU claims to have written what it has read */
    };
    struct virtio_input *input = platform_dma_alloc(sizeof(*input), 64);
    int error;

    if (!input)
        return -ENOMEM;
    input->event = platform_dma_alloc((EVENTS + STATES) * sizeof(*input->event), 64);
    if (!input->event) {
        platform_dma_free(input, sizeof(*input));
        return -ENOMEM;
    }
    input->state = input->event + EVENTS;
    input->device = device;
    input->source = (struct loop_source){
        .name = "virtio-input", .poll = input_poll, .arm = input_arm, .arg = input};
    error = read_identity(input);
    if (error)
        device->refusal = "its configuration cannot be read";
    else
        error = virtio_find_queues(device, queues, 2);
    if (error) {
        input_free(input);
        return error;
    }
    input->event_vq = device->queue[0];
    input->status_vq = device->queue[1];
    input->events = virtqueue_size(input->event_vq);
    if (input->events > EVENTS)
        input->events = EVENTS;
    device->driver_data = input;
    return 0;
}

static int input_ready(struct virtio_device *device)
{
    struct virtio_input *input = device->driver_data;
    unsigned i = 0;

    if (!device->recovering) {
        while (i < DEVICES_MAX && inputs[i])
            i++;
        if (i == DEVICES_MAX) {
            log_error("%s: more than %d input devices", device->name, DEVICES_MAX);
            return -ENOSPC;
        }
        inputs[i] = input;
        loop_add(&input->source);
        log_info("%s: input device %s", device->name,
                 input->public.name[0] ? input->public.name : "without a name");
    }
    for (i = 0; i < input->events; i++)
        give_event(input, &input->event[i]);
    virtqueue_kick(input->event_vq);
    return 0;
}

/* What was not taken of states is lost, as the states themselves are by the reset. */
static void input_reclaim(struct virtio_device *device)
{
    struct virtio_input *input = device->driver_data;

    while (virtqueue_detach_unused(input->event_vq) != NULL)
        continue;
    while (virtqueue_detach_unused(input->status_vq) != NULL)
        continue;
    memset(input->state_used, 0, sizeof(input->state_used));
}

static void input_remove(struct virtio_device *device)
{
    struct virtio_input *input = device->driver_data;

    for (unsigned i = 0; i < DEVICES_MAX; i++) {
        if (inputs[i] != input)
            continue;
        inputs[i] = NULL;
        if (listener)
            listener(listener_arg, &input->public, NULL);
    }
    loop_remove(&input->source);
    input_free(input);
    device->driver_data = NULL;
}

static const uint16_t device_types[] = {VIRTIO_ID_INPUT, 0};

const struct virtio_driver virtio_input_driver = {
    .name = "virtio-input",
    .device_types = device_types,
    .probe = input_probe,
    .ready = input_ready,
    .reclaim = input_reclaim,
    .remove = input_remove,
};
