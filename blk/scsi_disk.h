/*
 * scsi_disk.h - SCSI disks as block devices: requests as commands (SBC-4).
 *
 * What is at an address is found out by scsi_scan.c, which reports it here; how commands travel is
 * scsi_host.h's. A disk that has left keeps its structure until the adapter goes, because whoever
 * holds its address (a mounted file system) may go on asking; it gets -EIO. Loop context.
 */
#ifndef FERRULE_BLK_SCSI_DISK_H
#define FERRULE_BLK_SCSI_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/block.h"
#include "blk/scsi_host.h"
#include "blk/scsi_range.h"

#define SCSI_IDENTITY_SIZE 32

/* What a scan found out about a logical unit that is a disk. */
struct scsi_disk_facts {
    uint64_t blocks;
    uint32_t block_size; /* bytes */
    bool read_only;
    bool write_cache;    /* it has one that loses data with the power, or may have */
    bool short_commands; /* it does not know the 16-byte forms */
    struct scsi_ranges ranges;
    char identity[SCSI_IDENTITY_SIZE];
};

struct scsi_disk {
    struct blk_device block;
    struct scsi_host *host;
    uint8_t target;
    uint16_t lun;
    bool listed;  /* the block layer has it */
    bool orphan;  /* its adapter is gone, but somebody has a claim on it */
    bool leaving; /* it takes nothing new, and goes when its last part came back */
    bool short_commands;
    struct scsi_ranges ranges;
    bool refused[BLK_OPS]; /* ranges: it does not know them after all */
    char identity[SCSI_IDENTITY_SIZE];
    unsigned in_flight; /* commands that the device has; kept by the adapter */
    unsigned parts;     /* of requests, with the device or waiting */
    unsigned complaints;
    struct scsi_disk *next;
};

/* 0 or -ENOMEM. The end takes all disks off the block layer; no command may be under way. */
int scsi_disks_init(struct scsi_host *host);
void scsi_disks_finish(struct scsi_host *host);

/* The adapter goes, and still works: so do its disks. */
void scsi_disks_leave(struct scsi_host *host);

/* The disk at an address, or NULL; one that leaves does not count. */
struct scsi_disk *scsi_disk_find(struct scsi_host *host, unsigned target, unsigned lun);

/*
 * The disk at an address is like this: makes it, or brings what is known of it up to date. A new
 * one is seen by the block layer after the next scsi_disks_settle() with `publish`, so that names
 * follow addresses and not the order of answers.
 */
void scsi_disk_found(struct scsi_host *host, unsigned target, unsigned lun,
                     const struct scsi_disk_facts *facts);

/* It is not there any more. */
void scsi_disk_leave(struct scsi_disk *disk, const char *reason);

/* Adds new disks (if `publish`) and removes those whose time is over. Not while one of them is
 * polled. Returns how many. */
unsigned scsi_disks_settle(struct scsi_host *host, bool publish);

#endif
