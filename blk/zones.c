/*
 * zones.c - disks with zones: the forms of their requests that wait, and writing in order.
 *
 * What is checked of a request is block.c's, how a device says these things its driver's. The contract
 * is in zones.h.
 */
#include "blk/zones.h"

#include <errno.h>

#include "blk/block_impl.h"

bool blk_is_host_managed(const struct blk_device *device)
{
    return device->zoning.model == BLK_ZONES_HOST_MANAGED;
}

int blk_zone_report(struct blk_device *device, uint64_t sector, struct blk_zone *zone,
                    unsigned count)
{
    struct blk_device *disk = blk_disk_of(device);
    unsigned done = 0;

    if (device->gone)
        return -EIO;
    if (disk != device || disk->zoning.model == BLK_ZONES_NONE || !disk->ops->report_zones)
        return -ENOTSUP;
    while (done < count && sector < disk->capacity) {
        int n = disk->ops->report_zones(disk, sector, zone + done, count - done);

        if (n < 0)
            return n;
        done += (unsigned)n;
        sector = zone[done - 1].start + disk->zoning.zone_sectors;
    }
    return (int)done;
}

static int command(struct blk_device *device, enum blk_op op, uint64_t start)
{
    struct blk_request request = {.op = op, .sector = start};

    return blk_wait(device, &request);
}

int blk_zone_open(struct blk_device *device, uint64_t start)
{
    return command(device, BLK_ZONE_OPEN, start);
}

int blk_zone_close(struct blk_device *device, uint64_t start)
{
    return command(device, BLK_ZONE_CLOSE, start);
}

int blk_zone_finish(struct blk_device *device, uint64_t start)
{
    return command(device, BLK_ZONE_FINISH, start);
}

int blk_zone_reset(struct blk_device *device, uint64_t start)
{
    return command(device, BLK_ZONE_RESET, start);
}

int blk_zone_reset_all(struct blk_device *device)
{
    return command(device, BLK_ZONE_RESET_ALL, 0);
}

/* What surely goes as one part. Parts of one request could overtake each other. */
static uint32_t one_write(const struct blk_device *device, uint32_t sectors)
{
    uint32_t most = device->limits.max_segment_size / BLK_SECTOR_SIZE;

    if (most > device->limits.max_sectors)
        most = device->limits.max_sectors;
    most -= most % (device->block_size / BLK_SECTOR_SIZE);
    return sectors < most ? sectors : most;
}

int blk_zone_write(struct blk_device *device, struct blk_zone *zone, const void *data,
                   uint32_t sectors)
{
    const uint8_t *from = data;
    uint64_t used = zone->write_pointer - zone->start;
    int error = 0;

    if (zone->type == BLK_ZONE_CONVENTIONAL)
        return -EINVAL;
    if (used > zone->capacity || sectors > zone->capacity - used)
        return -ENOSPC;
    while (!error && sectors > 0) {
        uint32_t count = one_write(device, sectors);

        error = blk_write(device, zone->write_pointer, from, count);
        if (error)
            break;
        zone->write_pointer += count;
        from += count * BLK_SECTOR_SIZE;
        sectors -= count;
    }
    if (error)
        blk_zone_report(device, zone->start, zone, 1);
    return error;
}

int blk_zone_append(struct blk_device *device, uint64_t start, const void *data, uint32_t sectors,
                    uint64_t *written)
{
    struct blk_segment segment = {.data = (void *)(uintptr_t)data,
                                  .len = sectors * BLK_SECTOR_SIZE};
    struct blk_request request = {
        .op = BLK_ZONE_APPEND, .sector = start, .segment = &segment, .segments = 1};
    int error;

    if (sectors > UINT32_MAX / BLK_SECTOR_SIZE)
        return -EINVAL;
    error = blk_wait(device, &request);
    *written = request.result;
    return error;
}
