/*
 * input.h - keyboards, mice and tablets of the hypervisor, as an application sees them.
 *
 * Owns the contract between whoever listens and the driver (virtio_input.c, VIRTIO 5.8). Types,
 * codes and values are those of Linux's evdev, which the specification refers to; only the few that
 * structure a stream of events have names here. Loop context only. Read virtio_input.c next.
 */
#ifndef FERRULE_INPUT_INPUT_H
#define FERRULE_INPUT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#define INPUT_SYN 0x00 /* ends a group of events that belong together */
#define INPUT_KEY 0x01 /* keys and buttons; value 1: down, 0: up, 2: repeated */
#define INPUT_REL 0x02 /* movements */
#define INPUT_ABS 0x03 /* positions, within input_read_range() */
#define INPUT_LED 0x11 /* lights; value 1: on. For input_send() */

#define INPUT_BITS_SIZE 128u /* bytes of a bitmap, for codes 0 to 1023 */

struct input_event {
    uint16_t type, code;
    int32_t value;
};

struct input_device {
    /* What the device calls itself, printable ASCII only; empty when it says nothing. */
    char name[64], serial[64];
    uint16_t bus, vendor, product, version; /* 0 when it does not say */
    uint64_t events;                        /* that were handed on */
    uint64_t short_events;                  /* that the device wrote less than one of: left out */
    uint64_t sent, send_done;               /* by input_send(); what the device has taken of it */
};

/* The values that an axis can take. */
struct input_range {
    int32_t min, max, fuzz, flat, resolution;
};

/* The devices in the order in which they were found; NULL behind the last one. */
struct input_device *input_at(unsigned index);

/*
 * Calls `handler` with every event from now on; events that come while nobody listens are lost.
 * `event` NULL: the device leaves, and must not be used once the handler returns. One handler at a
 * time; NULL: none.
 */
void input_listen(void (*handler)(void *arg, struct input_device *device,
                                  const struct input_event *event),
                  void *arg);

/*
 * Can the device send (or, for lights and the like, be sent) this? Asks the device, as do the
 * functions below; false also when it is gone.
 */
bool input_can(struct input_device *device, uint16_t type, uint16_t code);

/*
 * All codes of one type, or the properties: bit n is byte n / 8, bit n % 8. Returns the bytes that
 * the device gave, the rest is zero; 0: it has none of it; or a negative errno when it cannot be
 * asked.
 */
int input_read_codes(struct input_device *device, uint16_t type, uint8_t bits[INPUT_BITS_SIZE]);
int input_read_properties(struct input_device *device, uint8_t bits[INPUT_BITS_SIZE]);

/* The range of an axis of type INPUT_ABS. -ENOENT: the device has no such axis. */
int input_read_range(struct input_device *device, uint16_t axis, struct input_range *range);

/*
 * Tells the device something, such as the state of a light. Does not wait. -ENOSPC: it has not
 * taken earlier ones; -EIO: it does not work now. Work: takes back at most eight that it has taken.
 */
int input_send(struct input_device *device, const struct input_event *event);

#endif
