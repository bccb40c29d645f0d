// sources: boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: hosted/fake_pci.c hosted/device.c hosted/device_setup.c
/*
 * test_model.c - the model device's own checks: each rule it watches is broken once, by hand, and
 * must be reported: those of split rings, and the platform underneath. Rules of packed rings are
 * test_model_packed.c's, those of registers test_model_registers.c's.
 *
 * No driver code here: the tests write rings themselves, first as the specification
 * wants it, then with one thing wrong. Without this, a check in the model that never fires would
 * make every other test look better than it is.
 */
#include "support.h"

#include <sys/mman.h>

#include "hosted/device.h"
#include "hosted/ring_device.h"

/* ---- a ring of eight entries, filled by hand ---- */

#define SIZE 8u

static struct {
    struct wire_desc desc[SIZE];
    uint16_t avail[2 + SIZE + 1];
    uint32_t used[1 + 2 * SIZE + 1];
    struct wire_desc table[16];
    uint8_t data[64];
} * shared;
static dma_addr_t address;
static struct ring_device ring;
static struct ring_params params;

static dma_addr_t at(const void *memory)
{
    return address + (dma_addr_t)((const uint8_t *)memory - (const uint8_t *)shared);
}

static void open_ring_of(bool event_idx, bool indirect, bool in_order)
{
    shared = platform_dma_alloc(sizeof(*shared), 64);
    address = platform_dma_map(shared, sizeof(*shared), DMA_BIDIRECTIONAL);
    params = (struct ring_params){
        .name = "ring", .size = SIZE, .event_idx = event_idx, .indirect = indirect};
    params.in_order = in_order;
    params.descriptor = at(shared->desc);
    params.driver = at(shared->avail);
    params.device = at(shared->used);
    assert_true(ring_device_init(&ring, &params));
}

static void open_ring(bool event_idx, bool indirect)
{
    open_ring_of(event_idx, indirect, false);
}

static void close_ring(void)
{
    ring_device_finish(&ring);
    platform_dma_unmap(address, sizeof(*shared), DMA_BIDIRECTIONAL);
    platform_dma_free(shared, sizeof(*shared));
}

static void set(struct wire_desc *desc, uint16_t flags, uint16_t next)
{
    *desc = (struct wire_desc){.addr = at(shared->data), .len = 16, .flags = flags, .next = next};
}

static void expose(uint16_t head)
{
    shared->avail[2 + shared->avail[1] % SIZE] = head;
    shared->avail[1]++;
}

static void point_at_table(uint16_t flags, unsigned entries)
{
    shared->desc[0] = (struct wire_desc){
        .addr = at(shared->table), .len = entries * 16, .flags = DESC_INDIRECT | flags, .next = 1};
}

static void a_sound_chain(void)
{
    set(&shared->desc[0], DESC_NEXT, 3);
    set(&shared->desc[3], DESC_WRITE | DESC_NEXT, 1);
    set(&shared->desc[1], DESC_WRITE, 0);
    expose(0);
}

static void a_sound_table(void)
{
    point_at_table(0, 2);
    set(&shared->table[0], DESC_NEXT, 1);
    set(&shared->table[1], DESC_WRITE, 0);
    expose(0);
}

static void readable_behind_writable(void)
{
    set(&shared->desc[0], DESC_WRITE | DESC_NEXT, 1);
    set(&shared->desc[1], 0, 0);
    expose(0);
}

static void a_loop(void)
{
    set(&shared->desc[0], DESC_NEXT, 1);
    set(&shared->desc[1], DESC_NEXT, 0);
    expose(0);
}

static void next_out_of_range(void)
{
    set(&shared->desc[0], DESC_NEXT, SIZE);
    expose(0);
}

static void memory_of_nobody(void)
{
    set(&shared->desc[0], 0, 0);
    shared->desc[0].addr = 0x1000;
    expose(0);
}

static void memory_half_mapped(void)
{
    set(&shared->desc[0], 0, 0);
    shared->desc[0].addr = address + sizeof(*shared) - 8;
    expose(0);
}

static void an_empty_piece(void)
{
    set(&shared->desc[0], 0, 0);
    shared->desc[0].len = 0;
    expose(0);
}

static void head_out_of_range(void)
{
    expose(SIZE);
}

static void the_same_head_twice(void)
{
    set(&shared->desc[0], 0, 0);
    expose(0);
    expose(0);
    assert_non_null(ring_device_pop(&ring));
}

static void a_descriptor_in_two_chains(void)
{
    set(&shared->desc[0], DESC_NEXT, 2);
    set(&shared->desc[1], DESC_NEXT, 2);
    set(&shared->desc[2], 0, 0);
    expose(0);
    expose(1);
    assert_non_null(ring_device_pop(&ring));
}

static void avail_idx_too_far(void)
{
    shared->avail[1] = SIZE + 1;
}

static void avail_idx_goes_back(void)
{
    shared->avail[1] = 0xffff;
}

static void avail_flags(void)
{
    shared->avail[0] = 2;
}

static void avail_flags_with_event_idx(void)
{
    shared->avail[0] = 1;
}

static void a_table_inside_a_table(void)
{
    point_at_table(0, 1);
    set(&shared->table[0], DESC_INDIRECT, 0);
    expose(0);
}

static void a_table_and_next(void)
{
    a_sound_table();
    set(&shared->desc[1], 0, 0);
    shared->desc[0].flags |= DESC_NEXT;
}

static void a_table_of_odd_length(void)
{
    a_sound_table();
    shared->desc[0].len = 24;
}

static void a_table_longer_than_the_ring(void)
{
    point_at_table(0, SIZE + 1);
    for (uint16_t i = 0; i <= SIZE; i++)
        set(&shared->table[i], i < SIZE ? DESC_NEXT : 0, (uint16_t)(i + 1));
    expose(0);
}

static void a_table_that_loops(void)
{
    point_at_table(0, 2);
    set(&shared->table[0], DESC_NEXT, 1);
    set(&shared->table[1], DESC_NEXT, 0);
    expose(0);
}

static void chains_in_order(void)
{
    set(&shared->desc[0], DESC_NEXT, 1);
    set(&shared->desc[1], 0, 0);
    set(&shared->desc[2], 0, 0);
    expose(0);
    expose(2);
    ring_device_push(&ring, ring_device_pop(&ring), 0);
}

static void a_table_out_of_order(void)
{
    point_at_table(0, 3);
    set(&shared->table[0], DESC_NEXT, 2);
    set(&shared->table[2], DESC_NEXT, 1);
    set(&shared->table[1], 0, 0);
    expose(0);
}

static void a_head_out_of_order(void)
{
    set(&shared->desc[1], 0, 0);
    expose(1);
}

static const struct {
    const char *id; /* NULL: nothing is wrong */
    void (*make)(void);
    bool event_idx, indirect, in_order;
} chains[] = {
    {NULL, a_sound_chain, false, false, false},
    {NULL, a_sound_chain, true, true, false},
    {NULL, a_sound_table, false, true, false},
    {NULL, a_table_out_of_order, false, true, false},
    {NULL, chains_in_order, false, false, true},
    {NULL, a_sound_table, false, true, true},
    {"SPLIT-DESC-2", a_sound_chain, false, false, true},
    {"SPLIT-DESC-2", a_head_out_of_order, false, false, true},
    {"SPLIT-IND-5", a_table_out_of_order, false, true, true},
    {"SPLIT-FRAME-1", readable_behind_writable, false, false, false},
    {"SPLIT-DESC-1", a_loop, false, false, false},
    {"SPLIT-DESC-1", next_out_of_range, false, false, false},
    {"RSVF-5", memory_of_nobody, false, false, false},
    {"RSVF-5", memory_half_mapped, false, false, false},
    {"RSVF-5", an_empty_piece, false, false, false},
    {"SPLIT-T-SLOT-1", head_out_of_range, false, false, false},
    {"SPLIT-T-SLOT-1", the_same_head_twice, false, false, false},
    {"CLEAN-1", a_descriptor_in_two_chains, false, false, false},
    {"SPLIT-AVAIL-1", avail_idx_too_far, false, false, false},
    {"SPLIT-AVAIL-1", avail_idx_goes_back, false, false, false},
    {"SPLIT-INTR-1", avail_flags, false, false, false},
    {"SPLIT-INTR-3", avail_flags_with_event_idx, true, false, false},
    {"SPLIT-IND-1", a_sound_table, false, false, false},
    {"SPLIT-IND-2", a_table_inside_a_table, false, true, false},
    {"SPLIT-IND-3", a_table_longer_than_the_ring, false, true, false},
    {"SPLIT-IND-3", a_table_of_odd_length, false, true, false},
    {"SPLIT-IND-4", a_table_and_next, false, true, false},
    {"SPLIT-DESC-1", a_table_that_loops, false, true, false},
};

static void wrong_chains_are_reported(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        open_ring_of(chains[i].event_idx, chains[i].indirect, chains[i].in_order);
        chains[i].make();
        struct ring_chain *chain = ring_device_pop(&ring);
        if (chains[i].id) {
            expect_violation(chains[i].id);
        } else {
            assert_int_equal(violation_count(NULL), 0);
            assert_non_null(chain);
            ring_device_push(&ring, chain, 16);
            assert_int_equal(shared->used[0] >> 16, ring.count.pushed);
        }
        violation_reset();
        close_ring();
    }
}

static void wrong_rings_are_reported(void **state)
{
    (void)state;
    open_ring(false, false);
    ring_device_finish(&ring);
    struct ring_params bad = params;
    bad.descriptor += 8;
    ring_device_init(&ring, &bad);
    expect_violation("SPLIT-ALIGN-1");
    ring_device_finish(&ring);
    bad = params;
    bad.size = 7;
    ring_device_init(&ring, &bad);
    expect_violation("SPLIT-T-SIZE-1");
    ring_device_finish(&ring);
    bad = params;
    bad.device = 0x1000;
    assert_false(ring_device_init(&ring, &bad));
    expect_violation("RSVF-5");
    shared->used[0] = 1;
    ring_device_init(&ring, &params);
    expect_violation("SPLIT-KICK-1");
    close_ring();
}

static void changes_and_notifications_are_reported(void **state)
{
    (void)state;
    open_ring(false, false);
    a_sound_chain();
    struct ring_chain *chain = ring_device_pop(&ring);
    shared->desc[3].len = 8;
    ring_device_push(&ring, chain, 0);
    expect_violation("CLEAN-1");
    ring_device_want_notify(&ring, false);
    a_sound_chain();
    ring_device_notified(&ring);
    expect_violation("SPLIT-KICK-3");
    close_ring();
    open_ring(true, false);
    ring_device_set_avail_event(&ring, 5);
    a_sound_chain();
    ring_device_notified(&ring);
    expect_violation("SPLIT-KICK-7");
    ring_device_set_avail_event(&ring, 1);
    expose(1);
    ring_device_notified(&ring);
    assert_int_equal(violation_count(NULL), 0);
    close_ring();
}

/* ---- the platform underneath ---- */

static void accounting_of_memory(void **state)
{
    (void)state;
    uint8_t *a = platform_dma_alloc(100, 64), *b = platform_dma_alloc(4096, 4096);
    assert_int_equal((uintptr_t)b % 4096, 0);
    assert_int_equal(hosted_dma_allocations(), 2);
    dma_addr_t addr = platform_dma_map(a + 10, 20, DMA_TO_DEVICE);
    assert_ptr_equal(hosted_dma_device_pointer(addr, 20, false), a + 10);
    assert_ptr_equal(hosted_dma_device_pointer(addr + 5, 15, false), a + 15);
    assert_null(hosted_dma_device_pointer(addr, 21, false));
    assert_null(hosted_dma_device_pointer(addr - 1, 2, false));
    assert_null(hosted_dma_device_pointer(addr, 20, true));
    assert_int_equal(platform_dma_map(state, 8, DMA_TO_DEVICE), DMA_ADDR_INVALID);
    platform_dma_unmap(addr, 20, DMA_TO_DEVICE);
    assert_null(hosted_dma_device_pointer(addr, 20, false));
    hosted_dma_fail_nth(2);
    uint8_t *c = platform_dma_alloc(1, 1);
    assert_non_null(c);
    assert_null(platform_dma_alloc(1, 1));
    platform_dma_free(c, 1);
    platform_dma_free(a, 100);
    a = platform_dma_alloc(100, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(a[i], 0);
    platform_dma_free(a, 100);
    platform_dma_free(b, 4096);
}

/* Another process that maps the file sees the same rings and buffers. */
#ifdef HOSTED_SEES_UNWRITTEN
static jmp_buf failure;

static void note_failure(const char *text)
{
    (void)text;
    longjmp(failure, 1);
}

/* The control of what MemorySanitizer looks for, which other builds cannot see. */
static void unwritten_memory_is_not_shown(void **state)
{
    uint8_t *shown = platform_dma_alloc(64, 64), *unwritten = malloc(64);
    dma_addr_t addr = platform_dma_map(shown, 64, DMA_TO_DEVICE);

    (void)state;
    assert_non_null(hosted_dma_device_pointer(addr, 64, false));
    memcpy(shown, unwritten, 64);
    memset(shown, 1, 32);
    assert_non_null(hosted_dma_device_pointer(addr, 32, false));
    hosted_set_failure_hook(note_failure);
    if (!setjmp(failure)) {
        hosted_dma_device_pointer(addr, 33, false);
        hosted_set_failure_hook(support_fail);
        fail_msg("the device was given a byte that nobody has written");
    }
    hosted_set_failure_hook(support_fail);
    platform_dma_unmap(addr, 64, DMA_TO_DEVICE);
    platform_dma_free(shown, 64);
    free(unwritten);
}
#endif

static void device_memory_is_a_file(void **state)
{
    (void)state;
    uint8_t *memory = platform_dma_alloc(4096, 4096);
    uint8_t *other =
        mmap(NULL, hosted_dma_size(), PROT_READ | PROT_WRITE, MAP_SHARED, hosted_dma_fd(), 0);
    assert_true(other != MAP_FAILED);
    size_t offset = (size_t)(memory - (uint8_t *)hosted_dma_base());
    memory[17] = 0x5a;
    assert_int_equal(other[offset + 17], 0x5a);
    other[offset + 18] = 0xa5;
    assert_int_equal(memory[18], 0xa5);
    munmap(other, hosted_dma_size());
    platform_dma_free(memory, 4096);
}

static void clocks_and_words(void **state)
{
    (void)state;
    uint64_t start = platform_now_ns();
    assert_int_equal(platform_now_ns(), start);
    platform_wait(start + 5000);
    assert_int_equal(platform_now_ns(), start + 5000);
    platform_relax();
    assert_true(platform_now_ns() > start + 5000);
    hosted_clock_use_real();
    start = platform_now_ns();
    while (platform_now_ns() < start + 2000000)
        platform_wait(start + 2000000);
    hosted_set_cmdline("a=1");
    assert_string_equal(platform_cmdline(), "a=1");
    expect_panic(platform_panic("number %d", 7));
    assert_string_equal(hosted_panic_text(), "number 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_chains_are_reported),
        TEST(wrong_rings_are_reported),
        TEST(changes_and_notifications_are_reported),
        TEST(accounting_of_memory),
#ifdef HOSTED_SEES_UNWRITTEN
        TEST(unwritten_memory_is_not_shown),
#endif
        TEST(device_memory_is_a_file),
        TEST(clocks_and_words),
    };

    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
