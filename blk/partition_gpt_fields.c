/*
 * partition_gpt_fields.c - what is written in the fields of a GUID partition table (UEFI
 * specification, chapter 5): checksums, GUIDs and labels.
 *
 * Where the fields are, and whether they are believed, is partition_gpt.c's.
 */
#include "blk/partition_table.h"
#include "log.h"

/* 5.3.1: the checksum of IEEE 802.3, four bits a step. */
uint32_t partition_crc32(const uint8_t *data, size_t len)
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

/* A GUID as text: three numbers stored little-endian, then bytes (RFC 4122 with Microsoft's order).
 */
void partition_guid_text(char text[PARTITION_UUID_SIZE], const uint8_t *g)
{
    format_text(text, PARTITION_UUID_SIZE, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                (unsigned)partition_get32(g), g[4] | g[5] << 8, g[6] | g[7] << 8, g[8], g[9], g[10],
                g[11], g[12], g[13], g[14], g[15]);
}

/* A character as UTF-8. The end of what was written. */
static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
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
    return out;
}

/* UTF-16 to UTF-8. Half of a surrogate pair and control characters become a question mark. */
void partition_label_text(char text[PARTITION_LABEL_SIZE], const uint8_t *name)
{
    char *out = text;
    unsigned i;

    for (i = 0; i < PARTITION_LABEL_UNITS; i++) {
        uint32_t c = name[2 * i] | (uint32_t)name[2 * i + 1] << 8;
        uint32_t low =
            i + 1 < PARTITION_LABEL_UNITS ? name[2 * i + 2] | (uint32_t)name[2 * i + 3] << 8 : 0;

        if (c == 0)
            break;
        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        } else if (c < ' ' || c == 0x7f || (c >= 0xd800 && c < 0xe000)) {
            c = '?';
        }
        out = put_utf8(out, c);
    }
    *out = '\0';
}
