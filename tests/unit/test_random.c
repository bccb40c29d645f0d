// sources: rng/random.c rng/chacha20.c rng/virtio_rng.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/device_rng.c hosted/violation.c
// sources: hosted/ring_packed.c
/*
 * test_random.c - the generator of random numbers, and the entropy device (5.4) that feeds it.
 *
 * The generator's state outlives a test, as it outlives everything in the kernel, so tests look at
 * changes. Read rng/random.h and hosted/device_rng.h first.
 */
#include "support.h"

#include "hosted/device_rng.h"
#include "loop.h"
#include "rng/chacha20.h"
#include "rng/random.h"
#include "rng/virtio_rng.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

static const struct virtio_driver *const drivers[] = {&virtio_rng_driver};
static struct device_rng model;

/* RFC 8439, 2.3.2. */
static void the_block_is_that_of_the_rfc(void **state)
{
    static const uint32_t expected[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
                                          0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
                                          0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                          0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
    static const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0x00000000};
    uint32_t out[16];
    union {
        uint8_t byte[32];
        uint32_t word[8];
    } key;

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        key.byte[i] = (uint8_t)i;
    chacha20_block(key.word, 1, nonce, out);
    assert_memory_equal(out, expected, sizeof(expected));
}

/* No word twice, bits about half ones, every byte position moving. */
static void numbers_look_random(void **state)
{
    enum { COUNT = 4096 };
    static uint64_t seen[COUNT];
    unsigned ones = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        seen[i] = random_u64();
        ones += (unsigned)__builtin_popcountll(seen[i]);
        for (unsigned j = 0; j < i; j++)
            assert_true(seen[j] != seen[i]);
    }
    assert_in_range(ones, COUNT * 32 - COUNT / 2, COUNT * 32 + COUNT / 2);
}

static void any_length_is_filled(void **state)
{
    uint8_t bytes[40];

    (void)state;
    for (unsigned len = 0; len <= 33; len++) {
        unsigned changed = 0;
        for (unsigned round = 0; round < 16; round++) {
            memset(bytes, 0, sizeof(bytes));
            random_bytes(bytes + 3, len);
            for (unsigned i = 0; i < 3; i++)
                assert_int_equal(bytes[i], 0);
            for (unsigned i = len + 3; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], 0);
            changed += len == 0 || bytes[len + 2] != 0;
        }
        assert_true(changed > 0);
    }
}

static void start(void)
{
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_rng_init(&model, 2);
}

static void end(void)
{
    virtio_shutdown();
    device_rng_finish(&model);
    fake_pci_reset();
}

static void settle(void)
{
    do
        device_run(&model.device);
    while (loop_turn());
}

/* Uses so many numbers that a fresh request is due. */
static void use_numbers(void)
{
    for (unsigned i = 0; i < 8193; i++)
        random_u64();
}

/* First of all: before the CPU's generator was ever asked. covers: RNG-OP-1 RNG-OP-2 */
static void bring_up_waits_for_the_device_without_rdrand(void **state)
{
    (void)state;
    hosted_set_cpu_random(false);
    start();
    assert_false(random_is_seeded());
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(random_is_seeded());
    assert_int_equal(model.requests, 1);
    end();
}

/* covers: RNG-OP-2 RNG-T-SHORT-1 */
static void short_and_empty_answers_are_fine(void **state)
{
    static const uint32_t limits[] = {0, 1, 7, 63, 64};

    (void)state;
    start();
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        model.limit = limits[i];
        use_numbers();
        settle();
        assert_int_equal(model.requests, i + 2);
    }
    virtio_rng_print_report();
    expect_log("199 bytes in 6 answers, 1 of them empty", 1);
    end();
}

static void a_device_that_never_answers_holds_nobody(void **state)
{
    uint64_t before;

    (void)state;
    start();
    model.hold = true;
    before = platform_now_ns();
    assert_int_equal(virtio_pci_scan(), 1);
    assert_true(platform_now_ns() - before < 1000000000);
    for (unsigned i = 0; i < 4; i++)
        use_numbers();
    settle();
    assert_int_equal(model.requests, 1);
    device_rng_answer(&model);
    model.hold = false;
    settle();
    use_numbers();
    settle();
    assert_int_equal(model.requests, 2);
    end();
}

static void without_the_loop_answers_are_taken_too(void **state)
{
    (void)state;
    start();
    assert_int_equal(virtio_pci_scan(), 1);
    for (unsigned i = 0; i < 4; i++) {
        device_run(&model.device);
        use_numbers();
    }
    assert_true(model.requests > 3);
    end();
}

static void a_broken_queue_is_recovered(void **state)
{
    (void)state;
    start();
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    ring_device_push_raw(&model.device.queue[0].ring, 77, 4);
    settle();
    expect_log("running again (recovery 1)", 1);
    settle();
    assert_int_equal(model.requests, 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bring_up_waits_for_the_device_without_rdrand),
        TEST(the_block_is_that_of_the_rfc),
        TEST(numbers_look_random),
        TEST(any_length_is_filled),
        TEST(short_and_empty_answers_are_fine),
        TEST(a_device_that_never_answers_holds_nobody),
        TEST(without_the_loop_answers_are_taken_too),
        TEST(a_broken_queue_is_recovered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
