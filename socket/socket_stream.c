/*
 * socket_stream.c - sending and receiving over any kind of stream: pieces, flags and waiting.
 *
 * What a protocol has to do with bytes is behind `write`, `push`, `copy` and `consume` of its table.
 * Read socket_tcp.c next.
 */
#include "socket/socket_impl.h"

#include <errno.h>

#include "platform.h"

int socket_cannot_send(struct socket *socket)
{
    if (socket->error != 0)
        return socket_take_error(socket);
    if (socket->write_shut || socket->state == SOCKET_ENDED)
        return -EPIPE;
    if (socket->state == SOCKET_NEW || socket->state == SOCKET_LISTENING)
        return -ENOTCONN;
    return 0;
}

static void push(struct socket *socket)
{
    if (socket->protocol->push != NULL && socket->state == SOCKET_CONNECTED)
        socket->protocol->push(socket);
}

static ssize_t send_piece(struct socket *socket, const struct iovec *piece, int flags, bool more,
                          uint64_t start_ns)
{
    size_t done = 0;
    while (done < piece->iov_len) {
        int error = socket_cannot_send(socket);
        ssize_t n = 0;
        if (error == 0 && socket->state == SOCKET_CONNECTED)
            n = socket->protocol->write(socket, (const uint8_t *)piece->iov_base + done,
                                        piece->iov_len - done, more);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (error == 0)
            error = (int)n;
        if (error == 0)
            push(socket);
        if (error == 0)
            error = socket_wait(socket, true, flags, start_ns);
        if (error != 0)
            return done > 0 ? (ssize_t)done : error;
    }
    return (ssize_t)done;
}

ssize_t socket_stream_send(struct socket *socket, const struct iovec *pieces, size_t count,
                           int flags, const struct socket_address *to)
{
    uint64_t start_ns = platform_now_ns();
    ssize_t total = 0;
    (void)to; /* connected, so it is of no interest */
    int error = socket_cannot_send(socket);
    if (error != 0)
        return error;
    for (size_t i = 0; i < count; i++) {
        bool more = i + 1 < count || (flags & MSG_MORE) != 0;
        ssize_t n = send_piece(socket, &pieces[i], flags, more, start_ns);
        if (n < 0 && total == 0)
            return n;
        total += n > 0 ? n : 0;
        if (n < 0 || (size_t)n < pieces[i].iov_len)
            break;
    }
    push(socket);
    return total;
}

int socket_wait_readable(struct socket *socket, int flags, uint64_t start_ns)
{
    for (;;) {
        if (socket->protocol->readable(socket) > 0)
            return 1;
        if (socket->error != 0 && socket->state != SOCKET_CONNECTING)
            return socket_take_error(socket);
        if (socket->end_of_stream || socket->read_shut || socket->state == SOCKET_ENDED)
            return 0;
        if (socket->state == SOCKET_NEW || socket->state == SOCKET_LISTENING)
            return -ENOTCONN;
        int error = socket_wait(socket, false, flags, start_ns);
        if (error != 0)
            return error;
    }
}

static ssize_t receive_piece(struct socket *socket, const struct iovec *piece, int flags,
                             size_t skip, uint64_t start_ns)
{
    bool peek = (flags & MSG_PEEK) != 0;
    size_t done = 0;
    do {
        int ready = socket_wait_readable(socket, flags, start_ns);
        if (ready <= 0)
            return done > 0 ? (ssize_t)done : ready;
        size_t n = socket->protocol->copy(socket, (uint8_t *)piece->iov_base + done,
                                          piece->iov_len - done, skip);
        if (!peek)
            socket->protocol->consume(socket, n);
        done += n;
    } while (done < piece->iov_len && (flags & MSG_WAITALL) != 0 && !peek);
    return (ssize_t)done;
}

ssize_t socket_stream_receive(struct socket *socket, const struct iovec *pieces, size_t count,
                              int flags, struct socket_address *from, int *message_flags)
{
    uint64_t start_ns = platform_now_ns();
    ssize_t total = 0;
    (void)message_flags;
    for (size_t i = 0; i < count; i++) {
        size_t skip = (flags & MSG_PEEK) != 0 ? (size_t)total : 0;
        if (pieces[i].iov_len == 0)
            continue;
        ssize_t n = receive_piece(socket, &pieces[i], flags, skip, start_ns);
        if (n < 0 && total == 0)
            return n;
        total += n > 0 ? n : 0;
        if (n < (ssize_t)pieces[i].iov_len ||
            (socket->protocol->readable(socket) == 0 && !(flags & MSG_WAITALL)))
            break;
    }
    if (from != NULL && socket_name(socket, true, from) != 0)
        *from = (struct socket_address){.port = 0};
    return total;
}

/* ---- connections that nobody has accepted yet ---- */

void socket_offer(struct socket *listener, struct socket *socket)
{
    socket->state = SOCKET_CONNECTED;
    socket->listener = listener;
    if (listener->accept_last != NULL)
        listener->accept_last->accept_next = socket;
    else
        listener->accept_first = socket;
    listener->accept_last = socket;
    socket_wake_readers(listener);
}

int socket_accept(struct socket *socket, struct socket **out, struct socket_address *peer)
{
    uint64_t start_ns = platform_now_ns();
    int error = 0;
    if (socket->protocol->listen == NULL)
        return -EOPNOTSUPP;
    socket->users++;
    while (error == 0 && socket->accept_first == NULL) {
        error =
            socket->state != SOCKET_LISTENING ? -EINVAL : socket_wait(socket, false, 0, start_ns);
    }
    if (error == 0) {
        struct socket *child = socket->accept_first;
        socket->accept_first = child->accept_next;
        if (socket->accept_first == NULL)
            socket->accept_last = NULL;
        child->listener = NULL;
        if (socket->protocol->accepted != NULL)
            socket->protocol->accepted(child);
        if (socket_name(child, true, peer) != 0)
            *peer = (struct socket_address){.port = 0};
        *out = child;
    }
    if (--socket->users == 0)
        socket_free(socket);
    return error;
}

void socket_refuse_all(struct socket *listener)
{
    struct socket *next;
    for (struct socket *child = listener->accept_first; child != NULL; child = next) {
        next = child->accept_next;
        child->protocol->close(child, true);
        socket_free(child);
    }
    listener->accept_first = listener->accept_last = NULL;
}
