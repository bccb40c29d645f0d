/*
 * proof_blk_config.c - the configuration of a block device that is anything (5.2.4): limits that the
 * driver and the block layer can keep, no division by nothing, and a serial number that is text.
 */
// unwind: 22
// variant limits: -DLIMITS
// variant serial: -DSERIAL
// control limits: blk/virtio_blk_config.c: if (seg_max > MAX_DATA_SEGMENTS)\n        seg_max = MAX_DATA_SEGMENTS; =>
// control limits: blk/virtio_blk_config.c: size_max / (blk->block.block_size ? blk->block.block_size : 1) => size_max / blk->block.block_size
// control limits: blk/virtio_blk_config.c: if (blk->queue_count > MAX_QUEUES)\n        blk->queue_count = MAX_QUEUES; =>
// control limits: blk/virtio_blk_config.c: if (exponent < 16 && block << => if (block <<
// control serial: blk/virtio_blk_config.c: c >= ' ' && c < 0x7f => c < 0x7f
// control serial: blk/virtio_blk_config.c: i < VIRTIO_BLK_ID_BYTES && (c = id[i]) != 0 => (c = id[i]) != 0
#include "any_config.h"

#include "blk/virtio_blk_config.c"

int blk_flush(struct blk_device *block)
{
    (void)block;
    return any_bool() ? 0 : -EIO;
}

void blk_submit(struct blk_device *block, struct blk_request *request)
{
    (void)block;
    claim(request);
}

int virtio_blk_read_zoning(struct virtio_blk *blk)
{
    (void)blk;
    return any_bool() ? 0 : -EINVAL;
}

int main(void)
{
    struct virtio_device *device = malloc(sizeof(*device));
    struct virtio_blk *blk = malloc(sizeof(*blk));
    const struct blk_limits *limits = &blk->block.limits;

    blk->device = device;
    blk->block.driver = blk;
#ifdef LIMITS
    if (virtio_blk_read_config(blk))
        return 0;
    claim(limits->max_segments >= 1 && limits->max_segments <= MAX_DATA_SEGMENTS);
    claim(limits->max_segment_size <= MAX_SEGMENT_SIZE && limits->max_sectors == MAX_SECTORS);
    claim(blk->queue_count >= 1 && blk->queue_count <= MAX_QUEUES);
#else
    unsigned i = any_unsigned();
    struct blk_request request = {.context = blk, .status = any_bool() ? 0 : -EIO};
    struct blk_facts *facts = &blk->block.facts;

    (void)limits;
    memset(facts, 0, sizeof(*facts));
    blk->answers = malloc(sizeof(*blk->answers));
    id_done(&request);
    assume(i < sizeof(facts->serial));
    claim(facts->serial[i] == '\0' || (facts->serial[i] >= ' ' && facts->serial[i] <= '~'));
    claim(facts->serial[sizeof(facts->serial) - 1] == '\0');
    lifetime_done(&request);
#endif
    return 0;
}
