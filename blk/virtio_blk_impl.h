/*
 * virtio_blk_impl.h - between the files of the block device driver: virtio_blk.c has requests and
 * queues, virtio_blk_config.c what the device says of itself, virtio_blk_zones.c of its zones.
 */
#ifndef FERRULE_BLK_VIRTIO_BLK_IMPL_H
#define FERRULE_BLK_VIRTIO_BLK_IMPL_H

#include "blk/block.h"
#include "virtio/spec_storage.h"
#include "virtio/virtio.h"

/* Pieces of data in a request at most, and queues used. */
#define MAX_DATA_SEGMENTS 32
#define MAX_QUEUES 4

/* Device-visible memory of one request. Header and status of different slots never share a cache
 * line. */
struct slot_memory {
    struct virtio_blk_req_header header;
    struct virtio_blk_range range;
    le64 append_sector;
    uint8_t status;
} __attribute__((aligned(64)));

/* What only the driver sees of it. */
struct slot {
    struct slot_memory *memory;
    struct blk_request *request;
    struct slot *next_free;
};

/* Device-visible: answers to the questions. */
struct blk_answers {
    uint8_t id[VIRTIO_BLK_ID_BYTES];
    struct virtio_blk_lifetime lifetime;
};

struct blk_queue {
    struct virtqueue *vq;
    struct slot *slots, *free_slots;
    struct slot_memory *memory;
    unsigned slot_count;
    bool filled; /* since the last kick */
};

/* A question to the device, asked once when it is added. */
struct inquiry {
    struct blk_request request;
    struct blk_segment segment;
};

struct virtio_blk {
    struct blk_device block;
    struct virtio_device *device;
    struct blk_queue queue[MAX_QUEUES];
    unsigned queue_count;
    unsigned current; /* the queue that is filled now */
    bool may_unmap;
    bool listed;                 /* the block layer knows it */
    bool cache_chosen, cache_on; /* by virtio_blk_set_write_cache() */
    struct inquiry id_inquiry, lifetime_inquiry;
    struct blk_answers *answers;
};

/* Of a zoned disk, after its limits: what they are, or why it cannot be used. 0 or -EINVAL. */
int virtio_blk_read_zoning(struct virtio_blk *blk);
int virtio_blk_report_zones(struct blk_device *block, uint64_t sector, struct blk_zone *zone,
                            unsigned count);

/* Fills in the block device from the configuration, and the number of queues. */
int virtio_blk_read_config(struct virtio_blk *blk);

/* The device is live, at first or again after a reset: choices that a reset took back. */
void virtio_blk_start(struct virtio_blk *blk);

/* After blk_add(): the log line, and the questions. */
void virtio_blk_introduce(struct virtio_blk *blk);

void virtio_blk_config_changed(struct virtio_blk *blk);
int virtio_blk_set_write_cache(struct blk_device *block, bool on);

#endif
