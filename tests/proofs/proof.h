/*
 * proof.h - what the proofs share: values that may be anything, claims, and a device whose memory
 * says something else each time it is read.
 *
 * A proof is a program of one main() that includes the real source, and CBMC walks through all of
 * its runs. Nothing of it is ever compiled to run. Read ring_state.h next, then
 * proof_split_get_buf.c.
 */
#ifndef FERRULE_PROOFS_PROOF_H
#define FERRULE_PROOFS_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

void log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

/* Any value at all: to CBMC a variable that nobody has set has every value. */
#define ANY(name, type)                 \
    static inline type any_##name(void) \
    {                                   \
        type value;                     \
        return value;                   \
    }
ANY(u8, uint8_t)
ANY(u16, uint16_t)
ANY(u32, uint32_t)
ANY(u64, uint64_t)
ANY(unsigned, unsigned)

static inline bool any_bool(void)
{
    return any_u8() & 1;
}

/* Memory that something else wrote: as much of it as a proof can walk along. */
static inline void anything(void *memory, size_t size, size_t most)
{
    size_t i;

    for (i = 0; i < size && i < most; i++)
        ((uint8_t *)memory)[i] = any_u8();
}

#define assume(condition) __CPROVER_assume(condition)
#define claim(condition) __CPROVER_assert((condition), #condition)

/* Where it does not matter what was copied: `#define memcpy copy_checked`. */
static inline void *copy_checked(void *to, const void *from, size_t len)
{
    claim(__CPROVER_r_ok(from, len) && __CPROVER_w_ok(to, len));
    return to;
}

/* And whether two things are the same: `#define memcmp compare_checked`. */
static inline int compare_checked(const void *a, const void *b, size_t len)
{
    claim(__CPROVER_r_ok(a, len) && __CPROVER_r_ok(b, len));
    return any_u8();
}

/* The sources read what a device writes by this builtin only. Here each read is a new value: the
 * device may have changed it since the last one. */
#define __atomic_load_n(from, order)                                                        \
    (__CPROVER_assert(__CPROVER_r_ok((from), sizeof(*(from))), "the memory read is there"), \
     (__typeof__(*(from)))any_u64())

#endif
