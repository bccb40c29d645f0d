/*
 * virtio_blk.c - the block device driver (5.2): parts of requests as descriptor lists of header,
 * data and status.
 *
 * One request queue. Limits, splitting, order and time-outs are block.c's; rings are virtqueue's. A
 * slot holds what the device reads and writes besides the data: one for each request that may be in
 * flight, allocated once. Read block.h first.
 */
#include "blk/virtio_blk.h"

#include <errno.h>

#include "blk/block.h"
#include "log.h"
#include "virtio/spec.h"

/* Requests in flight at most, and pieces of data in one: what a queue of this size is good for
 * without taking much memory. */
#define QUEUE_SIZE 128
#define MAX_DATA_SEGMENTS 32
/* Header and status are pieces too. */
#define EXTRA_SEGMENTS 2
/* With no limit from the device, one request moves up to this much. */
#define MAX_SECTORS (4u << 20 >> 9)
#define MAX_SEGMENT_SIZE (1u << 20)

/* Not a status of the specification: what a device that did not write it leaves (5.2.6). */
#define STATUS_UNTOUCHED 0xff

/* Device-visible memory of one request. Header and status of different slots never share a cache
 * line. */
struct slot {
    struct virtio_blk_req_header header;
    uint8_t status;
    struct blk_request *request;
    struct slot *next_free;
} __attribute__((aligned(64)));

struct virtio_blk {
    struct blk_device block;
    struct virtio_device *device;
    struct virtqueue *vq;
    struct slot *slots, *free_slots;
    unsigned slot_count;
    uint32_t seg_max; /* data pieces */
    bool listed;      /* the block layer knows it */
};

static struct virtio_blk *to_virtio_blk(struct blk_device *block)
{
    return block->driver;
}

/* ---- requests ---- */

static unsigned fill_list(struct virtqueue_sg *sg, struct slot *slot, const struct blk_part *part)
{
    unsigned n = 0, i;

    sg[n++] = (struct virtqueue_sg){&slot->header, sizeof(slot->header)};
    for (i = 0; i < part->segments; i++)
        sg[n++] = (struct virtqueue_sg){part->segment[i].data, part->segment[i].len};
    sg[n++] = (struct virtqueue_sg){&slot->status, sizeof(slot->status)};
    return n;
}

static int blk_op_submit(struct blk_device *block, const struct blk_part *part)
{
    static const uint32_t types[] = {[BLK_READ] = VIRTIO_BLK_T_IN,
                                     [BLK_WRITE] = VIRTIO_BLK_T_OUT,
                                     [BLK_FLUSH] = VIRTIO_BLK_T_FLUSH};
    struct virtio_blk *blk = to_virtio_blk(block);
    struct virtqueue_sg sg[MAX_DATA_SEGMENTS + EXTRA_SEGMENTS];
    struct slot *slot = blk->free_slots;
    unsigned n, out;
    int error;

    if (blk->device->failed)
        return -EIO;
    if (!slot || !blk->device->driver_ok || virtqueue_is_broken(blk->vq))
        return -ENOSPC;
    slot->header.type = cpu_to_le32(types[part->op]);
    slot->header.sector = cpu_to_le64(part->op == BLK_FLUSH ? 0 : part->sector);
    slot->status = STATUS_UNTOUCHED;
    n = fill_list(sg, slot, part);
    out = part->op == BLK_WRITE ? n - 1 : 1;
    error = virtqueue_add(blk->vq, sg, out, n - out, slot);
    if (error)
        return error;
    slot->request = part->token;
    blk->free_slots = slot->next_free;
    return 0;
}

static void blk_op_kick(struct blk_device *block)
{
    virtqueue_kick(to_virtio_blk(block)->vq);
}

/* 5.2.6: what the status byte means to the block layer. */
static int status_to_errno(uint8_t status)
{
    switch (status) {
    case VIRTIO_BLK_S_OK:
        return 0;
    case VIRTIO_BLK_S_UNSUPP:
        return -ENOTSUP;
    default: /* IOERR, a value that does not exist, or not written at all */
        return -EIO;
    }
}

/* Gives the slot back; returns whose it was. */
static struct blk_request *free_slot(struct virtio_blk *blk, struct slot *slot)
{
    struct blk_request *request = slot->request;

    slot->request = NULL;
    slot->next_free = blk->free_slots;
    blk->free_slots = slot;
    return request;
}

static unsigned blk_op_poll(struct blk_device *block, unsigned budget)
{
    struct virtio_blk *blk = to_virtio_blk(block);
    unsigned done = 0;
    struct slot *slot;

    virtqueue_disable_cb(blk->vq);
    while (done < budget && (slot = virtqueue_get_buf(blk->vq, NULL)) != NULL) {
        /* The one look at what the device wrote; the read comes after the used index's acquire. */
        uint8_t status = *(volatile uint8_t *)&slot->status;

        blk_complete(block, free_slot(blk, slot), status_to_errno(status));
        done++;
    }
    if (virtqueue_is_broken(blk->vq) && !blk->device->failed) {
        virtio_recover(blk->device, "its queue is broken");
        done++;
    }
    return done;
}

static bool blk_op_arm(struct blk_device *block)
{
    return virtqueue_enable_cb(to_virtio_blk(block)->vq);
}

static void blk_op_reset(struct blk_device *block)
{
    virtio_recover(to_virtio_blk(block)->device, "a request timed out");
}

static void blk_op_look(struct blk_device *block)
{
    virtio_look(to_virtio_blk(block)->device);
}

static void blk_op_destroy(struct blk_device *block)
{
    platform_dma_free(to_virtio_blk(block), sizeof(struct virtio_blk));
}

static const struct blk_ops blk_ops = {
    .submit = blk_op_submit,
    .kick = blk_op_kick,
    .poll = blk_op_poll,
    .arm = blk_op_arm,
    .look = blk_op_look,
    .reset = blk_op_reset,
    .destroy = blk_op_destroy,
};

/* ---- set-up ---- */

static uint32_t read_u32(struct virtio_device *device, unsigned feature, unsigned offset,
                         uint32_t otherwise)
{
    le32 value;

    if (!virtio_has_feature(device, feature) ||
        virtio_config_read(device, offset, &value, sizeof(value), sizeof(value)))
        return otherwise;
    return le32_to_cpu(value);
}

static void read_limits(struct virtio_blk *blk)
{
    struct virtio_device *device = blk->device;
    struct blk_limits *limits = &blk->block.limits;
    uint32_t size_max = read_u32(device, VIRTIO_BLK_F_SIZE_MAX,
                                 offsetof(struct virtio_blk_config, size_max), MAX_SEGMENT_SIZE);
    uint32_t seg_max =
        read_u32(device, VIRTIO_BLK_F_SEG_MAX, offsetof(struct virtio_blk_config, seg_max), 1);

    blk->block.block_size = read_u32(device, VIRTIO_BLK_F_BLK_SIZE,
                                     offsetof(struct virtio_blk_config, blk_size), BLK_SECTOR_SIZE);
    /* qemu-storage-daemon offers SIZE_MAX and says 0, by which it can only mean no limit. */
    if (size_max == 0 || size_max > MAX_SEGMENT_SIZE)
        size_max = MAX_SEGMENT_SIZE;
    if (seg_max > MAX_DATA_SEGMENTS)
        seg_max = MAX_DATA_SEGMENTS;
    limits->max_segments = seg_max ? seg_max : 1;
    /* The layer wants a multiple of the block size; a device with less is refused by blk_add(). */
    limits->max_segment_size =
        size_max / (blk->block.block_size ? blk->block.block_size : 1) * blk->block.block_size;
    limits->max_sectors = MAX_SECTORS;
}

static int read_capacity(struct virtio_blk *blk, uint64_t *capacity)
{
    le64 value;
    int error = VIRTIO_CONFIG_READ(blk->device, struct virtio_blk_config, capacity, &value);

    *capacity = le64_to_cpu(value);
    return error;
}

static int make_slots(struct virtio_blk *blk)
{
    unsigned i;

    blk->slot_count = virtqueue_size(blk->vq);
    blk->slots = platform_dma_alloc(blk->slot_count * sizeof(*blk->slots), 64);
    if (!blk->slots)
        return -ENOMEM;
    for (i = 0; i < blk->slot_count; i++) {
        blk->slots[i].next_free = blk->free_slots;
        blk->free_slots = &blk->slots[i];
    }
    return 0;
}

static void free_slots(struct virtio_blk *blk)
{
    if (blk->slots)
        platform_dma_free(blk->slots, blk->slot_count * sizeof(*blk->slots));
    blk->slots = blk->free_slots = NULL;
}

static int blk_probe(struct virtio_device *device)
{
    struct virtio_blk *blk = platform_dma_alloc(sizeof(*blk), 64);
    struct virtio_queue_request queue = {
        .name = "blk requests", .index = 0, .max_size = QUEUE_SIZE};
    int error;

    if (!blk)
        return -ENOMEM;
    blk->device = device;
    blk->block.driver = blk;
    blk->block.ops = &blk_ops;
    blk->block.read_only = virtio_has_feature(device, VIRTIO_BLK_F_RO);
    blk->block.has_flush = virtio_has_feature(device, VIRTIO_BLK_F_FLUSH);
    error = read_capacity(blk, &blk->block.capacity);
    if (error)
        goto out;
    read_limits(blk);
    queue.max_segments = (uint16_t)(blk->block.limits.max_segments + EXTRA_SEGMENTS);
    error = virtio_find_queues(device, &queue, 1);
    if (error)
        goto out;
    blk->vq = device->queue[0];
    if (virtqueue_size(blk->vq) <= EXTRA_SEGMENTS) {
        device->refusal = "its queue is too small for a request";
        error = -EINVAL;
        goto out;
    }
    if (blk->block.limits.max_segments > virtqueue_size(blk->vq) - (uint32_t)EXTRA_SEGMENTS)
        blk->block.limits.max_segments = virtqueue_size(blk->vq) - EXTRA_SEGMENTS;
    error = make_slots(blk);
    if (error)
        goto out;
    device->driver_data = blk;
    return 0;

out:
    free_slots(blk);
    platform_dma_free(blk, sizeof(*blk));
    return error;
}

static int blk_ready(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;
    struct blk_device *block = &blk->block;
    int error;

    if (device->recovering)
        return 0;
    error = blk_add(block);
    if (error)
        return error;
    blk->listed = true;
    log_info("%s: %s: %llu MiB, blocks of %u bytes%s%s", device->name, block->name,
             (unsigned long long)(block->capacity >> 11), block->block_size,
             block->read_only ? ", read-only" : "", block->has_flush ? ", flush" : "");
    return 0;
}

static void blk_reclaim(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;
    struct slot *slot;

    while ((slot = virtqueue_detach_unused(blk->vq)) != NULL)
        blk_lost(&blk->block, free_slot(blk, slot));
}

static void blk_driver_remove(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;

    device->driver_data = NULL;
    free_slots(blk);
    blk->vq = NULL;
    if (!blk->listed)
        platform_dma_free(blk, sizeof(*blk));
    else
        blk_remove(&blk->block); /* frees it when nobody has a claim on it */
}

static void blk_leaving(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;

    blk_leave(&blk->block);
}

static void blk_config_changed(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;
    uint64_t capacity;

    if (read_capacity(blk, &capacity) || capacity == blk->block.capacity)
        return;
    log_info("%s: capacity changed from %llu to %llu sectors", blk->block.name,
             (unsigned long long)blk->block.capacity, (unsigned long long)capacity);
    blk->block.capacity = capacity;
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_BLK_F_BARRIER, .name = "BARRIER", .refusal = "legacy"},
    {.bit = VIRTIO_BLK_F_SIZE_MAX, .name = "SIZE_MAX"},
    {.bit = VIRTIO_BLK_F_SEG_MAX, .name = "SEG_MAX"},
    {.bit = VIRTIO_BLK_F_GEOMETRY, .name = "GEOMETRY", .refusal = "of no use"},
    {.bit = VIRTIO_BLK_F_RO, .name = "RO"},
    {.bit = VIRTIO_BLK_F_BLK_SIZE, .name = "BLK_SIZE"},
    {.bit = VIRTIO_BLK_F_SCSI, .name = "SCSI", .refusal = "legacy"},
    {.bit = VIRTIO_BLK_F_FLUSH, .name = "FLUSH"},
    {.bit = VIRTIO_BLK_F_TOPOLOGY, .name = "TOPOLOGY", .refusal = "not used"},
    {.bit = VIRTIO_BLK_F_CONFIG_WCE,
     .name = "CONFIG_WCE",
     .refusal = "the cache mode is left as it is"},
    {.bit = VIRTIO_BLK_F_MQ, .name = "MQ", .refusal = "one queue is used"},
    {.bit = VIRTIO_BLK_F_DISCARD, .name = "DISCARD", .refusal = "not used"},
    {.bit = VIRTIO_BLK_F_WRITE_ZEROES, .name = "WRITE_ZEROES", .refusal = "not used"},
    {.bit = VIRTIO_BLK_F_LIFETIME, .name = "LIFETIME", .refusal = "not used"},
    {.bit = VIRTIO_BLK_F_SECURE_ERASE, .name = "SECURE_ERASE", .refusal = "not used"},
    {.bit = VIRTIO_BLK_F_ZONED, .name = "ZONED", .refusal = "zoned devices are not supported"},
};

static const uint16_t device_types[] = {VIRTIO_ID_BLOCK, 0};

const struct virtio_driver virtio_blk_driver = {
    .name = "virtio-blk",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = blk_probe,
    .ready = blk_ready,
    .reclaim = blk_reclaim,
    .remove = blk_driver_remove,
    .leaving = blk_leaving,
    .config_changed = blk_config_changed,
};
