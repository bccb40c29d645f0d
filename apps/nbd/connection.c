/*
 * connection.c - connections of NBD clients: bytes in, bytes out, and their end.
 *
 * Owns the connections and all of lwIP's callbacks. Those only note what happened: what follows from
 * it is done in nbd_work(), from the event loop, where a connection may be closed. Read handshake.c
 * next.
 */
#include "nbd.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "loop.h"
#include "platform.h"

/* tcp_poll() comes every half second. */
#define POLL_INTERVAL 1
#define HANDSHAKE_POLLS_MAX 40
#define STALL_POLLS_MAX 120

/*
 * Lines in the log about clients that were sent away: one in so long on the average, and so many at
 * a time, so that none can fill it.
 */
#define COMPLAINT_INTERVAL_NS 500000000u
#define COMPLAINTS_MAX 20u

static struct nbd_connection connections[NBD_CONNECTIONS_MAX];
static bool work_waits;

void nbd_touch(struct nbd_connection *connection)
{
    connection->dirty = true;
    work_waits = true;
}

void nbd_touch_all(void)
{
    for (unsigned i = 0; i < NBD_CONNECTIONS_MAX; i++) {
        if (connections[i].used)
            nbd_touch(&connections[i]);
    }
}

/* --- Bytes ------------------------------------------------------------------------------------ */

bool nbd_peek(const struct nbd_connection *connection, void *data, uint32_t len)
{
    uint32_t offset = connection->input_offset, done = 0;
    if (connection->input_len < len)
        return false;
    for (unsigned i = connection->input_first; done < len; i++, offset = 0)
        done += pbuf_copy_partial(connection->input[i % NBD_INPUT_MAX], (uint8_t *)data + done,
                                  (u16_t)(len - done < UINT16_MAX ? len - done : UINT16_MAX),
                                  (u16_t)offset);
    return true;
}

void nbd_take(struct nbd_connection *connection, void *data, uint32_t len)
{
    if (data)
        nbd_peek(connection, data, len);
    connection->input_len -= len;
    for (uint32_t left = len; left;) {
        struct pbuf *p = connection->input[connection->input_first % NBD_INPUT_MAX];
        uint32_t rest = p->tot_len - connection->input_offset;
        if (left < rest) {
            connection->input_offset += left;
            break;
        }
        left -= rest;
        pbuf_free(p);
        connection->input_first++;
        connection->input_offset = 0;
    }
    for (uint32_t left = len; left && connection->pcb;) {
        u16_t part = left < UINT16_MAX ? (u16_t)left : UINT16_MAX;
        tcp_recved(connection->pcb, part);
        left -= part;
    }
}

void nbd_send(struct nbd_connection *connection, const void *data, size_t len)
{
    if (!connection->pcb ||
        tcp_write(connection->pcb, data, (u16_t)len, TCP_WRITE_FLAG_COPY) != ERR_OK) {
        nbd_end(connection, "no memory to answer", true);
        return;
    }
    connection->given += (uint32_t)len;
}

/* --- The end ---------------------------------------------------------------------------------- */

void nbd_end(struct nbd_connection *connection, const char *why, bool at_once)
{
    if (!connection->end)
        connection->end = why;
    connection->abort |= at_once;
    nbd_touch(connection);
}

static void complain(const struct nbd_connection *connection)
{
    static uint64_t paid_until_ns;
    uint64_t now_ns = platform_now_ns();
    if (paid_until_ns > now_ns + COMPLAINTS_MAX * (uint64_t)COMPLAINT_INTERVAL_NS)
        return;
    paid_until_ns = (paid_until_ns > now_ns ? paid_until_ns : now_ns) + COMPLAINT_INTERVAL_NS;
    log_info("nbd: %s: disconnected: %s", connection->peer, connection->end);
}

/* Takes a connection off lwIP. What the disk still has keeps the slot until it comes back. */
static void let_go(struct nbd_connection *connection, bool reset)
{
    struct tcp_pcb *pcb = connection->pcb;
    if (pcb) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
        tcp_poll(pcb, NULL, 0);
        if (reset || tcp_close(pcb) != ERR_OK)
            tcp_abort(pcb);
        connection->pcb = NULL;
    }
    for (; connection->input_first != connection->input_last; connection->input_first++)
        pbuf_free(connection->input[connection->input_first % NBD_INPUT_MAX]);
    connection->input_len = connection->input_offset = 0;
    nbd_transmit_drop(connection);
    if (!connection->requests)
        connection->used = false;
}

static bool has_sent_all(const struct nbd_connection *connection)
{
    return !connection->requests && !connection->replies.head && !connection->sent.head;
}

/* --- From the event loop ---------------------------------------------------------------------- */

static void look_at(struct nbd_connection *connection)
{
    connection->dirty = false;
    if (!connection->pcb) {
        let_go(connection, true);
        return;
    }
    while (!connection->end && (connection->phase == NBD_TRANSMISSION ? nbd_transmit(connection)
                                                                      : nbd_handshake(connection)))
        ;
    nbd_transmit_replies(connection);
    tcp_output(connection->pcb);
    if (connection->end && (connection->abort || has_sent_all(connection))) {
        complain(connection);
        let_go(connection, connection->abort);
    }
}

static unsigned nbd_work(void *arg, unsigned budget)
{
    unsigned done = 0;
    (void)arg;
    (void)budget;
    if (!work_waits)
        return 0;
    work_waits = false;
    for (unsigned i = 0; i < NBD_CONNECTIONS_MAX; i++) {
        if (connections[i].used && connections[i].dirty) {
            look_at(&connections[i]);
            done++;
        }
    }
    return done;
}

static bool nothing_waits(void *arg)
{
    (void)arg;
    return !work_waits;
}

static struct loop_source source = {.name = "nbd", .poll = nbd_work, .arm = nothing_waits};

/* --- lwIP's callbacks ------------------------------------------------------------------------- */

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct nbd_connection *connection = arg;
    (void)pcb;
    (void)error;
    if (!p) {
        nbd_end(connection, "the client closed", connection->phase != NBD_TRANSMISSION);
        return ERR_OK;
    }
    if (connection->end) {
        tcp_recved(pcb, p->tot_len);
        pbuf_free(p);
        return ERR_OK;
    }
    if (connection->input_last - connection->input_first == NBD_INPUT_MAX)
        return ERR_MEM; /* lwIP keeps it and offers it again */
    connection->input[connection->input_last++ % NBD_INPUT_MAX] = p;
    connection->input_len += p->tot_len;
    connection->polls = 0;
    nbd_touch(connection);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct nbd_connection *connection = arg;
    (void)pcb;
    connection->acknowledged += len;
    connection->polls = 0;
    nbd_touch(connection);
    return ERR_OK;
}

/* A client may be quiet between requests, for as long as it lives; not in the middle of things. */
static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
    struct nbd_connection *connection = arg;
    (void)pcb;
    connection->polls++;
    if (connection->phase != NBD_TRANSMISSION && connection->polls > HANDSHAKE_POLLS_MAX)
        nbd_end(connection, "no export chosen in time", true);
    else if (connection->polls > STALL_POLLS_MAX &&
             (connection->receiving || connection->skip || connection->input_len ||
              connection->replies.head || connection->sent.head))
        nbd_end(connection, "stalled", true);
    nbd_touch(connection);
    return ERR_OK;
}

static void on_failed(void *arg, err_t error)
{
    struct nbd_connection *connection = arg;
    (void)error;
    connection->pcb = NULL;
    nbd_touch(connection);
}

static err_t on_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct nbd_connection *connection = NULL;
    (void)arg;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    for (unsigned i = 0; i < NBD_CONNECTIONS_MAX && !connection; i++) {
        if (!connections[i].used)
            connection = &connections[i];
    }
    if (!connection)
        return ERR_MEM; /* lwIP resets the connection */
    *connection = (struct nbd_connection){.pcb = pcb, .used = true};
    connection->replies.tail = &connection->replies.head;
    connection->sent.tail = &connection->sent.head;
    ipaddr_ntoa_r(&pcb->remote_ip, connection->peer, sizeof(connection->peer));
    ip_set_option(pcb, SOF_KEEPALIVE);
    tcp_nagle_disable(pcb);
    tcp_arg(pcb, connection);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_failed);
    tcp_poll(pcb, on_poll, POLL_INTERVAL);
    nbd_greet(connection);
    nbd_touch(connection);
    return ERR_OK;
}

int nbd_listen(uint16_t port)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY), *listening;
    if (!pcb)
        return -ENOMEM;
    if (tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
        tcp_abort(pcb);
        return -EADDRINUSE;
    }
    listening = tcp_listen(pcb);
    if (!listening) {
        tcp_abort(pcb);
        return -ENOMEM;
    }
    tcp_accept(listening, on_accepted);
    loop_add(&source);
    return 0;
}
