/*
 * device_balloon.h - the model memory balloon device (5.5): knows which pages it has, marks them,
 * and notices when the driver touches one or takes one back without asking.
 */
#ifndef FERRULE_HOSTED_DEVICE_BALLOON_H
#define FERRULE_HOSTED_DEVICE_BALLOON_H

#include "hosted/device.h"
#include "hosted/pages.h"

#define DEVICE_BALLOON_STATS 16

struct device_balloon_setup {
    bool must_tell_host, stats, deflate_on_oom, hint, poison, reporting;
    bool compact; /* queues are numbered without gaps, as deployed devices do */
    uint32_t num_pages;
    unsigned msix_vectors;
};

struct device_balloon {
    struct device device;
    struct device_balloon_setup setup;
    bool has[HOSTED_PAGES]; /* by page number, modulo */
    unsigned count, most_in_request, requests;
    bool hold; /* does not acknowledge until device_balloon_release() */
    struct ring_chain *held;
    unsigned held_queue;
    struct ring_chain *stats; /* with the device, as it should be */
    unsigned stats_answers, stats_len;
    uint8_t stats_text[BALLOON_STAT_BYTES * DEVICE_BALLOON_STATS];
    bool hold_reports;
    struct ring_chain *held_report;
    unsigned reports, reported_pieces;
    uint64_t reported_bytes;
};

void device_balloon_init(struct device_balloon *balloon, const struct device_balloon_setup *setup);
void device_balloon_finish(struct device_balloon *balloon);

void device_balloon_set(struct device_balloon *balloon, uint32_t num_pages);
uint32_t device_balloon_actual(const struct device_balloon *balloon);
void device_balloon_release(struct device_balloon *balloon);

/* Asks for statistics: the buffer goes back, and the next one is recorded. */
void device_balloon_ask(struct device_balloon *balloon);
/* The value under a tag in the last statistics, or -1. */
int64_t device_balloon_stat(const struct device_balloon *balloon, uint16_t tag);

#endif
