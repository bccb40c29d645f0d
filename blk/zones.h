/*
 * zones.h - disks with zones (5.2.5, 5.2.6): what is in them, and writing in order.
 *
 * A sequential zone has a write pointer. A host-managed disk takes a write there and nowhere else in
 * the zone (-ESPIPE), so a zone is written by one user, one request after the other: blk_zone_write()
 * does that, blk_zone_append() leaves the place to the disk. blk_write() works in conventional zones.
 * The block size of such a disk is its write granularity. Zones belong to whole disks, partitions have
 * none (-ENOTSUP). Who writes in place, as every file system here does, has to refuse a disk of which
 * blk_is_host_managed() is true. A drive that manages its zones itself is an ordinary disk; a
 * host-aware one is, too, for who does not ask.
 *
 * Beside those of block.h errors are -EINVAL (not a zone's start, too large, or not possible in the
 * zone's state), -ESPIPE (not at the write pointer), -ETOOMANYREFS (no more zones can be open) and
 * -EOVERFLOW (no more can be partly written). All of these wait, in loop context.
 */
#ifndef FERRULE_BLK_ZONES_H
#define FERRULE_BLK_ZONES_H

#include "blk/block.h"

/* The numbers are those of 5.2.6. */
enum blk_zone_type {
    BLK_ZONE_CONVENTIONAL = 1,
    BLK_ZONE_SEQUENTIAL = 2,           /* written at its pointer only */
    BLK_ZONE_SEQUENTIAL_PREFERRED = 3, /* of a host-aware disk */
};

enum blk_zone_state {
    BLK_ZONE_NO_POINTER = 0, /* conventional */
    BLK_ZONE_EMPTY = 1,
    BLK_ZONE_OPEN_BY_WRITE = 2,
    BLK_ZONE_OPEN_BY_COMMAND = 3,
    BLK_ZONE_IS_CLOSED = 4,
    BLK_ZONE_READ_ONLY = 13,
    BLK_ZONE_FULL = 14,
    BLK_ZONE_OFFLINE = 15,
};

/* In sectors of 512 bytes. What a device says is checked: write_pointer lies within the zone where its
 * type and state have one, else it is `start`. */
struct blk_zone {
    uint64_t start, capacity, write_pointer;
    enum blk_zone_type type;
    enum blk_zone_state state;
};

bool blk_is_host_managed(const struct blk_device *device);

/* The zones from that with `sector` in it on, at most `count`. Returns how many, or an error. */
int blk_zone_report(struct blk_device *device, uint64_t sector, struct blk_zone *zone,
                    unsigned count);

/* `start` is a zone's. Opening and closing say which zones the device should keep ready; a finished one
 * is full, one that was reset is empty. */
int blk_zone_open(struct blk_device *device, uint64_t start);
int blk_zone_close(struct blk_device *device, uint64_t start);
int blk_zone_finish(struct blk_device *device, uint64_t start);
int blk_zone_reset(struct blk_device *device, uint64_t start);
int blk_zone_reset_all(struct blk_device *device);

/*
 * Writes at the zone's write pointer and moves it, as one part after the other. -ENOSPC: so much is not
 * left in the zone. After any other error `zone` is as the disk reports it.
 */
int blk_zone_write(struct blk_device *device, struct blk_zone *zone, const void *data,
                   uint32_t sectors);

/* At most zoning.max_append_sectors, wherever the zone's pointer is; `*written` is where. */
int blk_zone_append(struct blk_device *device, uint64_t start, const void *data, uint32_t sectors,
                    uint64_t *written);

#endif
