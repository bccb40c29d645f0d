/*
 * page_reporting.c - see page_reporting.h.
 */
#include "balloon/page_reporting.h"

#include "memory.h"

/* Memory that is freed and used again within this time is not worth a report. */
#define INTERVAL_NS 2000000000u

/* Frees the blocks; `reported`: the device has seen them. */
static void give_back(struct page_reporting *reporting, bool reported)
{
    if (reported)
        reporting->total += reporting->blocks;
    while (reporting->blocks > 0)
        memory_unreported_return(reporting->block[--reporting->blocks], reported);
}

/* False: there is nothing to report. */
static bool report(struct page_reporting *reporting)
{
    struct virtqueue_sg sg[PAGE_REPORTING_BLOCKS];

    while (reporting->blocks < PAGE_REPORTING_BLOCKS) {
        void *block = memory_unreported_take();

        if (!block)
            break;
        sg[reporting->blocks] = (struct virtqueue_sg){block, MEMORY_BLOCK_SIZE};
        reporting->block[reporting->blocks++] = block;
    }
    if (reporting->blocks == 0)
        return false;
    if (virtqueue_add(reporting->vq, sg, 0, reporting->blocks, reporting) != 0) {
        give_back(reporting, false);
        return false;
    }
    virtqueue_kick(reporting->vq);
    return true;
}

unsigned page_reporting_poll(struct page_reporting *reporting)
{
    unsigned done = 0;

    if (!reporting->vq)
        return 0;
    virtqueue_disable_cb(reporting->vq);
    if (virtqueue_get_buf(reporting->vq, NULL) != NULL) {
        give_back(reporting, true);
        done++;
    }
    if (reporting->blocks > 0 || platform_now_ns() < reporting->next_ns)
        return done;
    if (report(reporting))
        return done + 1;
    reporting->next_ns = platform_now_ns() + INTERVAL_NS;
    return done;
}

bool page_reporting_arm(struct page_reporting *reporting)
{
    return !reporting->vq || reporting->blocks == 0 || virtqueue_enable_cb(reporting->vq);
}

uint64_t page_reporting_deadline(const struct page_reporting *reporting)
{
    return reporting->vq && reporting->blocks == 0 ? reporting->next_ns : PLATFORM_NO_DEADLINE;
}

uint64_t page_reporting_settle(struct page_reporting *reporting, uint64_t end_ns)
{
    uint64_t pages = (uint64_t)reporting->blocks * (MEMORY_BLOCK_SIZE / PAGE_SIZE);

    if (!reporting->vq || pages == 0)
        return 0;
    while (virtqueue_get_buf(reporting->vq, NULL) == NULL) {
        if (platform_now_ns() > end_ns || virtqueue_is_broken(reporting->vq))
            return 0;
        platform_relax();
    }
    give_back(reporting, true);
    return pages;
}

void page_reporting_reclaim(struct page_reporting *reporting)
{
    if (!reporting->vq)
        return;
    while (virtqueue_detach_unused(reporting->vq) != NULL)
        continue;
    give_back(reporting, false);
}
