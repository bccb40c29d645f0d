/*
 * lwip_recovery.h - how TCP makes up for lost segments. See lwip_recovery.c.
 */
#ifndef FERRULE_NET_LWIP_RECOVERY_H
#define FERRULE_NET_LWIP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/tcp.h"

struct tcp_hdr;

struct recovery_stats {
    uint64_t recoveries; /* losses that duplicate acknowledgements told of */
    uint64_t segments;   /* sent again in them */
    uint64_t timeouts;
};

const struct recovery_stats *recovery_stats(void);

/* A packet has come for this connection, which does not know yet. So many bytes of its options follow
 * the header; `p` is its payload. */
void recovery_received(struct tcp_pcb *pcb, const struct tcp_hdr *header, u16_t options_len,
                       const struct pbuf *p);

/* Before each tcp_output() that is not within tcp_input(): sends what is missing. Returns how many
 * bytes more than the congestion window says may be under way now. */
u32_t recovery_before_output(struct tcp_pcb *pcb);

/*
 * All that a connection sent and has no acknowledgement of goes once more, at once. That is for losses
 * which say nothing of a crowded network: neither its window shrinks nor does its timer go on to back
 * off. False: there is nothing, or the device still has some of it, and then the timer has to do.
 */
bool recovery_send_window_again(struct tcp_pcb *pcb);

/* The retransmission timer has fired. */
void recovery_timed_out(struct tcp_pcb *pcb);

#endif
