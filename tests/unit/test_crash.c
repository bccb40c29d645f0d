// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/cache.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/device_blk.c hosted/device_blk_zones.c hosted/violation.c
// sources: hosted/ring_packed.c
/*
 * test_crash.c - what a crash may leave on a disk: every legal image after every step of random
 * writes and flushes, over the block layer and over the cache.
 *
 * The model device reports each write and flush when it takes it and when it answers. From that this
 * file knows what may be on the medium: what is stable, and of each other write any of its sectors or
 * none. The caller's side knows what it was promised: flushed data is there; of a sector that was
 * written since, the old data or any of the new, and nothing else. Each sector holds its number and a
 * version, so a look tells which. `make crash-check N=runs` does more of it. Read blk/block.h for the
 * contract.
 */
#include "support.h"

#include "blk/block.h"
#include "blk/cache.h"
#include "blk/virtio_blk.h"
#include "hosted/device_blk.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

#define SECTORS 128u
#define STEPS 60u
#define PENDING_MAX 512u
#define DEPTH 6u
#define SECTORS_MAX 8u
/* All subsets of so many writes are looked at, and this many samples when there are more. */
#define ALL_SUBSETS 12u
#define SAMPLES 512u

static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
static struct device_blk model;
static struct blk_device *disk;
static uint32_t seed;
static uint64_t images; /* looked at so far */
static uint64_t merged; /* requests that went together with others */

static unsigned pick(unsigned limit)
{
    return support_random(&seed) % limit;
}

/* ---- the caller's side: what was promised ---- */

static uint32_t last_version[SECTORS]; /* submitted */
static uint32_t durable[SECTORS];      /* at least this one is there, whatever happens */
static unsigned broken_promises;       /* counted instead of failed, for the canary */
static bool expect_broken;

static void fill_sector(uint8_t *data, uint32_t sector, uint32_t version)
{
    uint32_t word[2] = {sector, version};

    for (unsigned i = 0; i < BLK_SECTOR_SIZE; i += sizeof(word))
        memcpy(data + i, word, sizeof(word));
}

/* The version in a sector, which must be whole and its own. */
static uint32_t version_in(const uint8_t *data, uint32_t sector)
{
    uint8_t expected[BLK_SECTOR_SIZE];
    uint32_t version;

    memcpy(&version, data + 4, sizeof(version));
    fill_sector(expected, sector, version);
    assert_memory_equal(data, expected, BLK_SECTOR_SIZE);
    return version;
}

static void check_sector(uint32_t sector, uint32_t version)
{
    if (version >= durable[sector] && version <= last_version[sector])
        return;
    broken_promises++;
    if (!expect_broken)
        fail_msg("sector %u has version %u after a crash; %u is flushed, %u the last one", sector,
                 version, durable[sector], last_version[sector]);
}

/* ---- the device's side: what may be on the medium ---- */

struct write {
    const void *id; /* NULL: answered */
    uint32_t sector, sectors;
    uint32_t version[SECTORS_MAX * DEPTH * 2];
};

static uint32_t stable[SECTORS];
static struct write pending[PENDING_MAX]; /* in the order in which they were taken */
static unsigned pending_count;
static bool volatile_cache, flush_lies;

static void apply(uint32_t *image, const struct write *write, uint32_t mask)
{
    for (uint32_t i = 0; i < write->sectors; i++)
        if (mask >> (i % 32) & 1)
            image[write->sector + i] = write->version[i];
}

static void check_image(const uint32_t *image)
{
    images++;
    for (uint32_t sector = 0; sector < SECTORS; sector++)
        check_sector(sector, image[sector]);
}

/* Power fails now: every subset of what is pending, in whole writes and torn ones. */
static void crash(void)
{
    unsigned subsets = pending_count <= ALL_SUBSETS ? 1u << pending_count : SAMPLES;
    uint32_t image[SECTORS];

    for (unsigned i = 0; i < subsets; i++) {
        memcpy(image, stable, sizeof(image));
        for (unsigned n = 0; n < pending_count; n++)
            if (pending_count <= ALL_SUBSETS ? i >> n & 1 : pick(2))
                apply(image, &pending[n], ~0u);
        check_image(image);
    }
    /* Torn: any sectors of each. And prefixes: all before one point, which itself is torn. */
    for (unsigned i = 0; pending_count && i < 8 + pending_count; i++) {
        memcpy(image, stable, sizeof(image));
        for (unsigned n = 0; n < pending_count; n++)
            if (i < 8 || n <= i - 8)
                apply(image, &pending[n], i < 8 || n == i - 8 ? support_random(&seed) : ~0u);
        check_image(image);
    }
}

static void make_stable(unsigned n)
{
    apply(stable, &pending[n], ~0u);
    memmove(&pending[n], &pending[n + 1], (--pending_count - n) * sizeof(pending[0]));
}

/* A device that took a write may have done any part of it; one that answered it has it at least in
 * its cache. */
static void watch(void *arg, bool answered, const void *id, const struct device_blk_request *r,
                  const uint8_t *data)
{
    (void)arg;
    if (!answered && r->type == BLK_T_OUT) {
        struct write *write = &pending[pending_count++];

        assert_true(pending_count < PENDING_MAX);
        *write = (struct write){id, (uint32_t)r->sector, r->bytes / BLK_SECTOR_SIZE, {0}};
        assert_true(write->sectors <= sizeof(write->version) / sizeof(write->version[0]));
        for (uint32_t i = 0; i < write->sectors; i++)
            write->version[i] = version_in(data + i * BLK_SECTOR_SIZE, write->sector + i);
    } else if (answered && r->type == BLK_T_OUT) {
        unsigned n;

        for (n = 0; n < pending_count && pending[n].id != id; n++)
            ;
        assert_true(n < pending_count);
        pending[n].id = NULL;
        if (!volatile_cache)
            make_stable(n);
    } else if (answered && r->type == BLK_T_FLUSH && !flush_lies) {
        for (unsigned n = 0; n < pending_count;)
            if (pending[n].id)
                n++;
            else
                make_stable(n);
    }
    crash();
}

/* ---- a run ---- */

static uint8_t *memory;

enum mode { WRITE_BACK, WRITE_THROUGH, NO_FLUSH };

static void start(enum mode mode)
{
    struct device_blk_setup setup = {.capacity = SECTORS,
                                     .seg_max = 4,
                                     .flush = mode != NO_FLUSH,
                                     .config_wce = mode == WRITE_THROUGH,
                                     .queues = (uint16_t)pick(3),
                                     .queue_size = 16,
                                     .msix_vectors = 4};

    hosted_reset();
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_blk_init(&model, &setup);
    memset(stable, 0, sizeof(stable));
    memset(durable, 0, sizeof(durable));
    memset(last_version, 0, sizeof(last_version));
    pending_count = 0;
    volatile_cache = mode == WRITE_BACK;
    for (uint32_t sector = 0; sector < SECTORS; sector++)
        fill_sector(model.disk + sector * BLK_SECTOR_SIZE, sector, 0);
    model.watch = watch;
    memory = platform_dma_alloc(DEPTH * SECTORS_MAX * BLK_SECTOR_SIZE, 4096);
    assert_int_equal(virtio_pci_scan(), 1);
    disk = blk_device_at(0);
    if (mode == WRITE_THROUGH)
        assert_int_equal(blk_set_write_cache(disk, false), 0);
}

static void stop(void)
{
    virtio_shutdown();
    device_blk_finish(&model);
    fake_pci_reset();
    platform_dma_free(memory, DEPTH * SECTORS_MAX * BLK_SECTOR_SIZE);
}

/* ---- over the block layer ---- */

struct slot {
    struct blk_request request;
    struct blk_segment segment[2];
    bool busy;
    uint32_t promise[SECTORS]; /* of a flush: what is durable when it is done */
};

static struct slot slots[DEPTH];

static void request_done(struct blk_request *request)
{
    struct slot *slot = request->context;

    slot->busy = false;
    assert_int_equal(request->status, 0);
    for (uint32_t i = 0; request->op == BLK_FLUSH && i < SECTORS; i++)
        if (slot->promise[i] > durable[i])
            durable[i] = slot->promise[i];
    /* Without a volatile cache what is answered is there. */
    for (uint32_t i = 0; request->op == BLK_WRITE && !disk->has_flush && i < SECTORS_MAX; i++) {
        uint32_t sector = (uint32_t)request->sector + i;
        if (i * BLK_SECTOR_SIZE < slot->segment[0].len + slot->segment[1].len)
            durable[sector] = last_version[sector];
    }
}

/* Two writes under way at once to one sector have no order, so callers do not do that. */
static bool is_under_way(uint32_t sector, uint32_t sectors)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        const struct slot *slot = &slots[i];
        uint32_t len = (slot->segment[0].len + slot->segment[1].len) / BLK_SECTOR_SIZE;

        if (slot->busy && slot->request.op == BLK_WRITE && sector < slot->request.sector + len &&
            slot->request.sector < sector + sectors)
            return true;
    }
    return false;
}

static void submit(struct slot *slot, uint8_t *data)
{
    uint32_t sectors = 1 + pick(SECTORS_MAX), sector = pick(SECTORS - sectors + 1);
    uint32_t first = sectors > 1 ? 1 + pick(sectors - 1) : 1;
    bool flush = pick(5) == 0;

    if (!flush && is_under_way(sector, sectors))
        return;
    for (uint32_t i = 0; !flush && i < sectors; i++)
        fill_sector(data + i * BLK_SECTOR_SIZE, sector + i, ++last_version[sector + i]);
    slot->segment[0] = (struct blk_segment){data, first * BLK_SECTOR_SIZE};
    slot->segment[1] =
        (struct blk_segment){data + first * BLK_SECTOR_SIZE, (sectors - first) * BLK_SECTOR_SIZE};
    slot->request = (struct blk_request){.op = flush ? BLK_FLUSH : BLK_WRITE,
                                         .sector = sector,
                                         .segment = flush ? NULL : slot->segment,
                                         .segments = flush             ? 0
                                                     : sectors > first ? 2
                                                                       : 1,
                                         .done = request_done,
                                         .context = slot};
    memcpy(slot->promise, last_version, sizeof(last_version));
    slot->busy = true;
    blk_submit(disk, &slot->request);
}

static void run_block_layer(enum mode mode)
{
    start(mode);
    memset(slots, 0, sizeof(slots));
    model.hold = true;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned n = pick(DEPTH);

        if (!slots[n].busy)
            submit(&slots[n], memory + n * SECTORS_MAX * BLK_SECTOR_SIZE);
        if (pick(2)) {
            blk_poll(disk, 1 + pick(4));
            device_run(&model.device);
        }
        if (pick(2)) {
            bool reverse = pick(2);

            device_blk_release(&model, 1 + pick(3), reverse);
        }
    }
    model.hold = false;
    for (unsigned i = 0; i < 4 * DEPTH; i++) {
        device_run(&model.device);
        device_blk_release(&model, DEVICE_BLK_HOLD, false);
        blk_poll(disk, 64);
    }
    for (unsigned i = 0; i < DEPTH; i++)
        assert_false(slots[i].busy);
    merged += disk->stats.merged;
    stop();
}

/* ---- over the cache ---- */

static void run_cache(enum mode mode, bool write_back)
{
    struct blk_cache *cache;
    uint8_t *data;

    start(mode);
    data = memory;
    cache = blk_cache_create(disk, 4 * 4096 * (1 + pick(3)));
    assert_non_null(cache);
    blk_cache_set_write_back(cache, write_back);
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t sectors = 1 + pick(2 * SECTORS_MAX), sector = pick(SECTORS - sectors + 1);

        switch (pick(6)) {
        case 0:
            assert_int_equal(blk_cache_flush(cache), 0);
            memcpy(durable, last_version, sizeof(durable));
            break;
        case 1:
            assert_int_equal(blk_cache_read(cache, sector, data, sectors), 0);
            for (uint32_t i = 0; i < sectors; i++)
                assert_int_equal(version_in(data + i * BLK_SECTOR_SIZE, sector + i),
                                 last_version[sector + i]);
            break;
        default:
            for (uint32_t i = 0; i < sectors; i++)
                fill_sector(data + i * BLK_SECTOR_SIZE, sector + i, ++last_version[sector + i]);
            assert_int_equal(blk_cache_write(cache, sector, data, sectors), 0);
            for (uint32_t i = 0; !write_back && !disk->has_flush && i < sectors; i++)
                durable[sector + i] = last_version[sector + i];
        }
    }
    blk_cache_destroy(cache);
    stop();
}

/* ---- tests ---- */

static unsigned runs(void)
{
    const char *text = getenv("CRASH_RUNS");

    return text && atoi(text) > 0 ? (unsigned)atoi(text) : 12;
}

static void block_layer(void **state)
{
    (void)state;
    for (unsigned run = 0; run < runs(); run++)
        for (unsigned mode = WRITE_BACK; mode <= NO_FLUSH; mode++) {
            seed = run * 3 + mode;
            run_block_layer(mode);
        }
    assert_true(images > 10000);
    assert_true(merged > 0);
}

static void cache(void **state)
{
    (void)state;
    for (unsigned run = 0; run < runs(); run++)
        for (unsigned mode = 0; mode < 6; mode++) {
            seed = 1000000 + run * 6 + mode;
            run_cache(mode / 2, mode % 2);
        }
    print_message("%llu crash images are as promised\n", (unsigned long long)images);
}

/* A device that forgets flushed data must be found out, or nothing above means anything. */
static void a_device_that_does_not_flush_is_found_out(void **state)
{
    (void)state;
    expect_broken = flush_lies = true;
    broken_promises = 0;
    seed = 5;
    run_block_layer(WRITE_BACK);
    assert_true(broken_promises > 0);
    broken_promises = 0;
    run_cache(WRITE_BACK, true);
    assert_true(broken_promises > 0);
    expect_broken = flush_lies = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_that_does_not_flush_is_found_out),
        TEST(block_layer),
        TEST(cache),
    };

    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
