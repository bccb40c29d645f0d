/*
 * socket.c - what all sockets have in common: life, waiting, errors, the file.
 *
 * Owns the list of all sockets. A socket is freed when its descriptor is closed and no call is
 * under way any more, so a thread may close one that another waits for. Read socket_tcp.c next.
 */
#include "socket/socket_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "libc/files.h"
#include "platform.h"

static struct socket *all;

/* ---- life ---- */

struct socket *socket_new(int family, int type)
{
    struct socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL)
        return NULL;
    if (family == AF_VSOCK)
        socket->protocol = type == SOCK_STREAM ? &socket_vsock : &socket_vsock_messages;
    else
        socket->protocol = type == SOCK_STREAM ? &socket_tcp : &socket_udp;
    socket->family = family;
    socket->type = type;
    socket->users = 1;
    socket->all_next = all;
    socket->all_link = &all;
    if (all != NULL)
        all->all_link = &socket->all_next;
    all = socket;
    return socket;
}

void socket_free(struct socket *socket)
{
    *socket->all_link = socket->all_next;
    if (socket->all_next != NULL)
        socket->all_next->all_link = socket->all_link;
    free(socket);
}

static void enter(struct socket *socket)
{
    socket->users++;
}

static void leave(struct socket *socket)
{
    if (--socket->users == 0)
        socket_free(socket);
}

int socket_create(int family, int type, struct socket **out)
{
    struct socket *socket = socket_new(family, type);
    if (socket == NULL)
        return -ENOMEM;
    int error = socket->protocol->open(socket);
    if (error != 0)
        socket_free(socket);
    else
        *out = socket;
    return error;
}

void socket_shutdown_all(void)
{
    for (struct socket *socket = all; socket != NULL; socket = socket->all_next) {
        socket->protocol->close(socket, false);
        socket->error = -ENETDOWN;
        socket_wake(socket);
    }
}

int socket_family(const struct socket *socket)
{
    return socket->family;
}

int socket_type(const struct socket *socket)
{
    return socket->type;
}

/* ---- waiting and errors ---- */

void socket_wake_readers(struct socket *socket)
{
    thread_wake_all(&socket->readers);
    file_changed();
}

void socket_wake_writers(struct socket *socket)
{
    thread_wake_all(&socket->writers);
    file_changed();
}

void socket_wake(struct socket *socket)
{
    thread_wake_all(&socket->readers);
    socket_wake_writers(socket);
}

int socket_wait(struct socket *socket, bool writer, int flags, uint64_t start_ns)
{
    uint64_t limit_ns = writer ? socket->send_timeout_ns : socket->receive_timeout_ns;
    if (socket->nonblocking || (flags & MSG_DONTWAIT) != 0)
        return -EAGAIN;
    int error = thread_wait(writer ? &socket->writers : &socket->readers,
                            limit_ns != 0 ? start_ns + limit_ns : PLATFORM_NO_DEADLINE);
    if (socket->closed)
        return -EBADF;
    return error == -ETIMEDOUT ? -EAGAIN : error;
}

int socket_take_error(struct socket *socket)
{
    int error = socket->error;
    socket->error = 0;
    return error;
}

int socket_errno(err_t error)
{
    switch (error) {
    case ERR_OK:
        return 0;
    case ERR_MEM:
    case ERR_BUF:
        return -ENOBUFS;
    case ERR_TIMEOUT:
    case ERR_ABRT:
        return -ETIMEDOUT;
    case ERR_RTE:
        return -EHOSTUNREACH;
    case ERR_USE:
        return -EADDRINUSE;
    case ERR_ALREADY:
        return -EALREADY;
    case ERR_ISCONN:
        return -EISCONN;
    case ERR_CONN:
        return -ENOTCONN;
    case ERR_IF:
        return -ENETDOWN;
    case ERR_RST:
        return -ECONNRESET;
    case ERR_CLSD:
        return -EPIPE;
    default:
        return -EINVAL;
    }
}

int socket_lwip_address(const struct socket *socket, const ip_addr_t *ip, ip_addr_t *out)
{
    *out = *ip;
    if (IP_IS_V6(ip) && socket->family == AF_INET)
        return -EAFNOSUPPORT;
    if (IP_IS_V4(ip) && socket->family == AF_INET6 && socket->only_v6)
        return -ENETUNREACH;
    if (ip_addr_isany(ip) && socket->family == AF_INET6 && IP_IS_V6(ip) && !socket->only_v6)
        *out = *IP_ANY_TYPE;
    return 0;
}

/* ---- calls ---- */

int socket_bind(struct socket *socket, const struct socket_address *address)
{
    return socket->protocol->bind(socket, address);
}

int socket_connect(struct socket *socket, const struct socket_address *address)
{
    enter(socket);
    int error = socket->protocol->connect(socket, address);
    leave(socket);
    return error;
}

int socket_listen(struct socket *socket, int backlog)
{
    if (socket->protocol->listen == NULL)
        return -EOPNOTSUPP;
    return socket->protocol->listen(socket, backlog);
}

int socket_shutdown(struct socket *socket, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    return socket->protocol->shutdown(socket, how);
}

ssize_t socket_send(struct socket *socket, const struct iovec *pieces, size_t count, int flags,
                    const struct socket_address *to)
{
    if ((flags & MSG_OOB) != 0)
        return -EOPNOTSUPP;
    enter(socket);
    ssize_t sent = socket->protocol->send(socket, pieces, count, flags, to);
    leave(socket);
    return sent;
}

ssize_t socket_receive(struct socket *socket, const struct iovec *pieces, size_t count, int flags,
                       struct socket_address *from, int *message_flags)
{
    if ((flags & MSG_OOB) != 0)
        return -EOPNOTSUPP;
    enter(socket);
    ssize_t received = socket->protocol->receive(socket, pieces, count, flags, from, message_flags);
    leave(socket);
    return received;
}

int socket_name(struct socket *socket, bool peer, struct socket_address *address)
{
    return socket->protocol->name(socket, peer, address);
}

/* ---- as a file ---- */

static ssize_t file_socket_read(void *object, void *data, size_t count)
{
    struct iovec piece = {data, count};
    int message_flags = 0;
    return socket_receive(object, &piece, 1, 0, NULL, &message_flags);
}

static ssize_t file_socket_write(void *object, const void *data, size_t count)
{
    struct iovec piece = {(void *)data, count};
    return socket_send(object, &piece, 1, 0, NULL);
}

static int file_socket_stat(void *object, struct stat *status)
{
    (void)object;
    memset(status, 0, sizeof(*status));
    status->st_mode = S_IFSOCK | 0666;
    status->st_nlink = 1;
    status->st_blksize = 4096;
    return 0;
}

static int file_socket_close(void *object)
{
    struct socket *socket = object;
    socket->closed = true;
    socket->protocol->close(socket, socket->linger && socket->linger_s == 0);
    socket_wake(socket);
    leave(socket);
    return 0;
}

static unsigned file_socket_poll(void *object)
{
    struct socket *socket = object;
    return socket->protocol->poll(socket);
}

static int file_socket_readable(void *object, size_t *bytes)
{
    struct socket *socket = object;
    *bytes = socket->protocol->readable(socket);
    return 0;
}

static void file_socket_set_nonblocking(void *object, bool on)
{
    struct socket *socket = object;
    socket->nonblocking = on;
}

static const struct file_ops socket_file_ops = {
    .read = file_socket_read,
    .write = file_socket_write,
    .stat = file_socket_stat,
    .poll = file_socket_poll,
    .readable = file_socket_readable,
    .set_nonblocking = file_socket_set_nonblocking,
    .close = file_socket_close,
};

struct file_object socket_file(struct socket *socket)
{
    return (struct file_object){&socket_file_ops, socket};
}

struct socket *socket_of(const struct file_object *file)
{
    return file->ops == &socket_file_ops ? file->object : NULL;
}
