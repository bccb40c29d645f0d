/*
 * keys.c - an application for test_input.py: says what input devices there are, and every event of
 * theirs.
 *
 * Caps lock going down switches its light; the light's way to the device is said with the key's
 * release.
 */
#include <stdio.h>

#include "input/input.h"
#include "loop.h"

#define KEY_CAPSLOCK 58
#define LED_CAPSLOCK 1
#define AXIS_MAX 2

static unsigned index_of(const struct input_device *device)
{
    unsigned i = 0;

    while (input_at(i) && input_at(i) != device)
        i++;
    return i;
}

static void describe(unsigned i, struct input_device *device)
{
    struct input_range range;

    printf("input %u: '%s' serial '%s' bus %x vendor %x product %x version %x\n", i, device->name,
           device->serial, device->bus, device->vendor, device->product, device->version);
    printf("input %u: key A %d, button %d, wheel %d, light %d\n", i,
           input_can(device, INPUT_KEY, 30), input_can(device, INPUT_KEY, 0x110),
           input_can(device, INPUT_REL, 8), input_can(device, INPUT_LED, LED_CAPSLOCK));
    for (uint16_t axis = 0; axis <= AXIS_MAX; axis++) {
        if (input_read_range(device, axis, &range) == 0)
            printf("input %u: axis %u from %d to %d\n", i, axis, (int)range.min, (int)range.max);
    }
}

static void on_event(void *arg, struct input_device *device, const struct input_event *event)
{
    static int light;

    (void)arg;
    if (!event) {
        printf("input '%s' has left\n", device->name);
        return;
    }
    printf("input %u: type %u code %u value %d\n", index_of(device), event->type, event->code,
           (int)event->value);
    if (event->type != INPUT_KEY || event->code != KEY_CAPSLOCK)
        return;
    if (event->value == 1) {
        light = !light;
        struct input_event state = {.type = INPUT_LED, .code = LED_CAPSLOCK, .value = light};
        printf("light %d: %d\n", light, input_send(device, &state));
    } else {
        printf("lights: %u sent, %u taken\n", (unsigned)device->sent, (unsigned)device->send_done);
    }
}

int app_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (unsigned i = 0; input_at(i); i++)
        describe(i, input_at(i));
    input_listen(on_event, NULL);
    printf("listening\n");
    return loop_run();
}
