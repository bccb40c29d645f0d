/*
 * block.c - the block layer: checks, splitting, order, time-outs and the waiting forms of requests.
 *
 * A request is in one of two lists of its device: `waiting` until the driver has all of its parts,
 * then `active` until the last part came back. Parts carry a pointer to their request and nothing
 * else, so splitting needs no memory of its own. Knows no driver. The contract is in block.h; read
 * virtio_blk.c next.
 */
#include "blk/block.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "platform.h"

/* A device of which nothing was heard for so long is looked after: it may have been pulled out. */
#define LOOK_NS 100000000u

static struct blk_device *devices[BLK_DEVICES_MAX];
static unsigned devices_added;
static void (*watcher)(struct blk_device *device, bool added);

/* The device that has the queue: itself, or of a partition its disk. */
static struct blk_device *disk_of(struct blk_device *device)
{
    return device->parent ? device->parent : device;
}

/* ---- lists ---- */

static void list_append(struct blk_request **head, struct blk_request **tail,
                        struct blk_request *request)
{
    request->next = NULL;
    request->previous = *tail;
    if (*tail)
        (*tail)->next = request;
    else
        *head = request;
    *tail = request;
}

static void list_prepend(struct blk_request **head, struct blk_request **tail,
                         struct blk_request *request)
{
    request->previous = NULL;
    request->next = *head;
    if (*head)
        (*head)->previous = request;
    else
        *tail = request;
    *head = request;
}

static void list_remove(struct blk_request **head, struct blk_request **tail,
                        struct blk_request *request)
{
    if (request->previous)
        request->previous->next = request->next;
    else
        *head = request->next;
    if (request->next)
        request->next->previous = request->previous;
    else
        *tail = request->previous;
}

/* ---- one request ---- */

/* Without data, but with sectors. */
static bool is_range(enum blk_op op)
{
    return op == BLK_DISCARD || op == BLK_WRITE_ZEROES || op == BLK_SECURE_ERASE;
}

/* Sectors that the device takes at once. */
static uint32_t range_limit(const struct blk_device *device, enum blk_op op)
{
    return op == BLK_DISCARD        ? device->limits.max_discard_sectors
           : op == BLK_WRITE_ZEROES ? device->limits.max_zeroes_sectors
                                    : device->limits.max_erase_sectors;
}

static void finish(struct blk_request *request)
{
    struct blk_device *device = request->device;

    if (request->status) {
        device->stats.errors++;
        if (device->parent)
            device->parent->stats.errors++;
    }
    request->done(request);
}

/* Bytes of its segments; 0 for lengths that no request may have. */
static uint64_t data_bytes(const struct blk_request *request)
{
    uint64_t bytes = 0;
    unsigned i;

    for (i = 0; i < request->segments; i++) {
        if (request->segment[i].len == 0 || request->segment[i].len % BLK_SECTOR_SIZE)
            return 0;
        bytes += request->segment[i].len;
    }
    return bytes;
}

static int check_range(const struct blk_device *device, const struct blk_request *request)
{
    uint32_t block = device->block_size / BLK_SECTOR_SIZE;

    if (request->length == 0 || request->length % block || request->sector % block)
        return -EINVAL;
    if (request->sector > device->capacity || request->length > device->capacity - request->sector)
        return -EINVAL;
    /* A disk may have shrunk since its partitions were found. */
    if (device->parent &&
        device->start + request->sector + request->length > device->parent->capacity)
        return -EIO;
    return request->op != BLK_READ && device->read_only ? -EROFS : 0;
}

/* Sets its length as well. */
static int check(const struct blk_device *device, struct blk_request *request)
{
    if (device->gone)
        return -EIO;
    request->length = 1;
    if (request->op == BLK_FLUSH || request->op >= BLK_GET_ID)
        return 0;
    if (!is_range(request->op))
        request->length = data_bytes(request) / BLK_SECTOR_SIZE;
    else if (range_limit(device, request->op) == 0)
        return -ENOTSUP;
    else
        request->length = request->sectors;
    return check_range(device, request);
}

static void count(struct blk_device *device, const struct blk_request *request)
{
    if (request->op == BLK_READ) {
        device->stats.reads++;
        device->stats.sectors_read += request->length;
    } else if (request->op == BLK_WRITE) {
        device->stats.writes++;
        device->stats.sectors_written += request->length;
    } else if (request->op == BLK_FLUSH) {
        device->stats.flushes++;
    } else if (is_range(request->op)) {
        device->stats.ranges++;
        device->stats.sectors_in_ranges += request->length;
    }
}

/*
 * Cuts the next part off a request: as many pieces as the limits allow, ending on a block boundary.
 * Returns its length in sectors, and where the part after it starts.
 */
static uint64_t cut_part(const struct blk_device *device, const struct blk_request *request,
                         struct blk_segment *segment, unsigned *segments, unsigned *index,
                         uint32_t *offset)
{
    uint64_t room = (uint64_t)device->limits.max_sectors * BLK_SECTOR_SIZE, bytes = 0;
    unsigned n = 0;

    *index = request->index;
    *offset = request->offset;
    while (*index < request->segments && n < device->limits.max_segments && bytes < room) {
        const struct blk_segment *from = &request->segment[*index];
        uint32_t len = from->len - *offset;

        if (len > device->limits.max_segment_size)
            len = device->limits.max_segment_size;
        if (len > room - bytes)
            len = (uint32_t)(room - bytes);
        segment[n].data = (uint8_t *)from->data + *offset;
        segment[n++].len = len;
        bytes += len;
        *offset += len;
        if (*offset == from->len) {
            (*index)++;
            *offset = 0;
        }
    }
    *segments = n;
    return bytes / BLK_SECTOR_SIZE;
}

/* Takes back from the end of a part what goes beyond its last whole block. Returns the sectors
 * left, maybe none. */
static uint64_t trim_to_block(const struct blk_device *device, const struct blk_request *request,
                              struct blk_segment *segment, unsigned *segments, uint64_t sectors,
                              unsigned *index, uint32_t *offset)
{
    uint32_t excess =
        (uint32_t)(sectors % (device->block_size / BLK_SECTOR_SIZE)) * BLK_SECTOR_SIZE;

    sectors -= excess / BLK_SECTOR_SIZE;
    while (excess > 0) {
        struct blk_segment *last = &segment[*segments - 1];
        uint32_t len = excess < last->len ? excess : last->len;

        if (*offset == 0)
            *offset = request->segment[--*index].len;
        *offset -= len;
        last->len -= len;
        excess -= len;
        if (last->len == 0)
            (*segments)--;
    }
    return sectors;
}

static bool wholly_given(const struct blk_request *request)
{
    return request->position == request->length;
}

/* The next part of a range: whole blocks, and the parts after it begin where the device likes it. */
static uint64_t cut_range(const struct blk_device *device, const struct blk_request *request)
{
    uint64_t left = request->length - request->position;
    uint32_t limit = range_limit(device, request->op), align = device->limits.range_alignment;
    uint64_t first = request->start + request->sector + request->position, beyond;

    limit -= limit % (device->block_size / BLK_SECTOR_SIZE);
    if (left <= limit)
        return left;
    beyond = align ? (first + limit) % align : 0;
    return beyond < limit ? limit - beyond : limit;
}

/* Fills in the part that comes next; *index and *offset are where the one after it starts. Returns
 * its length in sectors, 0: the device cannot take it. */
static uint64_t make_part(const struct blk_device *device, const struct blk_request *request,
                          struct blk_part *part, struct blk_segment *segment, unsigned *index,
                          uint32_t *offset)
{
    uint64_t sectors;

    part->sector = request->start + request->sector + request->position;
    if (is_range(request->op)) {
        part->sectors = (uint32_t)cut_range(device, request);
        return part->sectors;
    }
    if (request->op >= BLK_GET_ID) {
        part->segments = request->segments;
        part->segment = request->segment;
        return 1;
    }
    sectors = cut_part(device, request, segment, &part->segments, index, offset);
    /* None is left when the pieces are so small that more of them are needed for one block than the
     * device takes. */
    return trim_to_block(device, request, segment, &part->segments, sectors, index, offset);
}

/* Gives the driver the next part of a request. */
static int submit_part(struct blk_device *device, struct blk_request *request)
{
    struct blk_segment segment[BLK_MAX_SEGMENTS];
    struct blk_part part = {
        .op = request->op, .unmap = request->unmap, .token = request, .segment = segment};
    unsigned index = 0;
    uint32_t offset = 0;
    uint64_t sectors = 1;
    int error;

    if (request->op != BLK_FLUSH)
        sectors = make_part(device, request, &part, segment, &index, &offset);
    /* No range any more: the device was found to take none meanwhile. */
    if (sectors == 0)
        return is_range(request->op) ? -ENOTSUP : -EINVAL;
    /* Counted before the call, in which the part may already complete. */
    request->parts++;
    if (device->parts_in_flight++ == 0)
        device->look_ns = platform_now_ns() + LOOK_NS;
    error = device->ops->submit(device, &part);
    if (error) {
        request->parts--;
        device->parts_in_flight--;
        return error;
    }
    request->position += sectors;
    request->index = index;
    request->offset = offset;
    request->deadline_ns = platform_now_ns() + device->timeout_ms * 1000000ull;
    device->stats.parts++;
    return 0;
}

/* ---- the queue of a device ---- */

/* Gives the driver what it takes of a request, until all of it is given or it failed. -ENOSPC: the
 * rest later. */
static int give_parts(struct blk_device *device, struct blk_request *request)
{
    int error = 0;

    if (request->op == BLK_FLUSH && !device->has_flush)
        request->position = request->length;
    while (!error && !request->status && !wholly_given(request))
        error = submit_part(device, request);
    if (error == -ENOSPC)
        return error;
    if (error && !request->status)
        request->status = error;
    /* Of a request that failed, the rest is not given at all. */
    request->position = request->length;
    return 0;
}

/* When a device that takes nothing, though it has nothing, will be believed no longer. */
static uint64_t refusal_deadline(const struct blk_device *device)
{
    return device->refused_ns ? device->refused_ns + device->timeout_ms * 1000000ull
                              : PLATFORM_NO_DEADLINE;
}

/* Is it full, or only unwilling? What it has of ours will make room; without any, time decides. */
static bool refuses_for_too_long(struct blk_device *device)
{
    if (device->parts_in_flight > 0)
        device->refused_ns = 0;
    else if (!device->refused_ns)
        device->refused_ns = platform_now_ns() | 1;
    return refusal_deadline(device) <= platform_now_ns();
}

static void give_up(struct blk_device *device, struct blk_request *request)
{
    log_error("%s: nothing was taken for %u ms: a request fails", device->name, device->timeout_ms);
    device->stats.timeouts++;
    request->status = -EIO;
    request->position = request->length;
}

/* Moves the first waiting request on. False: the device is full, or a flush must wait for what is
 * before it. */
static bool dispatch_one(struct blk_device *device, struct blk_request *request)
{
    int error;

    if (request->op == BLK_FLUSH && device->parts_in_flight > 0)
        return false;
    /* One part more than there is keeps blk_complete() from finishing it before it is in its list.
     */
    request->parts++;
    device->flushing = request->op == BLK_FLUSH;
    error = give_parts(device, request);
    request->parts--;
    if (!error) {
        device->refused_ns = 0;
    } else if (refuses_for_too_long(device)) {
        give_up(device, request);
    } else {
        device->stats.full++;
        device->flushing = false;
        return false;
    }
    list_remove(&device->waiting_head, &device->waiting_tail, request);
    if (request->parts > 0) {
        list_append(&device->active_head, &device->active_tail, request);
        return true;
    }
    device->flushing = false;
    finish(request);
    return true;
}

/*
 * Moves requests on in order. A completion callback may submit more, which lands here again: the
 * outer call goes on with it, so the stack does not grow.
 */
static void dispatch(struct blk_device *device)
{
    if (device->dispatching)
        return;
    device->dispatching = true;
    while (device->waiting_head && !device->flushing && !device->gone)
        if (!dispatch_one(device, device->waiting_head))
            break;
    device->dispatching = false;
}

static void rewind_request(struct blk_request *request)
{
    request->position = 0;
    request->index = 0;
    request->offset = 0;
    request->lost = false;
}

void blk_submit(struct blk_device *device, struct blk_request *request)
{
    struct blk_device *disk = disk_of(device);

    request->device = device;
    request->start = device->start;
    request->length = 0;
    request->parts = request->replays = 0;
    rewind_request(request);
    request->status = check(device, request);
    if (request->status) {
        finish(request);
        return;
    }
    count(device, request);
    if (disk != device)
        count(disk, request);
    list_append(&disk->waiting_head, &disk->waiting_tail, request);
    dispatch(disk);
}

/*
 * The device has nothing of the request any more, but lost some of it: back to where it was
 * submitted. In front of all that waits, since it was submitted before; active requests are not
 * ordered among each other.
 */
static void replay(struct blk_device *device, struct blk_request *request)
{
    if (wholly_given(request)) {
        list_remove(&device->active_head, &device->active_tail, request);
        list_prepend(&device->waiting_head, &device->waiting_tail, request);
    }
    rewind_request(request);
    request->replays++;
    device->stats.replays++;
}

/* A part is back. The request ends with the last one, unless some of it is not given yet. */
static void end_part(struct blk_device *device, struct blk_request *request)
{
    device->parts_in_flight--;
    request->parts--;
    if (request->parts > 0)
        return;
    if (request->op == BLK_FLUSH)
        device->flushing = false;
    if (request->lost && !request->status) {
        replay(device, request);
    } else if (wholly_given(request)) {
        list_remove(&device->active_head, &device->active_tail, request);
        finish(request);
    }
}

void blk_complete(struct blk_device *device, struct blk_request *request, int status)
{
    if (status && !request->status)
        request->status = status;
    end_part(device, request);
}

void blk_lost(struct blk_device *device, struct blk_request *request)
{
    if (device->timing_out || request->replays == BLK_REPLAYS_MAX)
        blk_complete(device, request, -EIO);
    else {
        request->lost = true;
        end_part(device, request);
    }
}

/* ---- time-outs and the end of a device ---- */

/* When the device must have answered: of the request that it has had for longest, or of the one it
 * has a part of. */
static uint64_t first_deadline(const struct blk_device *device)
{
    uint64_t deadline =
        device->active_head ? device->active_head->deadline_ns : PLATFORM_NO_DEADLINE;
    const struct blk_request *waiting = device->waiting_head;

    if (waiting && waiting->parts > 0 && waiting->deadline_ns < deadline)
        deadline = waiting->deadline_ns;
    return deadline;
}

uint64_t blk_deadline(struct blk_device *device)
{
    uint64_t deadline, wanted;

    if (device->gone)
        return PLATFORM_NO_DEADLINE;
    device = disk_of(device);
    deadline = first_deadline(device);
    wanted = device->ops->deadline ? device->ops->deadline(device) : PLATFORM_NO_DEADLINE;
    if (device->ops->look && device->parts_in_flight > 0 && device->look_ns < deadline)
        deadline = device->look_ns;
    if (device->waiting_head && refusal_deadline(device) < deadline)
        deadline = refusal_deadline(device);
    return wanted < deadline ? wanted : deadline;
}

bool blk_arm(struct blk_device *device)
{
    return device->gone || disk_of(device)->ops->arm(disk_of(device));
}

static bool look_after(struct blk_device *device, bool progress)
{
    uint64_t now = platform_now_ns();
    unsigned parts = device->parts_in_flight;

    if (!progress && (!device->ops->look || now < device->look_ns))
        return false;
    device->look_ns = now + LOOK_NS;
    if (!progress)
        device->ops->look(device);
    return device->parts_in_flight < parts;
}

unsigned blk_poll(struct blk_device *device, unsigned budget)
{
    unsigned work;

    if (device->gone)
        return 0;
    device = disk_of(device);
    work = device->ops->poll(device, budget);
    if (device->parts_in_flight > 0)
        work += look_after(device, work > 0);
    if (device->parts_in_flight > 0 && first_deadline(device) <= platform_now_ns()) {
        log_error("%s: a request took longer than %u ms: resetting the device", device->name,
                  device->timeout_ms);
        device->stats.timeouts++;
        /* Everything in flight ends in -EIO here; the rest of a request that waits fails with its
         * parts (give_parts). */
        device->timing_out = true;
        device->ops->reset(device);
        device->timing_out = false;
        work++;
    }
    if (device->waiting_head)
        dispatch(device);
    device->ops->kick(device);
    return work;
}

static unsigned source_poll(void *arg, unsigned budget)
{
    return blk_poll(arg, budget);
}

static bool source_arm(void *arg)
{
    return blk_arm(arg);
}

static uint64_t source_deadline(void *arg)
{
    return blk_deadline(arg);
}

/* ---- devices ---- */

static const char *nonsense(const struct blk_device *device)
{
    const struct blk_limits *limits = &device->limits;

    if (device->block_size < BLK_SECTOR_SIZE || device->block_size > 65536 ||
        (device->block_size & (device->block_size - 1)))
        return "block size";
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
    device->gone = device->scanned = device->left = device->removed = false;
    return 0;
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
    while (device->waiting_head) {
        struct blk_request *request = device->waiting_head;

        list_remove(&device->waiting_head, &device->waiting_tail, request);
        request->status = -EIO;
        finish(request);
    }
    blk_leave(device);
    leave(device);
    device->removed = true;
    if (!device->holder && device->ops->destroy)
        device->ops->destroy(device);
}

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
    device = disk_of(device);
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
