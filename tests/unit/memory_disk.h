/*
 * memory_disk.h - a driver under the block layer for its tests: a disk in memory that checks each part
 * against its limits, and completes parts when the test says so, in any order and with any status.
 *
 * And requests that note how often and in which order they were done.
 */
#ifndef FERRULE_TESTS_MEMORY_DISK_H
#define FERRULE_TESTS_MEMORY_DISK_H

#include "support.h"

#include "blk/block.h"

#define SECTORS 4096u
#define MAX_PARTS 4096u

struct part {
    enum blk_op op;
    uint64_t sector;
    struct blk_segment segment[BLK_MAX_SEGMENTS];
    unsigned segments;
    struct blk_request *token;
};

struct memory_disk {
    struct blk_device device;
    uint8_t image[SECTORS * BLK_SECTOR_SIZE];
    struct part held[MAX_PARTS];
    unsigned held_count, room;
    bool at_once; /* complete inside of submit */
    bool by_poll; /* complete all at the next poll */
    bool arm_fails;
    uint64_t wake_ns; /* when the driver wants to be polled, and then completes everything */
    int submit_error, status;
    uint64_t bad_sector; /* parts with it end in -EIO, and move no data; 0: none */
    unsigned parts, kicks, resets, flushes;
    uint64_t sectors; /* in all parts so far */
};

extern struct memory_disk disk;
extern const struct blk_ops disk_ops;

/* Adds the disk, fresh, with these limits; close_disk() checks that nothing is left in it. */
void open_disk(uint32_t segments, uint32_t segment_size, uint32_t sectors, uint32_t block_size);
void close_disk(void);

/* Ends the held part with this number: moves its data when `status` is 0. */
void complete(unsigned index, int status);

/* A reset because of a time-out: everything ends in -EIO. */
void disk_reset(struct blk_device *device);

/* A reset for any other reason: what the device had is lost. */
void disk_lose_all(void);

struct request {
    struct blk_request blk;
    struct blk_segment segment[64];
    unsigned done, order;
};

extern unsigned done_count;
extern uint8_t data[SECTORS * BLK_SECTOR_SIZE];

void request_done(struct blk_request *blk);
void submit(struct request *r, enum blk_op op, uint64_t sector, void *memory, uint32_t sectors);
void assert_done(const struct request *r, int status);

#endif
