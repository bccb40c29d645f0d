/*
 * virtio_scsi_impl.h - what the two halves of the SCSI host driver share: virtio_scsi.c (the device
 * and its events) and virtio_scsi_request.c (commands). For nobody else.
 */
#ifndef FERRULE_BLK_VIRTIO_SCSI_IMPL_H
#define FERRULE_BLK_VIRTIO_SCSI_IMPL_H

#include "blk/scsi_host.h"
#include "loop.h"
#include "virtio/virtio.h"

/* Pieces of a command besides its data: what precedes it in either direction. */
#define VIRTIO_SCSI_EXTRA_SEGMENTS 2

struct virtio_scsi {
    struct scsi_host host; /* first: one is the other */
    struct virtio_device *device;
    struct virtqueue *events, *requests;
    struct scsi_slot *slots, *free_slots;
    struct scsi_slot_memory *slot_memory;
    struct scsi_command *waiting_head, *waiting_tail; /* in the order they came */
    uint8_t *event_buffers;
    uint32_t event_size;
    bool starting;                 /* in ready: recovery is not possible */
    const struct scsi_disk *stuck; /* the reset under way is because of it, or NULL */
    bool odd_event_seen, odd_response_seen;
    struct loop_source source;
};

/* Device-visible memory for host.commands commands. 0 or -ENOMEM. */
int virtio_scsi_make_slots(struct virtio_scsi *scsi);
void virtio_scsi_free_slots(struct virtio_scsi *scsi);

/* After a reset: ends every command that the device had. */
void virtio_scsi_take_back(struct virtio_scsi *scsi);

/* Ends the commands that wait, of one disk or (NULL) all, for good. */
void virtio_scsi_fail_waiting(struct virtio_scsi *scsi, const struct scsi_disk *disk,
                              const char *what);

#endif
