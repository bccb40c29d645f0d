/*
 * block_parts.c - what is given to the device at once: parts of a request within its limits, or
 * several that wait and go on where the other ends.
 *
 * Where the next part begins, and who goes together with whom, is kept in the requests; so neither
 * splitting nor merging needs memory of its own. Which request is next is block.c's.
 */
#include "blk/block_impl.h"

/* Requests looked at for one that goes on where another ends. */
#define MERGE_LOOK 4u

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

/* The next part of a range: whole blocks, and the parts after it begin where the device likes it. */
static uint64_t cut_range(const struct blk_device *device, const struct blk_request *request)
{
    uint64_t left = request->length - request->position;
    uint32_t limit = blk_range_limit(device, request->op), align = device->limits.range_alignment;
    uint64_t first = request->start + request->sector + request->position, beyond;

    limit -= limit % (device->block_size / BLK_SECTOR_SIZE);
    if (left <= limit)
        return left;
    beyond = align ? (first + limit) % align : 0;
    return beyond < limit ? limit - beyond : limit;
}

/* The pieces of requests that go together. */
static void gather(const struct blk_request *request, struct blk_part *part,
                   struct blk_segment *segment)
{
    unsigned i;

    for (; request; request = request->merged)
        for (i = 0; i < request->segments; i++)
            segment[part->segments++] = request->segment[i];
}

uint64_t blk_make_part(const struct blk_device *device, const struct blk_request *request,
                       struct blk_part *part, struct blk_segment *segment, unsigned *index,
                       uint32_t *offset)
{
    uint64_t sectors;

    part->sector = request->start + request->sector + request->position;
    if (request->merged) {
        gather(request, part, segment);
        return request->length;
    }
    if (blk_is_range(request->op)) {
        part->sectors = (uint32_t)cut_range(device, request);
        return part->sectors;
    }
    if (request->op >= BLK_GET_ID) {
        part->segments = request->segments;
        part->segment = request->segment;
        return request->length;
    }
    sectors = cut_part(device, request, segment, &part->segments, index, offset);
    /* None is left when the pieces are so small that more of them are needed for one block than the
     * device takes. */
    return trim_to_block(device, request, segment, &part->segments, sectors, index, offset);
}

/* ---- merging ---- */

/* What has not begun, needs no splitting, and may be given again alone. */
static bool is_mergeable(const struct blk_device *device, const struct blk_request *request)
{
    return request->position == 0 && !request->alone && blk_is_one_part(device, request) &&
           blk_may_repeat(device, request);
}

/* Among the next few that wait behind `from`, in front of a flush: the one of this kind that begins
 * at this sector. */
static struct blk_request *find_neighbour(const struct blk_request *from, enum blk_op op,
                                          uint64_t sector)
{
    struct blk_request *request = from->next;
    unsigned i;

    for (i = 0; i < MERGE_LOOK && request && request->op != BLK_FLUSH; i++) {
        if (request->op == op && request->start + request->sector == sector)
            return request;
        request = request->next;
    }
    return NULL;
}

void blk_merge(struct blk_device *device, struct blk_request *request)
{
    uint64_t first = request->start + request->sector, sectors = request->length;
    unsigned segments = request->segments;
    struct blk_request *last = request, *next;

    if (!is_mergeable(device, request))
        return;
    while ((next = find_neighbour(last, request->op, first + sectors)) != NULL) {
        sectors += next->length;
        segments += next->segments;
        if (segments > device->limits.max_segments || sectors > device->limits.max_sectors ||
            !is_mergeable(device, next))
            break;
        last->merged = next;
        last = next;
    }
}

void blk_unmerge(struct blk_request *request)
{
    struct blk_request *next;

    for (; request; request = next) {
        next = request->merged;
        request->merged = NULL;
    }
}
