// sources: balloon/virtio_balloon.c balloon/balloon_pages.c balloon/page_reporting.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_balloon.c hosted/pages.c hosted/violation.c hosted/ring_packed.c
// sources: hosted/device_legacy.c
/*
 * test_virtio_balloon.c - the memory balloon driver (5.5) against the model balloon.
 *
 * The model marks the pages it gets and notices whoever touches them, so most tests only move the
 * target and count. Read hosted/device_balloon.h and hosted/pages.h first.
 */
#include "support.h"

#include "hosted/device_legacy.h"

#include "balloon/virtio_balloon.h"
#include "hosted/device_balloon.h"
#include "loop.h"
#include "memory.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

static const struct virtio_driver *const drivers[] = {&virtio_balloon_driver};
static struct device_balloon model;
static const struct device_balloon_setup ordinary = {.msix_vectors = 4};
#define RESERVE_PAGES 1024u

static unsigned start(const struct device_balloon_setup *setup)
{
    fake_pci_reset();
    hosted_pages_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_balloon_init(&model, setup);
    return virtio_pci_scan();
}

static void end(void)
{
    virtio_shutdown();
    device_balloon_finish(&model);
    hosted_pages_finish();
    fake_pci_reset();
}

static void settle(void)
{
    do {
        device_run(&model.device);
        hosted_interrupts_deliver();
    } while (loop_turn());
}

static void assert_balloon(unsigned pages)
{
    assert_int_equal(model.count, pages);
    assert_int_equal(device_balloon_actual(&model), pages);
    assert_int_equal(hosted_pages_taken(), pages);
}

/*
 * covers: BALLOON-OP-1 BALLOON-OP-2 BALLOON-OP-5 BALLOON-OP-8 BALLOON-OP-9 BALLOON-OP-10
 * covers: BALLOON-T-PFN-1 LEG-BALLOON-CFG-1 LEG-BALLOON-OP-1 LEG-BALLOON-OP-2
 */
static void the_balloon_follows_the_target(void **state)
{
    static const unsigned targets[] = {1, 256, 257, 3000, 1020, 1021, 1019, 5000, 4, 0, 2040, 0};

    (void)state;
    assert_int_equal(start(&ordinary), 1);
    settle();
    assert_balloon(0);
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        device_balloon_set(&model, targets[i]);
        settle();
        assert_balloon(targets[i]);
    }
    assert_int_equal(model.most_in_request, 256);
    end();
}

static void a_target_from_before_bring_up_counts(void **state)
{
    struct device_balloon_setup setup = ordinary;

    (void)state;
    setup.num_pages = 700;
    start(&setup);
    settle();
    assert_balloon(700);
    end();
}

static void a_device_with_a_line_only_works_too(void **state)
{
    struct device_balloon_setup setup = ordinary;

    (void)state;
    setup.msix_vectors = 0;
    start(&setup);
    device_balloon_set(&model, 600);
    settle();
    assert_balloon(600);
    end();
}

/* covers: BALLOON-FEAT-1 BALLOON-OP-6 */
static void pages_wait_for_the_acknowledgement(void **state)
{
    struct device_balloon_setup setup = ordinary;

    (void)state;
    setup.must_tell_host = true;
    start(&setup);
    assert_true(device_has(&model.device, BALLOON_F_MUST_TELL_HOST));
    device_balloon_set(&model, 300);
    settle();
    model.hold = true;
    device_balloon_set(&model, 100);
    settle();
    assert_int_equal(hosted_pages_taken(), 300);
    assert_int_equal(device_balloon_actual(&model), 300);
    device_balloon_set(&model, 250); /* a new target does not change the request under way */
    settle();
    device_balloon_release(&model);
    model.hold = false;
    settle();
    assert_balloon(250);
    end();
}

static void the_last_memory_is_kept(void **state)
{
    (void)state;
    start(&ordinary);
    device_balloon_set(&model, 0xffffffff);
    settle();
    assert_balloon(HOSTED_PAGES - RESERVE_PAGES);
    expect_log("balloon: memory is short", 1);
    /* Time passes, nothing changes, nothing is said again. */
    hosted_clock_advance(3000000000u);
    settle();
    assert_balloon(HOSTED_PAGES - RESERVE_PAGES);
    expect_log("balloon: memory is short", 1);
    device_balloon_set(&model, 10);
    settle();
    assert_balloon(10);
    end();
}

static void inflating_goes_on_when_memory_is_back(void **state)
{
    static void *mine[HOSTED_PAGES];

    (void)state;
    start(&ordinary);
    for (unsigned i = 0; i < 6000; i++)
        mine[i] = memory_pages_alloc(1, PAGE_SIZE);
    device_balloon_set(&model, 3000);
    settle();
    assert_int_equal(model.count, HOSTED_PAGES - 6000 - RESERVE_PAGES);
    for (unsigned i = 0; i < 6000; i++)
        memory_pages_free(mine[i], 1);
    hosted_clock_advance(1100000000u);
    settle();
    assert_balloon(3000);
    end();
}

/* Takes every page there is, and returns how many were got. */
static unsigned take_all(void **pages)
{
    unsigned n = 0;

    while (n < HOSTED_PAGES && (pages[n] = memory_pages_alloc(1, PAGE_SIZE)) != NULL)
        n++;
    return n;
}

static void free_all(void **pages, unsigned n)
{
    while (n > 0)
        memory_pages_free(pages[--n], 1);
}

/* covers: BALLOON-OP-4 BALLOON-OP-5 BALLOON-OP-6 BALLOON-OP-10 */
static void pressure_takes_pages_back(void **state)
{
    static void *mine[HOSTED_PAGES];
    struct device_balloon_setup setup = ordinary;
    unsigned got;

    (void)state;
    setup.deflate_on_oom = setup.must_tell_host = true;
    start(&setup);
    device_balloon_set(&model, 2000);
    settle();
    got = take_all(mine);
    assert_int_equal(got, HOSTED_PAGES);
    assert_int_equal(model.count, 0);
    assert_int_equal(device_balloon_actual(&model), 0);
    expect_log("taking pages back", 1);
    free_all(mine, got);
    settle();
    assert_int_equal(model.count, 0); /* not at once: the pressure may come back */
    hosted_clock_advance(11000000000u);
    settle();
    assert_balloon(2000);
    end();
}

/* covers: BALLOON-OP-3 */
static void without_the_feature_pressure_takes_nothing(void **state)
{
    static void *mine[HOSTED_PAGES];
    unsigned got;

    (void)state;
    start(&ordinary);
    device_balloon_set(&model, 2000);
    settle();
    got = take_all(mine);
    assert_int_equal(got, HOSTED_PAGES - 2000);
    assert_int_equal(model.count, 2000);
    free_all(mine, got);
    end();
}

static void a_silent_device_ends_pressure_in_time(void **state)
{
    static void *mine[HOSTED_PAGES];
    struct device_balloon_setup setup = ordinary;
    uint64_t before;
    unsigned got;

    (void)state;
    setup.deflate_on_oom = true;
    start(&setup);
    device_balloon_set(&model, 500);
    settle();
    model.hold = true;
    before = platform_now_ns();
    got = take_all(mine);
    assert_int_equal(got, HOSTED_PAGES - 500);
    assert_true(platform_now_ns() - before < 1000000000);
    before = platform_now_ns(); /* nor does the next one wait again */
    assert_null(memory_pages_alloc(1, PAGE_SIZE));
    assert_int_equal(platform_now_ns(), before);
    free_all(mine, got);
    device_balloon_release(&model);
    model.hold = false;
    settle();
    end();
}

/*
 * covers: BALLOON-STATS-1 BALLOON-STATS-2 BALLOON-STATS-3 BALLOON-STATS-4 BALLOON-STATS-5
 * covers: BALLOON-STATS-6 LEG-BALLOON-STATS-1
 */
static void statistics_are_the_machines(void **state)
{
    struct device_balloon_setup setup = ordinary;
    int64_t all = (int64_t)HOSTED_PAGES * PAGE_SIZE;

    (void)state;
    setup.stats = true;
    start(&setup);
    device_run(&model.device);
    assert_int_equal(model.stats_answers, 1);
    assert_int_equal(device_balloon_stat(&model, 4), all);
    assert_int_equal(device_balloon_stat(&model, 5), all);
    assert_int_equal(device_balloon_stat(&model, 0), -1);
    device_balloon_set(&model, 1000);
    settle();
    assert_int_equal(model.stats_answers, 1);
    device_balloon_ask(&model);
    settle();
    assert_int_equal(model.stats_answers, 2);
    for (uint16_t tag = 4; tag <= 6; tag++)
        assert_int_equal(device_balloon_stat(&model, tag), all - 1000 * (int64_t)PAGE_SIZE);
    end();
}

/*
 * covers: BALLOON-REPORT-1 BALLOON-REPORT-3 BALLOON-REPORT-4 BALLOON-REPORT-5 BALLOON-FEAT-2
 * covers: BALLOON-FEAT-3
 */
static void free_memory_is_reported_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct device_balloon_setup setup = ordinary;
        setup.reporting = setup.poison = true;
        setup.stats = i & 1;
        setup.hint = i & 2;
        setup.compact = i & 4;
        start(&setup);
        assert_false(device_has(&model.device, BALLOON_F_PAGE_POISON));
        assert_false(device_has(&model.device, BALLOON_F_FREE_PAGE_HINT));
        settle();
        assert_int_equal(model.reported_bytes, HOSTED_BLOCKS * (uint64_t)MEMORY_BLOCK_SIZE);
        assert_int_equal(hosted_blocks_reported(), HOSTED_BLOCKS);
        assert_int_equal(hosted_blocks_taken(), 0);
        hosted_clock_advance(10000000000u);
        settle();
        assert_int_equal(model.reported_pieces, HOSTED_BLOCKS);
        hosted_blocks_use(3);
        hosted_clock_advance(10000000000u);
        settle();
        assert_int_equal(model.reported_pieces, HOSTED_BLOCKS + 3);
        end();
    }
}

/* covers: BALLOON-REPORT-3 */
static void what_is_being_reported_is_not_used(void **state)
{
    static void *mine[HOSTED_PAGES];
    struct device_balloon_setup setup = ordinary;
    unsigned got;

    (void)state;
    setup.reporting = true;
    start(&setup);
    model.hold_reports = true;
    settle();
    assert_int_equal(hosted_blocks_taken(), 16);
    assert_int_equal(hosted_blocks_reported(), 0);
    got = take_all(mine); /* waits for the report in vain, and in time */
    assert_int_equal(got, HOSTED_PAGES);
    free_all(mine, got);
    assert_int_equal(hosted_blocks_taken(), 16);
    model.hold_reports = false;
    device_balloon_release(&model);
    settle();
    assert_int_equal(hosted_blocks_reported(), HOSTED_BLOCKS);
    end();
}

static void a_reset_empties_the_balloon(void **state)
{
    struct device_balloon_setup setup = ordinary;

    (void)state;
    setup.stats = setup.reporting = true;
    start(&setup);
    device_balloon_set(&model, 1500);
    settle();
    model.hold = model.hold_reports = true;
    hosted_blocks_use(5);
    hosted_clock_advance(10000000000u);
    device_balloon_set(&model, 1600);
    settle();
    model.hold = model.hold_reports = false;
    device_need_reset(&model.device);
    settle();
    settle();
    expect_log("running again (recovery 1)", 1);
    assert_balloon(1600);
    assert_int_equal(hosted_blocks_taken(), 0);
    end();
}

static void lies_break_the_queue_and_no_more(void **state)
{
    struct device_balloon_setup setup = ordinary;

    (void)state;
    setup.stats = true;
    start(&setup);
    device_balloon_set(&model, 100);
    settle();
    for (unsigned queue = 0; queue < 3; queue++) {
        ring_device_push_raw(&model.device.queue[queue].ring, 1, 0);
        device_balloon_set(&model, 100 + queue);
        settle();
        settle();
        assert_balloon(100 + queue);
    }
    assert_true(hosted_log_count("running again") >= 1);
    end();
}

static void memory_may_be_short_at_bring_up(void **state)
{
    struct device_balloon_setup setup = ordinary;

    (void)state;
    setup.stats = setup.reporting = true;
    for (unsigned nth = 1; nth < 12; nth++) {
        fake_pci_reset();
        hosted_pages_reset();
        virtio_set_drivers(drivers, 1);
        device_balloon_init(&model, &setup);
        hosted_dma_fail_nth(nth);
        unsigned driven = virtio_pci_scan();
        hosted_dma_fail_nth(0);
        settle();
        if (driven)
            assert_balloon(0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_balloon_follows_the_target),
        TEST(a_target_from_before_bring_up_counts),
        TEST(a_device_with_a_line_only_works_too),
        TEST(pages_wait_for_the_acknowledgement),
        TEST(the_last_memory_is_kept),
        TEST(inflating_goes_on_when_memory_is_back),
        TEST(pressure_takes_pages_back),
        TEST(without_the_feature_pressure_takes_nothing),
        TEST(a_silent_device_ends_pressure_in_time),
        TEST(statistics_are_the_machines),
        TEST(free_memory_is_reported_once),
        TEST(what_is_being_reported_is_not_used),
        TEST(a_reset_empties_the_balloon),
        TEST(lies_break_the_queue_and_no_more),
        TEST(memory_may_be_short_at_bring_up),
    };

    int failed = cmocka_run_group_tests_name("balloon", tests, NULL, NULL);

    device_set_front(&device_legacy_front);
    return failed + cmocka_run_group_tests_name("balloon, legacy interface", tests, NULL, NULL);
}
