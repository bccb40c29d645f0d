// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: tests/torture/rig.c
/*
 * test_virtqueue_lies.c - devices that return what they do not have, say what cannot be, or write
 * where the driver must not look, on every kind of ring.
 *
 * A lie that can be seen breaks the queue, with one line in the log, until a reset; one that cannot
 * must do no harm. Honest devices are test_virtqueue.c's.
 */
#include "support.h"

#include "tests/torture/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- lies about two buffers that the device has ---- */

enum { SPLIT = 1, PACKED = 2, BOTH = 3 };

struct lie {
    const char *name, *reason;
    void (*tell)(struct rig *rig, struct ring_chain *first, struct ring_chain *second);
    unsigned layouts;
};

static void tell_wrong_id(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)first;
    (void)second;
    ring_device_push_raw(&rig->ring, 8, 0);
}

static void tell_last_id(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)first;
    (void)second;
    ring_device_push_raw(&rig->ring, 0xffff, 5);
}

/* A check of the low 16 bits only would take this for the first chain. */
static void tell_wide_id(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)second;
    ring_device_push_raw(&rig->ring, 0x10000u + first->head, 0);
}

static void tell_dead_id(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    uint16_t dead = 0;

    while (dead == first->head || dead == second->head)
        dead++;
    ring_device_push_raw(&rig->ring, dead, 0);
}

/* The second descriptor of a chain is in use, but no head. */
static void tell_inner_id(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)second;
    ring_device_push_raw(&rig->ring, rig->ring.split.desc[first->head].next, 0);
}

static void tell_too_long(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)second;
    ring_device_push_raw(&rig->ring, first->head, first->writable + 1);
}

static void tell_longest(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)second;
    ring_device_push_raw(&rig->ring, first->head, UINT32_MAX);
}

static void tell_jump(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)first;
    (void)second;
    ring_device_skip_used(&rig->ring, 3);
}

static void tell_back(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)first;
    (void)second;
    ring_device_skip_used(&rig->ring, 0xffff);
}

static const struct lie lies[] = {
    {"id out of range", "a buffer that it did not have", tell_wrong_id, BOTH},
    {"the largest id", "a buffer that it did not have", tell_last_id, BOTH},
    {"id above 16 bits", "a buffer that it did not have", tell_wide_id, SPLIT},
    {"id of a free descriptor", "a buffer that it did not have", tell_dead_id, BOTH},
    {"id inside a chain", "a buffer that it did not have", tell_inner_id, SPLIT},
    {"one byte too long", "more than was writable", tell_too_long, BOTH},
    {"4 GiB too long", "more than was writable", tell_longest, BOTH},
    {"used idx jumps", "used index moved past", tell_jump, SPLIT},
    {"used idx goes back", "used index moved past", tell_back, SPLIT},
};

/*
 * After a lie nothing works until a reset; then every buffer comes back exactly once, and the queue
 * works again.
 */
static void check_broken(struct rig *rig, const char *reason, const void *first, const void *second)
{
    assert_null(virtqueue_get_buf(rig->vq, NULL));
    assert_true(virtqueue_is_broken(rig->vq));
    assert_int_equal(rig_add(rig, 5, 1, 0), -EIO);
    assert_null(virtqueue_get_buf(rig->vq, NULL));
    assert_false(virtqueue_kick_prepare(rig->vq));
    virtqueue_disable_cb(rig->vq);
    assert_true(virtqueue_enable_cb(rig->vq));
    assert_int_equal(virtqueue_stats(rig->vq)->bad, 1);
    virtqueue_break(rig->vq, "another reason, of no interest any more");
    expect_log("queue broken: ", 1);
    expect_log(reason, 1);
    void *one = virtqueue_detach_unused(rig->vq);
    void *other = second ? virtqueue_detach_unused(rig->vq) : NULL;
    assert_true((one == first && other == second) || (one == second && other == first));
    assert_null(virtqueue_detach_unused(rig->vq));
    virtqueue_reinit(rig->vq);
    rig_attach(rig);
    assert_false(virtqueue_is_broken(rig->vq));
    rig_cycle(rig, 20);
}

static void a_lie_breaks_the_queue_and_a_reset_mends_it(void **state)
{
    struct rig rig;

    for (unsigned i = 0; i < COUNT(lies); i++)
        for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
            if (!(lies[i].layouts & (kind & RIG_PACKED ? PACKED : SPLIT)))
                continue;
            support_setup(state);
            rig_open(&rig, 8, kind);
            rig_cycle(&rig, i);
            rig_add(&rig, 0, 1, 2);
            rig_add(&rig, 1, 1, 0);
            struct ring_chain *first = ring_device_pop(&rig.ring);
            struct ring_chain *second = ring_device_pop(&rig.ring);
            lies[i].tell(&rig, first, second);
            check_broken(&rig, lies[i].reason, rig_buffer(&rig, 0, 0), rig_buffer(&rig, 1, 0));
            rig_close(&rig);
        }
}

static void a_replayed_used_element_breaks_the_queue(void **state)
{
    struct rig rig;

    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        support_setup(state);
        rig_open(&rig, 8, kind);
        for (unsigned i = 0; i < 3; i++)
            rig_add(&rig, i, 0, 1);
        struct ring_chain *chain = ring_device_pop(&rig.ring);
        ring_device_push(&rig.ring, chain, 1);
        ring_device_push_raw(&rig.ring, chain->head, 1);
        assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 0, 0));
        check_broken(&rig, "a buffer that it did not have", rig_buffer(&rig, 1, 0),
                     rig_buffer(&rig, 2, 0));
        rig_close(&rig);
    }
}

/* ---- lies about order ---- */

/* The used index says one buffer, the element in it that there are two. */
static void a_batch_longer_than_the_used_index_says_2_7_9(void **state)
{
    struct rig rig;

    for (unsigned kind = RIG_IN_ORDER; kind < RIG_PACKED; kind++) {
        support_setup(state);
        rig_open(&rig, 8, kind);
        for (unsigned i = 0; i < 3; i++)
            rig_add(&rig, i, 0, 1);
        ring_device_pop(&rig.ring);
        ring_device_push_raw(&rig.ring, ring_device_pop(&rig.ring)->head, 1);
        assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 0, 0));
        check_broken(&rig, "longer than the used index says", rig_buffer(&rig, 1, 0),
                     rig_buffer(&rig, 2, 0));
        rig_close(&rig);
    }
}

/* A later buffer stands for those before it, so that none of them can come back a second time. */
static void buffers_out_of_order_break_the_queue(void **state)
{
    struct rig rig;

    for (unsigned kind = RIG_PACKED | RIG_IN_ORDER; kind < RIG_KINDS; kind++) {
        support_setup(state);
        rig_open(&rig, 8, kind);
        for (unsigned i = 0; i < 4; i++)
            rig_add(&rig, i, 0, 1);
        struct ring_chain *first = ring_device_pop(&rig.ring);
        struct ring_chain *second = ring_device_pop(&rig.ring);
        ring_device_push_raw(&rig.ring, second->head, 1);
        ring_device_skip_used(&rig.ring, 1);
        ring_device_push_raw(&rig.ring, first->head, 1);
        assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 0, 0));
        assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 1, 0));
        check_broken(&rig, "a buffer that it did not have", rig_buffer(&rig, 2, 0),
                     rig_buffer(&rig, 3, 0));
        rig_close(&rig);
    }
}

/* ---- used descriptors where none can be ---- */

/* covers: PACKED-T-WRAP-2 */
static void used_descriptors_elsewhere_are_not_seen_2_8_2(void **state)
{
    static const uint16_t not_used[] = {0, DESC_AVAIL, DESC_USED, DESC_AVAIL | DESC_USED};
    struct rig rig;

    (void)state;
    for (unsigned laps = 0; laps < 4; laps++)
        for (unsigned i = 0; i < COUNT(not_used); i++) {
            bool wrap = laps % 2 == 0;
            if (not_used[i] == (wrap ? DESC_AVAIL | DESC_USED : 0))
                continue;
            rig_open(&rig, 4, RIG_PACKED);
            rig_cycle(&rig, 4 * laps);
            rig_add(&rig, 0, 0, 1);
            struct ring_chain *chain = ring_device_pop(&rig.ring);
            struct wire_packed_desc *at = &rig.ring.packed.desc[0];
            struct wire_packed_desc was = *at;
            /* The flags of another lap, or of a descriptor that is still available. */
            at->flags = not_used[i];
            /* And a used one at the next place. */
            rig.ring.packed.desc[1].flags = wrap ? DESC_AVAIL | DESC_USED : 0;
            assert_null(virtqueue_get_buf(rig.vq, NULL));
            assert_true(virtqueue_enable_cb(rig.vq));
            assert_false(virtqueue_is_broken(rig.vq));
            *at = was;
            ring_device_push(&rig.ring, chain, 3);
            assert_non_null(virtqueue_get_buf(rig.vq, NULL));
            rig_close(&rig);
        }
}

/* Nothing is out, so nothing can come back. */
static void used_descriptors_of_an_idle_ring_are_not_seen(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = RIG_PACKED; kind < RIG_KINDS; kind++) {
        rig_open(&rig, 4, kind);
        for (unsigned i = 0; i < 4; i++)
            ring_device_push_raw(&rig.ring, i, 1);
        assert_null(virtqueue_get_buf(rig.vq, NULL));
        assert_true(virtqueue_enable_cb(rig.vq));
        assert_false(virtqueue_is_broken(rig.vq));
        rig_close(&rig);
    }
}

/* ---- poison ---- */

/* What else the device can reach of the driver's own, beside what poison mode overwrites. */
static void scribble_over_requests(struct rig *rig, uint8_t byte)
{
    if (rig->ring.params.packed) {
        memset(rig->ring.packed.driver_events, byte, 4);
        return;
    }
    memset(rig->ring.split.desc, byte, 8 * sizeof(struct wire_desc));
    memset(rig->ring.split.avail, byte, 6 + 2 * 8);
}

/*
 * The device overwrites all it can reach of our own structures once it has read them: the driver
 * must not depend on them.
 * covers: CLEAN-1
 */
static void the_driver_never_reads_back_what_it_wrote(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        bool reverse = !(kind & RIG_IN_ORDER);
        rig_open(&rig, 8, kind);
        unsigned mappings = hosted_dma_mappings();
        rig.ring.poison = true;
        for (unsigned round = 0; round < 50; round++) {
            struct ring_chain *chain[8];
            unsigned count = 0;
            while (rig_add(&rig, count, 1, 2) == 0) {
                chain[count++] = ring_device_pop(&rig.ring);
                assert_non_null(chain[count - 1]);
            }
            scribble_over_requests(&rig, 0xff);
            for (unsigned i = 0; i < count; i++)
                ring_device_push(&rig.ring, chain[reverse ? count - 1 - i : i], 7);
            for (unsigned i = 0; i < count; i++)
                assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL),
                                 rig_buffer(&rig, reverse ? count - 1 - i : i, 0));
            assert_int_equal(virtqueue_free(rig.vq), 8);
            assert_int_equal(hosted_dma_mappings(), mappings);
            /*
             * What the driver owns there is written anew with the next buffer; the flags are, with
             * the next decision.
             */
            virtqueue_enable_cb(rig.vq);
            if (!(kind & RIG_PACKED))
                rig.ring.split.avail[0] = 0;
            assert_false(virtqueue_is_broken(rig.vq));
        }
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lie_breaks_the_queue_and_a_reset_mends_it),
        TEST(a_replayed_used_element_breaks_the_queue),
        TEST(a_batch_longer_than_the_used_index_says_2_7_9),
        TEST(buffers_out_of_order_break_the_queue),
        TEST(used_descriptors_elsewhere_are_not_seen_2_8_2),
        TEST(used_descriptors_of_an_idle_ring_are_not_seen),
        TEST(the_driver_never_reads_back_what_it_wrote),
    };

    return cmocka_run_group_tests_name("virtqueue_lies", tests, NULL, NULL);
}
