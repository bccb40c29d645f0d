/*
 * vsock_impl.h - what the files of vsock/ share: packets, connections, and the seam between the
 * protocol and the device.
 *
 * vsock_packet.c owns the memory, virtio_vsock.c the queues, vsock.c who is meant by a packet and
 * what is sent next, vsock_connection.c what a connection makes of it.
 */
#ifndef FERRULE_VSOCK_VSOCK_IMPL_H
#define FERRULE_VSOCK_VSOCK_IMPL_H

#include "platform.h"
#include "virtio/spec_devices.h"
#include "vsock/vsock.h"

/* ---- packets (vsock_packet.c) ---- */

#define VSOCK_PACKET_SIZE 4096u
#define VSOCK_PAYLOAD_MAX (VSOCK_PACKET_SIZE - sizeof(struct virtio_vsock_hdr))

/*
 * What a connection keeps of packets at most: two that follow each other hold more than one
 * payload, or the second would have been copied behind the first; one more is read in part.
 */
#define VSOCK_KEPT_MAX (2u * (VSOCK_BUFFER_SIZE / VSOCK_PAYLOAD_MAX + 1u) + 2u)

/* Memory is taken in chunks, each for one connection; so much is for the two queues. */
#define VSOCK_QUEUE_CHUNKS 2u

/* One page that a device reads or writes, and what it must not see. */
struct vsock_packet {
    struct virtio_vsock_hdr *hdr; /* the page; payload follows */
    uint32_t len, taken;          /* payload that is here, and of it what was read */
    struct vsock_packet *next;
};

static inline uint8_t *vsock_payload(const struct vsock_packet *packet)
{
    return (uint8_t *)(packet->hdr + 1);
}

/* So many chunks more will be needed, or fewer. -ENOMEM. Chunks stay for the next who need them. */
int vsock_packets_reserve(unsigned chunks);
void vsock_packets_unreserve(unsigned chunks);

/* Frees all memory. Nothing may be reserved. */
void vsock_packets_finish(void);

/* NULL: none is free. Reserve before. */
struct vsock_packet *vsock_packet_take(void);
void vsock_packet_give(struct vsock_packet *packet);

/* ---- connections ---- */

enum vsock_state {
    VSOCK_FREE,
    VSOCK_CONNECTING,
    VSOCK_CONNECTED,
    VSOCK_CLOSING, /* its user is gone, and the peer's RST is awaited */
    VSOCK_ENDED,   /* nothing comes any more, and nothing goes but a last RST */
};

/* What the user is to be told. */
enum {
    VSOCK_TELL_CONNECTED = 1,
    VSOCK_TELL_READABLE = 2,
    VSOCK_TELL_WRITABLE = 4,
    VSOCK_TELL_END = 8
};

struct vsock_connection {
    enum vsock_state state;
    bool owned;    /* has a user */
    bool reserved; /* has its share of packets */
    const struct vsock_callbacks *callbacks;
    void *arg;
    enum vsock_type type;
    uint32_t own_port;
    struct vsock_address peer;
    uint32_t own_shut, peer_shut; /* VIRTIO_VSOCK_SHUTDOWN_*, sticky */
    unsigned tell;
    int error;
    uint64_t deadline_ns;

    unsigned pending; /* packets to be sent: bit n is operation n */

    /* Sending (5.10.6.3): counts of bytes, which wrap. */
    uint32_t tx_cnt, peer_fwd_cnt, peer_buf_alloc;
    uint32_t wanted; /* room for so many bytes, that the user waits for; 0: he does not */
    bool asked_for_credit;

    /* Receiving: packets that are not read, and counts. */
    struct vsock_packet *first, *last;
    uint32_t unread, fwd_cnt, told_fwd_cnt;

    struct vsock_marks *marks; /* of messages */
    unsigned messages;         /* whole ones */
};

/* vsock_connection.c. A packet for the connection: true when it was kept. */
bool vsock_connection_receive(struct vsock_connection *connection,
                              const struct virtio_vsock_hdr *hdr, struct vsock_packet *packet);
/* The connection is over; `error` as in struct vsock_callbacks. */
void vsock_connection_end(struct vsock_connection *connection, int error);
/* The same, and the peer is told. */
void vsock_connection_reset(struct vsock_connection *connection, int error);
void vsock_connection_drop_unread(struct vsock_connection *connection);
/* Its deadline is over. */
void vsock_connection_expire(struct vsock_connection *connection);
/* Adds to the counts of what is sent: one packet of data, 0: no room. */
uint32_t vsock_connection_send_data(struct vsock_connection *connection, uint32_t flags,
                                    const struct iovec *pieces, size_t count, size_t skip,
                                    uint32_t len);
/* Why nothing can be sent, or 0; and is there room for so many bytes? If not, the user waits. */
int vsock_connection_cannot_send(const struct vsock_connection *connection);
bool vsock_connection_want(struct vsock_connection *connection, uint32_t bytes);
/* Frees the place of one that nobody needs any more. */
void vsock_connection_settle(struct vsock_connection *connection);
/* Sends one of the pending packets. False: there is no room. */
bool vsock_connection_send_pending(struct vsock_connection *connection);

/* Tells the user of room that he waits for. */
void vsock_connection_look_for_room(struct vsock_connection *connection);
/* Does it wait for room in the transmit queue? */
bool vsock_connection_is_blocked(const struct vsock_connection *connection);

/* vsock_message.c. Memory for the ends of messages: -ENOMEM. The last byte received ends one, as the
 * flags say. None ends any more. */
int vsock_marks_make(struct vsock_connection *connection);
void vsock_marks_free(struct vsock_connection *connection);
void vsock_marks_set(struct vsock_connection *connection, uint32_t flags);
void vsock_marks_clear(struct vsock_connection *connection);
uint32_t vsock_message_length(const struct vsock_connection *connection);

/* vsock.c: an operation is to be sent, and the user told something, in the next turn; and there may
 * be something of the kind. */
void vsock_connection_send(struct vsock_connection *connection, unsigned op);
void vsock_connection_tell(struct vsock_connection *connection, unsigned what);
void vsock_set_work(void);
void vsock_connection_set_deadline(struct vsock_connection *connection, uint64_t ns);
/* Fills in what all packets have. */
void vsock_address_packet(struct virtio_vsock_hdr *hdr, uint32_t own_port,
                          struct vsock_address peer, unsigned op, uint32_t len);

struct vsock_counters {
    uint64_t received, sent;             /* packets */
    uint64_t received_bytes, sent_bytes; /* payload */
    uint64_t kept, gathered; /* packets of data that stayed where they are, or were copied */
    uint64_t bad;            /* that made no sense */
    uint64_t unknown;        /* for nobody here */
    uint64_t lost;           /* connections, to a reset of device or transport */
};
extern struct vsock_counters vsock_counters;

/* ---- between protocol and device ---- */

/*
 * vsock.c, for the driver. Whatever was under way is lost: all connections end. From now on this
 * machine has this CID; 0: none. vsock_detach(): nor is there memory any more for what was received.
 */
void vsock_lose(uint32_t cid);
void vsock_detach(void);
void vsock_set_types(unsigned types); /* that the device has: bit n is type n */
/*
 * A packet has come, of which the device wrote `len` bytes: true when it was kept, else it is the
 * caller's again. Not to be called while vsock_can_receive() is false: answers wait for room.
 * Work: looks at each connection once.
 */
bool vsock_receive(struct vsock_packet *packet, uint32_t len);
bool vsock_can_receive(void);
/*
 * Sends what waits, as far as there is room, and ends what has waited too long. Returns how much
 * that was. Work: looks at each connection twice.
 */
unsigned vsock_work(bool more_room);
/* Calls the user's callbacks; the number of calls. */
unsigned vsock_tell(void);
/* Is there something to do for the two above? Does something wait for room in the transmit queue? */
bool vsock_has_work(void);
bool vsock_wants_room(void);
uint64_t vsock_deadline(void); /* when vsock_work() has something to end */

/* virtio_vsock.c, for the protocol. A packet for data, or for anything else; NULL: no room. */
struct vsock_packet *virtio_vsock_packet(bool data);
unsigned virtio_vsock_room(bool data); /* packets */
unsigned virtio_vsock_room_max(void);  /* of data, ever */
/* Its first `len` bytes; it is the device's then. False: no room after all, and it is free again. */
bool virtio_vsock_transmit(struct vsock_packet *packet, uint32_t len);

#endif
