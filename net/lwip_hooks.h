/*
 * lwip_hooks.h - the places where lwIP asks us (LWIP_HOOK_FILENAME).
 */
#ifndef FERRULE_NET_LWIP_HOOKS_H
#define FERRULE_NET_LWIP_HOOKS_H

#include "lwip/ip_addr.h"

struct netif;

/* The initial sequence number of a connection (net/lwip_port.c). */
uint32_t lwip_port_isn(const ip_addr_t *local_ip, uint16_t local_port, const ip_addr_t *remote_ip,
                       uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN lwip_port_isn

/* The router set by `ip6=`; NULL leaves the choice to router advertisements (net/lwip_netif.c). */
const ip6_addr_t *lwip_netif_gateway6(struct netif *netif, const ip6_addr_t *destination);
#define LWIP_HOOK_ND6_GET_GW(netif, destination) lwip_netif_gateway6(netif, destination)

#endif
