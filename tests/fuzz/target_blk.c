/*
 * target_blk.c - the block driver (5.2) and the block layer above it under a hostile device.
 */
#include "blk/virtio_blk.h"

#include "disk_user.h"
#include "fuzz.h"
#include "hostile.h"

/* Every request succeeds; what is read are the bytes that lay there. */
static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    unsigned last = chain->out + chain->in - 1;

    (void)queue;
    if (chain->in == 0)
        return 0;
    chain->piece[last].data[chain->piece[last].len - 1] = VIRTIO_BLK_S_OK;
    return chain->writable;
}

static const struct hostile_type type = {
    .driver = &virtio_blk_driver,
    .id = 2,
    .queues = 2,
    .features = 1u << VIRTIO_BLK_F_SEG_MAX | 1u << VIRTIO_BLK_F_SIZE_MAX |
                1u << VIRTIO_BLK_F_BLK_SIZE | 1u << VIRTIO_BLK_F_FLUSH |
                1u << VIRTIO_BLK_F_GEOMETRY | 1u << VIRTIO_BLK_F_TOPOLOGY |
                1u << VIRTIO_BLK_F_CONFIG_WCE | 1u << VIRTIO_BLK_F_MQ | 1u << VIRTIO_BLK_F_DISCARD |
                1u << VIRTIO_BLK_F_WRITE_ZEROES | 1u << VIRTIO_BLK_F_SECURE_ERASE |
                1u << VIRTIO_BLK_F_LIFETIME,
    /* 256 sectors, pieces of 4096 bytes, blocks of 512; ranges of 64 sectors */
    .config = {0,        1,         [9] = 16, [12] = 4, [16] = 1,  [18] = 2,  [19] = 3,
               [21] = 2, [26] = 1,  [28] = 8, [32] = 1, [34] = 2,  [36] = 64, [40] = 1,
               [44] = 8, [48] = 64, [52] = 1, [56] = 1, [60] = 64, [64] = 1,  [68] = 8},
    .answer = answer,
    .start = disk_user_start,
    .use = disk_user_use,
    .found = disk_user_found,
};

void fuzz_blk(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
    disk_user_check();
}
