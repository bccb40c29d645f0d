/*
 * device_blk.h - the model block device (5.2): a disk in memory that checks every request, and can
 * hold, reorder, fail or garble them.
 */
#ifndef FERRULE_HOSTED_DEVICE_BLK_H
#define FERRULE_HOSTED_DEVICE_BLK_H

#include "hosted/device.h"

#define DEVICE_BLK_HISTORY 4096
#define DEVICE_BLK_HOLD 1024

/*
 * Features beside the numbers in the configuration; 0 in a number: the feature is not offered.
 */
struct device_blk_setup {
    uint64_t capacity; /* sectors that the configuration says and the disk has */
    uint32_t size_max, seg_max, blk_size;
    bool read_only, flush;
    bool config_wce, lifetime, topology, geometry;
    uint16_t queues;                                                /* MQ */
    uint32_t max_discard, max_zeroes, max_erase, discard_alignment; /* sectors */
    bool may_unmap;
    struct device_blk_zoned {
        uint8_t model;
        bool offered; /* implied by a model */
        /* In sectors; granularity in bytes. The first `conventional` zones are such. */
        uint32_t zone_sectors, capacity, max_open, max_active, max_append, granularity;
        uint32_t conventional;
    } zoned;
    const char *id;         /* NULL: GET_ID is not supported */
    uint64_t more_features; /* INDIRECT_DESC, EVENT_IDX, or nonsense */
    uint16_t queue_size;
    unsigned msix_vectors;
};

struct device_blk_request {
    uint32_t type;
    uint64_t sector;
    uint32_t bytes, segments;
    bool done, unmap;
    uint8_t queue;
};

struct device_blk {
    struct device device;
    struct device_blk_setup setup;
    uint8_t *disk;
    struct device_blk_zone {
        uint64_t pointer; /* sectors from the start of the disk */
        uint8_t type, state;
    } * zone; /* NULL: it has none */
    unsigned zones;
    struct device_blk_request history[DEVICE_BLK_HISTORY];
    unsigned requests;
    unsigned questions;     /* GET_ID and GET_LIFETIME, which are not in the history */
    unsigned flushes_early; /* FLUSH requests that came while others were held */

    bool hold; /* takes requests without answering, until device_blk_release() */
    struct device_blk_held {
        struct ring_chain *chain;
        unsigned queue;
    } held[DEVICE_BLK_HOLD];
    unsigned held_count, held_most;

    /*
     * Told of each request when the device takes it, with the data of a write, and when it answers.
     * `id` is the same for both. May be NULL.
     */
    void (*watch)(void *arg, bool answered, const void *id,
                  const struct device_blk_request *request, const uint8_t *data);
    void *watch_arg;

    /* How the next requests end; the first `healthy` ones are done as they should be. */
    unsigned healthy;
    bool bad_status_on; /* after those: this status, without moving data */
    uint8_t bad_status;
    bool keep_status;                /* the status byte is not written at all */
    bool lie_len;                    /* the used length is 0 */
    uint64_t lie_append, lie_report; /* added to what an append, a zone's start in a report says */
};

void device_blk_init(struct device_blk *blk, const struct device_blk_setup *setup);
void device_blk_finish(struct device_blk *blk);

/*
 * Answers held requests: the first `count`, or the last ones first when `reverse`. Interrupts if
 * wanted.
 */
void device_blk_release(struct device_blk *blk, unsigned count, bool reverse);

/* In device_blk_zones.c: making the zones; a request that is about them, checked and done. */
void device_blk_make_zones(struct device_blk *blk);
bool device_blk_is_zone_request(uint32_t type);
void device_blk_check_zone(struct device_blk *blk, const struct wire_blk_header *header,
                           uint32_t bytes);
uint8_t device_blk_do_zone(struct device_blk *blk, struct ring_chain *chain,
                           const struct wire_blk_header *header, uint32_t bytes);
/* May a write go there? Then the zone's pointer is moved. */
uint8_t device_blk_zone_takes(struct device_blk *blk, uint64_t sector, uint64_t sectors);

/* Offsets in the configuration (5.2.4). */
enum {
    BLK_CONFIG_CAPACITY = 0,
    BLK_CONFIG_SIZE_MAX = 8,
    BLK_CONFIG_SEG_MAX = 12,
    BLK_CONFIG_CYLINDERS = 16,
    BLK_CONFIG_HEADS = 18,
    BLK_CONFIG_SECTORS = 19,
    BLK_CONFIG_BLK_SIZE = 20,
    BLK_CONFIG_PHYSICAL_BLOCK_EXP = 24,
    BLK_CONFIG_ALIGNMENT_OFFSET = 25,
    BLK_CONFIG_MIN_IO_SIZE = 26,
    BLK_CONFIG_OPT_IO_SIZE = 28,
    BLK_CONFIG_WRITEBACK = 32,
    BLK_CONFIG_NUM_QUEUES = 34,
    BLK_CONFIG_MAX_DISCARD_SECTORS = 36,
    BLK_CONFIG_MAX_DISCARD_SEG = 40,
    BLK_CONFIG_DISCARD_ALIGNMENT = 44,
    BLK_CONFIG_MAX_ZEROES_SECTORS = 48,
    BLK_CONFIG_MAX_ZEROES_SEG = 52,
    BLK_CONFIG_MAY_UNMAP = 56,
    BLK_CONFIG_MAX_ERASE_SECTORS = 60,
    BLK_CONFIG_MAX_ERASE_SEG = 64,
    BLK_CONFIG_ERASE_ALIGNMENT = 68,
    BLK_CONFIG_ZONE_SECTORS = 72,
    BLK_CONFIG_MAX_OPEN_ZONES = 76,
    BLK_CONFIG_MAX_ACTIVE_ZONES = 80,
    BLK_CONFIG_MAX_APPEND_SECTORS = 84,
    BLK_CONFIG_WRITE_GRANULARITY = 88,
    BLK_CONFIG_ZONED_MODEL = 92,
    BLK_CONFIG_LENGTH = 96
};

#endif
