/*
 * scsi_sense.c - tables and rules behind scsi_sense.h.
 *
 * Owns the mapping from status, sense key and additional sense code to "done", "again" or "later"
 * and to an errno. It keeps no state and touches no device. SPC-5 4.4, SAM-5 5.3. Read scsi_disk.c
 * next.
 */
#include "blk/scsi_sense.h"

#include <errno.h>
#include <string.h>

#include "log.h"

enum {
    STATUS_GOOD = 0x00,
    STATUS_CHECK_CONDITION = 0x02,
    STATUS_CONDITION_MET = 0x04,
    STATUS_BUSY = 0x08,
    STATUS_RESERVATION_CONFLICT = 0x18,
    STATUS_TASK_SET_FULL = 0x28,
    STATUS_ACA_ACTIVE = 0x30,
    STATUS_TASK_ABORTED = 0x40,
};

enum {
    KEY_NO_SENSE = 0x0,
    KEY_RECOVERED_ERROR = 0x1,
    KEY_NOT_READY = 0x2,
    KEY_ILLEGAL_REQUEST = 0x5,
    KEY_UNIT_ATTENTION = 0x6,
    KEY_DATA_PROTECT = 0x7,
    KEY_ABORTED_COMMAND = 0xb,
};

#define CODE(asc, ascq) ((asc) << 8 | (ascq))

static const char *const key_names[16] = {
    "NO SENSE",       "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
    "HARDWARE ERROR", "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
    "BLANK CHECK",    "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
    "reserved key",   "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED",
};

/* The codes that a disk of a virtual machine is likely to answer; others stand as numbers. */
static const struct {
    uint16_t code;
    const char *text;
} code_names[] = {
    {CODE(0x00, 0x06), "I/O process terminated"},
    {CODE(0x04, 0x01), "becoming ready"},
    {CODE(0x04, 0x02), "needs to be started"},
    {CODE(0x0c, 0x00), "write error"},
    {CODE(0x11, 0x00), "unrecovered read error"},
    {CODE(0x20, 0x00), "unknown operation code"},
    {CODE(0x21, 0x00), "block address out of range"},
    {CODE(0x24, 0x00), "invalid field in the command"},
    {CODE(0x25, 0x00), "no such logical unit"},
    {CODE(0x27, 0x00), "write protected"},
    {CODE(0x27, 0x07), "out of space"},
    {CODE(0x28, 0x00), "the medium may have changed"},
    {CODE(0x29, 0x00), "power on or reset"},
    {CODE(0x2a, 0x01), "mode parameters changed"},
    {CODE(0x2a, 0x09), "capacity changed"},
    {CODE(0x3a, 0x00), "no medium"},
    {CODE(0x3f, 0x03), "inquiry data changed"},
    {CODE(0x3f, 0x0e), "logical units changed"},
    {CODE(0x44, 0x00), "internal failure of the target"},
};

void scsi_sense_decode(const uint8_t *data, size_t len, struct scsi_sense *sense)
{
    uint8_t format = len > 0 ? data[0] & 0x7f : 0;

    memset(sense, 0, sizeof(*sense));
    if ((format == 0x70 || format == 0x71) && len >= 3) {
        sense->valid = true;
        sense->deferred = format == 0x71;
        sense->key = data[2] & 0x0f;
        sense->asc = len > 12 ? data[12] : 0;
        sense->ascq = len > 13 ? data[13] : 0;
    } else if ((format == 0x72 || format == 0x73) && len >= 4) {
        sense->valid = true;
        sense->deferred = format == 0x73;
        sense->key = data[1] & 0x0f;
        sense->asc = data[2];
        sense->ascq = data[3];
    }
}

/* ---- what to do ---- */

static void set(struct scsi_verdict *verdict, enum scsi_action action, int error, const char *what)
{
    verdict->action = action;
    verdict->error = error;
    verdict->what = what;
}

static void judge_not_ready(struct scsi_verdict *verdict)
{
    bool coming = CODE(verdict->sense.asc, verdict->sense.ascq) == CODE(0x04, 0x01);

    set(verdict, coming ? SCSI_LATER : SCSI_DONE, -EIO, NULL);
}

static void judge_illegal_request(struct scsi_verdict *verdict)
{
    verdict->error = -EIO;
    if (verdict->sense.asc == 0x20) {
        verdict->error = -ENOTSUP;
        verdict->unknown_command = true;
    } else if (verdict->sense.asc == 0x21) {
        /* It has become smaller than we know. */
        verdict->error = -EINVAL;
        verdict->unit_changed = true;
    } else if (verdict->sense.asc == 0x25) {
        verdict->error = -ENODEV;
        verdict->units_changed = true;
    }
}

/* SAM-5 5.14: news that the unit had to tell before anything else; the command was not executed. */
static void judge_unit_attention(struct scsi_verdict *verdict)
{
    uint8_t asc = verdict->sense.asc, ascq = verdict->sense.ascq;

    set(verdict, SCSI_AGAIN, -EIO, NULL);
    verdict->units_changed = asc == 0x3f && ascq == 0x0e;
    verdict->unit_changed = asc == 0x28 || asc == 0x2a || (asc == 0x3f && ascq != 0x0e);
}

static void judge_sense(const struct scsi_result *result, struct scsi_verdict *verdict)
{
    scsi_sense_decode(result->sense, result->sense_len, &verdict->sense);
    if (!verdict->sense.valid) {
        set(verdict, SCSI_AGAIN, -EIO, "an error without sense data");
        return;
    }
    /* An earlier write is lost; nobody is left to be told but the one who asks now. */
    set(verdict, SCSI_DONE, -EIO, NULL);
    if (verdict->sense.deferred)
        return;
    switch (verdict->sense.key) {
    case KEY_NO_SENSE:
    case KEY_RECOVERED_ERROR:
        verdict->error = 0;
        break;
    case KEY_NOT_READY:
        judge_not_ready(verdict);
        break;
    case KEY_ILLEGAL_REQUEST:
        judge_illegal_request(verdict);
        break;
    case KEY_UNIT_ATTENTION:
        judge_unit_attention(verdict);
        break;
    case KEY_DATA_PROTECT:
        /* SBC-4 4.7.3.6: a thin disk that ran out of space says so with this key, too. */
        verdict->error = verdict->sense.asc == 0x27 && verdict->sense.ascq != 0x07 ? -EROFS : -EIO;
        break;
    case KEY_ABORTED_COMMAND:
        verdict->action = SCSI_AGAIN;
        break;
    default:
        break;
    }
}

static void judge_status(const struct scsi_result *result, struct scsi_verdict *verdict)
{
    switch (result->status) {
    case STATUS_GOOD:
    case STATUS_CONDITION_MET:
        set(verdict, SCSI_DONE, 0, NULL);
        break;
    case STATUS_CHECK_CONDITION:
        judge_sense(result, verdict);
        break;
    case STATUS_BUSY:
        set(verdict, SCSI_LATER, -EIO, "the unit stays busy");
        break;
    case STATUS_TASK_SET_FULL:
        set(verdict, SCSI_LATER, -EIO, "the unit's task set stays full");
        break;
    case STATUS_RESERVATION_CONFLICT:
        set(verdict, SCSI_DONE, -EIO, "reserved by another initiator");
        break;
    case STATUS_ACA_ACTIVE:
    case STATUS_TASK_ABORTED:
        set(verdict, SCSI_AGAIN, -EIO, "aborted by the unit");
        break;
    default:
        set(verdict, SCSI_DONE, -EIO, "a status that does not exist");
        break;
    }
}

void scsi_judge(const struct scsi_result *result, struct scsi_verdict *verdict)
{
    memset(verdict, 0, sizeof(*verdict));
    switch (result->error) {
    case 0:
        judge_status(result, verdict);
        break;
    case -ENODEV:
        set(verdict, SCSI_DONE, -ENODEV, result->what);
        verdict->units_changed = true;
        break;
    case -EBUSY:
        set(verdict, SCSI_LATER, -EIO, result->what);
        break;
    case -EAGAIN:
    case -ECANCELED:
        set(verdict, SCSI_AGAIN, -EIO, result->what);
        break;
    default:
        set(verdict, SCSI_DONE, -EIO, result->what);
        break;
    }
}

/* ---- in words ---- */

void scsi_reason(const struct scsi_verdict *verdict, char *text, size_t size)
{
    const struct scsi_sense *sense = &verdict->sense;
    const char *name = NULL;
    unsigned i;

    if (verdict->what || !sense->valid) {
        format_text(text, size, "%s", verdict->what ? verdict->what : "no reason");
        return;
    }
    for (i = 0; i < sizeof(code_names) / sizeof(code_names[0]); i++)
        if (code_names[i].code == CODE(sense->asc, sense->ascq))
            name = code_names[i].text;
    format_text(text, size, "%s%s%s%s (%x/%02x/%02x)", sense->deferred ? "earlier command: " : "",
                key_names[sense->key], name ? ", " : "", name ? name : "", sense->key, sense->asc,
                sense->ascq);
}
