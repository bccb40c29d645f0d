// sources: arch/x86_64/acpi_mmio.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/violation.c
/*
 * test_acpi_mmio.c - finding virtio-mmio devices and the event device in ACPI byte code: what is recognized, what is
 * passed over, and that no byte code makes it read where it should not.
 *
 * Byte code lies in blocks of exactly its size, so that AddressSanitizer sees a read beyond it.
 */
#include "support.h"

#include "arch/x86_64/acpi_mmio.h"

#define MAX_PLACES 4

static struct mmio_place place[MAX_PLACES];

static unsigned find(const uint8_t *aml, uint32_t length)
{
    uint8_t *exact = malloc(length ? length : 1);
    unsigned count;

    assert_non_null(exact);
    memcpy(exact, aml, length);
    memset(place, 0xee, sizeof(place));
    count = acpi_find_virtio_mmio(exact, length, place, MAX_PLACES);
    free(exact);
    return count;
}

/* A device as QEMU's microvm describes it: 0x200 bytes at 0xfeb02e00, interrupt 47. */
#define HEAD 0x5b, 0x82, 0x42, 0x04, 'V', 'R', '2', '3'
#define HID 0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0x00
#define UID 0x08, '_', 'U', 'I', 'D', 0x0a, 0x17
#define CCA 0x08, '_', 'C', 'C', 'A', 0x01
#define CRS 0x08, '_', 'C', 'R', 'S', 0x11, 0x1a, 0x0a, 0x17
#define MEMORY 0x86, 0x09, 0x00, 0x01, 0x00, 0x2e, 0xb0, 0xfe, 0x00, 0x02, 0x00, 0x00
#define INTERRUPT(flags) 0x89, 0x06, 0x00, flags, 0x01, 0x2f, 0x00, 0x00, 0x00
#define END 0x79, 0x00
static const uint8_t device[] = {HEAD, HID, UID, CCA, CRS, MEMORY, INTERRUPT(0x01), END};

#define LOWEST_ADDRESS_BYTE 49

static void a_device_is_found(void **state)
{
    (void)state;
    assert_int_equal(find(device, sizeof(device)), 1);
    assert_int_equal(place[0].address, 0xfeb02e00);
    assert_int_equal(place[0].size, 0x200);
    assert_int_equal(place[0].gsi, 47);
    assert_false(place[0].active_low);
}

static void the_polarity_counts(void **state)
{
    static const uint8_t low[] = {HEAD, HID, UID, CCA, CRS, MEMORY, INTERRUPT(0x05), END};

    (void)state;
    assert_int_equal(find(low, sizeof(low)), 1);
    assert_true(place[0].active_low);
}

/* Among other code, in a scope, several of them, and no more than there is room for. */
static void several_among_other_code(void **state)
{
    uint8_t aml[2048] = {0x10, 0x4c, 0x7f, '\\', '_', 'S', 'B', '_'};
    uint32_t length = 8;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        memcpy(aml + length, "\x5b\x82\x05XXXX\x08_HID", 12);
        length += 12;
        memcpy(aml + length, device, sizeof(device));
        aml[length + LOWEST_ADDRESS_BYTE] = (uint8_t)(0x10 * i);
        length += sizeof(device);
        assert_int_equal(find(aml, length), i < MAX_PLACES ? i + 1 : MAX_PLACES);
    }
    for (unsigned i = 0; i < MAX_PLACES; i++)
        assert_int_equal(place[i].address, 0xfeb02e00 + 0x10 * i);
}

static void what_is_something_else_is_passed_over(void **state)
{
    static const uint8_t wrong_hid[] = {HEAD, 0x08, '_', 'H',    'I',          'D', 0x0d, 'L',
                                        'N',  'R',  'O', '0',    '0',          '0', '6',  0,
                                        UID,  CCA,  CRS, MEMORY, INTERRUPT(1), END};
    static const uint8_t no_resources[] = {0x5b, 0x82, 0x14, 'V', 'R', '2', '3', HID};
    static const uint8_t no_memory[] = {0x5b, 0x82, 0x28, 'V',          'R', '2', '3',
                                        HID,  0x08, '_',  'C',          'R', 'S', 0x11,
                                        0x0e, 0x0a, 0x0b, INTERRUPT(1), END};

    (void)state;
    assert_int_equal(find(wrong_hid, sizeof(wrong_hid)), 0);
    assert_int_equal(find(no_resources, sizeof(no_resources)), 0);
    assert_int_equal(find(no_memory, sizeof(no_memory)), 0);
    assert_int_equal(find(device, 0), 0);
}

static void without_an_interrupt_there_is_no_line(void **state)
{
    static const uint8_t none[] = {0x5b, 0x82, 0x2b, 'V',  'R',  '2',  '3',  HID,    0x08, '_',
                                   'C',  'R',  'S',  0x11, 0x11, 0x0a, 0x0e, MEMORY, END};

    (void)state;
    assert_int_equal(find(none, sizeof(none)), 1);
    assert_int_equal(place[0].gsi, MMIO_NO_LINE);
}

/* Cut at every length, and with every byte replaced by every value. */
static void no_byte_code_leads_astray(void **state)
{
    uint8_t aml[sizeof(device)];

    (void)state;
    for (uint32_t length = 0; length < sizeof(device); length++)
        assert_int_equal(find(device, length), 0);
    for (unsigned i = 0; i < sizeof(device); i++) {
        memcpy(aml, device, sizeof(device));
        for (unsigned value = 0; value < 256; value++) {
            aml[i] = (uint8_t)value;
            assert_in_range(find(aml, sizeof(aml)), 0, 1);
        }
    }
}

static void neither_do_random_bytes(void **state)
{
    uint32_t seed = 11;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        uint8_t aml[sizeof(device)];

        memcpy(aml, device, sizeof(device));
        for (unsigned i = 0; i < 4; i++)
            aml[support_random(&seed) % sizeof(aml)] = (uint8_t)support_random(&seed);
        find(aml, sizeof(aml));
    }
}

/* ---- the event device ---- */

static bool find_events(const uint8_t *aml, uint32_t length, struct acpi_event_device *events)
{
    uint8_t *exact = malloc(length ? length : 1);
    bool found;

    assert_non_null(exact);
    memcpy(exact, aml, length);
    memset(events, 0xee, sizeof(*events));
    found = acpi_find_event_device(exact, length, events);
    free(exact);
    assert_int_equal(found, events->address != 0);
    return found;
}

/* Whole, as in the DSDT of QEMU's microvm. */
static const uint8_t event_device[] = {
    0x5b, 0x82, 0x4c, 0x06, 'G',  'E',  'D',  '_',  0x08, '_',  'H',  'I',  'D',  0x0d, 'A',  'C',
    'P',  'I',  '0',  '0',  '1',  '3',  0x00, 0x08, '_',  'U',  'I',  'D',  0x0d, 'G',  'E',  'D',
    0x00, 0x08, '_',  'C',  'R',  'S',  0x11, 0x0e, 0x0a, 0x0b, 0x89, 0x06, 0x00, 0x03, 0x01, 0x09,
    0x00, 0x00, 0x00, 0x79, 0x00, 0x5b, 0x80, 'E',  'R',  'E',  'G',  0x00, 0x0c, 0x00, 0x00, 0xa0,
    0xfe, 0x0a, 0x04, 0x5b, 0x81, 0x0b, 'E',  'R',  'E',  'G',  0x43, 'E',  'S',  'E',  'L',  0x20,
    0x14, 0x1d, '_',  'E',  'V',  'T',  0x09, 0x70, 'E',  'S',  'E',  'L',  0x60, 0xa0, 0x10, 0x93,
    0x7b, 0x60, 0x0a, 0x02, 0x00, 0x0a, 0x02, 0x86, 'P',  'W',  'R',  'B',  0x0a, 0x80,
};

static void the_event_device_is_found(void **state)
{
    struct acpi_event_device events;
    uint8_t aml[400] = {0};

    (void)state;
    assert_true(find_events(event_device, sizeof(event_device), &events));
    assert_int_equal(events.address, 0xfea00000);
    assert_int_equal(events.gsi, 9);
    assert_int_equal(events.power_button, 2);
    assert_false(events.active_low);
    /* Behind other devices, and behind another event device that knows no button. */
    memcpy(aml, device, sizeof(device));
    memcpy(aml + 100, event_device, sizeof(event_device));
    aml[100 + sizeof(event_device) - 1] = 0x81;
    memcpy(aml + 250, event_device, sizeof(event_device));
    aml[250 + 47] = 17;
    assert_true(find_events(aml, sizeof(aml), &events));
    assert_int_equal(events.gsi, 17);
    assert_int_equal(find(aml, sizeof(aml)), 1);
}

static void what_is_no_event_device_is_passed_over(void **state)
{
    static const struct {
        unsigned at;
        uint8_t byte;
    } wrong[] = {{21, '4'},  {46, 0},    {59, 1}, {60, 0x0b}, {61, 2},
                 {66, 0x08}, {99, 0x04}, {99, 0}, {103, 'X'}};
    struct acpi_event_device events;

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t aml[sizeof(event_device)];

        memcpy(aml, event_device, sizeof(aml));
        aml[wrong[i].at] = wrong[i].byte;
        assert_false(find_events(aml, sizeof(aml), &events));
    }
    for (uint32_t length = 0; length < sizeof(event_device); length++)
        assert_false(find_events(event_device, length, &events));
}

static void random_bytes_are_no_event_device(void **state)
{
    struct acpi_event_device events;
    uint32_t seed = 12;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        uint8_t aml[sizeof(event_device)];

        memcpy(aml, event_device, sizeof(aml));
        for (unsigned i = 0; i < 4; i++)
            aml[support_random(&seed) % sizeof(aml)] = (uint8_t)support_random(&seed);
        find_events(aml, sizeof(aml), &events);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_is_found),
        TEST(the_polarity_counts),
        TEST(several_among_other_code),
        TEST(what_is_something_else_is_passed_over),
        TEST(without_an_interrupt_there_is_no_line),
        TEST(no_byte_code_leads_astray),
        TEST(neither_do_random_bytes),
        TEST(the_event_device_is_found),
        TEST(what_is_no_event_device_is_passed_over),
        TEST(random_bytes_are_no_event_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
