/*
 * virtio_input.h - the input device driver (5.8). What it brings goes to the listener of input.h.
 */
#ifndef FERRULE_INPUT_VIRTIO_INPUT_H
#define FERRULE_INPUT_VIRTIO_INPUT_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_input_driver;

#endif
