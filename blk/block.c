/*
 * block.c - the block layer: checks, order and time-outs of requests.
 *
 * A request is in one of two lists of its device: `waiting` until the driver has all of its parts,
 * then `active` until the last part came back. Parts carry a pointer to their request and nothing
 * else. How they are cut is block_parts.c's, which devices there are block_devices.c's, the forms
 * that wait are wait.c's. Knows no driver. The contract is in block.h; read virtio_blk.c next.
 */
#include <errno.h>

#include "blk/block_impl.h"
#include "log.h"
#include "platform.h"

/* A device of which nothing was heard for so long is looked after: it may have been pulled out. */
#define LOOK_NS 100000000u

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

/* A write to a host-managed disk: more than one zone's. */
static bool crosses_zone(const struct blk_device *device, const struct blk_request *request)
{
    uint64_t first = device->start + request->sector, last = first + request->length - 1;

    return first / device->zoning.zone_sectors != last / device->zoning.zone_sectors;
}

static int check_append(const struct blk_device *device, const struct blk_request *request)
{
    unsigned i;

    if (request->length == 0 || request->length % (device->block_size / BLK_SECTOR_SIZE) ||
        request->length > device->zoning.max_append_sectors ||
        request->length > device->limits.max_sectors ||
        request->segments > device->limits.max_segments)
        return -EINVAL;
    for (i = 0; i < request->segments; i++)
        if (request->segment[i].len > device->limits.max_segment_size)
            return -EINVAL;
    return 0;
}

static int check_zone(const struct blk_device *device, const struct blk_request *request)
{
    if (device->zoning.model == BLK_ZONES_NONE || device->parent)
        return -ENOTSUP;
    if (request->sector >= device->capacity)
        return -EINVAL;
    if (request->op == BLK_ZONE_REPORT)
        return 0;
    if (request->sector % device->zoning.zone_sectors ||
        (request->op == BLK_ZONE_RESET_ALL && request->sector))
        return -EINVAL;
    if (device->read_only)
        return -EROFS;
    return request->op == BLK_ZONE_APPEND ? check_append(device, request) : 0;
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
    if (request->op == BLK_WRITE && device->zoning.model == BLK_ZONES_HOST_MANAGED &&
        crosses_zone(device, request))
        return -EINVAL;
    return request->op != BLK_READ && device->read_only ? -EROFS : 0;
}

/* Sets its length as well. */
static int check(const struct blk_device *device, struct blk_request *request)
{
    if (device->gone)
        return -EIO;
    request->length = 1;
    if (request->op == BLK_FLUSH || request->op == BLK_GET_ID || request->op == BLK_GET_LIFETIME)
        return 0;
    if (request->op == BLK_ZONE_APPEND)
        request->length = data_bytes(request) / BLK_SECTOR_SIZE;
    if (request->op >= BLK_ZONE_REPORT)
        return check_zone(device, request);
    if (!blk_is_range(request->op))
        request->length = data_bytes(request) / BLK_SECTOR_SIZE;
    else if (blk_range_limit(device, request->op) == 0)
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
    } else if (request->op == BLK_WRITE || request->op == BLK_ZONE_APPEND) {
        device->stats.writes++;
        device->stats.sectors_written += request->length;
    } else if (request->op == BLK_FLUSH) {
        device->stats.flushes++;
    } else if (blk_is_range(request->op)) {
        device->stats.ranges++;
        device->stats.sectors_in_ranges += request->length;
    }
}

/* Requests that went to the device together. */
static void finish_merged(struct blk_device *device, struct blk_request *request)
{
    bool dispatching = device->dispatching;
    int status = request->status;

    /* What their callbacks submit comes after all of them, as if each had been alone. */
    device->dispatching = true;
    while (request) {
        struct blk_request *next = request->merged;

        request->status = status;
        finish(request);
        request = next;
    }
    device->dispatching = dispatching;
}

static bool wholly_given(const struct blk_request *request)
{
    return request->position == request->length;
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

    if (!request->merged && request->position == 0 && blk_is_one_part(device, request)) {
        part.sector = request->start + request->sector;
        part.segment = request->segment;
        part.segments = request->segments;
        sectors = request->length;
    } else if (request->op != BLK_FLUSH) {
        sectors = blk_make_part(device, request, &part, segment, &index, &offset);
    }
    /* No range any more: the device was found to take none meanwhile. */
    if (sectors == 0)
        return blk_is_range(request->op) ? -ENOTSUP : -EINVAL;
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

static void rewind_request(struct blk_request *request)
{
    request->position = 0;
    request->index = 0;
    request->offset = 0;
    request->lost = false;
    request->merged = NULL;
}

/*
 * The device has nothing of the request any more, but lost some of it, or failed with what went
 * together with it: back to where it was submitted. In front of all that waits, since it was
 * submitted before; active requests are not ordered among each other.
 */
static void give_again(struct blk_device *device, struct blk_request *request)
{
    struct blk_request *reversed = NULL, *next;
    bool lost = request->lost;

    for (; request; request = next) {
        next = request->merged;
        request->merged = reversed;
        reversed = request;
    }
    for (; reversed; reversed = next) {
        next = reversed->merged;
        list_prepend(&device->waiting_head, &device->waiting_tail, reversed);
        rewind_request(reversed);
        reversed->status = 0;
        reversed->alone = true;
        reversed->replays += lost;
        device->stats.replays += lost;
    }
}

/*
 * All of it is back, and it is in no list. What went together and failed goes again one by one: a
 * bad sector of one is not the others' fault. But not to a device that did not answer in time.
 */
static void settle(struct blk_device *device, struct blk_request *request)
{
    if (request->op == BLK_FLUSH)
        device->flushing = false;
    if ((request->lost && !request->status) ||
        (request->merged && request->status && !device->timing_out))
        give_again(device, request);
    else if (request->merged)
        finish_merged(device, request);
    else
        finish(request);
}

/* Moves the first waiting request on. False: the device is full, or a flush must wait for what is
 * before it. */
static bool dispatch_one(struct blk_device *device, struct blk_request *request)
{
    struct blk_request *member;
    int error;

    if (request->op == BLK_FLUSH && device->parts_in_flight > 0)
        return false;
    /* One part more than there is keeps blk_complete() from finishing it before it is in its list.
     */
    request->parts++;
    device->flushing = request->op == BLK_FLUSH;
    if (device->crowded && request->next)
        blk_merge(device, request);
    error = give_parts(device, request);
    request->parts--;
    if (!error) {
        device->refused_ns = 0;
    } else {
        blk_unmerge(request);
        if (!refuses_for_too_long(device)) {
            device->stats.full++;
            device->flushing = false;
            return false;
        }
        give_up(device, request);
    }
    list_remove(&device->waiting_head, &device->waiting_tail, request);
    for (member = request->merged; member; member = member->merged) {
        list_remove(&device->waiting_head, &device->waiting_tail, member);
        device->stats.merged++;
    }
    if (request->parts > 0)
        list_append(&device->active_head, &device->active_tail, request);
    else
        settle(device, request);
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
    device->crowded = device->waiting_head != NULL;
}

void blk_submit(struct blk_device *device, struct blk_request *request)
{
    struct blk_device *disk = blk_disk_of(device);

    request->device = device;
    request->start = device->start;
    request->length = 0;
    request->parts = request->replays = 0;
    request->alone = false;
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
    loop_wake(&disk->source);
    /* Behind others that wait it waits for the poll that brings something back. */
    if (!disk->crowded)
        dispatch(disk);
}

/* A part is back. The request ends with the last one, unless some of it is not given yet. */
static void end_part(struct blk_device *device, struct blk_request *request)
{
    device->parts_in_flight--;
    request->parts--;
    if (request->parts > 0)
        return;
    if (wholly_given(request)) {
        list_remove(&device->active_head, &device->active_tail, request);
        settle(device, request);
    } else if (request->lost && !request->status) {
        list_remove(&device->waiting_head, &device->waiting_tail, request);
        give_again(device, request);
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
    if (device->timing_out || request->replays == BLK_REPLAYS_MAX ||
        !blk_may_repeat(device, request))
        blk_complete(device, request, -EIO);
    else {
        request->lost = true;
        end_part(device, request);
    }
}

/* ---- time-outs and the end of a device ---- */

void blk_end_waiting(struct blk_device *device)
{
    while (device->waiting_head) {
        struct blk_request *request = device->waiting_head;

        list_remove(&device->waiting_head, &device->waiting_tail, request);
        request->status = -EIO;
        finish(request);
    }
}

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
    device = blk_disk_of(device);
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
    return device->gone || blk_disk_of(device)->ops->arm(blk_disk_of(device));
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
    device = blk_disk_of(device);
    /* What completion callbacks submit is given to the device below, all together. */
    device->dispatching = true;
    work = device->ops->poll(device, budget);
    device->dispatching = false;
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
