// sources: virtio/virtqueue.c virtio/virtqueue_split.c boot/log.c boot/format.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c
/*
 * test_virtqueue.c - the driver's side of a split ring (2.7) against the device's side of
 * hosted/ring_split.c.
 *
 * The device side checks every chain it takes, so each test that moves buffers also covers the
 * rules of 2.7.4 to 2.7.6. The first part runs over all permutations of EVENT_IDX, INDIRECT_DESC
 * and queue size; the second takes one rule, or one lie of the device, at a time.
 */
#include "support.h"

#include "hosted/ring_device.h"
#include "virtio/virtqueue.h"

#define BUFFER_SIZE 64u
#define MAX_PIECES 4u

struct rig {
    struct virtqueue *vq;
    struct ring_device ring;
    uint8_t *memory; /* [size][MAX_PIECES][BUFFER_SIZE] */
    size_t memory_size;
    unsigned kicks;
};

static void rig_notify(void *arg, struct virtqueue *vq)
{
    struct rig *rig = arg;

    assert_ptr_equal(vq, rig->vq);
    rig->kicks++;
    ring_device_notified(&rig->ring);
}

static void rig_attach(struct rig *rig)
{
    const struct virtqueue_areas *areas = virtqueue_areas(rig->vq);
    struct ring_params params = rig->ring.params;

    params.descriptor = areas->descriptor;
    params.driver = areas->driver;
    params.device = areas->device;
    ring_device_finish(&rig->ring);
    assert_true(ring_device_init(&rig->ring, &params));
}

static void rig_open(struct rig *rig, uint16_t size, bool event_idx, bool indirect)
{
    struct virtqueue_params params = {.name = "test",
                                      .index = 3,
                                      .size = size,
                                      .max_segments = MAX_PIECES,
                                      .layout = {.event_idx = event_idx, .indirect = indirect},
                                      .notify = rig_notify,
                                      .notify_arg = rig};

    memset(rig, 0, sizeof(*rig));
    rig->vq = virtqueue_create(&params);
    assert_non_null(rig->vq);
    rig->ring.params = (struct ring_params){
        .name = "test", .index = 3, .size = size, .event_idx = event_idx, .indirect = indirect};
    rig_attach(rig);
    rig->memory_size = (size_t)size * MAX_PIECES * BUFFER_SIZE;
    rig->memory = platform_dma_alloc(rig->memory_size, 64);
    assert_non_null(rig->memory);
}

static void rig_close(struct rig *rig)
{
    while (virtqueue_detach_unused(rig->vq))
        continue;
    ring_device_finish(&rig->ring);
    virtqueue_destroy(rig->vq);
    platform_dma_free(rig->memory, rig->memory_size);
}

static uint8_t *rig_buffer(struct rig *rig, unsigned slot, unsigned piece)
{
    return rig->memory + ((size_t)slot * MAX_PIECES + piece) * BUFFER_SIZE;
}

/* Adds buffer `slot` with so many pieces; the token is the buffer's own memory. */
static int rig_add(struct rig *rig, unsigned slot, unsigned out, unsigned in)
{
    struct virtqueue_sg sg[MAX_PIECES + 1];

    for (unsigned i = 0; i < out + in; i++)
        sg[i] = (struct virtqueue_sg){rig_buffer(rig, slot, i % MAX_PIECES), BUFFER_SIZE};
    return virtqueue_add(rig->vq, sg, out, in, rig_buffer(rig, slot, 0));
}

/* One buffer there and back, so that indices move on. */
static void rig_cycle(struct rig *rig, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(rig_add(rig, 0, 1, 0), 0);
        virtqueue_kick_prepare(rig->vq);
        struct ring_chain *chain = ring_device_pop(&rig->ring);
        assert_non_null(chain);
        ring_device_push(&rig->ring, chain, 0);
        ring_device_signal(&rig->ring);
        assert_ptr_equal(virtqueue_get_buf(rig->vq, NULL), rig_buffer(rig, 0, 0));
    }
}

/* ---- every permutation: nothing is lost, doubled or mixed up ---- */

struct traffic {
    struct rig rig;
    uint32_t seed;
    unsigned *free_slot, free_slots; /* the driver's own buffers that are at home */
    struct ring_chain **held; /* chains the device has: [held_first .. held_end) of 2 * size */
    unsigned held_first, held_end;
    struct {
        void *token;
        uint32_t len;
    } * expected; /* what comes back next, in the order the device returned it */
    uint64_t pushed, got;
    unsigned size;
};

static void traffic_add(struct traffic *t)
{
    unsigned most = t->size < MAX_PIECES ? t->size : MAX_PIECES;
    unsigned count = support_random(&t->seed) % most + 1;
    unsigned out = support_random(&t->seed) % (count + 1);

    if (!t->free_slots)
        return;
    unsigned slot = t->free_slot[t->free_slots - 1];
    memcpy(rig_buffer(&t->rig, slot, 0), &slot, sizeof(slot));
    int error = rig_add(&t->rig, slot, out, count - out);
    if (error) {
        assert_int_equal(error, -ENOSPC);
        assert_true(virtqueue_free(t->rig.vq) < count);
        return;
    }
    t->free_slots--;
}

static void traffic_device(struct traffic *t)
{
    struct ring_chain *chain;
    bool in_order = support_random(&t->seed) & 1;

    memmove(t->held, t->held + t->held_first, (t->held_end - t->held_first) * sizeof(t->held[0]));
    t->held_end -= t->held_first;
    t->held_first = 0;
    ring_device_want_notify(&t->rig.ring, false);
    while ((chain = ring_device_pop(&t->rig.ring)))
        t->held[t->held_end++] = chain;
    ring_device_want_notify(&t->rig.ring, support_random(&t->seed) & 1);
    for (unsigned n = support_random(&t->seed) % (t->held_end + 1); n; n--) {
        unsigned holding = t->held_end - t->held_first;
        unsigned pick = t->held_first + (in_order ? 0 : support_random(&t->seed) % holding);
        unsigned slot = 0;
        chain = t->held[pick];
        t->held[pick] = t->held[t->held_first++];
        uint32_t len = chain->writable ? support_random(&t->seed) % (chain->writable + 1) : 0;
        if (ring_chain_read(chain, 0, &slot, sizeof(slot)))
            assert_ptr_equal(chain->piece[0].data, rig_buffer(&t->rig, slot, 0));
        t->expected[t->pushed % t->size].token = chain->piece[0].data;
        t->expected[t->pushed++ % t->size].len = len;
        ring_device_push(&t->rig.ring, chain, len);
    }
    ring_device_signal(&t->rig.ring);
}

static void traffic_collect(struct traffic *t, unsigned most)
{
    uint32_t len;
    void *token;

    while (most-- && (token = virtqueue_get_buf(t->rig.vq, &len))) {
        assert_true(t->got < t->pushed);
        assert_ptr_equal(token, t->expected[t->got % t->size].token);
        assert_int_equal(len, t->expected[t->got++ % t->size].len);
        t->free_slot[t->free_slots++] =
            (unsigned)(((uint8_t *)token - t->rig.memory) / (MAX_PIECES * BUFFER_SIZE));
    }
}

static void run_traffic(uint16_t size, bool event_idx, bool indirect, uint64_t transfers)
{
    struct traffic t = {.seed = size + event_idx * 2u + indirect, .size = size};

    rig_open(&t.rig, size, event_idx, indirect);
    t.free_slot = calloc(size, sizeof(*t.free_slot));
    t.held = calloc(size, sizeof(struct ring_chain *));
    t.expected = calloc(size, sizeof(*t.expected));
    for (unsigned i = 0; i < size; i++)
        t.free_slot[t.free_slots++] = i;
    while (t.got < transfers) {
        for (unsigned n = support_random(&t.seed) % (size + 1u) + 1; n; n--)
            traffic_add(&t);
        virtqueue_kick(t.rig.vq);
        traffic_device(&t);
        traffic_collect(&t, support_random(&t.seed) % (size + 1u) + 1);
        assert_int_equal(virtqueue_in_flight(t.rig.vq), size - t.free_slots);
    }
    assert_false(virtqueue_is_broken(t.rig.vq));
    const struct virtqueue_stats *stats = virtqueue_stats(t.rig.vq);
    assert_int_equal(stats->used, t.got);
    assert_int_equal(stats->added, t.got + virtqueue_in_flight(t.rig.vq));
    assert_int_equal(stats->indirect, t.rig.ring.count.indirect);
    assert_int_equal(stats->notifications, t.rig.ring.count.notified);
    assert_int_equal(stats->bad, 0);
    rig_close(&t.rig);
    free(t.free_slot);
    free(t.held);
    free(t.expected);
}

/*
 * More than three turns of the 16-bit indices on every ring.
 * covers: SPLIT-ALIGN-1 SPLIT-FRAME-1 SPLIT-DESC-1 SPLIT-IND-1 SPLIT-IND-2 SPLIT-IND-3 SPLIT-IND-4
 * covers: SPLIT-AVAIL-1
 * covers: SPLIT-INTR-1 SPLIT-INTR-3 SPLIT-KICK-1 SPLIT-T-SIZE-1 SPLIT-T-SLOT-1 SPLIT-T-WRAP-1
 * covers: CLEAN-1 RSVF-5
 */
static void buffers_are_conserved_2_7(void **state)
{
    static const uint16_t sizes[] = {1, 2, 4, 8, 256, 32768};

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned features = 0; features < 4; features++)
            run_traffic(sizes[i], features & 1, features & 2, 200000);
}

/* ---- creation ---- */

/* covers: SPLIT-T-SIZE-1 */
static void senseless_parameters_are_refused_2_7(void **state)
{
    static const struct {
        uint16_t size, segments;
    } bad[] = {{0, 1}, {3, 1}, {100, 1}, {65535, 1}, {16, 0}};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct virtqueue_params params = {.name = "bad",
                                          .size = bad[i].size,
                                          .max_segments = bad[i].segments,
                                          .notify = rig_notify};
        assert_null(virtqueue_create(&params));
    }
    expect_log("error: bad:", 5);
    virtqueue_destroy(NULL);
}

/* Whichever allocation fails, nothing of the others stays behind. */
static void creation_survives_lack_of_memory(void **state)
{
    struct virtqueue_params params = {.name = "test",
                                      .size = 16,
                                      .max_segments = 4,
                                      .layout.indirect = true,
                                      .notify = rig_notify};
    struct virtqueue *vq = NULL;
    unsigned nth;

    (void)state;
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
                                          .notify = rig_notify};
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

/* covers: SPLIT-DESC-1 RSVF-5 */
static void bad_buffers_are_refused_and_leave_nothing(void **state)
{
    struct rig rig;
    uint8_t outside[16];

    (void)state;
    rig_open(&rig, 8, false, true);
    unsigned mappings = hosted_dma_mappings();
    uint8_t *data = rig_buffer(&rig, 0, 0);
    struct virtqueue_sg good = {data, 8}, empty = {data, 0}, foreign = {outside, sizeof(outside)};
    struct virtqueue_sg huge = {data, UINT32_MAX};
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
    rig_close(&rig);
}

/* covers: SPLIT-DESC-1 */
static void a_list_of_4_gib_is_refused(void **state)
{
    const uint32_t size = 64u << 20;
    struct virtqueue_params params = {
        .name = "test", .size = 128, .max_segments = 64, .notify = rig_notify};
    struct virtqueue *vq = virtqueue_create(&params);
    uint8_t *memory = platform_dma_alloc(size, 64);
    struct virtqueue_sg sg[64];

    (void)state;
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

/*
 * Not even through an indirect table.
 * covers: SPLIT-IND-3
 */
static void a_list_longer_than_the_ring_is_refused_2_7_5_3(void **state)
{
    struct rig rig;

    (void)state;
    for (uint16_t size = 1; size < MAX_PIECES; size *= 2) {
        rig_open(&rig, size, false, true);
        for (unsigned count = size + 1u; count <= MAX_PIECES; count++)
            assert_int_equal(rig_add(&rig, 0, 1, count - 1), -EINVAL);
        assert_int_equal(rig_add(&rig, 0, 1, size - 1u), 0);
        assert_non_null(ring_device_pop(&rig.ring));
        rig_close(&rig);
    }
}

static void a_full_ring_says_enospc_and_recovers(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 4, false, false);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_add(&rig, i, 1, 0), 0);
    assert_int_equal(virtqueue_free(rig.vq), 0);
    assert_int_equal(rig_add(&rig, 0, 1, 0), -ENOSPC);
    assert_int_equal(rig_add(&rig, 0, 1, 1), -ENOSPC);
    assert_int_equal(virtqueue_stats(rig.vq)->full, 2);
    struct ring_chain *chain = ring_device_pop(&rig.ring);
    ring_device_push(&rig.ring, chain, 0);
    assert_non_null(virtqueue_get_buf(rig.vq, NULL));
    assert_int_equal(rig_add(&rig, 0, 1, 1), -ENOSPC);
    assert_int_equal(rig_add(&rig, 0, 1, 0), 0);
    assert_false(virtqueue_is_broken(rig.vq));
    rig_close(&rig);
}

/*
 * With indirect tables a ring takes as many lists as it has entries.
 * covers: SPLIT-IND-2 SPLIT-IND-3 SPLIT-IND-4
 */
static void indirect_tables_save_ring_entries_2_7_5_3(void **state)
{
    struct rig rig;
    struct ring_chain *chain;
    unsigned count = 0;

    (void)state;
    rig_open(&rig, 8, false, true);
    while (rig_add(&rig, count, 2, 2) == 0)
        count++;
    assert_true(count > 8 / 4);
    assert_true(count >= 5);
    assert_true(virtqueue_stats(rig.vq)->indirect > 0);
    for (unsigned i = 0; i < count; i++) {
        chain = ring_device_pop(&rig.ring);
        assert_non_null(chain);
        assert_int_equal(chain->out, 2);
        assert_int_equal(chain->in, 2);
        assert_ptr_equal(chain->piece[3].data, rig_buffer(&rig, i, 3));
        ring_device_push(&rig.ring, chain, 2 * BUFFER_SIZE);
        assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, i, 0));
    }
    assert_int_equal(virtqueue_free(rig.vq), 8);
    rig_close(&rig);
}

/* covers: SPLIT-IND-1 */
static void no_indirect_tables_without_the_feature(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 8, false, false);
    assert_int_equal(rig_add(&rig, 0, 2, 2), 0);
    assert_int_equal(rig_add(&rig, 1, 2, 2), 0);
    assert_int_equal(rig_add(&rig, 2, 1, 1), -ENOSPC);
    assert_int_equal(virtqueue_stats(rig.vq)->indirect, 0);
    assert_false(ring_device_pop(&rig.ring)->indirect);
    rig_close(&rig);
}

/* ---- notifications to the device ---- */

/* covers: SPLIT-KICK-2 SPLIT-KICK-3 SPLIT-KICK-4 SPLIT-BARRIER-KICK-1 */
static void used_flags_decide_without_event_idx_2_7_10(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 16, false, false);
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
 * Every batch size up to 4 at every place of the event index around it, also where the 16-bit index
 * wraps; expected by counting.
 * covers: SPLIT-KICK-5 SPLIT-KICK-6 SPLIT-KICK-7
 */
static void avail_event_decides_with_event_idx_2_7_10(void **state)
{
    static const unsigned starts[] = {0, 1, 7, 32766, 65530, 65535, 65536 + 3};
    struct rig rig;

    (void)state;
    for (unsigned s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
        for (unsigned batch = 1; batch <= 4; batch++) {
            rig_open(&rig, 8, true, false);
            ring_device_set_avail_event(&rig.ring, 40000);
            rig_cycle(&rig, starts[s]);
            for (int delta = -3; delta <= 7; delta++) {
                uint16_t start = rig.ring.avail_idx, event = (uint16_t)(start + delta);
                bool expected = delta >= 0 && delta < (int)batch;
                ring_device_set_avail_event(&rig.ring, event);
                rig.ring.used[0] = (uint16_t)delta & 1; /* flags: must be ignored */
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

/* covers: SPLIT-KICK-6 */
static void a_batch_of_a_whole_index_turn_notifies(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 32768, true, false);
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

/* ---- notifications from the device ---- */

/* covers: SPLIT-INTR-1 SPLIT-INTR-2 SPLIT-INTR-3 SPLIT-INTR-4 SPLIT-T-RECHECK-1 */
static void used_buffer_notifications_2_7_7(void **state)
{
    struct rig rig;

    (void)state;
    for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
        rig_open(&rig, 8, event_idx, false);
        for (unsigned start = 0; start < 3; start++) {
            /* Off: hints only, but the device of this test follows them. */
            virtqueue_disable_cb(rig.vq);
            rig_add(&rig, 0, 0, 1);
            ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 5);
            assert_false(ring_device_signal(&rig.ring));
            /* There already: the driver must look again before it sleeps. */
            assert_false(virtqueue_enable_cb(rig.vq));
            assert_non_null(virtqueue_get_buf(rig.vq, NULL));
            assert_true(virtqueue_enable_cb(rig.vq));
            /* On: the next one is signalled, and the one after the driver looked again, too. */
            for (unsigned i = 0; i < 3; i++) {
                rig_add(&rig, 0, 0, 1);
                ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 5);
                assert_true(ring_device_signal(&rig.ring));
                virtqueue_interrupt(rig.vq);
                virtqueue_disable_cb(rig.vq);
                assert_non_null(virtqueue_get_buf(rig.vq, NULL));
                assert_true(virtqueue_enable_cb(rig.vq));
            }
            rig_cycle(&rig, 33000); /* to other places of the index, over its wrap */
        }
        assert_int_equal(virtqueue_stats(rig.vq)->interrupts, 9);
        rig_close(&rig);
    }
}

/* covers: SPLIT-INTR-5 */
static void spurious_notifications_do_no_harm(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 8, true, false);
    for (unsigned i = 0; i < 5; i++) {
        virtqueue_interrupt(rig.vq);
        assert_null(virtqueue_get_buf(rig.vq, NULL));
    }
    assert_int_equal(virtqueue_stats(rig.vq)->interrupts, 5);
    assert_false(virtqueue_is_broken(rig.vq));
    rig_close(&rig);
}

/* ---- lies ---- */

struct lie {
    const char *name, *reason;
    void (*tell)(struct rig *rig, struct ring_chain *first, struct ring_chain *second);
};

static void tell_wrong_id(struct rig *rig, struct ring_chain *first, struct ring_chain *second)
{
    (void)first;
    (void)second;
    ring_device_push_raw(&rig->ring, 8, 0);
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
    ring_device_push_raw(&rig->ring, rig->ring.desc[first->head].next, 0);
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
    {"id out of range", "a buffer that it did not have", tell_wrong_id},
    {"id above 16 bits", "a buffer that it did not have", tell_wide_id},
    {"id of a free descriptor", "a buffer that it did not have", tell_dead_id},
    {"id inside a chain", "a buffer that it did not have", tell_inner_id},
    {"one byte too long", "more than was writable", tell_too_long},
    {"4 GiB too long", "more than was writable", tell_longest},
    {"used idx jumps", "used index moved past", tell_jump},
    {"used idx goes back", "used index moved past", tell_back},
};

/*
 * After a lie nothing works until a reset; then every buffer comes back exactly once, and the queue
 * works again.
 */
static void check_broken(struct rig *rig, const struct lie *lie, void *first, void *second)
{
    print_message("  lie: %s\n", lie->name);
    assert_null(virtqueue_get_buf(rig->vq, NULL));
    assert_true(virtqueue_is_broken(rig->vq));
    assert_int_equal(rig_add(rig, 5, 1, 0), -EIO);
    assert_null(virtqueue_get_buf(rig->vq, NULL));
    assert_false(virtqueue_kick_prepare(rig->vq));
    virtqueue_disable_cb(rig->vq);
    virtqueue_enable_cb(rig->vq);
    assert_int_equal(virtqueue_stats(rig->vq)->bad, 1);
    virtqueue_break(rig->vq, "another reason, of no interest any more");
    expect_log("queue broken: ", 1);
    expect_log(lie->reason, 1);
    void *one = virtqueue_detach_unused(rig->vq), *other = virtqueue_detach_unused(rig->vq);
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

    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
            support_setup(state);
            rig_open(&rig, 8, event_idx, false);
            rig_add(&rig, 0, 1, 2);
            rig_add(&rig, 1, 1, 0);
            struct ring_chain *first = ring_device_pop(&rig.ring);
            struct ring_chain *second = ring_device_pop(&rig.ring);
            lies[i].tell(&rig, first, second);
            check_broken(&rig, &lies[i], rig_buffer(&rig, 0, 0), rig_buffer(&rig, 1, 0));
            rig_close(&rig);
        }
}

static void a_replayed_used_element_breaks_the_queue(void **state)
{
    static const struct lie replay = {"replay", "a buffer that it did not have", NULL};
    struct rig rig;

    (void)state;
    rig_open(&rig, 8, false, false);
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, 0, 1);
    struct ring_chain *chain = ring_device_pop(&rig.ring);
    ring_device_push(&rig.ring, chain, 1);
    ring_device_push_raw(&rig.ring, chain->head, 1);
    assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 0, 0));
    check_broken(&rig, &replay, rig_buffer(&rig, 1, 0), rig_buffer(&rig, 2, 0));
    rig_close(&rig);
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
    for (unsigned indirect = 0; indirect < 2; indirect++) {
        rig_open(&rig, 8, false, indirect);
        rig.ring.scribbles = true;
        for (unsigned round = 0; round < 50; round++) {
            struct ring_chain *chain[8];
            unsigned count = 0;
            while (rig_add(&rig, count, 1, 2) == 0)
                chain[count++] = ring_device_pop(&rig.ring);
            for (unsigned i = 0; indirect && i < 8; i++)
                if (rig.ring.desc[i].flags & DESC_INDIRECT)
                    memset((void *)(uintptr_t)rig.ring.desc[i].addr, 0xff, rig.ring.desc[i].len);
            memset(rig.ring.desc, 0xff, 8 * sizeof(struct wire_desc));
            memset(rig.ring.avail, 0xff, 6 + 2 * 8);
            for (unsigned i = 0; i < count; i++)
                ring_device_push(&rig.ring, chain[count - 1 - i], 7);
            for (unsigned i = 0; i < count; i++)
                assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL),
                                 rig_buffer(&rig, count - 1 - i, 0));
            assert_int_equal(virtqueue_free(rig.vq), 8);
            assert_int_equal(hosted_dma_mappings(), indirect ? 2 : 1);
            /*
             * What the driver owns there is written anew with the next buffer; the flags are, with
             * the next decision.
             */
            virtqueue_enable_cb(rig.vq);
            rig.ring.avail[0] = 0;
            assert_false(virtqueue_is_broken(rig.vq));
        }
        rig_close(&rig);
    }
}

/* ---- reset, report ---- */

/* covers: CLEAN-2 */
static void detach_returns_every_buffer_once(void **state)
{
    struct rig rig;
    bool seen[8] = {false};

    (void)state;
    rig_open(&rig, 32, true, true);
    for (unsigned i = 0; i < 8; i++)
        rig_add(&rig, i, 1, i % 3);
    ring_device_push(&rig.ring, ring_device_pop(&rig.ring), 0);
    assert_ptr_equal(virtqueue_get_buf(rig.vq, NULL), rig_buffer(&rig, 0, 0));
    for (unsigned i = 1; i < 8; i++) {
        uint8_t *token = virtqueue_detach_unused(rig.vq);
        assert_non_null(token);
        size_t slot = (size_t)(token - rig.memory) / (MAX_PIECES * BUFFER_SIZE);
        assert_in_range(slot, 1, 7);
        assert_false(seen[slot]);
        seen[slot] = true;
    }
    assert_null(virtqueue_detach_unused(rig.vq));
    assert_int_equal(virtqueue_in_flight(rig.vq), 0);
    assert_int_equal(hosted_dma_mappings(), 2);
    virtqueue_reinit(rig.vq);
    assert_int_equal(virtqueue_free(rig.vq), 32);
    rig_attach(&rig);
    rig_cycle(&rig, 100);
    rig_close(&rig);
}

static void getters_and_dump(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 16, true, false);
    assert_string_equal(virtqueue_name(rig.vq), "test");
    assert_int_equal(virtqueue_index(rig.vq), 3);
    assert_int_equal(virtqueue_size(rig.vq), 16);
    rig_add(&rig, 0, 1, 1);
    virtqueue_dump(rig.vq);
    expect_log("test: queue 3, 16 entries, 14 free, 1 buffers", 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(buffers_are_conserved_2_7),
        TEST(senseless_parameters_are_refused_2_7),
        TEST(creation_survives_lack_of_memory),
        TEST(legacy_layout_is_one_block_2_7_2),
        TEST(bad_buffers_are_refused_and_leave_nothing),
        TEST(a_list_of_4_gib_is_refused),
        TEST(a_list_longer_than_the_ring_is_refused_2_7_5_3),
        TEST(a_full_ring_says_enospc_and_recovers),
        TEST(indirect_tables_save_ring_entries_2_7_5_3),
        TEST(no_indirect_tables_without_the_feature),
        TEST(used_flags_decide_without_event_idx_2_7_10),
        TEST(avail_event_decides_with_event_idx_2_7_10),
        TEST(a_batch_of_a_whole_index_turn_notifies),
        TEST(used_buffer_notifications_2_7_7),
        TEST(spurious_notifications_do_no_harm),
        TEST(a_lie_breaks_the_queue_and_a_reset_mends_it),
        TEST(a_replayed_used_element_breaks_the_queue),
        TEST(the_driver_never_reads_back_what_it_wrote),
        TEST(detach_returns_every_buffer_once),
        TEST(getters_and_dump),
    };

    return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
