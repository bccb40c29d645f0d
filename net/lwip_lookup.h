/*
 * lwip_lookup.h - shortens lwIP's search for the connection that a packet belongs to.
 *
 * Loop context. What is wrong here costs time only: lwIP still decides by the whole addresses.
 */
#ifndef FERRULE_NET_LWIP_LOOKUP_H
#define FERRULE_NET_LWIP_LOOKUP_H

struct tcp_pcb;

/* A packet has come for this connection. */
void lookup_remember(struct tcp_pcb *pcb);

/* Before lwIP gets a packet of TCP: `ports` are the 4 bytes with which its header begins. */
void lookup_prepare(const void *ports);

#endif
