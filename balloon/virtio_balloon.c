/*
 * virtio_balloon.c - the memory balloon driver (5.5): follows num_pages, one request at a time.
 *
 * A page given to the device is not touched until the device has acknowledged that it gave it back;
 * with one request in flight that holds for MUST_TELL_HOST and without it. What the machine needs
 * to live is never given away. Statistics are here, reports of free memory in page_reporting.c, the
 * list of pages in balloon_pages.c. Read memory.h for where pages come from.
 */
#include "balloon/virtio_balloon.h"

#include <errno.h>

#include "balloon/balloon_pages.h"
#include "balloon/page_reporting.h"
#include "log.h"
#include "loop.h"
#include "memory.h"
#include "virtio/spec_devices.h"

/* Pages in one request. */
#define REQUEST_PAGES 256u
/* What stays free whatever the device asks for. */
#define RESERVE_BYTES (UINT64_C(4) << 20)
/* How soon to look again after memory was short, and after it was so short that pages came back. */
#define SHORT_RETRY_NS 1000000000u
#define PRESSURE_RETRY_NS 10000000000u
/* How long an allocation waits for the device. */
#define RELEASE_TIMEOUT_NS 200000000u
/* A host that is short of memory itself may take its time. */
#define ANSWER_PATIENCE_S 30u

#define STATS 3
#define MAX_QUEUES 4

enum request { NOTHING, INFLATE, DEFLATE };

struct virtio_balloon {
    struct virtio_device *device;
    struct virtqueue *inflate, *deflate, *stats; /* stats: NULL when not negotiated */
    struct page_reporting reporting;
    struct balloon_pages pages;
    uint32_t target; /* num_pages */
    uint32_t held;   /* pages that the device has acknowledged and not given back */
    enum request request;
    uint32_t request_pages;
    bool taking;              /* our own allocations ask nobody to give pages back */
    bool complained;          /* said that memory is short for this target */
    bool announced;           /* said that this target was reached */
    uint64_t retry_ns;        /* no inflating before */
    uint64_t silent_until_ns; /* the device did not answer an allocation: none waits before */
    struct virtio_balloon_stat *stat;
    struct loop_source source;
};

/* One is enough: a second one could only ask for the same pages. */
static struct virtio_balloon *the_balloon;

static struct virtqueue *queue_of(const struct virtio_balloon *balloon, enum request request)
{
    return request == INFLATE ? balloon->inflate : balloon->deflate;
}

static void write_actual(struct virtio_balloon *balloon)
{
    le32 actual = cpu_to_le32(balloon->held);

    virtio_config_write(balloon->device, offsetof(struct virtio_balloon_config, actual), &actual,
                        sizeof(actual), sizeof(actual));
}

static bool ask(struct virtio_balloon *balloon, enum request request, le32 *numbers, uint32_t count)
{
    struct virtqueue_sg sg = {numbers, count * (uint32_t)sizeof(*numbers)};

    if (virtqueue_add(queue_of(balloon, request), &sg, 1, 0, balloon) != 0)
        return false;
    balloon->request = request;
    balloon->request_pages = count;
    virtqueue_kick(queue_of(balloon, request));
    return true;
}

/* Ends a request that the device has acknowledged. Returns the pages that became free. */
static uint32_t acknowledge(struct virtio_balloon *balloon)
{
    uint32_t count = balloon->request_pages;
    enum request request = balloon->request;

    if (request == NOTHING || !virtqueue_get_buf(queue_of(balloon, request), NULL))
        return 0;
    balloon->request = NOTHING;
    if (request == INFLATE) {
        balloon->held += count;
    } else {
        balloon->held -= count;
        balloon_pages_free(&balloon->pages, count);
    }
    write_actual(balloon);
    return request == DEFLATE ? count : 0;
}

/* ---- following num_pages ---- */

static bool inflate(struct virtio_balloon *balloon)
{
    uint32_t wanted = balloon->target - balloon->held;
    uint64_t total, available;
    le32 *numbers;

    platform_memory(&total, &available);
    available = available > RESERVE_BYTES ? (available - RESERVE_BYTES) / PAGE_SIZE : 0;
    if (wanted > REQUEST_PAGES)
        wanted = REQUEST_PAGES;
    if (wanted > available)
        wanted = (uint32_t)available;
    if (wanted > 0) {
        balloon->taking = true;
        wanted = balloon_pages_take(&balloon->pages, wanted, &numbers);
        balloon->taking = false;
    }
    if (wanted > 0 && ask(balloon, INFLATE, numbers, wanted))
        return true;
    balloon_pages_free(&balloon->pages, wanted);
    balloon->retry_ns = platform_now_ns() + SHORT_RETRY_NS;
    if (!balloon->complained)
        log_warn("%s: balloon: memory is short: %u of %u MiB given away", balloon->device->name,
                 balloon->held >> 8, balloon->target >> 8);
    balloon->complained = true;
    return false;
}

static bool deflate(struct virtio_balloon *balloon, uint32_t wanted)
{
    le32 *numbers;

    if (wanted > REQUEST_PAGES)
        wanted = REQUEST_PAGES;
    wanted = balloon_pages_last(&balloon->pages, wanted, &numbers);
    return wanted > 0 && ask(balloon, DEFLATE, numbers, wanted);
}

static bool next_request(struct virtio_balloon *balloon)
{
    if (balloon->request != NOTHING)
        return false;
    if (balloon->held < balloon->target)
        return platform_now_ns() >= balloon->retry_ns && inflate(balloon);
    if (balloon->held > balloon->target)
        return deflate(balloon, balloon->held - balloon->target);
    if (!balloon->announced)
        log_info("%s: balloon: %u MiB given away", balloon->device->name, balloon->held >> 8);
    balloon->announced = true;
    return false;
}

static void read_target(struct virtio_balloon *balloon)
{
    le32 value;

    if (VIRTIO_CONFIG_READ(balloon->device, struct virtio_balloon_config, num_pages, &value) ||
        le32_to_cpu(value) == balloon->target)
        return;
    balloon->target = le32_to_cpu(value);
    balloon->announced = balloon->complained = false;
    balloon->retry_ns = 0;
}

/* Takes `wanted` pages back, as far as there are so many and the device answers in time. */
static size_t take_back(struct virtio_balloon *balloon, size_t wanted, uint64_t end_ns)
{
    size_t freed = 0;

    while (freed < wanted && platform_now_ns() < end_ns) {
        freed += acknowledge(balloon);
        if (freed >= wanted ||
            (balloon->request == NOTHING && !deflate(balloon, (uint32_t)(wanted - freed))))
            break;
        platform_relax();
    }
    /* One warning for a time of pressure, which ends when nobody has asked for so long. */
    if (platform_now_ns() >= balloon->retry_ns)
        log_warn("%s: balloon: memory is short: taking pages back", balloon->device->name);
    balloon->retry_ns = platform_now_ns() + PRESSURE_RETRY_NS;
    return freed;
}

/*
 * An allocation would fail otherwise (memory.h). Memory that is only being reported comes back in
 * any case; the balloon's own pages with DEFLATE_ON_OOM, and not for what would fail all the same.
 */
static size_t release(void *arg, size_t wanted)
{
    struct virtio_balloon *balloon = arg;
    uint64_t end_ns = platform_now_ns() + RELEASE_TIMEOUT_NS;
    uint64_t total, available;
    size_t freed;

    if (balloon->taking || !balloon->device->driver_ok ||
        platform_now_ns() < balloon->silent_until_ns)
        return 0;
    freed = page_reporting_settle(&balloon->reporting, end_ns);
    platform_memory(&total, &available);
    if (freed == 0 && virtio_has_feature(balloon->device, VIRTIO_BALLOON_F_DEFLATE_ON_OOM) &&
        wanted <= available / PAGE_SIZE + balloon->pages.count)
        freed = take_back(balloon, wanted > REQUEST_PAGES ? wanted : REQUEST_PAGES, end_ns);
    if (platform_now_ns() >= end_ns)
        balloon->silent_until_ns = platform_now_ns() + PRESSURE_RETRY_NS;
    return freed;
}

/* ---- statistics (5.5.6.3) ---- */

static void provide_stats(struct virtio_balloon *balloon)
{
    struct virtqueue_sg sg = {balloon->stat, STATS * sizeof(*balloon->stat)};
    uint64_t total, available;

    platform_memory(&total, &available);
    /* What is in the balloon is not the machine's. */
    total -= (uint64_t)balloon->pages.count * PAGE_SIZE;
    balloon->stat[0] =
        (struct virtio_balloon_stat){cpu_to_le16(VIRTIO_BALLOON_S_MEMFREE), cpu_to_le64(available)};
    balloon->stat[1] =
        (struct virtio_balloon_stat){cpu_to_le16(VIRTIO_BALLOON_S_MEMTOT), cpu_to_le64(total)};
    balloon->stat[2] =
        (struct virtio_balloon_stat){cpu_to_le16(VIRTIO_BALLOON_S_AVAIL), cpu_to_le64(available)};
    if (virtqueue_add(balloon->stats, &sg, 1, 0, balloon) == 0)
        virtqueue_kick(balloon->stats);
}

/* The device returns the buffer when it wants to know anew. */
static unsigned poll_stats(struct virtio_balloon *balloon)
{
    if (!balloon->stats)
        return 0;
    virtqueue_disable_cb(balloon->stats);
    if (!virtqueue_get_buf(balloon->stats, NULL))
        return 0;
    provide_stats(balloon);
    return 1;
}

/* ---- the event loop ---- */

static bool is_broken(const struct virtio_balloon *balloon)
{
    for (unsigned i = 0; i < balloon->device->queue_count; i++) {
        if (virtqueue_is_broken(balloon->device->queue[i]))
            return true;
    }
    return false;
}

static unsigned balloon_poll(void *arg, unsigned budget)
{
    struct virtio_balloon *balloon = arg;
    enum request before = balloon->request;
    unsigned done = 0;

    (void)budget;
    if (!balloon->device->driver_ok)
        return 0;
    virtqueue_disable_cb(balloon->inflate);
    virtqueue_disable_cb(balloon->deflate);
    acknowledge(balloon);
    done += before != balloon->request;
    done += next_request(balloon);
    done += poll_stats(balloon);
    done += page_reporting_poll(&balloon->reporting);
    if (is_broken(balloon)) {
        virtio_recover(balloon->device, "its queue is broken");
        done++;
    }
    return done;
}

static bool balloon_arm(void *arg)
{
    struct virtio_balloon *balloon = arg;
    bool idle = true;

    if (!balloon->device->driver_ok)
        return true;
    if (balloon->request != NOTHING)
        idle = virtqueue_enable_cb(queue_of(balloon, balloon->request));
    if (balloon->stats)
        idle = virtqueue_enable_cb(balloon->stats) && idle;
    return page_reporting_arm(&balloon->reporting) && idle;
}

static uint64_t balloon_deadline(void *arg)
{
    struct virtio_balloon *balloon = arg;
    uint64_t deadline_ns = page_reporting_deadline(&balloon->reporting);

    if (!balloon->device->driver_ok)
        return PLATFORM_NO_DEADLINE;
    if (balloon->request == NOTHING && balloon->held < balloon->target &&
        balloon->retry_ns < deadline_ns)
        deadline_ns = balloon->retry_ns;
    return deadline_ns;
}

/* ---- set-up ---- */

/*
 * 5.5.2 numbers the queues 0 to 4, and those of features that are not there do not exist. Deployed
 * devices (QEMU's) close the gap instead.
 */
static uint16_t reporting_index(struct virtio_device *device)
{
    if (virtio_has_queue(device, 4))
        return 4;
    return (uint16_t)(2 + virtio_features_has(&device->offered, VIRTIO_BALLOON_F_STATS_VQ) +
                      virtio_features_has(&device->offered, VIRTIO_BALLOON_F_FREE_PAGE_HINT));
}

static int find_queues(struct virtio_balloon *balloon)
{
    struct virtio_device *device = balloon->device;
    bool stats = virtio_has_feature(device, VIRTIO_BALLOON_F_STATS_VQ);
    bool reporting = virtio_has_feature(device, VIRTIO_BALLOON_F_PAGE_REPORTING);
    struct virtio_queue_request request[MAX_QUEUES] = {
        {.name = "balloon inflate",
         .index = 0,
         .max_size = 2,
         .max_segments = 1,
         .patience_s = ANSWER_PATIENCE_S},
        {.name = "balloon deflate",
         .index = 1,
         .max_size = 2,
         .max_segments = 1,
         .patience_s = ANSWER_PATIENCE_S},
    };
    unsigned n = 2;
    int error;

    if (stats)
        request[n++] = (struct virtio_queue_request){
            .name = "balloon stats", .index = 2, .max_size = 2, .max_segments = 1};
    if (reporting)
        request[n++] = (struct virtio_queue_request){.name = "balloon reporting",
                                                     .index = reporting_index(device),
                                                     .max_size = PAGE_REPORTING_BLOCKS,
                                                     .max_segments = PAGE_REPORTING_BLOCKS,
                                                     .patience_s = ANSWER_PATIENCE_S};
    error = virtio_find_queues(device, request, n);
    if (error)
        return error;
    balloon->inflate = device->queue[0];
    balloon->deflate = device->queue[1];
    balloon->stats = stats ? device->queue[2] : NULL;
    balloon->reporting.vq = reporting ? device->queue[n - 1] : NULL;
    return 0;
}

static void balloon_free(struct virtio_balloon *balloon)
{
    if (balloon->stat)
        platform_dma_free(balloon->stat, STATS * sizeof(*balloon->stat));
    platform_dma_free(balloon, sizeof(*balloon));
}

static int balloon_probe(struct virtio_device *device)
{
    struct virtio_balloon *balloon;
    int error = -ENOMEM;

    if (the_balloon) {
        device->refusal = "there is a balloon already";
        return -EBUSY;
    }
    balloon = platform_dma_alloc(sizeof(*balloon), 64);
    if (!balloon)
        return -ENOMEM;
    balloon->device = device;
    balloon->source = (struct loop_source){.name = "virtio-balloon",
                                           .poll = balloon_poll,
                                           .arm = balloon_arm,
                                           .deadline = balloon_deadline,
                                           .arg = balloon};
    balloon->stat = platform_dma_alloc(STATS * sizeof(*balloon->stat), 64);
    if (balloon->stat)
        error = find_queues(balloon);
    if (error) {
        balloon_free(balloon);
        return error;
    }
    device->driver_data = the_balloon = balloon;
    return 0;
}

static int balloon_ready(struct virtio_device *device)
{
    struct virtio_balloon *balloon = device->driver_data;

    balloon->announced = true; /* an empty balloon is no news */
    write_actual(balloon);
    read_target(balloon);
    if (balloon->stats)
        provide_stats(balloon);
    if (device->recovering)
        return 0;
    loop_add(&balloon->source);
    memory_set_release(release, balloon);
    return 0;
}

/* After a reset the device has forgotten what it was given. */
static void balloon_reclaim(struct virtio_device *device)
{
    struct virtio_balloon *balloon = device->driver_data;

    while (virtqueue_detach_unused(balloon->inflate) != NULL)
        continue;
    while (virtqueue_detach_unused(balloon->deflate) != NULL)
        continue;
    while (balloon->stats && virtqueue_detach_unused(balloon->stats) != NULL)
        continue;
    page_reporting_reclaim(&balloon->reporting);
    balloon_pages_free(&balloon->pages, balloon->pages.count);
    balloon->held = 0;
    balloon->target = 0;
    balloon->request = NOTHING;
}

static void balloon_remove(struct virtio_device *device)
{
    struct virtio_balloon *balloon = device->driver_data;

    memory_set_release(NULL, NULL);
    loop_remove(&balloon->source);
    balloon_free(balloon);
    device->driver_data = the_balloon = NULL;
}

static void balloon_config_changed(struct virtio_device *device)
{
    read_target(device->driver_data);
}

void virtio_balloon_print_report(void)
{
    const struct virtio_balloon *balloon = the_balloon;

    if (!balloon)
        return;
    log_info("%s: balloon: %u of %u MiB given away, %llu MiB reported as free so far",
             balloon->device->name, balloon->held >> 8, balloon->target >> 8,
             (unsigned long long)balloon->reporting.total * (MEMORY_BLOCK_SIZE >> 20));
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_BALLOON_F_MUST_TELL_HOST, .name = "MUST_TELL_HOST"},
    {.bit = VIRTIO_BALLOON_F_STATS_VQ, .name = "STATS_VQ"},
    {.bit = VIRTIO_BALLOON_F_DEFLATE_ON_OOM, .name = "DEFLATE_ON_OOM"},
    {.bit = VIRTIO_BALLOON_F_FREE_PAGE_HINT,
     .name = "FREE_PAGE_HINT",
     .refusal = "free memory is reported instead"},
    /* 5.5.3.1: for drivers whose free pages keep a value. */
    {.bit = VIRTIO_BALLOON_F_PAGE_POISON,
     .name = "PAGE_POISON",
     .refusal = "free pages have no value to keep"},
    {.bit = VIRTIO_BALLOON_F_PAGE_REPORTING, .name = "PAGE_REPORTING"},
};

static const uint16_t device_types[] = {VIRTIO_ID_BALLOON, 0};

const struct virtio_driver virtio_balloon_driver = {
    .name = "virtio-balloon",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = balloon_probe,
    .ready = balloon_ready,
    .reclaim = balloon_reclaim,
    .remove = balloon_remove,
    .config_changed = balloon_config_changed,
};
