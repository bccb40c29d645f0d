/*
 * ide_model.h - a model of one IDE channel with one disk, for the tests of blk/ide.h.
 *
 * It knows the task file, the bus master and the commands that the driver uses, moves data when the
 * test's world runs, and lies when told to: busy for ever, errors, a transfer that is too short, a
 * device that wants data when there is none. The channel beside it is empty.
 */
#ifndef FERRULE_TESTS_IDE_MODEL_H
#define FERRULE_TESTS_IDE_MODEL_H

#include "support.h"

#include "blk/block.h"
#include "blk/ide.h"
#include "blk/ide_impl.h"
#include "hosted/fake_pci.h"
#include "irq.h"

#define SECTORS 40000u
#define DATA_SIZE (2u << 20)

struct ide_model {
    struct fake_function *pci;
    uint8_t image[SECTORS * BLK_SECTOR_SIZE];
    uint16_t id[IDE_IDENTIFY_WORDS];

    /* Registers; those that are two deep keep what was there before. */
    uint8_t now[8], before[8], control, bm_command, bm_status;
    uint8_t status, error;
    uint32_t table;

    /* The command under way. */
    uint8_t command;
    uint64_t sector;
    uint32_t sectors, in_block; /* left, and in the block that is on offer */
    uint32_t offset;            /* bytes of that block moved so far */
    unsigned multiple;
    bool working; /* something is left for world() to do */
    uint16_t *answer;

    /* Lies. */
    bool busy_for_ever, reset_hangs, short_dma, wants_data, drops_interrupts;
    unsigned errors; /* so many commands end in `error_bits` */
    uint8_t error_bits;
    bool packet_device;
    bool native; /* the controller's ports and interrupt are those of a PCI function */

    unsigned commands[256], resets;
    bool (*handler)(void *arg);
    void *handler_arg;
};
extern struct ide_model model;

extern uint8_t *data; /* DATA_SIZE bytes, for requests */
extern struct blk_device *disk;

/* Where the model has a sector. */
uint8_t *at_sector(uint64_t sector);

/* Of what the disk says of itself (IDENTIFY DEVICE). */
void put_word(unsigned index, uint16_t value);

/* Begins a test: an honest model. */
int setup(void **state);

/* Makes the machine and scans it in this mode; the disks that were found. end() takes it away. */
unsigned make_disk(const char *mode, bool interrupts);
void end(void);

#endif
