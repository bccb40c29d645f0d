/*
 * ide.h - disks behind an IDE controller on PCI (ATA, by programmed transfers or bus-master DMA):
 * the fully emulated device that virtio-blk is compared with.
 *
 * What it offers is behind struct blk_ops (block.h); the disks are called hda, hdb, ... Read ide.c
 * next. Loop context.
 */
#ifndef FERRULE_BLK_IDE_H
#define FERRULE_BLK_IDE_H

#include <stdbool.h>

/*
 * Finds the IDE controllers among the PCI functions and adds their disks to the block layer. `mode`
 * is the command line's word: "dma" (also NULL) uses bus-master DMA where controller and disk can,
 * "pio" never does. Without `interrupts` completions are polled for. Returns the number of disks.
 */
unsigned ide_scan(const char *mode, bool interrupts);

/* The end of the machine: no controller touches memory after it. */
void ide_shutdown(void);

#endif
