/*
 * counting.h - what has been done so far, in the counting build, and how an entry point's share of it
 * is compared with what its header allows. For the files of tests/bounds only; work.c says how it is
 * counted.
 */
#ifndef FERRULE_TESTS_BOUNDS_COUNTING_H
#define FERRULE_TESTS_BOUNDS_COUNTING_H

#include <stdint.h>

struct work {
    uint64_t steps, registers, turns, resets;
};

/* Where an entry point began; `nested` is what others were booked within it. */
struct work_mark {
    struct work start, nested;
};

/* All limits are divided by it: with a large one an entry point must be found that does more. */
extern uint64_t work_divisor;

struct work_mark work_begin(void);

/* Fails the program when more was done since then, without what others did that were called back. */
void work_end(const char *name, struct work_mark *mark, uint64_t steps, uint64_t registers);

/* A device was reset meanwhile, which has an allowance. */
void work_add_reset(void);

/* What was done since then is a callback's, and nobody's else. */
void work_end_foreign(const struct work_mark *mark);

#endif
