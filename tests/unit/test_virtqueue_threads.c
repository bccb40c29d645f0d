// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c
/*
 * test_virtqueue_threads.c - a ring with the device on another CPU: ordering (2.7.13, 2.8.21) and
 * the suppression of notifications in both directions (2.7.7, 2.7.10, 2.8.10), as a race.
 *
 * Each side goes to sleep as often as it can, so that "publish, then look whether to notify" meets
 * "ask to be notified, then look again" all the time. A missing fence on one side shows as a sleeper
 * whom nobody wakes. The device here is a few lines of its own for each layout: the checks of
 * hosted/ring_*.c share bookkeeping with the driver's thread. Read virtio/virtqueue_split.c for the
 * pairs of fences.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "hosted/wire.h"
#include "virtio/virtqueue.h"

#define SIZE 8u
#define LISTS (SIZE / 2) /* each takes two descriptors */
#define TRANSFERS 400000u
#define PATIENCE_S 10
/* Where others want the CPUs as well, each wake-up may take a time slice: a race ends early then. */
#define RACE_LIMIT_S 10

struct race;

/* The device's side of one layout. `next` counts buffers from the start. */
struct device_side {
    bool (*has)(const struct race *race, uint32_t next);
    void (*use)(struct race *race, uint32_t next);
    void (*ask)(struct race *race, bool wanted, uint32_t next);
    /* Does the driver want to hear of the buffer that was just used? */
    bool (*is_asked)(const struct race *race, uint32_t next);
};

struct race {
    struct virtqueue *vq;
    const struct device_side *side;
    bool event_idx;
    union {
        struct wire_desc *desc;
        struct wire_packed_desc *packed;
    };
    union {
        uint16_t *avail;
        uint32_t *driver_events;
    };
    union {
        uint16_t *used;
        uint32_t *device_events;
    };
    uint32_t *buffers; /* [LISTS][2]: what the driver writes, what the device answers */
    int device_notified, driver_notified;
    int lost; /* a sleeper was not woken: 1 the device, 2 the driver */
    int done;
    uint64_t device_sleeps, driver_sleeps;
};

static void notify(void *arg, struct virtqueue *vq)
{
    struct race *race = arg;

    (void)vq;
    __atomic_store_n(&race->device_notified, 1, __ATOMIC_RELEASE);
}

static time_t seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - start->tv_sec;
}

/* Waits for a notification, or for the end. False: nobody came. */
static bool sleep_for(struct race *race, int *notified)
{
    struct timespec start;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned spins = 0; !__atomic_load_n(notified, __ATOMIC_ACQUIRE); spins++) {
        if (__atomic_load_n(&race->done, __ATOMIC_ACQUIRE))
            return true;
        if (spins % 256)
            continue;
        sched_yield();
        if (seconds_since(&start) > PATIENCE_S)
            return false;
    }
    __atomic_store_n(notified, 0, __ATOMIC_RELAXED);
    return true;
}

/* ---- the device of a split ring ---- */

static void answer(uint64_t in, uint64_t out)
{
    *(uint32_t *)(uintptr_t)out = ~*(const uint32_t *)(uintptr_t)in;
}

static bool split_has(const struct race *race, uint32_t next)
{
    return __atomic_load_n(&race->avail[1], __ATOMIC_ACQUIRE) != (uint16_t)next;
}

static void split_use(struct race *race, uint32_t next)
{
    uint16_t head = race->avail[2 + next % SIZE];
    uint32_t element[2] = {head, 4};

    answer(race->desc[head].addr, race->desc[race->desc[head].next].addr);
    memcpy(&race->used[2 + 4 * (next % SIZE)], element, sizeof(element));
    __atomic_store_n(&race->used[1], (uint16_t)(next + 1), __ATOMIC_RELEASE);
}

static void split_ask(struct race *race, bool wanted, uint32_t next)
{
    if (race->event_idx)
        __atomic_store_n(&race->used[2 + 4 * SIZE], (uint16_t)(next - !wanted), __ATOMIC_RELAXED);
    else
        __atomic_store_n(&race->used[0], wanted ? 0 : USED_NO_NOTIFY, __ATOMIC_RELAXED);
}

static bool split_is_asked(const struct race *race, uint32_t next)
{
    if (race->event_idx)
        return __atomic_load_n(&race->avail[2 + SIZE], __ATOMIC_RELAXED) == (uint16_t)next;
    return !(__atomic_load_n(&race->avail[0], __ATOMIC_RELAXED) & AVAIL_NO_INTERRUPT);
}

static const struct device_side split_side = {split_has, split_use, split_ask, split_is_asked};

/* ---- the device of a packed ring: SIZE is even, so no list goes over its end ---- */

static bool packed_wrap(uint32_t next)
{
    return next / LISTS % 2 == 0;
}

static struct wire_packed_desc *packed_at(const struct race *race, uint32_t next)
{
    return &race->packed[next % LISTS * 2];
}

static bool packed_has(const struct race *race, uint32_t next)
{
    uint16_t flags = __atomic_load_n(&packed_at(race, next)->flags, __ATOMIC_ACQUIRE);

    return (flags & (DESC_AVAIL | DESC_USED)) == (packed_wrap(next) ? DESC_AVAIL : DESC_USED);
}

static void packed_use(struct race *race, uint32_t next)
{
    struct wire_packed_desc *desc = packed_at(race, next);
    uint16_t flags = DESC_WRITE | (packed_wrap(next) ? DESC_AVAIL | DESC_USED : 0);

    answer(desc[0].addr, desc[1].addr);
    desc[0].id = desc[1].id;
    desc[0].len = 4;
    __atomic_store_n(&desc[0].flags, flags, __ATOMIC_RELEASE);
}

static uint32_t packed_event(uint32_t next)
{
    return next % LISTS * 2 | (packed_wrap(next) ? 0x8000u : 0);
}

static void packed_ask(struct race *race, bool wanted, uint32_t next)
{
    uint32_t events = wanted ? EVENTS_ON : EVENTS_OFF;

    if (race->event_idx && wanted)
        __atomic_store_n(race->device_events, EVENTS_AT << 16 | packed_event(next),
                         __ATOMIC_RELAXED);
    else
        __atomic_store_n(race->device_events, events << 16, __ATOMIC_RELAXED);
}

static bool packed_is_asked(const struct race *race, uint32_t next)
{
    uint32_t events = __atomic_load_n(race->driver_events, __ATOMIC_RELAXED);

    if (events >> 16 == EVENTS_AT)
        return (uint16_t)events == packed_event(next);
    return events >> 16 == EVENTS_ON;
}

static const struct device_side packed_side = {packed_has, packed_use, packed_ask, packed_is_asked};

/* ---- the device's thread ---- */

static cpu_set_t allowed; /* the CPUs that this process had at its start */

/* Two threads that share a CPU do not race. With one CPU there is no helping it. */
static void run_on_cpu(int wanted)
{
    cpu_set_t one;

    if (CPU_COUNT(&allowed) < 2)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && wanted-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
            return;
        }
}

static void *run_device(void *arg)
{
    struct race *race = arg;
    uint32_t next = 0;

    run_on_cpu(1);
    while (!__atomic_load_n(&race->done, __ATOMIC_ACQUIRE)) {
        if (race->side->has(race, next)) {
            race->side->use(race, next);
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            if (!race->side->is_asked(race, next++))
                continue;
            virtqueue_interrupt(race->vq);
            __atomic_store_n(&race->driver_notified, 1, __ATOMIC_RELEASE);
            continue;
        }
        race->side->ask(race, true, next);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!race->side->has(race, next)) {
            race->device_sleeps++;
            if (!sleep_for(race, &race->device_notified)) {
                __atomic_store_n(&race->lost, 1, __ATOMIC_RELEASE);
                return NULL;
            }
        }
        race->side->ask(race, false, next);
    }
    return NULL;
}

/* ---- the driver ---- */

static bool take_one(struct race *race, uint32_t *expected)
{
    uint32_t *buffer, len;

    virtqueue_disable_cb(race->vq);
    while (!(buffer = virtqueue_get_buf(race->vq, &len))) {
        if (!virtqueue_enable_cb(race->vq))
            continue;
        race->driver_sleeps++;
        if (!sleep_for(race, &race->driver_notified)) {
            race->lost = race->lost ? race->lost : 2;
            return false;
        }
        virtqueue_disable_cb(race->vq);
    }
    assert_int_equal(len, 4);
    assert_int_equal(buffer[0], *expected);
    assert_int_equal(buffer[1], ~*expected);
    (*expected)++;
    return true;
}

static void run_driver(struct race *race)
{
    uint32_t given = 0, expected = 0, seed = 1;
    struct timespec start;

    run_on_cpu(0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (expected < TRANSFERS && seconds_since(&start) < RACE_LIMIT_S) {
        uint32_t batch = support_random(&seed) % 3 + 1;

        for (uint32_t n = 0; n < batch && given - expected < LISTS && given < TRANSFERS; n++) {
            uint32_t *buffer = race->buffers + given % LISTS * 2;
            struct virtqueue_sg sg[2] = {{buffer, 4}, {buffer + 1, 4}};
            buffer[0] = given++;
            buffer[1] = 0;
            assert_int_equal(virtqueue_add(race->vq, sg, 1, 1, buffer), 0);
        }
        virtqueue_kick(race->vq);
        for (uint32_t n = support_random(&seed) % (given - expected) + 1; n; n--)
            if (!take_one(race, &expected))
                return;
    }
}

static void run_race(bool packed, bool event_idx)
{
    struct race race = {.event_idx = event_idx, .side = packed ? &packed_side : &split_side};
    struct virtqueue_params params = {.name = "race",
                                      .size = SIZE,
                                      .max_segments = 2,
                                      .layout = {.packed = packed, .event_idx = event_idx},
                                      .notify = notify,
                                      .notify_arg = &race};
    pthread_t device;

    race.vq = virtqueue_create(&params);
    race.buffers = platform_dma_alloc(LISTS * 8, 64);
    assert_true(race.vq && race.buffers);
    race.desc = (struct wire_desc *)(uintptr_t)virtqueue_areas(race.vq)->descriptor;
    race.avail = (uint16_t *)(uintptr_t)virtqueue_areas(race.vq)->driver;
    race.used = (uint16_t *)(uintptr_t)virtqueue_areas(race.vq)->device;
    assert_int_equal(pthread_create(&device, NULL, run_device, &race), 0);
    run_driver(&race);
    __atomic_store_n(&race.done, 1, __ATOMIC_RELEASE);
    pthread_join(device, NULL);
    print_message("  %s: %llu transfers, the device slept %llu times, the driver %llu times\n",
                  event_idx ? "event indices" : "flags",
                  (unsigned long long)virtqueue_stats(race.vq)->used,
                  (unsigned long long)race.device_sleeps, (unsigned long long)race.driver_sleeps);
    if (race.lost)
        fail_msg("the %s was not woken", race.lost == 1 ? "device" : "driver");
    while (virtqueue_detach_unused(race.vq))
        continue;
    virtqueue_destroy(race.vq);
    platform_dma_free(race.buffers, LISTS * 8);
}

/*
 * What orders memory for another CPU does so for a device on x86, so there is one kind of barrier,
 * with ORDER_PLATFORM and without. covers: RSVF-8
 * covers: SPLIT-BARRIER-IDX-1 SPLIT-BARRIER-KICK-1 SPLIT-T-RECHECK-1 SPLIT-KICK-4 SPLIT-KICK-6
 * covers: SPLIT-INTR-4
 */
static void no_wake_up_is_lost_2_7_13(void **state)
{
    (void)state;
    run_race(false, false);
    run_race(false, true);
}

/*
 * covers: PACKED-BARRIER-FLAGS-1 PACKED-BARRIER-KICK-1 PACKED-SG-6 PACKED-T-RECHECK-1
 * covers: PACKED-T-EVENT-1
 */
static void no_wake_up_is_lost_2_8_21(void **state)
{
    (void)state;
    run_race(true, false);
    run_race(true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_wake_up_is_lost_2_7_13),
        TEST(no_wake_up_is_lost_2_8_21),
    };

    sched_getaffinity(0, sizeof(allowed), &allowed);
    return cmocka_run_group_tests_name("virtqueue_threads", tests, NULL, NULL);
}
