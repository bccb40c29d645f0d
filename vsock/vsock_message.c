/*
 * vsock_message.c - sequences of messages (5.10.6.6): where they end, and sending one as a whole.
 *
 * Received bytes are kept like a stream's (vsock_connection.c). Which of them end a message, and
 * which a record, are bits beside them, one for each place in the buffer: so that messages of one
 * byte take no more memory than others. A message that is larger than the buffer ends the connection.
 */
#include <errno.h>
#include <string.h>

#include "vsock/vsock_impl.h"

#define WORD_BITS 64u

/* By the count of a byte, modulo the size of the buffer. */
struct vsock_marks {
    uint64_t end[VSOCK_BUFFER_SIZE / WORD_BITS], record[VSOCK_BUFFER_SIZE / WORD_BITS];
};

static bool is_set(const uint64_t *bits, uint32_t count)
{
    uint32_t place = count % VSOCK_BUFFER_SIZE;

    return bits[place / WORD_BITS] >> place % WORD_BITS & 1;
}

static void set(uint64_t *bits, uint32_t count)
{
    uint32_t place = count % VSOCK_BUFFER_SIZE;

    bits[place / WORD_BITS] |= UINT64_C(1) << place % WORD_BITS;
}

static void clear(uint64_t *bits, uint32_t count)
{
    uint32_t place = count % VSOCK_BUFFER_SIZE;

    bits[place / WORD_BITS] &= ~(UINT64_C(1) << place % WORD_BITS);
}

int vsock_marks_make(struct vsock_connection *connection)
{
    connection->marks = platform_dma_alloc(sizeof(*connection->marks), WORD_BITS);
    return connection->marks ? 0 : -ENOMEM;
}

void vsock_marks_free(struct vsock_connection *connection)
{
    if (connection->marks)
        platform_dma_free(connection->marks, sizeof(*connection->marks));
    connection->marks = NULL;
}

void vsock_marks_clear(struct vsock_connection *connection)
{
    if (connection->messages)
        memset(connection->marks, 0, sizeof(*connection->marks));
    connection->messages = 0;
}

void vsock_marks_set(struct vsock_connection *connection, uint32_t flags)
{
    uint32_t last = connection->fwd_cnt + connection->unread - 1;

    if (!connection->marks || connection->unread == 0)
        return;
    if ((flags & VIRTIO_VSOCK_SEQ_EOM) && !is_set(connection->marks->end, last)) {
        set(connection->marks->end, last);
        if (flags & VIRTIO_VSOCK_SEQ_EOR)
            set(connection->marks->record, last);
        connection->messages++;
    }
    if (connection->messages == 0 && connection->unread == VSOCK_BUFFER_SIZE) {
        vsock_counters.bad++;
        vsock_connection_reset(connection, -ECONNRESET);
    }
}

uint32_t vsock_message_length(const struct vsock_connection *connection)
{
    uint32_t n = 0;

    if (connection->messages == 0)
        return 0;
    for (;; n++) {
        uint32_t count = connection->fwd_cnt + n;

        while (count % WORD_BITS == 0 &&
               connection->marks->end[count % VSOCK_BUFFER_SIZE / WORD_BITS] == 0) {
            count += WORD_BITS;
            n += WORD_BITS;
        }
        if (is_set(connection->marks->end, count))
            return n + 1;
    }
}

bool vsock_ends_record(const struct vsock_connection *connection)
{
    uint32_t len = vsock_message_length(connection);

    return len > 0 && is_set(connection->marks->record, connection->fwd_cnt + len - 1);
}

void vsock_consume_message(struct vsock_connection *connection)
{
    uint32_t len = vsock_message_length(connection);

    if (len == 0)
        return;
    clear(connection->marks->end, connection->fwd_cnt + len - 1);
    clear(connection->marks->record, connection->fwd_cnt + len - 1);
    connection->messages--;
    vsock_consume(connection, len);
}

int vsock_send_message(struct vsock_connection *connection, const struct iovec *pieces,
                       size_t count, bool end_of_record)
{
    size_t len = 0, done = 0;
    int error = vsock_connection_cannot_send(connection);

    for (size_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    if (error || len == 0)
        return error;
    if (len > connection->peer_buf_alloc || len > virtio_vsock_room_max() * VSOCK_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (!vsock_connection_want(connection, (uint32_t)len))
        return -EAGAIN;
    while (done < len) {
        uint32_t n = len - done < VSOCK_PAYLOAD_MAX ? (uint32_t)(len - done) : VSOCK_PAYLOAD_MAX;
        uint32_t flags = done + n < len ? 0 : VIRTIO_VSOCK_SEQ_EOM;

        if (flags && end_of_record)
            flags |= VIRTIO_VSOCK_SEQ_EOR;
        if (!vsock_connection_send_data(connection, flags, pieces, count, done, n))
            return -ENOTCONN; /* the queue has broken, and takes all connections with it */
        done += n;
    }
    return 0;
}
