/*
 * target_balloon.c - the balloon driver (5.5) under a hostile device, over a machine of few
 * pages (hosted/pages.h).
 */
#include "balloon/virtio_balloon.h"
#include "memory.h"

#include "fuzz.h"
#include "hostile.h"
#include "hosted/hosted.h"
#include "hosted/pages.h"
#include "virtio/spec_devices.h"

#define PAGES 96u
#define BLOCKS 3u

static void *own[PAGES];
static unsigned owned;

static void use(uint8_t op, struct input *input)
{
    (void)input;
    switch (op % 3) {
    case 0:
        if (owned < PAGES && (own[owned] = memory_pages_alloc(1, PAGE_SIZE)))
            owned++;
        break;
    case 1:
        if (owned)
            memory_pages_free(own[--owned], 1);
        break;
    default:
        hosted_blocks_use(BLOCKS);
        hosted_clock_advance(op * UINT64_C(100000000));
    }
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    (void)chain;
    return queue == 2 ? HOSTILE_KEEP : 0;
}

static const struct hostile_type type = {
    .driver = &virtio_balloon_driver,
    .id = 5,
    .queues = 5,
    .features = 1u << VIRTIO_BALLOON_F_STATS_VQ | 1u << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                1u << VIRTIO_BALLOON_F_PAGE_REPORTING,
    .config = {20},
    .answer = answer,
    .use = use,
};

void fuzz_balloon(struct input *input, bool packed)
{
    hosted_blocks_use(BLOCKS);
    hostile_run(&type, packed, input);
    while (owned)
        memory_pages_free(own[--owned], 1);
    if (hosted_pages_taken() || hosted_blocks_taken())
        hosted_fail("%u pages stayed in the balloon, %u blocks were never given back",
                    hosted_pages_taken(), hosted_blocks_taken());
}

void fuzz_balloon_prepare(void)
{
    hosted_pages_reset();
    hosted_pages_limit(PAGES, BLOCKS);
}
