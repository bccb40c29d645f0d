/*
 * proof_partition_gpt_fields.c - a label of any units of UTF-16 becomes UTF-8 within its room, with a
 * NUL at its end and no half of a surrogate pair in it. A GUID and a checksum are read within
 * theirs.
 */
// unwind: 17
// share
// variant label: -DPARTITION_LABEL_UNITS=3
// variant bytes: -DBYTES
// control label: blk/partition_gpt_fields.c: i + 1 < PARTITION_LABEL_UNITS ? => 1 ?
// control label: blk/partition_gpt_fields.c: (c >= 0xd800 && c < 0xe000) => 0
// control label: blk/partition_gpt_fields.c: low >= 0xdc00 && low => low
// control bytes: blk/partition_gpt_fields.c: while (len--) => while (len-- + 1)
#include "proof.h"

#include "blk/partition_gpt_fields.c"

int format_text(char *out, size_t size, const char *format, ...)
{
    (void)format;
    claim(size > 0 && __CPROVER_w_ok(out, size));
    return 0;
}

#ifdef BYTES
int main(void)
{
    size_t len = any_u8() % 8;
    uint8_t *data = malloc(len), *guid = malloc(PARTITION_GUID_SIZE);
    char text[PARTITION_UUID_SIZE];

    partition_crc32(data, len);
    partition_guid_text(text, guid);
    return 0;
}
#else
int main(void)
{
    uint8_t *name = malloc(2 * PARTITION_LABEL_UNITS);
    char *label = malloc(PARTITION_LABEL_SIZE);
    unsigned i = 0, more = 0;

    partition_label_text(label, name);
    for (i = 0; i < PARTITION_LABEL_SIZE && label[i]; i++) {
        uint8_t c = (uint8_t)label[i], next = (uint8_t)label[i + 1];

        claim(c >= ' ' && c != 0x7f);
        claim((c >> 6 == 2) == (more > 0));
        claim(c != 0xed || next < 0xa0);
        more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : more ? more - 1 : 0;
    }
    claim(i < PARTITION_LABEL_SIZE && more == 0);
    return 0;
}
#endif
