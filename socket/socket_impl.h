/*
 * socket_impl.h - what the files of socket/ share: the structure, waiting, received data.
 */
#ifndef FERRULE_SOCKET_SOCKET_IMPL_H
#define FERRULE_SOCKET_SOCKET_IMPL_H

#include "socket/socket.h"

#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "thread.h"

struct datagram;

/* What differs between protocols; as in socket.h. */
struct socket_protocol {
    int (*open)(struct socket *socket);
    int (*bind)(struct socket *socket, const struct socket_address *address);
    int (*connect)(struct socket *socket, const struct socket_address *address);
    int (*shutdown)(struct socket *socket, int how);
    /* Streams only, from here ... */
    int (*listen)(struct socket *socket, int backlog);
    void (*accepted)(struct socket *child); /* accept() has returned it; may be NULL */
    /* Takes bytes to be sent: how many, 0: no room now, or why never. `more` follow soon. */
    ssize_t (*write)(struct socket *socket, const uint8_t *data, size_t len, bool more);
    void (*push)(struct socket *socket); /* what was taken goes out now; may be NULL */
    /* Copies received bytes, from `skip` bytes after the first unread one on; and lets go of some. */
    size_t (*copy)(const struct socket *socket, uint8_t *data, size_t len, size_t skip);
    void (*consume)(struct socket *socket, size_t bytes);
    /* ... to here. */
    ssize_t (*send)(struct socket *socket, const struct iovec *pieces, size_t count, int flags,
                    const struct socket_address *to);
    ssize_t (*receive)(struct socket *socket, const struct iovec *pieces, size_t count, int flags,
                       struct socket_address *from, int *message_flags);
    int (*name)(struct socket *socket, bool peer, struct socket_address *address);
    /* Those of TCP or UDP; NULL: the protocol has none, nor any of IP. */
    int (*set_option)(struct socket *socket, int level, int name, int value);
    int (*get_option)(struct socket *socket, int level, int name, int *value);
    unsigned (*poll)(struct socket *socket);   /* POLLIN and so on */
    size_t (*readable)(struct socket *socket); /* bytes, for FIONREAD */
    /* Lets go of the protocol's side, in good order unless `abort`. */
    void (*close)(struct socket *socket, bool abort);
};
extern const struct socket_protocol socket_tcp, socket_udp, socket_vsock, socket_vsock_messages;

enum socket_state {
    SOCKET_NEW, /* also bound */
    SOCKET_LISTENING,
    SOCKET_CONNECTING,
    SOCKET_CONNECTED,
    SOCKET_ENDED, /* the connection is over, `error` says why */
};

struct socket {
    const struct socket_protocol *protocol;
    int family, type;
    enum socket_state state;
    union {
        struct ip_pcb *ip; /* what both begin with */
        struct tcp_pcb *tcp;
        struct udp_pcb *udp;
    } pcb; /* NULL once lwIP has let go of it, and always in AF_VSOCK */
    /* AF_VSOCK: */
    struct vsock_connection *stream; /* NULL: none, or none any more */
    uint32_t port;                   /* bound to; VSOCK_PORT_ANY: not yet */
    int backlog;
    unsigned users; /* the descriptor, and each call under way */
    bool closed;    /* the descriptor is gone */
    bool nonblocking, only_v6, reuse;
    bool read_shut, write_shut, end_of_stream;
    bool linger;
    int linger_s;
    int error; /* negative errno that the next call reports, and takes away */
    uint64_t receive_timeout_ns, send_timeout_ns; /* 0: none */
    struct thread_queue readers, writers;

    /* Received and not read yet. TCP: pbufs in a row, the first one read up to `offset`. */
    struct pbuf *first, *last;
    struct pbuf *gathering;          /* the last one, when small pieces are gathered in it ... */
    uint16_t gathering_room, offset; /* ... and what it can still take */
    struct datagram *first_datagram, *last_datagram;
    size_t queued, queue_limit; /* bytes */
    uint16_t datagram_size;     /* what is sent is cut to such pieces, unless 0 */

    /* Connections that nobody has accepted yet, the oldest first. */
    struct socket *accept_first, *accept_last, *accept_next, *listener;

    struct socket *all_next, **all_link;
};

struct socket *socket_new(int family, int type);
void socket_free(struct socket *socket);

/* Sending and receiving over a stream, for the tables of such protocols. */
ssize_t socket_stream_send(struct socket *socket, const struct iovec *pieces, size_t count,
                           int flags, const struct socket_address *to);
ssize_t socket_stream_receive(struct socket *socket, const struct iovec *pieces, size_t count,
                              int flags, struct socket_address *from, int *message_flags);

/* Why nothing can be sent, or 0. And waits until there is something to read: 1, 0 at the end, or an
 * error. */
int socket_cannot_send(struct socket *socket);
int socket_wait_readable(struct socket *socket, int flags, uint64_t start_ns);

/* A new connection waits for accept(); and all that wait are refused. */
void socket_offer(struct socket *listener, struct socket *socket);
void socket_refuse_all(struct socket *listener);

/* Something has changed for readers, writers, or both and pollers. */
void socket_wake_readers(struct socket *socket);
void socket_wake_writers(struct socket *socket);
void socket_wake(struct socket *socket);

/*
 * Waits for a wake-up of readers or writers: 0, or -EAGAIN when the call must not wait or the time
 * is up, -EBADF when the socket was closed meanwhile, -EDEADLK. `start_ns`: when the call began.
 */
int socket_wait(struct socket *socket, bool writer, int flags, uint64_t start_ns);

/* The pending error, once; or 0. */
int socket_take_error(struct socket *socket);

/* lwIP's errors in ours. */
int socket_errno(err_t error);

/* The address for lwIP: any, in the socket's family, stands for any. -EAFNOSUPPORT. */
int socket_lwip_address(const struct socket *socket, const ip_addr_t *ip, ip_addr_t *out);

#endif
