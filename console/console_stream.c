/*
 * console_stream.c - see console_stream.h.
 *
 * Receiving: each buffer is with the device, filled, or idle; a filled one returns to the device
 * when its last byte was read. Transmitting: a ring with three places, taken <= given <= written;
 * what lies between the first two is with the device in chunks, which it may finish in any order.
 */
#include "console/console_stream.h"

#include <errno.h>
#include <string.h>

#define RX_BYTES (CONSOLE_STREAM_RX_BUFFERS * CONSOLE_STREAM_RX_SIZE)
#define MEMORY_BYTES (RX_BYTES + CONSOLE_STREAM_TX_SIZE)

static uint8_t *rx_buffer(const struct console_stream *stream, unsigned i)
{
    return stream->memory + i * CONSOLE_STREAM_RX_SIZE;
}

static uint8_t *tx_ring(const struct console_stream *stream)
{
    return stream->memory + RX_BYTES;
}

/* ---- receiving ---- */

static void provide(struct console_stream *stream)
{
    bool added = false;

    for (unsigned i = 0; i < CONSOLE_STREAM_RX_BUFFERS && stream->live; i++) {
        struct virtqueue_sg sg = {rx_buffer(stream, i), CONSOLE_STREAM_RX_SIZE};

        if (!(stream->rx_idle >> i & 1) || virtqueue_add(stream->rx, &sg, 0, 1, sg.data) != 0)
            continue;
        stream->rx_idle &= ~(1u << i);
        added = true;
    }
    if (added)
        virtqueue_kick(stream->rx);
}

static unsigned collect(struct console_stream *stream)
{
    unsigned done = 0;
    uint8_t *buffer;
    uint32_t len;

    while ((buffer = virtqueue_get_buf(stream->rx, &len)) != NULL) {
        unsigned i = (unsigned)(buffer - stream->memory) / CONSOLE_STREAM_RX_SIZE;

        done++;
        if (len == 0) {
            stream->rx_idle |= 1u << i;
            continue;
        }
        stream->filled[stream->filled_head++ % CONSOLE_STREAM_RX_BUFFERS] = (uint8_t)i;
        stream->filled_len[i] = len;
        stream->received += len;
    }
    return done;
}

bool console_stream_readable(const struct console_stream *stream)
{
    return stream->filled_head != stream->filled_tail;
}

size_t console_stream_read(struct console_stream *stream, void *data, size_t size)
{
    size_t done = 0;

    if (!console_stream_readable(stream) && stream->live)
        collect(stream);
    while (done < size && console_stream_readable(stream)) {
        unsigned i = stream->filled[stream->filled_tail % CONSOLE_STREAM_RX_BUFFERS];
        size_t n = stream->filled_len[i] - stream->read_offset;

        if (n > size - done)
            n = size - done;
        memcpy((uint8_t *)data + done, rx_buffer(stream, i) + stream->read_offset, n);
        done += n;
        stream->read_offset += (uint32_t)n;
        if (stream->read_offset < stream->filled_len[i])
            break;
        stream->read_offset = 0;
        stream->filled_tail++;
        stream->rx_idle |= 1u << i;
    }
    if (stream->rx_idle)
        provide(stream);
    return done;
}

void console_stream_drop_received(struct console_stream *stream)
{
    while (console_stream_readable(stream))
        stream->rx_idle |= 1u << stream->filled[stream->filled_tail++ % CONSOLE_STREAM_RX_BUFFERS];
    stream->read_offset = 0;
    provide(stream);
}

/* ---- transmitting ---- */

static unsigned reap(struct console_stream *stream)
{
    struct console_stream_chunk *chunk;
    unsigned done = 0;

    while ((chunk = virtqueue_get_buf(stream->tx, NULL)) != NULL) {
        chunk->done = true;
        done++;
    }
    while (stream->chunk_tail != stream->chunk_head) {
        chunk = &stream->chunk[stream->chunk_tail % CONSOLE_STREAM_TX_CHUNKS];
        if (!chunk->done)
            break;
        stream->taken += chunk->len;
        stream->sent += chunk->len;
        stream->chunk_tail++;
    }
    return done;
}

/* Gives the device one piece of the ring. False: all is given, or there is no room. */
static bool give(struct console_stream *stream)
{
    struct console_stream_chunk *chunk =
        &stream->chunk[stream->chunk_head % CONSOLE_STREAM_TX_CHUNKS];
    uint32_t at = stream->given % CONSOLE_STREAM_TX_SIZE;
    uint32_t len = stream->written - stream->given;
    struct virtqueue_sg sg;

    if (len > CONSOLE_STREAM_TX_SIZE - at)
        len = CONSOLE_STREAM_TX_SIZE - at;
    if (len == 0 || stream->chunk_head - stream->chunk_tail == CONSOLE_STREAM_TX_CHUNKS)
        return false;
    sg = (struct virtqueue_sg){tx_ring(stream) + at, len};
    if (virtqueue_add(stream->tx, &sg, 1, 0, chunk) != 0)
        return false;
    *chunk = (struct console_stream_chunk){.len = len};
    stream->chunk_head++;
    stream->given += len;
    return true;
}

/* A log line from within, when the queue breaks, finds `sending` set and only leaves its bytes. */
static unsigned send(struct console_stream *stream)
{
    unsigned done;
    bool added = false;

    if (stream->sending || !stream->live)
        return 0;
    stream->sending = true;
    done = reap(stream);
    while (give(stream))
        added = true;
    if (added)
        virtqueue_kick(stream->tx);
    stream->sending = false;
    return done;
}

size_t console_stream_room(const struct console_stream *stream)
{
    return stream->memory ? CONSOLE_STREAM_TX_SIZE - (stream->written - stream->taken) : 0;
}

size_t console_stream_unsent(const struct console_stream *stream)
{
    return stream->written - stream->taken;
}

size_t console_stream_write(struct console_stream *stream, const void *data, size_t size)
{
    size_t done = 0;

    if (console_stream_room(stream) < size)
        send(stream); /* reaps what the device has finished */
    if (size > console_stream_room(stream))
        size = console_stream_room(stream);
    while (done < size) {
        uint32_t at = stream->written % CONSOLE_STREAM_TX_SIZE;
        size_t n = CONSOLE_STREAM_TX_SIZE - at;

        if (n > size - done)
            n = size - done;
        memcpy(tx_ring(stream) + at, (const uint8_t *)data + done, n);
        stream->written += (uint32_t)n;
        done += n;
    }
    send(stream);
    return done;
}

bool console_stream_is_sending(const struct console_stream *stream)
{
    return stream->given != stream->taken;
}

void console_stream_drop_unsent(struct console_stream *stream)
{
    stream->written = stream->given;
}

int console_stream_steal(struct console_stream *stream)
{
    if (stream->given == stream->written)
        return -1;
    return tx_ring(stream)[stream->given++ % CONSOLE_STREAM_TX_SIZE];
}

/* ---- both ---- */

unsigned console_stream_poll(struct console_stream *stream)
{
    if (!stream->live)
        return 0;
    virtqueue_disable_cb(stream->rx);
    virtqueue_disable_cb(stream->tx);
    return collect(stream) + send(stream);
}

bool console_stream_arm(struct console_stream *stream, bool wants_room)
{
    bool idle = true;

    if (!stream->live)
        return true;
    idle = virtqueue_enable_cb(stream->rx);
    /* Nobody waits for the end of a transmission unless there is more to send. */
    if (wants_room || stream->given != stream->written)
        idle = virtqueue_enable_cb(stream->tx) && idle;
    return idle;
}

bool console_stream_is_broken(const struct console_stream *stream)
{
    return virtqueue_is_broken(stream->rx) || virtqueue_is_broken(stream->tx);
}

int console_stream_start(struct console_stream *stream)
{
    if (!stream->memory) {
        stream->memory = platform_dma_alloc(MEMORY_BYTES, 64);
        if (!stream->memory)
            return -ENOMEM;
        stream->rx_idle = (1u << CONSOLE_STREAM_RX_BUFFERS) - 1;
    }
    stream->live = true;
    provide(stream);
    return 0;
}

void console_stream_reclaim(struct console_stream *stream)
{
    uint8_t *buffer;

    stream->live = false;
    while ((buffer = virtqueue_detach_unused(stream->rx)) != NULL)
        stream->rx_idle |= 1u << (unsigned)(buffer - stream->memory) / CONSOLE_STREAM_RX_SIZE;
    while (virtqueue_detach_unused(stream->tx) != NULL)
        continue;
    stream->chunk_tail = stream->chunk_head;
    stream->taken = stream->given;
}

void console_stream_finish(struct console_stream *stream)
{
    if (stream->memory)
        platform_dma_free(stream->memory, MEMORY_BYTES);
    stream->memory = NULL;
}
