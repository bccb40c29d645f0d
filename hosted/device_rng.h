/*
 * device_rng.h - the model entropy device (5.4): gives as many bytes as it is told to, when it is
 * told to.
 */
#ifndef FERRULE_HOSTED_DEVICE_RNG_H
#define FERRULE_HOSTED_DEVICE_RNG_H

#include "hosted/device.h"

struct device_rng {
    struct device device;
    uint32_t limit; /* bytes in one answer at most */
    bool hold;      /* takes requests and does not answer until device_rng_answer() */
    struct ring_chain *held;
    unsigned requests;
    uint8_t next; /* the bytes are a count */
};

void device_rng_init(struct device_rng *rng, unsigned msix_vectors);
void device_rng_finish(struct device_rng *rng);

/* Answers the request that is held. */
void device_rng_answer(struct device_rng *rng);

#endif
