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

/* virtio_config_read(): reads until the generation stays, and register accesses for a byte at most
 * (a window in PCI configuration space needs several for one). */
#define WORK_CONFIG_TRIES 64u
#define WORK_CONFIG_REGISTERS 8u

#endif
