/*
 * device_balloon.c - the model memory balloon device (5.5). Read device.c first.
 *
 * Pages that it gets are filled with a pattern, at the moment of the acknowledgement, and must still
 * hold it when they are asked back.
 */
#include "hosted/device_balloon.h"

#include <string.h>

#include "hosted/violation.h"
#include "memory.h"

enum { INFLATE = 0, DEFLATE = 1, STATS = 2 };
enum {
    CONFIG_NUM_PAGES = 0,
    CONFIG_ACTUAL = 4,
    CONFIG_HINT = 8,
    CONFIG_POISON = 12,
    CONFIG_LENGTH = 16
};
#define PATTERN 0xb5

static const struct device_field fields[] = {
    {CONFIG_NUM_PAGES, 4, 1, DEVICE_NO_FEATURE},
    {CONFIG_ACTUAL, 4, 1, DEVICE_NO_FEATURE},
    {CONFIG_HINT, 4, 1, BALLOON_F_FREE_PAGE_HINT},
    {CONFIG_POISON, 4, 1, BALLOON_F_PAGE_POISON},
};

static bool is_untouched(const uint8_t *page)
{
    return page[0] == PATTERN && memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

static void change_page(struct device_balloon *balloon, unsigned queue, uint32_t number)
{
    uint8_t *page = hosted_page(number);
    bool *has;

    if (!page) {
        violation(queue == INFLATE ? "BALLOON-T-PFN-1" : "BALLOON-OP-6",
                  "page %#x is not one that the driver holds", number);
        return;
    }
    has = &balloon->has[number % HOSTED_PAGES] /* they are contiguous */;
    if (queue == INFLATE) {
        if (*has)
            violation("BALLOON-OP-8", "page %#x inflated twice", number);
        memset(page, PATTERN, PAGE_SIZE);
        balloon->count += !*has;
    } else {
        if (!*has)
            violation("BALLOON-OP-9", "page %#x deflated that the device does not have", number);
        else if (!is_untouched(page))
            violation("BALLOON-OP-8", "page %#x was touched while in the balloon", number);
        balloon->count -= *has;
    }
    *has = queue == INFLATE;
}

static void acknowledge(struct device_balloon *balloon, unsigned queue, struct ring_chain *chain)
{
    uint32_t number;

    for (size_t at = 0; ring_chain_read(chain, at, &number, 4) == 4; at += 4)
        change_page(balloon, queue, number);
    /* 5.5.6.1: what a legacy device says it wrote means nothing. */
    ring_device_push(&balloon->device.queue[queue].ring, chain,
                     device_is_legacy(&balloon->device) ? 77 : 0);
}

static void take_request(struct device_balloon *balloon, unsigned queue, struct ring_chain *chain)
{
    if (chain->in || chain->readable % 4 || chain->readable == 0)
        violation("BALLOON-T-PFN-1", "a request of %u readable and %u writable bytes",
                  chain->readable, chain->writable);
    if (balloon->held)
        violation("BALLOON-OP-9", "a request while one is not acknowledged");
    balloon->requests++;
    if (chain->readable / 4 > balloon->most_in_request)
        balloon->most_in_request = chain->readable / 4;
    if (balloon->hold) {
        balloon->held = chain;
        balloon->held_queue = queue;
    } else {
        acknowledge(balloon, queue, chain);
    }
}

static void take_stats(struct device_balloon *balloon, struct ring_chain *chain)
{
    if (balloon->stats)
        violation("BALLOON-STATS-1", "a second buffer of statistics");
    if (chain->in || chain->readable % BALLOON_STAT_BYTES ||
        chain->readable > sizeof(balloon->stats_text))
        violation("BALLOON-STATS-5", "%u bytes of statistics", chain->readable);
    if (balloon->stats_answers++ && chain->readable != balloon->stats_len)
        violation("BALLOON-STATS-6", "%u bytes of statistics, %u before", chain->readable,
                  balloon->stats_len);
    balloon->stats_len = chain->readable;
    ring_chain_read(chain, 0, balloon->stats_text, sizeof(balloon->stats_text));
    balloon->stats = chain;
}

static unsigned reporting_queue(const struct device_balloon *balloon)
{
    if (!balloon->setup.compact)
        return 4;
    return 2u + balloon->setup.stats + balloon->setup.hint;
}

static void acknowledge_report(struct device_balloon *balloon, struct ring_chain *chain)
{
    uint8_t pattern[PAGE_SIZE];

    memset(pattern, PATTERN, sizeof(pattern));
    for (size_t at = 0; at < chain->writable; at += sizeof(pattern))
        ring_chain_write(chain, at, pattern, sizeof(pattern));
    ring_device_push(&balloon->device.queue[reporting_queue(balloon)].ring, chain, 0);
}

static void take_report(struct device_balloon *balloon, struct ring_chain *chain)
{
    if (chain->out)
        violation("BALLOON-REPORT-1", "%u readable bytes in a report", chain->readable);
    balloon->reports++;
    balloon->reported_pieces += chain->in;
    balloon->reported_bytes += chain->writable;
    if (balloon->hold_reports)
        balloon->held_report = chain;
    else
        acknowledge_report(balloon, chain);
}

static void serve(struct device *device, unsigned queue)
{
    struct device_balloon *balloon = device->state;
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while ((chain = ring_device_pop(ring))) {
        if (queue == INFLATE || queue == DEFLATE)
            take_request(balloon, queue, chain);
        else if (queue == STATS && balloon->setup.stats)
            take_stats(balloon, chain);
        else if (queue == reporting_queue(balloon))
            take_report(balloon, chain);
        else
            violation("BALLOON-HINT-1", "a buffer in queue %u", queue);
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    struct device_balloon *balloon = device->state;

    balloon->held = balloon->stats = balloon->held_report = NULL;
    balloon->stats_answers = 0;
    balloon->count = 0;
    memset(balloon->has, 0, sizeof(balloon->has));
}

static void config_written(struct device *device, unsigned offset)
{
    (void)device;
    if (offset != CONFIG_ACTUAL)
        violation("CORE-CFG-4", "the driver wrote to %u of the balloon's configuration", offset);
}

static const struct device_type balloon_type = {
    .name = "balloon",
    .id = 5,
    .field = fields,
    .fields = sizeof(fields) / sizeof(fields[0]),
    .serve = serve,
    .reset = forget,
    .config_written = config_written,
};

void device_balloon_init(struct device_balloon *balloon, const struct device_balloon_setup *setup)
{
    uint8_t config[CONFIG_LENGTH] = {0};
    uint64_t features = 0;

    memset(balloon, 0, sizeof(*balloon));
    balloon->setup = *setup;
    memcpy(config + CONFIG_NUM_PAGES, &setup->num_pages, 4);
    features |= (uint64_t)setup->must_tell_host << BALLOON_F_MUST_TELL_HOST;
    features |= (uint64_t)setup->stats << BALLOON_F_STATS_VQ;
    features |= (uint64_t)setup->deflate_on_oom << BALLOON_F_DEFLATE_ON_OOM;
    features |= (uint64_t)setup->hint << BALLOON_F_FREE_PAGE_HINT;
    features |= (uint64_t)setup->poison << BALLOON_F_PAGE_POISON;
    features |= (uint64_t)setup->reporting << BALLOON_F_PAGE_REPORTING;
    device_init(&balloon->device,
                &(struct device_setup){
                    .type = &balloon_type,
                    .features = features,
                    .queues = setup->compact ? reporting_queue(balloon) + setup->reporting : 5,
                    .queue_size = 32,
                    .msix_vectors = setup->msix_vectors,
                    .config = config,
                    .config_length = sizeof(config),
                    .state = balloon});
}

void device_balloon_finish(struct device_balloon *balloon)
{
    device_finish(&balloon->device);
}

void device_balloon_set(struct device_balloon *balloon, uint32_t num_pages)
{
    device_change_config(&balloon->device, CONFIG_NUM_PAGES, &num_pages, 4);
}

uint32_t device_balloon_actual(const struct device_balloon *balloon)
{
    uint32_t actual;

    memcpy(&actual, balloon->device.config + CONFIG_ACTUAL, 4);
    return actual;
}

void device_balloon_release(struct device_balloon *balloon)
{
    struct ring_chain *chain = balloon->held;

    balloon->held = NULL;
    if (chain) {
        acknowledge(balloon, balloon->held_queue, chain);
        device_signal(&balloon->device, balloon->held_queue);
    }
    chain = balloon->held_report;
    balloon->held_report = NULL;
    if (chain) {
        acknowledge_report(balloon, chain);
        device_signal(&balloon->device, reporting_queue(balloon));
    }
}

void device_balloon_ask(struct device_balloon *balloon)
{
    struct ring_chain *chain = balloon->stats;

    balloon->stats = NULL;
    if (!chain)
        return;
    ring_device_push(&balloon->device.queue[STATS].ring, chain, 0);
    device_signal(&balloon->device, STATS);
}

int64_t device_balloon_stat(const struct device_balloon *balloon, uint16_t tag)
{
    for (unsigned at = 0; at + BALLOON_STAT_BYTES <= balloon->stats_len; at += BALLOON_STAT_BYTES) {
        uint16_t found;
        int64_t value;

        memcpy(&found, balloon->stats_text + at, 2);
        memcpy(&value, balloon->stats_text + at + 2, 8);
        if (found == tag)
            return value;
    }
    return -1;
}
