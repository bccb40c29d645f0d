/*
 * block.h - the block layer: asynchronous requests on sectors, whatever device is behind them.
 *
 * The contract of a request:
 *  - blk_submit() takes it always; `done` is called exactly once for it, in loop context, possibly
 * before blk_submit() returns.
 *  - Request, segment list and buffers belong to the layer until then.
 *  - A request larger than the device's limits is split; it completes when its last part does, with
 * the first error.
 *  - Reads, or writes, that wait because the device is full or flushes, and of which one goes on where
 * another ends, may be given to it as one. When that fails each is given again on its own, so that
 * each ends with its own status.
 *  - Requests may complete in any order, and overlapping ones are not ordered, except: a BLK_FLUSH
 * is given to the device only after every request submitted before it has completed, and nothing
 * submitted after it starts before it has completed. When it completes with 0, all writes that
 * completed before it was submitted are on stable storage.
 *  - A part that the device does not finish within the time-out resets the device; all requests in
 * flight then end in -EIO, and only after the reset, so that no late answer can write into memory
 * that was given back.
 *  - A device that must be reset for another reason (it asked for it, or broke its queue) loses what
 * it had; those requests are given to it again from their start, up to BLK_REPLAYS_MAX times, and
 * their callers do not notice. That is safe for each of them: a read or a flush changes nothing, and
 * a write brings the same data to the same sectors, with which no other request is ordered. On a
 * host-managed disk it is not, so writes and all that zones.h has end in -EIO there.
 *  - Status is 0, -EIO (device error, time-out, device gone, a partition beyond the end of a disk
 * that shrank), -EROFS (write to a read-only device), -EINVAL (range, alignment or an empty
 * request), -ENOTSUP (the device does not know the operation).
 *
 * A partition (partition.h) is a device whose requests go to its disk with their sectors moved: no
 * copy, no queue of its own; order and flushes are those of the disk. Drivers (virtio_blk.c, later
 * others) implement struct blk_ops and call
 * blk_complete(). All of it runs in loop context. Read block.c next, then virtio_blk.c.
 */
#ifndef FERRULE_BLK_BLOCK_H
#define FERRULE_BLK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

/* The unit of sector numbers and capacities, whatever the device's block size (5.2.4). */
#define BLK_SECTOR_SIZE 512u
/* Sectors of a disk: with more, its bytes could not be counted. */
#define BLK_MAX_SECTORS (UINT64_MAX / 2 / BLK_SECTOR_SIZE)

/* More pieces than any device gets in one part; a driver's limit may be lower. */
#define BLK_MAX_SEGMENTS 128u

#define BLK_DEFAULT_TIMEOUT_MS 30000u

/* How often a request is given again to a device that lost it. One that meets more resets may well
 * be their cause. */
#define BLK_REPLAYS_MAX 3u
/* Devices at a time, partitions included. */
#define BLK_DEVICES_MAX 128u

/*
 * What a request does. DISCARD: nobody needs the sectors any more, and what is read from them then
 * is not defined. WRITE_ZEROES: they read as zeros; with `unmap` the device may free them. SECURE_
 * ERASE: discard, and nobody can ever read what was there. These three have `sectors` and no
 * segments; where a device does not know them they end in -ENOTSUP. GET_ID and GET_LIFETIME are for
 * drivers, with one segment of their own size. Zones are zones.h's.
 */
enum blk_op {
    BLK_READ,
    BLK_WRITE,
    BLK_FLUSH,
    BLK_DISCARD,
    BLK_WRITE_ZEROES,
    BLK_SECURE_ERASE,
    BLK_GET_ID,
    BLK_GET_LIFETIME,
    BLK_ZONE_REPORT,
    BLK_ZONE_OPEN,
    BLK_ZONE_CLOSE,
    BLK_ZONE_FINISH,
    BLK_ZONE_RESET,
    BLK_ZONE_RESET_ALL,
    BLK_ZONE_APPEND,
    BLK_OPS, /* how many there are */
};

/* One piece of memory. Any address; the lengths of a request add up to a multiple of the block
 * size, each a multiple of 512. */
struct blk_segment {
    void *data;
    uint32_t len; /* bytes */
};

struct blk_device;
struct blk_zone;

struct blk_request {
    enum blk_op op;
    uint64_t sector;                   /* first sector (512 bytes each); ignored for BLK_FLUSH */
    const struct blk_segment *segment; /* NULL where there is no data */
    unsigned segments;
    uint64_t sectors; /* of DISCARD, WRITE_ZEROES and SECURE_ERASE */
    bool unmap;       /* WRITE_ZEROES: the device may free them */
    void (*done)(struct blk_request *request);
    void *context;   /* the caller's own */
    int status;      /* valid in done */
    uint64_t result; /* BLK_ZONE_APPEND: the first sector that was written */

    /* Private to the layer from blk_submit() to done. */
    struct blk_device *device; /* that it was submitted to */
    uint64_t start;            /* first sector of that device on its disk */
    struct blk_request *next, *previous;
    uint64_t deadline_ns;       /* of the part that was given last */
    uint64_t position;          /* sectors of it that were given to the device */
    uint64_t length;            /* sectors in all; 1 for a flush */
    unsigned index;             /* segment at which the next part starts ... */
    uint32_t offset;            /* ... and the byte in it */
    unsigned parts;             /* parts that the device still has */
    unsigned replays;           /* times that it was given from its start again */
    bool lost;                  /* the device lost a part */
    bool alone;                 /* not together with others any more */
    struct blk_request *merged; /* the next of those that go to the device together */
};

/* What a device can take at once. The layer splits to these. */
struct blk_limits {
    uint32_t max_segments;     /* pieces in one part, 1..BLK_MAX_SEGMENTS */
    uint32_t max_segment_size; /* bytes in one piece, a multiple of the block size */
    uint32_t max_sectors;      /* sectors in one part */
    /* The same for ranges; 0: the device does not know the operation. */
    uint32_t max_discard_sectors, max_zeroes_sectors, max_erase_sectors;
    uint32_t range_alignment; /* sectors: where parts of a range had best begin; 0: anywhere */
};

/* One part as the driver gets it: at most the limits above. `token` goes back by blk_complete(). */
struct blk_part {
    enum blk_op op;
    uint64_t sector;
    const struct blk_segment *segment; /* valid during the call only */
    unsigned segments;
    uint32_t sectors; /* of a range, which has no segments */
    bool unmap;
    struct blk_request *token;
};

struct blk_ops {
    /*
     * Takes a part (it may even complete it at once), or -ENOSPC (full, or being reset: tried again
     * at a later poll), or another error, which ends the request. Work: in proportion to its
     * segments.
     */
    int (*submit)(struct blk_device *device, const struct blk_part *part);
    /* Makes the parts submitted since the last call visible to the device: one notification for
     * all. */
    void (*kick)(struct blk_device *device);
    /* Completes at most `budget` finished parts by blk_complete() and returns how many. Device
     * notifications are off after it. Work: a look at each queue, `budget` parts (whose words the
     * CPU may have to move, with IDE), and a reset besides. */
    unsigned (*poll)(struct blk_device *device, unsigned budget);
    /* Turns device notifications on; false: something finished meanwhile, poll again. */
    bool (*arm)(struct blk_device *device);
    /* When poll wants to run even without a notification, on platform_now_ns()'s clock, or
     * PLATFORM_NO_DEADLINE. May be NULL. */
    uint64_t (*deadline)(struct blk_device *device);
    /*
     * Called now and then while nothing comes back: is the device still able to answer? If not, it
     * takes everything back, as reset does. May be NULL.
     */
    void (*look)(struct blk_device *device);
    /* Takes everything back from a device that stalls: after it, no part is in flight (each went to
     * blk_complete() or blk_lost()). */
    void (*reset)(struct blk_device *device);
    /* The device was removed and nobody has a claim on it any more: its memory may go. May be NULL. */
    void (*destroy)(struct blk_device *device);
    /* blk_set_write_cache(). NULL: it cannot be chosen. */
    int (*set_write_cache)(struct blk_device *device, bool on);
    /* As many zones from this sector on as one request tells, at most `count` and at least one.
     * Returns how many, or a negative errno. May be NULL. */
    int (*report_zones)(struct blk_device *device, uint64_t sector, struct blk_zone *zone,
                        unsigned count);
};

struct blk_statistics {
    uint64_t reads, writes, flushes; /* requests */
    uint64_t sectors_read, sectors_written;
    uint64_t ranges, sectors_in_ranges; /* discards, write zeroes, secure erases */
    uint64_t parts, errors, timeouts, full;
    uint64_t replays; /* requests given again */
    uint64_t merged;  /* requests that went to the device together with one before them */
};

#define BLK_SERIAL_SIZE 21

/* What a device tells of itself, for reports and for those who lay out data. 0: not known. */
struct blk_facts {
    uint32_t physical_block; /* bytes that the device writes at once; a multiple of block_size */
    uint32_t aligned_sector; /* the first sector at which such a block begins */
    uint32_t min_io, opt_io; /* bytes: requests of at least this, and best of this, size */
    uint16_t cylinders;      /* a geometry, for who needs one */
    uint8_t heads, sectors;
    char serial
        [BLK_SERIAL_SIZE]; /* empty: not known (yet: it is asked for when the disk is added) */
    /* Wear: 1 to 10 for each tenth of its life that is used up, 11: beyond it. */
    uint16_t spare_blocks_used, life_used_a, life_used_b;
    uint16_t queues;
};

/*
 * Zoned disks (5.2.5): one that is host-managed takes writes to most of its zones only where the last
 * one ended (zones.h); one that is host-aware takes any, like a disk without zones.
 */
enum blk_zone_model { BLK_ZONES_NONE, BLK_ZONES_HOST_MANAGED, BLK_ZONES_HOST_AWARE };

struct blk_zoning {
    enum blk_zone_model model;
    uint32_t zone_sectors;         /* of each zone but the last one, which may be smaller */
    uint32_t max_open, max_active; /* zones at a time; 0: any number */
    uint32_t max_append_sectors;
};

struct blk_device {
    char name[12];       /* vda, vdb, ...; vda1 is a partition */
    const char *prefix;  /* of the name, up to 4 characters; NULL: "vd" */
    uint64_t capacity;   /* sectors of 512 bytes; may change while running */
    uint32_t block_size; /* bytes: the alignment of requests, 512..65536 */
    bool read_only;
    bool
        has_flush; /* false: every completed write is stable already, BLK_FLUSH completes at once */
    struct blk_limits limits;
    struct blk_facts facts;
    struct blk_zoning zoning;
    uint32_t timeout_ms;
    struct blk_statistics stats;
    const struct blk_ops *ops;
    void *driver;              /* the driver's own */
    struct blk_device *parent; /* the disk that this is a partition of, or NULL */
    uint64_t start;            /* first sector of a partition on its disk */

    /* Private to the layer. */
    struct blk_request *waiting_head,
        *waiting_tail;                             /* not (wholly) given to the device, in order */
    struct blk_request *active_head, *active_tail; /* wholly given, oldest first */
    unsigned parts_in_flight;
    uint64_t look_ns;    /* with parts in flight: when to look after the device */
    uint64_t refused_ns; /* since when it takes nothing, though it has nothing; 0: it does */
    bool flushing;       /* a BLK_FLUSH is with the device */
    bool crowded;        /* the last dispatch left requests that wait */
    bool dispatching, gone;
    bool timing_out; /* what comes back lost is not given again */
    bool scanned;    /* for partitions */
    bool left;       /* the watcher knows that it goes */
    bool removed;    /* blk_remove() is over; a disk's only */
    const char *holder;
    struct loop_source source;
};

/*
 * For drivers. blk_add() names the device, adds it to the list and to the event loop; capacity,
 * block_size, read_only, has_flush, limits, ops and driver must be set, prefix may be. 0, -EINVAL for limits that
 * make no sense (each said in the log), -ENOSPC when the table is full. blk_remove() ends the
 * requests that still wait with -EIO and takes the device off the list; parts that the device had
 * must have been completed or lost before. blk_complete() ends one part: 0 or a negative errno.
 * blk_lost() takes one back that a reset device did not finish; its request starts again at a later
 * blk_poll(), or has ended with -EIO.
 */
int blk_add(struct blk_device *device);
void blk_remove(struct blk_device *device);
void blk_complete(struct blk_device *device, struct blk_request *token, int status);
void blk_lost(struct blk_device *device, struct blk_request *token);

/*
 * For partition.c: adds a partition, of which `parent`, `start` and `capacity` are set; the rest is
 * taken from the disk. It goes when the disk is removed, and only then. 0, -EEXIST when the name is
 * taken, -ENOSPC.
 */
int blk_add_partition(struct blk_device *device, unsigned number);

/*
 * For drivers: the device will be removed, and still works. Requests that are submitted and waited
 * for in the watcher are the last ones.
 */
void blk_leave(struct blk_device *device);

/*
 * Called with each device that is added from now on, partitions too, and once with each that leaves:
 * while it still works where that is known before (blk_leave()), else when it is gone already.
 */
void blk_watch(void (*watcher)(struct blk_device *device, bool added));

/* The devices, in the order they were found, partitions too; NULL past the end. */
struct blk_device *blk_device_at(unsigned index);

/* The device with this name, or NULL. */
struct blk_device *blk_find(const char *name);

/* Writes a line or two about each device to the console. */
void blk_print_report(void);

/* Devices and partitions added so far, ever: when it changes, there is a new one. */
unsigned blk_devices_added(void);

/*
 * Who uses a device for itself (a mounted volume): a claim is refused with -EBUSY while the device,
 * its disk or a partition of it is claimed. It binds only those who ask; requests are not checked.
 * `holder` is for people and must live as long as the claim. blk_holder() says who has claimed
 * something of this device's sectors, or NULL. A device that is removed stays in memory until its
 * claim is released, off the list, and ends every request with -EIO.
 */
int blk_claim(struct blk_device *device, const char *holder);
void blk_release(struct blk_device *device);
const char *blk_holder(const struct blk_device *device);

void blk_submit(struct blk_device *device, struct blk_request *request);

/*
 * One round of completions and time-outs, and one notification of what was submitted: what the event
 * loop calls. Returns the work done. blk_arm() and blk_deadline() are the other two functions of a
 * source (loop.h), for code that waits outside of the loop.
 */
unsigned blk_poll(struct blk_device *device, unsigned budget);
bool blk_arm(struct blk_device *device);
uint64_t blk_deadline(struct blk_device *device);

/*
 * Chooses whether the device may answer writes before they are on stable storage (write-back), or
 * only after (write-through). Off: flushes once more, after which everything completed is stable.
 * -ENOTSUP: the device does not let one choose.
 */
int blk_set_write_cache(struct blk_device *device, bool on);

/*
 * The same path, waiting: they poll this device only (no other loop source runs meanwhile) until
 * the request is done, at most for its time-out. `count` is in sectors of 512 bytes, `data` count *
 * 512 bytes. 0 or a negative errno. Not from within `done`.
 */
int blk_read(struct blk_device *device, uint64_t sector, void *data, uint32_t count);
int blk_write(struct blk_device *device, uint64_t sector, const void *data, uint32_t count);
int blk_flush(struct blk_device *device);
int blk_wait(struct blk_device *device, struct blk_request *request); /* any; sets its `done` */
int blk_write_vector(struct blk_device *device, uint64_t sector, const struct blk_segment *segment,
                     unsigned segments);
int blk_discard(struct blk_device *device, uint64_t sector, uint64_t sectors);
int blk_write_zeroes(struct blk_device *device, uint64_t sector, uint64_t sectors, bool unmap);
int blk_secure_erase(struct blk_device *device, uint64_t sector, uint64_t sectors);

#endif
