/*
 * scsi_host.h - SCSI commands, and the adapter that carries them to logical units.
 *
 * The seam between what a transport does (virtio_scsi.c: queues, responses, events) and what
 * commands mean (scsi_disk.c for reads and writes, scsi_scan.c for finding units). A command and
 * its data belong to the adapter from scsi_host_execute() or scsi_host_retry() until `done`, which
 * is called exactly once for it and may hand it over again. All of it runs in loop context. Read
 * scsi_sense.h next.
 */
#ifndef FERRULE_BLK_SCSI_HOST_H
#define FERRULE_BLK_SCSI_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtqueue.h"

#define SCSI_CDB_SIZE 16
#define SCSI_SENSE_SIZE 96
/* Pieces of data in one command at most; an adapter's limit may be lower. */
#define SCSI_MAX_SEGMENTS 32
/* Room for target and LUN as "target 255 LUN 16383". */
#define SCSI_ADDRESS_TEXT 24

struct scsi_disk;
struct scsi_disk_command;
struct scsi_scan;
struct scsi_slot;

/* How a command ended, copied out of what the device wrote and checked. */
struct scsi_result {
    /*
     * 0: the unit took the command, the rest tells. Else the adapter says: -ENODEV nobody is there,
     * -EBUSY later, -EAGAIN lost on the way, -ECANCELED taken back by a reset that was not about
     * this command, -ECONNRESET taken back for good, -EIO failed.
     */
    int error;
    const char *what;  /* the adapter's reason in words, when error is set */
    uint8_t status;    /* SAM-5 5.3.1 */
    uint32_t residual; /* bytes of the data that were not moved; at most the command's length */
    unsigned sense_len;
    uint8_t sense[SCSI_SENSE_SIZE];
};

enum scsi_data { SCSI_NO_DATA, SCSI_DATA_IN, SCSI_DATA_OUT };

struct scsi_command {
    uint8_t target;
    uint16_t lun;
    struct scsi_disk *disk; /* whose share of commands it counts into; NULL: nobody's */
    uint8_t cdb[SCSI_CDB_SIZE];
    enum scsi_data data;
    struct virtqueue_sg sg[SCSI_MAX_SEGMENTS];
    unsigned segments;
    uint32_t length; /* bytes in all segments */
    void (*done)(struct scsi_command *command, const struct scsi_result *result);
    void *owner; /* the caller's own */

    /* Private to the adapter, but for `attempts`, which a caller clears for a new command. */
    unsigned attempts;
    uint64_t due_ns;        /* while it waits: not before */
    uint64_t given_ns;      /* when the device got it */
    struct scsi_slot *slot; /* not NULL: the device has it */
    struct scsi_command *next;
};

struct scsi_host {
    const char *name; /* of the adapter, for log lines */
    /* What the adapter can do. */
    unsigned max_target, max_lun; /* highest numbers */
    unsigned commands;            /* that it takes at once */
    unsigned commands_per_unit;   /* that one logical unit takes at once */
    uint32_t max_segments;        /* 1..SCSI_MAX_SEGMENTS */
    uint32_t max_sectors;         /* of 512 bytes in one command */

    /* scsi_disk.c's: disks sorted by address, and commands for their requests. */
    struct scsi_disk *disks;
    struct scsi_disk_command *command_pool, *free_commands;
    void *zeros; /* SCSI_ZEROS_SIZE bytes that the device reads */
    /* scsi_scan.c's. */
    struct scsi_scan *scan;
};

/*
 * Gives a command to the device; scsi_host_kick() must follow a batch. 0; -ENOSPC: no room, or the
 * unit has its share; -EIO: the adapter was given up. On an error `done` is not called.
 */
int scsi_host_execute(struct scsi_host *host, struct scsi_command *command);

/* Puts a command into the line of those that the adapter executes when `delay_ns` is over. */
void scsi_host_wait(struct scsi_host *host, struct scsi_command *command, uint64_t delay_ns);

/*
 * Tries a command again: at once, or after a pause that grows when `pause` is set. False: it was
 * tried often enough, and is still the caller's.
 */
bool scsi_host_retry(struct scsi_host *host, struct scsi_command *command, bool pause);

void scsi_host_kick(struct scsi_host *host);

/*
 * Ends commands and executes those whose time has come; turns notifications off. The work done.
 * Work: `budget` commands that ended and those that wait, of which there are never more than the
 * ring and the pool of commands hold; a reset besides.
 */
unsigned scsi_host_poll(struct scsi_host *host, unsigned budget);

/* Turns notifications on; false: something ended meanwhile, poll again. */
bool scsi_host_arm(struct scsi_host *host);

/* When scsi_host_poll() wants to run even without a notification. */
uint64_t scsi_host_deadline(const struct scsi_host *host);

/* Is the adapter still there, and does it work? If not, it is reset or given up (virtio_look()). */
void scsi_host_look(struct scsi_host *host);

/*
 * Takes every command back from a device of which one unit stalls, by a reset of the device.
 * Commands of `disk` end in -ECONNRESET, all others in -ECANCELED.
 */
void scsi_host_reset(struct scsi_host *host, const struct scsi_disk *disk, const char *reason);

#endif
