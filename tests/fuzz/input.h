/*
 * input.h - the fuzzer's bytes, taken one after the other.
 *
 * Past their end everything is zero, which every target takes for "behave yourself": a short input
 * is a device that does what it should. Read hostile.h next.
 */
#ifndef FERRULE_TESTS_FUZZ_INPUT_H
#define FERRULE_TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
    const uint8_t *at, *end;
};

static inline bool input_is_empty(const struct input *input)
{
    return input->at == input->end;
}

static inline uint8_t input_u8(struct input *input)
{
    return input_is_empty(input) ? 0 : *input->at++;
}

static inline uint16_t input_u16(struct input *input)
{
    uint16_t low = input_u8(input);

    return (uint16_t)(low | input_u8(input) << 8);
}

static inline uint32_t input_u32(struct input *input)
{
    uint32_t low = input_u16(input);

    return low | (uint32_t)input_u16(input) << 16;
}

/* Up to `len` bytes; what the input has not is zeroed. Returns how many it had. */
static inline size_t input_bytes(struct input *input, void *data, size_t len)
{
    size_t have = (size_t)(input->end - input->at);

    have = have < len ? have : len;
    memcpy(data, input->at, have);
    memset((uint8_t *)data + have, 0, len - have);
    input->at += have;
    return have;
}

#endif
