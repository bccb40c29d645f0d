/*
 * socket_tcp.c - stream sockets over lwIP's TCP.
 *
 * Received segments stay where they are until somebody reads them, and the window opens by what was
 * read: so a socket holds one window at most. Small segments are gathered, since each would keep a
 * whole receive buffer. What is sent is copied into lwIP's segments, once. Read socket_udp.c next.
 */
#include "socket/socket_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "net/lwip_netif.h"
#include "netinet/in.h"
#include "netinet/tcp.h"
#include "platform.h"

#define GATHER_BELOW 512u
#define GATHER_SIZE 2048u

/* One call of tcp_write() at most, so that it finds room sooner. */
#define WRITE_MAX 16384u

/* lwIP tells half-second ticks; each wakes a writer that found no memory. */
#define POLL_TICKS 2

/* While the machine has no address yet, connect() tries again in this interval. */
#define START_INTERVAL_NS 5000000u

/* ---- received data ---- */

/* Puts a small segment behind others in one buffer. False: there is no memory for that. */
static bool gather(struct socket *socket, struct pbuf *p)
{
    if (socket->gathering == NULL || socket->gathering_room < p->tot_len) {
        struct pbuf *fresh = pbuf_alloc(PBUF_RAW, GATHER_SIZE, PBUF_RAM);
        if (fresh == NULL)
            return false;
        fresh->len = fresh->tot_len = 0;
        if (socket->last != NULL)
            socket->last->next = fresh;
        else
            socket->first = fresh;
        socket->last = socket->gathering = fresh;
        socket->gathering_room = GATHER_SIZE;
    }
    struct pbuf *into = socket->gathering;
    pbuf_copy_partial(p, (uint8_t *)into->payload + into->len, p->tot_len, 0);
    into->len = (uint16_t)(into->len + p->tot_len);
    socket->gathering_room = (uint16_t)(socket->gathering_room - p->tot_len);
    pbuf_free(p);
    return true;
}

static void append(struct socket *socket, struct pbuf *p)
{
    socket->queued += p->tot_len;
    if (p->tot_len < GATHER_BELOW && gather(socket, p))
        return;
    if (socket->last != NULL)
        socket->last->next = p;
    else
        socket->first = p;
    while (p->next != NULL)
        p = p->next;
    socket->last = p;
    socket->gathering = NULL;
}

/* Takes the first pbuf out of the row and frees it. */
static void drop_first(struct socket *socket)
{
    struct pbuf *p = socket->first;
    socket->first = p->next;
    if (socket->first == NULL)
        socket->last = NULL;
    if (socket->gathering == p)
        socket->gathering = NULL;
    socket->offset = 0;
    p->next = NULL;
    p->tot_len = p->len;
    pbuf_free(p);
}

static void drop_all(struct socket *socket)
{
    while (socket->first != NULL)
        drop_first(socket);
    socket->queued = 0;
}

/* Copies up to `len` bytes out, from `skip` bytes after the first unread one on. */
static size_t copy_out(const struct socket *socket, uint8_t *data, size_t len, size_t skip)
{
    size_t done = 0, at = socket->offset + skip;
    for (const struct pbuf *p = socket->first; p != NULL && done < len; p = p->next) {
        if (at >= p->len) {
            at -= p->len;
            continue;
        }
        size_t n = p->len - at < len - done ? p->len - at : len - done;
        memcpy(data + done, (const uint8_t *)p->payload + at, n);
        done += n;
        at = 0;
    }
    return done;
}

static void open_window(struct tcp_pcb *pcb, size_t bytes)
{
    while (bytes > 0) {
        uint16_t n = bytes < UINT16_MAX ? (uint16_t)bytes : UINT16_MAX;
        tcp_recved(pcb, n);
        bytes -= n;
    }
}

/* These bytes have been read: frees what holds them, and tells the peer. */
static void consume(struct socket *socket, size_t bytes)
{
    size_t left = bytes;
    while (left > 0) {
        size_t n = socket->first->len - socket->offset;
        if (left < n) {
            socket->offset = (uint16_t)(socket->offset + left);
            break;
        }
        left -= n;
        drop_first(socket);
    }
    socket->queued -= bytes;
    if (socket->pcb.tcp != NULL)
        open_window(socket->pcb.tcp, bytes);
}

/* ---- lwIP's callbacks ---- */

static void detach(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
}

/*
 * Both sides have closed. lwIP finishes alone from here on, and would not say when it frees its
 * side at the end of TIME-WAIT.
 */
static void leave_to_lwip(struct socket *socket)
{
    detach(socket->pcb.tcp);
    socket->pcb.tcp = NULL;
    socket->state = SOCKET_ENDED;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct socket *socket = arg;
    (void)error;
    if (p == NULL) {
        socket->end_of_stream = true;
        if (socket->write_shut)
            leave_to_lwip(socket);
    } else if (socket->read_shut) {
        tcp_recved(pcb, p->tot_len);
        pbuf_free(p);
    } else {
        append(socket, p);
    }
    socket_wake_readers(socket);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, uint16_t len)
{
    (void)pcb;
    (void)len;
    socket_wake_writers(arg);
    return ERR_OK;
}

static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
    struct socket *socket = arg;
    (void)pcb;
    if (socket->writers.first != NULL)
        socket_wake_writers(socket);
    return ERR_OK;
}

/* The connection is over, and lwIP has freed its side. */
static void on_error(void *arg, err_t error)
{
    struct socket *socket = arg;
    bool connecting = socket->state == SOCKET_CONNECTING;
    socket->pcb.tcp = NULL;
    socket->state = SOCKET_ENDED;
    if (connecting && error == ERR_RST)
        socket->error = -ECONNREFUSED;
    else if (error != ERR_CLSD)
        socket->error = socket_errno(error);
    socket_wake(socket);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct socket *socket = arg;
    (void)pcb;
    (void)error;
    socket->state = SOCKET_CONNECTED;
    socket_wake_writers(socket);
    return ERR_OK;
}

static void attach(struct socket *socket, struct tcp_pcb *pcb)
{
    socket->pcb.tcp = pcb;
    tcp_arg(pcb, socket);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_poll(pcb, on_poll, POLL_TICKS);
}

static err_t on_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct socket *listener = arg;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    struct socket *socket = socket_new(listener->family, SOCK_STREAM);
    if (socket == NULL)
        return ERR_MEM; /* lwIP resets the connection */
    socket->only_v6 = listener->only_v6;
    attach(socket, pcb);
    tcp_backlog_delayed(pcb);
    socket_offer(listener, socket);
    return ERR_OK;
}

/* ---- opening ---- */

static int tcp_open(struct socket *socket)
{
    struct tcp_pcb *pcb =
        tcp_new_ip_type(socket->family == AF_INET ? IPADDR_TYPE_V4 : IPADDR_TYPE_ANY);
    if (pcb == NULL)
        return -ENOBUFS;
    attach(socket, pcb);
    if (socket->reuse)
        ip_set_option(pcb, SOF_REUSEADDR);
    socket->state = SOCKET_NEW;
    return 0;
}

static int tcp_bind_to(struct socket *socket, const struct socket_address *address)
{
    ip_addr_t ip;
    int error = socket_lwip_address(socket, &address->ip, &ip);
    if (error != 0)
        return error;
    if (socket->state != SOCKET_NEW || socket->pcb.tcp->local_port != 0)
        return -EINVAL;
    return socket_errno(tcp_bind(socket->pcb.tcp, &ip, address->port));
}

static int tcp_listen_at(struct socket *socket, int backlog)
{
    uint8_t limit = backlog < 1 ? 1 : backlog > SOMAXCONN ? SOMAXCONN : (uint8_t)backlog;
    if (socket->state == SOCKET_LISTENING) {
        tcp_backlog_set(socket->pcb.tcp, limit);
        return 0;
    }
    if (socket->state != SOCKET_NEW)
        return -EINVAL;
    struct tcp_pcb *pcb = socket->pcb.tcp;
    if (pcb->local_port == 0) {
        err_t error = tcp_bind(pcb, socket->family == AF_INET ? IP4_ADDR_ANY : IP_ANY_TYPE, 0);
        if (error != ERR_OK)
            return socket_errno(error);
    }
    err_t error;
    tcp_poll(pcb, NULL, 0);
    struct tcp_pcb *listener = tcp_listen_with_backlog_and_err(pcb, limit, &error);
    if (listener == NULL)
        return error == ERR_MEM ? -ENOBUFS : socket_errno(error);
    socket->pcb.tcp = listener;
    socket->state = SOCKET_LISTENING;
    tcp_arg(listener, socket);
    tcp_accept(listener, on_accepted);
    return 0;
}

/* The backlog counts it no more. */
static void tcp_was_accepted(struct socket *child)
{
    if (child->pcb.tcp != NULL)
        tcp_backlog_accepted(child->pcb.tcp);
}

static int tcp_connect_to(struct socket *socket, const struct socket_address *address)
{
    ip_addr_t ip;
    uint64_t start_ns = platform_now_ns();
    int error = socket_lwip_address(socket, &address->ip, &ip);
    if (error != 0)
        return error;
    if (socket->state == SOCKET_CONNECTING)
        return -EALREADY;
    if (socket->state == SOCKET_CONNECTED || socket->state == SOCKET_LISTENING)
        return -EISCONN;
    if (socket->state == SOCKET_ENDED) {
        if (socket->error != 0)
            return socket_take_error(socket);
        error = tcp_open(socket); /* another try after one that failed */
        if (error != 0)
            return error;
    }
    if (ip_addr_isany(&ip)) /* by custom this means the machine itself */
        ip_addr_set_loopback(IP_IS_V6(&address->ip), &ip);
    err_t result = tcp_connect(socket->pcb.tcp, &ip, address->port, on_connected);
    while (result == ERR_RTE && !socket->nonblocking && net_is_starting() &&
           thread_sleep_until(platform_now_ns() + START_INTERVAL_NS) == 0 && !socket->closed)
        result = tcp_connect(socket->pcb.tcp, &ip, address->port, on_connected);
    if (result != ERR_OK)
        return result == ERR_RTE ? -ENETUNREACH : socket_errno(result);
    socket->state = SOCKET_CONNECTING;
    while (socket->state == SOCKET_CONNECTING) {
        error = socket_wait(socket, true, 0, start_ns);
        if (error != 0)
            return error == -EAGAIN ? -EINPROGRESS : error;
    }
    return socket_take_error(socket);
}

static int tcp_shut(struct socket *socket, int how)
{
    if (socket->state == SOCKET_LISTENING) {
        socket->protocol->close(socket, false);
        socket_wake(socket);
        return 0;
    }
    if (socket->state != SOCKET_CONNECTED)
        return -ENOTCONN;
    if (how != SHUT_WR) {
        socket->read_shut = true;
        open_window(socket->pcb.tcp, socket->queued);
        drop_all(socket);
    }
    if (how != SHUT_RD && !socket->write_shut) {
        socket->write_shut = true;
        err_t error = tcp_shutdown(socket->pcb.tcp, 0, 1);
        if (error != ERR_OK)
            return socket_errno(error);
    }
    socket_wake(socket);
    return 0;
}

/* ---- moving data ---- */

/* Gives lwIP a part of it; returns how much, 0 when it has no room. */
static ssize_t write_some(struct socket *socket, const uint8_t *data, size_t len, bool more)
{
    struct tcp_pcb *pcb = socket->pcb.tcp;
    size_t n = len < WRITE_MAX ? len : WRITE_MAX;
    if (n > tcp_sndbuf(pcb))
        n = tcp_sndbuf(pcb);
    uint8_t flags = TCP_WRITE_FLAG_COPY | (more || n < len ? TCP_WRITE_FLAG_MORE : 0);
    while (n > 0 && tcp_write(pcb, data, (uint16_t)n, flags) != ERR_OK)
        n = n > tcp_mss(pcb) ? n / 2 : 0; /* out of segments or memory: less may do */
    return (ssize_t)n;
}

static void push(struct socket *socket)
{
    tcp_output(socket->pcb.tcp);
}

/* ---- questions ---- */

static int tcp_name(struct socket *socket, bool peer, struct socket_address *address)
{
    const struct tcp_pcb *pcb = socket->pcb.tcp;
    if (peer && (pcb == NULL || socket->state != SOCKET_CONNECTED))
        return -ENOTCONN;
    if (pcb == NULL)
        *address = (struct socket_address){.port = 0};
    else if (peer)
        *address = (struct socket_address){.ip = pcb->remote_ip, .port = pcb->remote_port};
    else
        *address = (struct socket_address){.ip = pcb->local_ip, .port = pcb->local_port};
    return 0;
}

static int tcp_set_option(struct socket *socket, int level, int name, int value)
{
    struct tcp_pcb *pcb = socket->pcb.tcp;
    if (level != IPPROTO_TCP)
        return -ENOPROTOOPT;
    if (pcb == NULL || socket->state == SOCKET_LISTENING)
        return socket->state == SOCKET_LISTENING ? 0 : -EINVAL;
    switch (name) {
    case TCP_NODELAY:
        if (value != 0)
            tcp_nagle_disable(pcb);
        else
            tcp_nagle_enable(pcb);
        return 0;
    case TCP_KEEPIDLE:
        pcb->keep_idle = (uint32_t)value * 1000;
        return 0;
    case TCP_KEEPINTVL:
        pcb->keep_intvl = (uint32_t)value * 1000;
        return 0;
    case TCP_KEEPCNT:
        pcb->keep_cnt = (uint32_t)value;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int tcp_get_option(struct socket *socket, int level, int name, int *value)
{
    const struct tcp_pcb *pcb = socket->pcb.tcp;
    if (level != IPPROTO_TCP)
        return -ENOPROTOOPT;
    if (pcb == NULL || socket->state == SOCKET_LISTENING)
        return -EINVAL;
    switch (name) {
    case TCP_NODELAY:
        *value = tcp_nagle_disabled(pcb);
        return 0;
    case TCP_MAXSEG:
        *value = tcp_mss(pcb);
        return 0;
    case TCP_KEEPIDLE:
        *value = (int)(pcb->keep_idle / 1000);
        return 0;
    case TCP_KEEPINTVL:
        *value = (int)(pcb->keep_intvl / 1000);
        return 0;
    case TCP_KEEPCNT:
        *value = (int)pcb->keep_cnt;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static unsigned tcp_poll_events(struct socket *socket)
{
    const struct tcp_pcb *pcb = socket->pcb.tcp;
    unsigned events = 0;
    if (socket->accept_first != NULL || socket->queued > 0 || socket->end_of_stream ||
        socket->read_shut)
        events |= POLLIN | POLLRDNORM;
    if (socket->state == SOCKET_ENDED)
        events |= POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP;
    if (socket->state == SOCKET_NEW)
        events |= POLLOUT | POLLHUP;
    if (socket->state == SOCKET_CONNECTED &&
        (socket->write_shut ||
         (tcp_sndbuf(pcb) > TCP_SNDLOWAT && tcp_sndqueuelen(pcb) < TCP_SNDQUEUELOWAT)))
        events |= POLLOUT | POLLWRNORM;
    if (socket->end_of_stream && socket->write_shut)
        events |= POLLHUP;
    if (socket->error != 0)
        events |= POLLERR;
    return events;
}

static size_t tcp_readable(struct socket *socket)
{
    return socket->queued;
}

/* ---- the end ---- */

static void close_listener(struct socket *socket)
{
    socket_refuse_all(socket);
    tcp_accept(socket->pcb.tcp, NULL);
    tcp_arg(socket->pcb.tcp, NULL);
    tcp_close(socket->pcb.tcp);
}

static void tcp_end(struct socket *socket, bool abort)
{
    struct tcp_pcb *pcb = socket->pcb.tcp;
    if (pcb == NULL) {
        drop_all(socket);
        return;
    }
    if (socket->state == SOCKET_LISTENING) {
        close_listener(socket);
    } else {
        detach(pcb);
        /* With unread data lwIP resets the connection, so that the peer knows that it was lost. */
        if (abort || tcp_close(pcb) != ERR_OK)
            tcp_abort(pcb);
        drop_all(socket);
    }
    socket->pcb.tcp = NULL;
    socket->state = SOCKET_ENDED;
}

const struct socket_protocol socket_tcp = {
    .open = tcp_open,
    .bind = tcp_bind_to,
    .connect = tcp_connect_to,
    .shutdown = tcp_shut,
    .listen = tcp_listen_at,
    .accepted = tcp_was_accepted,
    .send = socket_stream_send,
    .receive = socket_stream_receive,
    .write = write_some,
    .push = push,
    .copy = copy_out,
    .consume = consume,
    .name = tcp_name,
    .set_option = tcp_set_option,
    .get_option = tcp_get_option,
    .poll = tcp_poll_events,
    .readable = tcp_readable,
    .close = tcp_end,
};
