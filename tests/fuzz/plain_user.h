/*
 * plain_user.h - a driver of no device type in particular, and registers made of the fuzzer's input,
 * for the targets of the transports.
 *
 * The registers remember what is written, as RAM does, and answer with it unless the input has them
 * lie. That is enough of a device for every path of a bring-up.
 */
#ifndef FERRULE_TESTS_FUZZ_PLAIN_USER_H
#define FERRULE_TESTS_FUZZ_PLAIN_USER_H

#include "hosted/hosted.h"
#include "lies.h"
#include "virtio/virtio.h"

#define PLAIN_ID 60
#define PLAIN_REGISTERS 0x1000u

extern const struct virtio_driver *const plain_drivers[1];

struct plain_registers {
    struct lies lies;
    uint8_t image[PLAIN_REGISTERS];
};

/* Begins a run: everything zero but for what the target writes into the image next. */
struct plain_registers *plain_start(struct input *input);
struct hosted_registers plain_as_registers(struct plain_registers *registers);
void plain_set(struct plain_registers *registers, unsigned offset, uint32_t value, unsigned width);

/* Uses what was found until the input ends, shuts everything down, and looks for leaks. */
void plain_use(struct input *input);
void plain_end(void);

#endif
