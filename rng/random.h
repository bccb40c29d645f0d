/*
 * random.h - the machine's random numbers: a generator, and what it is fed with.
 *
 * platform_random() is random_u64(). Sources mix in what they have whenever they have it; no source
 * can make the state easier to guess than it was. Everything runs in loop context. Read random.c
 * for the construction.
 */
#ifndef FERRULE_RNG_RANDOM_H
#define FERRULE_RNG_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t random_u64(void);
void random_bytes(void *data, size_t len);

/* Mixes in bytes that an outsider may or may not know; any number of them. */
void random_mix(const void *data, size_t len);

/*
 * A source that answers later: `request` is called when fresh bytes are due, and answers with
 * random_mix(). One at a time; NULL takes it away.
 */
void random_set_source(void (*request)(void *arg), void *arg);

/* Whether the state holds bytes that an outsider cannot guess, from the CPU or from a device. */
bool random_is_seeded(void);
/* For sources that vouch for what they mixed in. */
void random_set_seeded(void);

#endif
