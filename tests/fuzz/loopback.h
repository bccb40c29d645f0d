/*
 * loopback.h - the TCP/IP stack alone with itself: a client made of the fuzzer's input talks to a
 * server of ours in the same program, for the targets of application protocols (target_nbd.c,
 * target_http.c).
 */
#ifndef FERRULE_TESTS_FUZZ_LOOPBACK_H
#define FERRULE_TESTS_FUZZ_LOOPBACK_H

#include "input.h"

/* Starts the stack, without a network card. Once. */
void loopback_prepare(void);

/*
 * One connection to the port, which sends what the input says, in pieces of its choice with time in
 * between, takes what comes, and ends. `patch` may change a piece before it is sent; NULL: nobody
 * does. Nothing of it is left afterwards.
 */
void loopback_run(uint16_t port, struct input *input, void (*patch)(uint8_t *data, size_t len));

/* Bytes that the client got in the last run. */
unsigned loopback_received(void);

#endif
