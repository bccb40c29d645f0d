/*
 * lwip_neighbours.h - how often may be asked for neighbours that nobody knows.
 */
#ifndef FERRULE_NET_LWIP_NEIGHBOURS_H
#define FERRULE_NET_LWIP_NEIGHBOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/ip6_addr.h"
#include "lwip/netif.h"

/*
 * Whether a packet to this destination may be handed to lwIP's link layer now: either the next hop's
 * address is known, or there has been no more than the usual number of questions for others in this
 * second.
 */
bool neighbours_may_send(struct netif *netif, const ip4_addr_t *destination);
bool neighbours_may_send_ip6(const struct netif *netif, const ip6_addr_t *destination);

/* Packets that were dropped. */
uint64_t neighbours_refused(void);

#endif
