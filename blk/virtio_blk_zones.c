/*
 * virtio_blk_zones.c - disks with zones behind virtio-blk (5.2.4, 5.2.5, 5.2.6): what the
 * configuration says of them, and their reports.
 *
 * Every value is the device's word. Requests are virtio_blk.c's; the contract is in zones.h.
 */
#include <errno.h>

#include "blk/virtio_blk_impl.h"
#include "blk/zones.h"
#include "log.h"
#include "platform.h"

/* Memory for one report: 63 zones. */
#define REPORT_BYTES 4096u

/* ---- the configuration ---- */

static uint32_t zoned_u32(struct virtio_blk *blk, unsigned offset)
{
    le32 value;

    return virtio_config_read(blk->device, offset, &value, sizeof(value), sizeof(value))
               ? 0
               : le32_to_cpu(value);
}

#define ZONED_U32(blk, field)                                    \
    zoned_u32((blk), offsetof(struct virtio_blk_config, zoned) + \
                         offsetof(__typeof__(((struct virtio_blk_config *)0)->zoned), field))

/* Writes have to be aligned to the granularity, so it is the block size for all that the layer checks. */
static bool take_granularity(struct virtio_blk *blk, uint32_t granularity)
{
    struct blk_device *block = &blk->block;

    if (granularity < BLK_SECTOR_SIZE || granularity > 65536 || (granularity & (granularity - 1)))
        return false;
    if (granularity > block->block_size)
        block->block_size = granularity;
    block->limits.max_segment_size -= block->limits.max_segment_size % block->block_size;
    /* They are writes that begin anywhere. */
    block->limits.max_zeroes_sectors = block->limits.max_erase_sectors = 0;
    return true;
}

int virtio_blk_read_zoning(struct virtio_blk *blk)
{
    struct blk_zoning *zoning = &blk->block.zoning;
    uint8_t model = VIRTIO_BLK_Z_NONE;

    if (!virtio_has_feature(blk->device, VIRTIO_BLK_F_ZONED))
        return 0;
    if (virtio_config_read(blk->device, offsetof(struct virtio_blk_config, zoned.model), &model, 1,
                           1))
        return -EIO;
    if (model == VIRTIO_BLK_Z_NONE)
        return 0;
    zoning->model = model == VIRTIO_BLK_Z_HM ? BLK_ZONES_HOST_MANAGED : BLK_ZONES_HOST_AWARE;
    zoning->zone_sectors = ZONED_U32(blk, zone_sectors);
    zoning->max_open = ZONED_U32(blk, max_open_zones);
    zoning->max_active = ZONED_U32(blk, max_active_zones);
    zoning->max_append_sectors = ZONED_U32(blk, max_append_sectors);
    if (model > VIRTIO_BLK_Z_HA ||
        (model == VIRTIO_BLK_Z_HM && !take_granularity(blk, ZONED_U32(blk, write_granularity))) ||
        zoning->zone_sectors == 0 ||
        zoning->zone_sectors % (blk->block.block_size / BLK_SECTOR_SIZE)) {
        blk->device->refusal = "what it says of its zones makes no sense";
        return -EINVAL;
    }
    log_info("%s: %s zones of %u sectors, %u open and %u active at most, appends of up to %u",
             blk->device->name, model == VIRTIO_BLK_Z_HM ? "host-managed" : "host-aware",
             zoning->zone_sectors, zoning->max_open, zoning->max_active,
             zoning->max_append_sectors);
    return 0;
}

/* ---- reports ---- */

static bool has_pointer(enum blk_zone_state state)
{
    return state >= BLK_ZONE_EMPTY && state <= BLK_ZONE_IS_CLOSED;
}

/* One zone as the device describes it; false: that cannot be. */
static bool take_zone(const struct blk_device *block, uint64_t start,
                      const struct virtio_blk_zone_descriptor *from, struct blk_zone *zone)
{
    uint64_t pointer = le64_to_cpu(from->z_wp);

    *zone = (struct blk_zone){.start = le64_to_cpu(from->z_start),
                              .capacity = le64_to_cpu(from->z_cap),
                              .write_pointer = start,
                              .type = from->z_type,
                              .state = from->z_state};
    if (zone->start != start || zone->capacity > block->zoning.zone_sectors ||
        zone->capacity > block->capacity - start || zone->type < BLK_ZONE_CONVENTIONAL ||
        zone->type > BLK_ZONE_SEQUENTIAL_PREFERRED)
        return false;
    if (zone->type == BLK_ZONE_CONVENTIONAL)
        return true;
    if (zone->state == BLK_ZONE_FULL)
        zone->write_pointer = start + zone->capacity;
    else if (has_pointer(zone->state) && pointer >= start && pointer - start <= zone->capacity)
        zone->write_pointer = pointer;
    else
        return zone->state == BLK_ZONE_READ_ONLY || zone->state == BLK_ZONE_OFFLINE;
    return true;
}

static int take_report(const struct blk_device *block, uint64_t sector, const uint8_t *report,
                       struct blk_zone *zone, unsigned count)
{
    const struct virtio_blk_zone_report *head = (const void *)report;
    const struct virtio_blk_zone_descriptor *from = (const void *)(head + 1);
    uint64_t told = le64_to_cpu(head->nr_zones);
    uint64_t start = sector - sector % block->zoning.zone_sectors;
    unsigned n;

    for (n = 0; n < count && n < told && start < block->capacity; n++) {
        if (!take_zone(block, start, &from[n], &zone[n]))
            break;
        start += block->zoning.zone_sectors;
    }
    if (n > 0)
        return (int)n;
    log_error("%s: its report of the zone at sector %llu makes no sense", block->name,
              (unsigned long long)start);
    return -EIO;
}

int virtio_blk_report_zones(struct blk_device *block, uint64_t sector, struct blk_zone *zone,
                            unsigned count)
{
    uint32_t most = block->limits.max_segment_size < REPORT_BYTES ? block->limits.max_segment_size
                                                                  : REPORT_BYTES;
    unsigned room = most / sizeof(struct virtio_blk_zone_descriptor) - 1;
    unsigned wanted = count < room ? count : room;
    struct blk_segment segment = {.len = (wanted + 1) *
                                         (uint32_t)sizeof(struct virtio_blk_zone_descriptor)};
    struct blk_request request = {
        .op = BLK_ZONE_REPORT, .sector = sector, .segment = &segment, .segments = 1};
    int result;

    segment.data = platform_dma_alloc(REPORT_BYTES, 64);
    if (!segment.data)
        return -ENOMEM;
    result = blk_wait(block, &request);
    if (!result)
        result = take_report(block, sector, segment.data, zone, wanted);
    platform_dma_free(segment.data, REPORT_BYTES);
    return result;
}
