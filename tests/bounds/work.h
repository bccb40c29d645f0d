/*
 * work.h - the units in which headers of the portable code declare their work, for work.c.
 *
 * "Fixed" is what takes no loop; a piece is one of a buffer's; a ring has WORK_RING entries at most
 * in the programs that count. In steps, which are basic blocks.
 */
#ifndef FERRULE_TESTS_WORK_WORK_H
#define FERRULE_TESTS_WORK_WORK_H

#define WORK_FIXED 96u
#define WORK_PIECE 16u
#define WORK_BUFFER 160u
#define WORK_RING 256u
/* Places for what goes to an input device (input.h). */
#define INPUT_STATES 8u
/* Queues of a disk; an exchange with a host's share takes as much as so many buffers, and so many
 * requests without answer may be with it. */
#define WORK_DISK_QUEUES 4u
#define WORK_EXCHANGE 8u
#define WORK_POSTS 40u
/* What an IDE disk moves at a time by the CPU, in words. */
#define WORK_IDE_WORDS 4096u
/* A turn of a driver: a notification for each of its queues, and what it tells by its
 * configuration. */
#define WORK_SOURCE_REGISTERS 24u

/* virtio_config_read(): reads until the generation stays, and register accesses for a byte at most
 * (a window in PCI configuration space needs several for one). */
#define WORK_CONFIG_TRIES 64u
#define WORK_CONFIG_REGISTERS 8u

#endif
