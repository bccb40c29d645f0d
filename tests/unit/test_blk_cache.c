// sources: blk/cache.c
/*
 * test_blk_cache.c - the write-through cache (blk/cache.h) against a plain array: whatever is read
 * through it must be what the device holds, in any order of reads and writes, with bad sectors and
 * at the end of the device.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blk/cache.h"
#include "platform.h"

#define SECTORS 1003u /* no whole number of lines */
#define MAX_COUNT 40u

static uint8_t disk[SECTORS][BLK_SECTOR_SIZE];
static struct blk_device device = {.name = "vda", .block_size = 512, .capacity = SECTORS};
static unsigned reads, writes;
static uint64_t bad_sector; /* cannot be read */
static bool write_fails;
static int allocations, fail_allocation;

void *platform_dma_alloc(size_t size, size_t align)
{
    if (fail_allocation && --fail_allocation == 0)
        return NULL;
    void *memory = aligned_alloc(align, (size + align - 1) / align * align);
    allocations++;
    return memset(memory, 0, size);
}

void platform_dma_free(void *memory, size_t size)
{
    (void)size;
    allocations--;
    free(memory);
}

int blk_read(struct blk_device *from, uint64_t sector, void *data, uint32_t count)
{
    assert_ptr_equal(from, &device);
    assert_true(count > 0 && sector + count <= from->capacity);
    reads++;
    if (bad_sector >= sector && bad_sector < sector + count)
        return -EIO;
    memcpy(data, disk[sector], (size_t)count * BLK_SECTOR_SIZE);
    return 0;
}

int blk_write(struct blk_device *to, uint64_t sector, const void *data, uint32_t count)
{
    assert_ptr_equal(to, &device);
    assert_true(sector + count <= to->capacity);
    writes++;
    /* Half of it arrives: nobody knows how much. */
    memcpy(disk[sector], data, (size_t)(write_fails ? count / 2 : count) * BLK_SECTOR_SIZE);
    return write_fails ? -EIO : 0;
}

static int reset(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(disk); i++)
        disk[i / BLK_SECTOR_SIZE][i % BLK_SECTOR_SIZE] = (uint8_t)rand();
    reads = writes = 0;
    bad_sector = UINT64_MAX;
    write_fails = false;
    device.block_size = 512;
    return 0;
}

static void check_read(struct blk_cache *cache, uint64_t sector, uint32_t count)
{
    uint8_t data[MAX_COUNT][BLK_SECTOR_SIZE];
    assert_int_equal(blk_cache_read(cache, sector, data, count), 0);
    assert_memory_equal(data, disk[sector], (size_t)count * BLK_SECTOR_SIZE);
}

static void a_second_read_asks_no_device(void **state)
{
    (void)state;
    struct blk_cache *cache = blk_cache_create(&device, 64 * 1024);
    check_read(cache, 9, 2);
    assert_int_equal(reads, 1);
    check_read(cache, 8, 8);
    check_read(cache, 15, 1);
    assert_int_equal(reads, 1);
    check_read(cache, 15, 2); /* reaches into the next line */
    assert_int_equal(reads, 2);
    assert_int_equal(blk_cache_stats(cache)->hits, 3);
    assert_int_equal(blk_cache_stats(cache)->misses, 2);
    blk_cache_destroy(cache);
}

static void long_reads_go_past_the_cache_in_one_request(void **state)
{
    (void)state;
    struct blk_cache *cache = blk_cache_create(&device, 64 * 1024);
    check_read(cache, 3, 33);
    assert_int_equal(reads, 1);
    assert_int_equal(blk_cache_stats(cache)->direct, 1);
    blk_cache_destroy(cache);
}

static void the_last_sectors_can_be_read(void **state)
{
    (void)state;
    struct blk_cache *cache = blk_cache_create(&device, 64 * 1024);
    check_read(cache, SECTORS - 1, 1);
    check_read(cache, SECTORS - 5, 5);
    blk_cache_destroy(cache);
}

static void a_bad_sector_spoils_only_reads_of_itself(void **state)
{
    (void)state;
    uint8_t data[BLK_SECTOR_SIZE];
    struct blk_cache *cache = blk_cache_create(&device, 64 * 1024);
    bad_sector = 20;
    check_read(cache, 21, 2);
    check_read(cache, 16, 4);
    assert_int_equal(blk_cache_read(cache, 20, data, 1), -EIO);
    bad_sector = UINT64_MAX;
    check_read(cache, 20, 1);
    blk_cache_destroy(cache);
}

static void a_failed_write_leaves_nothing_stale(void **state)
{
    (void)state;
    uint8_t data[4][BLK_SECTOR_SIZE];
    struct blk_cache *cache = blk_cache_create(&device, 64 * 1024);
    check_read(cache, 40, 4);
    memset(data, 0x5a, sizeof(data));
    write_fails = true;
    assert_int_equal(blk_cache_write(cache, 40, data, 4), -EIO);
    check_read(cache, 40, 4);
    blk_cache_destroy(cache);
}

static void random_reads_and_writes_agree_with_the_device(void **state)
{
    (void)state;
    uint8_t data[MAX_COUNT][BLK_SECTOR_SIZE];
    struct blk_cache *cache = blk_cache_create(
        &device, 32 * 1024); /* a quarter of the device's 4 KiB lines would not fit */
    srand(7);
    for (unsigned i = 0; i < 50000; i++) {
        uint32_t count = 1 + (uint32_t)rand() % (rand() % 4 ? 8 : MAX_COUNT);
        uint64_t sector = (uint64_t)rand() % (SECTORS - count + 1);
        if (rand() % 3) {
            check_read(cache, sector, count);
            continue;
        }
        for (uint32_t j = 0; j < count; j++)
            memset(data[j], rand(), BLK_SECTOR_SIZE);
        write_fails = rand() % 16 == 0;
        blk_cache_write(cache, sector, data, count);
        write_fails = false;
    }
    assert_true(blk_cache_stats(cache)->hits > 1000);
    blk_cache_destroy(cache);
}

static void what_cannot_be_cached_is_refused_and_leaks_nothing(void **state)
{
    (void)state;
    device.block_size = 8192;
    assert_null(blk_cache_create(&device, 1 << 20));
    device.block_size = 512;
    assert_null(blk_cache_create(&device, 1000));
    for (int i = 1; i <= 3; i++) {
        fail_allocation = i;
        assert_null(blk_cache_create(&device, 1 << 16));
    }
    fail_allocation = 0;
    assert_int_equal(allocations, 0);
    blk_cache_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_second_read_asks_no_device, reset),
        cmocka_unit_test_setup(long_reads_go_past_the_cache_in_one_request, reset),
        cmocka_unit_test_setup(the_last_sectors_can_be_read, reset),
        cmocka_unit_test_setup(a_bad_sector_spoils_only_reads_of_itself, reset),
        cmocka_unit_test_setup(a_failed_write_leaves_nothing_stale, reset),
        cmocka_unit_test_setup(random_reads_and_writes_agree_with_the_device, reset),
        cmocka_unit_test_setup(what_cannot_be_cached_is_refused_and_leaks_nothing, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
