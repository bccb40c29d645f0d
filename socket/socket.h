/*
 * socket.h - sockets as objects: what is behind a descriptor that socket() gave out.
 *
 * Between the C library's names (libc/sockets.c, which owns descriptors and struct sockaddr) and
 * lwIP's raw API or vsock/vsock.h. Calls that must wait do so as cooperative threads (thread.h), unless the socket
 * is nonblocking or MSG_DONTWAIT says otherwise: -EAGAIN. A callback of the event loop that would
 * have to wait gets -EDEADLK. Every function returns a negative errno when it fails. Addresses are
 * lwIP's; an IPv4 address on an IPv6 socket is given and taken as IPv4, the mapping is
 * libc/sockets.c's. Loop context or a thread.
 */
#ifndef FERRULE_SOCKET_SOCKET_H
#define FERRULE_SOCKET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "lwip/ip_addr.h"

#include "fs/fs.h"

struct socket;

struct socket_address {
    ip_addr_t ip;
    uint32_t cid;  /* AF_VSOCK: in the place of an IP address */
    uint32_t port; /* of 16 bits, but for AF_VSOCK's */
};

/* A new socket of AF_INET or AF_INET6, SOCK_STREAM or SOCK_DGRAM; or AF_VSOCK, SOCK_STREAM or
 * SOCK_SEQPACKET. */
int socket_create(int family, int type, struct socket **out);

/* As a file; closing that closes the socket, and who waits for it gets -EBADF. */
struct file_object socket_file(struct socket *socket);

/* The socket behind a file, or NULL. */
struct socket *socket_of(const struct file_object *file);

int socket_family(const struct socket *socket);
int socket_type(const struct socket *socket);

int socket_bind(struct socket *socket, const struct socket_address *address);
int socket_listen(struct socket *socket, int backlog);
int socket_accept(struct socket *socket, struct socket **out, struct socket_address *peer);
int socket_connect(struct socket *socket, const struct socket_address *address);
int socket_shutdown(struct socket *socket, int how);

/* `to` NULL: the peer. */
ssize_t socket_send(struct socket *socket, const struct iovec *pieces, size_t count, int flags,
                    const struct socket_address *to);

/* `from`, if not NULL, becomes the sender; `*message_flags` may get MSG_TRUNC and MSG_EOR. */
ssize_t socket_receive(struct socket *socket, const struct iovec *pieces, size_t count, int flags,
                       struct socket_address *from, int *message_flags);

int socket_name(struct socket *socket, bool peer, struct socket_address *address);

int socket_set_option(struct socket *socket, int level, int name, const void *value, size_t len);
int socket_get_option(struct socket *socket, int level, int name, void *value, size_t *len);

/* The end of the network: cuts all sockets off, and ends every wait. */
void socket_shutdown_all(void);

#endif
