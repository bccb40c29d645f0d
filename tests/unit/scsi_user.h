/*
 * scsi_user.h - the tests' user of SCSI disks, with the model SCSI host at the other end.
 *
 * It makes the device, lets it and the loop take turns, and counts how often each request ends.
 * The model tells of wrong commands, and lies: hosted/device_scsi.h.
 */
#ifndef FERRULE_TESTS_SCSI_USER_H
#define FERRULE_TESTS_SCSI_USER_H

#include "support.h"

#include "blk/block.h"
#include "hosted/device_scsi.h"

#define DATA_SIZE (4u << 20)
#define BLOCKS 1000u
#define REQUESTS 64u

struct scsi_user_request {
    struct blk_request blk;
    struct blk_segment segment;
    unsigned done;
};

extern struct device_scsi model;
extern struct device_scsi_setup setup;
extern struct blk_device *disk; /* the first one */
extern uint8_t *data;           /* DATA_SIZE bytes */
extern struct scsi_user_request requests[REQUESTS];

/* A setup with nothing but the adapter; tests add units. start() returns the devices driven. */
void plain(void);
unsigned start(void);
void start_with_one_disk(void);
void end(void);

/* Turns of the loop and of the device until nothing happens; the same with time passing. */
void settle(void);
void settle_for(unsigned ms);

unsigned disks(void);
void assert_transfers(struct blk_device *device, const struct device_scsi_unit *unit);

/* The fault of the next `count` commands with this code, for the test to fill in. */
struct device_scsi_fault *fail_next(uint16_t opcode, unsigned count);

/* Request `n` of sectors that lie in data at n * 64 KiB, and how it has ended: once, so. */
void submit(struct blk_device *device, unsigned n, enum blk_op op, uint64_t sector,
            uint32_t sectors);
void assert_done(unsigned n, int status);

#endif
