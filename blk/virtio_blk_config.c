/*
 * virtio_blk_config.c - what a block device says of itself (5.2.4): limits, cache mode, facts, and
 * the answers to GET_ID and GET_LIFETIME.
 *
 * Every value is the device's word and may be nonsense: limits are brought into what the driver can
 * do, and blk_add() refuses the rest. Read virtio_blk.c for requests.
 */
#include <errno.h>
#include <string.h>

#include "blk/virtio_blk_impl.h"
#include "log.h"

/* With no limit from the device, one request moves up to this much. */
#define MAX_SECTORS (4u << 20 >> 9)
#define MAX_SEGMENT_SIZE (1u << 20)
#define MAX_FACT (16u << 20)

static uint32_t read_u32(struct virtio_device *device, unsigned feature, unsigned offset,
                         uint32_t otherwise)
{
    le32 value;

    if (!virtio_has_feature(device, feature) ||
        virtio_config_read(device, offset, &value, sizeof(value), sizeof(value)))
        return otherwise;
    return le32_to_cpu(value);
}

#define READ_U32(device, feature, field, otherwise) \
    read_u32((device), (feature), offsetof(struct virtio_blk_config, field), (otherwise))

static void read_limits(struct virtio_blk *blk)
{
    struct virtio_device *device = blk->device;
    struct blk_limits *limits = &blk->block.limits;
    uint32_t size_max = READ_U32(device, VIRTIO_BLK_F_SIZE_MAX, size_max, MAX_SEGMENT_SIZE);
    uint32_t seg_max = READ_U32(device, VIRTIO_BLK_F_SEG_MAX, seg_max, 1);

    blk->block.block_size = READ_U32(device, VIRTIO_BLK_F_BLK_SIZE, blk_size, BLK_SECTOR_SIZE);
    /* qemu-storage-daemon offers SIZE_MAX and says 0, by which it can only mean no limit. */
    if (size_max == 0 || size_max > MAX_SEGMENT_SIZE)
        size_max = MAX_SEGMENT_SIZE;
    if (seg_max > MAX_DATA_SEGMENTS)
        seg_max = MAX_DATA_SEGMENTS;
    limits->max_segments = seg_max ? seg_max : 1;
    /* The layer wants a multiple of the block size; a device with less is refused by blk_add(). */
    limits->max_segment_size =
        size_max / (blk->block.block_size ? blk->block.block_size : 1) * blk->block.block_size;
    limits->max_sectors = MAX_SECTORS;
}

/* How much one request may discard and so on; one with no segment, or less than a block, cannot be
 * used. */
static uint32_t range_limit(const struct virtio_blk *blk, uint32_t sectors, uint32_t segments)
{
    return segments && sectors >= blk->block.block_size / BLK_SECTOR_SIZE ? sectors : 0;
}

static void read_range_limits(struct virtio_blk *blk)
{
    struct virtio_device *device = blk->device;
    struct blk_limits *limits = &blk->block.limits;
    uint32_t align = READ_U32(device, VIRTIO_BLK_F_DISCARD, discard_sector_alignment, 0);

    limits->max_discard_sectors =
        range_limit(blk, READ_U32(device, VIRTIO_BLK_F_DISCARD, max_discard_sectors, 0),
                    READ_U32(device, VIRTIO_BLK_F_DISCARD, max_discard_seg, 0));
    limits->max_zeroes_sectors =
        range_limit(blk, READ_U32(device, VIRTIO_BLK_F_WRITE_ZEROES, max_write_zeroes_sectors, 0),
                    READ_U32(device, VIRTIO_BLK_F_WRITE_ZEROES, max_write_zeroes_seg, 0));
    limits->max_erase_sectors =
        range_limit(blk, READ_U32(device, VIRTIO_BLK_F_SECURE_ERASE, max_secure_erase_sectors, 0),
                    READ_U32(device, VIRTIO_BLK_F_SECURE_ERASE, max_secure_erase_seg, 0));
    /* A hint only, and of use only for whole blocks. */
    if (align % (blk->block.block_size / BLK_SECTOR_SIZE) == 0)
        limits->range_alignment = align;
    if (virtio_has_feature(device, VIRTIO_BLK_F_WRITE_ZEROES)) {
        uint8_t may = 0;

        if (!VIRTIO_CONFIG_READ(device, struct virtio_blk_config, write_zeroes_may_unmap, &may))
            blk->may_unmap = may != 0;
    }
}

static void read_topology(struct virtio_blk *blk)
{
    struct virtio_device *device = blk->device;
    struct blk_facts *facts = &blk->block.facts;
    uint32_t block = blk->block.block_size;
    uint8_t exponent, offset;
    le16 min_io;
    le32 opt_io;

    if (!virtio_has_feature(device, VIRTIO_BLK_F_TOPOLOGY) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, physical_block_exp, &exponent) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, alignment_offset, &offset) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, min_io_size, &min_io) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, opt_io_size, &opt_io))
        return;
    /* Sizes beyond 16 MiB are nonsense. */
    if (exponent < 16 && block << exponent <= MAX_FACT)
        facts->physical_block = block << exponent;
    facts->aligned_sector = offset * (block / BLK_SECTOR_SIZE);
    facts->min_io = le16_to_cpu(min_io) <= MAX_FACT / block ? le16_to_cpu(min_io) * block : 0;
    facts->opt_io = le32_to_cpu(opt_io) <= MAX_FACT / block ? le32_to_cpu(opt_io) * block : 0;
}

static void read_geometry(struct virtio_blk *blk)
{
    struct virtio_device *device = blk->device;
    struct blk_facts *facts = &blk->block.facts;
    le16 cylinders;

    if (!virtio_has_feature(device, VIRTIO_BLK_F_GEOMETRY) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, cylinders, &cylinders) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, heads, &facts->heads) ||
        VIRTIO_CONFIG_READ(device, struct virtio_blk_config, sectors, &facts->sectors))
        return;
    facts->cylinders = le16_to_cpu(cylinders);
}

static int read_capacity(struct virtio_blk *blk, uint64_t *capacity)
{
    le64 value;
    int error = VIRTIO_CONFIG_READ(blk->device, struct virtio_blk_config, capacity, &value);

    *capacity = le64_to_cpu(value);
    return error;
}

static void read_queues(struct virtio_blk *blk)
{
    le16 queues;

    blk->queue_count = 1;
    if (virtio_has_feature(blk->device, VIRTIO_BLK_F_MQ) &&
        !VIRTIO_CONFIG_READ(blk->device, struct virtio_blk_config, num_queues, &queues))
        blk->queue_count = le16_to_cpu(queues);
    if (blk->queue_count == 0)
        blk->queue_count = 1;
    if (blk->queue_count > MAX_QUEUES)
        blk->queue_count = MAX_QUEUES;
    blk->block.facts.queues = (uint16_t)blk->queue_count;
}

/* ---- the cache mode (5.2.5) ---- */

static bool can_flush(const struct virtio_blk *blk)
{
    return virtio_has_feature(blk->device, VIRTIO_BLK_F_FLUSH);
}

/* Writes `writeback` and reads what became of it. */
static int write_cache_mode(struct virtio_blk *blk, bool on)
{
    unsigned offset = offsetof(struct virtio_blk_config, writeback);
    uint8_t value = on;
    int error = virtio_config_write(blk->device, offset, &value, 1, 1);

    if (!error)
        error = virtio_config_read(blk->device, offset, &value, 1, 1);
    if (error)
        return error;
    /* A device that does not obey has to be flushed. */
    blk->block.has_flush = value && can_flush(blk);
    return value == on ? 0 : -EIO;
}

/* 5.2.5.1: without CONFIG_WCE a device that can flush has a cache. */
static void read_cache_mode(struct virtio_blk *blk)
{
    uint8_t on = 1;

    if (virtio_has_feature(blk->device, VIRTIO_BLK_F_CONFIG_WCE) &&
        VIRTIO_CONFIG_READ(blk->device, struct virtio_blk_config, writeback, &on))
        on = 1;
    blk->block.has_flush = on && can_flush(blk);
}

int virtio_blk_set_write_cache(struct blk_device *block, bool on)
{
    struct virtio_blk *blk = block->driver;
    int error;

    if (!virtio_has_feature(blk->device, VIRTIO_BLK_F_CONFIG_WCE) || (on && !can_flush(blk)))
        return -ENOTSUP;
    if (blk->device->failed)
        return -EIO;
    error = write_cache_mode(blk, on);
    if (!error && !on && can_flush(blk)) {
        /* What was written before the switch may still be in the cache (5.2.6.2). */
        block->has_flush = true;
        error = blk_flush(block);
        block->has_flush = error != 0;
    }
    if (error)
        return error;
    blk->cache_chosen = true;
    blk->cache_on = on;
    return 0;
}

void virtio_blk_start(struct virtio_blk *blk)
{
    bool config = virtio_has_feature(blk->device, VIRTIO_BLK_F_CONFIG_WCE);

    /* A cache that cannot be flushed is of no use to anybody who must not lose data. */
    if (config && !can_flush(blk)) {
        blk->cache_chosen = true;
        blk->cache_on = false;
    }
    if (config && blk->cache_chosen && write_cache_mode(blk, blk->cache_on))
        log_error("%s: the write cache cannot be switched %s", blk->device->name,
                  blk->cache_on ? "on" : "off");
}

/* ---- questions ---- */

static void id_done(struct blk_request *request)
{
    struct virtio_blk *blk = request->context;
    struct blk_facts *facts = &blk->block.facts;
    const volatile uint8_t *id = blk->answers->id; /* each byte is read once: it may still change */
    uint8_t c;
    unsigned i;

    if (request->status)
        return; /* not every device has one */
    for (i = 0; i < VIRTIO_BLK_ID_BYTES && (c = id[i]) != 0; i++)
        facts->serial[i] = (char)(c >= ' ' && c < 0x7f ? c : '?');
    if (i)
        log_info("%s: serial number %s", blk->block.name, facts->serial);
}

static void lifetime_done(struct blk_request *request)
{
    struct virtio_blk *blk = request->context;
    struct blk_facts *facts = &blk->block.facts;

    if (request->status)
        return;
    facts->spare_blocks_used = le16_to_cpu(blk->answers->lifetime.pre_eol_info);
    facts->life_used_a = le16_to_cpu(blk->answers->lifetime.device_lifetime_est_typ_a);
    facts->life_used_b = le16_to_cpu(blk->answers->lifetime.device_lifetime_est_typ_b);
    log_info("%s: wear %u and %u of 11, spare blocks %u of 3", blk->block.name, facts->life_used_a,
             facts->life_used_b, facts->spare_blocks_used);
}

static void ask(struct virtio_blk *blk, struct inquiry *inquiry, enum blk_op op, void *data,
                uint32_t len, void (*done)(struct blk_request *request))
{
    inquiry->segment = (struct blk_segment){data, len};
    inquiry->request = (struct blk_request){
        .op = op, .segment = &inquiry->segment, .segments = 1, .done = done, .context = blk};
    blk_submit(&blk->block, &inquiry->request);
}

void virtio_blk_introduce(struct virtio_blk *blk)
{
    struct blk_device *block = &blk->block;

    log_info("%s: %s: %llu MiB, blocks of %u bytes%s%s", blk->device->name, block->name,
             (unsigned long long)(block->capacity >> 11), block->block_size,
             block->read_only ? ", read-only" : "", block->has_flush ? ", flush" : "");
    ask(blk, &blk->id_inquiry, BLK_GET_ID, blk->answers->id, sizeof(blk->answers->id), id_done);
    if (virtio_has_feature(blk->device, VIRTIO_BLK_F_LIFETIME))
        ask(blk, &blk->lifetime_inquiry, BLK_GET_LIFETIME, &blk->answers->lifetime,
            sizeof(blk->answers->lifetime), lifetime_done);
}

/* ---- all of it ---- */

int virtio_blk_read_config(struct virtio_blk *blk)
{
    int error = read_capacity(blk, &blk->block.capacity);

    if (error)
        return error;
    blk->block.read_only = virtio_has_feature(blk->device, VIRTIO_BLK_F_RO);
    read_cache_mode(blk);
    read_queues(blk);
    read_limits(blk);
    /* What follows divides by it. blk_add() refuses the disk. */
    if (blk->block.block_size < BLK_SECTOR_SIZE || blk->block.block_size > 65536)
        return 0;
    read_range_limits(blk);
    read_topology(blk);
    read_geometry(blk);
    return virtio_blk_read_zoning(blk);
}

void virtio_blk_config_changed(struct virtio_blk *blk)
{
    uint64_t capacity;

    if (read_capacity(blk, &capacity) || capacity == blk->block.capacity)
        return;
    if (capacity > BLK_MAX_SECTORS) {
        log_error("%s: a capacity of %llu sectors makes no sense", blk->block.name,
                  (unsigned long long)capacity);
        return;
    }
    log_info("%s: capacity changed from %llu to %llu sectors", blk->block.name,
             (unsigned long long)blk->block.capacity, (unsigned long long)capacity);
    blk->block.capacity = capacity;
}
