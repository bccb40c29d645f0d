// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: tests/torture/rig.c
/*
 * test_virtqueue_notify.c - when the two sides of a ring notify each other (2.7.7, 2.7.10, 2.8.10),
 * one rule at a time.
 *
 * Random traffic with both sides asleep and awake is in test_virtqueue.c, races are in
 * test_virtqueue_threads.c.
 */
#include "support.h"

#include "tests/torture/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- notifications to the device ---- */

/* covers: SPLIT-KICK-2 SPLIT-KICK-3 SPLIT-KICK-4 SPLIT-BARRIER-KICK-1 */
static void used_flags_decide_without_event_idx_2_7_10(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 16, 0);
    assert_false(virtqueue_kick_prepare(rig.vq));
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, 1, 0);
    virtqueue_kick(rig.vq);
    assert_int_equal(rig.kicks, 1);
    virtqueue_kick(rig.vq);
    assert_int_equal(rig.kicks, 1);

    ring_device_want_notify(&rig.ring, false);
    for (uint16_t event = 0; event < 8; event++) {
        ring_device_set_avail_event(&rig.ring, event); /* must be ignored */
        rig_add(&rig, 3u + event, 1, 0);
        virtqueue_kick(rig.vq);
    }
    assert_int_equal(rig.kicks, 1);
    assert_int_equal(virtqueue_stats(rig.vq)->suppressed, 8);
    ring_device_want_notify(&rig.ring, true);
    ring_device_set_avail_event(&rig.ring, 9999);
    rig_add(&rig, 12, 1, 0);
    virtqueue_kick(rig.vq);
    assert_int_equal(rig.kicks, 2);
    assert_int_equal(virtqueue_stats(rig.vq)->notifications, 2);
    rig_close(&rig);
}

/*
 * Every value of the flags. The one that needs EVENT_IDX and the reserved one are no reason to be
 * silent, nor are the bits above.
 * covers: PACKED-T-EVENT-1 PACKED-BARRIER-KICK-1
 */
static void device_event_flags_decide_2_8_10(void **state)
{
    static const struct {
        uint32_t flags;
        bool wanted;
    } cases[] = {{0, true}, {1, false}, {2, true}, {3, true}, {0xfffc, true}, {0xfffd, false}};
    struct rig rig;

    (void)state;
    for (unsigned kind = RIG_PACKED; kind < RIG_KINDS; kind++) {
        rig_open(&rig, 16, kind & ~(unsigned)RIG_EVENT_IDX);
        assert_false(virtqueue_kick_prepare(rig.vq));
        for (unsigned i = 0; i < COUNT(cases); i++)
            for (uint32_t where = 0; where < 0x10000; where += 0x1111) {
                *rig.ring.packed.device_events = cases[i].flags << 16 | where;
                assert_int_equal(rig_add(&rig, 0, 1, 0), 0);
                assert_int_equal(virtqueue_kick_prepare(rig.vq), cases[i].wanted);
                assert_false(virtqueue_kick_prepare(rig.vq));
                ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 0);
                assert_non_null(virtqueue_get_buf(rig.vq, NULL));
            }
        rig_close(&rig);
    }
}

/*
 * Every batch size up to 4 at every place of the event index around it, also where the 16-bit index
 * wraps; expected by counting.
 * covers: SPLIT-KICK-5 SPLIT-KICK-6 SPLIT-KICK-7
 */
static void avail_event_decides_with_event_idx_2_7_10(void **state)
{
    static const unsigned starts[] = {0, 1, 7, 32766, 65530, 65535, 65536 + 3};
    struct rig rig;

    (void)state;
    for (unsigned s = 0; s < COUNT(starts); s++)
        for (unsigned batch = 1; batch <= 4; batch++) {
            rig_open(&rig, 8, RIG_EVENT_IDX);
            ring_device_set_avail_event(&rig.ring, 40000);
            rig_cycle(&rig, starts[s]);
            for (int delta = -3; delta <= 7; delta++) {
                uint16_t start = rig.ring.split.avail_idx, event = (uint16_t)(start + delta);
                bool expected = delta >= 0 && delta < (int)batch;
                ring_device_set_avail_event(&rig.ring, event);
                rig.ring.split.used[0] = (uint16_t)delta & 1; /* flags: must be ignored */
                for (unsigned i = 0; i < batch; i++)
                    assert_int_equal(rig_add(&rig, i, 1, 0), 0);
                assert_int_equal(virtqueue_kick_prepare(rig.vq), expected);
                for (unsigned i = 0; i < batch; i++) {
                    ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 0);
                    assert_non_null(virtqueue_get_buf(rig.vq, NULL));
                }
            }
            rig_close(&rig);
        }
}

/* Offset and wrap counter of a place that is counted from the ring's start. */
static uint16_t off_wrap(uint64_t place, unsigned size)
{
    return (uint16_t)(place % size | (place / size % 2 ? 0 : 0x8000));
}

/* Adds `batch` descriptors as one or more lists, asks, and takes everything back. */
static bool kicks_for(struct rig *rig, unsigned batch, bool lists)
{
    unsigned left = batch, slot = 0;

    while (left) {
        unsigned take = lists && left > 1 ? (left < 3 ? left : 3) : 1;
        assert_int_equal(rig_add(rig, slot++, 1, take - 1), 0);
        left -= take;
    }
    bool wanted = virtqueue_kick_prepare(rig->vq);
    while (slot--) {
        ring_device_push(&rig->ring, ring_device_pop(&rig->ring), 0);
        assert_non_null(virtqueue_get_buf(rig->vq, NULL));
    }
    return wanted;
}

/*
 * The same for packed rings, whose event is an offset with a wrap counter: every place within two
 * laps around every batch, at every place of the ring.
 * covers: PACKED-T-EVENT-1 PACKED-T-WRAP-1
 */
static void device_event_offset_decides_with_event_idx_2_8_10(void **state)
{
    static const uint16_t sizes[] = {1, 2, 3, 5, 8};
    struct rig rig;

    (void)state;
    for (unsigned s = 0; s < COUNT(sizes); s++) {
        unsigned size = sizes[s];
        rig_open(&rig, sizes[s], RIG_PACKED | RIG_EVENT_IDX);
        for (unsigned batch = 1; batch <= size && batch <= 6; batch++)
            for (unsigned delta = 0; delta < 2 * size; delta++)
                for (unsigned lap = 0; lap < 4 * size; lap++) {
                    uint64_t start = rig.ring.packed.avail;
                    bool expected = delta < batch;
                    ring_device_set_avail_event(&rig.ring, off_wrap(start + delta, size));
                    bool wanted = kicks_for(&rig, batch, lap % 2);
                    if (batch < size)
                        assert_int_equal(wanted, expected);
                    else
                        assert_true(wanted); /* whichever lap was meant */
                }
        rig_close(&rig);
    }
}

/*
 * The largest ring, where an offset has no bit to spare.
 * covers: PACKED-T-EVENT-1
 */
static void device_event_offset_in_the_largest_ring_2_8_10(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 32768, RIG_PACKED | RIG_EVENT_IDX);
    for (unsigned lap = 0; lap < 5; lap++) {
        static const unsigned deltas[] = {0, 1, 2, 3, 4, 32764, 32767, 32768, 32769, 65533, 65535};
        for (unsigned i = 0; i < COUNT(deltas); i++) {
            uint64_t start = rig.ring.packed.avail;
            ring_device_set_avail_event(&rig.ring, off_wrap(start + deltas[i], 32768));
            assert_int_equal(kicks_for(&rig, 3, i % 2), deltas[i] < 3);
        }
        rig_cycle(&rig, 32768 - 3 * COUNT(deltas) - (lap == 0 ? 4 : 0));
    }
    /* All of it but one entry, and an event at the first place, at the last, and behind. */
    for (unsigned i = 0; i < 3; i++) {
        uint64_t start = rig.ring.packed.avail;
        static const unsigned where[] = {0, 32766, 32767};
        ring_device_set_avail_event(&rig.ring, off_wrap(start + where[i], 32768));
        assert_int_equal(kicks_for(&rig, 32767, false), i < 2);
    }
    rig_close(&rig);
}

/* covers: SPLIT-KICK-6 PACKED-T-EVENT-1 */
static void a_batch_of_a_whole_index_turn_notifies(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        rig_open(&rig, 32768, RIG_EVENT_IDX | (packed ? RIG_PACKED : 0));
        /*
         * 65536 buffers without a kick: the event index was certainly passed, although old and new
         * index are equal.
         */
        for (unsigned i = 0; i < 65536; i++) {
            assert_int_equal(rig_add(&rig, i % 32768, 1, 0), 0);
            ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 0);
            assert_non_null(virtqueue_get_buf(rig.vq, NULL));
        }
        ring_device_set_avail_event(&rig.ring, 77);
        assert_true(virtqueue_kick_prepare(rig.vq));
        rig_close(&rig);
    }
}

/* What a notification carries, at every place of the index (2.9). */
static void check_data(unsigned kind, uint16_t size, unsigned first, unsigned count)
{
    struct rig rig;

    rig_open(&rig, size, kind);
    rig_cycle(&rig, first);
    for (unsigned n = first; n < first + count; n++) {
        uint16_t split = (uint16_t)n, packed = off_wrap(n, size);
        assert_int_equal(virtqueue_notification_data(rig.vq), kind & RIG_PACKED ? packed : split);
        assert_int_equal(ring_device_notification_data(&rig.ring),
                         kind & RIG_PACKED ? packed : split);
        /* Once more without new buffers: the values repeat. */
        assert_int_equal(virtqueue_notification_data(rig.vq), kind & RIG_PACKED ? packed : split);
        rig_cycle(&rig, 1);
    }
    rig_close(&rig);
}

/* covers: CORE-T-NDATA-1 CORE-T-NDATA-2 PACKED-DESC-3 PACKED-DESC-4 */
static void notification_data_names_the_next_place_2_9(void **state)
{
    (void)state;
    check_data(0, 4, 0, 20);
    check_data(0, 4, 32760, 20);
    check_data(0, 4, 65530, 20);
    check_data(RIG_PACKED, 1, 0, 10);
    check_data(RIG_PACKED, 7, 0, 50);
    check_data(RIG_PACKED, 32768, 32760, 20);
    check_data(RIG_PACKED, 32768, 65530, 20);
}

/* ---- notifications from the device ---- */

static void check_used_notifications(struct rig *rig)
{
    /* Off: hints only, but the device of this test follows them. */
    virtqueue_disable_cb(rig->vq);
    rig_add(rig, 0, 0, 1);
    ring_device_push(&rig->ring, ring_device_pop(&rig->ring), 5);
    assert_false(ring_device_signal(&rig->ring));
    /* There already: the driver must look again before it sleeps. */
    assert_false(virtqueue_enable_cb(rig->vq));
    assert_non_null(virtqueue_get_buf(rig->vq, NULL));
    assert_true(virtqueue_enable_cb(rig->vq));
    /* On: the next one is signalled, and the one after the driver looked again, too. */
    for (unsigned i = 0; i < 3; i++) {
        rig_add(rig, 0, 0, 1);
        ring_device_push(&rig->ring, ring_device_pop(&rig->ring), 5);
        assert_true(ring_device_signal(&rig->ring));
        virtqueue_interrupt(rig->vq);
        virtqueue_disable_cb(rig->vq);
        assert_non_null(virtqueue_get_buf(rig->vq, NULL));
        assert_true(virtqueue_enable_cb(rig->vq));
    }
}

/*
 * covers: SPLIT-INTR-1 SPLIT-INTR-2 SPLIT-INTR-3 SPLIT-INTR-4 SPLIT-T-RECHECK-1 PACKED-T-EVENT-1
 * covers: PACKED-T-RECHECK-1
 */
static void used_buffer_notifications_2_7_7(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        rig_open(&rig, kind & RIG_PACKED ? 7 : 8, kind);
        for (unsigned start = 0; start < 3; start++) {
            check_used_notifications(&rig);
            rig_cycle(&rig, 33000); /* to other places of the index, over its wrap */
        }
        for (unsigned place = 0; place < 20; place++) {
            check_used_notifications(&rig);
            rig_cycle(&rig, place % 3);
        }
        assert_int_equal(virtqueue_stats(rig.vq)->interrupts, 23 * 3);
        rig_close(&rig);
    }
}

/*
 * With EVENT_IDX a driver that asked once hears once, however many buffers follow.
 * covers: SPLIT-INTR-4 PACKED-T-EVENT-1
 */
static void one_notification_for_one_request_2_7_10(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = RIG_EVENT_IDX; kind < RIG_KINDS; kind += 2) {
        rig_open(&rig, 8, kind);
        for (unsigned round = 0; round < 10; round++) {
            assert_true(virtqueue_enable_cb(rig.vq));
            for (unsigned i = 0; i < 3; i++) {
                rig_add(&rig, i, 0, 1);
                ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 5);
                assert_int_equal(ring_device_signal(&rig.ring), i == 0);
            }
            for (unsigned i = 0; i < 3; i++)
                assert_non_null(virtqueue_get_buf(rig.vq, NULL));
        }
        rig_close(&rig);
    }
}

/* covers: SPLIT-INTR-5 */
static void spurious_notifications_do_no_harm(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        rig_open(&rig, 8, kind);
        for (unsigned i = 0; i < 5; i++) {
            virtqueue_interrupt(rig.vq);
            assert_null(virtqueue_get_buf(rig.vq, NULL));
        }
        assert_int_equal(virtqueue_stats(rig.vq)->interrupts, 5);
        assert_false(virtqueue_is_broken(rig.vq));
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(used_flags_decide_without_event_idx_2_7_10),
        TEST(device_event_flags_decide_2_8_10),
        TEST(avail_event_decides_with_event_idx_2_7_10),
        TEST(device_event_offset_decides_with_event_idx_2_8_10),
        TEST(device_event_offset_in_the_largest_ring_2_8_10),
        TEST(a_batch_of_a_whole_index_turn_notifies),
        TEST(notification_data_names_the_next_place_2_9),
        TEST(used_buffer_notifications_2_7_7),
        TEST(one_notification_for_one_request_2_7_10),
        TEST(spurious_notifications_do_no_harm),
    };

    return cmocka_run_group_tests_name("virtqueue_notify", tests, NULL, NULL);
}
