/*
 * virtio_balloon.h - the memory balloon driver (5.5): gives pages to the hypervisor and takes them
 * back, as that asks. Pages come from memory.h; nobody else has to know.
 */
#ifndef FERRULE_BALLOON_VIRTIO_BALLOON_H
#define FERRULE_BALLOON_VIRTIO_BALLOON_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_balloon_driver;

/* Logs what the balloon holds, what it should, and what was reported as free. */
void virtio_balloon_print_report(void);

#endif
