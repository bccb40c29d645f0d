/*
 * partition_gpt.c - the GUID partition table (UEFI specification, chapter 5).
 *
 * A table stands twice on the disk, each time a header and an array of entries under a checksum of
 * their own. The first is used when it is sound, else the one at the end of the disk; the log says
 * which, and when the other is damaged. Nothing is repaired.
 */
#include <errno.h>
#include <string.h>

#include "blk/partition_table.h"
#include "log.h"
#include "platform.h"

/* 5.3.2: the header. */
#define HEADER_SIZE 12u
#define HEADER_CRC 16u
#define HEADER_OWN_BLOCK 24u
#define HEADER_FIRST_USABLE 40u
#define HEADER_LAST_USABLE 48u
#define HEADER_ENTRIES_BLOCK 72u
#define HEADER_ENTRY_COUNT 80u
#define HEADER_ENTRY_SIZE 84u
#define HEADER_ENTRIES_CRC 88u
#define HEADER_SIZE_MIN 92u
/* 5.3.3: an entry. */
#define ENTRY_TYPE 0u
#define ENTRY_GUID 16u
#define ENTRY_FIRST 32u
#define ENTRY_LAST 40u
#define ENTRY_NAME 56u
#define ENTRY_NAME_UNITS 36u
#define ENTRY_SIZE_MIN 128u

#define GUID_SIZE 16u
#define PRIMARY_BLOCK 1u
/* An array of more bytes is nonsense, whatever its checksum. */
#define ENTRIES_SIZE_MAX (256u << 10)

struct gpt {
    uint64_t first_usable, last_usable;
    uint64_t entries_block;
    uint32_t entry_count, entry_size, entries_crc;
};

/* 5.3.1: the checksum of IEEE 802.3. */
static uint32_t crc32(const uint8_t *data, size_t len)
{
    uint32_t table[16], crc = ~UINT32_C(0);
    unsigned i, bit;

    for (i = 0; i < 16; i++) {
        table[i] = i;
        for (bit = 0; bit < 4; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? UINT32_C(0xedb88320) : 0);
    }
    while (len--) {
        crc ^= *data++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* What is wrong with a header, or NULL. `block` has the size of a block of the disk. */
static const char *check_header(const struct partition_table *table, uint8_t *block, uint64_t at,
                                struct gpt *gpt)
{
    uint32_t size = partition_get32(block + HEADER_SIZE);
    uint32_t crc = partition_get32(block + HEADER_CRC);
    uint64_t entries_blocks;

    if (memcmp(block, "EFI PART", 8) != 0)
        return "there is none";
    if (size < HEADER_SIZE_MIN || size > table->disk->block_size)
        return "its header has an impossible size";
    memset(block + HEADER_CRC, 0, 4);
    if (crc32(block, size) != crc)
        return "the checksum of its header is wrong";
    if (partition_get64(block + HEADER_OWN_BLOCK) != at)
        return "its header belongs to another place";
    *gpt = (struct gpt){.first_usable = partition_get64(block + HEADER_FIRST_USABLE),
                        .last_usable = partition_get64(block + HEADER_LAST_USABLE),
                        .entries_block = partition_get64(block + HEADER_ENTRIES_BLOCK),
                        .entry_count = partition_get32(block + HEADER_ENTRY_COUNT),
                        .entry_size = partition_get32(block + HEADER_ENTRY_SIZE),
                        .entries_crc = partition_get32(block + HEADER_ENTRIES_CRC)};
    if (gpt->entry_size < ENTRY_SIZE_MIN || gpt->entry_size % 8 || gpt->entry_count == 0 ||
        (uint64_t)gpt->entry_size * gpt->entry_count > ENTRIES_SIZE_MAX)
        return "its array of entries has an impossible size";
    entries_blocks = ((uint64_t)gpt->entry_size * gpt->entry_count + table->disk->block_size - 1) /
                     table->disk->block_size;
    if (gpt->first_usable > gpt->last_usable || gpt->last_usable >= partition_blocks(table) ||
        gpt->entries_block <= PRIMARY_BLOCK || gpt->entries_block >= partition_blocks(table) ||
        entries_blocks > partition_blocks(table) - gpt->entries_block)
        return "it reaches beyond the disk";
    return NULL;
}

static const char *read_header(const struct partition_table *table, uint64_t at, struct gpt *gpt)
{
    uint8_t *block = platform_dma_alloc(table->disk->block_size, table->disk->block_size);
    const char *wrong = "there is no memory";

    if (block && partition_read(table, at, block, 1) == 0)
        wrong = check_header(table, block, at, gpt);
    else if (block)
        wrong = "it cannot be read";
    if (block)
        platform_dma_free(block, table->disk->block_size);
    return wrong;
}

/* ---- entries ---- */

/* A GUID as text: three numbers stored little-endian, then bytes (RFC 4122 with Microsoft's order).
 */
static void guid_text(char text[PARTITION_UUID_SIZE], const uint8_t *g)
{
    format_text(text, PARTITION_UUID_SIZE, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                (unsigned)partition_get32(g), g[4] | g[5] << 8, g[6] | g[7] << 8, g[8], g[9], g[10],
                g[11], g[12], g[13], g[14], g[15]);
}

/* UTF-16 to UTF-8. Half of a surrogate pair and control characters become a question mark. */
static void label_text(char *out, const uint8_t *name)
{
    unsigned i;

    for (i = 0; i < ENTRY_NAME_UNITS; i++) {
        uint32_t c = name[2 * i] | (uint32_t)name[2 * i + 1] << 8;
        uint32_t low =
            i + 1 < ENTRY_NAME_UNITS ? name[2 * i + 2] | (uint32_t)name[2 * i + 3] << 8 : 0;

        if (c == 0)
            break;
        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        } else if (c < ' ' || c == 0x7f || (c >= 0xd800 && c < 0xe000)) {
            c = '?';
        }
        if (c < 0x80) {
            *out++ = (char)c;
            continue;
        }
        if (c < 0x800) {
            *out++ = (char)(0xc0 | c >> 6);
        } else {
            if (c < 0x10000) {
                *out++ = (char)(0xe0 | c >> 12);
            } else {
                *out++ = (char)(0xf0 | c >> 18);
                *out++ = (char)(0x80 | (c >> 12 & 63));
            }
            *out++ = (char)(0x80 | (c >> 6 & 63));
        }
        *out++ = (char)(0x80 | (c & 63));
    }
    *out = '\0';
}

static void take(struct partition_table *table, const struct gpt *gpt, unsigned number,
                 const uint8_t *from)
{
    static const uint8_t unused[GUID_SIZE];
    uint64_t first = partition_get64(from + ENTRY_FIRST), last = partition_get64(from + ENTRY_LAST);
    struct partition_entry *entry;

    if (memcmp(from + ENTRY_TYPE, unused, GUID_SIZE) == 0)
        return;
    if (first < gpt->first_usable || last > gpt->last_usable) {
        log_error(
            "%s: partition %u left out: blocks %llu to %llu are not among those for partitions",
            table->disk->name, number, (unsigned long long)first, (unsigned long long)last);
        return;
    }
    entry = partition_take(table, number, first, last);
    if (!entry)
        return;
    guid_text(entry->info.type, from + ENTRY_TYPE);
    guid_text(entry->info.uuid, from + ENTRY_GUID);
    label_text(entry->info.label, from + ENTRY_NAME);
}

/* Reads the array of entries, and takes them when the checksum is right. What is wrong, or NULL. */
static const char *read_entries(struct partition_table *table, const struct gpt *gpt)
{
    uint32_t used = gpt->entry_count * gpt->entry_size, block_size = table->disk->block_size;
    uint32_t blocks = (used + block_size - 1) / block_size, i;
    uint8_t *array = platform_dma_alloc((size_t)blocks * block_size, block_size);
    const char *wrong = NULL;

    if (!array)
        return "there is no memory for its entries";
    if (partition_read(table, gpt->entries_block, array, blocks))
        wrong = "its entries cannot be read";
    else if (crc32(array, used) != gpt->entries_crc)
        wrong = "the checksum of its entries is wrong";
    for (i = 0; !wrong && i < gpt->entry_count; i++)
        take(table, gpt, i + 1, array + (size_t)i * gpt->entry_size);
    platform_dma_free(array, (size_t)blocks * block_size);
    return wrong;
}

int partition_read_gpt(struct partition_table *table)
{
    uint64_t end = partition_blocks(table) - 1;
    struct gpt primary, backup;
    const char *wrong, *backup_wrong;

    if (end <= PRIMARY_BLOCK)
        return -ENOENT;
    table->kind = "GPT";
    wrong = read_header(table, PRIMARY_BLOCK, &primary);
    backup_wrong = read_header(table, end, &backup);
    if (!wrong)
        wrong = read_entries(table, &primary);
    if (!wrong) {
        if (backup_wrong)
            log_warn("%s: the backup GPT at the end cannot be used: %s", table->disk->name,
                     backup_wrong);
        else if (backup.entries_crc != primary.entries_crc)
            log_warn("%s: the backup GPT says something else than the GPT", table->disk->name);
        return 0;
    }
    if (!backup_wrong)
        backup_wrong = read_entries(table, &backup);
    if (backup_wrong) {
        log_error("%s: no GPT can be used: %s; of the backup: %s", table->disk->name, wrong,
                  backup_wrong);
        return -ENOENT;
    }
    log_warn("%s: the GPT cannot be used: %s; the backup at the end is", table->disk->name, wrong);
    return 0;
}
