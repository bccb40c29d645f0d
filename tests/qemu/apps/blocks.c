/*
 * blocks.c - writes the first disk full and reads it back, many requests at a time in random order,
 * and says how many bytes were not as expected.
 *
 * Arguments: rounds, requests at a time, seed. Each sector's words tell sector and round, so that
 * test_apps.py can check the image from outside. Uses the block layer as an application would:
 * requests by blk_submit(), turns of the event loop while they are under way. Read blk/block.h
 * next.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "blk/block.h"
#include "loop.h"
#include "platform.h"

#define STRIPE_SECTORS 96u
#define WORDS (BLK_SECTOR_SIZE / sizeof(uint64_t))
#define DEPTH_MAX 64u
#define SEGMENTS_MAX 12u
#define WAIT_NS 100000u

struct slot {
    struct blk_request request;
    struct blk_segment segment[SEGMENTS_MAX];
    uint64_t *data;
    uint32_t stripe;
    struct slot *next;
};

static struct blk_device *disk;
static struct slot slots[DEPTH_MAX], *idle;
static uint32_t *order, stripes, next_stripe, finished;
static uint64_t wrong_words, failures, random_state, this_round;
static bool writing;

/* xorshift64*: the same sequence on every machine. */
static uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t pattern(uint64_t sector, uint64_t round, unsigned word)
{
    return (sector * UINT64_C(0x9e3779b97f4a7c15) + round * UINT64_C(0xd1b54a32d192ed03)) ^ word;
}

static uint32_t stripe_sectors(uint32_t stripe)
{
    uint64_t left = disk->capacity - (uint64_t)stripe * STRIPE_SECTORS;
    return left < STRIPE_SECTORS ? (uint32_t)left : STRIPE_SECTORS;
}

static void fill(struct slot *slot)
{
    uint64_t sector = (uint64_t)slot->stripe * STRIPE_SECTORS;
    uint64_t *word = slot->data;

    for (uint32_t i = 0; i < stripe_sectors(slot->stripe); i++)
        for (unsigned j = 0; j < WORDS; j++)
            *word++ = writing ? pattern(sector + i, this_round, j) : 0;
}

static void compare(const struct slot *slot)
{
    uint64_t sector = (uint64_t)slot->stripe * STRIPE_SECTORS;
    const uint64_t *word = slot->data;

    for (uint32_t i = 0; i < stripe_sectors(slot->stripe); i++)
        for (unsigned j = 0; j < WORDS; j++)
            wrong_words += *word++ != pattern(sector + i, this_round, j);
}

/* Cuts a stripe into pieces of random lengths; the last one takes what is left. */
static unsigned cut(struct slot *slot)
{
    uint32_t left = stripe_sectors(slot->stripe);
    uint8_t *data = (uint8_t *)slot->data;
    unsigned n = 0;

    while (left > 0) {
        uint32_t sectors = 1 + (uint32_t)(random_next() % 16);
        if (sectors > left || n == SEGMENTS_MAX - 1)
            sectors = left;
        slot->segment[n++] = (struct blk_segment){data, sectors * BLK_SECTOR_SIZE};
        data += sectors * BLK_SECTOR_SIZE;
        left -= sectors;
    }
    return n;
}

static void on_done(struct blk_request *request);

static void submit_next(void)
{
    while (idle != NULL && next_stripe < stripes) {
        struct slot *slot = idle;

        idle = slot->next;
        slot->stripe = order[next_stripe++];
        fill(slot);
        slot->request = (struct blk_request){
            .op = writing ? BLK_WRITE : BLK_READ,
            .sector = (uint64_t)slot->stripe * STRIPE_SECTORS,
            .segment = slot->segment,
            .segments = cut(slot),
            .done = on_done,
            .context = slot,
        };
        blk_submit(disk, &slot->request);
    }
}

static void on_done(struct blk_request *request)
{
    struct slot *slot = request->context;

    if (request->status != 0)
        failures++;
    else if (!writing)
        compare(slot);
    slot->next = idle;
    idle = slot;
    finished++;
}

static void shuffle(void)
{
    for (uint32_t i = stripes; i > 1; i--) {
        uint32_t j = (uint32_t)(random_next() % i), kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/*
 * One pass over the disk. New requests are submitted here rather than in on_done(), so that
 * callbacks never nest; the short wait leaves the device's thread its processor.
 */
static void pass(bool write)
{
    writing = write;
    next_stripe = 0;
    finished = 0;
    shuffle();
    while (finished < stripes) {
        submit_next();
        if (loop_turn() == 0)
            platform_wait(platform_now_ns() + WAIT_NS);
    }
}

static bool prepare(unsigned depth)
{
    stripes = (uint32_t)((disk->capacity + STRIPE_SECTORS - 1) / STRIPE_SECTORS);
    order = malloc(stripes * sizeof(*order));
    for (uint32_t i = 0; order != NULL && i < stripes; i++)
        order[i] = i;
    for (unsigned i = 0; i < depth; i++) {
        slots[i].data = malloc(STRIPE_SECTORS * BLK_SECTOR_SIZE);
        if (slots[i].data == NULL)
            return false;
        slots[i].next = idle;
        idle = &slots[i];
    }
    return order != NULL;
}

int app_main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    unsigned depth = argc > 2 ? (unsigned)atoi(argv[2]) : 16;
    uint8_t sector[BLK_SECTOR_SIZE];

    random_state = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    disk = blk_device_at(0);
    if (disk == NULL || depth == 0 || depth > DEPTH_MAX || !prepare(depth)) {
        printf("blocks: no disk, no memory, or a depth beyond %u\n", DEPTH_MAX);
        return 2;
    }
    for (this_round = 1; this_round <= rounds; this_round++) {
        pass(true);
        failures += blk_flush(disk) != 0;
        pass(false);
    }
    printf("blocks: beyond the end: %d\n", blk_read(disk, disk->capacity, sector, 1));
    printf("blocks: %llu reads %llu writes %llu flushes %llu parts\n",
           (unsigned long long)disk->stats.reads, (unsigned long long)disk->stats.writes,
           (unsigned long long)disk->stats.flushes, (unsigned long long)disk->stats.parts);
    printf("blocks: %llu failures, %llu wrong words\n", (unsigned long long)failures,
           (unsigned long long)wrong_words);
    return failures != 0 || wrong_words != 0;
}
