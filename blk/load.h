/*
 * load.h - measures a disk: so many requests of one kind, so many at a time, and how long they took.
 *
 * One line of text asks, one answers, so that the same load runs from a connection
 * (services/blk_load.c), the console and a benchmark:
 *
 *   blk OP BS DEPTH COUNT [DEVICE] [force]
 *
 * OP: randread, randwrite (over the whole device, the same sequence each time), read, write (from
 * its start, and again when its end is reached), flush (BS does not matter), sync (a write, in
 * order, and a flush behind it), fill (a write that
 * puts the number of each sector into its first and its last eight bytes), verify (a read that
 * checks for these), discard and zeroes (BS bytes of the device each, in order). BS: bytes in a request, like 4096, 4k or 1M. DEPTH: requests under way. DEVICE:
 * as for partition_find(); without it the first disk. What writes is refused on a device that is in
 * use, like a mounted one, unless the line says `force`. The answer is
 *
 *   ok n=COUNT usec=U bytes=B p50=US p99=US max=US
 *   error: reason
 *
 * with latencies in microseconds from submission to completion; p50 and p99 are at most 1/16 too
 * large. Requests are submitted from the completion of others, so one notification covers a batch.
 * Loop context. Read load.c next.
 */
#ifndef FERRULE_BLK_LOAD_H
#define FERRULE_BLK_LOAD_H

#include <stddef.h>

#define BLK_LOAD_DEPTH_MAX 256u
#define BLK_LOAD_LINE_SIZE 160u
#define BLK_LOAD_ANSWER_SIZE 160u

/*
 * Starts what the line asks for. `answer` is called once with the answer (no line end), maybe
 * before this returns. One load runs at a time; a second one is answered with an error.
 */
void blk_load_start(const char *line, void (*answer)(void *arg, const char *text), void *arg);

/* Whoever asked with this `arg` is gone: ends the load early, and nobody is answered. */
void blk_load_cancel(const void *arg);

#endif
