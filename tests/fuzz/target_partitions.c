/*
 * target_partitions.c - partition tables made of input: MBR with a chain of logical partitions, and
 * GPT with its backup.
 *
 * The input chooses one of two good tables and the block size, patches it, and has the checksums put
 * right or not. What comes of it must lie on the disk, not overlap, and have names that can be shown.
 */
#include "blk/partition.h"
#include "fuzz.h"
#include "hosted/hosted.h"
#include "image_disk.h"

#define SIGNATURE_AT 510u
#define MBR_ENTRY_AT(i) (446 + 16 * (i))
/* The GPT's header and its entries. */
#define HEADER_SIZE 92u
#define ENTRY_SIZE 128u
#define ENTRIES 4u
/* More than good tables have is not summed up again. */
#define SUMMED_MAX 4096u

enum { IS_GPT = 1, LARGE_BLOCKS = 2, READS_FAIL = 4 };
enum { FIX_ENTRIES = 1, FIX_HEADER = 2, FIX_BACKUP_ENTRIES = 4, FIX_BACKUP_HEADER = 8 };

static uint32_t block_size;
static uint8_t sector[4096];

static void put(unsigned at, uint64_t value, unsigned width)
{
    memcpy(image_disk_bytes(at, width), &value, width);
}

static uint64_t get(unsigned at, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, image_disk_bytes(at, width), width);
    return value;
}

/* ---- good tables ---- */

static void put_mbr_entry(unsigned block, unsigned i, uint8_t type, uint32_t start, uint32_t blocks)
{
    unsigned at = block * block_size + MBR_ENTRY_AT(i);

    put(block * block_size + SIGNATURE_AT, 0xaa55, 2);
    put(at + 4, type, 1);
    put(at + 8, start, 4);
    put(at + 12, blocks, 4);
}

/* Two partitions, and an extended one with two logical ones. */
static void make_mbr(void)
{
    put_mbr_entry(0, 0, 0x83, 1, 3);
    put_mbr_entry(0, 1, 0x0c, 4, 4);
    put_mbr_entry(0, 2, 0x05, 8, 12);
    put_mbr_entry(8, 0, 0x83, 1, 3);
    put_mbr_entry(8, 1, 0x05, 6, 6);
    put_mbr_entry(14, 0, 0x82, 1, 2);
}

static void put_gpt_header(unsigned at, unsigned entries_at)
{
    unsigned byte = at * block_size, blocks = IMAGE_SIZE / block_size;

    memcpy(image_disk_bytes(byte, 8), "EFI PART", 8);
    put(byte + 12, HEADER_SIZE, 4);
    put(byte + 24, at, 8);
    put(byte + 40, 3, 8);
    put(byte + 48, blocks - 4, 8);
    put(byte + 72, entries_at, 8);
    put(byte + 80, ENTRIES, 4);
    put(byte + 84, ENTRY_SIZE, 4);
    for (unsigned i = 0; i < 2; i++) {
        unsigned entry = entries_at * block_size + i * ENTRY_SIZE;

        put(entry, 0xa1b2c3d4 + i, 4);
        put(entry + 16, 0x11223344 + i, 4);
        put(entry + 32, 4 + 8 * i, 8);
        put(entry + 40, 9 + 8 * i, 8);
        put(entry + 56, 'a' + i, 2);
        put(entry + 58, 0xe9, 2);
    }
}

static void make_gpt(void)
{
    unsigned blocks = IMAGE_SIZE / block_size;

    put_mbr_entry(0, 0, 0xee, 1, blocks - 1);
    put_gpt_header(1, 2);
    put_gpt_header(blocks - 1, blocks - 2);
}

/* ---- checksums ---- */

static uint32_t crc32(const uint8_t *data, size_t len)
{
    uint32_t crc = ~UINT32_C(0);

    while (len--) {
        crc ^= *data++;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static void put_right(unsigned block, bool entries, bool header)
{
    unsigned at = block * block_size;
    uint64_t entries_at = get(at + 72, 8) * block_size, len = get(at + 80, 4) * get(at + 84, 4);

    if (entries && len <= SUMMED_MAX && entries_at <= IMAGE_SIZE - SUMMED_MAX)
        put(at + 88, crc32(image_disk_bytes((unsigned)entries_at, (unsigned)len), len), 4);
    len = get(at + 12, 4);
    if (header && len <= block_size) {
        put(at + 16, 0, 4);
        put(at + 16, crc32(image_disk_bytes(at, (unsigned)len), len), 4);
    }
}

/* ---- what came of it ---- */

static bool overlap(const struct blk_device *a, const struct blk_device *b)
{
    return a->start < b->start + b->capacity && b->start < a->start + a->capacity;
}

static void check_name(const char *word, const char *text, size_t size)
{
    char full[16 + PARTITION_LABEL_SIZE] = {0};

    for (size_t i = 0; i < size && text[i]; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            hosted_fail("a name has the character %#x", text[i]);
    if (strnlen(text, size) == size)
        hosted_fail("a name has no end");
    strcpy(full, word);
    strcat(full, text);
    if (*text && !partition_find(full))
        hosted_fail("%s is not found", full);
}

static void check(struct blk_device *disk, struct blk_device *device, bool readable)
{
    const struct partition_info *info = partition_info(device);
    uint32_t unit = block_size / BLK_SECTOR_SIZE;
    struct blk_device *other;

    if (device->capacity == 0 || device->start == 0 || device->start > disk->capacity ||
        device->capacity > disk->capacity - device->start)
        hosted_fail("%s lies beyond the disk", device->name);
    for (unsigned i = 0; (other = blk_device_at(i)) != NULL; i++)
        if (other != device && other->parent && overlap(device, other))
            hosted_fail("%s overlaps %s", device->name, other->name);
    check_name("PARTLABEL=", info->label, sizeof(info->label));
    check_name("PARTUUID=", info->uuid, sizeof(info->uuid));
    if (readable && (blk_read(device, 0, sector, unit) != 0 ||
                     blk_read(device, device->capacity - unit, sector, unit) != 0))
        hosted_fail("%s cannot be read", device->name);
    if (blk_read(device, device->capacity, sector, unit) == 0)
        hosted_fail("%s can be read beyond its end", device->name);
}

void fuzz_partitions(struct input *input, bool packed)
{
    uint8_t kind = input_u8(input), fix = input_u8(input);
    struct blk_device *disk, *device;
    unsigned added, there = 0;

    (void)packed;
    hosted_rewind();
    block_size = kind & LARGE_BLOCKS ? 4096 : 512;
    if (kind & IS_GPT)
        make_gpt();
    else
        make_mbr();
    image_disk_patch(input, 20 * block_size);
    if (kind & IS_GPT) {
        put_right(1, fix & FIX_ENTRIES, fix & FIX_HEADER);
        put_right(IMAGE_SIZE / block_size - 1, fix & FIX_BACKUP_ENTRIES, fix & FIX_BACKUP_HEADER);
    }
    disk = image_disk_add(block_size, true);
    if (kind & READS_FAIL)
        image_disk_fail_from(1 + input_u8(input) % 8);
    added = partition_scan(disk);
    for (unsigned i = 0; (device = blk_device_at(i)) != NULL; i++) {
        if (!device->parent)
            continue;
        there++;
        check(disk, device, !(kind & READS_FAIL));
    }
    if (there != added)
        hosted_fail("%u partitions were counted, %u are there", added, there);
    image_disk_remove();
    if (blk_device_at(0) || hosted_dma_allocations())
        hosted_fail("something was left of the disk");
}
