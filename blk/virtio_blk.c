/*
 * virtio_blk.c - the block device driver (5.2): parts of requests as descriptor lists of header,
 * data and status.
 *
 * Limits, splitting, order and time-outs are block.c's; rings are virtqueue's; what the configuration
 * says is virtio_blk_config.c's. A slot stands for what the device reads and writes besides the data, in
 * memory apart from all that only we know: one for each request that may be in flight. With several queues (MQ) a device may work
 * on them in parallel; the one CPU here fills one after the other, so that each batch still costs one
 * notification. Read block.h first.
 */
#include "blk/virtio_blk.h"

#include <errno.h>
#include <string.h>

#include "blk/virtio_blk_impl.h"
#include "log.h"

/* Requests in flight in one queue at most: what is good for much without taking much memory. */
#define QUEUE_SIZE 128
/* Header and status are pieces too; so is the place of an append, on a disk with zones. */
#define EXTRA_SEGMENTS 2
#define EXTRA_SEGMENTS_MAX 3

/* Not a status of the specification: what a device that did not write it leaves (5.2.6). */
#define STATUS_UNTOUCHED 0xff

static struct virtio_blk *to_virtio_blk(struct blk_device *block)
{
    return block->driver;
}

/* ---- requests ---- */

static const struct {
    uint32_t type;
    bool writes; /* the data is the device's to read */
} requests[] = {
    [BLK_READ] = {VIRTIO_BLK_T_IN, false},
    [BLK_WRITE] = {VIRTIO_BLK_T_OUT, true},
    [BLK_FLUSH] = {VIRTIO_BLK_T_FLUSH, false},
    [BLK_DISCARD] = {VIRTIO_BLK_T_DISCARD, true},
    [BLK_WRITE_ZEROES] = {VIRTIO_BLK_T_WRITE_ZEROES, true},
    [BLK_SECURE_ERASE] = {VIRTIO_BLK_T_SECURE_ERASE, true},
    [BLK_GET_ID] = {VIRTIO_BLK_T_GET_ID, false},
    [BLK_GET_LIFETIME] = {VIRTIO_BLK_T_GET_LIFETIME, false},
    [BLK_ZONE_REPORT] = {VIRTIO_BLK_T_ZONE_REPORT, false},
    [BLK_ZONE_OPEN] = {VIRTIO_BLK_T_ZONE_OPEN, false},
    [BLK_ZONE_CLOSE] = {VIRTIO_BLK_T_ZONE_CLOSE, false},
    [BLK_ZONE_FINISH] = {VIRTIO_BLK_T_ZONE_FINISH, false},
    [BLK_ZONE_RESET] = {VIRTIO_BLK_T_ZONE_RESET, false},
    [BLK_ZONE_RESET_ALL] = {VIRTIO_BLK_T_ZONE_RESET_ALL, false},
    [BLK_ZONE_APPEND] = {VIRTIO_BLK_T_ZONE_APPEND, true},
};

static unsigned fill_list(struct virtqueue_sg *sg, struct slot_memory *slot,
                          const struct blk_part *part)
{
    unsigned n = 0, i;

    sg[n++] = (struct virtqueue_sg){&slot->header, sizeof(slot->header)};
    if (part->sectors)
        sg[n++] = (struct virtqueue_sg){&slot->range, sizeof(slot->range)};
    for (i = 0; i < part->segments; i++)
        sg[n++] = (struct virtqueue_sg){part->segment[i].data, part->segment[i].len};
    if (part->op == BLK_ZONE_APPEND)
        sg[n++] = (struct virtqueue_sg){&slot->append_sector, sizeof(slot->append_sector)};
    sg[n++] = (struct virtqueue_sg){&slot->status, sizeof(slot->status)};
    return n;
}

static void fill_slot(const struct virtio_blk *blk, struct slot_memory *slot,
                      const struct blk_part *part)
{
    bool has_sector = part->op <= BLK_WRITE || part->op >= BLK_ZONE_REPORT, unmap;

    slot->header.type = cpu_to_le32(requests[part->op].type);
    slot->header.sector = cpu_to_le64(has_sector ? part->sector : 0);
    slot->status = STATUS_UNTOUCHED;
    if (!part->sectors)
        return;
    slot->range.sector = cpu_to_le64(part->sector);
    slot->range.num_sectors = cpu_to_le32(part->sectors);
    /* 5.2.6.1: of the three kinds only WRITE_ZEROES may have it. */
    unmap = part->op == BLK_WRITE_ZEROES && part->unmap && blk->may_unmap;
    slot->range.flags = cpu_to_le32(unmap ? VIRTIO_BLK_RANGE_UNMAP : 0);
}

static int add_part(struct virtio_blk *blk, struct blk_queue *queue, const struct blk_part *part)
{
    struct virtqueue_sg sg[MAX_DATA_SEGMENTS + EXTRA_SEGMENTS_MAX];
    struct slot *slot = queue->free_slots;
    unsigned n, out;
    int error;

    if (!slot || virtqueue_is_broken(queue->vq))
        return -ENOSPC;
    fill_slot(blk, slot->memory, part);
    n = fill_list(sg, slot->memory, part);
    out = requests[part->op].writes ? n - 1 - (part->op == BLK_ZONE_APPEND) : 1;
    error = virtqueue_add(queue->vq, sg, out, n - out, slot);
    if (error)
        return error;
    slot->request = part->token;
    queue->free_slots = slot->next_free;
    queue->filled = true;
    return 0;
}

/* To the queue that this turn fills, or the next one that has room. */
static int blk_op_submit(struct blk_device *block, const struct blk_part *part)
{
    struct virtio_blk *blk = to_virtio_blk(block);
    int error = -ENOSPC;
    unsigned i;

    if (blk->device->failed)
        return -EIO;
    if (!blk->device->driver_ok)
        return -ENOSPC;
    for (i = 0; i < blk->queue_count; i++) {
        error = add_part(blk, &blk->queue[blk->current], part);
        if (error != -ENOSPC)
            break;
        blk->current = (blk->current + 1) % blk->queue_count;
    }
    return error;
}

static void blk_op_kick(struct blk_device *block)
{
    struct virtio_blk *blk = to_virtio_blk(block);
    unsigned i;

    for (i = 0; i < blk->queue_count; i++) {
        if (!blk->queue[i].filled)
            continue;
        blk->queue[i].filled = false;
        virtqueue_kick(blk->queue[i].vq);
        blk->current = (i + 1) % blk->queue_count;
    }
}

static const int zone_errors[] = {
    [VIRTIO_BLK_S_ZONE_INVALID_CMD] = -EINVAL,
    [VIRTIO_BLK_S_ZONE_UNALIGNED_WP] = -ESPIPE,
    [VIRTIO_BLK_S_ZONE_OPEN_RESOURCE] = -ETOOMANYREFS,
    [VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE] = -EOVERFLOW,
};

/* 5.2.6: what the status byte means to the block layer. Zones have values of their own. */
static int status_to_errno(const struct virtio_blk *blk, uint8_t status)
{
    if (blk->block.zoning.model != BLK_ZONES_NONE && status >= VIRTIO_BLK_S_ZONE_INVALID_CMD &&
        status <= VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE)
        return zone_errors[status];
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
static struct blk_request *free_slot(struct blk_queue *queue, struct slot *slot)
{
    struct blk_request *request = slot->request;

    slot->request = NULL;
    slot->next_free = queue->free_slots;
    queue->free_slots = slot;
    return request;
}

/* Where an append went: a place in its zone, or the device lies. */
static int take_append_sector(struct blk_request *request, const struct slot *slot)
{
    uint64_t sector = le64_to_cpu(*(const volatile le64 *)&slot->memory->append_sector);
    uint64_t zone_sectors = request->device->zoning.zone_sectors;

    request->result = sector;
    /* One before the zone is far behind it in this subtraction. */
    return request->length <= zone_sectors &&
                   sector - request->sector <= zone_sectors - request->length
               ? 0
               : -EIO;
}

static unsigned poll_queue(struct virtio_blk *blk, struct blk_queue *queue, unsigned budget)
{
    unsigned done = 0;
    struct slot *slot;

    virtqueue_disable_cb(queue->vq);
    while (done < budget && (slot = virtqueue_get_buf(queue->vq, NULL)) != NULL) {
        /* The one look at what the device wrote; the read comes after the used index's acquire. */
        int error = status_to_errno(blk, *(volatile uint8_t *)&slot->memory->status);
        struct blk_request *request = free_slot(queue, slot);

        if (request->op == BLK_ZONE_APPEND && !error)
            error = take_append_sector(request, slot);
        blk_complete(&blk->block, request, error);
        done++;
    }
    return done;
}

static unsigned blk_op_poll(struct blk_device *block, unsigned budget)
{
    struct virtio_blk *blk = to_virtio_blk(block);
    bool is_broken = false;
    unsigned done = 0, i;

    for (i = 0; i < blk->queue_count; i++) {
        done += poll_queue(blk, &blk->queue[i], budget - done);
        is_broken |= virtqueue_is_broken(blk->queue[i].vq);
    }
    if (is_broken && !blk->device->failed) {
        virtio_recover(blk->device, "its queue is broken");
        done++;
    }
    return done;
}

/* Finds all that poll would: requests that wait for a kick, and a broken queue, too. */
static bool blk_op_arm(struct blk_device *block)
{
    struct virtio_blk *blk = to_virtio_blk(block);
    bool idle = true;
    unsigned i;

    blk_op_kick(block);
    for (i = 0; i < blk->queue_count; i++) {
        if (virtqueue_is_broken(blk->queue[i].vq))
            idle &= blk->device->failed;
        else if (virtqueue_in_flight(blk->queue[i].vq) > 0)
            idle &= virtqueue_enable_cb(blk->queue[i].vq);
    }
    return idle;
}

static void blk_op_reset(struct blk_device *block)
{
    virtio_recover(to_virtio_blk(block)->device, "a request timed out");
}

static void blk_op_look(struct blk_device *block)
{
    virtio_look(to_virtio_blk(block)->device);
}

static void free_blk(struct virtio_blk *blk)
{
    if (blk->answers)
        platform_dma_free(blk->answers, sizeof(*blk->answers));
    platform_dma_free(blk, sizeof(*blk));
}

static void blk_op_destroy(struct blk_device *block)
{
    free_blk(to_virtio_blk(block));
}

static const struct blk_ops blk_ops = {
    .submit = blk_op_submit,
    .kick = blk_op_kick,
    .poll = blk_op_poll,
    .arm = blk_op_arm,
    .look = blk_op_look,
    .reset = blk_op_reset,
    .destroy = blk_op_destroy,
    .set_write_cache = virtio_blk_set_write_cache,
    .report_zones = virtio_blk_report_zones,
};

/* ---- set-up ---- */

static int make_slots(struct blk_queue *queue)
{
    unsigned i;

    queue->slot_count = virtqueue_size(queue->vq);
    queue->slots = platform_dma_alloc(queue->slot_count * sizeof(*queue->slots), 64);
    queue->memory = platform_dma_alloc(queue->slot_count * sizeof(*queue->memory), 64);
    if (!queue->slots || !queue->memory)
        return -ENOMEM;
    for (i = 0; i < queue->slot_count; i++) {
        queue->slots[i].memory = &queue->memory[i];
        queue->slots[i].next_free = queue->free_slots;
        queue->free_slots = &queue->slots[i];
    }
    return 0;
}

static void free_slots(struct virtio_blk *blk)
{
    unsigned i;

    for (i = 0; i < blk->queue_count; i++) {
        struct blk_queue *queue = &blk->queue[i];

        if (queue->slots)
            platform_dma_free(queue->slots, queue->slot_count * sizeof(*queue->slots));
        if (queue->memory)
            platform_dma_free(queue->memory, queue->slot_count * sizeof(*queue->memory));
        queue->slots = queue->free_slots = NULL;
        queue->memory = NULL;
        queue->vq = NULL;
    }
}

static int make_queues(struct virtio_blk *blk)
{
    struct virtio_queue_request queue[MAX_QUEUES];
    struct blk_limits *limits = &blk->block.limits;
    bool zoned = blk->block.zoning.model != BLK_ZONES_NONE;
    unsigned extra = zoned ? EXTRA_SEGMENTS_MAX : EXTRA_SEGMENTS, i;
    int error;

    for (i = 0; i < blk->queue_count; i++)
        queue[i] =
            (struct virtio_queue_request){.name = "blk requests",
                                          .index = (uint16_t)i,
                                          .max_size = QUEUE_SIZE,
                                          .max_segments = (uint16_t)(limits->max_segments + extra)};
    error = virtio_find_queues(blk->device, queue, blk->queue_count);
    for (i = 0; !error && i < blk->queue_count; i++) {
        blk->queue[i].vq = blk->device->queue[i];
        if (virtqueue_size(blk->queue[i].vq) <= extra) {
            blk->device->refusal = "its queue is too small for a request";
            return -EINVAL;
        }
        if (limits->max_segments > virtqueue_size(blk->queue[i].vq) - extra)
            limits->max_segments = virtqueue_size(blk->queue[i].vq) - extra;
        error = make_slots(&blk->queue[i]);
    }
    return error;
}

static int blk_probe(struct virtio_device *device)
{
    struct virtio_blk *blk = platform_dma_alloc(sizeof(*blk), 64);
    int error;

    if (!blk)
        return -ENOMEM;
    blk->device = device;
    blk->block.driver = blk;
    blk->block.ops = &blk_ops;
    blk->answers = platform_dma_alloc(sizeof(*blk->answers), 64);
    error = blk->answers ? virtio_blk_read_config(blk) : -ENOMEM;
    if (!error)
        error = make_queues(blk);
    if (error) {
        free_slots(blk);
        free_blk(blk);
        return error;
    }
    device->driver_data = blk;
    return 0;
}

static int blk_ready(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;
    int error;

    virtio_blk_start(blk);
    if (device->recovering)
        return 0;
    error = blk_add(&blk->block);
    blk->block.source.arm_finds_all = true;
    if (error)
        return error;
    blk->listed = true;
    virtio_blk_introduce(blk);
    return 0;
}

static void blk_reclaim(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;
    struct slot *slot;
    unsigned i;

    for (i = 0; i < blk->queue_count; i++)
        while ((slot = virtqueue_detach_unused(blk->queue[i].vq)) != NULL)
            blk_lost(&blk->block, free_slot(&blk->queue[i], slot));
}

static void blk_driver_remove(struct virtio_device *device)
{
    struct virtio_blk *blk = device->driver_data;

    device->driver_data = NULL;
    free_slots(blk);
    if (!blk->listed)
        free_blk(blk);
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
    virtio_blk_config_changed(device->driver_data);
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_BLK_F_BARRIER, .name = "BARRIER", .refusal = "a flush is the order there is"},
    {.bit = VIRTIO_BLK_F_SIZE_MAX, .name = "SIZE_MAX"},
    {.bit = VIRTIO_BLK_F_SEG_MAX, .name = "SEG_MAX"},
    {.bit = VIRTIO_BLK_F_GEOMETRY, .name = "GEOMETRY"},
    {.bit = VIRTIO_BLK_F_RO, .name = "RO"},
    {.bit = VIRTIO_BLK_F_BLK_SIZE, .name = "BLK_SIZE"},
    {.bit = VIRTIO_BLK_F_SCSI, .name = "SCSI", .refusal = "virtio-scsi is the way to SCSI"},
    {.bit = VIRTIO_BLK_F_FLUSH, .name = "FLUSH"},
    {.bit = VIRTIO_BLK_F_TOPOLOGY, .name = "TOPOLOGY"},
    {.bit = VIRTIO_BLK_F_CONFIG_WCE, .name = "CONFIG_WCE"},
    {.bit = VIRTIO_BLK_F_MQ, .name = "MQ"},
    /* 5.2.5.1 forbids it on a disk whose zones must be kept, which only its configuration tells. */
    {.bit = VIRTIO_BLK_F_DISCARD, .name = "DISCARD", .unless_offered = VIRTIO_BLK_F_ZONED},
    {.bit = VIRTIO_BLK_F_WRITE_ZEROES, .name = "WRITE_ZEROES"},
    {.bit = VIRTIO_BLK_F_LIFETIME, .name = "LIFETIME"},
    {.bit = VIRTIO_BLK_F_SECURE_ERASE, .name = "SECURE_ERASE"},
    {.bit = VIRTIO_BLK_F_ZONED, .name = "ZONED"},
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
