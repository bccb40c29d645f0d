/*
 * socket_udp.c - datagram sockets over lwIP's UDP.
 *
 * Received datagrams wait in lwIP's buffers, up to a limit in bytes; what comes beyond it is
 * dropped, as UDP may. What is sent is copied once. Read socket_option.c next.
 */
#include "socket/socket_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lwip/mem.h"

#include "net/lwip_datagrams.h"
#include "netinet/in.h"
#include "netinet/udp.h"
#include "platform.h"

#define QUEUE_LIMIT (128u << 10)
#define DATAGRAM_COST 256u /* counted for each beside its bytes */
#define PAYLOAD_MAX 65507u

/* A datagram that waits to be read. */
struct datagram {
    struct datagram *next;
    struct pbuf *p;
    struct socket_address from;
};

static size_t cost(const struct pbuf *p)
{
    return p->tot_len + DATAGRAM_COST;
}

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *ip,
                        uint16_t port)
{
    struct socket *socket = arg;
    struct datagram *datagram = NULL;
    (void)pcb;
    if (!socket->read_shut && socket->queued + cost(p) <= socket->queue_limit)
        datagram = mem_malloc(sizeof(*datagram));
    if (datagram == NULL) {
        pbuf_free(p);
        return;
    }
    *datagram = (struct datagram){NULL, p, {.ip = *ip, .port = port}};
    if (socket->last_datagram != NULL)
        socket->last_datagram->next = datagram;
    else
        socket->first_datagram = datagram;
    socket->last_datagram = datagram;
    socket->queued += cost(p);
    socket_wake_readers(socket);
}

static void drop_first(struct socket *socket)
{
    struct datagram *datagram = socket->first_datagram;
    socket->first_datagram = datagram->next;
    if (socket->first_datagram == NULL)
        socket->last_datagram = NULL;
    socket->queued -= cost(datagram->p);
    pbuf_free(datagram->p);
    mem_free(datagram);
}

static int udp_open(struct socket *socket)
{
    struct udp_pcb *pcb =
        udp_new_ip_type(socket->family == AF_INET ? IPADDR_TYPE_V4 : IPADDR_TYPE_ANY);
    if (pcb == NULL)
        return -ENOBUFS;
    socket->pcb.udp = pcb;
    socket->queue_limit = QUEUE_LIMIT;
    udp_recv(pcb, on_datagram, socket);
    return 0;
}

static int udp_bind_to(struct socket *socket, const struct socket_address *address)
{
    ip_addr_t ip;
    int error = socket_lwip_address(socket, &address->ip, &ip);
    if (error == 0 && socket->pcb.udp == NULL)
        error = -ENETDOWN;
    if (error == 0 && socket->pcb.udp->local_port != 0)
        error = -EINVAL;
    return error != 0 ? error : socket_errno(udp_bind(socket->pcb.udp, &ip, address->port));
}

/* No port (AF_UNSPEC) takes the peer away. */
static int udp_connect_to(struct socket *socket, const struct socket_address *address)
{
    ip_addr_t ip;
    int error = socket_lwip_address(socket, &address->ip, &ip);
    if (error != 0)
        return error;
    if (socket->pcb.udp == NULL)
        return -ENETDOWN;
    if (address->port == 0) {
        udp_disconnect(socket->pcb.udp);
        socket->state = SOCKET_NEW;
        return 0;
    }
    err_t result = udp_connect(socket->pcb.udp, &ip, address->port);
    if (result != ERR_OK)
        return socket_errno(result);
    socket->state = SOCKET_CONNECTED;
    return 0;
}

static int udp_shut(struct socket *socket, int how)
{
    if (socket->state != SOCKET_CONNECTED)
        return -ENOTCONN;
    socket->read_shut |= how != SHUT_WR;
    socket->write_shut |= how != SHUT_RD;
    socket_wake(socket);
    return 0;
}

static ssize_t udp_send_pieces(struct socket *socket, const struct iovec *pieces, size_t count,
                               int flags, const struct socket_address *to)
{
    size_t len = 0, at = 0;
    ip_addr_t ip;
    (void)flags;
    int error = to != NULL ? socket_lwip_address(socket, &to->ip, &ip) : 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    if (error != 0)
        return error;
    if (socket->pcb.udp == NULL)
        return -ENETDOWN;
    if (socket->write_shut)
        return -EPIPE;
    if (to == NULL && socket->state != SOCKET_CONNECTED)
        return -EDESTADDRREQ;
    if (len > PAYLOAD_MAX)
        return -EMSGSIZE;
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)len, PBUF_RAM);
    if (p == NULL)
        return -ENOBUFS;
    for (size_t i = 0; i < count; at += pieces[i++].iov_len)
        memcpy((uint8_t *)p->payload + at, pieces[i].iov_base, pieces[i].iov_len);
    struct udp_pcb *pcb = socket->pcb.udp;
    err_t result = datagrams_send(pcb, p, to != NULL ? &ip : &pcb->remote_ip,
                                  to != NULL ? to->port : pcb->remote_port, socket->datagram_size);
    pbuf_free(p);
    /* The device's queue is full: lost like any datagram for which a router has no room. */
    return result == ERR_OK || result == ERR_MEM ? (ssize_t)len : socket_errno(result);
}

static size_t copy_pieces(const struct pbuf *p, const struct iovec *pieces, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count && at < p->tot_len; i++) {
        size_t left = p->tot_len - at;
        size_t n = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        at += pbuf_copy_partial(p, pieces[i].iov_base, (uint16_t)n, (uint16_t)at);
    }
    return at;
}

static ssize_t udp_receive(struct socket *socket, const struct iovec *pieces, size_t count,
                           int flags, struct socket_address *from, int *message_flags)
{
    uint64_t start_ns = platform_now_ns();
    while (socket->first_datagram == NULL) {
        if (socket->error != 0)
            return socket_take_error(socket);
        if (socket->read_shut)
            return 0;
        int error = socket_wait(socket, false, flags, start_ns);
        if (error != 0)
            return error;
    }
    const struct datagram *datagram = socket->first_datagram;
    size_t whole = datagram->p->tot_len, n = copy_pieces(datagram->p, pieces, count);
    if (from != NULL)
        *from = datagram->from;
    if (n < whole)
        *message_flags |= MSG_TRUNC;
    if ((flags & MSG_PEEK) == 0)
        drop_first(socket);
    return (ssize_t)((flags & MSG_TRUNC) != 0 ? whole : n);
}

static int udp_name(struct socket *socket, bool peer, struct socket_address *address)
{
    const struct udp_pcb *pcb = socket->pcb.udp;
    if (pcb == NULL)
        return -ENETDOWN;
    if (peer && socket->state != SOCKET_CONNECTED)
        return -ENOTCONN;
    if (peer)
        *address = (struct socket_address){.ip = pcb->remote_ip, .port = pcb->remote_port};
    else
        *address = (struct socket_address){.ip = pcb->local_ip, .port = pcb->local_port};
    return 0;
}

static int udp_set_option(struct socket *socket, int level, int name, int value)
{
    struct udp_pcb *pcb = socket->pcb.udp;
    if (pcb == NULL)
        return -ENETDOWN;
    if ((level == IPPROTO_IP && name == IP_MULTICAST_TTL) ||
        (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_HOPS)) {
        udp_set_multicast_ttl(pcb, (uint8_t)value);
        return 0;
    }
    if ((level == IPPROTO_IP && name == IP_MULTICAST_LOOP) ||
        (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_LOOP)) {
        if (value != 0)
            udp_set_flags(pcb, UDP_FLAGS_MULTICAST_LOOP);
        else
            udp_clear_flags(pcb, UDP_FLAGS_MULTICAST_LOOP);
        return 0;
    }
    if (level == IPPROTO_UDP && name == UDP_SEGMENT) {
        if (value < 0 || value > (int)PAYLOAD_MAX)
            return -EINVAL;
        socket->datagram_size = (uint16_t)value;
        return 0;
    }
    if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF) {
        udp_set_multicast_netif_index(pcb, (uint8_t)value);
        return 0;
    }
    return -ENOPROTOOPT;
}

static int udp_get_option(struct socket *socket, int level, int name, int *value)
{
    const struct udp_pcb *pcb = socket->pcb.udp;
    if (pcb == NULL)
        return -ENETDOWN;
    if ((level == IPPROTO_IP && name == IP_MULTICAST_TTL) ||
        (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_HOPS)) {
        *value = udp_get_multicast_ttl(pcb);
        return 0;
    }
    if ((level == IPPROTO_IP && name == IP_MULTICAST_LOOP) ||
        (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_LOOP)) {
        *value = udp_is_flag_set(pcb, UDP_FLAGS_MULTICAST_LOOP) != 0;
        return 0;
    }
    if (level == IPPROTO_UDP && name == UDP_SEGMENT) {
        *value = socket->datagram_size;
        return 0;
    }
    return -ENOPROTOOPT;
}

static unsigned udp_poll_events(struct socket *socket)
{
    unsigned events = POLLOUT | POLLWRNORM;
    if (socket->first_datagram != NULL || socket->read_shut)
        events |= POLLIN | POLLRDNORM;
    if (socket->error != 0)
        events |= POLLERR;
    return events;
}

static size_t udp_readable(struct socket *socket)
{
    return socket->first_datagram != NULL ? socket->first_datagram->p->tot_len : 0;
}

static void udp_end(struct socket *socket, bool abort)
{
    (void)abort;
    while (socket->first_datagram != NULL)
        drop_first(socket);
    if (socket->pcb.udp != NULL)
        udp_remove(socket->pcb.udp);
    socket->pcb.udp = NULL;
}

const struct socket_protocol socket_udp = {
    .open = udp_open,
    .bind = udp_bind_to,
    .connect = udp_connect_to,
    .shutdown = udp_shut,
    .send = udp_send_pieces,
    .receive = udp_receive,
    .name = udp_name,
    .set_option = udp_set_option,
    .get_option = udp_get_option,
    .poll = udp_poll_events,
    .readable = udp_readable,
    .close = udp_end,
};
