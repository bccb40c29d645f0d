/*
 * virtio_blk.h - the block device driver (5.2). What it offers is behind struct blk_ops (block.h).
 */
#ifndef FERRULE_BLK_VIRTIO_BLK_H
#define FERRULE_BLK_VIRTIO_BLK_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_blk_driver;

#endif
