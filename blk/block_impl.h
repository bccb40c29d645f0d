/*
 * block_impl.h - between the files of the block layer: block.c has the requests of a device and their
 * order, block_parts.c what of a request is given to it at once, block_devices.c which devices there
 * are. Callers and drivers see block.h only.
 */
#ifndef FERRULE_BLK_BLOCK_IMPL_H
#define FERRULE_BLK_BLOCK_IMPL_H

#include "blk/block.h"

/* The device that has the queue: itself, or of a partition its disk. */
static inline struct blk_device *blk_disk_of(struct blk_device *device)
{
    return device->parent ? device->parent : device;
}

/* Without data, but with sectors. */
static inline bool blk_is_range(enum blk_op op)
{
    return op == BLK_DISCARD || op == BLK_WRITE_ZEROES || op == BLK_SECURE_ERASE;
}

/* Sectors that the device takes at once; 0: it does not know the operation. */
static inline uint32_t blk_range_limit(const struct blk_device *device, enum blk_op op)
{
    return op == BLK_DISCARD        ? device->limits.max_discard_sectors
           : op == BLK_WRITE_ZEROES ? device->limits.max_zeroes_sectors
                                    : device->limits.max_erase_sectors;
}

/* A read or write that need not be cut. */
static inline bool blk_is_one_part(const struct blk_device *device,
                                   const struct blk_request *request)
{
    const struct blk_limits *limits = &device->limits;
    unsigned i;

    if (request->op > BLK_WRITE || request->segments > limits->max_segments ||
        request->length > limits->max_sectors)
        return false;
    for (i = 0; i < request->segments; i++)
        if (request->segment[i].len > limits->max_segment_size)
            return false;
    return true;
}

/*
 * Fills in the part that comes next; *index and *offset are where the one after it starts, and
 * `segment` has room for BLK_MAX_SEGMENTS. Returns its length in sectors, 0: the device cannot take
 * it.
 */
uint64_t blk_make_part(const struct blk_device *device, const struct blk_request *request,
                       struct blk_part *part, struct blk_segment *segment, unsigned *index,
                       uint32_t *offset);

/* Giving it twice is as good as once. Not where each write moves the place of the next one. */
static inline bool blk_may_repeat(const struct blk_device *device,
                                  const struct blk_request *request)
{
    return request->op < BLK_ZONE_REPORT &&
           !(request->op == BLK_WRITE && device->zoning.model == BLK_ZONES_HOST_MANAGED);
}

/*
 * Puts requests that wait behind this one to it by `merged`, as long as all of them are one part: the
 * device gets one. They stay in their list. blk_unmerge() takes them apart again.
 */
void blk_merge(struct blk_device *device, struct blk_request *request);
void blk_unmerge(struct blk_request *request);

/* Ends with -EIO what waits for a device that is gone. */
void blk_end_waiting(struct blk_device *device);

#endif
