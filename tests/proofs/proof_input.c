/*
 * proof_input.c - an input device that says anything (5.8): its configuration is read within its
 * bounds and into the room there is, texts end and can be shown, each event buffer is the device's
 * again once it was read, and an event that is short is none.
 */
// unwind: 7
// control: input/virtio_input.c: if (len < sizeof(wire)) { => if (len == 0) {
// control: input/virtio_input.c: while (taken < budget && take_event(input)) => while (take_event(input))
// control: input/virtio_input.c: if (size > available)\n        return -EPROTO; =>
// control: input/virtio_input.c: if (size > room)\n        size = (uint8_t)room; =>
// control: input/virtio_input.c: query(device, select, 0, text, size - 1) => query(device, select, 0, text, size)
#include "any_queue.h"

#include "input/virtio_input.c"

#define TEXT_MAX 6

static unsigned told;

int virtio_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned len,
                       unsigned width)
{
    (void)device;
    claim(offset + len <= sizeof(struct virtio_input_config) && width == 1);
    claim(__CPROVER_w_ok(data, len));
    anything(data, len, TEXT_MAX);
    return any_bool() ? 0 : -EIO;
}

int virtio_config_write(struct virtio_device *device, unsigned offset, const void *data,
                        unsigned len, unsigned width)
{
    (void)device;
    (void)data;
    claim(offset + len <= offsetof(struct virtio_input_config, size) && width == 1);
    return any_bool() ? 0 : -EIO;
}

int virtio_recover(struct virtio_device *device, const char *reason)
{
    (void)device;
    (void)reason;
    return 0;
}

static void listen(void *arg, struct input_device *device, const struct input_event *event)
{
    (void)arg;
    (void)device;
    (void)event;
    claim(last_written == sizeof(struct virtio_input_event));
    told++;
}

static void check_text(struct virtio_device *device)
{
    char text[TEXT_MAX];
    unsigned i;

    text[TEXT_MAX - 1] = '\0'; /* as it was allocated */
    if (query_text(device, any_u8(), text, sizeof(text)) != 0)
        return;
    claim(text[TEXT_MAX - 1] == '\0');
    for (i = 0; i < TEXT_MAX; i++)
        claim(text[i] == '\0' || (text[i] >= ' ' && text[i] <= '~'));
}

int main(void)
{
    static struct virtio_device device = {.driver_ok = true};
    struct virtqueue events = {.broken = any_bool()}, states = {.broken = any_bool()};
    struct virtio_input *input = malloc(sizeof(*input));
    unsigned i, budget = any_unsigned() % 3, room = any_unsigned();
    uint64_t before;

    assume(room <= 160);
    int got = query(&device, any_u8(), any_u8(), malloc(room), room);
    claim(got < 0 || (unsigned)got <= room);
    check_text(&device);

    input->device = &device;
    input->event = malloc((EVENTS + STATES) * sizeof(*input->event));
    input->state = input->event + EVENTS;
    input->event_vq = &events;
    input->status_vq = &states;
    for (i = 0; i < LENT_MAX; i++) {
        events.token[i] = &input->event[i];
        events.writable[i] = sizeof(struct virtio_input_event);
    }
    listener = listen;
    before = input->public.events;
    claim(input_poll(input, budget) <= budget + 1);
    claim(input->public.events - before == told && told <= budget);
    return 0;
}
