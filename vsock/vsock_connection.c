/*
 * vsock_connection.c - one connection: its states, its credit (5.10.6.3), its data (5.10.6.4) and
 * its end (5.10.6.5).
 *
 * A packet of data stays in the page into which the device wrote it until it is read, unless it fits
 * behind the one before: then it is copied there, so that small packets do not hold a page each. Sent
 * data is copied into the queue's packets at once, so nothing but bits in `pending` waits for room.
 * Who is meant by a packet is vsock.c's to know. Read that next.
 */
#include <errno.h>
#include <string.h>

#include "vsock/vsock_impl.h"

struct vsock_counters vsock_counters;

/* ---- life ---- */

void vsock_connection_settle(struct vsock_connection *connection)
{
    if (connection->owned || connection->state != VSOCK_ENDED || connection->pending)
        return;
    vsock_connection_drop_unread(connection);
    if (connection->reserved)
        vsock_packets_unreserve(1);
    vsock_marks_free(connection);
    memset(connection, 0, sizeof(*connection));
}

static void over(struct vsock_connection *connection, int error)
{
    connection->state = VSOCK_ENDED;
    connection->pending = 0;
    connection->wanted = 0;
    connection->error = error;
    connection->deadline_ns = PLATFORM_NO_DEADLINE;
    vsock_connection_tell(connection, VSOCK_TELL_END);
}

void vsock_connection_end(struct vsock_connection *connection, int error)
{
    over(connection, error);
    vsock_connection_settle(connection);
}

/* Its place is free when the RST is out. */
void vsock_connection_reset(struct vsock_connection *connection, int error)
{
    over(connection, error);
    vsock_connection_send(connection, VIRTIO_VSOCK_OP_RST);
}

void vsock_connection_expire(struct vsock_connection *connection)
{
    vsock_connection_reset(connection, connection->state == VSOCK_CONNECTING ? -ETIMEDOUT : 0);
}

/* ---- credit ---- */

/* VSOCK-T-CREDIT-1. None, when the peer has made its buffer smaller than what is in it. */
static uint32_t credit(const struct vsock_connection *connection)
{
    uint32_t used = connection->tx_cnt - connection->peer_fwd_cnt;

    return used < connection->peer_buf_alloc ? connection->peer_buf_alloc - used : 0;
}

/*
 * What the peer says of its buffer. A count that is behind is an old one, since several threads may
 * fill a device's queue. False: it has taken out more than it was sent.
 */
static bool take_credit(struct vsock_connection *connection, const struct virtio_vsock_hdr *hdr)
{
    uint32_t more = le32_to_cpu(hdr->fwd_cnt) - connection->peer_fwd_cnt;

    connection->peer_buf_alloc = le32_to_cpu(hdr->buf_alloc);
    if ((int32_t)more > 0) {
        if (more > connection->tx_cnt - connection->peer_fwd_cnt)
            return false;
        connection->peer_fwd_cnt += more;
    }
    if (credit(connection) > 0) {
        connection->asked_for_credit = false;
        vsock_set_work();
    }
    return true;
}

/* ---- receiving ---- */

void vsock_connection_drop_unread(struct vsock_connection *connection)
{
    struct vsock_packet *packet;

    while ((packet = connection->first) != NULL) {
        connection->first = packet->next;
        vsock_packet_give(packet);
    }
    connection->last = NULL;
    connection->fwd_cnt += connection->unread;
    connection->unread = 0;
    vsock_marks_clear(connection);
}

static bool keep(struct vsock_connection *connection, struct vsock_packet *packet, uint32_t len)
{
    struct vsock_packet *last = connection->last;

    connection->unread += len;
    vsock_counters.received_bytes += len;
    vsock_connection_tell(connection, VSOCK_TELL_READABLE);
    if (last && len <= VSOCK_PAYLOAD_MAX - last->len) {
        memcpy(vsock_payload(last) + last->len, vsock_payload(packet), len);
        last->len += len;
        vsock_counters.gathered++;
        return false;
    }
    packet->len = len;
    if (last)
        last->next = packet;
    else
        connection->first = packet;
    connection->last = packet;
    vsock_counters.kept++;
    return true;
}

static bool take_data(struct vsock_connection *connection, struct vsock_packet *packet,
                      uint32_t len, uint32_t flags)
{
    bool kept;

    if (connection->state == VSOCK_CLOSING ||
        (connection->own_shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE))
        return false;
    if ((connection->peer_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
        len > VSOCK_BUFFER_SIZE - connection->unread) {
        vsock_counters.bad++;
        vsock_connection_reset(connection, -ECONNRESET);
        return false;
    }
    kept = len > 0 && keep(connection, packet, len);
    vsock_marks_set(connection, flags);
    return kept;
}

/* 5.10.6.5: flags add up, and RST is the answer to both. */
static void take_shutdown(struct vsock_connection *connection, uint32_t flags)
{
    connection->peer_shut |= flags & VIRTIO_VSOCK_SHUTDOWN_BOTH;
    vsock_connection_tell(connection, VSOCK_TELL_READABLE | VSOCK_TELL_WRITABLE);
    if (connection->peer_shut == VIRTIO_VSOCK_SHUTDOWN_BOTH)
        vsock_connection_reset(connection, 0);
}

static void take_rst(struct vsock_connection *connection)
{
    int error = -ECONNRESET;

    if (connection->state == VSOCK_CONNECTING)
        error = -ECONNREFUSED;
    else if (connection->own_shut == VIRTIO_VSOCK_SHUTDOWN_BOTH)
        error = 0;
    vsock_connection_end(connection, error);
}

static void take_response(struct vsock_connection *connection)
{
    if (connection->state != VSOCK_CONNECTING) {
        vsock_counters.bad++;
        return;
    }
    connection->state = VSOCK_CONNECTED;
    connection->deadline_ns = PLATFORM_NO_DEADLINE;
    vsock_connection_tell(connection, VSOCK_TELL_CONNECTED);
}

bool vsock_connection_receive(struct vsock_connection *connection,
                              const struct virtio_vsock_hdr *hdr, struct vsock_packet *packet)
{
    unsigned op = le16_to_cpu(hdr->op);

    if (op == VIRTIO_VSOCK_OP_RST) {
        take_rst(connection);
        return false;
    }
    if ((connection->state == VSOCK_CONNECTING && op != VIRTIO_VSOCK_OP_RESPONSE) ||
        op == VIRTIO_VSOCK_OP_REQUEST || op > VIRTIO_VSOCK_OP_CREDIT_REQUEST || op == 0 ||
        !take_credit(connection, hdr)) {
        vsock_counters.bad++;
        vsock_connection_reset(connection, -ECONNRESET);
        return false;
    }
    if (op == VIRTIO_VSOCK_OP_RESPONSE)
        take_response(connection);
    else if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
        take_shutdown(connection, le32_to_cpu(hdr->flags));
    else if (op == VIRTIO_VSOCK_OP_CREDIT_REQUEST)
        vsock_connection_send(connection, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    return op == VIRTIO_VSOCK_OP_RW &&
           take_data(connection, packet, le32_to_cpu(hdr->len), le32_to_cpu(hdr->flags));
}

size_t vsock_readable(const struct vsock_connection *connection)
{
    return connection->marks ? vsock_message_length(connection) : connection->unread;
}

bool vsock_is_at_end(const struct vsock_connection *connection)
{
    return connection->state == VSOCK_ENDED ||
           (connection->peer_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
           (connection->own_shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE);
}

const void *vsock_peek(const struct vsock_connection *connection, size_t skip, size_t *len)
{
    for (const struct vsock_packet *p = connection->first; p; p = p->next) {
        uint32_t unread = p->len - p->taken;

        if (skip < unread) {
            *len = unread - skip;
            return vsock_payload(p) + p->taken + skip;
        }
        skip -= unread;
    }
    *len = 0;
    return NULL;
}

void vsock_consume(struct vsock_connection *connection, size_t bytes)
{
    uint32_t left = bytes < connection->unread ? (uint32_t)bytes : connection->unread;
    uint32_t untold;

    connection->unread -= left;
    connection->fwd_cnt += left;
    while (left > 0) {
        struct vsock_packet *packet = connection->first;
        uint32_t n = packet->len - packet->taken;

        if (left < n) {
            packet->taken += left;
            break;
        }
        left -= n;
        connection->first = packet->next;
        if (!connection->first)
            connection->last = NULL;
        vsock_packet_give(packet);
    }
    untold = connection->fwd_cnt - connection->told_fwd_cnt;
    /* Who sends a message waits for room for all of it, which may be all that there is. */
    if (connection->state == VSOCK_CONNECTED &&
        (untold >= VSOCK_BUFFER_SIZE / 4 || (connection->marks && connection->unread == 0)))
        vsock_connection_send(connection, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

size_t vsock_read(struct vsock_connection *connection, void *data, size_t len)
{
    size_t done = 0, n;
    const void *from;

    while (done < len && (from = vsock_peek(connection, 0, &n)) != NULL) {
        n = n < len - done ? n : len - done;
        memcpy((uint8_t *)data + done, from, n);
        vsock_consume(connection, n);
        done += n;
    }
    return done;
}

/* ---- sending ---- */

/* VSOCK-CREDIT-2: every packet of the connection says what its buffer is like. */
static bool transmit(struct vsock_connection *connection, struct vsock_packet *packet, unsigned op,
                     uint32_t flags, uint32_t len)
{
    struct virtio_vsock_hdr *hdr = packet->hdr;

    vsock_address_packet(hdr, connection->own_port, connection->peer, op, len);
    hdr->type = cpu_to_le16((uint16_t)connection->type);
    hdr->flags = cpu_to_le32(flags);
    hdr->buf_alloc = cpu_to_le32(VSOCK_BUFFER_SIZE);
    hdr->fwd_cnt = cpu_to_le32(connection->fwd_cnt);
    if (!virtio_vsock_transmit(packet, (uint32_t)sizeof(*hdr) + len))
        return false;
    connection->told_fwd_cnt = connection->fwd_cnt;
    connection->pending &= ~(1u << VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    return true;
}

bool vsock_connection_send_pending(struct vsock_connection *connection)
{
    /* A request or a response comes before all else; before what ends a direction, all else. */
    static const uint8_t order[] = {VIRTIO_VSOCK_OP_REQUEST,        VIRTIO_VSOCK_OP_RESPONSE,
                                    VIRTIO_VSOCK_OP_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_UPDATE,
                                    VIRTIO_VSOCK_OP_SHUTDOWN,       VIRTIO_VSOCK_OP_RST};
    struct vsock_packet *packet = virtio_vsock_packet(false);
    unsigned i = 0;

    if (!packet)
        return false;
    while (!(connection->pending >> order[i] & 1))
        i++;
    if (!transmit(connection, packet, order[i],
                  order[i] == VIRTIO_VSOCK_OP_SHUTDOWN ? connection->own_shut : 0, 0))
        return false;
    connection->pending &= ~(1u << order[i]);
    vsock_connection_settle(connection);
    return true;
}

/* VSOCK-CREDIT-1. */
static bool has_room(const struct vsock_connection *connection, uint32_t bytes)
{
    unsigned opening = 1u << VIRTIO_VSOCK_OP_REQUEST | 1u << VIRTIO_VSOCK_OP_RESPONSE;

    return connection->state == VSOCK_CONNECTED && !(connection->pending & opening) &&
           credit(connection) >= bytes && virtio_vsock_room(true) * VSOCK_PAYLOAD_MAX >= bytes;
}

/* Before the first packet there is nothing to ask about. */
bool vsock_connection_want(struct vsock_connection *connection, uint32_t bytes)
{
    if (has_room(connection, bytes))
        return true;
    if (connection->state != VSOCK_CONNECTED)
        return false;
    connection->wanted = bytes;
    vsock_set_work();
    if (credit(connection) < bytes && !connection->asked_for_credit) {
        connection->asked_for_credit = true;
        vsock_connection_send(connection, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    }
    return false;
}

bool vsock_can_send(struct vsock_connection *connection)
{
    return vsock_connection_want(connection, 1);
}

void vsock_connection_look_for_room(struct vsock_connection *connection)
{
    if (!connection->wanted || !has_room(connection, connection->wanted))
        return;
    connection->wanted = 0;
    vsock_connection_tell(connection, VSOCK_TELL_WRITABLE);
}

bool vsock_connection_is_blocked(const struct vsock_connection *connection)
{
    return connection->pending || (connection->wanted && credit(connection) >= connection->wanted);
}

int vsock_connection_cannot_send(const struct vsock_connection *connection)
{
    if (connection->state != VSOCK_CONNECTED)
        return -ENOTCONN;
    return (connection->own_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
                   (connection->peer_shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE)
               ? -EPIPE
               : 0;
}

uint32_t vsock_connection_send_data(struct vsock_connection *connection, uint32_t flags,
                                    const struct iovec *pieces, size_t count, size_t skip,
                                    uint32_t len)
{
    struct vsock_packet *packet = virtio_vsock_packet(true);
    uint32_t done = 0;

    if (!packet)
        return 0;
    for (; count > 0 && done < len; pieces++, count--) {
        size_t n = skip < pieces->iov_len ? pieces->iov_len - skip : 0;

        n = n < len - done ? n : len - done;
        if (n > 0)
            memcpy(vsock_payload(packet) + done, (const uint8_t *)pieces->iov_base + skip, n);
        skip -= skip < pieces->iov_len ? skip : pieces->iov_len;
        done += (uint32_t)n;
    }
    if (!transmit(connection, packet, VIRTIO_VSOCK_OP_RW, flags, len))
        return 0;
    connection->tx_cnt += len;
    vsock_counters.sent_bytes += len;
    return len;
}

ssize_t vsock_send(struct vsock_connection *connection, const void *data, size_t len)
{
    const struct iovec piece = {(void *)(uintptr_t)data, len};
    int error = vsock_connection_cannot_send(connection);
    size_t done = 0;

    if (error)
        return error;
    while (done < len && vsock_can_send(connection)) {
        uint32_t n = credit(connection);

        n = n < VSOCK_PAYLOAD_MAX ? n : (uint32_t)VSOCK_PAYLOAD_MAX;
        n = n < len - done ? n : (uint32_t)(len - done);
        n = vsock_connection_send_data(connection, 0, &piece, 1, done, n);
        if (n == 0)
            break;
        done += n;
    }
    return (ssize_t)done;
}

/* ---- the end ---- */

static void shut(struct vsock_connection *connection, uint32_t flags)
{
    connection->own_shut |= flags & VIRTIO_VSOCK_SHUTDOWN_BOTH;
    vsock_connection_send(connection, VIRTIO_VSOCK_OP_SHUTDOWN);
    if (connection->own_shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE)
        vsock_connection_drop_unread(connection);
    if (connection->own_shut == VIRTIO_VSOCK_SHUTDOWN_BOTH)
        vsock_connection_set_deadline(connection, platform_now_ns() + VSOCK_CLOSE_TIMEOUT_NS);
}

int vsock_shutdown(struct vsock_connection *connection, unsigned flags)
{
    if (connection->state != VSOCK_CONNECTED)
        return -ENOTCONN;
    shut(connection, flags);
    return 0;
}

void vsock_close(struct vsock_connection *connection, bool abort)
{
    connection->owned = false;
    connection->tell = 0;
    if (connection->pending >> VIRTIO_VSOCK_OP_REQUEST & 1) { /* nobody knows of it */
        vsock_connection_end(connection, 0);
    } else if (connection->state == VSOCK_CONNECTING ||
               (connection->state == VSOCK_CONNECTED && abort)) {
        vsock_connection_reset(connection, 0);
    } else if (connection->state == VSOCK_CONNECTED) {
        connection->state = VSOCK_CLOSING;
        connection->wanted = 0;
        shut(connection, VIRTIO_VSOCK_SHUTDOWN_BOTH);
    } else {
        vsock_connection_settle(connection);
    }
}

/* ---- questions ---- */

void vsock_set_callbacks(struct vsock_connection *connection,
                         const struct vsock_callbacks *callbacks, void *arg)
{
    connection->callbacks = callbacks;
    connection->arg = arg;
}

uint32_t vsock_own_port(const struct vsock_connection *connection)
{
    return connection->own_port;
}

struct vsock_address vsock_peer(const struct vsock_connection *connection)
{
    return connection->peer;
}
