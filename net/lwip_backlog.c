/*
 * lwip_backlog.c - half-open connections make room for new ones.
 *
 * lwIP has no SYN cookies: each SYN takes a place in its listener's backlog for up to 20 s, and when
 * all are taken nobody else gets in. A flood of SYNs from made-up addresses never completes a
 * handshake, but a real peer does within a round trip. So when a SYN comes and there is no place,
 * the half-open connection that has been silent for longest goes. Places are those of the backlog,
 * and half of all connections there may be, so that a flood of several ports leaves the rest to
 * connections that are complete. Called by lwIP's hook (lwip_hooks.h), behind the checksum.
 */
#include "net/lwip_backlog.h"

#include "lwip/priv/tcp_priv.h"

#define HALF_OPEN_MAX (MEMP_NUM_TCP_PCB / 2)

static uint64_t given_up;

uint64_t backlog_given_up(void)
{
    return given_up;
}

/* lwIP moves a connection to the front of the list with each packet, so the last one is the one
 * that has been silent for longest. */
err_t backlog_received(const struct tcp_pcb *listener, const struct tcp_hdr *header)
{
    const struct tcp_pcb_listen *listen = (const struct tcp_pcb_listen *)listener;
    struct tcp_pcb *oldest = NULL, *oldest_here = NULL;
    unsigned half_open = 0;
    if ((TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return ERR_OK;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->state != SYN_RCVD)
            continue;
        half_open++;
        oldest = pcb;
        if (pcb->listener == listen)
            oldest_here = pcb;
    }
    if (listen->accepts_pending >= listen->backlog)
        oldest = oldest_here; /* none: all of them wait for the application */
    else if (half_open < HALF_OPEN_MAX)
        return ERR_OK;
    if (oldest != NULL) {
        tcp_abandon(oldest, 0); /* silently: the peer may not even know */
        given_up++;
    }
    return ERR_OK;
}
