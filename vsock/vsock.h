/*
 * vsock.h - connections between this machine and its hypervisor, over a virtio socket device (5.10):
 * streams of bytes, and sequences of messages.
 *
 * The user's side: sockets (socket/socket_vsock.c) and small services stand on it. Addresses are a
 * CID, which is the machine, and a port of 32 bits. There is one device, whose CID this machine has;
 * without one every call fails with -ENODEV. Connections, listeners and memory are bounded. All of it
 * is loop context; what comes is told by callbacks, which run in the event loop between two packets
 * and may call everything here. Read vsock.c next.
 */
#ifndef FERRULE_VSOCK_VSOCK_H
#define FERRULE_VSOCK_VSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define VSOCK_CONNECTIONS_MAX 64u
#define VSOCK_LISTENERS_MAX 16u

/* Bytes of a connection that were received and not read yet, at most. */
#define VSOCK_BUFFER_SIZE 65536u

#define VSOCK_CID_HOST 2u
#define VSOCK_PORT_ANY UINT32_MAX

/* Waits for the peer: for the answer to a request, and for the end after a close. */
#define VSOCK_CONNECT_TIMEOUT_NS UINT64_C(2000000000)
#define VSOCK_CLOSE_TIMEOUT_NS UINT64_C(8000000000)

/* For vsock_shutdown(), as in SHUTDOWN packets (5.10.6.5). */
#define VSOCK_NO_RECEIVE 1u
#define VSOCK_NO_SEND 2u

struct vsock_address {
    uint32_t cid, port;
};

/* What a connection carries; the numbers are the specification's (5.10.6). */
enum vsock_type { VSOCK_TYPE_STREAM = 1, VSOCK_TYPE_SEQPACKET = 2 };

struct vsock_connection;

/* Any of them may be NULL. */
struct vsock_callbacks {
    /* The peer has accepted; only after vsock_connect(). */
    void (*connected)(void *arg, struct vsock_connection *connection);
    /* There is more to read, or the peer will send no more. */
    void (*readable)(void *arg, struct vsock_connection *connection);
    /* After a vsock_send() that did not take everything, or vsock_can_send(): it takes something now. */
    void (*writable)(void *arg, struct vsock_connection *connection);
    /*
     * The connection is over: 0 in good order, or -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET. What was
     * received stays readable, unless the device was removed, until vsock_close(), which still has
     * to be called.
     */
    void (*ended)(void *arg, struct vsock_connection *connection, int error);
};

/* This machine's CID. False: there is no device, or its CID cannot be one. */
bool vsock_own_cid(uint32_t *cid);

/*
 * `accept` is called for each connection to the port, and sets the callbacks of those that it wants;
 * a negative result refuses, and is the only way to: it must not close the connection. Listeners stay
 * when the device is reset, removed or added. 0; -EADDRINUSE; -ENOSPC: too many.
 */
int vsock_listen(uint32_t port, enum vsock_type type,
                 int (*accept)(void *arg, struct vsock_connection *connection), void *arg);
void vsock_unlisten(uint32_t port);

/* Is the port anybody's here? And one that is nobody's. */
bool vsock_port_is_taken(uint32_t port);
uint32_t vsock_free_port(void);

/*
 * Asks for a connection, from `own_port` or any. 0: `connected` or `ended` will be called. -ENODEV,
 * also for a CID that leads nowhere: this machine's own and the reserved ones; -EPROTONOSUPPORT: the
 * device has no such type; -EADDRINUSE: there is such a connection; -ENOSPC: too many; -ENOMEM.
 */
int vsock_connect(const struct vsock_address *to, enum vsock_type type, uint32_t own_port,
                  const struct vsock_callbacks *callbacks, void *arg,
                  struct vsock_connection **out);

void vsock_set_callbacks(struct vsock_connection *connection,
                         const struct vsock_callbacks *callbacks, void *arg);

/*
 * Copies as much as the peer and the queue have room for; the rest is for later, when `writable` was
 * called. The number of bytes, or -ENOTCONN (not connected yet, or not any more), or -EPIPE: this
 * side was shut down, or the peer receives no more. It goes out at the end of the loop's turn.
 */
ssize_t vsock_send(struct vsock_connection *connection, const void *data, size_t len);

/*
 * A message, in pieces: all of it or nothing. 0; -EAGAIN: no room now, `writable` will be called;
 * -EMSGSIZE: there will never be; or as above. An empty one is nothing. Only for VSOCK_TYPE_SEQPACKET,
 * as vsock_send() is only for streams.
 */
int vsock_send_message(struct vsock_connection *connection, const struct iovec *pieces,
                       size_t count, bool end_of_record);

/* Would it take a byte now? If not, `writable` is called when it does. */
bool vsock_can_send(struct vsock_connection *connection);

/* Bytes to read, for messages: of the first whole one; and whether no more will come. */
size_t vsock_readable(const struct vsock_connection *connection);
bool vsock_is_at_end(const struct vsock_connection *connection);

/*
 * Reading without a copy: the bytes that follow the first `skip` ones, as many as lie in one piece
 * (`*len`; NULL and 0: there are none). They stay until vsock_consume() of them, which lets the peer
 * send more. vsock_read() is both with a copy.
 */
const void *vsock_peek(const struct vsock_connection *connection, size_t skip, size_t *len);
void vsock_consume(struct vsock_connection *connection, size_t bytes);
size_t vsock_read(struct vsock_connection *connection, void *data, size_t len);

/* Does the first whole message end a record? And it was read, as far as is of interest. */
bool vsock_ends_record(const struct vsock_connection *connection);
void vsock_consume_message(struct vsock_connection *connection);

/* VSOCK_NO_RECEIVE, VSOCK_NO_SEND or both, for good. 0 or -ENOTCONN. */
int vsock_shutdown(struct vsock_connection *connection, unsigned flags);

/*
 * The end: no callback comes any more, and the connection is no more the caller's. What was sent
 * still arrives, unless `abort`.
 */
void vsock_close(struct vsock_connection *connection, bool abort);

uint32_t vsock_own_port(const struct vsock_connection *connection);
struct vsock_address vsock_peer(const struct vsock_connection *connection);

/* The machine ends: what was sent goes out, if the device takes it within a fifth of a second. */
void vsock_drain(void);

/* Logs the CID, connections and counters. */
void vsock_print_report(void);

#endif
