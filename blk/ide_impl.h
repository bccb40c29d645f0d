/*
 * ide_impl.h - registers, and the state of a channel, for the files of the IDE driver only.
 *
 * Numbers are those of ATA/ATAPI-7 (task file registers, volume 2 chapter 4; commands, volume 1
 * chapter 6) and of "Programming Interface for Bus Master IDE Controller" 1.0. Read ide.c next.
 */
#ifndef FERRULE_BLK_IDE_IMPL_H
#define FERRULE_BLK_IDE_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/block.h"
#include "pci.h"
#include "platform.h"

/* Task file, offsets from the command block; reading STATUS takes the interrupt back. */
#define IDE_DATA 0
#define IDE_ERROR 1
#define IDE_FEATURES 1
#define IDE_COUNT 2
#define IDE_LBA_LOW 3
#define IDE_LBA_MID 4
#define IDE_LBA_HIGH 5
#define IDE_DEVICE 6
#define IDE_STATUS 7
#define IDE_COMMAND 7

#define IDE_STATUS_ERR 0x01
#define IDE_STATUS_DRQ 0x08
#define IDE_STATUS_DF 0x20
#define IDE_STATUS_BSY 0x80
#define IDE_STATUS_FLOATING 0xff /* nothing drives the bus */

#define IDE_ERROR_ABRT 0x04
#define IDE_ERROR_IDNF 0x10
#define IDE_ERROR_UNC 0x40
#define IDE_ERROR_ICRC 0x80

#define IDE_DEVICE_LBA 0xe0 /* and two bits that were once fixed */
#define IDE_DEVICE_1 0x10

#define IDE_CONTROL_NO_INTERRUPT 0x02
#define IDE_CONTROL_RESET 0x04

/* Bus master registers of one channel, offsets from its base. */
#define IDE_BM_COMMAND 0
#define IDE_BM_STATUS 2
#define IDE_BM_TABLE 4
#define IDE_BM_CHANNEL_SIZE 8

#define IDE_BM_START 0x01
#define IDE_BM_TO_MEMORY 0x08
#define IDE_BM_ACTIVE 0x01
#define IDE_BM_ERROR 0x02
#define IDE_BM_INTERRUPT 0x04

/* One piece of memory in the table that the bus master reads: even, inside of 64 KiB. */
struct ide_prd {
    uint32_t address;
    uint16_t length; /* 0 means 64 KiB */
    uint16_t flags;
};
_Static_assert(sizeof(struct ide_prd) == 8, "as the bus master reads it");
#define IDE_PRD_LAST 0x8000
#define IDE_PRD_MAX 512u /* a page of them */

#define IDE_SEGMENTS_MAX 64u
#define IDE_IDENTIFY_WORDS 256u

struct ide_channel;

struct ide_disk {
    struct blk_device block;
    struct ide_channel *channel;
    unsigned number;          /* 0 or 1 on its channel */
    bool dma, lba48;          /* what it can do, and may */
    bool flush, flush_48;     /* knows FLUSH CACHE, FLUSH CACHE EXT */
    unsigned sectors_at_once; /* that it moves between two interrupts; 1: no READ MULTIPLE */
    unsigned errors_told;     /* log lines about errors so far */
};

/* The command that a channel works on. */
struct ide_work {
    struct ide_disk *disk; /* NULL: none */
    struct blk_part part;
    struct blk_segment segment[IDE_SEGMENTS_MAX];
    bool dma;
    /* Programmed transfer: what is left, and where it goes on. */
    uint32_t sectors_left;
    unsigned index;
    uint32_t offset;
    /* DMA: what the segments are called by the device. */
    dma_addr_t mapped[IDE_SEGMENTS_MAX];
};

struct ide_channel {
    char name[24];
    uint16_t command, control, bus_master; /* ports; bus_master 0: it has none */
    struct pci_function *fn;
    unsigned line; /* of its own, or IDE_NO_LINE */
    bool interrupts, dead;
    struct ide_prd *table;
    dma_addr_t table_address;
    struct ide_disk *disk[2];
    struct ide_work work;
    unsigned next;    /* 1 + number of the disk that must let the other one go first, once; or 0 */
    uint64_t look_ns; /* when to look at the device without an interrupt */

    /* Set by ide_look(), perhaps in interrupt context, when the device has something to say. */
    volatile bool pending;
    volatile uint8_t status, bus_master_status;
};
#define IDE_NO_LINE (~0u)

/* ---- ide_channel.c: registers ---- */

/*
 * Has the command made a step? Takes the device's interrupt back and sets `pending`. Also in
 * interrupt context. False: not ours, or not yet.
 */
bool ide_look(struct ide_channel *channel);

/* Waits until no bit of `mask` is set in the status. 0, -EIO: it stayed for `timeout_ms`. */
int ide_wait_clear(struct ide_channel *channel, uint8_t mask, unsigned timeout_ms);

/* Makes a device the one that listens, if it is idle: 0, -EIO. */
int ide_select(struct ide_channel *channel, unsigned number, uint8_t device_bits);

/* Stops the bus master, resets both devices and prepares them again. -EIO: the channel is dead. */
int ide_reset(struct ide_channel *channel);

/* A command without data, waited for: 0, -EIO. */
int ide_command(struct ide_channel *channel, unsigned number, uint8_t command, uint8_t count);

/* IDENTIFY (PACKET) DEVICE: 0, -EIO, -ENODEV (aborted). */
int ide_identify(struct ide_channel *channel, unsigned number, uint8_t command, uint16_t *words);

/* What a disk must be told after a reset. */
void ide_prepare(struct ide_disk *disk);

/* ---- ide.c: requests ---- */

extern const struct blk_ops ide_blk_ops;

#endif
