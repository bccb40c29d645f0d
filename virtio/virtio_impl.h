/*
 * virtio_impl.h - what the files of the device and driver model share: virtio.c, virtio_features.c,
 * virtio_report.c and virtio_watch.c, and nobody else. The public side is virtio.h.
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

/* A new queue: see patience_s of struct virtio_queue_request. */
void virtio_watch_queue(struct virtio_device *device, unsigned i, uint16_t patience_s);

/* There are devices from now on. */
void virtio_watch_start(void);

/* A queue with patience is notified. Work, later in the event loop and at most once a second: a look
 * at each queue, a status read for each device, and what virtio_recover() does for one that wants it. */
void virtio_watch_begin(void);

/* The line about a device for programs: all of that, or why it is not driven. */
void virtio_log_device(const struct virtio_device *device);

#endif
