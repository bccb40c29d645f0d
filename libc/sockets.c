/*
 * sockets.c - the functions of <sys/socket.h> and <sys/uio.h>, by their C names.
 *
 * Owns the steps from descriptors and struct sockaddr to socket/socket.h, and from negative errno
 * to errno. On an IPv6 socket IPv4 addresses are written ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). Read
 * poll.c next.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <string.h>

#include "libc/files.h"
#include "socket/socket.h"

const struct in6_addr in6addr_any = IN6ADDR_ANY_INIT;
const struct in6_addr in6addr_loopback = IN6ADDR_LOOPBACK_INIT;

static int64_t result(int64_t value)
{
    if (value >= 0)
        return value;
    errno = (int)-value;
    return -1;
}

/* The socket behind a descriptor, or NULL with errno. */
static struct socket *socket_at(int fd)
{
    struct file_object file;
    int error = file_object_at(fd, &file);
    struct socket *socket = error == 0 ? socket_of(&file) : NULL;
    if (socket == NULL)
        errno = error != 0 ? -error : ENOTSOCK;
    return socket;
}

/* ---- addresses ---- */

/* AF_UNSPEC says no family; any other one must be the socket's, but IPv4 is known to both of IP's. */
static bool is_of_family(const struct socket *socket, sa_family_t family)
{
    return family == AF_UNSPEC || (family == AF_VSOCK) == (socket_family(socket) == AF_VSOCK);
}

static int take_address(const struct socket *socket, const struct sockaddr *from, socklen_t len,
                        struct socket_address *out)
{
    memset(out, 0, sizeof(*out));
    if (from == NULL)
        return -EFAULT;
    if (len < sizeof(from->sa_family))
        return -EINVAL;
    if (!is_of_family(socket, from->sa_family))
        return -EAFNOSUPPORT;
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        if (len < sizeof(in))
            return -EINVAL;
        memcpy(&in, from, sizeof(in));
        ip_addr_set_ip4_u32(&out->ip, in.sin_addr.s_addr);
        out->port = ntohs(in.sin_port);
        return 0;
    }
    if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        if (len < sizeof(in6))
            return -EINVAL;
        memcpy(&in6, from, sizeof(in6));
        out->port = ntohs(in6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            ip_addr_set_ip4_u32(&out->ip, in6.sin6_addr.s6_addr32[3]);
            return 0;
        }
        IP_SET_TYPE_VAL(out->ip, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(&out->ip)->addr, &in6.sin6_addr, sizeof(in6.sin6_addr));
        ip6_addr_set_zone(ip_2_ip6(&out->ip), (uint8_t)in6.sin6_scope_id);
        return 0;
    }
    if (from->sa_family == AF_VSOCK) {
        struct sockaddr_vm vm;
        if (len < sizeof(vm))
            return -EINVAL;
        memcpy(&vm, from, sizeof(vm));
        out->cid = vm.svm_cid;
        out->port = vm.svm_port;
        return 0;
    }
    if (from->sa_family == AF_UNSPEC) /* connect(): no peer any more */
        return 0;
    return -EAFNOSUPPORT;
}

static void give_bytes(const void *address, size_t size, struct sockaddr *to, socklen_t *len)
{
    if (to == NULL || len == NULL)
        return;
    memcpy(to, address, *len < size ? *len : size);
    *len = (socklen_t)size;
}

static void give_address(int family, const struct socket_address *from, struct sockaddr *to,
                         socklen_t *len)
{
    if (family == AF_VSOCK) {
        struct sockaddr_vm vm = {
            .svm_family = AF_VSOCK, .svm_port = from->port, .svm_cid = from->cid};
        give_bytes(&vm, sizeof(vm), to, len);
        return;
    }
    if (family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)from->port)};
        if (IP_IS_V4(&from->ip))
            in.sin_addr.s_addr = ip_2_ip4(&from->ip)->addr;
        give_bytes(&in, sizeof(in), to, len);
        return;
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)from->port)};
    if (IP_IS_V4_VAL(from->ip) && !ip4_addr_isany(ip_2_ip4(&from->ip))) {
        in6.sin6_addr.s6_addr16[5] = 0xffff;
        in6.sin6_addr.s6_addr32[3] = ip_2_ip4(&from->ip)->addr;
    } else if (!IP_IS_V4_VAL(from->ip)) {
        memcpy(&in6.sin6_addr, ip_2_ip6(&from->ip)->addr, sizeof(in6.sin6_addr));
        in6.sin6_scope_id = ip6_addr_zone(ip_2_ip6(&from->ip));
    }
    give_bytes(&in6, sizeof(in6), to, len);
}

/* ---- making and connecting ---- */

static int install(struct socket *socket, int flags)
{
    struct file_object file = socket_file(socket);
    int fd = file_install(&file, O_RDWR);
    if (fd < 0)
        file.ops->close(file.object);
    else if ((flags & SOCK_NONBLOCK) != 0)
        file_set_nonblocking(fd, true);
    return fd;
}

int socket(int domain, int type, int protocol)
{
    struct socket *made;
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC), kind = type & ~flags;
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_VSOCK)
        return (int)result(-EAFNOSUPPORT);
    if (domain == AF_VSOCK && ((kind != SOCK_STREAM && kind != SOCK_SEQPACKET) || protocol != 0))
        return (int)result(-EPROTONOSUPPORT);
    if (domain != AF_VSOCK && kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return (int)result(-EPROTONOSUPPORT);
    if (protocol != 0 && protocol != (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
        return (int)result(-EPROTONOSUPPORT);
    int error = socket_create(domain, kind, &made);
    return (int)result(error != 0 ? error : install(made, flags));
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    (void)domain;
    (void)type;
    (void)protocol;
    (void)fds;
    return (int)result(-EOPNOTSUPP);
}

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    struct socket_address to;
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    int error = take_address(socket, address, len, &to);
    return (int)result(error != 0 ? error : socket_bind(socket, &to));
}

int listen(int fd, int backlog)
{
    struct socket *socket = socket_at(fd);
    return socket == NULL ? -1 : (int)result(socket_listen(socket, backlog));
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    struct socket_address peer;
    struct socket *made, *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    if (!file_has_room())
        return (int)result(-EMFILE); /* the connection stays for a later call */
    int error = socket_accept(socket, &made, &peer);
    if (error != 0)
        return (int)result(error);
    give_address(socket_family(made), &peer, address, len);
    return (int)result(install(made, flags));
}

int accept(int fd, struct sockaddr *address, socklen_t *len)
{
    return accept4(fd, address, len, 0);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct socket_address to;
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    int error = take_address(socket, address, len, &to);
    return (int)result(error != 0 ? error : socket_connect(socket, &to));
}

int shutdown(int fd, int how)
{
    struct socket *socket = socket_at(fd);
    return socket == NULL ? -1 : (int)result(socket_shutdown(socket, how));
}

/* ---- moving data ---- */

static ssize_t send_pieces(int fd, const struct iovec *pieces, size_t count, int flags,
                           const struct sockaddr *to, socklen_t to_len)
{
    struct socket_address address;
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    int error = to != NULL ? take_address(socket, to, to_len, &address) : 0;
    return result(error != 0 ? error
                             : socket_send(socket, pieces, count, flags, to ? &address : NULL));
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
               socklen_t to_len)
{
    struct iovec piece = {(void *)data, len};
    return send_pieces(fd, &piece, 1, flags, to, to_len);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    return sendto(fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return send_pieces(fd, message->msg_iov, message->msg_iovlen, flags, message->msg_name,
                       message->msg_namelen);
}

static ssize_t receive_pieces(int fd, const struct iovec *pieces, size_t count, int flags,
                              struct sockaddr *from, socklen_t *from_len, int *message_flags)
{
    struct socket_address address = {.port = 0};
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    int family = socket_family(socket);
    ssize_t n = socket_receive(socket, pieces, count, flags, from ? &address : NULL, message_flags);
    if (n >= 0 && from != NULL)
        give_address(family, &address, from, from_len);
    return result(n);
}

ssize_t recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *from,
                 socklen_t *from_len)
{
    struct iovec piece = {data, len};
    int message_flags = 0;
    return receive_pieces(fd, &piece, 1, flags, from, from_len, &message_flags);
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    return recvfrom(fd, data, len, flags, NULL, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    message->msg_flags = 0;
    message->msg_controllen = 0;
    return receive_pieces(fd, message->msg_iov, message->msg_iovlen, flags, message->msg_name,
                          &message->msg_namelen, &message->msg_flags);
}

/* On files piece by piece; on sockets in one call. */
static ssize_t move_pieces(int fd, const struct iovec *pieces, int count, bool out)
{
    struct file_object file;
    int64_t total = 0, error = file_object_at(fd, &file);
    int message_flags = 0;
    if (error == 0 && (count < 0 || count > IOV_MAX))
        error = -EINVAL;
    if (error != 0)
        return result(error);
    struct socket *socket = socket_of(&file);
    if (socket != NULL)
        return result(out ? socket_send(socket, pieces, (size_t)count, 0, NULL)
                          : socket_receive(socket, pieces, (size_t)count, 0, NULL, &message_flags));
    for (int i = 0; i < count; i++) {
        int64_t n = out ? file_write(fd, pieces[i].iov_base, pieces[i].iov_len)
                        : file_read(fd, pieces[i].iov_base, pieces[i].iov_len);
        if (n < 0 && total == 0)
            return result(n);
        total += n > 0 ? n : 0;
        if (n < (int64_t)pieces[i].iov_len)
            break;
    }
    return total;
}

ssize_t readv(int fd, const struct iovec *pieces, int count)
{
    return move_pieces(fd, pieces, count, false);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return move_pieces(fd, pieces, count, true);
}

/* ---- questions ---- */

static int give_name(int fd, bool peer, struct sockaddr *address, socklen_t *len)
{
    struct socket_address name;
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    int error = socket_name(socket, peer, &name);
    if (error == 0)
        give_address(socket_family(socket), &name, address, len);
    return (int)result(error);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    return give_name(fd, false, address, len);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    return give_name(fd, true, address, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    return (int)result(value ? socket_set_option(socket, level, name, value, len) : -EFAULT);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct socket *socket = socket_at(fd);
    if (socket == NULL)
        return -1;
    if (value == NULL || len == NULL)
        return (int)result(-EFAULT);
    size_t size = *len;
    int error = socket_get_option(socket, level, name, value, &size);
    *len = (socklen_t)size;
    return (int)result(error);
}
