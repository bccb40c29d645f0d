/*
 * proof_console_stream.c - by induction, with a console device that uses buffers in any order and
 * with any length (5.3.6): a buffer is idle, the device's or filled; what is read was written by the
 * device; what is sent stays as it is until the device has used it.
 */
// unwind: 5
// variant receive: -DRECEIVE
// variant send: -DSEND
// control receive: console/console_stream.c: if (len == 0) { => if (0) {
// control receive: console/console_stream.c: stream->read_offset = 0;\n        stream->filled_tail++; => stream->filled_tail++;
// control receive: console/console_stream.c: stream->rx_idle &= ~(1u << i); =>
// control send: console/console_stream.c: if (!chunk->done)\n            break; =>
// control send: console/console_stream.c: if (len > CONSOLE_STREAM_TX_SIZE - at) => if (0)
// control send: console/console_stream.c: if (size > console_stream_room(stream)) => if (0)
#include "any_queue.h"

#include "console/console_stream.h"
#undef CONSOLE_STREAM_RX_BUFFERS
#undef CONSOLE_STREAM_RX_SIZE
#undef CONSOLE_STREAM_TX_SIZE
#undef CONSOLE_STREAM_TX_CHUNKS
#define CONSOLE_STREAM_RX_BUFFERS 2u
#define CONSOLE_STREAM_RX_SIZE 8u
#define CONSOLE_STREAM_TX_SIZE 8u
#define CONSOLE_STREAM_TX_CHUNKS 2u
#define memcpy copy_checked
#include "console/console_stream.c"

#define BUFFERS CONSOLE_STREAM_RX_BUFFERS
#define CHUNKS CONSOLE_STREAM_TX_CHUNKS

static struct virtqueue rx, tx;
static struct console_stream *stream;

bool virtqueue_enable_cb(struct virtqueue *of)
{
    (void)of;
    return any_bool();
}

void *virtqueue_detach_unused(struct virtqueue *of)
{
    (void)of;
    return NULL;
}

void *platform_dma_alloc(size_t size, size_t align)
{
    (void)align;
    return malloc(size);
}

void platform_dma_free(void *memory, size_t size)
{
    claim(memory == stream->memory && size == MEMORY_BYTES);
}

/* Each receive buffer is in one place. */
static bool receive_is_valid(void)
{
    unsigned filled = stream->filled_head - stream->filled_tail, i, n;

    if (filled > BUFFERS || stream->rx_idle >> BUFFERS || (!filled && stream->read_offset))
        return false;
    for (n = 0; n < BUFFERS; n++)
        if (n < filled && stream->filled[(stream->filled_tail + n) % BUFFERS] >= BUFFERS)
            return false;
    for (i = 0; i < BUFFERS; i++) {
        unsigned places = (stream->rx_idle >> i & 1) + queue_has(&rx, rx_buffer(stream, i));

        for (n = 0; n < BUFFERS; n++)
            if (n < filled && stream->filled[(stream->filled_tail + n) % BUFFERS] == i) {
                if (!stream->filled_len[i] || stream->filled_len[i] > CONSOLE_STREAM_RX_SIZE ||
                    (n == 0 && stream->read_offset >= stream->filled_len[i]))
                    return false;
                places++;
            }
        if (places != 1)
            return false;
    }
    return true;
}

/* Chunks lie one behind the other between what was taken and what was given. */
static bool send_is_valid(void)
{
    unsigned chunks = stream->chunk_head - stream->chunk_tail, n, with_device = 0;
    uint32_t sum = 0;

    if (chunks > CHUNKS || stream->written - stream->taken > CONSOLE_STREAM_TX_SIZE ||
        stream->given - stream->taken > stream->written - stream->taken)
        return false;
    for (n = 0; n < CHUNKS && n < chunks; n++) {
        struct console_stream_chunk *chunk = &stream->chunk[(stream->chunk_tail + n) % CHUNKS];

        if (chunk->len == 0 || chunk->len > CONSOLE_STREAM_TX_SIZE ||
            queue_has(&tx, chunk) == chunk->done)
            return false;
        with_device += !chunk->done;
        sum += chunk->len;
    }
    return sum == stream->given - stream->taken &&
           with_device == (tx.token[0] != NULL) + (tx.token[1] != NULL);
}

#if defined(RECEIVE)
static void check(void)
{
    uint8_t *data = malloc(CONSOLE_STREAM_RX_SIZE);
    unsigned i;

    for (i = 0; i < BUFFERS; i++) {
        rx.token[i] = any_bool() ? rx_buffer(stream, i) : NULL;
        rx.writable[i] = CONSOLE_STREAM_RX_SIZE;
    }
    assume(receive_is_valid());
    if (any_bool())
        collect(stream);
    else if (any_bool())
        console_stream_read(stream, data, any_u8() % (CONSOLE_STREAM_RX_SIZE + 1));
    else
        console_stream_drop_received(stream);
    claim(receive_is_valid());
}
#else
static void check(void)
{
    uint8_t *data = malloc(CONSOLE_STREAM_TX_SIZE);
    unsigned i;

    for (i = 0; i < CHUNKS; i++)
        tx.token[i] = any_bool() ? &stream->chunk[i] : NULL;
    assume(send_is_valid());
    /* The steps of send(), and then a write without it. */
    stream->sending = true;
    if (any_bool())
        reap(stream);
    else if (any_bool())
        give(stream);
    else
        console_stream_write(stream, data, any_u8() % (CONSOLE_STREAM_TX_SIZE + 1));
    claim(send_is_valid());
}
#endif

int main(void)
{
    struct console_stream any_stream;

    stream = &any_stream;
    stream->memory = malloc(MEMORY_BYTES);
    stream->rx = &rx;
    stream->tx = &tx;
    rx.broken = any_bool();
    tx.broken = any_bool();
    check();
    return 0;
}
