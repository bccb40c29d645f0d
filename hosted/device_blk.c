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

static const struct device_field fields[] = {
    {BLK_CONFIG_CAPACITY, 8, 1, DEVICE_NO_FEATURE},
    {BLK_CONFIG_SIZE_MAX, 4, 1, BLK_F_SIZE_MAX},
    {BLK_CONFIG_SEG_MAX, 4, 1, BLK_F_SEG_MAX},
    {BLK_CONFIG_BLK_SIZE, 4, 1, BLK_F_BLK_SIZE},
};

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

static bool parse(struct device_blk *blk, struct ring_chain *chain, struct wire_blk_header *header,
                  uint32_t *bytes)
{
    if (chain->readable < HEADER || chain->piece[0].len != HEADER || !chain->in ||
        chain->piece[chain->out + chain->in - 1].len != 1) {
        violation("BLK-OP-6", "a request of %u readable and %u writable bytes", chain->readable,
                  chain->writable);
        return false;
    }
    ring_chain_read(chain, 0, header, HEADER);
    *bytes = header->type == BLK_T_IN ? chain->writable - 1 : chain->readable - (uint32_t)HEADER;
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
    } else {
        violation("BLK-OP-6", "request type %u", header->type);
    }
    return true;
}

/* Moves the data of a request that is in range. */
static void move(struct device_blk *blk, struct ring_chain *chain,
                 const struct wire_blk_header *header, uint32_t bytes)
{
    uint64_t at = header->sector * SECTOR, end = blk->setup.capacity * SECTOR;

    if (at > end || bytes > end - at)
        return;
    if (header->type == BLK_T_IN)
        ring_chain_write(chain, 0, blk->disk + at, bytes);
    else if (header->type == BLK_T_OUT)
        ring_chain_read(chain, HEADER, blk->disk + at, bytes);
}

static void answer(struct device_blk *blk, struct ring_chain *chain)
{
    struct ring_device *ring = &blk->device.queue[0].ring;
    struct wire_blk_header header;
    uint8_t status = BLK_S_OK;
    bool healthy = !blk->bad_status_on || blk->healthy;

    ring_chain_read(chain, 0, &header, HEADER);
    uint32_t bytes =
        header.type == BLK_T_IN ? chain->writable - 1 : chain->readable - (uint32_t)HEADER;
    if (healthy)
        move(blk, chain, &header, bytes);
    else
        status = blk->bad_status;
    if (blk->healthy)
        blk->healthy--;
    if (healthy || !blk->keep_status)
        ring_chain_write(chain, chain->writable - 1, &status, 1);
    ring_device_push(ring, chain, blk->lie_len ? 0 : header.type == BLK_T_IN ? bytes + 1 : 1);
}

static void take(struct device_blk *blk, struct ring_chain *chain)
{
    struct device_blk_request *r = &blk->history[blk->requests % DEVICE_BLK_HISTORY];
    struct wire_blk_header header;
    uint32_t bytes;

    if (!parse(blk, chain, &header, &bytes))
        return;
    *r = (struct device_blk_request){.type = header.type,
                                     .sector = header.sector,
                                     .bytes = bytes,
                                     .segments = chain->out + chain->in - 2};
    blk->requests++;
    if (!blk->hold) {
        answer(blk, chain);
        return;
    }
    blk->held[blk->held_count++] = chain;
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
            take(device->state, chain);
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

void device_blk_init(struct device_blk *blk, const struct device_blk_setup *setup)
{
    uint8_t config[BLK_CONFIG_LENGTH] = {0};
    uint64_t features = setup->more_features;

    memset(blk, 0, sizeof(*blk));
    blk->setup = *setup;
    blk->disk = calloc(setup->capacity ? setup->capacity : 1, SECTOR);
    if (!blk->disk)
        hosted_fail("out of memory for a disk");
    memcpy(config + BLK_CONFIG_CAPACITY, &setup->capacity, 8);
    memcpy(config + BLK_CONFIG_SIZE_MAX, &setup->size_max, 4);
    memcpy(config + BLK_CONFIG_SEG_MAX, &setup->seg_max, 4);
    memcpy(config + BLK_CONFIG_BLK_SIZE, &setup->blk_size, 4);
    features |= (uint64_t)(setup->size_max != 0) << BLK_F_SIZE_MAX;
    features |= (uint64_t)(setup->seg_max != 0) << BLK_F_SEG_MAX;
    features |= (uint64_t)(setup->blk_size != 0) << BLK_F_BLK_SIZE;
    features |= (uint64_t)setup->read_only << BLK_F_RO;
    features |= (uint64_t)setup->flush << BLK_F_FLUSH;
    device_init(&blk->device, &(struct device_setup){.type = &blk_type,
                                                     .features = features,
                                                     .queues = 1,
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
}

void device_blk_release(struct device_blk *blk, unsigned count, bool reverse)
{
    if (count > blk->held_count)
        count = blk->held_count;
    reverse = reverse && !blk->device.queue[0].ring.params.in_order;
    for (unsigned i = 0; i < count; i++) {
        unsigned pick = reverse ? blk->held_count - 1 : 0;
        struct ring_chain *chain = blk->held[pick];
        blk->held_count--;
        memmove(&blk->held[pick], &blk->held[pick + 1],
                (blk->held_count - pick) * sizeof(blk->held[0]));
        answer(blk, chain);
    }
    device_signal(&blk->device, 0);
}
