// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/partition.c blk/partition_gpt.c blk/partition_gpt_fields.c blk/partition_mbr.c blk/ramdisk.c
// sources: boot/loop.c boot/log.c boot/format.c boot/cmdline.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_blk_partition.c - partition tables, sound and hostile, and the devices that come of them.
 *
 * The tables are made here byte by byte, on a RAM disk. Real tools make theirs in
 * tests/qemu/test_partitions.py. Read blk/partition.c next.
 */
#include "support.h"

#include "blk/partition.h"
#include "blk/ramdisk.h"

#define SECTORS 4096u
#define ENTRIES 128u
#define ENTRY_SIZE 128u
#define ENTRY_SECTORS (ENTRIES * ENTRY_SIZE / 512)
#define FIRST_USABLE (2 + ENTRY_SECTORS)
#define LAST_USABLE (SECTORS - ENTRY_SECTORS - 2)

static struct blk_device *disk;
static uint8_t *image;

static void open_disk(void)
{
    disk = ramdisk_create(SECTORS * 512);
    assert_non_null(disk);
    image = ramdisk_memory(disk);
}

static void close_disk(void)
{
    ramdisk_destroy(disk);
    assert_null(blk_device_at(0));
}

static uint8_t *at(uint64_t sector)
{
    return image + sector * 512;
}

static void put(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

/* ---- MBR ---- */

static void put_mbr(uint64_t sector, unsigned i, uint8_t type, uint32_t start, uint32_t count)
{
    uint8_t *entry = at(sector) + 446 + 16 * i;

    entry[4] = type;
    put(entry + 8, start, 4);
    put(entry + 12, count, 4);
    put(at(sector) + 510, 0xaa55, 2);
}

static void check_device(unsigned index, const char *name, uint64_t start, uint64_t sectors)
{
    struct blk_device *device = blk_device_at(index);

    assert_non_null(device);
    assert_string_equal(device->name, name);
    assert_ptr_equal(device->parent, disk);
    assert_int_equal(device->start, start);
    assert_int_equal(device->capacity, sectors);
}

static void mbr_primary_and_logical(void **state)
{
    (void)state;
    open_disk();
    put(at(0) + 440, 0x1234abcd, 4);
    put_mbr(0, 0, 0x0c, 64, 100);
    put_mbr(0, 2, 0x05, 1000, 2000);
    put_mbr(0, 3, 0x83, 3500, 596);
    put_mbr(1000, 0, 0x83, 10, 90);
    put_mbr(1000, 1, 0x05, 500, 500);
    put_mbr(1500, 0, 0x82, 10, 1490);
    assert_int_equal(partition_scan(disk), 4);
    check_device(1, "rama1", 64, 100);
    check_device(2, "rama4", 3500, 596);
    check_device(3, "rama5", 1010, 90);
    check_device(4, "rama6", 1510, 1490);
    assert_null(blk_device_at(5));
    assert_string_equal(partition_info(blk_device_at(4))->uuid, "1234abcd-06");
    assert_string_equal(partition_info(blk_device_at(4))->type, "82");
    assert_int_equal(partition_info(blk_device_at(4))->number, 6);
    assert_null(partition_info(disk));
    assert_ptr_equal(partition_find("rama5"), blk_device_at(3));
    assert_ptr_equal(partition_find("PARTUUID=1234ABCD-01"), blk_device_at(1));
    assert_null(partition_find("PARTUUID=1234ABCD-02"));
    assert_null(partition_find("PARTLABEL="));
    assert_null(partition_find("ramb"));
    close_disk();
}

/* Each nonsense leaves out what it concerns, with a line in the log, and nothing else. */
static void mbr_nonsense_is_left_out(void **state)
{
    (void)state;
    open_disk();
    put_mbr(0, 0, 0x83, 64, 100);
    put_mbr(0, 1, 0x83, 163, 10);  /* overlaps by one */
    put_mbr(0, 2, 0x83, 4000, 97); /* one too long */
    put_mbr(0, 3, 0x83, 0, 10);    /* holds the table itself */
    assert_int_equal(partition_scan(disk), 1);
    expect_log("partition 2 left out: it overlaps partition 1", 1);
    expect_log("partition 3 left out: blocks 4000 to 4096 of 4096", 1);
    expect_log("partition 4 left out", 1);
    close_disk();

    open_disk();
    put_mbr(0, 0, 0x83, UINT32_MAX, UINT32_MAX);
    put_mbr(0, 1, 0x83, 164, 0);
    assert_int_equal(partition_scan(disk), 0);
    close_disk();
}

static void chains_of_logical_partitions_end(void **state)
{
    (void)state;
    /* A link that leads to itself, with a partition and without one. */
    for (unsigned type = 0; type <= 0x83; type += 0x83) {
        open_disk();
        put_mbr(0, 0, 0x0f, 1000, 2000);
        put_mbr(1000, 0, (uint8_t)type, 1, 10);
        put_mbr(1000, 1, 0x05, 100, 10);
        put_mbr(1100, 0, (uint8_t)type, 1, 10);
        put_mbr(1100, 1, 0x05, 100, 10);
        assert_int_equal(partition_scan(disk), type ? 2 : 0);
        expect_log("partition 7 left out: it overlaps partition 6", type != 0);
        close_disk();
    }
    expect_log("the chain of logical partitions leads nowhere", 1);
    /* One that leaves the extended partition, which itself leaves the disk. */
    open_disk();
    put_mbr(0, 0, 0x05, 1000, UINT32_MAX);
    put_mbr(1000, 0, 0x83, 1, 10);
    put_mbr(1000, 1, 0x05, 100000, 10);
    assert_int_equal(partition_scan(disk), 1);
    expect_log("the chain of logical partitions leads outside", 1);
    close_disk();
    /* A partition outside of the extended one, and a link without signature. */
    open_disk();
    put_mbr(0, 0, 0x05, 1000, 100);
    put_mbr(1000, 0, 0x83, 1, 100);
    assert_int_equal(partition_scan(disk), 0);
    expect_log("it is not inside the extended partition", 1);
    at(1000)[510] = 0;
    assert_int_equal(partition_scan(disk), 0);
    expect_log("the chain of logical partitions breaks off at block 1000", 1);
    close_disk();
}

static void boot_sectors_are_no_tables(void **state)
{
    (void)state;
    open_disk();
    assert_int_equal(partition_scan(disk), 0); /* empty */
    put_mbr(0, 0, 0x83, 64, 100);
    at(0)[446] = 0x12; /* code where the state should be */
    assert_int_equal(partition_scan(disk), 0);
    at(0)[446] = 0x80;
    at(0)[0] = 0xeb;
    put(at(0) + 11, 512, 2);
    at(0)[13] = 4;
    at(0)[16] = 2; /* a FAT volume */
    assert_int_equal(partition_scan(disk), 0);
    at(0)[16] = 77;
    assert_int_equal(partition_scan(disk), 1);
    close_disk();
}

/* ---- GPT ---- */

static uint32_t crc(const uint8_t *data, size_t len)
{
    uint32_t value = ~0u;

    for (size_t i = 0; i < len; i++) {
        value ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
    }
    return ~value;
}

static void seal(uint64_t header)
{
    uint64_t array = header == 1 ? 2 : SECTORS - 1 - ENTRY_SECTORS;

    put(at(header) + 88, crc(at(array), ENTRIES * ENTRY_SIZE), 4);
    put(at(header) + 16, 0, 4);
    put(at(header) + 16, crc(at(header), 92), 4);
}

static void put_header(uint64_t header, uint64_t array)
{
    uint8_t *h = at(header);

    memcpy(h, "EFI PART", 8);
    put(h + 8, 0x10000, 4);
    put(h + 12, 92, 4);
    put(h + 24, header, 8);
    put(h + 32, SECTORS - header, 8);
    put(h + 40, FIRST_USABLE, 8);
    put(h + 48, LAST_USABLE, 8);
    put(h + 72, array, 8);
    put(h + 80, ENTRIES, 4);
    put(h + 84, ENTRY_SIZE, 4);
}

static void put_entry(uint64_t array, unsigned i, uint64_t first, uint64_t last, const char *name)
{
    uint8_t *e = at(array) + i * ENTRY_SIZE;

    for (unsigned b = 0; b < 32; b++)
        e[b] = (uint8_t)(b + 1);
    put(e + 32, first, 8);
    put(e + 40, last, 8);
    for (unsigned c = 0; name[c]; c++)
        put(e + 56 + 2 * c, (uint8_t)name[c], 2);
}

#define BACKUP (SECTORS - 1)
#define BACKUP_ARRAY (SECTORS - 1 - ENTRY_SECTORS)

/* Two partitions, "boot" and "data" (number 4). */
static void put_gpt(void)
{
    static const uint64_t arrays[] = {2, BACKUP_ARRAY};

    memset(image, 0, SECTORS * 512);
    put_mbr(0, 0, 0xee, 1, SECTORS - 1);
    for (unsigned i = 0; i < 2; i++) {
        put_entry(arrays[i], 0, 64, 163, "boot");
        put_entry(arrays[i], 3, 1000, 1999, "data");
    }
    put_header(1, 2);
    put_header(BACKUP, BACKUP_ARRAY);
    seal(1);
    seal(BACKUP);
}

static void gpt_partitions(void **state)
{
    (void)state;
    open_disk();
    put_gpt();
    assert_int_equal(partition_scan(disk), 2);
    check_device(1, "rama1", 64, 100);
    check_device(2, "rama4", 1000, 1000);
    const struct partition_info *info = partition_info(blk_device_at(2));
    assert_string_equal(info->label, "data");
    assert_string_equal(info->type, "04030201-0605-0807-090a-0b0c0d0e0f10");
    assert_string_equal(info->uuid, "14131211-1615-1817-191a-1b1c1d1e1f20");
    assert_ptr_equal(partition_find("PARTLABEL=data"), blk_device_at(2));
    assert_null(partition_find("PARTLABEL=dat"));
    expect_log("backup", 0);
    close_disk();
}

static void gpt_labels_are_utf8(void **state)
{
    static const uint16_t name[] = {'a', 0xe4, 0x20ac, 0xd83d, 0xde00, 0xd83d, 7, 'z'};

    (void)state;
    open_disk();
    put_gpt();
    for (unsigned i = 0; i < 8; i++)
        put(at(2) + 56 + 2 * i, name[i], 2);
    for (unsigned i = 0; i < 36; i++)
        put(at(2) + 3 * ENTRY_SIZE + 56 + 2 * i, 0xffff, 2);
    seal(1);
    assert_int_equal(partition_scan(disk), 2);
    assert_string_equal(partition_info(blk_device_at(1))->label,
                        "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80??z");
    assert_int_equal(strlen(partition_info(blk_device_at(2))->label), 108);
    expect_log("the backup GPT says something else", 1);
    close_disk();
}

/* What is wrong with one table, found by damaging one byte or field of it. */
static const struct {
    unsigned offset, bytes;
    uint64_t value;
    bool sealed; /* the checksum is right all the same */
    const char *log;
} damages[] = {
    {0, 1, 'e', false, "there is none"},
    {100, 1, 7, false, NULL}, /* behind the header: of no meaning */
    {12, 4, 91, false, "impossible size"},
    {12, 4, 513, false, "impossible size"},
    {40, 8, 35, false, "the checksum of its header is wrong"},
    {24, 8, 2, true, "belongs to another place"},
    {40, 8, LAST_USABLE + 1, true, "reaches beyond the disk"},
    {48, 8, SECTORS, true, "reaches beyond the disk"},
    {48, 8, UINT64_MAX, true, "reaches beyond the disk"},
    {72, 8, 1, true, "reaches beyond the disk"},
    {72, 8, SECTORS - ENTRY_SECTORS + 1, true, "reaches beyond the disk"},
    {72, 8, UINT64_MAX, true, "reaches beyond the disk"},
    {72, 8, 3, true, "the checksum of its entries is wrong"},
    {80, 4, 0, true, "impossible size"},
    {80, 4, UINT32_MAX, true, "impossible size"},
    {84, 4, 0, true, "impossible size"},
    {84, 4, 120, true, "impossible size"},
    {84, 4, 129, true, "impossible size"},
    {84, 4, UINT32_MAX - 7, true, "impossible size"},
};

/* Wherever the damage is, the other table is used, and the log says why. */
static void a_damaged_gpt_is_replaced_by_the_other(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        for (uint64_t header = 1; header < SECTORS; header += SECTORS - 2) {
            /* The fields of the backup that say where things are have other values. */
            if (header != 1 && damages[i].offset == 72 && damages[i].value == 3)
                continue;
            hosted_reset();
            open_disk();
            put_gpt();
            put(at(header) + damages[i].offset, damages[i].value, damages[i].bytes);
            if (damages[i].sealed) {
                put(at(header) + 16, 0, 4);
                put(at(header) + 16, crc(at(header), 92), 4);
            }
            assert_int_equal(partition_scan(disk), 2);
            check_device(2, "rama4", 1000, 1000);
            expect_log("the GPT cannot be used", damages[i].log && header == 1);
            expect_log("the backup GPT at the end cannot be used",
                       damages[i].log && header == BACKUP);
            expect_log(damages[i].log ? damages[i].log : "cannot be used", damages[i].log != NULL);
            close_disk();
        }
    }
}

static void without_a_sound_gpt_there_are_no_partitions(void **state)
{
    (void)state;
    open_disk();
    put_gpt();
    at(2)[40]++;
    at(BACKUP)[50]++;
    assert_int_equal(partition_scan(disk), 0);
    expect_log("no GPT can be used: the checksum of its entries is wrong; of the backup: the "
               "checksum of its header is wrong",
               1);
    /* Without the protective MBR it is not a GPT at all. */
    put_gpt();
    put_mbr(0, 0, 0, 0, 0);
    assert_int_equal(partition_scan(disk), 0);
    close_disk();
}

static void gpt_entries_are_checked(void **state)
{
    (void)state;
    open_disk();
    put_gpt();
    put_entry(2, 4, 1999, 2100, "overlaps");
    put_entry(2, 5, FIRST_USABLE - 1, 40, "in the table");
    put_entry(2, 6, 3000, LAST_USABLE + 1, "in the backup");
    put_entry(2, 7, 3000, 2999, "backwards");
    put_entry(2, 8, 3000, UINT64_MAX, "endless");
    put_entry(2, 9, 0, UINT64_MAX, "everything");
    put_entry(2, 10, 3000, 3000, "tiny");
    seal(1);
    assert_int_equal(partition_scan(disk), 3);
    check_device(3, "rama11", 3000, 1);
    expect_log("left out", 6);
    close_disk();
}

/* ---- requests ---- */

static void requests_stay_inside(void **state)
{
    static uint8_t data[4 * 512];
    struct blk_device *part;

    (void)state;
    open_disk();
    put_gpt();
    partition_scan(disk);
    part = partition_find("PARTLABEL=data");
    memset(data, 0x5a, sizeof(data));
    assert_int_equal(blk_write(part, 998, data, 2), 0);
    assert_memory_equal(at(1998), data, 1024);
    assert_int_equal(at(2000)[0], 0);
    assert_int_equal(blk_write(part, 999, data, 2), -EINVAL);
    assert_int_equal(blk_write(part, 1000, data, 1), -EINVAL);
    assert_int_equal(blk_read(part, UINT64_MAX - 999, data, 1), -EINVAL);
    assert_int_equal(blk_flush(part), 0);
    put(at(1000), 0x77, 1);
    assert_int_equal(blk_read(part, 0, data, 1), 0);
    assert_int_equal(data[0], 0x77);
    assert_int_equal(blk_poll(part, 1), 0);
    assert_int_equal(part->stats.reads, 1);
    assert_int_equal(part->stats.writes, 1);
    assert_int_equal(part->stats.errors, 3);
    /* A disk that shrank. */
    disk->capacity = 1500;
    assert_int_equal(blk_read(part, 499, data, 1), 0);
    assert_int_equal(blk_read(part, 500, data, 1), -EIO);
    /* One that was removed: who holds the partition gets errors, from the same address. */
    close_disk();
    assert_int_equal(blk_read(part, 0, data, 1), -EIO);
    assert_int_equal(blk_poll(part, 1), 0);
}

static void claims_exclude_each_other(void **state)
{
    struct blk_device *boot, *files;

    (void)state;
    open_disk();
    put_gpt();
    partition_scan(disk);
    boot = blk_device_at(1);
    files = blk_device_at(2);
    assert_null(blk_holder(disk));
    assert_int_equal(blk_claim(files, "fat"), 0);
    assert_int_equal(blk_claim(files, "fat"), -EBUSY);
    assert_int_equal(blk_claim(disk, "load"), -EBUSY);
    assert_string_equal(blk_holder(disk), "fat");
    assert_null(blk_holder(boot));
    assert_int_equal(blk_claim(boot, "load"), 0);
    blk_release(files);
    blk_release(boot);
    assert_int_equal(blk_claim(disk, "load"), 0);
    assert_int_equal(blk_claim(boot, "fat"), -EBUSY);
    blk_release(disk);
    /* The place of a claimed partition is not used again when the disk goes. */
    assert_int_equal(blk_claim(boot, "fat"), 0);
    close_disk();
    open_disk();
    put_gpt();
    partition_scan(disk);
    assert_ptr_not_equal(blk_device_at(1), boot);
    assert_ptr_not_equal(blk_device_at(2), boot);
    blk_release(boot);
    close_disk();
}

/* Disks that come later are looked at from the event loop, once. */
static void later_disks_are_looked_at(void **state)
{
    struct blk_device *first;

    (void)state;
    open_disk();
    put_gpt();
    partition_init();
    assert_non_null(blk_find("rama4"));
    first = disk;
    disk = ramdisk_create(SECTORS * 512);
    image = ramdisk_memory(disk);
    put_gpt();
    loop_turn();
    assert_non_null(blk_find("ramb4"));
    assert_int_equal(loop_turn(), 0);
    ramdisk_destroy(first);
    close_disk();
}

/* A copy has the content, and so the partitions. */
static void ram_disks_from_the_command_line(void **state)
{
    (void)state;
    open_disk();
    put_gpt();
    put(at(64), 0x1122, 2);
    partition_scan(disk);
    ramdisk_from_cmdline("a ramdisk=1M ramdisk=rama ramdisk=PARTLABEL=boot ramdisk=512 ramdisk=x "
                         "ramdisk=1X ramdisk=99999999G ramdisk=700");
    assert_int_equal(blk_find("ramb")->capacity, 2048);
    assert_memory_equal(ramdisk_memory(blk_find("ramc")), image, SECTORS * 512);
    assert_non_null(blk_find("ramc4"));
    assert_int_equal(blk_find("ramd")->capacity, 100);
    assert_int_equal(*(uint16_t *)ramdisk_memory(blk_find("ramd")), 0x1122);
    assert_int_equal(blk_find("rame")->capacity, 1);
    assert_null(blk_find("ramf"));
    expect_log("neither a size nor a disk", 2);
    expect_log("makes no sense", 1); /* 700 */
    expect_log("no memory for a RAM disk of", 1);
    for (char letter = 'b'; letter <= 'e'; letter++)
        ramdisk_destroy(blk_find((char[]){'r', 'a', 'm', letter, '\0'}));
    close_disk();
}

/* ---- anything ---- */

/* Whatever a table says, what comes of it lies on the disk and overlaps nothing. */
static void check_devices(void)
{
    struct blk_device *a, *b;

    for (unsigned i = 1; (a = blk_device_at(i)); i++) {
        assert_true(a->start > 0 && a->capacity > 0 && a->start < SECTORS);
        assert_true(a->capacity <= SECTORS - a->start);
        for (unsigned j = 1; j < i; j++) {
            b = blk_device_at(j);
            assert_true(a->start >= b->start + b->capacity || b->start >= a->start + a->capacity);
        }
    }
}

static void random_tables(void **state)
{
    static const uint64_t values[] = {0, 1, 2, 34, 64, 4095, 4096, UINT32_MAX, UINT64_MAX};
    uint32_t seed = 9;
    unsigned found = 0;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        hosted_reset();
        open_disk();
        if (round % 2) {
            put_gpt();
        } else {
            put_mbr(0, 0, 0x05, 100, 3000);
            put_mbr(100, 0, 0x83, 1, 10);
            put_mbr(100, 1, 0x05, 500, 10);
            put_mbr(600, 0, 0x83, 1, 10);
        }
        for (unsigned n = support_random(&seed) % 4 + 1; n; n--) {
            static const unsigned mbr_at[] = {446, 100 * 512 + 446, 600 * 512 + 446};
            unsigned where = round % 2
                                 ? support_random(&seed) % 2 ? 512 + support_random(&seed) % 92
                                                             : 1024 + support_random(&seed) % 512
                                 : mbr_at[support_random(&seed) % 3] + support_random(&seed) % 64;
            if (support_random(&seed) % 2)
                image[where] = (uint8_t)support_random(&seed);
            else
                put(image + (where & ~3u), values[support_random(&seed) % 9], 4);
        }
        if (round % 4 != 1)
            seal(1);
        found += partition_scan(disk);
        check_devices();
        close_disk();
    }
    assert_true(found > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mbr_primary_and_logical),
        TEST(mbr_nonsense_is_left_out),
        TEST(chains_of_logical_partitions_end),
        TEST(boot_sectors_are_no_tables),
        TEST(gpt_partitions),
        TEST(gpt_labels_are_utf8),
        TEST(a_damaged_gpt_is_replaced_by_the_other),
        TEST(without_a_sound_gpt_there_are_no_partitions),
        TEST(gpt_entries_are_checked),
        TEST(requests_stay_inside),
        TEST(claims_exclude_each_other),
        TEST(later_disks_are_looked_at),
        TEST(ram_disks_from_the_command_line),
        TEST(random_tables),
    };

    return cmocka_run_group_tests_name("partitions", tests, NULL, NULL);
}
