/*
 * traffic.h - random traffic over a rig, in which every byte, length, order and notification is
 * known beforehand.
 *
 * Used by the unit tests (a little, on every kind and size of ring, with sanitizers) and by
 * ring_torture.c (a lot). Ends in hosted_fail() at the first thing that is not as it must be.
 */
#ifndef FERRULE_TESTS_TRAFFIC_H
#define FERRULE_TESTS_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

struct traffic_setup {
    uint16_t size;
    unsigned kind;      /* of rig.h */
    uint64_t transfers; /* buffers that must have come back */
    uint64_t seed;
    bool poison; /* of ring_device.h */
};

struct traffic_counts {
    uint64_t indirect, batched, notifications, suppressed, interrupts, resets, resizes;
};

/* What was seen on the way is added to `counts`, so that a caller can see that it was. */
void traffic_run(const struct traffic_setup *setup, struct traffic_counts *counts);

#endif
