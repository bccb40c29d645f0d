/*
 * load.c - measures a disk: parses the line, keeps requests under way, and counts latencies.
 *
 * All memory is taken before the first request. Latencies go into counters for ranges of time, 16
 * of them for each power of two, so that any number of requests needs the same memory. The contract
 * is in load.h; requests are block.h's.
 */
#include "blk/load.h"

#include <errno.h>
#include <string.h>

#include "blk/partition.h"
#include "cmdline.h"
#include "log.h"
#include "platform.h"

#define WORDS_MAX 8u
/* Counters for each power of two of nanoseconds, and powers. */
#define FINE_BITS 4u
#define FINE (1u << FINE_BITS)
#define RANGES (60u * FINE)
#define MEMORY_MAX (256u << 20)
#define SEED UINT64_C(0x9e3779b97f4a7c15)
#define STAMP_END (BLK_SECTOR_SIZE - sizeof(uint64_t))

enum load_op {
    LOAD_RANDREAD,
    LOAD_RANDWRITE,
    LOAD_READ,
    LOAD_WRITE,
    LOAD_FLUSH,
    LOAD_SYNC,
    LOAD_FILL,
    LOAD_VERIFY,
    LOAD_DISCARD,
    LOAD_ZEROES
};

static const struct {
    const char *name;
    enum blk_op op;
    bool random;
} ops[] = {
    [LOAD_RANDREAD] = {"randread", BLK_READ, true},
    [LOAD_RANDWRITE] = {"randwrite", BLK_WRITE, true},
    [LOAD_READ] = {"read", BLK_READ, false},
    [LOAD_WRITE] = {"write", BLK_WRITE, false},
    [LOAD_FLUSH] = {"flush", BLK_FLUSH, false},
    [LOAD_SYNC] = {"sync", BLK_WRITE, false},
    [LOAD_FILL] = {"fill", BLK_WRITE, false},
    [LOAD_VERIFY] = {"verify", BLK_READ, false},
    [LOAD_DISCARD] = {"discard", BLK_DISCARD, false},
    [LOAD_ZEROES] = {"zeroes", BLK_WRITE_ZEROES, false},
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

struct slot {
    struct blk_request request;
    struct blk_segment segment;
    uint64_t submitted_ns;
};

/* Some requests bring their own memory. */
static void set_op(struct slot *slot, enum blk_op op)
{
    bool data = op == BLK_READ || op == BLK_WRITE;

    slot->request.op = op;
    slot->request.segment = data ? &slot->segment : NULL;
    slot->request.segments = data;
}

static struct {
    bool running, cancelled, claimed;
    void (*answer)(void *arg, const char *text);
    void *arg;

    struct blk_device *device;
    enum load_op op;
    uint32_t block_bytes, block_sectors;
    unsigned depth;
    uint64_t count;  /* requests in all */
    uint64_t blocks; /* on the device */

    struct slot *slots;
    uint8_t *data;
    uint64_t submitted, done;
    uint64_t position; /* block, of those in order */
    uint64_t random;
    uint64_t start_ns, max_ns;
    int error;
    uint64_t error_sector, wrong_sectors;
    uint32_t range[RANGES];
} load;

/* ---- latencies ---- */

static unsigned range_of(uint64_t ns)
{
    unsigned power, index;

    if (ns < FINE)
        return (unsigned)ns;
    power = 63u - (unsigned)__builtin_clzll(ns);
    index = (power - FINE_BITS + 1) * FINE + (unsigned)(ns >> (power - FINE_BITS) & (FINE - 1));
    return index < RANGES ? index : RANGES - 1;
}

/* The first time that is beyond a range. */
static uint64_t range_end(unsigned range)
{
    if (range < FINE)
        return range + 1u;
    return (uint64_t)(range % FINE + FINE + 1) << (range / FINE - 1);
}

static uint64_t percentile_us(unsigned percent)
{
    uint64_t wanted = (load.done * percent + 99) / 100, seen = 0;
    unsigned i;

    for (i = 0; i < RANGES && seen + load.range[i] < wanted; i++)
        seen += load.range[i];
    uint64_t ns = i < RANGES ? range_end(i) : load.max_ns;
    return (ns < load.max_ns ? ns : load.max_ns) / 1000;
}

/* ---- requests ---- */

/* xorshift64*, and a product instead of a division. */
static uint64_t random_block(void)
{
    load.random ^= load.random >> 12;
    load.random ^= load.random << 25;
    load.random ^= load.random >> 27;
    return (uint64_t)((unsigned __int128)(load.random * UINT64_C(0x2545f4914f6cdd1d)) *
                          load.blocks >>
                      64);
}

static uint64_t next_block(void)
{
    uint64_t block = load.position;

    if (ops[load.op].random)
        return random_block();
    load.position = block + 1 < load.blocks ? block + 1 : 0;
    return block;
}

static void stamp(const struct slot *slot)
{
    uint8_t *data = slot->segment.data;

    for (uint32_t i = 0; i < load.block_sectors; i++, data += BLK_SECTOR_SIZE) {
        uint64_t sector = slot->request.sector + i;

        memcpy(data, &sector, sizeof(sector));
        memcpy(data + STAMP_END, &sector, sizeof(sector));
    }
}

static void check_stamps(const struct slot *slot)
{
    const uint8_t *data = slot->segment.data;

    for (uint32_t i = 0; i < load.block_sectors; i++, data += BLK_SECTOR_SIZE) {
        uint64_t sector = slot->request.sector + i;

        if (memcmp(data, &sector, sizeof(sector)) == 0 &&
            memcmp(data + STAMP_END, &sector, sizeof(sector)) == 0)
            continue;
        if (load.wrong_sectors++ == 0)
            load.error_sector = sector;
    }
}

static void submit(struct slot *slot, uint64_t now_ns)
{
    load.submitted++;
    if (load.op != LOAD_FLUSH)
        slot->request.sector = next_block() * load.block_sectors;
    if (load.op == LOAD_FILL)
        stamp(slot);
    if (load.op == LOAD_SYNC)
        set_op(slot, BLK_WRITE);
    slot->submitted_ns = now_ns;
    blk_submit(load.device, &slot->request);
}

static void finish_load(void);

static void request_done(struct blk_request *request)
{
    struct slot *slot = request->context;
    uint64_t now_ns = platform_now_ns(), ns = now_ns - slot->submitted_ns;

    if (load.op == LOAD_SYNC && request->op == BLK_WRITE && !request->status) {
        set_op(slot, BLK_FLUSH);
        blk_submit(load.device, request);
        return;
    }
    load.done++;
    load.range[range_of(ns)]++;
    if (ns > load.max_ns)
        load.max_ns = ns;
    if (request->status && !load.error) {
        load.error = request->status;
        load.error_sector = request->sector;
    }
    if (load.op == LOAD_VERIFY && !request->status)
        check_stamps(slot);
    if (load.submitted < load.count && !load.error && !load.cancelled)
        submit(slot, now_ns);
    else if (load.done == load.submitted)
        finish_load();
}

/* ---- begin and end ---- */

static void give_back(void)
{
    if (load.slots)
        platform_dma_free(load.slots, load.depth * sizeof(*load.slots));
    if (load.data)
        platform_dma_free(load.data, (size_t)load.depth * load.block_bytes);
    if (load.claimed)
        blk_release(load.device);
    load.running = false;
}

static void finish_load(void)
{
    uint64_t us = (platform_now_ns() - load.start_ns) / 1000;
    bool cancelled = load.cancelled;
    char text[BLK_LOAD_ANSWER_SIZE];

    if (load.error)
        format_text(text, sizeof(text), "error: %s at sector %llu of %s: %d (%s)",
                    ops[load.op].name, (unsigned long long)load.error_sector, load.device->name,
                    load.error,
                    load.error == -EROFS     ? "read-only"
                    : load.error == -ENOTSUP ? "not supported"
                    : load.error == -EINVAL  ? "beyond the end or misaligned"
                                             : "input or output error");
    else if (load.wrong_sectors)
        format_text(text, sizeof(text),
                    "error: %llu sectors of %s are not as filled, the first is %llu",
                    (unsigned long long)load.wrong_sectors, load.device->name,
                    (unsigned long long)load.error_sector);
    else
        format_text(text, sizeof(text), "ok n=%llu usec=%llu bytes=%llu p50=%llu p99=%llu max=%llu",
                    (unsigned long long)load.done, (unsigned long long)us,
                    (unsigned long long)(load.op == LOAD_FLUSH ? 0 : load.done * load.block_bytes),
                    (unsigned long long)percentile_us(50), (unsigned long long)percentile_us(99),
                    (unsigned long long)(load.max_ns / 1000));
    give_back();
    if (!cancelled)
        load.answer(load.arg, text);
}

/* Takes the memory and sets everything to zero. NULL, or what is wrong. */
static const char *prepare(void)
{
    size_t bytes = (size_t)load.depth * load.block_bytes;

    load.slots = platform_dma_alloc(load.depth * sizeof(*load.slots), 64);
    load.data = bytes <= MEMORY_MAX ? platform_dma_alloc(bytes, 4096) : NULL;
    if (!load.slots || !load.data) {
        give_back();
        return "no memory for so much at a time";
    }
    load.submitted = load.done = load.position = 0;
    load.random = SEED;
    load.max_ns = 0;
    load.error = 0;
    load.wrong_sectors = 0;
    load.cancelled = false;
    memset(load.range, 0, sizeof(load.range));
    for (unsigned i = 0; i < load.depth; i++) {
        struct slot *slot = &load.slots[i];

        slot->segment =
            (struct blk_segment){load.data + (size_t)i * load.block_bytes, load.block_bytes};
        slot->request = (struct blk_request){
            .sectors = load.block_sectors, .unmap = true, .done = request_done, .context = slot};
        set_op(slot, ops[load.op].op);
    }
    return NULL;
}

static unsigned split_words(char *text, char *word[WORDS_MAX])
{
    unsigned n = 0;

    for (;;) {
        while (*text == ' ' || *text == '\t' || *text == '\r')
            *text++ = '\0';
        if (!*text)
            return n;
        if (n == WORDS_MAX)
            return WORDS_MAX + 1;
        word[n++] = text;
        while (*text && *text != ' ' && *text != '\t' && *text != '\r')
            text++;
    }
}

static const char *parse_device(char *const word[], unsigned words, bool *force)
{
    const char *name = NULL;

    *force = false;
    for (unsigned i = 0; i < words; i++) {
        if (strcmp(word[i], "force") == 0)
            *force = true;
        else if (!name)
            name = word[i];
        else
            return "too many words";
    }
    load.device = name ? partition_find(name) : blk_device_at(0);
    return load.device ? NULL : name ? "there is no such disk" : "there is no disk";
}

/* What the line asks for, checked as far as the block layer does not. NULL, or what is wrong. */
static const char *parse(char *text, bool *force)
{
    char *word[WORDS_MAX];
    unsigned n = split_words(text, word);
    uint64_t bytes, depth;
    const char *wrong;

    if (n < 5 || n > WORDS_MAX - 1 || strcmp(word[0], "blk") != 0)
        return "expected: blk OP BS DEPTH COUNT [DEVICE] [force]";
    for (load.op = 0; load.op < OPS && strcmp(word[1], ops[load.op].name) != 0; load.op++)
        ;
    if (load.op == OPS)
        return "OP is none of randread randwrite read write flush sync fill verify discard zeroes";
    wrong = parse_device(word + 5, n - 5, force);
    if (wrong)
        return wrong;
    if (!cmdline_parse_size(word[2], &bytes))
        return "BS is not a size";
    if (load.op == LOAD_FLUSH)
        bytes = load.device->block_size;
    if (bytes == 0 || bytes % load.device->block_size || bytes > MEMORY_MAX)
        return "BS is not a multiple of the disk's blocks, or too large";
    if (!cmdline_parse_size(word[3], &depth) || depth == 0 || depth > BLK_LOAD_DEPTH_MAX)
        return "DEPTH is not between 1 and 256";
    if (!cmdline_parse_size(word[4], &load.count) || load.count == 0 || load.count > UINT32_MAX)
        return "COUNT is not between 1 and 4294967295";
    load.block_bytes = (uint32_t)bytes;
    load.block_sectors = load.block_bytes / BLK_SECTOR_SIZE;
    load.depth = depth < load.count ? (unsigned)depth : (unsigned)load.count;
    load.blocks = load.device->capacity / load.block_sectors;
    return load.blocks ? NULL : "the disk is smaller than BS";
}

/* What writes has the device for itself. */
static const char *claim(bool force, char *text, size_t size)
{
    load.claimed = false;
    if (ops[load.op].op == BLK_READ || load.op == LOAD_FLUSH || force)
        return NULL;
    if (blk_claim(load.device, "load")) {
        format_text(text, size,
                    "%s is in use (%s); with the word force it is written to all the same",
                    load.device->name, blk_holder(load.device));
        return text;
    }
    load.claimed = true;
    return NULL;
}

void blk_load_start(const char *line, void (*answer)(void *arg, const char *text), void *arg)
{
    char text[BLK_LOAD_LINE_SIZE], reason[BLK_LOAD_ANSWER_SIZE];
    const char *wrong = "another load is running";
    bool force;

    if (!load.running) {
        wrong = "the line is too long";
        if (strlen(line) < sizeof(text)) {
            strcpy(text, line);
            wrong = parse(text, &force);
        }
        if (!wrong)
            wrong = claim(force, reason, sizeof(reason));
        if (!wrong)
            wrong = prepare();
    }
    if (wrong) {
        format_text(text, sizeof(text), "error: %s", wrong);
        answer(arg, text);
        return;
    }
    load.running = true;
    load.answer = answer;
    load.arg = arg;
    load.start_ns = platform_now_ns();
    /* A disk that answers at once is done with all of them, and with the slots, in the first round.
     */
    for (unsigned i = 0; load.running && i < load.depth && load.submitted < load.count; i++)
        submit(&load.slots[i], platform_now_ns());
}

void blk_load_cancel(const void *arg)
{
    if (load.running && load.arg == arg)
        load.cancelled = true;
}
