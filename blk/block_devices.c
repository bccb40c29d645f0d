/*
 * block_devices.c - which block devices there are: their names, their partitions, who has a claim on
 * them, and how they come and go.
 *
 * What they are asked to do is block.c's. The contract is in block.h.
 */
#include <errno.h>
#include <string.h>

#include "blk/block_impl.h"
#include "log.h"

static struct blk_device *devices[BLK_DEVICES_MAX];
static unsigned devices_added;
static void (*watcher)(struct blk_device *device, bool added);

static const char *nonsense(const struct blk_device *device)
{
    const struct blk_limits *limits = &device->limits;

    if (device->block_size < BLK_SECTOR_SIZE || device->block_size > 65536 ||
        (device->block_size & (device->block_size - 1)))
        return "block size";
    if (device->capacity > BLK_MAX_SECTORS)
        return "capacity";
    if (limits->max_segments < 1 || limits->max_segments > BLK_MAX_SEGMENTS)
        return "number of segments";
    if (limits->max_segment_size < device->block_size ||
        limits->max_segment_size % device->block_size)
        return "segment size";
    if (limits->max_sectors < device->block_size / BLK_SECTOR_SIZE)
        return "request size";
    return NULL;
}

struct blk_device *blk_find(const char *name)
{
    unsigned i;

    for (i = 0; i < BLK_DEVICES_MAX; i++)
        if (devices[i] && strcmp(devices[i]->name, name) == 0)
            return devices[i];
    return NULL;
}

/* The first free name of its kind: a to z, then aa, ab and so on. */
static void name_device(struct blk_device *device)
{
    const char *prefix = device->prefix ? device->prefix : "vd";
    char name[sizeof(device->name)];
    unsigned n = 0;

    do {
        if (n < 26)
            format_text(name, sizeof(name), "%s%c", prefix, 'a' + (int)n);
        else
            format_text(name, sizeof(name), "%s%c%c", prefix, 'a' + (int)(n / 26 - 1),
                        'a' + (int)(n % 26));
        n++;
    } while (blk_find(name));
    memcpy(device->name, name, sizeof(name));
}

static int enter(struct blk_device *device)
{
    unsigned i;

    for (i = 0; i < BLK_DEVICES_MAX && devices[i]; i++)
        ;
    if (i == BLK_DEVICES_MAX)
        return -ENOSPC;
    devices[i] = device;
    devices_added++;
    device->gone = device->scanned = device->left = device->removed = device->crowded = false;
    return 0;
}

/* ---- coming and going ---- */

static unsigned source_poll(void *arg, unsigned budget)
{
    return blk_poll(arg, budget);
}

/* What has nothing to do is woken by blk_submit(), and a partition never: its disk is asked for it. */
static bool source_arm(void *arg)
{
    struct blk_device *device = arg;

    if (device->parent || (!device->parts_in_flight && !device->waiting_head))
        loop_sleep(&device->source);
    return blk_arm(device);
}

static uint64_t source_deadline(void *arg)
{
    return blk_deadline(arg);
}

int blk_add(struct blk_device *device)
{
    const char *what = nonsense(device);
    int error;

    if (what) {
        log_error("block device refused: its %s makes no sense", what);
        return -EINVAL;
    }
    name_device(device);
    error = enter(device);
    if (error)
        return error;
    if (!device->timeout_ms)
        device->timeout_ms = BLK_DEFAULT_TIMEOUT_MS;
    device->source = (struct loop_source){.name = device->name,
                                          .poll = source_poll,
                                          .arm = source_arm,
                                          .deadline = source_deadline,
                                          .arg = device};
    loop_add(&device->source);
    if (watcher)
        watcher(device, true);
    return 0;
}

int blk_add_partition(struct blk_device *device, unsigned number)
{
    const struct blk_device *disk = device->parent;
    int error;

    format_text(device->name, sizeof(device->name), "%s%u", disk->name, number);
    if (blk_find(device->name))
        return -EEXIST;
    device->block_size = disk->block_size;
    device->read_only = disk->read_only;
    device->has_flush = disk->has_flush;
    device->limits = disk->limits;
    device->zoning = disk->zoning;
    device->timeout_ms = disk->timeout_ms;
    error = enter(device);
    if (!error && watcher)
        watcher(device, true);
    return error;
}

void blk_watch(void (*new_watcher)(struct blk_device *device, bool added))
{
    watcher = new_watcher;
}

/* Partitions first. A device that left already is not told of again. */
void blk_leave(struct blk_device *device)
{
    unsigned i;

    if (device->left)
        return;
    device->left = true;
    for (i = 0; i < BLK_DEVICES_MAX; i++)
        if (devices[i] && devices[i]->parent == device)
            blk_leave(devices[i]);
    if (watcher)
        watcher(device, false);
}

static void mark_gone(struct blk_device *device)
{
    unsigned i;

    device->gone = true;
    for (i = 0; i < BLK_DEVICES_MAX; i++)
        if (devices[i] && devices[i]->parent == device)
            devices[i]->gone = true;
}

/* Takes a disk and its partitions off the list. Who holds one of these gets -EIO from now on. */
static void leave(struct blk_device *device)
{
    unsigned i;

    for (i = 0; i < BLK_DEVICES_MAX; i++) {
        struct blk_device *other = devices[i];

        if (!other || (other != device && other->parent != device))
            continue;
        other->parent = NULL;
        devices[i] = NULL;
    }
}

void blk_remove(struct blk_device *device)
{
    mark_gone(device);
    loop_remove(&device->source);
    blk_end_waiting(device);
    blk_leave(device);
    leave(device);
    device->removed = true;
    if (!device->holder && device->ops->destroy)
        device->ops->destroy(device);
}

/* ---- questions and claims ---- */

unsigned blk_devices_added(void)
{
    return devices_added;
}

const char *blk_holder(const struct blk_device *device)
{
    unsigned i;

    if (device->holder)
        return device->holder;
    if (device->parent)
        return device->parent->holder;
    for (i = 0; i < BLK_DEVICES_MAX; i++)
        if (devices[i] && devices[i]->parent == device && devices[i]->holder)
            return devices[i]->holder;
    return NULL;
}

int blk_claim(struct blk_device *device, const char *holder)
{
    if (blk_holder(device))
        return -EBUSY;
    device->holder = holder;
    return 0;
}

void blk_release(struct blk_device *device)
{
    device->holder = NULL;
    if (device->removed && device->ops->destroy)
        device->ops->destroy(device);
}

int blk_set_write_cache(struct blk_device *device, bool on)
{
    if (device->gone)
        return -EIO;
    device = blk_disk_of(device);
    return device->ops->set_write_cache ? device->ops->set_write_cache(device, on) : -ENOTSUP;
}

struct blk_device *blk_device_at(unsigned index)
{
    unsigned i;

    for (i = 0; i < BLK_DEVICES_MAX; i++)
        if (devices[i] && index-- == 0)
            return devices[i];
    return NULL;
}
