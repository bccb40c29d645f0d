/*
 * disk_user.h - who reads and writes the disks of target_blk.c and target_scsi.c: the first device
 * of the block layer, whoever drives it.
 */
#ifndef FERRULE_TESTS_FUZZ_DISK_USER_H
#define FERRULE_TESTS_FUZZ_DISK_USER_H

#include "input.h"

void disk_user_start(uint8_t *memory);
bool disk_user_found(void);
void disk_user_use(uint8_t op, struct input *input);
/* After the shutdown: every request has ended, once. */
void disk_user_check(void);

#endif
