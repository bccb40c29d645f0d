// sources: boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: hosted/fake_pci.c hosted/device.c hosted/device_setup.c
/*
 * test_model_packed.c - the model device's own checks of packed rings (2.8), and of notifications
 * with data (2.9): each rule is broken once, by hand, and must be reported.
 *
 * No driver code here, as in test_model.c, which does the same for split rings and registers.
 */
#include "support.h"

#include "hosted/device.h"
#include "hosted/ring_device.h"

/* ---- a ring of four entries, filled by hand ---- */

#define SIZE 4u

static struct {
    struct wire_packed_desc desc[SIZE];
    uint32_t driver_events, device_events;
    struct wire_packed_desc table[SIZE + 1];
    uint8_t data[64];
} * shared;
static dma_addr_t address;
static struct ring_device ring;
static struct ring_params params;

static dma_addr_t at(const void *memory)
{
    return address + (dma_addr_t)((const uint8_t *)memory - (const uint8_t *)shared);
}

static void open_memory(bool event_idx, bool indirect)
{
    shared = platform_dma_alloc(sizeof(*shared), 64);
    address = platform_dma_map(shared, sizeof(*shared), DMA_BIDIRECTIONAL);
    params = (struct ring_params){.name = "ring",
                                  .size = SIZE,
                                  .packed = true,
                                  .event_idx = event_idx,
                                  .indirect = indirect,
                                  .descriptor = at(shared->desc),
                                  .driver = at(&shared->driver_events),
                                  .device = at(&shared->device_events)};
}

static void open_ring(bool event_idx, bool indirect)
{
    open_memory(event_idx, indirect);
    assert_true(ring_device_init(&ring, &params));
}

static void close_ring(void)
{
    ring_device_finish(&ring);
    platform_dma_unmap(address, sizeof(*shared), DMA_BIDIRECTIONAL);
    platform_dma_free(shared, sizeof(*shared));
}

/* `place` counts from the ring's start, over laps; the two bits follow from it. */
static void set(unsigned place, uint16_t flags, uint16_t id)
{
    shared->desc[place % SIZE] =
        (struct wire_packed_desc){.addr = at(shared->data),
                                  .len = 16,
                                  .id = id,
                                  .flags = flags | (place / SIZE % 2 ? DESC_USED : DESC_AVAIL)};
}

static void point_at_table(uint16_t flags, unsigned entries)
{
    for (unsigned i = 0; i < entries && i <= SIZE; i++)
        shared->table[i] = (struct wire_packed_desc){.addr = at(shared->data), .len = 16};
    set(0, DESC_INDIRECT | flags, 1);
    shared->desc[0].addr = at(shared->table);
    shared->desc[0].len = entries * 16;
}

static void a_sound_list(void)
{
    set(0, DESC_NEXT, 9999); /* the id counts in the last one only */
    set(1, DESC_NEXT | DESC_WRITE, 9999);
    set(2, DESC_WRITE, 3);
}

static void a_sound_table(void)
{
    point_at_table(0, SIZE);
    shared->table[3].flags = DESC_WRITE;
    shared->table[2].id = 77;
}

static void a_list_over_the_end(void)
{
    a_sound_list();
    ring_device_push(&ring, ring_device_pop(&ring), 0);
    set(3, DESC_NEXT, 0);
    set(4, DESC_NEXT, 0);
    set(5, 0, 2);
}

static void readable_behind_writable(void)
{
    set(0, DESC_WRITE | DESC_NEXT, 0);
    set(1, 0, 0);
}

static void a_list_without_an_end(void)
{
    for (unsigned i = 0; i < SIZE; i++)
        set(i, DESC_NEXT, 0);
}

/* The other descriptors belong to a buffer that the device has. */
static void a_list_into_what_the_device_has(void)
{
    set(0, 0, 1);
    assert_non_null(ring_device_pop(&ring));
    for (unsigned i = 1; i < SIZE; i++)
        set(i, DESC_NEXT, 0);
}

static void more_than_the_ring_has(void)
{
    a_sound_list();
    set(3, 0, 0);
    assert_non_null(ring_device_pop(&ring));
    assert_non_null(ring_device_pop(&ring));
    set(4, 0, 1);
}

static void a_head_that_looks_used(void)
{
    set(0, 0, 0);
    shared->desc[0].flags = DESC_AVAIL | DESC_USED;
}

static void a_wrong_bit_inside_a_list(void)
{
    a_sound_list();
    shared->desc[1].flags ^= DESC_AVAIL;
}

static void the_bits_of_the_lap_before_inside_a_list(void)
{
    a_list_over_the_end();
    shared->desc[0].flags ^= DESC_AVAIL | DESC_USED;
}

static void unknown_flags(void)
{
    set(0, 8, 0);
}

static void memory_of_nobody(void)
{
    set(0, 0, 0);
    shared->desc[0].addr = 0x1000;
}

static void an_empty_piece(void)
{
    set(0, 0, 0);
    shared->desc[0].len = 0;
}

static void an_id_out_of_range(void)
{
    set(0, 0, SIZE);
}

static void an_id_twice(void)
{
    set(0, 0, 2);
    set(1, 0, 2);
    assert_non_null(ring_device_pop(&ring));
}

static void a_table_behind_a_descriptor(void)
{
    a_sound_table();
    shared->desc[1] = shared->desc[0];
    set(0, DESC_NEXT, 0);
}

static void a_table_and_next(void)
{
    a_sound_table();
    shared->desc[0].flags |= DESC_NEXT;
    set(1, 0, 0);
}

static void next_in_a_table(void)
{
    a_sound_table();
    shared->table[0].flags = DESC_NEXT;
}

static void an_available_entry_in_a_table(void)
{
    a_sound_table();
    shared->table[0].flags = DESC_AVAIL;
}

static void a_table_inside_a_table(void)
{
    a_sound_table();
    shared->table[0].flags = DESC_INDIRECT;
}

static void a_table_of_odd_length(void)
{
    a_sound_table();
    shared->desc[0].len = 24;
}

static void a_table_longer_than_the_ring(void)
{
    point_at_table(0, SIZE + 1);
}

static void events_of_no_kind(void)
{
    shared->driver_events = 3u << 16;
}

static void events_at_a_place(void)
{
    shared->driver_events = (uint32_t)EVENTS_AT << 16 | 0x8000 | (SIZE - 1);
    set(0, 0, 0);
}

static void events_behind_the_ring(void)
{
    shared->driver_events = (uint32_t)EVENTS_AT << 16 | SIZE;
}

static const struct {
    const char *id; /* NULL: nothing is wrong */
    void (*make)(void);
    bool event_idx, indirect;
} lists[] = {
    {NULL, a_sound_list, false, false},
    {NULL, a_sound_table, false, true},
    {NULL, a_list_over_the_end, false, false},
    {NULL, events_at_a_place, true, false},
    {"PACKED-SG-3", readable_behind_writable, false, false},
    {"PACKED-SG-2", a_list_without_an_end, false, false},
    {"PACKED-SG-5", a_list_into_what_the_device_has, false, false},
    {"PACKED-SG-5", more_than_the_ring_has, false, false},
    {"PACKED-T-WRAP-2", a_head_that_looks_used, false, false},
    {"PACKED-T-CHAIN-1", a_wrong_bit_inside_a_list, false, false},
    {"PACKED-T-CHAIN-1", the_bits_of_the_lap_before_inside_a_list, false, false},
    {"PACKED-T-CHAIN-1", unknown_flags, false, false},
    {"PACKED-T-CHAIN-1", an_id_out_of_range, false, false},
    {"PACKED-T-CHAIN-1", an_id_twice, false, false},
    {"RSVF-5", memory_of_nobody, false, false},
    {"RSVF-5", an_empty_piece, false, false},
    {"PACKED-IND-1", a_sound_table, false, false},
    {"PACKED-IND-2", next_in_a_table, false, true},
    {"PACKED-IND-2", an_available_entry_in_a_table, false, true},
    {"PACKED-IND-2", a_table_inside_a_table, false, true},
    {"PACKED-IND-3", a_table_longer_than_the_ring, false, true},
    {"PACKED-IND-3", a_table_of_odd_length, false, true},
    {"PACKED-IND-4", a_table_and_next, false, true},
    {"PACKED-IND-4", a_table_behind_a_descriptor, false, true},
    {"PACKED-T-EVENT-1", events_of_no_kind, true, false},
    {"PACKED-T-EVENT-1", events_at_a_place, false, false},
    {"PACKED-T-EVENT-1", events_behind_the_ring, true, false},
};

static void wrong_lists_are_reported(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        open_ring(lists[i].event_idx, lists[i].indirect);
        lists[i].make();
        struct ring_chain *chain = ring_device_pop(&ring);
        if (lists[i].id) {
            expect_violation(lists[i].id);
        } else {
            assert_int_equal(violation_count(NULL), 0);
            assert_non_null(chain);
            ring_device_push(&ring, chain, 16);
            assert_int_equal(shared->desc[chain->start].id, chain->head);
        }
        violation_reset();
        close_ring();
    }
}

static void wrong_rings_are_reported(void **state)
{
    struct ring_params bad;

    (void)state;
    open_memory(false, false);
    bad = params;
    bad.descriptor += 8;
    ring_device_init(&ring, &bad);
    expect_violation("PACKED-ALIGN-1");
    ring_device_finish(&ring);
    bad = params;
    bad.driver += 2;
    ring_device_init(&ring, &bad);
    expect_violation("PACKED-ALIGN-1");
    ring_device_finish(&ring);
    bad = params;
    bad.device = 0x1000;
    assert_false(ring_device_init(&ring, &bad));
    expect_violation("RSVF-5");
    ring_device_finish(&ring);
    bad = params;
    bad.size = 0;
    assert_false(ring_device_init(&ring, &bad));
    expect_violation("RSVF-5");
    ring_device_finish(&ring);
    shared->desc[SIZE - 1].id = 1;
    ring_device_init(&ring, &params);
    expect_violation("PACKED-T-ZERO-1");
    close_ring();
}

static void changed_descriptors_are_reported(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        open_ring(false, false);
        a_sound_list();
        struct ring_chain *chain = ring_device_pop(&ring);
        shared->desc[i].len = 8;
        ring_device_push(&ring, chain, 0);
        expect_violation("PACKED-DESC-1");
        close_ring();
    }
    /* Not even what the device will never look at again, while it is the device's. */
    open_ring(false, false);
    set(0, 0, 0);
    set(1, DESC_NEXT, 1);
    set(2, 0, 1);
    struct ring_chain *first = ring_device_pop(&ring), *second = ring_device_pop(&ring);
    shared->desc[0].addr++;
    ring_device_push(&ring, second, 0);
    expect_violation("PACKED-DESC-1");
    ring_device_push(&ring, first, 0);
    close_ring();
}

static void unwanted_notifications_are_reported(void **state)
{
    (void)state;
    for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
        open_ring(event_idx, false);
        ring_device_want_notify(&ring, true);
        a_sound_list();
        ring_device_notified(&ring);
        assert_int_equal(violation_count(NULL), 0);
        assert_int_equal(ring_device_notification_data(&ring), 0x8000 | 3);
        assert_non_null(ring_device_pop(&ring));
        ring_device_want_notify(&ring, false);
        set(3, 0, 0);
        ring_device_notified(&ring);
        expect_violation("PACKED-T-EVENT-1");
        assert_int_equal(ring_device_notification_data(&ring), 0);
        assert_int_equal(ring.count.notified, 2);
        assert_int_equal(ring.count.unwanted, 1);
        close_ring();
    }
    open_ring(true, false);
    ring_device_set_avail_event(&ring, 0x8000 | 3);
    a_sound_list();
    ring_device_notified(&ring);
    expect_violation("PACKED-T-EVENT-1");
    close_ring();
}

/* ---- notifications with data, written by hand ---- */

static const struct device_type type = {.name = "model", .id = 60};
static struct device device;
static volatile uint8_t *bar;

static void open_device(uint64_t features)
{
    fake_pci_reset();
    device_init(&device, &(struct device_setup){.type = &type,
                                                .features = features,
                                                .queues = 2,
                                                .queue_size = SIZE,
                                                .msix_vectors = 2});
    pci_command(&device.pci->fn, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
    bar = pci_map_bar(&device.pci->fn, DEVICE_BAR, 0, DEVICE_BAR_SIZE);
    mmio_write8(bar + CC_DEVICE_STATUS, 0);
    mmio_read8(bar + CC_DEVICE_STATUS);
    mmio_write8(bar + CC_DEVICE_STATUS, ST_ACKNOWLEDGE);
    mmio_write8(bar + CC_DEVICE_STATUS, ST_ACKNOWLEDGE | ST_DRIVER);
    for (uint32_t i = 0; i < 2; i++) {
        mmio_write32(bar + CC_DEVICE_FEATURE_SELECT, i);
        mmio_write32(bar + CC_DRIVER_FEATURE_SELECT, i);
        mmio_write32(bar + CC_DRIVER_FEATURE, mmio_read32(bar + CC_DEVICE_FEATURE));
    }
    mmio_write8(bar + CC_DEVICE_STATUS, ST_ACKNOWLEDGE | ST_DRIVER | ST_FEATURES_OK);
    dma_addr_t area[] = {at(shared->desc), at(&shared->driver_events), at(&shared->device_events)};
    for (unsigned i = 0; i < 6; i++)
        mmio_write32(bar + CC_QUEUE_DESC + 4 * i, (uint32_t)(area[i / 2] >> 32 * (i % 2)));
    mmio_write16(bar + CC_QUEUE_ENABLE, 1);
    mmio_write8(bar + CC_DEVICE_STATUS, ST_ACKNOWLEDGE | ST_DRIVER | ST_FEATURES_OK | ST_DRIVER_OK);
    assert_int_equal(violation_count(NULL), 0);
}

static void close_device(void)
{
    device_finish(&device);
    fake_pci_reset();
    memset(shared, 0, sizeof(*shared));
}

#define F(bit) (UINT64_C(1) << (bit))
#define PACKED_WITH(more) (F(F_RING_PACKED) | (more))

static void wrong_notifications_are_reported(void **state)
{
    (void)state;
    open_memory(false, false);
    open_device(PACKED_WITH(F(F_NOTIFICATION_DATA)));
    set(0, 0, 0);
    mmio_write32(bar + DEVICE_NOTIFY_AT, 0x80010000);
    assert_int_equal(violation_count(NULL), 0);
    mmio_write16(bar + DEVICE_NOTIFY_AT, 0);
    expect_violation("PCI-NOTIFY-2");
    mmio_write32(bar + DEVICE_NOTIFY_AT, 0x80010001);
    expect_violation("PCI-NOTIFY-4");
    mmio_write32(bar + DEVICE_NOTIFY_AT, 0x00010000);
    expect_violation("PACKED-DESC-3");
    mmio_write32(bar + DEVICE_NOTIFY_AT, 0x80000000);
    expect_violation("PACKED-DESC-3");
    close_device();

    open_device(PACKED_WITH(F(F_NOTIF_CONFIG_DATA)));
    uint16_t name = mmio_read16(bar + CC_QUEUE_NOTIF_CONFIG_DATA);
    assert_int_not_equal(name, 0);
    mmio_write16(bar + DEVICE_NOTIFY_AT, name);
    assert_int_equal(violation_count(NULL), 0);
    mmio_write32(bar + DEVICE_NOTIFY_AT, name);
    expect_violation("PCI-NOTIFY-1");
    mmio_write16(bar + DEVICE_NOTIFY_AT, 0);
    expect_violation("PCI-NOTIFY-5");
    mmio_write16(bar + CC_QUEUE_NOTIF_CONFIG_DATA, 1);
    expect_violation("PCI-COMMON-1");
    mmio_read32(bar + CC_QUEUE_NOTIF_CONFIG_DATA);
    expect_violation("PCI-ACCESS-1");
    close_device();

    open_device(PACKED_WITH(F(F_NOTIF_CONFIG_DATA) | F(F_NOTIFICATION_DATA)));
    mmio_write32(bar + DEVICE_NOTIFY_AT, 0x80000000 | name);
    assert_int_equal(violation_count(NULL), 0);
    mmio_write32(bar + DEVICE_NOTIFY_AT, 0x80000000);
    expect_violation("PCI-NOTIFY-6");
    close_device();

    open_device(PACKED_WITH(0));
    mmio_write16(bar + DEVICE_NOTIFY_AT, 0);
    assert_int_equal(violation_count(NULL), 0);
    mmio_read16(bar + CC_QUEUE_NOTIF_CONFIG_DATA);
    expect_violation("PCI-CAP-5");
    close_device();
    close_ring();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_lists_are_reported),         TEST(wrong_rings_are_reported),
        TEST(changed_descriptors_are_reported), TEST(unwanted_notifications_are_reported),
        TEST(wrong_notifications_are_reported),
    };

    return cmocka_run_group_tests_name("model_packed", tests, NULL, NULL);
}
