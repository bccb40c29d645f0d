// sources: boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: hosted/fake_pci.c hosted/device.c hosted/device_setup.c
/*
 * test_model_registers.c - the model device's checks of what is written to its registers: each rule
 * is broken once, by hand, and must be reported. Read test_model.c first.
 */
#include "support.h"

#include "hosted/device.h"

#define SIZE 8u

/* What the queues' addresses lead to. */
static struct {
    struct wire_desc desc[SIZE];
    uint16_t avail[2 + SIZE + 1];
    uint32_t used[1 + 2 * SIZE + 1];
} * rings;
static dma_addr_t address;

static const struct device_field fields[] = {{0, 2, 2, DEVICE_NO_FEATURE}, {4, 4, 1, 7}};
static const struct device_type type = {.name = "model", .id = 60, .field = fields, .fields = 2};
static struct device device;
static volatile uint8_t *bar;

static void write8(unsigned offset, uint8_t value)
{
    mmio_write8(bar + offset, value);
}

static void write16(unsigned offset, uint16_t value)
{
    mmio_write16(bar + offset, value);
}

static void write32(unsigned offset, uint32_t value)
{
    mmio_write32(bar + offset, value);
}

/* The steps of 3.1.1 up to a status; every test goes wrong behind one of them. */
static void go_to(uint8_t status)
{
    write8(CC_DEVICE_STATUS, 0);
    assert_int_equal(mmio_read8(bar + CC_DEVICE_STATUS), 0);
    if (status & ST_ACKNOWLEDGE)
        write8(CC_DEVICE_STATUS, ST_ACKNOWLEDGE);
    if (!(status & ST_DRIVER))
        return;
    write8(CC_DEVICE_STATUS, ST_ACKNOWLEDGE | ST_DRIVER);
    if (!(status & ST_FEATURES_OK))
        return;
    for (uint32_t i = 0; i < 2; i++) {
        write32(CC_DEVICE_FEATURE_SELECT, i);
        uint32_t offered = mmio_read32(bar + CC_DEVICE_FEATURE);
        write32(CC_DRIVER_FEATURE_SELECT, i);
        write32(CC_DRIVER_FEATURE, offered);
    }
    write8(CC_DEVICE_STATUS, ST_ACKNOWLEDGE | ST_DRIVER | ST_FEATURES_OK);
}

static void write_address(unsigned offset, const void *part)
{
    dma_addr_t value = address + (dma_addr_t)((const uint8_t *)part - (const uint8_t *)rings);

    write32(offset, (uint32_t)value);
    write32(offset + 4, (uint32_t)(value >> 32));
}

static void set_addresses(void)
{
    write_address(CC_QUEUE_DESC, rings->desc);
    write_address(CC_QUEUE_DRIVER, rings->avail);
    write_address(CC_QUEUE_DEVICE, rings->used);
}

static void open_device(void)
{
    static const uint8_t config[8];

    rings = platform_dma_alloc(sizeof(*rings), 64);
    address = platform_dma_map(rings, sizeof(*rings), DMA_BIDIRECTIONAL);
    fake_pci_reset();
    device_init(&device, &(struct device_setup){.type = &type,
                                                .features = 1,
                                                .queues = 2,
                                                .queue_size = SIZE,
                                                .msix_vectors = 2,
                                                .config = config,
                                                .config_length = sizeof(config)});
    pci_command(&device.pci->fn, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
    bar = pci_map_bar(&device.pci->fn, DEVICE_BAR, 0, DEVICE_BAR_SIZE);
}

static void close_device(void)
{
    device_finish(&device);
    fake_pci_reset();
    platform_dma_unmap(address, sizeof(*rings), DMA_BIDIRECTIONAL);
    platform_dma_free(rings, sizeof(*rings));
}

static void wrong_status_steps_are_reported(void **state)
{
    static const struct {
        uint8_t after, write;
        const char *id;
    } steps[] = {
        {0, ST_DRIVER, "INIT-2"},
        {0, ST_ACKNOWLEDGE | ST_DRIVER, NULL}, /* two things wrong: checked below */
        {ST_ACKNOWLEDGE, ST_ACKNOWLEDGE | ST_DRIVER_OK, "INIT-10"},
        {3, ST_DRIVER, "CORE-STATUS-2"},
        {3, 3 | ST_DRIVER_OK, "INIT-10"},
        {3 | ST_FEATURES_OK, 3 | ST_DRIVER_OK, "CORE-STATUS-2"},
        {3, 3 | ST_FEATURES_OK, NULL},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        open_device();
        go_to(steps[i].after);
        assert_int_equal(violation_count(NULL), 0);
        write8(CC_DEVICE_STATUS, steps[i].write);
        assert_true(violation_count(steps[i].id) > 0);
        violation_reset();
        close_device();
    }
    open_device();
    write8(CC_DEVICE_STATUS, 0);
    write8(CC_DEVICE_STATUS, ST_ACKNOWLEDGE);
    expect_violation("PCI-COMMON-5");
    go_to(3);
    write8(CC_DEVICE_STATUS, 3 | ST_FAILED);
    assert_int_equal(violation_count(NULL), 0);
    write8(CC_DEVICE_STATUS, 3 | ST_FAILED | ST_DRIVER_OK);
    assert_true(violation_count("CORE-STATUS-3") > 0);
    violation_reset();
    close_device();
}

static void wrong_features_are_reported(void **state)
{
    (void)state;
    open_device();
    go_to(ST_ACKNOWLEDGE);
    mmio_read32(bar + CC_DEVICE_FEATURE);
    expect_violation("INIT-3");
    write32(CC_DRIVER_FEATURE, 1);
    expect_violation("INIT-3");
    go_to(3);
    mmio_read32(bar + CC_DEVICE_FEATURE);
    write32(CC_DRIVER_FEATURE, 2);
    write32(CC_DRIVER_FEATURE_SELECT, 1);
    write32(CC_DRIVER_FEATURE, 1);
    assert_int_equal(violation_count(NULL), 0);
    write8(CC_DEVICE_STATUS, 3 | ST_FEATURES_OK);
    expect_violation("CORE-FEAT-1");
    go_to(3);
    mmio_read32(bar + CC_DEVICE_FEATURE);
    write8(CC_DEVICE_STATUS, 3 | ST_FEATURES_OK);
    expect_violation("RSVF-1");
    go_to(3 | ST_FEATURES_OK);
    write32(CC_DRIVER_FEATURE, 1);
    expect_violation("INIT-7");
    close_device();
}

static void wrong_accesses_are_reported(void **state)
{
    (void)state;
    open_device();
    go_to(3 | ST_FEATURES_OK);
    mmio_read32(bar + CC_DEVICE_STATUS);
    expect_violation("PCI-ACCESS-1");
    mmio_read8(bar + CC_QUEUE_SIZE);
    expect_violation("PCI-ACCESS-1");
    mmio_read64(bar + CC_QUEUE_DESC);
    expect_violation("PCI-ACCESS-2");
    write16(CC_NUM_QUEUES, 1);
    expect_violation("PCI-COMMON-1");
    mmio_read8(bar + CC_LENGTH);
    expect_violation("PCI-CAP-5");
    mmio_read8(bar + DEVICE_ISR_AT + 4);
    expect_violation("PCI-CAP-5");
    mmio_read8(bar + DEVICE_CONFIG_AT);
    expect_violation("PCI-ACCESS-1");
    mmio_read32(bar + DEVICE_CONFIG_AT + 4);
    expect_violation("CORE-CFG-4");
    pci_write8(&device.pci->fn, 0x48, 0);
    expect_violation("PCI-CAP-8");
    pci_msix_enable(&device.pci->fn);
    mmio_read8(bar + DEVICE_ISR_AT);
    expect_violation("PCI-ISR-1");
    write16(CC_CONFIG_MSIX_VECTOR, 2);
    expect_violation("PCI-MSIX-3");
    go_to(3);
    write16(DEVICE_CONFIG_AT, 1);
    expect_violation("INIT-5");
    close_device();
}

static void wrong_queue_set_up_is_reported(void **state)
{
    (void)state;
    open_device();
    go_to(3);
    write16(CC_QUEUE_SIZE, SIZE);
    expect_violation("INIT-9");
    go_to(3 | ST_FEATURES_OK);
    write16(CC_QUEUE_SIZE, 6);
    expect_violation("PCI-COMMON-3");
    write16(CC_QUEUE_SIZE, 2 * SIZE);
    expect_violation("PCI-COMMON-3");
    write16(CC_QUEUE_SIZE, SIZE);
    write16(CC_QUEUE_ENABLE, 1);
    assert_true(violation_count("PCI-COMMON-4") > 0);
    violation_reset();
    go_to(3 | ST_FEATURES_OK);
    set_addresses();
    write16(CC_QUEUE_ENABLE, 0);
    assert_true(violation_count("PCI-COMMON-6") > 0);
    violation_reset();
    write32(CC_QUEUE_DESC, 0);
    expect_violation("PCI-COMMON-4");
    go_to(3 | ST_FEATURES_OK);
    write16(CC_QUEUE_SELECT, 2);
    write16(CC_QUEUE_SIZE, SIZE);
    expect_violation("PCI-T-QSIZE-1");
    go_to(3 | ST_FEATURES_OK);
    pci_msix_enable(&device.pci->fn);
    set_addresses();
    write16(CC_QUEUE_MSIX_VECTOR, 1);
    write16(CC_QUEUE_ENABLE, 1);
    expect_violation("PCI-MSIX-4");
    close_device();
}

static void wrong_notifications_are_reported(void **state)
{
    (void)state;
    open_device();
    go_to(3 | ST_FEATURES_OK);
    set_addresses();
    write16(CC_QUEUE_ENABLE, 1);
    write16(DEVICE_NOTIFY_AT, 0);
    expect_violation("INIT-13");
    write8(CC_DEVICE_STATUS, 3 | ST_FEATURES_OK | ST_DRIVER_OK);
    write16(DEVICE_NOTIFY_AT, 0);
    assert_int_equal(violation_count(NULL), 0);
    write32(DEVICE_NOTIFY_AT, 0);
    expect_violation("PCI-NOTIFY-1");
    write16(DEVICE_NOTIFY_AT + 4, 0);
    expect_violation("PCI-NOTIFY-3");
    write16(DEVICE_NOTIFY_AT, 1);
    expect_violation("PCI-NOTIFY-3");
    write16(CC_QUEUE_SIZE, SIZE);
    assert_true(violation_count("INIT-9") > 0);
    violation_reset();
    close_device();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_status_steps_are_reported),  TEST(wrong_features_are_reported),
        TEST(wrong_accesses_are_reported),      TEST(wrong_queue_set_up_is_reported),
        TEST(wrong_notifications_are_reported),
    };

    return cmocka_run_group_tests_name("model registers", tests, NULL, NULL);
}
