/*
 * device_blk.c - the model block device (5.2).
 *
 * Each request is checked against 5.2.6.1 and the limits of the configuration before it is done on
 * a disk in memory. What goes wrong on purpose is in struct device_blk. Read device.c first.
 */
#include "hosted/device_blk.h"

#include <stdlib.h>
#include <string.h>

#include "hosted/violation.h"

#define SECTOR 512u
#define HEADER sizeof(struct wire_blk_header)
#define BLK_ID_BYTES 20u

static const struct device_field fields[] = {
    {BLK_CONFIG_CAPACITY, 8, 1, DEVICE_NO_FEATURE},
    {BLK_CONFIG_SIZE_MAX, 4, 1, BLK_F_SIZE_MAX},
    {BLK_CONFIG_SEG_MAX, 4, 1, BLK_F_SEG_MAX},
    {BLK_CONFIG_CYLINDERS, 2, 1, BLK_F_GEOMETRY},
    {BLK_CONFIG_HEADS, 1, 1, BLK_F_GEOMETRY},
    {BLK_CONFIG_SECTORS, 1, 1, BLK_F_GEOMETRY},
    {BLK_CONFIG_BLK_SIZE, 4, 1, BLK_F_BLK_SIZE},
    {BLK_CONFIG_PHYSICAL_BLOCK_EXP, 1, 1, BLK_F_TOPOLOGY},
    {BLK_CONFIG_ALIGNMENT_OFFSET, 1, 1, BLK_F_TOPOLOGY},
    {BLK_CONFIG_MIN_IO_SIZE, 2, 1, BLK_F_TOPOLOGY},
    {BLK_CONFIG_OPT_IO_SIZE, 4, 1, BLK_F_TOPOLOGY},
    {BLK_CONFIG_WRITEBACK, 1, 1, BLK_F_CONFIG_WCE},
    {BLK_CONFIG_NUM_QUEUES, 2, 1, BLK_F_MQ},
    {BLK_CONFIG_MAX_DISCARD_SECTORS, 4, 1, BLK_F_DISCARD},
    {BLK_CONFIG_MAX_DISCARD_SEG, 4, 1, BLK_F_DISCARD},
    {BLK_CONFIG_DISCARD_ALIGNMENT, 4, 1, BLK_F_DISCARD},
    {BLK_CONFIG_MAX_ZEROES_SECTORS, 4, 1, BLK_F_WRITE_ZEROES},
    {BLK_CONFIG_MAX_ZEROES_SEG, 4, 1, BLK_F_WRITE_ZEROES},
    {BLK_CONFIG_MAY_UNMAP, 1, 1, BLK_F_WRITE_ZEROES},
    {BLK_CONFIG_MAX_ERASE_SECTORS, 4, 1, BLK_F_SECURE_ERASE},
    {BLK_CONFIG_MAX_ERASE_SEG, 4, 1, BLK_F_SECURE_ERASE},
    {BLK_CONFIG_ZONE_SECTORS, 4, 1, BLK_F_ZONED},
    {BLK_CONFIG_MAX_OPEN_ZONES, 4, 1, BLK_F_ZONED},
    {BLK_CONFIG_MAX_ACTIVE_ZONES, 4, 1, BLK_F_ZONED},
    {BLK_CONFIG_MAX_APPEND_SECTORS, 4, 1, BLK_F_ZONED},
    {BLK_CONFIG_WRITE_GRANULARITY, 4, 1, BLK_F_ZONED},
    {BLK_CONFIG_ZONED_MODEL, 1, 1, BLK_F_ZONED},
};

static bool is_question(uint32_t type)
{
    return type == BLK_T_GET_ID || type == BLK_T_GET_LIFETIME;
}

/* The feature and the limit of a request on a range of sectors, or no feature. */
static unsigned range_feature(const struct device_blk *blk, uint32_t type, uint32_t *limit)
{
    *limit = type == BLK_T_DISCARD        ? blk->setup.max_discard
             : type == BLK_T_WRITE_ZEROES ? blk->setup.max_zeroes
                                          : blk->setup.max_erase;
    return type == BLK_T_DISCARD        ? BLK_F_DISCARD
           : type == BLK_T_WRITE_ZEROES ? BLK_F_WRITE_ZEROES
           : type == BLK_T_SECURE_ERASE ? BLK_F_SECURE_ERASE
                                        : DEVICE_NO_FEATURE;
}

/* Data goes to the driver. */
static bool is_read(uint32_t type)
{
    return type == BLK_T_IN || type == BLK_T_ZONE_REPORT || is_question(type);
}

/* 5.2.6.1 and the limits of 5.2.3. */
static void check_transfer(const struct device_blk *blk, const struct ring_chain *chain,
                           const struct wire_blk_header *header, uint32_t bytes)
{
    unsigned first = header->type == BLK_T_IN ? chain->out : 1;
    unsigned last = header->type == BLK_T_IN ? chain->out + chain->in - 1 : chain->out;

    if (bytes == 0 || bytes % SECTOR)
        violation("BLK-OP-6", "%u bytes of data", bytes);
    if (header->sector > blk->setup.capacity ||
        bytes / SECTOR > blk->setup.capacity - header->sector)
        violation("BLK-OP-2", "%u bytes at sector %llu of %llu", bytes,
                  (unsigned long long)header->sector, (unsigned long long)blk->setup.capacity);
    if (blk->setup.seg_max && last - first > blk->setup.seg_max)
        violation("BLK-T-LIMITS-1", "%u segments, seg_max is %u", last - first, blk->setup.seg_max);
    for (unsigned i = first; i < last; i++)
        if (blk->setup.size_max && chain->piece[i].len > blk->setup.size_max)
            violation("BLK-T-LIMITS-1", "a segment of %u, size_max is %u", chain->piece[i].len,
                      blk->setup.size_max);
    if (blk->setup.blk_size &&
        (bytes % blk->setup.blk_size || header->sector * SECTOR % blk->setup.blk_size))
        violation("BLK-T-UNITS-1", "%u bytes at sector %llu, blocks of %u", bytes,
                  (unsigned long long)header->sector, blk->setup.blk_size);
    if (header->type == BLK_T_OUT && blk->setup.read_only)
        violation("BLK-OP-3", "a write to a read-only device");
}

/* A DISCARD, WRITE_ZEROES or SECURE_ERASE; the range is the first one. */
static void check_range(struct device_blk *blk, struct ring_chain *chain, uint32_t type,
                        uint32_t bytes, struct wire_blk_range *range)
{
    static const char *const counts[] = {[BLK_T_DISCARD] = "BLK-OP-9",
                                         [BLK_T_WRITE_ZEROES] = "BLK-OP-11",
                                         [BLK_T_SECURE_ERASE] = "BLK-OP-10"};
    uint32_t limit, block = blk->setup.blk_size ? blk->setup.blk_size / SECTOR : 1;

    if (!device_has(&blk->device, range_feature(blk, type, &limit)))
        violation("BLK-INIT-1", "request type %u without its feature", type);
    if (bytes == 0 || bytes % sizeof(*range))
        violation("BLK-OP-7", "%u bytes of ranges", bytes);
    if (bytes != sizeof(*range))
        violation(counts[type], "%u bytes of ranges, one of 16 is allowed", bytes);
    ring_chain_read(chain, HEADER, range, sizeof(*range));
    if (range->sectors == 0 || range->sectors > limit || range->sector > blk->setup.capacity ||
        range->sectors > blk->setup.capacity - range->sector || range->sector % block ||
        range->sectors % block)
        violation("BLK-OP-2", "type %u: %u sectors at %llu, limit %u", type, range->sectors,
                  (unsigned long long)range->sector, limit);
    if (range->flags & ~(uint32_t)(type == BLK_T_WRITE_ZEROES && blk->setup.may_unmap))
        violation("BLK-OP-14", "type %u with flags %#x", type, range->flags);
    if (blk->setup.read_only)
        violation("BLK-OP-3", "request type %u to a read-only device", type);
}

static void check_question(struct device_blk *blk, uint32_t type, uint32_t bytes)
{
    if (type == BLK_T_GET_ID && bytes != BLK_ID_BYTES)
        violation("BLK-OP-8", "GET_ID with %u bytes", bytes);
    if (type == BLK_T_GET_LIFETIME && (bytes != 6 || !device_has(&blk->device, BLK_F_LIFETIME)))
        violation("BLK-INIT-1", "GET_LIFETIME with %u bytes", bytes);
}

static bool parse(struct device_blk *blk, struct ring_chain *chain, struct wire_blk_header *header,
                  uint32_t *bytes)
{
    if (chain->readable < HEADER || chain->piece[0].len != HEADER || !chain->in ||
        chain->piece[chain->out + chain->in - 1].len != 1) {
        violation("BLK-OP-6", "a request of %u readable and %u writable bytes", chain->readable,
                  chain->writable);
        return false;
    }
    struct wire_blk_range range;
    uint32_t limit;

    ring_chain_read(chain, 0, header, HEADER);
    *bytes = is_read(header->type) ? chain->writable - 1 : chain->readable - (uint32_t)HEADER;
    if (header->type == BLK_T_FLUSH) {
        if (header->sector)
            violation("BLK-OP-4", "FLUSH with sector %llu", (unsigned long long)header->sector);
        if (*bytes || chain->writable != 1)
            violation("BLK-OP-5", "FLUSH with data");
        if (!device_has(&blk->device, BLK_F_FLUSH))
            violation("BLK-INIT-1", "FLUSH without the feature");
        blk->flushes_early += blk->held_count > 0;
    } else if (header->type == BLK_T_IN || header->type == BLK_T_OUT) {
        check_transfer(blk, chain, header, *bytes);
    } else if (device_blk_is_zone_request(header->type)) {
        device_blk_check_zone(blk, header, *bytes);
    } else if (is_question(header->type)) {
        check_question(blk, header->type, *bytes);
    } else if (range_feature(blk, header->type, &limit) != DEVICE_NO_FEATURE) {
        check_range(blk, chain, header->type, *bytes, &range);
        header->sector = range.sector;
    } else {
        violation("BLK-OP-6", "request type %u", header->type);
    }
    return true;
}

/* Does what a request asks for, when it is in range, and returns its status. */
static uint8_t move(struct device_blk *blk, struct ring_chain *chain,
                    const struct wire_blk_header *header, uint32_t bytes)
{
    uint64_t at = header->sector * SECTOR, end = blk->setup.capacity * SECTOR;
    struct wire_blk_range range = {0};
    static const uint16_t wear[] = {1, 4, 11};

    if (header->type == BLK_T_GET_ID) {
        char id[BLK_ID_BYTES] = {0};

        if (!blk->setup.id)
            return BLK_S_UNSUPP;
        memcpy(id, blk->setup.id, strnlen(blk->setup.id, sizeof(id)));
        ring_chain_write(chain, 0, id, sizeof(id));
        return BLK_S_OK;
    }
    if (header->type == BLK_T_GET_LIFETIME) {
        ring_chain_write(chain, 0, wear, sizeof(wear));
        return BLK_S_OK;
    }
    if (device_blk_is_zone_request(header->type))
        return device_blk_do_zone(blk, chain, header, bytes);
    if (header->type >= BLK_T_DISCARD) {
        ring_chain_read(chain, HEADER, &range, sizeof(range));
        at = range.sector * SECTOR;
        if (range.sector <= blk->setup.capacity &&
            range.sectors <= blk->setup.capacity - range.sector)
            memset(blk->disk + at, header->type == BLK_T_WRITE_ZEROES ? 0 : 0xdd,
                   (size_t)range.sectors * SECTOR);
        return BLK_S_OK;
    }
    if (at > end || bytes > end - at)
        return BLK_S_IOERR;
    if (header->type == BLK_T_IN) {
        ring_chain_write(chain, 0, blk->disk + at, bytes);
    } else if (header->type == BLK_T_OUT) {
        uint8_t status = device_blk_zone_takes(blk, header->sector, bytes / SECTOR);

        if (status != BLK_S_OK)
            return status;
        ring_chain_read(chain, HEADER, blk->disk + at, bytes);
    }
    return BLK_S_OK;
}

static void tell(struct device_blk *blk, const struct ring_chain *chain,
                 const struct device_blk_request *request, bool answered)
{
    bool has_data = request->type == BLK_T_OUT && !answered;
    uint8_t *data = has_data ? malloc(request->bytes) : NULL;

    if (has_data && !data)
        hosted_fail("out of memory for a request");
    if (has_data)
        ring_chain_read(chain, HEADER, data, request->bytes);
    blk->watch(blk->watch_arg, answered, chain, request, data);
    free(data);
}

static void answer(struct device_blk *blk, struct ring_chain *chain, unsigned queue)
{
    struct ring_device *ring = &blk->device.queue[queue].ring;
    struct wire_blk_header header;
    uint8_t status;
    bool healthy;

    ring_chain_read(chain, 0, &header, HEADER);
    bool read = is_read(header.type);
    uint32_t bytes = read ? chain->writable - 1 : chain->readable - (uint32_t)HEADER;
    healthy = !blk->bad_status_on || blk->healthy || is_question(header.type);
    status = healthy ? move(blk, chain, &header, bytes) : blk->bad_status;
    if (blk->watch && !is_question(header.type))
        tell(blk, chain,
             &(struct device_blk_request){
                 .type = header.type, .sector = header.sector, .bytes = bytes},
             true);
    if (blk->healthy && !is_question(header.type))
        blk->healthy--;
    if (healthy || !blk->keep_status)
        ring_chain_write(chain, chain->writable - 1, &status, 1);
    ring_device_push(ring, chain, blk->lie_len ? 0 : read ? bytes + 1 : 1);
}

static void take(struct device_blk *blk, struct ring_chain *chain, unsigned queue)
{
    struct device_blk_request *r = &blk->history[blk->requests % DEVICE_BLK_HISTORY];
    struct wire_blk_header header;
    struct wire_blk_range range = {0};
    uint32_t bytes;

    if (!parse(blk, chain, &header, &bytes))
        return;
    if (is_question(header.type)) {
        blk->questions++;
        answer(blk, chain, queue);
        return;
    }
    if (header.type >= BLK_T_DISCARD && !device_blk_is_zone_request(header.type))
        ring_chain_read(chain, HEADER, &range, sizeof(range));
    *r = (struct device_blk_request){.type = header.type,
                                     .sector = header.sector,
                                     .bytes = range.sectors ? range.sectors * SECTOR : bytes,
                                     .segments = chain->out + chain->in - 2,
                                     .unmap = range.flags & 1,
                                     .queue = (uint8_t)queue};
    blk->requests++;
    if (blk->watch)
        tell(blk, chain, r, false);
    if (!blk->hold) {
        answer(blk, chain, queue);
        return;
    }
    blk->held[blk->held_count++] = (struct device_blk_held){chain, queue};
    if (blk->held_count > blk->held_most)
        blk->held_most = blk->held_count;
}

static void serve(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    do {
        ring_device_want_notify(ring, false);
        while ((chain = ring_device_pop(ring)))
            take(device->state, chain, queue);
        ring_device_want_notify(ring, true);
    } while (ring_device_pending(ring));
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    ((struct device_blk *)device->state)->held_count = 0;
}

static const struct device_type blk_type = {
    .name = "blk",
    .id = 2,
    .field = fields,
    .fields = sizeof(fields) / sizeof(fields[0]),
    .serve = serve,
    .reset = forget,
};

static void put(uint8_t *config, unsigned offset, uint32_t value, unsigned bytes)
{
    memcpy(config + offset, &value, bytes);
}

static void fill_config(const struct device_blk_setup *setup, uint8_t *config)
{
    memcpy(config + BLK_CONFIG_CAPACITY, &setup->capacity, 8);
    put(config, BLK_CONFIG_SIZE_MAX, setup->size_max, 4);
    put(config, BLK_CONFIG_SEG_MAX, setup->seg_max, 4);
    put(config, BLK_CONFIG_CYLINDERS, 1024, 2);
    put(config, BLK_CONFIG_HEADS, 16, 1);
    put(config, BLK_CONFIG_SECTORS, 63, 1);
    put(config, BLK_CONFIG_BLK_SIZE, setup->blk_size, 4);
    put(config, BLK_CONFIG_PHYSICAL_BLOCK_EXP, 3, 1);
    put(config, BLK_CONFIG_ALIGNMENT_OFFSET, 1, 1);
    put(config, BLK_CONFIG_MIN_IO_SIZE, 8, 2);
    put(config, BLK_CONFIG_OPT_IO_SIZE, 128, 4);
    put(config, BLK_CONFIG_WRITEBACK, 1, 1);
    put(config, BLK_CONFIG_NUM_QUEUES, setup->queues, 2);
    put(config, BLK_CONFIG_MAX_DISCARD_SECTORS, setup->max_discard, 4);
    put(config, BLK_CONFIG_MAX_DISCARD_SEG, 1, 4);
    put(config, BLK_CONFIG_DISCARD_ALIGNMENT, setup->discard_alignment, 4);
    put(config, BLK_CONFIG_MAX_ZEROES_SECTORS, setup->max_zeroes, 4);
    put(config, BLK_CONFIG_MAX_ZEROES_SEG, 1, 4);
    put(config, BLK_CONFIG_MAY_UNMAP, setup->may_unmap, 1);
    put(config, BLK_CONFIG_MAX_ERASE_SECTORS, setup->max_erase, 4);
    put(config, BLK_CONFIG_MAX_ERASE_SEG, 1, 4);
    put(config, BLK_CONFIG_ZONE_SECTORS, setup->zoned.zone_sectors, 4);
    put(config, BLK_CONFIG_MAX_OPEN_ZONES, setup->zoned.max_open, 4);
    put(config, BLK_CONFIG_MAX_ACTIVE_ZONES, setup->zoned.max_active, 4);
    put(config, BLK_CONFIG_MAX_APPEND_SECTORS, setup->zoned.max_append, 4);
    put(config, BLK_CONFIG_WRITE_GRANULARITY, setup->zoned.granularity, 4);
    put(config, BLK_CONFIG_ZONED_MODEL, setup->zoned.model, 1);
}

void device_blk_init(struct device_blk *blk, const struct device_blk_setup *setup)
{
    uint8_t config[BLK_CONFIG_LENGTH] = {0};
    uint64_t features = setup->more_features;

    memset(blk, 0, sizeof(*blk));
    blk->setup = *setup;
    blk->disk = calloc(setup->capacity ? setup->capacity : 1, SECTOR);
    if (!blk->disk)
        hosted_fail("out of memory for a disk");
    fill_config(setup, config);
    device_blk_make_zones(blk);
    features |= (uint64_t)(setup->zoned.offered || setup->zoned.model) << BLK_F_ZONED;
    features |= (uint64_t)(setup->size_max != 0) << BLK_F_SIZE_MAX;
    features |= (uint64_t)(setup->seg_max != 0) << BLK_F_SEG_MAX;
    features |= (uint64_t)(setup->blk_size != 0) << BLK_F_BLK_SIZE;
    features |= (uint64_t)setup->read_only << BLK_F_RO;
    features |= (uint64_t)setup->flush << BLK_F_FLUSH;
    features |= (uint64_t)setup->config_wce << BLK_F_CONFIG_WCE;
    features |= (uint64_t)setup->lifetime << BLK_F_LIFETIME;
    features |= (uint64_t)setup->topology << BLK_F_TOPOLOGY;
    features |= (uint64_t)setup->geometry << BLK_F_GEOMETRY;
    features |= (uint64_t)(setup->queues != 0) << BLK_F_MQ;
    features |= (uint64_t)(setup->max_discard != 0) << BLK_F_DISCARD;
    features |= (uint64_t)(setup->max_zeroes != 0) << BLK_F_WRITE_ZEROES;
    features |= (uint64_t)(setup->max_erase != 0) << BLK_F_SECURE_ERASE;
    device_init(&blk->device, &(struct device_setup){.type = &blk_type,
                                                     .features = features,
                                                     .queues = setup->queues ? setup->queues : 1,
                                                     .queue_size = setup->queue_size,
                                                     .msix_vectors = setup->msix_vectors,
                                                     .config = config,
                                                     .config_length = sizeof(config),
                                                     .state = blk});
}

void device_blk_finish(struct device_blk *blk)
{
    device_finish(&blk->device);
    free(blk->disk);
    free(blk->zone);
}

void device_blk_release(struct device_blk *blk, unsigned count, bool reverse)
{
    if (count > blk->held_count)
        count = blk->held_count;
    reverse = reverse && !blk->device.queue[0].ring.params.in_order;
    for (unsigned i = 0; i < count; i++) {
        unsigned pick = reverse ? blk->held_count - 1 : 0;
        struct device_blk_held held = blk->held[pick];
        blk->held_count--;
        memmove(&blk->held[pick], &blk->held[pick + 1],
                (blk->held_count - pick) * sizeof(blk->held[0]));
        answer(blk, held.chain, held.queue);
    }
    for (unsigned queue = 0; queue < blk->device.queues; queue++)
        device_signal(&blk->device, queue);
}
