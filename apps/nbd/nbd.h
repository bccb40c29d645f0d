/*
 * nbd.h - what the files of the NBD server share: exports, connections, requests.
 *
 * Bytes arrive in connection.c, which hands them to handshake.c until an export is chosen, and to
 * transmit.c from then on. Everything runs in the event loop; nothing waits. Memory is bounded: so
 * many connections, requests and buffers in all, made at start; a connection for which there is
 * none at the moment is not read from until there is. Read connection.c next.
 */
#ifndef FERRULE_APPS_NBD_NBD_H
#define FERRULE_APPS_NBD_NBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blk/block.h"
#include "lwip/tcp.h"

#define NBD_EXPORTS_MAX 16u
#define NBD_CONNECTIONS_MAX 32u
#define NBD_REQUESTS_MAX 256u
#define NBD_REQUESTS_PER_CONNECTION 64u

/* Packets that one connection may hold; a full window of full packets fits. */
#define NBD_INPUT_MAX 256u

/* Data lies in chunks of one size; a request has as many as it needs. */
#define NBD_CHUNK_SIZE 16384u
#define NBD_REQUEST_CHUNKS 64u
#define NBD_PAYLOAD_MAX (NBD_CHUNK_SIZE * NBD_REQUEST_CHUNKS)

struct nbd_export {
    struct blk_device *disk;
    bool read_only;
};

struct nbd_connection;

/* One request of a client, from its header until its reply was acknowledged. */
struct nbd_request {
    struct blk_request blk;
    struct blk_segment segment[NBD_REQUEST_CHUNKS];
    unsigned chunks; /* of memory that it holds, as segments from the first on */
    struct nbd_connection *connection;
    uint8_t cookie[8];
    uint16_t type, flags;
    uint64_t offset;
    uint32_t length;
    uint64_t zeroed;      /* bytes of NBD_CMD_WRITE_ZEROES that were given to the disk */
    uint8_t reply[48];    /* the reply's header */
    uint32_t reply_len;   /* of it */
    uint32_t data_len;    /* what follows it from the chunks */
    uint32_t reply_given; /* bytes of both that lwIP has */
    uint32_t reply_end;   /* where the reply ends in the stream; valid once lwIP has all */
    struct nbd_request *next;
};

struct nbd_queue {
    struct nbd_request *head, **tail;
};

struct nbd_connection {
    struct tcp_pcb *pcb; /* NULL: free, or gone and only waiting for its requests */
    bool used;
    char peer[48];
    /* What was received and not yet understood: a ring of packets, free running. */
    struct pbuf *input[NBD_INPUT_MAX];
    unsigned input_first, input_last;
    uint32_t input_offset; /* of the first packet: consumed already */
    uint32_t input_len;    /* bytes in all */
    enum { NBD_FLAGS, NBD_OPTIONS, NBD_TRANSMISSION } phase;
    bool no_zeroes, structured;
    const struct nbd_export *export;
    struct nbd_request *receiving; /* a write whose data is coming */
    uint32_t received;             /* bytes of it */
    uint32_t skip;                 /* bytes of refused data that are still to come */
    unsigned requests;             /* that it holds */
    struct nbd_queue replies;      /* to be sent */
    struct nbd_queue sent;         /* with lwIP, not acknowledged */
    uint32_t given, acknowledged;  /* positions in the stream to the client; they wrap */
    bool dirty;                    /* there is something to do for it in nbd_work() */
    const char *end;               /* why it is to be closed, once its replies are sent */
    bool abort;                    /* ... or at once */
    unsigned polls;                /* half seconds without progress */
};

/* --- main.c: the exports --- */

const struct nbd_export *nbd_export_find(const uint8_t *name, size_t len);
const struct nbd_export *nbd_export_at(unsigned index);
/* Transmission flags of an export. */
unsigned nbd_export_flags(const struct nbd_export *export);

/* --- connection.c: bytes --- */

/* 0 or a negative errno. */
int nbd_listen(uint16_t port);

/* Copies `len` received bytes without consuming them; false while there are fewer. */
bool nbd_peek(const struct nbd_connection *connection, void *data, uint32_t len);
/* Consumes `len` bytes, which are there; with `data`, copies them. */
void nbd_take(struct nbd_connection *connection, void *data, uint32_t len);

/* Sends bytes now (copied): for the handshake only. */
void nbd_send(struct nbd_connection *connection, const void *data, size_t len);

/* Closes the connection as soon as its replies are sent, or at once. `why` is for the log. */
void nbd_end(struct nbd_connection *connection, const char *why, bool at_once);

/* Makes nbd_work() look at the connection; at all of them, since memory came back. */
void nbd_touch(struct nbd_connection *connection);
void nbd_touch_all(void);

/* --- handshake.c --- */

void nbd_greet(struct nbd_connection *connection);
/* Understands one step of what was received; false when more is needed. */
bool nbd_handshake(struct nbd_connection *connection);

/* --- transmit.c --- */

/* Makes requests and chunks. -ENOMEM. */
int nbd_transmit_init(void);
/* As nbd_handshake(). False also while there is no request or memory for it. */
bool nbd_transmit(struct nbd_connection *connection);
/* Gives lwIP what it takes of the replies, and takes back what was acknowledged. */
void nbd_transmit_replies(struct nbd_connection *connection);
/* Takes back every request that the disk does not have. */
void nbd_transmit_drop(struct nbd_connection *connection);

#endif
