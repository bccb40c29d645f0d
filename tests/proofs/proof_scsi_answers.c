/*
 * proof_scsi_answers.c - answers of a logical unit that says anything, of any length: REPORT LUNS, READ
 * CAPACITY, mode pages and vital product data. Nothing is read beside what was written, no more is
 * taken than there is room for, and each walk ends.
 */
// unwind: 9
// variant luns: -DLUNS
// variant capacity: -DCAPACITY
// variant cache: -DCACHE
// variant pages: -DPAGES --unwindset scsi_range_has_page.0:22
// control luns: blk/scsi_scan.c: || get_be(entry + 2, 6) != 0 ||\n        lun > probe->host->max_lun) => )
// control luns: blk/scsi_scan.c: 16 + i * 8 <= probe->length => 8 + i * 8 <= probe->length
// control capacity: blk/scsi_scan.c: size > 65536 || (size & (size - 1)) => size > 65536
// control capacity: blk/scsi_scan.c: || last >= UINT64_MAX / size) => )
// control cache: blk/scsi_scan.c: if (at + header > length)\n            break; =>
// control cache: blk/scsi_scan.c: && at + 3 <= length) => )
// control pages: blk/scsi_range.c: told < length ? told : length => told
// control pages: blk/scsi_range.c: if (length < 44)\n        return true; =>
#include "proof.h"

#define memset(to, value, len) copy_checked(to, to, len)
#ifdef PAGES
#include "blk/scsi_range.c"
#else
#include "blk/scsi_scan.c"
#endif

#ifdef PAGES

static void check(void)
{
    uint32_t length = any_u8() % 64;
    uint8_t *answer = malloc(length);
    struct scsi_ranges ranges = {0};

    assume(length <= 24 || length >= 40);
    if (any_bool())
        assume(length <= 24), scsi_range_has_page(answer, length, any_u8());
    else if (scsi_range_take_limits(&ranges, answer, length))
        claim(length >= 16 && ranges.granularity <= ranges.max_unmap);
    scsi_range_take_provisioning(&ranges, answer, length);
}

#else

static struct scsi_scan scan;
static struct scsi_host host = {.scan = &scan};
static struct probe *probe;
static bool found;

void scsi_host_wait(struct scsi_host *of, struct scsi_command *command, uint64_t delay_ns)
{
    claim(of == &host && command == &probe->command && delay_ns == 0);
    claim(command->length <= sizeof(probe->buffer) && command->sg[0].data == probe->buffer);
}

struct scsi_disk *scsi_disk_find(struct scsi_host *of, unsigned target, unsigned lun)
{
    claim(of == &host);
    (void)target;
    (void)lun;
    return NULL;
}

bool scsi_host_retry(struct scsi_host *of, struct scsi_command *command, bool pause)
{
    (void)of;
    (void)command;
    (void)pause;
    return any_bool();
}

void scsi_disk_found(struct scsi_host *of, unsigned target, unsigned lun,
                     const struct scsi_disk_facts *facts)
{
    claim(of == &host);
    (void)target;
    (void)lun;
    claim(facts->block_size >= BLK_SECTOR_SIZE);
    found = true;
}

#if defined(LUNS)
static void check(void)
{
    unsigned i = any_unsigned();

    host.max_lun = any_u16() & 0x3fff;
    assume(probe->length <= 32);
    take_luns(probe);
    claim(probe->luns <= MAX_LUNS && probe->luns * 8 + 8 <= 32);
    if (i < probe->luns)
        claim(probe->lun[i] <= host.max_lun);
}
#elif defined(CAPACITY)
static void check(void)
{
    probe->luns = 1;
    probe->at = 0;
    probe->facts.blocks = 0;
    take_capacity(probe, any_bool() ? 4 : 8);
    if (probe->facts.blocks == 0)
        return;
    claim(probe->facts.block_size >= BLK_SECTOR_SIZE && probe->facts.block_size <= 65536);
    claim((probe->facts.block_size & (probe->facts.block_size - 1)) == 0);
    claim(probe->facts.blocks <= UINT64_MAX / probe->facts.block_size);
}
#else
static void check(void)
{
    uint32_t length = any_u8() % 16;
    const uint8_t *data = malloc(length);

    has_write_cache(data, length);
}
#endif
#endif

int main(void)
{
#ifndef PAGES
    struct probe any_probe;

    probe = &any_probe;
    probe->host = &host;
    assume(probe->length <= BUFFER_SIZE);
#endif
    check();
    return 0;
}
