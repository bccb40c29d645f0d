/*
 * blk_user.h - the tests' user of a virtio block device: requests under the block layer, with the
 * model block device at the other end.
 *
 * The model checks each request (5.2.6.1) and keeps a disk. Read hosted/device_blk.h for what it can
 * be told.
 */
#ifndef FERRULE_TESTS_BLK_USER_H
#define FERRULE_TESTS_BLK_USER_H

#include "support.h"

#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/device_blk.h"
#include "ring_variants.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

#define DATA_SIZE (4u << 20)
#define REQUESTS 64u

extern const struct virtio_driver *const blk_drivers[1];
extern struct device_blk model;
extern uint64_t ring_features; /* added to those of every device */
extern struct blk_device *disk;
extern uint8_t *data; /* DATA_SIZE bytes, for requests */

extern const struct device_blk_setup ordinary;

/* Brings up a device; whether it is driven. end() takes it away. */
unsigned make_disk(const struct device_blk_setup *setup);
void end(void);

struct request {
    struct blk_request blk;
    struct blk_segment segment;
    unsigned done;
};
extern struct request requests[REQUESTS];

/* Submits request n, whose data is at 64 KiB times n. */
void submit(unsigned n, enum blk_op op, uint64_t sector, uint32_t sectors);

/* It has ended once, with this status. */
void assert_done(unsigned n, int status);

/* Device and driver work until there is nothing to do. */
void settle(void);

/* Runs tests over rings of every kind; the number that failed. */
int run_over_other_rings(const struct CMUnitTest *tests, size_t count);

#endif
