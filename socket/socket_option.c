/*
 * socket_option.c - setsockopt() and getsockopt(): what TCP and UDP have in common, and groups.
 *
 * An option that is not here is -ENOPROTOOPT, so that a program knows that it has no effect.
 */
#include "socket/socket_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "netinet/in.h"
#include "vsock/vsock.h"

#define NS_PER_SECOND 1000000000u
#define NS_PER_US 1000u

/* ---- values ---- */

static int take_int(const void *value, size_t len, int *out)
{
    if (len >= sizeof(int)) {
        memcpy(out, value, sizeof(int));
        return 0;
    }
    if (len != 1) /* some of IP's may be a byte */
        return -EINVAL;
    *out = *(const unsigned char *)value;
    return 0;
}

static int take_time(const void *value, size_t len, uint64_t *ns)
{
    struct timeval time;
    if (len < sizeof(time))
        return -EINVAL;
    memcpy(&time, value, sizeof(time));
    if (time.tv_usec < 0 || time.tv_usec >= 1000000)
        return -EDOM;
    if (time.tv_sec < 0)
        time = (struct timeval){0, 0};
    *ns = (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_usec * NS_PER_US;
    return 0;
}

static int give(void *value, size_t *len, const void *from, size_t size)
{
    if (*len > size)
        *len = size;
    memcpy(value, from, *len);
    return 0;
}

static int give_int(void *value, size_t *len, int number)
{
    return give(value, len, &number, sizeof(number));
}

static int give_time(void *value, size_t *len, uint64_t ns)
{
    struct timeval time = {(time_t)(ns / NS_PER_SECOND),
                           (suseconds_t)(ns % NS_PER_SECOND / NS_PER_US)};
    return give(value, len, &time, sizeof(time));
}

/* ---- groups ---- */

static int join_ipv4(const void *value, size_t len, bool join)
{
    struct ip_mreq request;
    ip4_addr_t group, interface;
    if (len < sizeof(request))
        return -EINVAL;
    memcpy(&request, value, sizeof(request));
    group.addr = request.imr_multiaddr.s_addr;
    interface.addr = request.imr_interface.s_addr;
    if (!ip4_addr_ismulticast(&group))
        return -EINVAL;
    err_t error = join ? igmp_joingroup(&interface, &group) : igmp_leavegroup(&interface, &group);
    return error == ERR_OK ? 0 : join ? -ENODEV : -EADDRNOTAVAIL;
}

static int join_ipv6(const void *value, size_t len, bool join)
{
    struct ipv6_mreq request;
    ip6_addr_t group = {.zone = 0};
    if (len < sizeof(request))
        return -EINVAL;
    memcpy(&request, value, sizeof(request));
    memcpy(group.addr, &request.ipv6mr_multiaddr, sizeof(group.addr));
    struct netif *netif = request.ipv6mr_interface != 0
                              ? netif_get_by_index((u8_t)request.ipv6mr_interface)
                              : netif_default;
    if (!ip6_addr_ismulticast(&group))
        return -EINVAL;
    if (netif == NULL)
        return -ENODEV;
    ip6_addr_assign_zone(&group, IP6_MULTICAST, netif);
    err_t error = join ? mld6_joingroup_netif(netif, &group) : mld6_leavegroup_netif(netif, &group);
    return error == ERR_OK ? 0 : join ? -ENOBUFS : -EADDRNOTAVAIL;
}

/* ---- SOL_SOCKET ---- */

static void set_flag(struct socket *socket, uint8_t flag, bool on)
{
    if (socket->pcb.ip == NULL)
        return;
    if (on)
        ip_set_option(socket->pcb.ip, flag);
    else
        ip_reset_option(socket->pcb.ip, flag);
}

static int set_linger(struct socket *socket, const void *value, size_t len)
{
    struct linger linger;
    if (len < sizeof(linger))
        return -EINVAL;
    memcpy(&linger, value, sizeof(linger));
    socket->linger = linger.l_onoff != 0;
    socket->linger_s = linger.l_linger;
    return 0;
}

static int set_general(struct socket *socket, int name, const void *value, size_t len)
{
    int number = 0;
    if (name == SO_RCVTIMEO)
        return take_time(value, len, &socket->receive_timeout_ns);
    if (name == SO_SNDTIMEO)
        return take_time(value, len, &socket->send_timeout_ns);
    if (name == SO_LINGER)
        return set_linger(socket, value, len);
    int error = take_int(value, len, &number);
    if (error != 0)
        return error;
    switch (name) {
    case SO_REUSEADDR:
    case SO_REUSEPORT:
        socket->reuse = number != 0;
        set_flag(socket, SOF_REUSEADDR, number != 0);
        return 0;
    case SO_KEEPALIVE:
        set_flag(socket, SOF_KEEPALIVE, number != 0);
        return 0;
    case SO_BROADCAST:
        set_flag(socket, SOF_BROADCAST, number != 0);
        return 0;
    case SO_RCVBUF:
        if (number <= 0)
            return -EINVAL;
        if (socket->type == SOCK_DGRAM)
            socket->queue_limit = (size_t)number;
        return 0; /* a TCP window is what it is */
    case SO_SNDBUF:
    case SO_DONTROUTE:
    case SO_OOBINLINE:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int protocol_number(const struct socket *socket)
{
    if (socket->family == AF_VSOCK)
        return 0;
    return socket->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

/* What can be received and not read. */
static int receive_buffer(const struct socket *socket)
{
    if (socket->family == AF_VSOCK)
        return (int)VSOCK_BUFFER_SIZE;
    return socket->type == SOCK_DGRAM ? (int)socket->queue_limit : (int)TCP_WND;
}

static int get_general(struct socket *socket, int name, void *value, size_t *len)
{
    struct linger linger = {socket->linger, socket->linger_s};
    const struct ip_pcb *pcb = socket->pcb.ip;
    switch (name) {
    case SO_ERROR:
        return give_int(value, len, -socket_take_error(socket));
    case SO_TYPE:
        return give_int(value, len, socket->type);
    case SO_DOMAIN:
        return give_int(value, len, socket->family);
    case SO_PROTOCOL:
        return give_int(value, len, protocol_number(socket));
    case SO_ACCEPTCONN:
        return give_int(value, len, socket->state == SOCKET_LISTENING);
    case SO_REUSEADDR:
    case SO_REUSEPORT:
        return give_int(value, len, socket->reuse);
    case SO_KEEPALIVE:
        return give_int(value, len, pcb != NULL && ip_get_option(pcb, SOF_KEEPALIVE) != 0);
    case SO_BROADCAST:
        return give_int(value, len, pcb != NULL && ip_get_option(pcb, SOF_BROADCAST) != 0);
    case SO_RCVBUF:
        return give_int(value, len, receive_buffer(socket));
    case SO_SNDBUF:
        return give_int(value, len,
                        socket->family == AF_VSOCK ? (int)VSOCK_BUFFER_SIZE : (int)TCP_SND_BUF);
    case SO_LINGER:
        return give(value, len, &linger, sizeof(linger));
    case SO_RCVTIMEO:
        return give_time(value, len, socket->receive_timeout_ns);
    case SO_SNDTIMEO:
        return give_time(value, len, socket->send_timeout_ns);
    default:
        return -ENOPROTOOPT;
    }
}

/* ---- IP ---- */

static int set_v6only(struct socket *socket, bool on)
{
    if (socket->family != AF_INET6 || socket->state != SOCKET_NEW || socket->pcb.ip == NULL)
        return -EINVAL;
    socket->only_v6 = on;
    IP_SET_TYPE_VAL(socket->pcb.ip->local_ip, on ? IPADDR_TYPE_V6 : IPADDR_TYPE_ANY);
    IP_SET_TYPE_VAL(socket->pcb.ip->remote_ip, on ? IPADDR_TYPE_V6 : IPADDR_TYPE_ANY);
    return 0;
}

int socket_set_option(struct socket *socket, int level, int name, const void *value, size_t len)
{
    int number = 0;
    if (level == SOL_SOCKET)
        return set_general(socket, name, value, len);
    if (socket->protocol->set_option == NULL)
        return -ENOPROTOOPT;
    if (level == IPPROTO_IP && (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP))
        return join_ipv4(value, len, name == IP_ADD_MEMBERSHIP);
    if (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP))
        return join_ipv6(value, len, name == IPV6_JOIN_GROUP);
    if (level == IPPROTO_IP && name == IP_MULTICAST_IF && socket->type == SOCK_DGRAM) {
        if (len < sizeof(struct in_addr) || socket->pcb.udp == NULL)
            return -EINVAL;
        ip4_addr_t interface;
        memcpy(&interface.addr, value, sizeof(interface.addr));
        udp_set_multicast_netif_addr(socket->pcb.udp, &interface);
        return 0;
    }
    int error = take_int(value, len, &number);
    if (error != 0)
        return error;
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
        return set_v6only(socket, number != 0);
    if ((level == IPPROTO_IP && (name == IP_TTL || name == IP_TOS)) ||
        (level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS)) {
        if (number < 0 || number > 255 || socket->pcb.ip == NULL)
            return -EINVAL;
        *(name == IP_TOS && level == IPPROTO_IP ? &socket->pcb.ip->tos : &socket->pcb.ip->ttl) =
            (uint8_t)number;
        return 0;
    }
    return socket->protocol->set_option(socket, level, name, number);
}

int socket_get_option(struct socket *socket, int level, int name, void *value, size_t *len)
{
    int number = 0;
    if (level == SOL_SOCKET)
        return get_general(socket, name, value, len);
    if (socket->protocol->get_option == NULL)
        return -ENOPROTOOPT;
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
        return give_int(value, len, socket->only_v6);
    if (socket->pcb.ip != NULL && level == IPPROTO_IP && name == IP_TOS)
        return give_int(value, len, socket->pcb.ip->tos);
    if (socket->pcb.ip != NULL && ((level == IPPROTO_IP && name == IP_TTL) ||
                                   (level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS)))
        return give_int(value, len, socket->pcb.ip->ttl);
    int error = socket->protocol->get_option(socket, level, name, &number);
    return error != 0 ? error : give_int(value, len, number);
}
