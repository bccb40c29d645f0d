/*
 * device_scsi.h - the model SCSI host (5.6): targets with disks in memory that check every command,
 * and can hold, fail or garble them, come and go.
 *
 * Numbers of the specification are written out here once more, as wire.h explains.
 */
#ifndef FERRULE_HOSTED_DEVICE_SCSI_H
#define FERRULE_HOSTED_DEVICE_SCSI_H

#include "hosted/device.h"

#define DEVICE_SCSI_UNITS 40
#define DEVICE_SCSI_FAULTS 8
#define DEVICE_SCSI_HOLD 512
#define DEVICE_SCSI_EVENTS 64
#define DEVICE_SCSI_ANY 0xffff

enum { SCSI_F_INOUT = 0, SCSI_F_HOTPLUG = 1, SCSI_F_CHANGE = 2, SCSI_F_T10_PI = 3 };
enum { SCSI_EVENT_RESET = 1, SCSI_EVENT_ASYNC = 2, SCSI_EVENT_CHANGE = 3 };
enum { SCSI_REASON_HARD = 0, SCSI_REASON_RESCAN = 1, SCSI_REASON_REMOVED = 2 };
enum { SCSI_QUEUE_CONTROL = 0, SCSI_QUEUE_EVENT = 1, SCSI_QUEUE_REQUEST = 2 };

/* A logical unit. Tests set it up before device_scsi_init(), and change it while it runs. */
struct device_scsi_unit {
    bool present;
    uint8_t target;
    uint16_t lun;
    uint8_t type, qualifier; /* of INQUIRY: 0 is a disk that is there */
    uint64_t blocks;         /* beyond DEVICE_SCSI_DISK bytes it has no memory behind it */
    uint32_t block_size;
    bool read_only, write_cache;
    bool no_16;         /* knows the 10-byte forms only */
    bool refuses_rw_16; /* ... but READ CAPACITY (16) */
    bool no_mode_sense, no_report_luns;
    unsigned not_ready;    /* so many TEST UNIT READY end in "becoming ready" */
    uint16_t attention[4]; /* unit attentions to report, as asc << 8 | ascq */
    unsigned attentions;
    /* Of the pages of vital product data, which a unit has even if it is all zeroes. */
    bool no_pages, provisioned, unmaps, same_unmaps, reads_zeroes;
    uint32_t max_transfer, max_unmap, unmap_descriptors, granularity, alignment; /* blocks */
    uint64_t max_same;
    bool page_is_another;      /* the answer is not the page that was asked for */
    uint32_t page_length;      /* bytes in the answer, when it is cut off */
    uint64_t unmapped, zeroed; /* blocks so far */
    unsigned unmap_commands;
    const char *product;
    uint8_t *disk; /* made by the model */
    unsigned held; /* commands that it has and has not answered */
    unsigned held_most, commands, flushes;
};
#define DEVICE_SCSI_DISK (1u << 20)

/* Something that goes wrong with the next commands that match. */
struct device_scsi_fault {
    unsigned count;  /* commands left; 0: no fault */
    unsigned skip;   /* matching commands before the first */
    uint16_t opcode; /* or DEVICE_SCSI_ANY */
    uint16_t target; /* or DEVICE_SCSI_ANY */
    bool silent;     /* never answered */
    bool untouched;  /* used without a byte written */
    bool executes;   /* the data is moved all the same */
    uint8_t response, status;
    uint8_t key, asc, ascq; /* sense data, if key or status asks for it */
    bool descriptor;        /* ... in descriptor format */
    uint8_t sense_code;     /* not 0: this response code in it instead */
    uint32_t sense_len;     /* not 0: what the field says */
    uint32_t residual;
};

struct device_scsi_setup {
    struct device_scsi_unit unit[DEVICE_SCSI_UNITS];
    uint32_t num_queues, seg_max, max_sectors, cmd_per_lun, event_info_size, sense_size, cdb_size;
    uint16_t max_target;
    uint32_t max_lun;
    uint64_t features;
    uint16_t queue_size;
    unsigned msix_vectors;
};

struct device_scsi {
    struct device device;
    struct device_scsi_setup setup;
    struct device_scsi_unit *unit; /* of setup */
    struct device_scsi_fault fault[DEVICE_SCSI_FAULTS];
    struct ring_chain *event[DEVICE_SCSI_EVENTS];
    unsigned events;
    bool missed;
    bool hold; /* takes reads, writes and flushes without answering, until device_scsi_release() */
    struct ring_chain *held[DEVICE_SCSI_HOLD];
    unsigned held_count;
    unsigned scanned;    /* REPORT LUNS so far */
    unsigned batch_most; /* commands taken at one notification */
    unsigned commands;
    uint8_t last_cdb[16]; /* of a read, write or flush */
};

/* What a plain adapter has; units are for the test to add. */
extern const struct device_scsi_setup device_scsi_ordinary;

void device_scsi_init(struct device_scsi *scsi, const struct device_scsi_setup *setup);
void device_scsi_finish(struct device_scsi *scsi);

/* A unit in the first free place; returns it. Before init in a setup, or later in the model. */
struct device_scsi_unit *device_scsi_add(struct device_scsi_unit *units, unsigned target,
                                         unsigned lun, uint64_t blocks);

/* Sends an event (5.6.6.3), or remembers that one was missed when there is no buffer. */
void device_scsi_event(struct device_scsi *scsi, uint32_t event, unsigned target, unsigned lun,
                       uint32_t reason);

/* Answers held commands, the first `count`. */
void device_scsi_release(struct device_scsi *scsi, unsigned count);

/* Offsets in the configuration (5.6.4). */
enum {
    SCSI_CONFIG_NUM_QUEUES = 0,
    SCSI_CONFIG_SENSE_SIZE = 20,
    SCSI_CONFIG_CDB_SIZE = 24,
    SCSI_CONFIG_MAX_CHANNEL = 28,
    SCSI_CONFIG_MAX_TARGET = 30,
    SCSI_CONFIG_MAX_LUN = 32,
    SCSI_CONFIG_LENGTH = 36
};

#endif
