/*
 * scsi_scan.c - finds logical units: one probe for each target that is looked at, many at a time.
 *
 * A probe asks its target for LUNs, then takes them one after the other: INQUIRY, TEST UNIT READY,
 * READ CAPACITY, vital product data, MODE SENSE. Each answer leads to the next step, so a wide scan costs little more
 * than a narrow one. It never waits and never allocates. SPC-5 6, SBC-4 5. Read scsi_disk.c for
 * what becomes of the findings.
 */
#include "blk/scsi_scan.h"

#include <errno.h>
#include <string.h>

#include "blk/scsi_disk.h"
#include "blk/scsi_sense.h"
#include "log.h"
#include "platform.h"

#define MAX_TARGETS 256u /* a target is one byte (VIRTIO 5.6.6.1) */
#define PROBES 32u
#define BUFFER_SIZE 2048u
#define MAX_LUNS ((BUFFER_SIZE - 8) / 8)
/* These commands are answered from memory; what takes longer is stuck. */
#define COMMAND_TIMEOUT_NS UINT64_C(5000000000)

#define INQUIRY_SIZE 36u
#define CAPACITY_16_SIZE 32u
#define CAPACITY_10_SIZE 8u
#define MODE_SIZE 252u
#define PAGE_SIZE_MAX 252u

enum step {
    REPORT_LUNS,
    INQUIRY,
    TEST_UNIT_READY,
    CAPACITY_16,
    CAPACITY_10,
    PAGE_LIST,
    PAGE_LIMITS,
    PAGE_PROVISIONING,
    MODE_SENSE
};

struct probe {
    /* First, because the device writes it. */
    uint8_t buffer[BUFFER_SIZE] __attribute__((aligned(64)));
    struct scsi_command command;
    struct scsi_host *host;
    bool active;
    bool overdue; /* the reset that is coming is about this one */
    enum step step;
    unsigned target;
    uint16_t lun[MAX_LUNS];
    unsigned luns, at;
    uint32_t length;  /* bytes of the answer in buffer */
    bool provisioned; /* it may free blocks that nobody needs, and its pages say how */
    struct scsi_disk_facts facts;
};

struct scsi_scan {
    bool wanted[MAX_TARGETS], silent[MAX_TARGETS];
    unsigned wanted_count, active;
    struct probe probe[PROBES];
};

static uint64_t get_be(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *from++;
    return value;
}

/* ---- sending ---- */

static void answered(struct scsi_command *command, const struct scsi_result *result);

static void finish(struct probe *probe)
{
    probe->active = false;
    probe->host->scan->active--;
}

static uint32_t build_page(uint8_t *cdb, uint8_t page)
{
    cdb[0] = 0x12;
    cdb[1] = 0x01;
    cdb[2] = page;
    cdb[4] = PAGE_SIZE_MAX;
    return PAGE_SIZE_MAX;
}

static uint32_t build(struct probe *probe, uint8_t *cdb)
{
    switch (probe->step) {
    case REPORT_LUNS:
        cdb[0] = 0xa0;
        cdb[8] = BUFFER_SIZE >> 8;
        return BUFFER_SIZE;
    case INQUIRY:
        cdb[0] = 0x12;
        cdb[4] = INQUIRY_SIZE;
        return INQUIRY_SIZE;
    case CAPACITY_16:
        cdb[0] = 0x9e;
        cdb[1] = 0x10;
        cdb[13] = CAPACITY_16_SIZE;
        return CAPACITY_16_SIZE;
    case CAPACITY_10:
        cdb[0] = 0x25;
        return CAPACITY_10_SIZE;
    case PAGE_LIST:
        return build_page(cdb, SCSI_PAGE_LIST);
    case PAGE_LIMITS:
        return build_page(cdb, SCSI_PAGE_LIMITS);
    case PAGE_PROVISIONING:
        return build_page(cdb, SCSI_PAGE_PROVISIONING);
    case MODE_SENSE:
        cdb[0] = 0x1a;
        cdb[2] = 0x3f; /* all pages: there is none that everybody has */
        cdb[4] = MODE_SIZE;
        return MODE_SIZE;
    default: /* TEST UNIT READY is all zeroes */
        return 0;
    }
}

static void ask(struct probe *probe, enum step step)
{
    struct scsi_command *command = &probe->command;

    probe->step = step;
    memset(command, 0, sizeof(*command));
    memset(probe->buffer, 0, sizeof(probe->buffer));
    command->target = (uint8_t)probe->target;
    command->lun = step == REPORT_LUNS ? 0 : probe->lun[probe->at];
    command->disk = scsi_disk_find(probe->host, command->target, command->lun);
    command->done = answered;
    command->owner = probe;
    command->length = build(probe, command->cdb);
    command->data = command->length > 0 ? SCSI_DATA_IN : SCSI_NO_DATA;
    command->segments = command->length > 0;
    command->sg[0] = (struct virtqueue_sg){probe->buffer, command->length};
    scsi_host_wait(probe->host, command, 0);
}

static void next_unit(struct probe *probe)
{
    if (++probe->at < probe->luns)
        ask(probe, INQUIRY);
    else
        finish(probe);
}

/* ---- answers ---- */

/* Disks of the target that it does not list any more. */
static void drop_unlisted(struct probe *probe)
{
    struct scsi_disk *disk;
    unsigned i;

    for (disk = probe->host->disks; disk; disk = disk->next) {
        if (disk->target != probe->target || disk->leaving)
            continue;
        for (i = 0; i < probe->luns && probe->lun[i] != disk->lun; i++)
            ;
        if (i == probe->luns)
            scsi_disk_leave(disk, "the target does not list it any more");
    }
}

/* One entry of the list (SAM-5 4.7): peripheral device or flat space addressing, one level. */
static void take_lun(struct probe *probe, const uint8_t *entry)
{
    unsigned method = entry[0] >> 6, lun = (unsigned)get_be(entry, 2) & 0x3fff;

    if (method > 1 || (method == 0 && lun > 0xff) || get_be(entry + 2, 6) != 0 ||
        lun > probe->host->max_lun) {
        log_warn("%s: target %u: logical unit %016llx has an address that is not supported",
                 probe->host->name, probe->target, (unsigned long long)get_be(entry, 8));
        return;
    }
    probe->lun[probe->luns++] = (uint16_t)lun;
}

static void take_luns(struct probe *probe)
{
    uint32_t listed = (uint32_t)get_be(probe->buffer, 4) / 8, i;

    probe->luns = 0;
    if (probe->length < 8)
        listed = 0;
    if (listed > MAX_LUNS)
        log_warn("%s: target %u: the first %u of %u logical units are used", probe->host->name,
                 probe->target, MAX_LUNS, listed);
    for (i = 0; i < listed && 16 + i * 8 <= probe->length; i++)
        take_lun(probe, probe->buffer + 8 + i * 8);
    if (listed <= MAX_LUNS)
        drop_unlisted(probe);
    probe->at = 0;
    if (probe->luns > 0)
        ask(probe, INQUIRY);
    else
        finish(probe);
}

/* Vendor and product (SPC-5 6.6.2), as one line that is safe to print. */
static void take_identity(struct probe *probe)
{
    char *text = probe->facts.identity;
    unsigned n = 0, i;

    for (i = 8; i < 32; i++) {
        uint8_t c = probe->buffer[i];

        if (c <= ' ' || c > '~')
            c = ' ';
        if (c != ' ' || (n > 0 && text[n - 1] != ' '))
            text[n++] = (char)c;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
}

static const char *type_name(unsigned type)
{
    static const char *const names[] = {
        [0x01] = "tape",         [0x02] = "printer",     [0x03] = "processor",
        [0x04] = "write-once",   [0x05] = "CD-ROM",      [0x06] = "scanner",
        [0x07] = "optical disk", [0x08] = "changer",     [0x0c] = "storage array",
        [0x0d] = "enclosure",    [0x0e] = "simple disk", [0x14] = "zoned disk",
    };

    return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "unknown type";
}

static void gone(struct probe *probe, const char *reason)
{
    struct scsi_disk *disk = scsi_disk_find(probe->host, probe->target, probe->lun[probe->at]);

    if (disk)
        scsi_disk_leave(disk, reason);
}

static void take_inquiry(struct probe *probe)
{
    unsigned type = probe->buffer[0] & 0x1f, qualifier = probe->buffer[0] >> 5;

    memset(&probe->facts, 0, sizeof(probe->facts));
    take_identity(probe);
    /* SPC-5 6.6.2: anything but 0 says that nothing is connected at this number. */
    if (qualifier != 0 || probe->length < 5) {
        gone(probe, "nothing is connected any more");
        next_unit(probe);
    } else if (type != 0) {
        gone(probe, "it is no disk any more");
        log_info("%s: target %u LUN %u: %s (type %02xh, %s): left alone", probe->host->name,
                 probe->target, probe->lun[probe->at], type_name(type), type,
                 probe->facts.identity);
        next_unit(probe);
    } else {
        ask(probe, TEST_UNIT_READY);
    }
}

static void refuse(struct probe *probe, const char *reason)
{
    gone(probe, reason);
    log_error("%s: target %u LUN %u: %s: left alone", probe->host->name, probe->target,
              probe->lun[probe->at], reason);
    next_unit(probe);
}

static void take_capacity(struct probe *probe, unsigned width)
{
    uint64_t last = get_be(probe->buffer, width);
    uint32_t size = (uint32_t)get_be(probe->buffer + width, 4);

    if (probe->length < width + 4) {
        refuse(probe, "its capacity is missing");
        return;
    }
    if (size < BLK_SECTOR_SIZE || size > 65536 || (size & (size - 1))) {
        log_error("%s: target %u LUN %u: blocks of %u bytes", probe->host->name, probe->target,
                  probe->lun[probe->at], size);
        refuse(probe, "its block size is not supported");
        return;
    }
    if (last == (width == 4 ? UINT32_MAX : UINT64_MAX) || last >= UINT64_MAX / size) {
        refuse(probe, "its capacity makes no sense");
        return;
    }
    probe->facts.blocks = last + 1;
    probe->facts.block_size = size;
    probe->facts.short_commands = width == 4;
    /* LBPME (SBC-4 5.20.2). */
    probe->provisioned = width == 8 && probe->length > 14 && (probe->buffer[14] & 0x80);
    /* A unit that knows the 10-byte commands only has no pages of interest. */
    ask(probe, width == 4 ? MODE_SENSE : PAGE_LIST);
}

static void take_page_list(struct probe *probe)
{
    bool limits = scsi_range_has_page(probe->buffer, probe->length, SCSI_PAGE_LIMITS);

    if (!scsi_range_has_page(probe->buffer, probe->length, SCSI_PAGE_PROVISIONING))
        probe->provisioned = false;
    ask(probe, limits ? PAGE_LIMITS : MODE_SENSE);
}

static void bad_page(struct probe *probe, const char *name)
{
    log_warn("%s: target %u LUN %u: its page of %s makes no sense: not used", probe->host->name,
             probe->target, probe->lun[probe->at], name);
}

static void take_page_limits(struct probe *probe)
{
    bool good = scsi_range_take_limits(&probe->facts.ranges, probe->buffer, probe->length);

    if (!good)
        bad_page(probe, "block limits");
    ask(probe, good && probe->provisioned ? PAGE_PROVISIONING : MODE_SENSE);
}

static void take_page_provisioning(struct probe *probe)
{
    if (!scsi_range_take_provisioning(&probe->facts.ranges, probe->buffer, probe->length))
        bad_page(probe, "logical block provisioning");
    ask(probe, MODE_SENSE);
}

/* Caching page (SBC-4 6.5.5) in a MODE SENSE (6) answer: is there a write cache? Without the page,
 * maybe. */
static bool has_write_cache(const uint8_t *data, uint32_t length)
{
    uint32_t at = length >= 4 ? 4u + data[3] : length;

    while (at + 2 <= length) {
        bool subpage = data[at] & 0x40;
        uint32_t header = subpage ? 4 : 2;

        if (at + header > length)
            break;
        if (!subpage && (data[at] & 0x3f) == 0x08 && at + 3 <= length)
            return data[at + 2] & 0x04;
        at += header + (subpage ? (uint32_t)get_be(data + at + 2, 2) : data[at + 1]);
    }
    return true;
}

static void take_mode(struct probe *probe)
{
    uint32_t length = probe->buffer[0] + 1u;

    if (length > probe->length)
        length = probe->length;
    probe->facts.read_only = length >= 3 && (probe->buffer[2] & 0x80);
    probe->facts.write_cache = has_write_cache(probe->buffer, length);
    scsi_disk_found(probe->host, probe->target, probe->lun[probe->at], &probe->facts);
    next_unit(probe);
}

static void take(struct probe *probe)
{
    switch (probe->step) {
    case REPORT_LUNS:
        take_luns(probe);
        break;
    case INQUIRY:
        take_inquiry(probe);
        break;
    case TEST_UNIT_READY:
        ask(probe, CAPACITY_16);
        break;
    case CAPACITY_16:
        take_capacity(probe, 8);
        break;
    case CAPACITY_10:
        take_capacity(probe, 4);
        break;
    case PAGE_LIST:
        take_page_list(probe);
        break;
    case PAGE_LIMITS:
        take_page_limits(probe);
        break;
    case PAGE_PROVISIONING:
        take_page_provisioning(probe);
        break;
    case MODE_SENSE:
        take_mode(probe);
        break;
    }
}

/* ---- errors ---- */

static void target_is_gone(struct probe *probe)
{
    probe->luns = 0;
    drop_unlisted(probe);
    finish(probe);
}

static void log_failure(const struct probe *probe, const struct scsi_verdict *verdict)
{
    static const char *const names[] = {
        [REPORT_LUNS] = "REPORT LUNS",   [INQUIRY] = "INQUIRY",
        [TEST_UNIT_READY] = "not ready", [CAPACITY_16] = "READ CAPACITY",
        [CAPACITY_10] = "READ CAPACITY", [PAGE_LIST] = "INQUIRY",
        [PAGE_LIMITS] = "INQUIRY",       [PAGE_PROVISIONING] = "INQUIRY",
        [MODE_SENSE] = "MODE SENSE",
    };
    char reason[SCSI_REASON_SIZE];

    scsi_reason(verdict, reason, sizeof(reason));
    log_warn("%s: target %u LUN %u: %s: %s", probe->host->name, probe->target, probe->command.lun,
             names[probe->step], reason);
}

/* Goes on without an answer. What it does not know of, a unit may leave out (SPC-5 4.4.8). */
static void do_without(struct probe *probe, const struct scsi_verdict *verdict)
{
    bool not_known = verdict->sense.valid && verdict->sense.key == 0x5;

    if (probe->step == REPORT_LUNS && verdict->error == -ENODEV) {
        target_is_gone(probe);
    } else if (probe->step == REPORT_LUNS && not_known) {
        probe->lun[0] = 0;
        probe->luns = 1;
        probe->at = 0;
        ask(probe, INQUIRY);
    } else if (probe->step == REPORT_LUNS) {
        log_failure(probe, verdict);
        finish(probe);
    } else if (verdict->error == -ENODEV) {
        gone(probe, "it does not answer any more");
        next_unit(probe);
    } else if (probe->step == CAPACITY_16 && not_known) {
        ask(probe, CAPACITY_10);
    } else if (probe->step >= PAGE_LIST && probe->step <= PAGE_PROVISIONING && not_known) {
        ask(probe, MODE_SENSE);
    } else if (probe->step == MODE_SENSE && not_known) {
        probe->buffer[0] = 0;
        probe->length = 0;
        take_mode(probe);
    } else {
        log_failure(probe, verdict);
        next_unit(probe);
    }
}

static void give_up_target(struct probe *probe)
{
    log_error("%s: target %u LUN %u: does not answer: not asked again", probe->host->name,
              probe->target, probe->command.lun);
    probe->overdue = false;
    probe->host->scan->silent[probe->target] = true;
    finish(probe);
}

static void answered(struct scsi_command *command, const struct scsi_result *result)
{
    struct probe *probe = command->owner;
    struct scsi_verdict verdict;

    if (probe->overdue) {
        give_up_target(probe);
        return;
    }
    /* The adapter ends, or starts anew, and then looks at everything. */
    if (result->error == -ECONNRESET) {
        finish(probe);
        return;
    }
    scsi_judge(result, &verdict);
    if (verdict.action != SCSI_DONE &&
        scsi_host_retry(probe->host, command, verdict.action == SCSI_LATER))
        return;
    probe->length = command->length - result->residual;
    if (verdict.error || verdict.action != SCSI_DONE)
        do_without(probe, &verdict);
    else
        take(probe);
}

/* ---- the scan ---- */

int scsi_scan_init(struct scsi_host *host)
{
    unsigned i;

    host->scan = platform_dma_alloc(sizeof(*host->scan), 64);
    if (!host->scan)
        return -ENOMEM;
    for (i = 0; i < PROBES; i++)
        host->scan->probe[i].host = host;
    return 0;
}

void scsi_scan_finish(struct scsi_host *host)
{
    if (host->scan)
        platform_dma_free(host->scan, sizeof(*host->scan));
    host->scan = NULL;
}

static void want(struct scsi_scan *scan, unsigned target)
{
    scan->wanted_count += !scan->wanted[target];
    scan->wanted[target] = true;
}

void scsi_scan_target(struct scsi_host *host, unsigned target)
{
    if (target > host->max_target || target >= MAX_TARGETS)
        return;
    host->scan->silent[target] = false;
    want(host->scan, target);
}

void scsi_scan_all(struct scsi_host *host)
{
    unsigned target;

    for (target = 0; target <= host->max_target && target < MAX_TARGETS; target++)
        if (!host->scan->silent[target])
            want(host->scan, target);
}

static bool is_being_probed(const struct scsi_scan *scan, unsigned target)
{
    unsigned i;

    for (i = 0; i < PROBES; i++)
        if (scan->probe[i].active && scan->probe[i].target == target)
            return true;
    return false;
}

static unsigned start_probes(struct scsi_scan *scan)
{
    unsigned target, started = 0, i = 0;

    for (target = 0; scan->wanted_count > 0 && target < MAX_TARGETS; target++) {
        if (!scan->wanted[target] || is_being_probed(scan, target))
            continue;
        while (i < PROBES && scan->probe[i].active)
            i++;
        if (i == PROBES)
            break;
        scan->wanted[target] = false;
        scan->wanted_count--;
        scan->active++;
        scan->probe[i].active = true;
        scan->probe[i].overdue = false;
        scan->probe[i].target = target;
        ask(&scan->probe[i], REPORT_LUNS);
        started++;
    }
    return started;
}

static bool is_overdue(const struct probe *probe, uint64_t now)
{
    return probe->active && probe->command.slot &&
           now - probe->command.given_ns >= COMMAND_TIMEOUT_NS;
}

bool scsi_scan_is_overdue(const struct scsi_host *host)
{
    uint64_t now = platform_now_ns();
    unsigned i;

    for (i = 0; i < PROBES; i++)
        if (is_overdue(&host->scan->probe[i], now))
            return true;
    return false;
}

void scsi_scan_end_overdue(struct scsi_host *host)
{
    uint64_t now = platform_now_ns();
    unsigned i;

    for (i = 0; i < PROBES; i++)
        host->scan->probe[i].overdue = is_overdue(&host->scan->probe[i], now);
    scsi_host_reset(host, NULL, "a logical unit does not answer");
}

unsigned scsi_scan_poll(struct scsi_host *host)
{
    unsigned work = start_probes(host->scan);

    return work + scsi_disks_settle(host, scsi_scan_is_idle(host));
}

bool scsi_scan_is_idle(const struct scsi_host *host)
{
    return host->scan->active == 0 && host->scan->wanted_count == 0;
}

uint64_t scsi_scan_deadline(const struct scsi_host *host)
{
    uint64_t deadline = PLATFORM_NO_DEADLINE;
    unsigned i;

    for (i = 0; i < PROBES; i++) {
        const struct probe *probe = &host->scan->probe[i];

        if (probe->active && probe->command.slot &&
            probe->command.given_ns + COMMAND_TIMEOUT_NS < deadline)
            deadline = probe->command.given_ns + COMMAND_TIMEOUT_NS;
    }
    return deadline;
}
