/*
 * scsi_sense.h - what the end of a SCSI command means: decoding of sense data, and what to do next.
 *
 * Pure functions over bytes that a device wrote; any bytes are fine. SPC-5 4.4 and SAM-5 5.3. Read
 * scsi_disk.c for who asks.
 */
#ifndef FERRULE_BLK_SCSI_SENSE_H
#define FERRULE_BLK_SCSI_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blk/scsi_host.h"

struct scsi_sense {
    bool valid;        /* there was any that can be read */
    bool deferred;     /* it is about an earlier command */
    uint8_t key;       /* SPC-5 4.4.8 */
    uint8_t asc, ascq; /* additional sense code and qualifier */
};

/* Reads fixed (70h, 71h) and descriptor (72h, 73h) format; `len` bytes are there. */
void scsi_sense_decode(const uint8_t *data, size_t len, struct scsi_sense *sense);

enum scsi_action {
    SCSI_DONE,  /* `error` is the end of it */
    SCSI_AGAIN, /* the same command once more, at once */
    SCSI_LATER, /* the same command once more, after a pause */
};

struct scsi_verdict {
    enum scsi_action action;
    /*
     * 0, or a negative errno as block.h has them, also what remains when trying again does not help;
     * and -ENODEV: there is no such unit (any more).
     */
    int error;
    struct scsi_sense sense; /* of a CHECK CONDITION */
    const char *what;        /* in words when there is no sense data; NULL otherwise */
    bool unit_changed;       /* capacity, mode or identity may be different now */
    bool units_changed;      /* units may have come or gone */
    bool unknown_command;    /* the unit does not know this operation code */
};

void scsi_judge(const struct scsi_result *result, struct scsi_verdict *verdict);

/* The reason of a verdict for a log line: "MEDIUM ERROR, unrecovered read error (3/11/00)". */
#define SCSI_REASON_SIZE 80
void scsi_reason(const struct scsi_verdict *verdict, char *text, size_t size);

#endif
