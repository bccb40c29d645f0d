// sources: boot/pci_caps.c hosted/fake_pci.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/violation.c
/*
 * test_pci.c - the walk through a PCI capability list (boot/pci_caps.c) over lists of every shape.
 *
 * The walk must end on every list, find what a sound part of it holds, and never follow a link into
 * the header.
 */
#include "support.h"

#include "hosted/fake_pci.h"

static struct fake_function *f;

static void make_list(void)
{
    fake_pci_reset();
    f = fake_pci_add(0x1234, 0x5678);
}

static void capabilities_are_found_in_order(void **state)
{
    static const uint8_t ids[] = {1, 9, 5, 9, 17, 9};
    unsigned at[6], found = 0;

    (void)state;
    make_list();
    assert_int_equal(pci_find_capability(&f->fn, 9, 0), 0);
    for (unsigned i = 0; i < 6; i++)
        at[i] = fake_pci_add_capability(f, ids[i], "12345678", 8);
    for (unsigned i = 0; i < 6; i++)
        if (ids[i] == 9) {
            found = pci_find_capability(&f->fn, 9, found);
            assert_int_equal(found, at[i]);
        }
    assert_int_equal(pci_find_capability(&f->fn, 9, found), 0);
    assert_int_equal(pci_find_capability(&f->fn, 17, 0), at[4]);
    assert_int_equal(pci_find_capability(&f->fn, 17, at[4]), 0);
    assert_int_equal(pci_find_capability(&f->fn, 3, 0), 0);
    /* The two low bits of a link are reserved. */
    f->config[PCI_CAPABILITY_LIST] |= 3;
    f->config[at[0] + 1] |= 2;
    assert_int_equal(pci_find_capability(&f->fn, 9, 0), at[1]);
    f->config[PCI_STATUS] = 0;
    assert_int_equal(pci_find_capability(&f->fn, 9, 0), 0);
}

static void links_out_of_range_end_the_list(void **state)
{
    (void)state;
    for (unsigned link = 0; link < 0x40; link++) {
        make_list();
        memset(f->config, 9, 0x40); /* a header that looks like capabilities */
        unsigned at = fake_pci_add_capability(f, 1, "", 0);
        f->config[at + 1] = (uint8_t)link;
        assert_int_equal(pci_find_capability(&f->fn, 9, 0), 0);
        f->config[PCI_CAPABILITY_LIST] = (uint8_t)link;
        assert_int_equal(pci_find_capability(&f->fn, 9, 0), 0);
    }
}

/*
 * Configuration space of random bytes: the walk over all matches ends, and each is in range and
 * found once.
 */
static void every_list_ends(void **state)
{
    uint32_t seed = 11;

    (void)state;
    make_list();
    for (unsigned round = 0; round < 20000; round++) {
        for (unsigned i = 0; i < FAKE_PCI_CONFIG_SIZE; i++)
            f->config[i] = (uint8_t)support_random(&seed);
        for (unsigned i = 0x40; i < 0x100; i += 4)
            f->config[i] %= 4; /* few ids, so that many match */
        f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
        for (unsigned id = 0; id < 4; id++) {
            bool seen[256] = {false};
            unsigned at = 0, count = 0;
            while ((at = pci_find_capability(&f->fn, (uint8_t)id, at))) {
                assert_in_range(at, 0x40, 0xfc);
                assert_false(seen[at]);
                seen[at] = true;
                assert_int_equal(f->config[at], id);
                assert_true(++count <= 48);
            }
        }
    }
    fake_pci_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(capabilities_are_found_in_order),
        TEST(links_out_of_range_end_the_list),
        TEST(every_list_ends),
    };

    return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
