/*
 * target_blk.c - the block driver (5.2) and the block layer above it under a hostile device.
 */
#include "blk/virtio_blk.h"

#include "disk_user.h"
#include "fuzz.h"
#include "hostile.h"
#include "virtio/spec_storage.h"

#define BASIC_CONFIG                                                                        \
    0, 1, [9] = 16, [12] = 4, [16] = 1, [18] = 2, [19] = 3, [21] = 2, [26] = 1, [28] = 8,   \
          [32] = 1, [34] = 2, [36] = 64, [40] = 1, [44] = 8, [48] = 64, [52] = 1, [56] = 1, \
          [60] = 64, [64] = 1, [68] = 8

/* The same disk with host-managed zones of 64 sectors, 3 open and 4 active, appends of 16 sectors. */
static const uint8_t zoned_config[HOSTILE_CONFIG] = {
    BASIC_CONFIG, [72] = 64, [76] = 3, [80] = 4, [84] = 16, [89] = 2, [92] = VIRTIO_BLK_Z_HM};

/* All zones are open, with their pointers in the middle; the first is a conventional one. */
static void report(struct hostile_chain *chain, uint64_t sector)
{
    struct virtio_blk_zone_report head = {.nr_zones = cpu_to_le64(4)};
    struct virtio_blk_zone_descriptor zone;
    uint8_t *at = chain->piece[chain->out].data;
    uint32_t len = chain->piece[chain->out].len;

    if (len < sizeof(head))
        return;
    memcpy(at, &head, sizeof(head));
    sector -= sector % 64;
    for (uint32_t n = sizeof(head); n + sizeof(zone) <= len && sector < 256; n += sizeof(zone)) {
        zone = (struct virtio_blk_zone_descriptor){.z_cap = cpu_to_le64(64),
                                                   .z_start = cpu_to_le64(sector),
                                                   .z_wp = cpu_to_le64(sector + 32),
                                                   .z_type = sector ? 2 : 1,
                                                   .z_state = sector ? 2 : 0};
        memcpy(at + n, &zone, sizeof(zone));
        sector += 64;
    }
}

/* Every request succeeds; what is read are the bytes that lay there. */
static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    unsigned last = chain->out + chain->in - 1;
    struct virtio_blk_req_header header;

    (void)queue;
    if (chain->in == 0)
        return 0;
    if (chain->out && chain->piece[0].len >= sizeof(header)) {
        memcpy(&header, chain->piece[0].data, sizeof(header));
        if (le32_to_cpu(header.type) == VIRTIO_BLK_T_ZONE_REPORT)
            report(chain, le64_to_cpu(header.sector));
        if (le32_to_cpu(header.type) == VIRTIO_BLK_T_ZONE_APPEND && chain->piece[last - 1].len == 8)
            memcpy(chain->piece[last - 1].data, &header.sector, sizeof(header.sector));
    }
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
                1u << VIRTIO_BLK_F_LIFETIME | 1u << VIRTIO_BLK_F_ZONED,
    /* 256 sectors, pieces of 4096 bytes, blocks of 512; ranges of 64 sectors */
    .config = {BASIC_CONFIG},
    .other_config = zoned_config,
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
