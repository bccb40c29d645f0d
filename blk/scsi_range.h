/*
 * scsi_range.h - ranges of a SCSI disk that are discarded or zeroed: UNMAP and WRITE SAME (16).
 *
 * Owns what a logical unit says about them (the vital product data pages Block Limits and Logical
 * Block Provisioning, SBC-4 6.6.4 and 6.6.6) and the making of the commands (5.27, 5.52). Knows no
 * adapter. Who asks for the pages is scsi_scan.c; read scsi_disk.c for who sends the commands.
 */
#ifndef FERRULE_BLK_SCSI_RANGE_H
#define FERRULE_BLK_SCSI_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/block.h"
#include "blk/scsi_host.h"

#define SCSI_PAGE_LIST 0x00
#define SCSI_PAGE_LIMITS 0xb0
#define SCSI_PAGE_PROVISIONING 0xb2
/* Larger blocks are not zeroed by command: there is one block of zeros of this size. */
#define SCSI_ZEROS_SIZE 4096u
#define SCSI_UNMAP_LIST_SIZE 24u

/* All lengths in logical blocks. All zeroes: nothing is known, and no range is sent. */
struct scsi_ranges {
    uint32_t max_transfer; /* in one read or write; 0: no limit was told */
    uint32_t max_unmap;    /* in one UNMAP */
    uint32_t max_same;     /* in one WRITE SAME */
    uint32_t granularity;  /* what is freed begins and ends at multiples of this; 0: anywhere */
    bool unmap;            /* UNMAP is known */
    bool same_unmaps;      /* WRITE SAME (16) may free what it zeroes */
    bool reads_zeroes;     /* what was freed reads as zeros */
};

/* Is `page` in the list of pages that was answered? */
bool scsi_range_has_page(const uint8_t *answer, uint32_t length, uint8_t page);

/*
 * Take what a page says, checked. False: the answer is no such page, or too short for one, and
 * nothing was taken.
 */
bool scsi_range_take_limits(struct scsi_ranges *ranges, const uint8_t *answer, uint32_t length);
bool scsi_range_take_provisioning(struct scsi_ranges *ranges, const uint8_t *answer,
                                  uint32_t length);

/* Sets the limits of a disk that ranges have, and lowers max_sectors to what the unit takes. */
void scsi_range_set_limits(const struct scsi_ranges *ranges, uint32_t block_size,
                           struct blk_limits *limits);

/*
 * Makes a command of a part that is a range: CDB and data, which is in `list`
 * (SCSI_UNMAP_LIST_SIZE bytes of the command's own) or is `zeros`.
 */
void scsi_range_build(const struct scsi_ranges *ranges, uint32_t block_size,
                      const struct blk_part *part, struct scsi_command *command, uint8_t *list,
                      void *zeros);

#endif
