// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: tests/torture/rig.c tests/torture/traffic.c
/*
 * test_virtqueue.c - the driver's side of split and packed rings (2.7, 2.8) against the device's
 * side of hosted/ring_split.c and ring_packed.c: buffers.
 *
 * The device side checks every buffer it takes, so each test that moves some also covers the rules
 * for descriptors. The first part is random traffic over all permutations of layout, EVENT_IDX,
 * INDIRECT_DESC, IN_ORDER and size (tests/torture/traffic.c); the second takes one rule at a time.
 * Notifications are test_virtqueue_notify.c, lies of the device test_virtqueue_lies.c.
 */
#include "support.h"

#include "tests/torture/rig.h"
#include "tests/torture/traffic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- every permutation: nothing is lost, doubled or mixed up ---- */

/*
 * The 16-bit indices of a split ring wrap, and each packed ring is gone round twice at least, most
 * of them hundreds of times. With and without poison, which sees other things: the driver reading
 * what is not its own any more, and the driver writing what is not its own yet.
 */
static struct traffic_counts run_sizes(const uint16_t *size, unsigned sizes, unsigned layout,
                                       uint64_t transfers)
{
    struct traffic_counts counts = {0};

    for (unsigned i = 0; i < sizes; i++)
        for (unsigned kind = 0; kind < RIG_PACKED; kind++)
            for (unsigned poison = 0; poison < 2; poison++)
                traffic_run(&(struct traffic_setup){.size = size[i],
                                                    .kind = layout | kind,
                                                    .transfers = transfers,
                                                    .seed = size[i] + kind + poison,
                                                    .poison = poison},
                            &counts);
    return counts;
}

/* It was random, but none of this can have been missed. */
static void check_counts(const struct traffic_counts *counts)
{
    assert_true(counts->indirect > 1000 && counts->batched > 1000 && counts->interrupts > 1000);
    assert_true(counts->notifications > 1000 && counts->suppressed > 1000);
}

/*
 * The same for queues that are reset and get other sizes on the way, notifications that say how far
 * the driver is, and device addresses that are no pointers. covers: CORE-QRESET-2
 */
static void buffers_are_conserved_whatever_is_negotiated_2_6_1(void **state)
{
    struct traffic_counts counts = {0};

    (void)state;
    for (unsigned kind = RIG_KINDS; kind < RIG_ALL_KINDS; kind++)
        for (unsigned i = 0; i < 3; i++)
            traffic_run(&(struct traffic_setup){.size = (uint16_t[]){1, 8, 128}[i],
                                                .kind = kind,
                                                .transfers = 3000,
                                                .seed = 77 * i + kind,
                                                .poison = kind & 1},
                        &counts);
    check_counts(&counts);
    assert_true(counts.resets > 1000 && counts.resizes > 100);
}

/*
 * covers: SPLIT-ALIGN-1 SPLIT-FRAME-1 SPLIT-DESC-1 SPLIT-DESC-2 SPLIT-IND-1 SPLIT-IND-2 SPLIT-IND-3
 * covers: SPLIT-IND-4 SPLIT-IND-5 SPLIT-AVAIL-1 SPLIT-INTR-1 SPLIT-INTR-3 SPLIT-KICK-1
 * covers: SPLIT-T-SIZE-1 SPLIT-T-SLOT-1 SPLIT-T-WRAP-1 SPLIT-T-INORDER-1 SPLIT-T-INORDER-2
 * covers: CLEAN-1 RSVF-5 CORE-T-NDATA-1
 */
static void buffers_are_conserved_in_split_rings_2_7(void **state)
{
    static const uint16_t sizes[] = {1, 2, 4, 8, 256, 32768};

    (void)state;
    struct traffic_counts counts = run_sizes(sizes, COUNT(sizes), 0, 66000);
    check_counts(&counts);
}

/*
 * covers: PACKED-ALIGN-1 PACKED-DESC-1 PACKED-DESC-2 PACKED-SG-1 PACKED-SG-2 PACKED-SG-3
 * covers: PACKED-SG-4 PACKED-SG-5 PACKED-IND-1 PACKED-IND-2 PACKED-IND-3 PACKED-IND-4
 * covers: PACKED-T-WRAP-1 PACKED-T-WRAP-2 PACKED-T-SKIP-1 PACKED-T-LEN-1 PACKED-T-CHAIN-1
 * covers: PACKED-T-CHAIN-2 PACKED-T-IND-1 PACKED-T-INORDER-1 PACKED-T-ZERO-1 CORE-T-NDATA-2
 */
static void buffers_are_conserved_in_packed_rings_2_8(void **state)
{
    static const uint16_t sizes[] = {1, 2, 3, 7, 8, 100, 255, 256, 1000}, largest[] = {32768};

    (void)state;
    struct traffic_counts counts = run_sizes(sizes, COUNT(sizes), RIG_PACKED, 10000);
    check_counts(&counts);
    run_sizes(largest, COUNT(largest), RIG_PACKED, 66000);
}

/* ---- creation ---- */

static void no_notify(void *arg, struct virtqueue *vq)
{
    (void)arg;
    (void)vq;
}

/* covers: SPLIT-T-SIZE-1 */
static void senseless_parameters_are_refused_2_7(void **state)
{
    static const struct {
        uint16_t size, segments;
        bool packed;
    } bad[] = {{0, 1, false}, {3, 1, false}, {100, 1, false},  {65535, 1, false}, {16, 0, false},
               {0, 1, true},  {16, 0, true}, {32769, 1, true}, {65535, 1, true}};

    (void)state;
    for (unsigned i = 0; i < COUNT(bad); i++) {
        struct virtqueue_params params = {.name = "bad",
                                          .size = bad[i].size,
                                          .max_segments = bad[i].segments,
                                          .layout.packed = bad[i].packed,
                                          .notify = no_notify};
        assert_null(virtqueue_create(&params));
    }
    expect_log("error: bad:", COUNT(bad));
    virtqueue_destroy(NULL);
}

/* Memory that no device can reach makes no ring, and nothing stays behind. */
static void creation_survives_memory_out_of_reach(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct virtqueue_params params = {.name = "test",
                                          .size = 16,
                                          .max_segments = 4,
                                          .layout = {.packed = i / 2, .indirect = true},
                                          .notify = no_notify};
        hosted_dma_fail_map_nth(1 + i % 2); /* the ring, the indirect tables */
        assert_null(virtqueue_create(&params));
        assert_int_equal(hosted_dma_allocations(), 0);
        assert_int_equal(hosted_dma_mappings(), 0);
    }
    expect_log("error: test: no memory", 4);
}

/* Whichever allocation fails, nothing of the others stays behind. */
static void creation_survives_lack_of_memory(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct virtqueue_params params = {.name = "test",
                                          .size = 16,
                                          .max_segments = 4,
                                          .layout = {.packed = packed, .indirect = true},
                                          .notify = no_notify};
        struct virtqueue *vq = NULL;
        unsigned nth;
        for (nth = 1; !vq && nth < 20; nth++) {
            hosted_dma_fail_nth(nth);
            vq = virtqueue_create(&params);
            if (!vq) {
                assert_int_equal(hosted_dma_allocations(), 0);
                assert_int_equal(hosted_dma_mappings(), 0);
            }
        }
        assert_in_range(nth, 4, 19);
        hosted_dma_fail_nth(0);
        virtqueue_destroy(vq);
    }
}

/* covers: LEG-VRING-2 LEG-VRING-3 SPLIT-ALIGN-1 */
static void legacy_layout_is_one_block_2_7_2(void **state)
{
    static const uint16_t sizes[] = {1, 64, 256, 1024};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct virtqueue_params params = {.name = "legacy",
                                          .size = sizes[i],
                                          .max_segments = 2,
                                          .layout.alignment = 4096,
                                          .notify = no_notify};
        struct virtqueue *vq = virtqueue_create(&params);
        assert_non_null(vq);
        const struct virtqueue_areas *areas = virtqueue_areas(vq);
        uint64_t end = 16u * sizes[i] + 2u * (3u + sizes[i]);
        assert_int_equal(areas->descriptor % 4096, 0);
        assert_int_equal(areas->driver - areas->descriptor, 16u * sizes[i]);
        assert_int_equal(areas->device - areas->descriptor, (end + 4095) & ~UINT64_C(4095));
        virtqueue_destroy(vq);
    }
}

/* ---- adding ---- */

/* covers: SPLIT-DESC-1 RSVF-5 PACKED-SG-2 */
static void bad_buffers_are_refused_and_leave_nothing(void **state)
{
    uint8_t outside[16];

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        struct rig rig;
        rig_open(&rig, 8, kind);
        unsigned mappings = hosted_dma_mappings();
        uint8_t *data = rig_buffer(&rig, 0, 0);
        struct virtqueue_sg good = {data, 8}, empty = {data, 0}, huge = {data, UINT32_MAX};
        struct virtqueue_sg foreign = {outside, sizeof(outside)};
        struct virtqueue_sg with_empty[] = {good, empty}, with_foreign[] = {good, foreign};
        struct virtqueue_sg with_huge[] = {good, huge}, five[] = {good, good, good, good, good};

        assert_int_equal(virtqueue_add(rig.vq, &good, 0, 0, data), -EINVAL);
        assert_int_equal(virtqueue_add(rig.vq, &good, 1, 0, NULL), -EINVAL);
        assert_int_equal(virtqueue_add(rig.vq, with_empty, 1, 1, data), -EINVAL);
        assert_int_equal(virtqueue_add(rig.vq, with_foreign, 1, 1, data), -EINVAL);
        assert_int_equal(virtqueue_add(rig.vq, with_huge, 1, 1, data), -EINVAL);
        assert_int_equal(virtqueue_add(rig.vq, five, 5, 0, data), -EINVAL);
        assert_int_equal(hosted_dma_mappings(), mappings);
        assert_int_equal(virtqueue_free(rig.vq), 8);
        assert_int_equal(virtqueue_in_flight(rig.vq), 0);
        assert_false(virtqueue_kick_prepare(rig.vq));
        assert_int_equal(ring_device_pending(&rig.ring), 0);
        void *tokens[] = {data, data}, *none = NULL;
        assert_int_equal(virtqueue_add_row(rig.vq, &good, &none, 1, true), -EINVAL);
        assert_int_equal(virtqueue_add_row(rig.vq, &foreign, tokens, 1, true), -EINVAL);
        assert_int_equal(virtqueue_add_row(rig.vq, with_empty, tokens, 2, false), 1);
        assert_ptr_equal(virtqueue_detach_unused(rig.vq), data);
        rig_close(&rig);
    }
}

/* covers: SPLIT-DESC-1 PACKED-SG-1 */
static void a_list_of_4_gib_is_refused(void **state)
{
    const uint32_t size = 64u << 20;

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct virtqueue_params params = {.name = "test",
                                          .size = 128,
                                          .max_segments = 64,
                                          .layout.packed = packed,
                                          .notify = no_notify};
        struct virtqueue *vq = virtqueue_create(&params);
        uint8_t *memory = platform_dma_alloc(size, 64);
        struct virtqueue_sg sg[64];
        assert_true(vq && memory);
        for (unsigned i = 0; i < 64; i++)
            sg[i] = (struct virtqueue_sg){memory, size};
        assert_int_equal(virtqueue_add(vq, sg, 64, 0, memory), -EINVAL);
        assert_int_equal(virtqueue_add(vq, sg, 0, 64, memory), -EINVAL);
        assert_int_equal(hosted_dma_mappings(), 1);
        assert_int_equal(virtqueue_add(vq, sg, 1, 62, memory), 0);
        assert_ptr_equal(virtqueue_detach_unused(vq), memory);
        virtqueue_destroy(vq);
        platform_dma_free(memory, size);
    }
}

/*
 * Not even through an indirect table.
 * covers: SPLIT-IND-3 PACKED-SG-2 PACKED-IND-3
 */
static void a_list_longer_than_the_ring_is_refused_2_7_5_3(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++)
        for (uint16_t size = 1; size < RIG_PIECES; size++) {
            if (size == 3 && !(kind & RIG_PACKED))
                continue;
            rig_open(&rig, size, kind);
            for (unsigned count = size + 1u; count <= RIG_PIECES; count++)
                assert_int_equal(rig_add(&rig, 0, 1, count - 1), -EINVAL);
            assert_int_equal(rig_add(&rig, 0, 1, size - 1u), 0);
            assert_non_null(ring_device_pop(&rig.ring));
            rig_close(&rig);
        }
}

/* covers: PACKED-SG-4 PACKED-SG-5 */
static void a_full_ring_says_enospc_and_recovers(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++)
        for (unsigned laps = 0; laps < 6; laps++) {
            if (kind & RIG_INDIRECT)
                continue;
            rig_open(&rig, 4, kind);
            rig_cycle(&rig, laps);
            for (unsigned i = 0; i < 4; i++)
                assert_int_equal(rig_add(&rig, i, 1, 0), 0);
            assert_int_equal(virtqueue_free(rig.vq), 0);
            assert_int_equal(rig_add(&rig, 0, 1, 0), -ENOSPC);
            assert_int_equal(rig_add(&rig, 0, 1, 1), -ENOSPC);
            assert_int_equal(virtqueue_stats(rig.vq)->full, 2);
            struct ring_chain *chain = ring_device_pop(&rig.ring);
            ring_device_push(&rig.ring, chain, 0);
            assert_non_null(virtqueue_get_buf(rig.vq, NULL));
            /* One entry is not enough for two: nothing of the list may be seen. */
            assert_int_equal(rig_add(&rig, 0, 1, 1), -ENOSPC);
            assert_int_equal(ring_device_pending(&rig.ring), 3);
            assert_int_equal(rig_add(&rig, 0, 1, 0), 0);
            assert_int_equal(ring_device_pending(&rig.ring), 4);
            assert_false(virtqueue_is_broken(rig.vq));
            rig_close(&rig);
        }
}

/*
 * With indirect tables a ring takes as many lists as it has entries.
 * covers: SPLIT-IND-2 SPLIT-IND-3 SPLIT-IND-4 SPLIT-IND-5 PACKED-IND-2 PACKED-IND-4 PACKED-T-IND-1
 */
static void indirect_tables_save_ring_entries_2_7_5_3(void **state)
{
    struct ring_chain *chain;
    struct rig rig;

    (void)state;
    for (unsigned kind = RIG_INDIRECT; kind < RIG_KINDS; kind++) {
        unsigned count = 0;
        if (!(kind & RIG_INDIRECT))
            continue;
        rig_open(&rig, 8, kind);
        while (rig_add(&rig, count, 2, 2) == 0)
            count++;
        assert_true(count >= 5);
        assert_true(virtqueue_stats(rig.vq)->indirect > 0);
        for (unsigned i = 0; i < count; i++) {
            chain = ring_device_pop(&rig.ring);
            assert_non_null(chain);
            assert_int_equal(chain->out, 2);
            assert_int_equal(chain->in, 2);
            assert_ptr_equal(chain->piece[3].data, rig_buffer(&rig, i, 3));
            ring_device_push(&rig.ring, chain, 2 * RIG_BUFFER_SIZE);
            assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, i, 0));
        }
        assert_int_equal(virtqueue_free(rig.vq), 8);
        rig_close(&rig);
    }
}

/* covers: SPLIT-IND-1 PACKED-IND-1 */
static void no_indirect_tables_without_the_feature(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        if (kind & RIG_INDIRECT)
            continue;
        rig_open(&rig, 8, kind);
        assert_int_equal(rig_add(&rig, 0, 2, 2), 0);
        assert_int_equal(rig_add(&rig, 1, 2, 2), 0);
        assert_int_equal(rig_add(&rig, 2, 1, 1), -ENOSPC);
        assert_int_equal(virtqueue_stats(rig.vq)->indirect, 0);
        assert_false(ring_device_pop(&rig.ring)->indirect);
        rig_close(&rig);
    }
}

/*
 * A list over the end of a packed ring has descriptors of two laps.
 * covers: PACKED-T-WRAP-1 PACKED-T-WRAP-2 PACKED-T-SKIP-1 PACKED-T-CHAIN-1
 */
static void a_list_goes_over_the_end_of_the_ring_2_8_1(void **state)
{
    struct rig rig;

    (void)state;
    for (uint16_t size = 4; size <= 7; size++)
        for (unsigned start = 0; start < 3u * size; start++) {
            rig_open(&rig, size, RIG_PACKED);
            rig_cycle(&rig, start);
            assert_int_equal(rig_add(&rig, 1, 2, 2), 0);
            struct ring_chain *chain = ring_device_pop(&rig.ring);
            assert_non_null(chain);
            assert_int_equal(chain->start, start % size);
            assert_int_equal(chain->descriptors, 4);
            ring_device_push(&rig.ring, chain, 9);
            uint32_t len = 0;
            assert_ptr_equal(virtqueue_get_buf(rig.vq, &len), rig_buffer(&rig, 1, 0));
            assert_int_equal(len, 9);
            rig_cycle(&rig, 2u * size);
            rig_close(&rig);
        }
}

/* ---- used elements ---- */

/*
 * One used element for a batch, of which only the last buffer may be used in part.
 * covers: SPLIT-T-INORDER-1 SPLIT-T-INORDER-2 PACKED-T-INORDER-1 PACKED-T-SKIP-1
 */
static void a_batch_comes_back_in_order_2_7_9(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = RIG_IN_ORDER; kind < RIG_KINDS; kind++) {
        if (!(kind & RIG_IN_ORDER))
            continue;
        rig_open(&rig, 16, kind);
        rig_cycle(&rig, 11);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(rig_add(&rig, i, 1, i % 3), 0);
            assert_non_null(ring_device_pop(&rig.ring));
        }
        ring_device_push_batch(&rig.ring, 3, 70);
        ring_device_push_batch(&rig.ring, 2, 5);
        for (unsigned i = 0; i < 5; i++) {
            uint32_t len = 1;
            assert_false(virtqueue_enable_cb(rig.vq));
            assert_ptr_equal(virtqueue_get_buf(rig.vq, &len), rig_buffer(&rig, i, 0));
            assert_int_equal(len, i == 2 ? 70 : i == 4 ? 5 : i % 3 * RIG_BUFFER_SIZE);
        }
        assert_null(virtqueue_get_buf(rig.vq, NULL));
        assert_true(virtqueue_enable_cb(rig.vq));
        assert_int_equal(virtqueue_free(rig.vq), 16);
        rig_close(&rig);
    }
}

/*
 * Without WRITE the length means nothing, says the specification, but a device in wide use gives it
 * without: so a length that is possible counts, and any other is nothing at all.
 * covers: PACKED-T-LEN-1
 */
static void a_length_without_the_write_flag_2_8_4(void **state)
{
    static const struct {
        bool write_flag;
        uint32_t said, got;
    } cases[] = {{true, 40, 40},  {true, 64, 64}, {true, 0, 0},           {false, 40, 40},
                 {false, 64, 64}, {false, 65, 0}, {false, 0x80000000, 0}, {false, UINT32_MAX, 0}};
    struct rig rig;
    uint32_t len;

    (void)state;
    for (unsigned kind = RIG_PACKED; kind < RIG_KINDS; kind++) {
        rig_open(&rig, 8, kind);
        for (unsigned i = 0; i < COUNT(cases); i++) {
            rig.ring.no_write_flag = !cases[i].write_flag;
            assert_int_equal(rig_add(&rig, 0, 1, 1), 0);
            ring_device_push(&rig.ring, ring_device_pop(&rig.ring), cases[i].said);
            assert_non_null(virtqueue_get_buf(rig.vq, &len));
            assert_int_equal(len, cases[i].got);
            assert_int_equal(virtqueue_free(rig.vq), 8);
        }
        rig_close(&rig);
    }
}

/* ---- reset, report ---- */

/* covers: CLEAN-2 */
static void detach_returns_every_buffer_once(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        bool seen[8] = {false};
        rig_open(&rig, 32, kind);
        unsigned mappings = hosted_dma_mappings();
        for (unsigned i = 0; i < 8; i++)
            rig_add(&rig, i, 1, i % 3);
        ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 0);
        assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 0, 0));
        for (unsigned i = 1; i < 8; i++) {
            uint8_t *token = virtqueue_detach_unused(rig.vq);
            assert_non_null(token);
            unsigned slot = rig_slot(&rig, token);
            assert_in_range(slot, 1, 7);
            assert_false(seen[slot]);
            seen[slot] = true;
        }
        assert_null(virtqueue_detach_unused(rig.vq));
        assert_int_equal(virtqueue_in_flight(rig.vq), 0);
        assert_int_equal(hosted_dma_mappings(), mappings);
        virtqueue_reinit(rig.vq);
        assert_int_equal(virtqueue_free(rig.vq), 32);
        rig_attach(&rig);
        rig_cycle(&rig, 100);
        rig_close(&rig);
    }
}

/* Adds as many buffers as the ring has entries, and has all of them back. */
static void fill_and_empty(struct rig *rig, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        assert_int_equal(rig_add(rig, i, 0, 1), 0);
    for (unsigned i = 0; i < size; i++)
        ring_device_push(&rig->ring, ring_device_pop(&rig->ring), i);
    for (unsigned i = 0; i < size; i++) {
        uint32_t len;
        assert_ptr_equal(virtqueue_get_buf(rig->vq, &len), rig_buffer(rig, i, 0));
        assert_int_equal(len, i);
    }
}

/*
 * Whatever state the queue was in: ids in disorder, a place in the middle, a batch half taken, a
 * kick that was still to come.
 * covers: CLEAN-2
 */
static void a_queue_is_as_new_after_a_reset(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned kind = 0; kind < RIG_KINDS; kind++) {
        struct ring_chain *chain[5];
        rig_open(&rig, 8, kind);
        rig_cycle(&rig, 5);
        for (unsigned i = 0; i < 5; i++) {
            rig_add(&rig, i, 1, 0);
            chain[i] = ring_device_pop(&rig.ring);
        }
        if (kind & RIG_IN_ORDER) {
            ring_device_push_batch(&rig.ring, 3, 0);
        } else {
            ring_device_push(&rig.ring, chain[3], 0);
            ring_device_push(&rig.ring, chain[1], 0);
        }
        assert_non_null(virtqueue_get_buf(rig.vq, NULL));
        assert_non_null(virtqueue_get_buf(rig.vq, NULL));
        for (unsigned i = 2; i < 5; i++)
            assert_non_null(virtqueue_detach_unused(rig.vq));
        virtqueue_reinit(rig.vq);
        rig_attach(&rig);
        assert_false(virtqueue_kick_prepare(rig.vq));
        assert_int_equal(virtqueue_notification_data(rig.vq),
                         ring_device_notification_data(&rig.ring));
        assert_null(virtqueue_get_buf(rig.vq, NULL));
        assert_true(virtqueue_enable_cb(rig.vq));
        fill_and_empty(&rig, 8);
        fill_and_empty(&rig, 8);
        rig_close(&rig);
    }
}

static void getters_and_dump(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        rig_open(&rig, 16, packed ? RIG_PACKED : RIG_EVENT_IDX);
        assert_string_equal(virtqueue_name(rig.vq), "test");
        assert_int_equal(virtqueue_index(rig.vq), 3);
        assert_int_equal(virtqueue_size(rig.vq), 16);
        rig_add(&rig, 0, 1, 1);
        virtqueue_dump(rig.vq);
        expect_log("test: queue 3, 16 entries, 14 free, 1 buffers", packed + 1);
        expect_log(packed ? "driver: avail 2/1 used 0/1" : "driver: avail 1 used 0", 1);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(buffers_are_conserved_in_split_rings_2_7),
        TEST(buffers_are_conserved_whatever_is_negotiated_2_6_1),
        TEST(buffers_are_conserved_in_packed_rings_2_8),
        TEST(senseless_parameters_are_refused_2_7),
        TEST(creation_survives_lack_of_memory),
        TEST(creation_survives_memory_out_of_reach),
        TEST(legacy_layout_is_one_block_2_7_2),
        TEST(bad_buffers_are_refused_and_leave_nothing),
        TEST(a_list_of_4_gib_is_refused),
        TEST(a_list_longer_than_the_ring_is_refused_2_7_5_3),
        TEST(a_full_ring_says_enospc_and_recovers),
        TEST(indirect_tables_save_ring_entries_2_7_5_3),
        TEST(no_indirect_tables_without_the_feature),
        TEST(a_list_goes_over_the_end_of_the_ring_2_8_1),
        TEST(a_batch_comes_back_in_order_2_7_9),
        TEST(a_length_without_the_write_flag_2_8_4),
        TEST(detach_returns_every_buffer_once),
        TEST(a_queue_is_as_new_after_a_reset),
        TEST(getters_and_dump),
    };

    return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
