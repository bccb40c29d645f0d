/*
 * proof_page_reporting.c - by induction, with a device that answers reports of free memory when it
 * likes (5.5.6.7): blocks that it was told of are not used before it answered, and each goes back
 * once.
 */
// share
// unwind: 6
// control: balloon/page_reporting.c: if (reporting->blocks > 0 || platform_now_ns() < reporting->next_ns) => if (platform_now_ns() < reporting->next_ns)
// control: balloon/page_reporting.c: while (reporting->blocks < PAGE_REPORTING_BLOCKS) { => for (;;) {
// control: balloon/page_reporting.c: if (virtqueue_get_buf(reporting->vq, NULL) != NULL) { => {
// control: balloon/page_reporting.c: give_back(reporting, false);\n        return false; => return false;
#define LENT_MAX 1
#include "any_queue.h"

#include "balloon/page_reporting.h"
#undef PAGE_REPORTING_BLOCKS
#define PAGE_REPORTING_BLOCKS 2u
#include "balloon/page_reporting.c"

#define BLOCKS (2 * PAGE_REPORTING_BLOCKS)

static uint8_t *block[BLOCKS];
static bool taken[BLOCKS]; /* out of the machine's free memory */
static struct virtqueue vq;
static struct page_reporting *reporting;

bool virtqueue_enable_cb(struct virtqueue *of)
{
    claim(of == &vq);
    return any_bool();
}

void *virtqueue_detach_unused(struct virtqueue *of)
{
    void *token = of->token[0];

    of->token[0] = NULL;
    return token;
}

uint64_t platform_now_ns(void)
{
    return any_u64() / 2;
}

void hosted_relax(void)
{
}

void *memory_unreported_take(void)
{
    unsigned i = any_unsigned() % BLOCKS;

    if (taken[i] || any_bool())
        return NULL;
    taken[i] = true;
    return block[i];
}

void memory_unreported_return(void *from, bool reported)
{
    unsigned i = 0;

    while (i < BLOCKS && block[i] != from)
        i++;
    (void)reported;
    claim(i < BLOCKS && taken[i]);
    claim(!queue_has(&vq, reporting));
    taken[i] = false;
}

static bool is_valid(void)
{
    unsigned i, j, out = 0;
    bool good = reporting->blocks <= PAGE_REPORTING_BLOCKS;

    good = good && queue_has(&vq, reporting) == (reporting->blocks > 0);
    for (i = 0; i < BLOCKS; i++) {
        unsigned known = 0;

        for (j = 0; j < PAGE_REPORTING_BLOCKS; j++)
            known += j < reporting->blocks && reporting->block[j] == block[i];
        good = good && known == taken[i];
        out += taken[i];
    }
    return good && out == reporting->blocks;
}

int main(void)
{
    unsigned i;

    reporting = malloc(sizeof(*reporting));
    reporting->vq = &vq;
    vq.broken = any_bool();
    vq.token[0] = any_bool() ? reporting : NULL;
    for (i = 0; i < BLOCKS; i++) {
        block[i] = malloc(MEMORY_BLOCK_SIZE);
        taken[i] = any_bool();
    }
    assume(is_valid());
    if (any_bool()) {
        page_reporting_poll(reporting);
    } else {
        page_reporting_reclaim(reporting);
        claim(reporting->blocks == 0);
    }
    claim(is_valid());
    return 0;
}
