/*
 * virtio_scsi.h - the SCSI host driver (5.6). What it carries is behind scsi_host.h, what it finds
 * behind struct blk_ops (block.h).
 */
#ifndef FERRULE_BLK_VIRTIO_SCSI_H
#define FERRULE_BLK_VIRTIO_SCSI_H

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_scsi_driver;

#endif
