// sources: blk/cache.c
/*
 * test_blk_cache.c - the cache (blk/cache.h) against a plain array: whatever is read through it must
 * be what was written last, in any order of reads, writes and flushes, with bad sectors and at the
 * end of the device.
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
static unsigned reads, writes, vectors, flushes;
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

void platform_memory(uint64_t *total, uint64_t *available)
{
    *total = *available = 64u << 20;
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

int blk_write_vector(struct blk_device *to, uint64_t sector, const struct blk_segment *segment,
                     unsigned segments)
{
    int error = 0;

    vectors++;
    for (unsigned i = 0; i < segments && !error; i++) {
        error = blk_write(to, sector, segment[i].data, segment[i].len / BLK_SECTOR_SIZE);
        sector += segment[i].len / BLK_SECTOR_SIZE;
    }
    return error;
}

int blk_flush(struct blk_device *of)
{
    assert_ptr_equal(of, &device);
    flushes++;
    return 0;
}

static int reset(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(disk); i++)
        disk[i / BLK_SECTOR_SIZE][i % BLK_SECTOR_SIZE] = (uint8_t)rand();
    reads = writes = vectors = flushes = 0;
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

/* ---- writing back ---- */

static struct blk_cache *write_back_cache(size_t bytes)
{
    struct blk_cache *cache = blk_cache_create(&device, bytes);

    blk_cache_set_write_back(cache, true);
    return cache;
}

static void write_sectors(struct blk_cache *cache, uint64_t sector, uint32_t count, uint8_t value)
{
    uint8_t data[MAX_COUNT * BLK_SECTOR_SIZE];

    memset(data, value, count * BLK_SECTOR_SIZE);
    assert_int_equal(blk_cache_write(cache, sector, data, count), 0);
}

/* Short writes cost nothing until the flush, which merges what is adjacent. */
static void short_writes_wait_for_the_flush(void **state)
{
    (void)state;
    struct blk_cache *cache = write_back_cache(64 * 1024);
    uint8_t before = disk[40][0];
    for (unsigned sector = 40; sector < 60; sector++)
        write_sectors(cache, sector, 1, 0x77);
    write_sectors(cache, 70, 3, 0x78);
    write_sectors(cache, 41, 1, 0x79);
    assert_int_equal(writes + reads, 0);
    assert_int_equal(disk[40][0], before);
    assert_int_equal(blk_cache_flush(cache), 0);
    assert_int_equal(vectors, 2); /* sectors 40 to 59, and 70 to 72 */
    assert_int_equal(flushes, 1);
    assert_int_equal(disk[40][511], 0x77);
    assert_int_equal(disk[41][0], 0x79);
    assert_int_equal(disk[59][511], 0x77);
    assert_int_equal(disk[72][511], 0x78);
    assert_int_equal(blk_cache_flush(cache), 0);
    assert_int_equal(vectors, 2);
    assert_int_equal(blk_cache_stats(cache)->written_back, 2);
    blk_cache_destroy(cache);
}

/* What cannot be written stays, is read as written, and goes out when the device is well again. */
static void what_cannot_be_written_back_is_kept(void **state)
{
    (void)state;
    uint8_t data[8][BLK_SECTOR_SIZE];
    struct blk_cache *cache = write_back_cache(16 * 1024); /* one set */
    write_sectors(cache, 8, 2, 0x41);
    write_sectors(cache, 100, 2, 0x42);
    write_fails = true;
    assert_int_equal(blk_cache_flush(cache), -EIO);
    assert_int_equal(vectors, 2); /* each was tried */
    write_sectors(cache, 200, 1, 0x43);
    write_sectors(cache, 300, 1, 0x44);
    /* There is no room for a fifth line, and none can be made. */
    assert_int_equal(blk_cache_write(cache, 400, data, 1), -EIO);
    assert_int_equal(blk_cache_read(cache, 8, data, 2), 0);
    assert_int_equal(data[1][511], 0x41);
    write_fails = false;
    assert_int_equal(blk_cache_flush(cache), 0);
    assert_int_equal(disk[9][0], 0x41);
    assert_int_equal(disk[101][0], 0x42);
    assert_int_equal(disk[300][0], 0x44);
    blk_cache_destroy(cache);
}

static void random_writes_are_read_as_written(void **state)
{
    (void)state;
    static uint8_t wanted[SECTORS][BLK_SECTOR_SIZE];
    uint8_t data[MAX_COUNT][BLK_SECTOR_SIZE];
    struct blk_cache *cache = write_back_cache(32 * 1024);
    memcpy(wanted, disk, sizeof(wanted));
    srand(11);
    for (unsigned i = 0; i < 50000; i++) {
        uint32_t count = 1 + (uint32_t)rand() % (rand() % 4 ? 8 : MAX_COUNT);
        uint64_t sector = (uint64_t)rand() % (SECTORS - count + 1);
        if (rand() % 200 == 0) {
            assert_int_equal(blk_cache_flush(cache), 0);
            assert_memory_equal(disk, wanted, sizeof(disk));
        } else if (rand() % 2) {
            assert_int_equal(blk_cache_read(cache, sector, data, count), 0);
            assert_memory_equal(data, wanted[sector], (size_t)count * BLK_SECTOR_SIZE);
        } else {
            for (uint32_t j = 0; j < count; j++)
                memset(wanted[sector + j], rand(), BLK_SECTOR_SIZE);
            assert_int_equal(blk_cache_write(cache, sector, wanted[sector], count), 0);
        }
    }
    assert_true(blk_cache_stats(cache)->kept > 1000);
    blk_cache_destroy(cache);
}

static void a_write_that_makes_no_sense_is_refused_at_once(void **state)
{
    (void)state;
    uint8_t data[BLK_SECTOR_SIZE];
    struct blk_cache *cache = write_back_cache(64 * 1024);
    write_fails = true; /* what reaches the device fails */
    device.read_only = true;
    assert_int_equal(blk_cache_write(cache, 0, data, 1), -EIO);
    device.read_only = false;
    assert_int_equal(blk_cache_flush(cache), 0);
    assert_int_equal(blk_cache_stats(cache)->kept, 0);
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
        cmocka_unit_test_setup(short_writes_wait_for_the_flush, reset),
        cmocka_unit_test_setup(what_cannot_be_written_back_is_kept, reset),
        cmocka_unit_test_setup(random_writes_are_read_as_written, reset),
        cmocka_unit_test_setup(a_write_that_makes_no_sense_is_refused_at_once, reset),
        cmocka_unit_test_setup(what_cannot_be_cached_is_refused_and_leaks_nothing, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
