/*
 * virtio_impl.h - what the files of the device and driver model share: virtio.c, virtio_features.c
 * and virtio_report.c, and nobody else. The public side is virtio.h.
 */
#ifndef FERRULE_VIRTIO_VIRTIO_IMPL_H
#define FERRULE_VIRTIO_VIRTIO_IMPL_H

#include "virtio/virtio.h"

/* The entry for a feature bit in the driver's table or in that of the core, or NULL. */
const struct virtio_feature *virtio_find_feature(const struct virtio_driver *driver, unsigned bit);

/* Decides device->accepted from device->offered (2.2). */
void virtio_choose_features(struct virtio_device *device);

/* The boot log's lines about a device: its features, and its queues with their interrupt mode. */
void virtio_log_features(const struct virtio_device *device);
void virtio_log_queues(const struct virtio_device *device);

/* The line about a device for programs: all of that, or why it is not driven. */
void virtio_log_device(const struct virtio_device *device);

#endif
