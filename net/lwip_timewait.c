/*
 * lwip_timewait.c - a connection in TIME-WAIT makes room for a new one between the same ports.
 *
 * lwIP answers a SYN for a connection in TIME-WAIT as a stray segment, and a client that uses a
 * port again at once (a busy one behind an address translator does) waits until the state has
 * ended. RFC 1122, 4.2.2.13 lets a receiver accept the SYN when its sequence number lies beyond the
 * old connection's, which keeps old segments out just as well. So such a SYN ends the state here,
 * before lwIP sees it. The numbers we choose ourselves lie beyond the old ones too (RFC 6528,
 * lwip_port.c).
 */
#include "net/lwip_timewait.h"

#include <string.h>

#include "lwip/priv/tcp_priv.h"

static bool same_address(const ip_addr_t *address, const uint8_t *bytes, unsigned len)
{
    if (IP_IS_V6_VAL(*address) != (len == 16))
        return false;
    if (len == 16)
        return memcmp(ip_2_ip6(address)->addr, bytes, len) == 0;
    return memcmp(&ip_2_ip4(address)->addr, bytes, len) == 0;
}

bool timewait_reuse(const struct frame_syn *syn)
{
    for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->remote_port != syn->source_port || pcb->local_port != syn->destination_port ||
            !same_address(&pcb->remote_ip, syn->source, syn->address_len) ||
            !same_address(&pcb->local_ip, syn->destination, syn->address_len))
            continue;
        if (!TCP_SEQ_GT(syn->sequence, pcb->rcv_nxt))
            return false;
        tcp_abort(pcb); /* in TIME-WAIT this sends nothing and calls nobody */
        return true;
    }
    return false;
}
