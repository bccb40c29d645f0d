/*
 * page_reporting.h - free page reporting (5.5.6.7): tells the hypervisor which memory is free, so
 * that it can use it until we do.
 *
 * Owns one queue of the balloon device. Blocks are large (memory.h) and are taken while the device
 * looks at them, so nobody uses one before it is acknowledged. Everything runs in loop context.
 */
#ifndef FERRULE_BALLOON_PAGE_REPORTING_H
#define FERRULE_BALLOON_PAGE_REPORTING_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtqueue.h"

#define PAGE_REPORTING_BLOCKS 16u

struct page_reporting {
    struct virtqueue *vq; /* NULL: not negotiated */
    void *block[PAGE_REPORTING_BLOCKS];
    unsigned blocks; /* with the device; 0: none */
    uint64_t next_ns;
    uint64_t total; /* blocks ever reported */
};

/* Takes an answer, and reports what has become free once in a while. Returns the work done. */
unsigned page_reporting_poll(struct page_reporting *reporting);
bool page_reporting_arm(struct page_reporting *reporting);
uint64_t page_reporting_deadline(const struct page_reporting *reporting);

/* Waits for the answer that is due until `end_ns`; the pages that became free by it. */
uint64_t page_reporting_settle(struct page_reporting *reporting, uint64_t end_ns);

/* The device was reset. */
void page_reporting_reclaim(struct page_reporting *reporting);

#endif
