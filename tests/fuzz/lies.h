/*
 * lies.h - what a register says instead of the truth: the input says how often, and what.
 */
#ifndef FERRULE_TESTS_FUZZ_LIES_H
#define FERRULE_TESTS_FUZZ_LIES_H

#include "input.h"

struct lies {
    struct input *input;
    unsigned in; /* honest answers before the next lie; 0: none */
};

static inline void lies_begin(struct lies *lies)
{
    lies->in = input_u8(lies->input);
}

/* What the driver is told instead of `honest`. */
static inline uint32_t lies_answer(struct lies *lies, uint32_t honest)
{
    uint8_t kind;

    if (!lies->in || --lies->in)
        return honest;
    kind = input_u8(lies->input);
    lies_begin(lies);
    if (kind < 2)
        return kind ? UINT32_MAX : 0;
    return kind < 128 ? honest ^ kind : input_u32(lies->input);
}

#endif
