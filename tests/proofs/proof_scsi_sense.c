/*
 * proof_scsi_sense.c - any bytes of sense data, of any length: none beyond them is read, and the
 * key is one that has a name.
 */
// share
// unwind: 40
// control: blk/scsi_sense.c: len > 12 ? data[12] : 0 => data[12]
// control: blk/scsi_sense.c: (format == 0x72 || format == 0x73) && len >= 4 => format == 0x72 || format == 0x73
// control: blk/scsi_sense.c: data[2] & 0x0f => data[2]
#include "proof.h"

#include "blk/scsi_sense.c"

int main(void)
{
    size_t len = any_u8();
    struct scsi_sense sense;
    uint8_t *data = malloc(len);

    scsi_sense_decode(data, len, &sense);
    claim(sense.key < sizeof(key_names) / sizeof(key_names[0]));
    claim(!sense.valid || len >= 3);
    return 0;
}
