/*
 * target_input.c - the input device driver (5.8) under a hostile device, and an application that
 * listens to it and asks what it can do.
 *
 * The good device answers every question about itself with the same few bytes, and sends an event
 * whenever it is served.
 */
#include "fuzz.h"
#include "hostile.h"
#include "hosted/hosted.h"
#include "input/input.h"
#include "input/virtio_input.h"
#include "virtio/spec_devices.h"

#define DATA_AT offsetof(struct virtio_input_config, u)

static struct input_device *device; /* NULL: there is none */

static void check_text(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    if (len == size)
        hosted_fail("a text has no end");
    while (len--)
        if (text[len] < ' ' || text[len] > '~')
            hosted_fail("a text has the character %#x", text[len]);
}

static void heard(void *arg, struct input_device *from, const struct input_event *event)
{
    (void)arg;
    if (from != device)
        hosted_fail("an event of a device that there is not");
    if (!event)
        device = NULL;
}

static void start(uint8_t *memory)
{
    (void)memory;
    device = input_at(0);
    input_listen(heard, NULL);
    if (!device)
        return;
    check_text(device->name, sizeof(device->name));
    check_text(device->serial, sizeof(device->serial));
}

static bool found(void)
{
    return device && input_can(device, INPUT_KEY, 0);
}

static void use(uint8_t op, struct input *input)
{
    uint8_t bits[INPUT_BITS_SIZE];
    struct input_range range;
    struct input_event event;

    if (!device)
        return;
    switch (op % 5) {
    case 0:
        input_can(device, op / 5, input_u16(input));
        break;
    case 1:
        if (input_read_codes(device, input_u8(input) * 2u, bits) > (int)sizeof(bits))
            hosted_fail("more codes than there is room for");
        break;
    case 2:
        input_read_properties(device, bits);
        break;
    case 3:
        input_read_range(device, input_u8(input) * 2u, &range);
        break;
    default:
        event = (struct input_event){INPUT_LED, op, 1};
        input_send(device, &event);
    }
}

static void stop(void)
{
    if (device && device->send_done > device->sent)
        hosted_fail("more was taken than was sent");
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    static const struct virtio_input_event event = {INPUT_KEY, 30, 1};

    if (queue != 0)
        return 0;
    if (chain->in == 0 || chain->piece[0].len < sizeof(event))
        return HOSTILE_KEEP;
    memcpy(chain->piece[0].data, &event, sizeof(event));
    return sizeof(event);
}

static void configured(uint8_t *config, unsigned offset)
{
    static const uint8_t data[20] = {'k', 'e', 'y', 's', 1, 0x55, 0xaa, 0xff};

    if (offset > offsetof(struct virtio_input_config, subsel))
        return;
    config[offsetof(struct virtio_input_config, size)] =
        config[0] == VIRTIO_INPUT_CFG_ID_DEVIDS ? 8 : sizeof(data);
    memcpy(config + DATA_AT, data, sizeof(data));
}

static const struct hostile_type type = {
    .driver = &virtio_input_driver,
    .id = VIRTIO_ID_INPUT,
    .queues = 2,
    .answer = answer,
    .configured = configured,
    .start = start,
    .use = use,
    .stop = stop,
    .found = found,
};

void fuzz_input(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
    if (device)
        hosted_fail("nobody was told that the device left");
    input_listen(NULL, NULL);
}
