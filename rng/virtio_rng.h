/*
 * virtio_rng.h - the entropy device driver (5.4). What it brings goes into the generator of
 * random.h. Work of a turn: one answer.
 */
#ifndef FERRULE_RNG_VIRTIO_RNG_H
#define FERRULE_RNG_VIRTIO_RNG_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_rng_driver;

/* Logs where random numbers come from and how much the entropy device gave. */
void virtio_rng_print_report(void);

#endif
