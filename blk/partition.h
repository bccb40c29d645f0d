/*
 * partition.h - partitions: what the tables of a disk say, as block devices of their own.
 *
 * A disk with a partition table (GPT, or MBR with logical partitions) has a block device for each
 * partition, called vda1, vda2 and so on. A table is somebody else's data: every number in it is
 * checked, a partition that makes no sense is left out with a line in the log, and the others stay.
 * Partitions of disks that come later are found from the event loop. Loop context. Read
 * partition.c next.
 */
#ifndef FERRULE_BLK_PARTITION_H
#define FERRULE_BLK_PARTITION_H

#include "blk/block.h"

/* Units of UTF-16 in a label; proofs take fewer. As UTF-8 it has up to 3 bytes for each, and a NUL. */
#ifndef PARTITION_LABEL_UNITS
#define PARTITION_LABEL_UNITS 36u
#endif
#define PARTITION_LABEL_SIZE (3 * PARTITION_LABEL_UNITS + 1)
/* A GUID as text, or "12345678-01" with the disk's signature and the number for MBR; and a NUL. */
#define PARTITION_UUID_SIZE 37

struct partition_info {
    unsigned number;
    char label[PARTITION_LABEL_SIZE]; /* empty: none, or MBR */
    char uuid[PARTITION_UUID_SIZE];   /* in lower case */
    char type[PARTITION_UUID_SIZE];   /* the type's GUID, or two hexadecimal digits */
};

/* Looks for partitions on all disks there are, and from then on on each that comes. */
void partition_init(void);

/*
 * Looks for partitions on one disk, and returns how many it has now. A disk is looked at once;
 * what became of its table later does not matter.
 */
unsigned partition_scan(struct blk_device *disk);

/*
 * What a table says of a partition; NULL for a device that is none. Valid as long as the device is
 * on the list. The memory of a partition whose disk is gone is used again, unless it was claimed.
 */
const struct partition_info *partition_info(const struct blk_device *device);

/*
 * The device that a word means: `vda1`, `PARTLABEL=label` or `PARTUUID=uuid` (in any case). NULL:
 * there is none.
 */
struct blk_device *partition_find(const char *word);

#endif
