/*
 * socket_vsock.c - AF_VSOCK: streams and sequences of messages over vsock/vsock.h.
 *
 * Owns nothing but the step from callbacks to sleeping threads: data waits where the protocol keeps
 * it. Read vsock/vsock.h next.
 */
#include "socket/socket_impl.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <string.h>

#include "platform.h"
#include "vsock/vsock.h"

static enum vsock_type type_of(const struct socket *socket)
{
    return socket->type == SOCK_STREAM ? VSOCK_TYPE_STREAM : VSOCK_TYPE_SEQPACKET;
}

/* ---- the protocol's callbacks ---- */

static void on_connected(void *arg, struct vsock_connection *stream)
{
    struct socket *socket = arg;
    (void)stream;
    socket->state = SOCKET_CONNECTED;
    socket_wake_writers(socket);
}

static void on_readable(void *arg, struct vsock_connection *stream)
{
    struct socket *socket = arg;
    socket->end_of_stream = vsock_is_at_end(stream);
    socket_wake_readers(socket);
}

static void on_writable(void *arg, struct vsock_connection *stream)
{
    (void)stream;
    socket_wake_writers(arg);
}

static void on_ended(void *arg, struct vsock_connection *stream, int error)
{
    struct socket *socket = arg;
    (void)stream;
    socket->state = SOCKET_ENDED;
    socket->end_of_stream = true;
    socket->error = error;
    socket_wake(socket);
}

static const struct vsock_callbacks callbacks = {
    .connected = on_connected,
    .readable = on_readable,
    .writable = on_writable,
    .ended = on_ended,
};

static int on_accept(void *arg, struct vsock_connection *stream)
{
    struct socket *listener = arg, *socket;
    int waiting = 0;
    for (socket = listener->accept_first; socket != NULL; socket = socket->accept_next)
        waiting++;
    if (waiting >= listener->backlog)
        return -EAGAIN;
    socket = socket_new(AF_VSOCK, listener->type);
    if (socket == NULL)
        return -ENOMEM;
    socket->stream = stream;
    socket->port = vsock_own_port(stream);
    vsock_set_callbacks(stream, &callbacks, socket);
    socket_offer(listener, socket);
    return 0;
}

/* ---- opening ---- */

static int vsock_open(struct socket *socket)
{
    socket->port = VSOCK_PORT_ANY;
    socket->state = SOCKET_NEW;
    return 0;
}

static int vsock_bind_to(struct socket *socket, const struct socket_address *address)
{
    uint32_t own;
    vsock_own_cid(&own);
    if (address->cid != VMADDR_CID_ANY && address->cid != own)
        return -EADDRNOTAVAIL;
    if (socket->state != SOCKET_NEW || socket->port != VSOCK_PORT_ANY)
        return -EINVAL;
    if (address->port != VSOCK_PORT_ANY && vsock_port_is_taken(address->port))
        return -EADDRINUSE;
    socket->port = address->port == VSOCK_PORT_ANY ? vsock_free_port() : address->port;
    return 0;
}

static int vsock_listen_at(struct socket *socket, int backlog)
{
    socket->backlog = backlog < 1 ? 1 : backlog > SOMAXCONN ? SOMAXCONN : backlog;
    if (socket->state == SOCKET_LISTENING)
        return 0;
    if (socket->state != SOCKET_NEW)
        return -EINVAL;
    if (socket->port == VSOCK_PORT_ANY)
        socket->port = vsock_free_port();
    int error = vsock_listen(socket->port, type_of(socket), on_accept, socket);
    if (error != 0)
        return error == -ENOSPC ? -ENOBUFS : error;
    socket->state = SOCKET_LISTENING;
    return 0;
}

static int vsock_connect_to(struct socket *socket, const struct socket_address *address)
{
    uint64_t start_ns = platform_now_ns();
    if (socket->state == SOCKET_CONNECTING)
        return -EALREADY;
    if (socket->state == SOCKET_CONNECTED || socket->state == SOCKET_LISTENING)
        return -EISCONN;
    if (socket->state == SOCKET_ENDED && socket->error != 0)
        return socket_take_error(socket);
    struct vsock_address to = {address->cid, address->port};
    struct vsock_connection *stream;
    int error = vsock_connect(&to, type_of(socket), socket->port, &callbacks, socket, &stream);
    if (error != 0)
        return error == -ENOSPC ? -ENOBUFS : error;
    if (socket->stream != NULL) /* of an attempt before */
        vsock_close(socket->stream, false);
    socket->stream = stream;
    socket->end_of_stream = false;
    socket->state = SOCKET_CONNECTING;
    while (socket->state == SOCKET_CONNECTING) {
        error = socket_wait(socket, true, 0, start_ns);
        if (error != 0)
            return error == -EAGAIN ? -EINPROGRESS : error;
    }
    return socket_take_error(socket);
}

/* ---- the end ---- */

static void vsock_end(struct socket *socket, bool abort)
{
    if (socket->state == SOCKET_LISTENING) {
        vsock_unlisten(socket->port);
        socket_refuse_all(socket);
    }
    if (socket->stream != NULL)
        vsock_close(socket->stream, abort);
    socket->stream = NULL;
    socket->state = SOCKET_ENDED;
}

static int vsock_shut(struct socket *socket, int how)
{
    if (socket->state == SOCKET_LISTENING) {
        vsock_end(socket, false);
        socket_wake(socket);
        return 0;
    }
    if (socket->state != SOCKET_CONNECTED)
        return -ENOTCONN;
    socket->read_shut |= how != SHUT_WR;
    socket->write_shut |= how != SHUT_RD;
    vsock_shutdown(socket->stream,
                   (how != SHUT_WR ? VSOCK_NO_RECEIVE : 0) | (how != SHUT_RD ? VSOCK_NO_SEND : 0));
    socket_wake(socket);
    return 0;
}

/* ---- moving data ---- */

static ssize_t vsock_write(struct socket *socket, const uint8_t *data, size_t len, bool more)
{
    (void)more; /* a turn of the loop is a batch */
    return vsock_send(socket->stream, data, len);
}

static size_t vsock_copy(const struct socket *socket, uint8_t *data, size_t len, size_t skip)
{
    size_t done = 0, n;
    const void *from;
    while (done < len && (from = vsock_peek(socket->stream, skip + done, &n)) != NULL) {
        n = n < len - done ? n : len - done;
        memcpy(data + done, from, n);
        done += n;
    }
    return done;
}

static void vsock_take(struct socket *socket, size_t bytes)
{
    vsock_consume(socket->stream, bytes);
}

/* ---- messages ---- */

static ssize_t vsock_send_whole(struct socket *socket, const struct iovec *pieces, size_t count,
                                int flags, const struct socket_address *to)
{
    uint64_t start_ns = platform_now_ns();
    size_t len = 0;
    (void)to;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    for (;;) {
        int error = socket_cannot_send(socket);
        if (error == 0)
            error = socket->state == SOCKET_CONNECTED
                        ? vsock_send_message(socket->stream, pieces, count, flags & MSG_EOR)
                        : -EAGAIN;
        if (error != -EAGAIN)
            return error != 0 ? error : (ssize_t)len;
        error = socket_wait(socket, true, flags, start_ns);
        if (error != 0)
            return error;
    }
}

/* One message, of which the pieces may hold a part: the rest is gone, and MSG_TRUNC says so. */
static ssize_t vsock_receive_whole(struct socket *socket, const struct iovec *pieces, size_t count,
                                   int flags, struct socket_address *from, int *message_flags)
{
    int ready = socket_wait_readable(socket, flags, platform_now_ns());
    if (from != NULL && socket_name(socket, true, from) != 0)
        *from = (struct socket_address){.port = 0};
    if (ready <= 0)
        return ready;
    size_t len = vsock_readable(socket->stream), done = 0;
    for (size_t i = 0; i < count && done < len; i++) {
        size_t n = pieces[i].iov_len < len - done ? pieces[i].iov_len : len - done;
        done += vsock_copy(socket, pieces[i].iov_base, n, done);
    }
    if (done < len)
        *message_flags |= MSG_TRUNC;
    if (vsock_ends_record(socket->stream))
        *message_flags |= MSG_EOR;
    if ((flags & MSG_PEEK) == 0)
        vsock_consume_message(socket->stream);
    return (ssize_t)((flags & MSG_TRUNC) != 0 ? len : done);
}

/* ---- questions ---- */

static int vsock_name(struct socket *socket, bool peer, struct socket_address *address)
{
    *address = (struct socket_address){.port = socket->port};
    vsock_own_cid(&address->cid);
    if (peer && (socket->stream == NULL || socket->state != SOCKET_CONNECTED))
        return -ENOTCONN;
    if (socket->stream != NULL && peer) {
        struct vsock_address name = vsock_peer(socket->stream);
        address->cid = name.cid;
        address->port = name.port;
    } else if (socket->stream != NULL) {
        address->port = vsock_own_port(socket->stream);
    }
    return 0;
}

static size_t vsock_unread(struct socket *socket)
{
    return socket->stream != NULL ? vsock_readable(socket->stream) : 0;
}

static unsigned vsock_poll_events(struct socket *socket)
{
    unsigned events = 0;
    if (socket->accept_first != NULL || vsock_unread(socket) > 0 || socket->end_of_stream ||
        socket->read_shut)
        events |= POLLIN | POLLRDNORM;
    if (socket->state == SOCKET_ENDED)
        events |= POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP;
    if (socket->state == SOCKET_NEW)
        events |= POLLOUT | POLLHUP;
    if (socket->state == SOCKET_CONNECTED && (socket->write_shut || vsock_can_send(socket->stream)))
        events |= POLLOUT | POLLWRNORM;
    if (socket->end_of_stream && socket->write_shut)
        events |= POLLHUP;
    if (socket->error != 0)
        events |= POLLERR;
    return events;
}

const struct socket_protocol socket_vsock = {
    .open = vsock_open,
    .bind = vsock_bind_to,
    .connect = vsock_connect_to,
    .shutdown = vsock_shut,
    .listen = vsock_listen_at,
    .write = vsock_write,
    .copy = vsock_copy,
    .consume = vsock_take,
    .send = socket_stream_send,
    .receive = socket_stream_receive,
    .name = vsock_name,
    .poll = vsock_poll_events,
    .readable = vsock_unread,
    .close = vsock_end,
};

const struct socket_protocol socket_vsock_messages = {
    .open = vsock_open,
    .bind = vsock_bind_to,
    .connect = vsock_connect_to,
    .shutdown = vsock_shut,
    .listen = vsock_listen_at,
    .send = vsock_send_whole,
    .receive = vsock_receive_whole,
    .name = vsock_name,
    .poll = vsock_poll_events,
    .readable = vsock_unread,
    .close = vsock_end,
};
