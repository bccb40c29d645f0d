/*
 * lwip_lookup.c - finds the connection of a packet before lwIP looks for it: see lwip_lookup.h.
 *
 * lwIP walks the list of its connections, comparing addresses and ports, and moves the one it found to the
 * front. With connections that take turns, which is what clients of a web server do, the one it looks for is
 * always at the end. Here the table says by the peer's port who it may be, so that the walk compares pointers.
 */
#include "net/lwip_lookup.h"

#include <stdint.h>

#include "lwip/priv/tcp_priv.h"

#define ENTRIES 256u

/* Who had the last packet from such a port. They may have ended: lwIP's pool, where they lie, stays. */
static struct tcp_pcb *last[ENTRIES];

void lookup_remember(struct tcp_pcb *pcb)
{
    last[pcb->remote_port % ENTRIES] = pcb;
}

void lookup_prepare(const void *ports)
{
    const uint8_t *bytes = ports;
    unsigned source = (unsigned)bytes[0] << 8 | bytes[1];
    unsigned destination = (unsigned)bytes[2] << 8 | bytes[3];
    struct tcp_pcb *pcb = last[source % ENTRIES], *before = tcp_active_pcbs;
    if (pcb == NULL || pcb == before || pcb->remote_port != source ||
        pcb->local_port != destination)
        return;
    while (before != NULL && before->next != pcb)
        before = before->next;
    if (before == NULL)
        return;
    before->next = pcb->next;
    pcb->next = tcp_active_pcbs;
    tcp_active_pcbs = pcb;
}
