/*
 * device_blk_zones.c - the zones of the model block device (5.2.5.2, 5.2.6.2): their pointers and
 * states, and the requests about them, each checked against 5.2.6.1.
 *
 * Read device_blk.c first.
 */
#include <stdlib.h>
#include <string.h>

#include "hosted/device_blk.h"
#include "hosted/violation.h"

#define SECTOR 512u

void device_blk_make_zones(struct device_blk *blk)
{
    const struct device_blk_zoned *zoned = &blk->setup.zoned;

    if (!zoned->model || !zoned->zone_sectors)
        return;
    blk->zones = (unsigned)((blk->setup.capacity + zoned->zone_sectors - 1) / zoned->zone_sectors);
    blk->zone = calloc(blk->zones, sizeof(*blk->zone));
    if (!blk->zone)
        hosted_fail("out of memory for zones");
    for (unsigned i = 0; i < blk->zones; i++) {
        bool conventional = i < zoned->conventional;

        blk->zone[i].pointer = (uint64_t)i * zoned->zone_sectors;
        blk->zone[i].state = conventional ? ZONE_NO_POINTER : ZONE_EMPTY;
        blk->zone[i].type = conventional                             ? ZONE_CONVENTIONAL
                            : zoned->model == BLK_ZONED_HOST_MANAGED ? ZONE_SEQUENTIAL
                                                                     : ZONE_PREFERRED;
    }
}

static unsigned index_of(const struct device_blk *blk, const struct device_blk_zone *zone)
{
    return (unsigned)(zone - blk->zone);
}

static uint64_t start_of(const struct device_blk *blk, const struct device_blk_zone *zone)
{
    return (uint64_t)index_of(blk, zone) * blk->setup.zoned.zone_sectors;
}

/* Where writing ends. The last zone may be smaller. */
static uint64_t end_of(const struct device_blk *blk, const struct device_blk_zone *zone)
{
    uint64_t end = start_of(blk, zone) + blk->setup.zoned.capacity;

    return end < blk->setup.capacity ? end : blk->setup.capacity;
}

/* ---- checks ---- */

bool device_blk_is_zone_request(uint32_t type)
{
    return type == BLK_T_ZONE_APPEND || (type >= BLK_T_ZONE_REPORT && type <= BLK_T_ZONE_RESET_ALL);
}

static void check_write(const struct device_blk *blk, uint64_t sector, uint64_t sectors)
{
    uint32_t granularity = blk->setup.zoned.granularity / SECTOR;
    const struct device_blk_zone *zone = &blk->zone[sector / blk->setup.zoned.zone_sectors];

    if (sectors % granularity)
        violation("BLK-OP-24", "a write of %llu sectors", (unsigned long long)sectors);
    if (sector % granularity)
        violation("BLK-OP-25", "a write at sector %llu", (unsigned long long)sector);
    if (sector >= zone->pointer && sector + sectors > end_of(blk, zone))
        violation("BLK-OP-26", "a write of %llu sectors at %llu, the zone ends at %llu",
                  (unsigned long long)sectors, (unsigned long long)sector,
                  (unsigned long long)end_of(blk, zone));
}

void device_blk_check_zone(struct device_blk *blk, const struct wire_blk_header *header,
                           uint32_t bytes)
{
    const struct device_blk_zoned *zoned = &blk->setup.zoned;

    if (!device_has(&blk->device, BLK_F_ZONED) || !blk->zone) {
        violation("BLK-OP-17", "request type %u to a disk without zones", header->type);
        return;
    }
    if (header->sector >= blk->setup.capacity)
        violation("BLK-OP-18", "request type %u at sector %llu", header->type,
                  (unsigned long long)header->sector);
    if (header->type == BLK_T_ZONE_RESET_ALL && header->sector)
        violation("BLK-OP-20", "all zones from sector %llu on", (unsigned long long)header->sector);
    if (header->type != BLK_T_ZONE_REPORT && header->sector % zoned->zone_sectors)
        violation(header->type == BLK_T_ZONE_APPEND ? "BLK-OP-21" : "BLK-OP-19",
                  "request type %u at sector %llu", header->type,
                  (unsigned long long)header->sector);
    if (header->type == BLK_T_ZONE_APPEND && (bytes == 0 || bytes % zoned->granularity))
        violation("BLK-OP-22", "an append of %u bytes", bytes);
    if (header->type == BLK_T_ZONE_APPEND && bytes / SECTOR > zoned->max_append)
        violation("BLK-OP-23", "an append of %u bytes", bytes);
    if (blk->setup.read_only && header->type != BLK_T_ZONE_REPORT)
        violation("BLK-OP-3", "request type %u to a read-only device", header->type);
}

/* ---- states ---- */

static bool is_open(const struct device_blk_zone *zone)
{
    return zone->state == ZONE_OPEN || zone->state == ZONE_OPEN_EXPLICITLY;
}

static bool is_active(const struct device_blk_zone *zone)
{
    return is_open(zone) || zone->state == ZONE_CLOSED;
}

static void close_zone(const struct device_blk *blk, struct device_blk_zone *zone)
{
    zone->state = zone->pointer == start_of(blk, zone) ? ZONE_EMPTY : ZONE_CLOSED;
}

/* Room for one more open zone, by closing one that was opened by a write if need be. */
static uint8_t make_room(struct device_blk *blk, const struct device_blk_zone *wanted)
{
    struct device_blk_zone *closable = NULL;
    unsigned open = 0, active = 0;

    for (unsigned i = 0; i < blk->zones; i++) {
        struct device_blk_zone *zone = &blk->zone[i];

        open += is_open(zone);
        active += is_active(zone);
        if (zone->state == ZONE_OPEN && zone != wanted)
            closable = zone;
    }
    if (is_open(wanted))
        return BLK_S_OK;
    if (blk->setup.zoned.max_active && active >= blk->setup.zoned.max_active && !is_active(wanted))
        return BLK_S_ZONE_ACTIVE_RESOURCE;
    if (!blk->setup.zoned.max_open || open < blk->setup.zoned.max_open)
        return BLK_S_OK;
    if (!closable)
        return BLK_S_ZONE_OPEN_RESOURCE;
    close_zone(blk, closable);
    return BLK_S_OK;
}

static uint8_t change(struct device_blk *blk, struct device_blk_zone *zone, uint32_t type)
{
    uint8_t status = BLK_S_OK;

    if (zone->type == ZONE_CONVENTIONAL || zone->state == ZONE_OFFLINE ||
        zone->state == ZONE_READ_ONLY)
        return BLK_S_ZONE_INVALID_CMD;
    switch (type) {
    case BLK_T_ZONE_OPEN:
        if (zone->state == ZONE_FULL)
            return BLK_S_ZONE_INVALID_CMD;
        status = make_room(blk, zone);
        if (status == BLK_S_OK)
            zone->state = ZONE_OPEN_EXPLICITLY;
        return status;
    case BLK_T_ZONE_CLOSE:
        if (!is_active(zone))
            return BLK_S_ZONE_INVALID_CMD;
        close_zone(blk, zone);
        return BLK_S_OK;
    case BLK_T_ZONE_FINISH:
        zone->pointer = end_of(blk, zone);
        zone->state = ZONE_FULL;
        return BLK_S_OK;
    default:
        zone->pointer = start_of(blk, zone);
        zone->state = ZONE_EMPTY;
        return BLK_S_OK;
    }
}

static uint8_t change_all(struct device_blk *blk)
{
    for (unsigned i = 0; i < blk->zones; i++)
        if (blk->zone[i].state != ZONE_OFFLINE && blk->zone[i].state != ZONE_READ_ONLY &&
            blk->zone[i].type != ZONE_CONVENTIONAL)
            change(blk, &blk->zone[i], BLK_T_ZONE_RESET);
    return BLK_S_OK;
}

/* ---- writing ---- */

uint8_t device_blk_zone_takes(struct device_blk *blk, uint64_t sector, uint64_t sectors)
{
    struct device_blk_zone *zone;
    uint8_t status;

    if (!blk->zone || sectors == 0)
        return BLK_S_OK;
    zone = &blk->zone[sector / blk->setup.zoned.zone_sectors];
    if (zone->type != ZONE_SEQUENTIAL)
        return BLK_S_OK;
    check_write(blk, sector, sectors);
    if (zone->state == ZONE_OFFLINE || zone->state == ZONE_READ_ONLY || zone->state == ZONE_FULL)
        return BLK_S_ZONE_INVALID_CMD;
    if (sector != zone->pointer)
        return BLK_S_ZONE_UNALIGNED_WP;
    if (sectors > end_of(blk, zone) - sector)
        return BLK_S_ZONE_INVALID_CMD;
    status = make_room(blk, zone);
    if (status != BLK_S_OK)
        return status;
    zone->pointer += sectors;
    if (zone->pointer == end_of(blk, zone))
        zone->state = ZONE_FULL;
    else if (!is_open(zone))
        zone->state = ZONE_OPEN;
    return BLK_S_OK;
}

static uint8_t append(struct device_blk *blk, struct ring_chain *chain,
                      struct device_blk_zone *zone, uint32_t bytes)
{
    uint64_t sector = zone->pointer, told = sector + blk->lie_append;
    uint8_t status;

    if (zone->type != ZONE_SEQUENTIAL || bytes / SECTOR > end_of(blk, zone) - sector)
        return BLK_S_ZONE_INVALID_CMD;
    status = device_blk_zone_takes(blk, sector, bytes / SECTOR);
    if (status != BLK_S_OK)
        return status;
    ring_chain_read(chain, sizeof(struct wire_blk_header), blk->disk + sector * SECTOR, bytes);
    ring_chain_write(chain, 0, &told, sizeof(told));
    return BLK_S_OK;
}

static uint8_t report(struct device_blk *blk, struct ring_chain *chain, uint64_t sector,
                      uint32_t bytes)
{
    uint64_t count = 0, room = bytes / sizeof(struct wire_blk_zone);
    uint8_t head[sizeof(struct wire_blk_zone)] = {0};

    for (uint64_t i = sector / blk->setup.zoned.zone_sectors; i < blk->zones && count + 1 < room;
         i++) {
        const struct device_blk_zone *zone = &blk->zone[i];
        struct wire_blk_zone told = {.capacity = end_of(blk, zone) - start_of(blk, zone),
                                     .start = start_of(blk, zone) + blk->lie_report,
                                     .pointer = zone->pointer,
                                     .type = zone->type,
                                     .state = zone->state};

        ring_chain_write(chain, (uint32_t)(++count * sizeof(told)), &told, sizeof(told));
    }
    memcpy(head, &count, sizeof(count));
    ring_chain_write(chain, 0, head, sizeof(head));
    return BLK_S_OK;
}

uint8_t device_blk_do_zone(struct device_blk *blk, struct ring_chain *chain,
                           const struct wire_blk_header *header, uint32_t bytes)
{
    struct device_blk_zone *zone;

    if (!blk->zone || header->sector >= blk->setup.capacity)
        return BLK_S_UNSUPP;
    zone = &blk->zone[header->sector / blk->setup.zoned.zone_sectors];
    switch (header->type) {
    case BLK_T_ZONE_REPORT:
        return report(blk, chain, header->sector, bytes);
    case BLK_T_ZONE_APPEND:
        return append(blk, chain, zone, bytes);
    case BLK_T_ZONE_RESET_ALL:
        return change_all(blk);
    default:
        return change(blk, zone, header->type);
    }
}
