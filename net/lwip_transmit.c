/*
 * lwip_transmit.c - the way of a packet from lwIP to a NIC: without a copy, checksums and segments
 * made by the device where it can and here where it cannot.
 *
 * A sent pbuf is referenced until the device has read it. Large packets come from
 * lwip_segments.c. Receiving and the interface itself are in lwip_netif.c. Read lwip_ports.h first.
 */
#include "net/lwip_ports.h"

#include <string.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/snmp.h"

#include "log.h"
#include "net/frame.h"
#include "net/frame_cut.h"
#include "net/lwip_neighbours.h"
#include "net/lwip_port.h"
#include "net/lwip_recovery.h"
#include "net/lwip_segments.h"

/* Where a NIC does not cut, this many segments at once are worth it, and a packet takes at most one
 * part in TX_RING_SHARE of the ring. */
#define CUT_SEGMENTS 16u
#define TX_RING_SHARE 8u

/* Pieces that one segment may take in a ring without indirect descriptors, the header included. */
#define CUT_PIECES 4u

/* ---- one frame ---- */

/*
 * Lists the pieces of `len` bytes of a packet from `at` on; 0 when they are too many or one may
 * change before the device has read it.
 */
static unsigned tx_collect(const struct pbuf *p, uint32_t at, uint32_t len, struct virtqueue_sg *sg,
                           unsigned most)
{
    unsigned n = 0;
    for (; p != NULL && len > 0; p = p->next) {
        if (at >= p->len) {
            at -= p->len;
            continue;
        }
        if (PBUF_NEEDS_COPY(p) || n == most)
            return 0;
        uint32_t part = p->len - at < len ? p->len - at : len;
        sg[n++] = (struct virtqueue_sg){(uint8_t *)p->payload + at, part};
        len -= part;
        at = 0;
    }
    return n;
}

/*
 * Bytes in front of a packet that are its own, for the NIC to write: what lwIP left for headers that
 * the packet does not have. None as long as anybody else has the packet, maybe a NIC that is still
 * reading it.
 */
static uint32_t tx_headroom(const struct pbuf *p)
{
    const uint8_t *start = (const uint8_t *)p + LWIP_MEM_ALIGN_SIZE(sizeof(struct pbuf));
    if (p->ref != 1 || (p->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) == 0)
        return 0;
    if ((p->flags & PBUF_FLAG_IS_CUSTOM) != 0)
        return port_rx_headroom(p);
    return (uint32_t)((const uint8_t *)p->payload - start);
}

/* Gives a frame to the NIC, and with it the reference on `owner`, which on_sent() drops. */
static err_t tx_give(struct port *port, const struct virtqueue_sg *sg, unsigned n,
                     uint32_t headroom, const struct nic_offload *offload, struct pbuf *owner)
{
    int status = nic_tx(port->nic, sg, n, headroom, offload, owner);
    if (status == 0) {
        port->unkicked = true;
        return ERR_OK;
    }
    pbuf_free(owner);
    if (status != -ENOSPC)
        return ERR_IF;
    port->tx_refused++;
    port->tx_full = true;
    return ERR_MEM;
}

/* A packet of several pieces, or one that may change. Like others here it is kept out of the function
 * that calls it, which would otherwise save registers for it on the way of every small packet. */
__attribute__((noinline)) static err_t tx_submit_pieces(struct port *port, struct pbuf *p,
                                                        const struct nic_offload *offload)
{
    struct virtqueue_sg sg[NIC_MAX_TX_PIECES];
    uint32_t headroom = tx_headroom(p);
    unsigned n = tx_collect(p, 0, p->tot_len, sg, NIC_MAX_TX_PIECES);
    if (n == 0) {
        p = pbuf_clone(PBUF_RAW_TX, PBUF_RAM, p);
        if (p == NULL)
            return ERR_MEM;
        port->tx_copied++;
        headroom = tx_headroom(p);
        n = tx_collect(p, 0, p->tot_len, sg, NIC_MAX_TX_PIECES);
    } else {
        pbuf_ref(p);
    }
    return tx_give(port, sg, n, headroom, offload, p);
}

static err_t tx_submit(struct port *port, struct pbuf *p, const struct nic_offload *offload)
{
    if (p->next != NULL || PBUF_NEEDS_COPY(p))
        return tx_submit_pieces(port, p, offload);
    struct virtqueue_sg sg = {p->payload, p->len};
    uint32_t headroom = tx_headroom(p);
    pbuf_ref(p);
    return tx_give(port, &sg, 1, headroom, offload, p);
}

/* ---- checksums ---- */

static uint16_t checksum_offset(const struct frame_transport *transport)
{
    return transport->protocol == FRAME_PROTOCOL_UDP ? FRAME_UDP_CHECKSUM_OFFSET
                                                     : FRAME_TCP_CHECKSUM_OFFSET;
}

static void put_checksum(void *headers, const struct frame_transport *transport, uint16_t value)
{
    memcpy((uint8_t *)headers + transport->offset + checksum_offset(transport), &value,
           sizeof(value));
}

/*
 * lwIP left the checksum to the device: puts the sum of the pseudo-header where the device wants
 * it (5.1.9.2).
 */
static void ask_for_checksum(void *headers, const struct frame_transport *transport,
                             struct nic_offload *offload)
{
    put_checksum(headers, transport, frame_pseudo_sum(headers, transport));
    offload->checksum_start = transport->offset;
    offload->checksum_offset = checksum_offset(transport);
}

/* Makes the checksum of a segment in pieces, of which the first holds all headers. */
static void make_checksum(const struct virtqueue_sg *sg, unsigned n,
                          const struct frame_transport *transport)
{
    uint8_t *headers = sg[0].data;
    uint32_t sum = frame_pseudo_sum(headers, transport);
    unsigned before = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned skip = i == 0 ? transport->offset : 0;
        sum = frame_sum_add(sum, (uint8_t *)sg[i].data + skip, sg[i].len - skip, before % 2);
        before += sg[i].len - skip;
    }
    put_checksum(headers, transport, frame_sum_finish(sum));
}

/*
 * A part of a packet is what a device cannot complete; lwIP cuts TCP packets up only when the
 * path's MTU shrank under way. From now on it computes TCP's checksums itself.
 */
static void stop_offload(struct port *port)
{
    log_info("%s: TCP packets are sent in fragments, their checksums are made here from now on",
             port->name);
    port->checksum_flags |= NETIF_CHECKSUM_GEN_TCP;
    NETIF_SET_CHECKSUM_CTRL(&port->netif, port->netif.chksum_flags | NETIF_CHECKSUM_GEN_TCP);
    port_update_vlans(port);
}

/* ---- large packets ---- */

/* A large packet that is cut here. */
struct cutting {
    struct pbuf *p;
    struct frame_transport transport;
    unsigned header_len; /* all of it, from the Ethernet header to TCP's options */
    uint16_t size;       /* payload of a segment */
};

/*
 * Sends one segment: headers of its own, in front of a slice of the packet. The packet hangs on to
 * the header's pbuf, so both are freed when the device has read them.
 */
static err_t cut_one(struct port *port, const struct cutting *large, const struct frame_cut *cut)
{
    struct virtqueue_sg sg[NIC_MAX_TX_PIECES];
    struct frame_transport transport = large->transport;
    struct nic_offload offload = {0};
    bool by_device = (port->nic->offloads & NIC_CHECKSUM) != 0;
    uint32_t at = large->header_len + cut->at;
    unsigned n = tx_collect(large->p, at, cut->payload, &sg[1], NIC_MAX_TX_PIECES - 1);
    unsigned copied = n == 0 ? cut->payload : 0;
    struct pbuf *headers = pbuf_alloc(PBUF_RAW_TX, (u16_t)(large->header_len + copied), PBUF_RAM);
    if (headers == NULL)
        return ERR_MEM;
    memcpy(headers->payload, large->p->payload, large->header_len);
    if (copied > 0)
        pbuf_copy_partial(large->p, (uint8_t *)headers->payload + large->header_len, cut->payload,
                          (u16_t)at);
    sg[0] = (struct virtqueue_sg){headers->payload, headers->len};
    frame_cut_headers(headers->payload, large->header_len, &transport, cut);
    if (by_device)
        ask_for_checksum(headers->payload, &transport, &offload);
    else
        make_checksum(sg, n + 1, &transport);
    uint32_t headroom = tx_headroom(headers);
    headers->next = large->p;
    pbuf_ref(large->p);
    return tx_give(port, sg, n + 1, headroom, by_device ? &offload : NULL, headers);
}

/* All segments or none, as far as the ring allows: what was sent already would be sent again. */
static err_t cut_all(struct port *port, const struct cutting *large)
{
    uint32_t payload = large->p->tot_len - large->header_len;
    unsigned segments = (payload + large->size - 1) / large->size;
    unsigned needed = segments * CUT_PIECES;
    if (nic_tx_room(port->nic) < (needed < port->nic->tx_queue ? needed : port->nic->tx_queue)) {
        port->tx_refused++;
        port->tx_full = true;
        return ERR_MEM;
    }
    for (struct frame_cut cut = {0}; cut.at < payload; cut.number++) {
        uint32_t left = payload - cut.at;
        cut.last = left <= large->size;
        cut.payload = (uint16_t)(cut.last ? left : large->size);
        err_t error = cut_one(port, large, &cut);
        if (error != ERR_OK)
            return error;
        cut.at += cut.payload;
    }
    port->tx_cut++;
    return ERR_OK;
}

/* The device cuts a packet if it can, checksum and all; else it is done here. */
static err_t tx_large(struct port *port, struct cutting *large)
{
    bool ecn = frame_tcp_has_cwr(large->p->payload, &large->transport);
    unsigned needed = NIC_CHECKSUM | (large->transport.ipv6 ? NIC_SEGMENT_TCP6 : NIC_SEGMENT_TCP4) |
                      (ecn ? NIC_SEGMENT_ECN : 0);
    struct nic_offload offload = {
        .segment_size = large->size,
        .header_len = (uint16_t)large->header_len,
        .cut = large->transport.ipv6 ? NIC_CUT_TCP6 : NIC_CUT_TCP4,
        .ecn = ecn,
    };
    if ((port->nic->offloads & needed) != needed)
        return cut_all(port, large);
    ask_for_checksum(large->p->payload, &large->transport, &offload);
    return tx_submit(port, large->p, &offload);
}

bool port_may_cut(const struct netif *netif, unsigned offload)
{
    const struct port *port = port_of(netif);
    unsigned needed = NIC_CHECKSUM | offload;
    if (port == NULL)
        return false;
    port = port->base;
    return (port->nic->offloads & needed) == needed &&
           (port->checksum_flags & NETIF_CHECKSUM_GEN_TCP) == 0;
}

/* Is it a row of datagrams, or one that is larger than the MTU? */
static bool is_cut(const struct port *port, const struct cutting *large)
{
    const struct pbuf *p = large->p;
    return large->transport.protocol == FRAME_PROTOCOL_UDP &&
           (p->segment_size != 0 || p->tot_len > port->netif.mtu + large->transport.network);
}

/*
 * A packet of UDP that the device is to cut: into datagrams if it is marked with their size, else
 * into fragments, whose length is counted in units of 8 bytes (RFC 791).
 */
static err_t tx_datagrams(struct port *port, struct cutting *large)
{
    struct pbuf *p = large->p;
    unsigned headers = large->transport.offset + FRAME_UDP_HEADER_LEN;
    unsigned ip = large->transport.offset - large->transport.network;
    struct nic_offload offload = {
        .segment_size = p->segment_size,
        .header_len = (uint16_t)headers,
        .cut = NIC_CUT_DATAGRAMS,
    };
    if (p->segment_size == 0) {
        offload.segment_size = (uint16_t)((port->netif.mtu - ip) & ~7u);
        offload.cut = NIC_CUT_FRAGMENTS;
    }
    if (p->len < headers)
        return tx_submit(port, p, NULL);
    ask_for_checksum(p->payload, &large->transport, &offload);
    return tx_submit(port, p, &offload);
}

/* ---- what lwIP calls ---- */

/*
 * Payload that a segment of this packet may have. A packet that waited for its neighbour's address
 * may be a copy without the mark, and then the MTU has to tell.
 */
static uint16_t segment_size(const struct port *port, const struct pbuf *p, unsigned link_header,
                             unsigned headers)
{
    unsigned most = port->netif.mtu + link_header;
    if (p->segment_size != 0)
        return p->segment_size;
    return p->tot_len > most && most > headers ? (uint16_t)(most - headers) : 0;
}

/* Most of what is not TCP's is known by one look. */
static bool is_clearly_not_tcp(const struct pbuf *p)
{
    uint8_t protocol = frame_ipv4_protocol(p->payload, p->len);
    return protocol != 0 && protocol != FRAME_PROTOCOL_TCP;
}

/* A frame that may be TCP's, or is to be cut. */
__attribute__((noinline)) static err_t tx_inspect(struct port *port, struct pbuf *p)
{
    struct cutting large = {.p = p};
    struct nic_offload offload = {0};
    bool by_device = (port->checksum_flags & NETIF_CHECKSUM_GEN_TCP) == 0;
    if (!by_device && p->segment_size == 0)
        return tx_submit(port, p, NULL);
    if (!frame_find_transport(p->payload, p->len, &large.transport))
        return tx_submit(port, p, NULL);
    if (large.transport.protocol != FRAME_PROTOCOL_TCP)
        return is_cut(port, &large) ? tx_datagrams(port, &large) : tx_submit(port, p, NULL);
    unsigned tcp = frame_tcp_header_len(p->payload, p->len, &large.transport);
    if (tcp == 0 && !by_device)
        return tx_submit(port, p, NULL);
    if (tcp == 0) {
        stop_offload(port);
        return ERR_OK; /* lost; TCP sends it again, with a checksum */
    }
    large.header_len = large.transport.offset + tcp;
    large.size = segment_size(port, p, large.transport.network, large.header_len);
    if (large.size != 0 && p->tot_len > large.header_len + large.size)
        return tx_large(port, &large);
    if (!by_device)
        return tx_submit(port, p, NULL);
    ask_for_checksum(p->payload, &large.transport, &offload);
    return tx_submit(port, p, &offload);
}

/* netif->linkoutput: a complete frame. */
err_t port_link_output(struct netif *netif, struct pbuf *p)
{
    struct port *port = ((struct port *)netif->state)->base;
    lwip_touch();
    MIB2_STATS_NETIF_ADD(netif, ifoutoctets, p->tot_len);
    bool whole = p->segment_size == 0 && p->tot_len <= port->netif.mtu + NIC_ETHERNET_HEADER;
    return whole && is_clearly_not_tcp(p) ? tx_submit(port, p, NULL) : tx_inspect(port, p);
}

/*
 * netif->output and netif->output_ip6: mark TCP's packets with the size of their segments. Who may
 * not ask for its next hop gets no error, for it would get none either when nobody answers.
 */
err_t port_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *destination)
{
    p->segment_size = segments_size();
    return neighbours_may_send(netif, destination) ? etharp_output(netif, p, destination) : ERR_OK;
}

err_t port_output_ip6(struct netif *netif, struct pbuf *p, const ip6_addr_t *destination)
{
    p->segment_size = segments_size();
    return neighbours_may_send_ip6(netif, destination) ? ethip6_output(netif, p, destination)
                                                       : ERR_OK;
}

void port_limit_segments(const struct port *port)
{
    if ((port->nic->offloads & (NIC_SEGMENT_TCP4 | NIC_SEGMENT_TCP6)) != 0)
        return;
    unsigned share = port->nic->tx_queue / TX_RING_SHARE;
    segments_limit(share < CUT_SEGMENTS ? share : CUT_SEGMENTS);
}

void port_sent(void *arg, void *const *token, unsigned count)
{
    struct port *port = arg;
    port->tx_done += count;
    for (unsigned i = 0; i < count; i++)
        pbuf_free(token[i]);
}

void port_tx_resume(struct port *port)
{
    port->tx_full = false;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL && !port->tx_full; pcb = pcb->next)
        if (pcb->unsent != NULL)
            tcp_output(pcb);
}

void port_tx_again(struct port *port)
{
    unsigned count = 0;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        struct netif *netif = ip_route(&pcb->local_ip, &pcb->remote_ip);
        struct port *way = netif != NULL ? port_of(netif) : NULL;
        if (way == NULL || way->base != port)
            continue;
        if (recovery_send_window_again(pcb))
            count++;
        else if (pcb->unacked == NULL && pcb->unsent != NULL)
            tcp_output(pcb);
    }
    if (count > 0)
        log_info("%s: %u connections send again what may be lost", port->name, count);
}
