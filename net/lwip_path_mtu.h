/*
 * lwip_path_mtu.h - the largest packet that gets to a destination whole. See lwip_path_mtu.c.
 */
#ifndef FERRULE_NET_LWIP_PATH_MTU_H
#define FERRULE_NET_LWIP_PATH_MTU_H

#include <stdint.h>

#include "lwip/ip_addr.h"
#include "lwip/netif.h"

struct tcp_pcb;

/* In bytes, from the IP header on. Over IPv4 the interface's, since routers make fragments there. */
uint16_t path_mtu(struct netif *netif, const ip_addr_t *destination);

/* The retransmission timer of a connection has fired, before anything is sent. */
void path_mtu_timed_out(struct tcp_pcb *pcb);

/* Messages that told of a smaller one and were believed, and all others. */
uint64_t path_mtu_learned(void);
uint64_t path_mtu_refused(void);

#endif
