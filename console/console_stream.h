/*
 * console_stream.h - bytes in and bytes out over the two queues of one port (5.3.6).
 *
 * Bounded on both sides: what is not read stays in the receive buffers until the device has none
 * left, and what the device does not take stays in a ring that refuses more when it is full. Knows
 * neither names nor control messages. Everything runs in loop context; writing may happen from
 * within the stream's own calls, because a queue that breaks says so in the log.
 */
#ifndef FERRULE_CONSOLE_CONSOLE_STREAM_H
#define FERRULE_CONSOLE_CONSOLE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtqueue.h"

#define CONSOLE_STREAM_RX_BUFFERS 8u
#define CONSOLE_STREAM_RX_SIZE 512u
#define CONSOLE_STREAM_TX_SIZE 16384u /* a power of two */
#define CONSOLE_STREAM_TX_CHUNKS 16u

/* Bytes of the ring that the device has. */
struct console_stream_chunk {
    uint32_t len;
    bool done;
};

/* Private to console_stream.c but for the counters. */
struct console_stream {
    struct virtqueue *rx, *tx;
    uint8_t *memory;  /* receive buffers, then the transmit ring; NULL before start */
    bool live;        /* the queues may be used */
    bool sending;     /* guards the transmit queue against a log line from within */
    uint32_t rx_idle; /* receive buffers that nobody has, a bit each */
    uint32_t filled_len[CONSOLE_STREAM_RX_BUFFERS];
    uint8_t filled[CONSOLE_STREAM_RX_BUFFERS]; /* in the order they came; indices run freely */
    unsigned filled_head, filled_tail;
    uint32_t read_offset;           /* in the first filled one */
    uint32_t written, given, taken; /* places in the ring, run freely */
    struct console_stream_chunk chunk[CONSOLE_STREAM_TX_CHUNKS];
    unsigned chunk_head, chunk_tail;
    uint64_t received, sent; /* bytes */
};

/* Takes memory at the first call, and gives the device its receive buffers. 0 or -ENOMEM. */
int console_stream_start(struct console_stream *stream);

/* The device was reset: takes everything back. Sent or not, what the device had is forgotten. */
void console_stream_reclaim(struct console_stream *stream);
void console_stream_finish(struct console_stream *stream);

/* Drops what was received and what waits to be sent. */
void console_stream_drop_received(struct console_stream *stream);
void console_stream_drop_unsent(struct console_stream *stream);

/*
 * Collects what has arrived and gives the device what waits; notifications are off afterwards.
 * Returns the number of buffers that moved. console_stream_arm() turns notifications on; false:
 * there is work already.
 */
/* Work: at most CONSOLE_STREAM_RX_BUFFERS and CONSOLE_STREAM_TX_CHUNKS buffers taken back. */
unsigned console_stream_poll(struct console_stream *stream);
bool console_stream_arm(struct console_stream *stream, bool wants_room);

size_t console_stream_read(struct console_stream *stream, void *data, size_t size);
bool console_stream_readable(const struct console_stream *stream);

/* Takes what there is room for and gives it to the device at once; the number of bytes taken. */
size_t console_stream_write(struct console_stream *stream, const void *data, size_t size);
size_t console_stream_room(const struct console_stream *stream);

/* Bytes that the device has not finished with; and whether some of those were given to it. */
size_t console_stream_unsent(const struct console_stream *stream);
bool console_stream_is_sending(const struct console_stream *stream);

/*
 * One byte that was never given to the device, for a way around the queue; -1: there is none. For
 * the last words only: the stream's room is not right any more after it.
 */
int console_stream_steal(struct console_stream *stream);

bool console_stream_is_broken(const struct console_stream *stream);

#endif
