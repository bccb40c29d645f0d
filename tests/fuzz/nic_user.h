/*
 * nic_user.h - a user of one network card, for the targets of their drivers: it lends buffers, sends
 * frames of several pieces, and knows where each buffer is.
 */
#ifndef FERRULE_TESTS_FUZZ_NIC_USER_H
#define FERRULE_TESTS_FUZZ_NIC_USER_H

#include "input.h"

/* Takes the first card, if there is one. `memory` is hostile_memory(). */
void nic_user_start(uint8_t *memory);

/* One thing, chosen by `op` and the input. */
void nic_user_use(uint8_t op, struct input *input);

/* Is there a card that does as it is told? */
bool nic_user_found(void);

/* After the shutdown: a buffer or a frame that is still out is a failure. */
void nic_user_check(void);

#endif
