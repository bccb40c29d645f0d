// sources: arch/x86_64/pci_roots.c boot/log.c boot/format.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/violation.c
/*
 * test_pci_roots.c - the search for root buses beyond bus 0 (arch/x86_64/pci_roots.c), and how many
 * registers it reads for that.
 *
 * Configuration space is a table of which device is on which bus; enumeration's part is done here.
 */
#include "support.h"

#include "arch/x86_64/pci_impl.h"

#define NOTHING UINT32_MAX

/* Device 0 of each bus: 0 nothing, 1 an endpoint, else a bridge to the buses from this one on. */
static uint8_t device_0[256], bridge_last[256];
static struct pci_function on_bus_0[2];
static unsigned reads;

static bool is_there(const struct pci_function *fn)
{
    return fn->device == 0 && device_0[fn->bus] != 0;
}

uint32_t pci_read32(const struct pci_function *fn, unsigned offset)
{
    reads++;
    assert_int_equal(offset, PCI_VENDOR_ID);
    return is_there(fn) ? 0x000c1b36 : NOTHING;
}

void pci_buses_behind(const struct pci_function *fn, unsigned *last)
{
    if (is_there(fn) && device_0[fn->bus] > 1 && bridge_last[fn->bus] > *last)
        *last = bridge_last[fn->bus];
}

unsigned pci_function_count(void)
{
    return 2;
}

struct pci_function *pci_function_at(unsigned index)
{
    return &on_bus_0[index];
}

static void start(bool expander)
{
    memset(device_0, 0, sizeof(device_0));
    memset(bridge_last, 0, sizeof(bridge_last));
    memset(on_bus_0, 0, sizeof(on_bus_0));
    on_bus_0[0].class_code = PCI_CLASS_HOST_BRIDGE << 8;
    on_bus_0[1].device = 2;
    on_bus_0[1].class_code = (expander ? PCI_CLASS_HOST_BRIDGE : PCI_CLASS_PCI_BRIDGE) << 8;
    reads = 0;
}

static void without_an_expander_nothing_is_read(void **state)
{
    unsigned bus, last;

    (void)state;
    start(false);
    device_0[0x40] = 1;
    pci_find_roots(255);
    assert_int_equal(reads, 0);
    assert_int_equal(pci_last_behind_bus_0(), 255);
    assert_false(pci_root_bus(0, &bus, &last));
}

static void every_bus_is_asked_once(void **state)
{
    unsigned bus, last;

    (void)state;
    start(true);
    device_0[0x40] = device_0[0x80] = 1;
    pci_find_roots(255);
    assert_int_equal(reads, 255 * 32);
    assert_int_equal(pci_last_behind_bus_0(), 0x3f);
    assert_true(pci_root_bus(0, &bus, &last));
    assert_int_equal(bus, 0x40);
    assert_int_equal(last, 0x7f);
    assert_true(pci_root_bus(1, &bus, &last));
    assert_int_equal(bus, 0x80);
    assert_int_equal(last, 255);
    assert_false(pci_root_bus(2, &bus, &last));
    /* And no more than there are numbers for. */
    start(true);
    device_0[0x40] = 1;
    pci_find_roots(63);
    assert_int_equal(reads, 63 * 32);
    assert_false(pci_root_bus(0, &bus, &last));
}

/* What firmware has numbered behind bridges is no root. */
static void numbered_buses_are_passed_over(void **state)
{
    unsigned bus, last;

    (void)state;
    start(true);
    device_0[0] = 2;
    bridge_last[0] = 5;
    for (unsigned behind = 1; behind <= 5; behind++)
        device_0[behind] = 1;
    device_0[0x40] = 0x41;
    bridge_last[0x40] = 0x44;
    device_0[0x41] = device_0[0x44] = 1;
    device_0[0x45] = 1;
    pci_find_roots(255);
    assert_int_equal(reads, (255 - 5 - 4) * 32);
    assert_true(pci_root_bus(0, &bus, &last));
    assert_int_equal(bus, 0x40);
    assert_int_equal(last, 0x44);
    assert_true(pci_root_bus(1, &bus, &last));
    assert_int_equal(bus, 0x45);
    assert_false(pci_root_bus(2, &bus, &last));
}

/* Every bus answers: so many are taken as there is room for, and it is said. */
static void too_many_roots_are_said(void **state)
{
    unsigned bus, last, count = 0;

    (void)state;
    start(true);
    memset(device_0, 1, sizeof(device_0));
    pci_find_roots(255);
    while (pci_root_bus(count, &bus, &last))
        assert_int_equal(bus, ++count);
    assert_in_range(count, 2, 64);
    assert_int_equal(last, 255);
    expect_log("more than 17 root buses", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_an_expander_nothing_is_read),
        TEST(every_bus_is_asked_once),
        TEST(numbered_buses_are_passed_over),
        TEST(too_many_roots_are_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
