/*
 * lwip_hooks.h - the places where lwIP asks us (LWIP_HOOK_FILENAME).
 */
#ifndef FERRULE_NET_LWIP_HOOKS_H
#define FERRULE_NET_LWIP_HOOKS_H

#include <stddef.h>

#include "lwip/ip_addr.h"

struct netif;
struct tcp_pcb;
struct pbuf;
struct eth_vlan_hdr;

/* The initial sequence number of a connection (net/lwip_port.c). */
uint32_t lwip_port_isn(const ip_addr_t *local_ip, uint16_t local_port, const ip_addr_t *remote_ip,
                       uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN lwip_port_isn

/* A TCP packet has come for this listener (net/lwip_backlog.c), or for this connection, whose payload
 * `p` is (net/lwip_segments.c). */
struct tcp_hdr;
signed char backlog_received(const struct tcp_pcb *listener, const struct tcp_hdr *header);
signed char segments_received(struct tcp_pcb *pcb, const struct tcp_hdr *header,
                              uint16_t options_len, const struct pbuf *p);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, length, first, second, p) \
    ((pcb)->state == LISTEN ? backlog_received(pcb, header)               \
                            : segments_received(pcb, header, first, p))

/* The router set by `ip6=`; NULL leaves the choice to router advertisements (net/lwip_addresses.c).
 */
const ip6_addr_t *lwip_addresses_gateway6(struct netif *netif, const ip6_addr_t *destination);
#define LWIP_HOOK_ND6_GET_GW(netif, destination) lwip_addresses_gateway6(netif, destination)

/* VLANs (net/lwip_vlan.c): the tag of what an interface sends, or -1; whether anybody here is in the
 * VLAN of a received frame; and who. */
int lwip_vlan_tag(const struct netif *netif);
#define LWIP_HOOK_VLAN_SET(netif, p, source, destination, type) lwip_vlan_tag(netif)
int lwip_vlan_is_ours(const struct netif *netif, const struct eth_vlan_hdr *tag);
#define LWIP_HOOK_VLAN_CHECK(netif, header, tag) lwip_vlan_is_ours(netif, tag)
struct netif *lwip_vlan_interface(const struct pbuf *frame, struct netif *netif);
#define LWIP_ARP_FILTER_NETIF_FN(frame, netif, type) lwip_vlan_interface(frame, netif)

/* As lwIP's own, which looks at each byte by itself (net/lwip_port.c). */
char *lwip_port_strnstr(const char *buffer, const char *token, size_t n);
#define lwip_strnstr lwip_port_strnstr

/*
 * lwIP's web server searches a request for the text "Connection: keep-alive" by this function,
 * which a port may replace, and closes the connection when it finds none. HTTP/1.1 clients need not
 * write that, so the request is read properly instead (apps/httpd/content.c). The result is not
 * NULL when the connection is to stay open.
 */
char *content_connection_hook(const char *request, size_t len);
#define lwip_strnistr(request, token, len) content_connection_hook(request, len)

#endif
