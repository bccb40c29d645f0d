/*
 * echo.c - echo (RFC 862, port 7): what comes in goes out again.
 *
 * Over TCP without a copy: received buffers are sent as they are, and are freed and reported to the
 * peer's window when it has acknowledged the echo. So a connection never holds more than one
 * receive window, whatever its peer does. Small pieces are copied, because a buffer each would be
 * dear.
 */
#include <errno.h>
#include <stdlib.h>

#include "services/service.h"

#define ECHO_PORT 7

/* Pieces below this are copied into lwIP's segments. */
#define COPY_BELOW 512u

/* Received packets a connection may hold; a full window of full segments fits. */
#define HELD_MAX 128u

/* A received packet that is being sent; `end` is where it ends in the stream. */
struct held {
    struct pbuf *p;
    uint32_t end;
};

struct echo {
    struct tcp_pcb *pcb;
    /* A ring of packets, the oldest at `first`. Those before `sending` are with lwIP completely. */
    struct held held[HELD_MAX];
    unsigned first, sending, last; /* free running */
    /* Within the packet at `sending`: the piece that is next, and how much of it is with lwIP. */
    struct pbuf *piece;
    uint16_t piece_sent;
    uint32_t received, acknowledged; /* positions in the stream; they wrap */
    bool peer_closed;
    unsigned idle_polls;
};

static void echo_free(struct echo *echo)
{
    for (; echo->first != echo->last; echo->first++)
        pbuf_free(echo->held[echo->first % HELD_MAX].p);
    free(echo);
    service_left();
}

/* Gives lwIP as much of one piece as it takes. False: not all of it. */
static bool send_piece(struct echo *echo)
{
    const struct pbuf *piece = echo->piece;
    uint8_t flags = piece->len < COPY_BELOW ? TCP_WRITE_FLAG_COPY : 0;
    while (echo->piece_sent < piece->len) {
        uint16_t len = (uint16_t)(piece->len - echo->piece_sent);
        uint16_t room = service_room(echo->pcb);
        if (len > room)
            len = room;
        const uint8_t *data = (const uint8_t *)piece->payload + echo->piece_sent;
        if (len == 0 || tcp_write(echo->pcb, data, len, flags) != ERR_OK)
            return false;
        echo->piece_sent = (uint16_t)(echo->piece_sent + len);
    }
    return true;
}

/* Gives lwIP what it takes; the rest follows when it has room. */
static void echo_send(struct echo *echo)
{
    while (echo->sending != echo->last) {
        if (echo->piece == NULL) {
            echo->piece = echo->held[echo->sending % HELD_MAX].p;
            echo->piece_sent = 0;
        }
        for (; echo->piece != NULL; echo->piece = echo->piece->next, echo->piece_sent = 0) {
            if (!send_piece(echo))
                return;
        }
        echo->sending++;
    }
}

/* The peer has closed and has everything: the end. */
static err_t close_when_done(struct echo *echo)
{
    struct tcp_pcb *pcb = echo->pcb;
    if (!echo->peer_closed || echo->acknowledged != echo->received)
        return ERR_OK;
    echo_free(echo);
    return service_close(pcb);
}

static err_t echo_sent(void *arg, struct tcp_pcb *pcb, uint16_t len)
{
    struct echo *echo = arg;
    echo->idle_polls = 0;
    echo->acknowledged += len;
    while (echo->first != echo->sending) {
        struct held *held = &echo->held[echo->first % HELD_MAX];
        if ((int32_t)(echo->acknowledged - held->end) < 0)
            break;
        pbuf_free(held->p);
        echo->first++;
    }
    tcp_recved(pcb, len);
    echo_send(echo);
    return close_when_done(echo);
}

/* A small packet that is next in line goes out as a copy, and its buffer is free at once. */
static bool send_copy(struct echo *echo, const struct pbuf *p)
{
    return echo->sending == echo->last && p->next == NULL && p->len < COPY_BELOW &&
           p->len <= service_room(echo->pcb) &&
           tcp_write(echo->pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY) == ERR_OK;
}

static err_t echo_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct echo *echo = arg;
    (void)pcb;
    (void)error;
    if (p == NULL) {
        echo->peer_closed = true;
        return close_when_done(echo);
    }
    if (send_copy(echo, p)) {
        echo->received += p->tot_len;
        pbuf_free(p);
        return ERR_OK;
    }
    if (echo->last - echo->first == HELD_MAX)
        return ERR_MEM; /* lwIP keeps it and offers it again */
    echo->received += p->tot_len;
    echo->held[echo->last++ % HELD_MAX] = (struct held){p, echo->received};
    echo_send(echo);
    return ERR_OK;
}

static err_t echo_poll(void *arg, struct tcp_pcb *pcb)
{
    struct echo *echo = arg;
    if (echo->acknowledged == echo->received) {
        echo->idle_polls = 0;
    } else if (++echo->idle_polls > SERVICE_POLLS_MAX) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    echo_send(echo); /* lwIP may have been out of memory with nothing under way */
    return ERR_OK;
}

/* The connection is gone already. */
static void echo_failed(void *arg, err_t error)
{
    (void)error;
    echo_free(arg);
}

static err_t echo_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    struct echo *echo = calloc(1, sizeof(*echo));
    if (echo == NULL)
        return ERR_MEM; /* lwIP resets the connection */
    service_joined();
    service_probe(pcb);
    echo->pcb = pcb;
    tcp_arg(pcb, echo);
    tcp_recv(pcb, echo_received);
    tcp_sent(pcb, echo_sent);
    tcp_err(pcb, echo_failed);
    tcp_poll(pcb, echo_poll, SERVICE_POLL_INTERVAL);
    return ERR_OK;
}

static void echo_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *peer,
                          uint16_t port)
{
    (void)arg;
    service_reply(pcb, p, peer, port);
    pbuf_free(p);
}

/* ---- over vsock ---- */

/* What was received stays where it is until it is sent, so that the peer's credit is the only state. */
static void echo_vsock(void *arg, struct vsock_connection *connection)
{
    const void *data;
    size_t len;
    ssize_t n = 0;
    (void)arg;
    while ((data = vsock_peek(connection, 0, &len)) != NULL &&
           (n = vsock_send(connection, data, len)) > 0)
        vsock_consume(connection, (size_t)n);
    if (n < 0 || (data == NULL && vsock_is_at_end(connection)))
        vsock_close(connection, n < 0);
}

static const struct vsock_callbacks echo_vsock_callbacks = {
    .readable = echo_vsock,
    .writable = echo_vsock,
    .ended = service_vsock_ended,
};

static int echo_vsock_accepted(void *arg, struct vsock_connection *connection)
{
    vsock_set_callbacks(connection, &echo_vsock_callbacks, arg);
    return 0;
}

static int echo_start(void)
{
    int error = service_listen(ECHO_PORT, echo_accepted);
    if (error == 0)
        error = service_bind_udp(ECHO_PORT, echo_datagram);
    return error != 0 ? error
                      : vsock_listen(ECHO_PORT, VSOCK_TYPE_STREAM, echo_vsock_accepted, NULL);
}

const struct service echo_service = {"echo", ECHO_PORT, echo_start};
