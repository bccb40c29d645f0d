/*
 * lwip_datagrams.c - rows of UDP datagrams that cross the interface as one frame, in both directions
 * (VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_GUEST_USO4 and _USO6).
 *
 * Who sends says where datagrams end (the socket option UDP_SEGMENT), so nothing has to wait for a
 * second one that may never come. lwIP makes the headers of one large packet, which goes to the
 * interface whole, like TCP's (lwip_segments.c). What is received in a row is taken apart before
 * lwIP sees it. Read lwip_datagrams.h first.
 */
#include "net/lwip_datagrams.h"

#include <string.h>

#include "lwip/ip.h"

#include "net/frame_cut.h"
#include "net/lwip_path_mtu.h"
#include "net/lwip_ports.h"
#include "net/lwip_segments.h"

/* As Linux has it, in both directions. */
#define MOST_DATAGRAMS 64u

/* ---- sending ---- */

static bool is_own(const struct netif *netif, const ip_addr_t *address)
{
    if (!IP_IS_V6(address))
        return ip4_addr_cmp(ip_2_ip4(address), netif_ip4_addr(netif));
    return netif_get_ip6_addr_match((struct netif *)netif, ip_2_ip6(address)) >= 0;
}

/* May all of p go to the interface as one packet? */
static bool in_one(const struct udp_pcb *pcb, const struct pbuf *p, const ip_addr_t *to,
                   unsigned size)
{
    unsigned headers = FRAME_UDP_HEADER_LEN + (IP_IS_V6(to) ? IP6_HLEN : IP_HLEN);
    if (p->tot_len > MOST_DATAGRAMS * size || p->tot_len > UINT16_MAX - headers ||
        ip_addr_ismulticast(to) || pcb->netif_idx != NETIF_NO_INDEX)
        return false;
    struct netif *netif = ip_route(&pcb->local_ip, to);
    return netif != NULL && port_may_cut(netif, NIC_SEGMENT_UDP) && !is_own(netif, to) &&
           size + headers <= path_mtu(netif, to);
}

static err_t send_each(struct udp_pcb *pcb, const struct pbuf *p, const ip_addr_t *to,
                       uint16_t port, uint16_t size)
{
    err_t error = ERR_OK;
    for (unsigned at = 0; at < p->tot_len && error == ERR_OK; at += size) {
        uint16_t len = (uint16_t)(p->tot_len - at < size ? p->tot_len - at : size);
        struct pbuf *one = pbuf_alloc(PBUF_TRANSPORT, len, PBUF_RAM);
        if (one == NULL)
            return ERR_MEM;
        pbuf_copy_partial(p, one->payload, len, (u16_t)at);
        error = udp_sendto(pcb, one, to, port);
        pbuf_free(one);
    }
    return error;
}

err_t datagrams_send(struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *to, uint16_t port,
                     uint16_t size)
{
    if (size == 0 || p->tot_len <= size)
        return udp_sendto(pcb, p, to, port);
    if (!in_one(pcb, p, to, size))
        return send_each(pcb, p, to, port, size);
    /* The checksum of the whole would be nobody's. */
    uint8_t flags = pcb->flags;
    udp_set_flags(pcb, UDP_FLAGS_NOCHKSUM);
    uint16_t before = segments_mark(size);
    err_t error = udp_sendto(pcb, p, to, port);
    segments_mark(before);
    pcb->flags = flags;
    return error;
}

/* ---- receiving ---- */

/* One datagram of a row: the row's headers, made its own, and a copy of its part, which costs less
 * than sharing the row's memory. */
static struct pbuf *take_one(const struct pbuf *row, const struct frame_transport *transport,
                             const struct frame_cut *cut)
{
    struct frame_transport own = *transport;
    unsigned headers = transport->offset + FRAME_UDP_HEADER_LEN;
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(headers + cut->payload), PBUF_RAM);
    if (p == NULL)
        return NULL;
    memcpy(p->payload, row->payload, headers);
    pbuf_copy_partial(row, (uint8_t *)p->payload + headers, cut->payload,
                      (u16_t)(headers + cut->at));
    frame_cut_headers(p->payload, headers, &own, cut);
    return p;
}

unsigned port_take_row(struct port *port, const struct pbuf *row, uint16_t size)
{
    struct frame_transport transport;
    struct frame_cut cut = {.payload = size};
    unsigned lost = 0;
    if (!frame_find_transport(row->payload, row->len, &transport) || transport.fragment ||
        transport.protocol != FRAME_PROTOCOL_UDP || transport.len < FRAME_UDP_HEADER_LEN ||
        transport.offset + FRAME_UDP_HEADER_LEN > row->len ||
        transport.offset + transport.len > row->tot_len)
        return 1;
    unsigned payload = transport.len - FRAME_UDP_HEADER_LEN;
    if (payload > 2 * MOST_DATAGRAMS * size)
        return 1;
    for (; cut.at < payload; cut.at += cut.payload, cut.number++) {
        cut.last = payload - cut.at <= size;
        if (cut.last)
            cut.payload = (uint16_t)(payload - cut.at);
        struct pbuf *p = take_one(row, &transport, &cut);
        if (p == NULL)
            lost++;
        else if (port->netif.input(p, &port->netif) != ERR_OK)
            pbuf_free(p);
    }
    return lost;
}
