/*
 * scsi_scan.h - which logical units an adapter has: REPORT LUNS, INQUIRY and what follows, for many
 * targets at a time, at boot and whenever something may have changed.
 *
 * What is found goes to scsi_disk.h. A scan runs in the background; scsi_scan_poll() drives it.
 * Loop context.
 */
#ifndef FERRULE_BLK_SCSI_SCAN_H
#define FERRULE_BLK_SCSI_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/scsi_host.h"

/* 0 or -ENOMEM. At the end no command may be under way. */
int scsi_scan_init(struct scsi_host *host);
void scsi_scan_finish(struct scsi_host *host);

/*
 * Asks for a scan of one target, or of all but those that did not answer within their time before;
 * again after it when it is being scanned already. Any number is fine.
 */
void scsi_scan_target(struct scsi_host *host, unsigned target);
void scsi_scan_all(struct scsi_host *host);

/* Starts what was asked for, and hands over what a finished scan found. Returns the work done. */
unsigned scsi_scan_poll(struct scsi_host *host);

/* A unit has not answered in time; and the end of that: a reset of the adapter. */
bool scsi_scan_is_overdue(const struct scsi_host *host);
void scsi_scan_end_overdue(struct scsi_host *host);

bool scsi_scan_is_idle(const struct scsi_host *host);

/* When scsi_scan_poll() wants to run even without a notification. */
uint64_t scsi_scan_deadline(const struct scsi_host *host);

#endif
