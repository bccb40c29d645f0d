// sources: boot/bootinfo.c
/*
 * test_bootinfo.c - what the boot loader hands over (boot/bootinfo.h): multiboot1, multiboot2, PVH,
 * and whatever a broken loader makes of them.
 *
 * Memory is an exactly sized piece of heap, so AddressSanitizer sees every read outside of it. Maps
 * are made at random and compared with a plain page-by-page model of the rules; garbage must be
 * survived.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/bootinfo.h"

#define MEMORY_SIZE 0x120000u
#define INFO_AT 0x9000u
#define MAP_AT 0xa000u
#define TEXT_AT 0xc000u
#define MODULES_AT 0xd000u

static uint8_t *memory;
static struct bootinfo info;
static uint32_t seed;

static uint32_t next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void put32(uint32_t at, uint32_t value)
{
    memcpy(memory + at, &value, 4);
}

static void put64(uint32_t at, uint64_t value)
{
    memcpy(memory + at, &value, 8);
}

static int parse(uint32_t magic, uint64_t address, uint64_t kernel_start, uint64_t kernel_end)
{
    struct bootinfo_memory view = {.base = (uintptr_t)memory, .size = MEMORY_SIZE};

    return bootinfo_parse(&info, &view, magic, address,
                          (struct bootinfo_range){kernel_start, kernel_end});
}

static int setup(void **state)
{
    (void)state;
    memory = calloc(1, MEMORY_SIZE);
    return memory ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* ---- the three protocols ---- */

struct entry {
    uint64_t start, length;
    uint32_t type;
};
struct module {
    uint64_t start, end;
};
#define MAX_ENTRIES 40
static struct entry entries[MAX_ENTRIES];
static struct module modules[4];
static unsigned entry_count, module_count;

static uint32_t put_multiboot1(void)
{
    uint32_t at = MAP_AT;

    for (unsigned i = 0; i < entry_count; i++) {
        uint32_t size = 20 + (i % 3) * 4; /* entries may be longer than their three fields */
        put32(at, size);
        put64(at + 4, entries[i].start);
        put64(at + 12, entries[i].length);
        put32(at + 20, entries[i].type);
        at += 4 + size;
    }
    for (unsigned i = 0; i < module_count; i++) {
        put32(MODULES_AT + 16 * i, (uint32_t)modules[i].start);
        put32(MODULES_AT + 16 * i + 4, (uint32_t)modules[i].end);
    }
    strcpy((char *)memory + TEXT_AT, "kernel words");
    strcpy((char *)memory + TEXT_AT + 100, "a loader");
    put32(INFO_AT, 0x001 | 0x004 | 0x008 | 0x040 | 0x200);
    put32(INFO_AT + 4, 640);
    put32(INFO_AT + 8, 1024);
    put32(INFO_AT + 16, TEXT_AT);
    put32(INFO_AT + 20, module_count);
    put32(INFO_AT + 24, MODULES_AT);
    put32(INFO_AT + 44, at - MAP_AT);
    put32(INFO_AT + 48, MAP_AT);
    put32(INFO_AT + 64, TEXT_AT + 100);
    return BOOTINFO_MAGIC_MULTIBOOT1;
}

static uint32_t tag(uint32_t at, uint32_t type, uint32_t size)
{
    put32(at, type);
    put32(at + 4, size);
    return at + ((size + 7) & ~7u);
}

static uint32_t put_multiboot2(void)
{
    uint32_t at = INFO_AT + 8;

    /* Modules before the map: the order of tags means nothing. */
    for (unsigned i = 0; i < module_count; i++) {
        put32(at + 8, (uint32_t)modules[i].start);
        put32(at + 12, (uint32_t)modules[i].end);
        at = tag(at, 3, 17);
    }
    strcpy((char *)memory + at + 8, "kernel words");
    at = tag(at, 1, 8 + 13);
    strcpy((char *)memory + at + 8, "a loader");
    at = tag(at, 2, 8 + 9);
    at = tag(at, 77, 12); /* unknown */
    put32(at + 8, 24);
    for (unsigned i = 0; i < entry_count; i++) {
        put64(at + 16 + 24 * i, entries[i].start);
        put64(at + 16 + 24 * i + 8, entries[i].length);
        put32(at + 16 + 24 * i + 16, entries[i].type);
    }
    at = tag(at, 6, 16 + 24 * entry_count);
    at = tag(at, 0, 8);
    put32(INFO_AT, at - INFO_AT);
    return BOOTINFO_MAGIC_MULTIBOOT2;
}

static uint32_t put_pvh(void)
{
    put32(INFO_AT, BOOTINFO_MAGIC_PVH);
    put32(INFO_AT + 4, 1);
    put32(INFO_AT + 12, module_count);
    put64(INFO_AT + 16, MODULES_AT);
    put64(INFO_AT + 24, TEXT_AT);
    put64(INFO_AT + 32, 0xf1230);
    put64(INFO_AT + 40, MAP_AT);
    put32(INFO_AT + 48, entry_count);
    strcpy((char *)memory + TEXT_AT, "kernel words");
    for (unsigned i = 0; i < entry_count; i++) {
        put64(MAP_AT + 24 * i, entries[i].start);
        put64(MAP_AT + 24 * i + 8, entries[i].length);
        put32(MAP_AT + 24 * i + 16, entries[i].type);
    }
    for (unsigned i = 0; i < module_count; i++) {
        put64(MODULES_AT + 32 * i, modules[i].start);
        put64(MODULES_AT + 32 * i + 8, modules[i].end - modules[i].start);
    }
    return BOOTINFO_MAGIC_PVH;
}

static uint32_t (*const protocols[])(void) = {put_multiboot1, put_multiboot2, put_pvh};

static void an_ordinary_machine(void **state)
{
    static const char *const names[] = {"multiboot1", "multiboot2", "PVH"};

    (void)state;
    for (unsigned p = 0; p < 3; p++) {
        memset(memory, 0, MEMORY_SIZE);
        entries[0] = (struct entry){0, 0x9fc00, 1};
        entries[1] = (struct entry){0x9fc00, 0x400, 2};
        entries[2] = (struct entry){0xf0000, 0x10000, 2};
        entries[3] = (struct entry){0x100000, 0x7ee0000, 1};
        entries[4] = (struct entry){0x100000000, 0x40000000, 1};
        entry_count = 5;
        modules[0] = (struct module){0x400000, 0x400801};
        module_count = 1;
        assert_int_equal(parse(protocols[p](), INFO_AT, 0x100000, 0x234567), 0);
        assert_string_equal(info.protocol, names[p]);
        assert_string_equal(info.cmdline, "kernel words");
        assert_false(info.cmdline_truncated);
        assert_string_equal(info.loader, p < 2 ? "a loader" : "");
        assert_int_equal(info.ram_count, 4);
        assert_int_equal(info.ram[0].start, 0x1000);
        assert_int_equal(info.ram[0].end, 0x9f000);
        assert_int_equal(info.ram[1].start, 0x235000);
        assert_int_equal(info.ram[1].end, 0x400000);
        assert_int_equal(info.ram[2].start, 0x401000);
        assert_int_equal(info.ram[2].end, 0x7fe0000);
        assert_int_equal(info.ram[3].start, 0x100000000);
        assert_int_equal(info.rsdp_address, p == 2 ? 0xf1230 : 0);
    }
}

/* ---- random maps against a model ---- */

#define MODEL_PAGES 512u

static bool page_is_free(uint64_t page, uint64_t kernel_start, uint64_t kernel_end)
{
    uint64_t start = page * BOOTINFO_PAGE, end = start + BOOTINFO_PAGE;
    bool ram = false;

    if (page == 0 || (kernel_start < end && kernel_end > start))
        return false;
    for (unsigned i = 0; i < module_count; i++)
        if (modules[i].start < end && modules[i].end > start)
            return false;
    for (unsigned i = 0; i < entry_count; i++) {
        uint64_t from = entries[i].start, to = from + entries[i].length;
        if (entries[i].type == 1)
            ram |= from <= start && to >= end;
        else if (from < end && to > start && from < to)
            return false;
    }
    return ram;
}

static void maps_are_cleaned_up(void **state)
{
    (void)state;
    seed = 1;
    for (unsigned round = 0; round < 3000; round++) {
        memset(memory, 0, MEMORY_SIZE);
        entry_count = next_random() % (MAX_ENTRIES - 1) + 1;
        for (unsigned i = 0; i < entry_count; i++) {
            uint64_t unit = next_random() % 2 ? BOOTINFO_PAGE : 512;
            entries[i].start = next_random() % (MODEL_PAGES * BOOTINFO_PAGE / unit) * unit;
            entries[i].length =
                next_random() % (MODEL_PAGES * BOOTINFO_PAGE - entries[i].start) / unit * unit;
            if (next_random() % 2)
                entries[i].length %= 32 * BOOTINFO_PAGE;
            entries[i].type = next_random() % 3 ? 1 : next_random() % 6;
        }
        module_count = next_random() % 5;
        for (unsigned i = 0; i < module_count; i++) {
            modules[i].start = next_random() % (MODEL_PAGES * BOOTINFO_PAGE) + 1;
            modules[i].end = modules[i].start + next_random() % 20000 + 1;
        }
        uint64_t kernel = next_random() % (MODEL_PAGES * BOOTINFO_PAGE),
                 kernel_end = kernel + next_random() % 100000 + 1;
        int result = parse(protocols[round % 3](), INFO_AT, kernel, kernel_end);
        assert_int_equal(result, info.ram_count ? 0 : -ENOENT);
        assert_int_equal(info.dropped, 0);
        for (unsigned i = 0; i < info.ram_count; i++) {
            assert_true(info.ram[i].start < info.ram[i].end);
            assert_true(i == 0 || info.ram[i].start > info.ram[i - 1].end ||
                        info.ram[i].start == info.ram[i - 1].end);
        }
        for (uint64_t page = 0; page < MODEL_PAGES + 64; page++) {
            bool found = false;
            for (unsigned i = 0; i < info.ram_count; i++)
                found |= info.ram[i].start <= page * BOOTINFO_PAGE &&
                         info.ram[i].end >= (page + 1) * BOOTINFO_PAGE;
            if (found != page_is_free(page, kernel, kernel_end))
                fail_msg("round %u: page %llu is %sfree", round, (unsigned long long)page,
                         found ? "" : "not ");
        }
    }
}

static void assert_disjoint(void)
{
    for (unsigned i = 0; i < info.ram_count; i++) {
        assert_true(info.ram[i].start < info.ram[i].end);
        assert_int_equal(info.ram[i].start % BOOTINFO_PAGE, 0);
        assert_int_equal(info.ram[i].end % BOOTINFO_PAGE, 0);
        assert_true(i == 0 || info.ram[i].start >= info.ram[i - 1].end);
    }
}

/* A module that ends before it starts must not make one page belong to two ranges. */
static void modules_that_make_no_sense(void **state)
{
    (void)state;
    for (unsigned p = 0; p < 3; p++) {
        memset(memory, 0, MEMORY_SIZE);
        entries[0] = (struct entry){0x100000, 0x1000000, 1};
        entry_count = 1;
        modules[0] = (struct module){0x300000, 0x200000};
        modules[1] = (struct module){0x500000, 0x500000};
        modules[2] = (struct module){0xffffffff, 0};
        module_count = 3;
        parse(protocols[p](), INFO_AT, 0x100000, 0x180000);
        assert_disjoint();
    }
}

static void addresses_at_the_end_of_the_world(void **state)
{
    static const struct entry ends[] = {{0xfffffffffffff000, 0x1000, 1},
                                        {0xfffffffffffffff0, 0x10, 2},
                                        {0xffffffffffffffff, 0xffffffffffffffff, 1},
                                        {0x100000, 0xffffffffffffffff, 1},
                                        {0x200000, 0xffffffffffffffff, 2},
                                        {0, 0, 1},
                                        {0x8000000000000000, 0x8000000000000000, 1}};

    (void)state;
    module_count = 0;
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
            for (unsigned j = 0; j < sizeof(ends) / sizeof(ends[0]); j++) {
                memset(memory, 0, MEMORY_SIZE);
                entries[0] = ends[i];
                entries[1] = ends[j];
                entry_count = 2;
                parse(protocols[p](), INFO_AT, 0x100000, 0x180000);
                assert_disjoint();
            }
}

static void more_ranges_than_there_is_room_for(void **state)
{
    uint32_t at = INFO_AT + 8;

    (void)state;
    /*
     * 400 single pages of RAM, each apart from the next: the table takes what it can, sorted, and
     * counts the rest.
     */
    put32(at + 8, 24);
    for (unsigned i = 0; i < 400; i++) {
        put64(at + 16 + 24 * i, (uint64_t)(800 - 2 * i) * BOOTINFO_PAGE);
        put64(at + 16 + 24 * i + 8, BOOTINFO_PAGE);
        put32(at + 16 + 24 * i + 16, 1);
    }
    at = tag(at, 6, 16 + 24 * 400);
    at = tag(at, 0, 8);
    put32(INFO_AT, at - INFO_AT);
    assert_int_equal(parse(BOOTINFO_MAGIC_MULTIBOOT2, INFO_AT, 0, 1), 0);
    assert_int_equal(info.ram_count, BOOTINFO_RANGES);
    assert_int_equal(info.dropped, 400 - BOOTINFO_RANGES);
    assert_disjoint();
}

/* ---- texts and tables ---- */

static void long_command_lines_are_cut(void **state)
{
    (void)state;
    entry_count = 1;
    entries[0] = (struct entry){0x100000, 0x1000000, 1};
    module_count = 0;
    put_multiboot1();
    memset(memory + TEXT_AT, 'x', BOOTINFO_CMDLINE_SIZE - 1);
    memory[TEXT_AT + BOOTINFO_CMDLINE_SIZE - 1] = '\0';
    parse(BOOTINFO_MAGIC_MULTIBOOT1, INFO_AT, 0, 1);
    assert_int_equal(strlen(info.cmdline), BOOTINFO_CMDLINE_SIZE - 1);
    assert_false(info.cmdline_truncated);
    memset(memory + TEXT_AT, 'x', BOOTINFO_CMDLINE_SIZE);
    parse(BOOTINFO_MAGIC_MULTIBOOT1, INFO_AT, 0, 1);
    assert_int_equal(strlen(info.cmdline), BOOTINFO_CMDLINE_SIZE - 1);
    assert_true(info.cmdline_truncated);
    /* At the end of memory, without a NUL. */
    put32(INFO_AT + 16, MEMORY_SIZE - 3);
    memset(memory + MEMORY_SIZE - 3, 'y', 3);
    parse(BOOTINFO_MAGIC_MULTIBOOT1, INFO_AT, 0, 1);
    assert_string_equal(info.cmdline, "yyy");
}

static void put_rsdp(uint32_t at, bool good)
{
    uint8_t sum = 0;

    memcpy(memory + at, "RSD PTR ", 8);
    memory[at + 8] = 0;
    for (unsigned i = 0; i < 20; i++)
        sum = (uint8_t)(sum + memory[at + i]);
    memory[at + 8] = (uint8_t)(-sum + !good);
}

static void the_rsdp_is_found(void **state)
{
    uint32_t at = INFO_AT + 8;

    (void)state;
    entry_count = 1;
    entries[0] = (struct entry){0x100000, 0x1000000, 1};
    module_count = 0;
    put_rsdp(0xe1230, false);
    put_rsdp(0xf5678 & ~15u, true);
    put_rsdp(0xf8008, true); /* not on a border of 16 */
    parse(put_multiboot1(), INFO_AT, 0, 1);
    assert_int_equal(info.rsdp_address, 0xf5670);
    memory[0x40e] = 0x00;
    memory[0x40f] = 0x9f;
    put_rsdp(0x9f010, true);
    parse(put_multiboot1(), INFO_AT, 0, 1);
    assert_int_equal(info.rsdp_address, 0x9f010);
    /* The loader's copy goes before everything, the longer one first. */
    memset(memory + at + 8, 2, 36);
    at = tag(at, 15, 8 + 36);
    memset(memory + at + 8, 1, 20);
    at = tag(at, 14, 8 + 20);
    at = tag(at, 0, 8);
    put32(INFO_AT, at - INFO_AT);
    parse(BOOTINFO_MAGIC_MULTIBOOT2, INFO_AT, 0, 1);
    assert_int_equal(info.rsdp_copy_length, 36);
    assert_int_equal(info.rsdp_copy[35], 2);
}

/* ---- garbage ---- */

static void unreadable_information_is_an_error(void **state)
{
    static const uint64_t bad[] = {0, MEMORY_SIZE, MEMORY_SIZE - 7, UINT64_MAX, 0xffffffff};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(BOOTINFO_MAGIC_MULTIBOOT1, bad[i], 0, 1), -EINVAL);
        assert_int_equal(parse(BOOTINFO_MAGIC_MULTIBOOT2, bad[i], 0, 1), -EINVAL);
        assert_int_equal(parse(BOOTINFO_MAGIC_PVH, bad[i], 0, 1), -EINVAL);
    }
    assert_int_equal(parse(0, INFO_AT, 0, 1), -EINVAL);
    assert_int_equal(parse(BOOTINFO_MAGIC_PVH, INFO_AT, 0, 1), -EINVAL);
    assert_int_equal(parse(BOOTINFO_MAGIC_MULTIBOOT1, INFO_AT, 0, 1), -ENOENT);
}

/*
 * Sound information with a few bytes overwritten, at random: no crash, no hang, ranges still
 * disjoint.
 */
static void damaged_information_is_survived(void **state)
{
    (void)state;
    seed = 99;
    for (unsigned round = 0; round < 20000; round++) {
        entry_count = next_random() % 8;
        for (unsigned i = 0; i < entry_count; i++)
            entries[i] = (struct entry){next_random() * (uint64_t)4096,
                                        next_random() * (uint64_t)16, next_random() % 3};
        module_count = next_random() % 3;
        for (unsigned i = 0; i < module_count; i++)
            modules[i] = (struct module){next_random(), next_random()};
        memset(memory + INFO_AT, 0, TEXT_AT - INFO_AT);
        uint32_t magic = protocols[round % 3]();
        for (unsigned n = next_random() % 8; n; n--) {
            uint32_t at = (next_random() % 2 ? INFO_AT : MAP_AT) + next_random() % 128;
            memory[at] = next_random() % 2 ? 0xff : (uint8_t)next_random();
        }
        parse(magic, INFO_AT, 0x100000, 0x200000);
        assert_disjoint();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_ordinary_machine, setup, teardown),
        cmocka_unit_test_setup_teardown(maps_are_cleaned_up, setup, teardown),
        cmocka_unit_test_setup_teardown(modules_that_make_no_sense, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_at_the_end_of_the_world, setup, teardown),
        cmocka_unit_test_setup_teardown(more_ranges_than_there_is_room_for, setup, teardown),
        cmocka_unit_test_setup_teardown(long_command_lines_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rsdp_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable_information_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_information_is_survived, setup, teardown),
    };

    return cmocka_run_group_tests_name("bootinfo", tests, NULL, NULL);
}
