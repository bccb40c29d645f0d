/*
 * lwip_segments.c - segmentation offload for lwIP, which has none: TCP queues and sends runs of
 * segments as one large packet, and the network interface has it cut by the device or cuts it
 * itself (lwip_transmit.c).
 *
 * lwIP's cost is by the segment: queueing, headers, routing, the list of unacknowledged ones,
 * freeing. Merging its segments at the interface would save none of that, so it is made to build
 * large ones instead: while tcp_write() runs, and only then, the connection's MSS is a multiple of
 * the real one. All else (the MSS option, Nagle's algorithm, congestion control) sees the real MSS.
 * What follows from segments that are larger than the MSS is put right here:
 *   - a packet larger than the MTU goes to the interface whole and not into ip4_frag(); so does a
 *     datagram that the device makes fragments of (VIRTIO_NET_F_HOST_UFO);
 *   - a segment that does not fit the window is cut to the part that does before tcp_output();
 *   - cutting takes FIN and PSH off the first part, which lwIP only sets on the second.
 * And a received packet of several segments is acknowledged at once, as every second segment has to
 * be (RFC 9293, 3.8.6.3).
 *
 * The linker puts these functions between lwIP's own (--wrap in the Makefile), whose source stays
 * as it is.
 */
#include "net/lwip_segments.h"

#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"

#include "net/lwip_loan.h"
#include "net/lwip_path_mtu.h"
#include "net/lwip_lookup.h"
#include "net/lwip_ports.h"
#include "net/lwip_recovery.h"

/* Payload of a large packet, so that headers fit into IP's 65535 bytes. */
#define LARGE_MAX 65000u

/* One packet is at most this part of a connection's send buffer, and what waits for room in the
 * window at most this part of the window. */
#define BUFFER_SHARE 4u
#define WINDOW_SHARE 4u

#define MOST_SEGMENTS 44u

static uint16_t size_now;
static unsigned most_segments = MOST_SEGMENTS;

err_t __real_tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags);
err_t __real_tcp_output(struct tcp_pcb *pcb);
void __real_tcp_rexmit_rto_commit(struct tcp_pcb *pcb);
err_t __real_tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split);
err_t __real_ip4_frag(struct pbuf *p, struct netif *netif, const ip4_addr_t *dest);
err_t __real_ip6_frag(struct pbuf *p, struct netif *netif, const ip6_addr_t *dest);

uint16_t segments_size(void)
{
    return size_now;
}

uint16_t segments_mark(uint16_t size)
{
    uint16_t before = size_now;
    size_now = size;
    return before;
}

void segments_limit(unsigned most)
{
    if (most < most_segments)
        most_segments = most > 0 ? most : 1;
}

static u32_t smaller(u32_t a, u32_t b)
{
    return a < b ? a : b;
}

/*
 * How large a segment may become: whole segments, no more than twice what may be under way, since
 * what does not fit the window has to be cut. Never less than the last one that waits with the room
 * that was allocated behind it, for tcp_write() appends to it.
 */
static u16_t large_size(const struct tcp_pcb *pcb)
{
    u32_t mss = pcb->mss;
    u32_t size = smaller(smaller(most_segments * mss, LARGE_MAX), TCP_SND_BUF / BUFFER_SHARE);
    size = smaller(size, 2 * smaller(pcb->cwnd, pcb->snd_wnd));
    size = smaller(size, pcb->snd_wnd_max / 2); /* lwIP's own limit, before rounding */
    size = size < mss ? mss : size - size % mss;
    const struct tcp_seg *last = pcb->unsent;
    while (last != NULL && last->next != NULL)
        last = last->next;
    u32_t least = last != NULL ? (u32_t)last->len + pcb->unsent_oversize : 0;
    return (u16_t)(size > least ? size : least);
}

err_t __wrap_tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags)
{
    u16_t mss = pcb->mss;
    pcb->mss = large_size(pcb);
    lwip_loan_now = (flags & TCP_WRITE_FLAG_COPY) == 0 ? lwip_loan_of(data) : NULL;
    err_t error = __real_tcp_write(pcb, data, len, flags);
    lwip_loan_now = NULL;
    pcb->mss = mss;
    return error;
}

err_t __wrap_tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split)
{
    struct tcp_seg *first = pcb->unsent;
    if (split == 0 || first == NULL)
        return ERR_MEM;
    if (first->len <= split)
        return ERR_OK;
    u16_t mss = pcb->mss;
    pcb->mss = UINT16_MAX; /* lwIP asserts that no part is larger */
    err_t error = __real_tcp_split_unsent_seg(pcb, split);
    pcb->mss = mss;
    if (error == ERR_OK)
        TCPH_UNSET_FLAG(first->tcphdr, TCP_FIN | TCP_PSH);
    return error;
}

/*
 * Cuts a waiting segment that is larger than the window to the part that fits, in whole segments.
 * As long as acknowledgements are to come that would make more room, a small part waits for them.
 */
static bool fit_window(struct tcp_pcb *pcb)
{
    const struct tcp_seg *seg = pcb->unsent;
    if (seg == NULL || seg->len <= pcb->mss)
        return false;
    s32_t window = (s32_t)smaller(pcb->cwnd, pcb->snd_wnd);
    /* Negative when the segment was acknowledged in part. */
    s32_t at = (s32_t)(lwip_ntohl(seg->tcphdr->seqno) - pcb->lastack);
    s32_t room = window - at;
    if (room >= seg->len || room < pcb->mss)
        return false;
    if (pcb->unacked != NULL && room < window / (s32_t)WINDOW_SHARE)
        return false;
    return tcp_split_unsent_seg(pcb, (u16_t)(room - room % pcb->mss)) == ERR_OK;
}

err_t __wrap_tcp_output(struct tcp_pcb *pcb)
{
    u16_t outer = size_now;
    err_t error;
    if (tcp_input_pcb == pcb)
        return ERR_OK; /* called again behind the input */
    u32_t extra = recovery_before_output(pcb);
    pcb->cwnd += extra;
    fit_window(pcb);
    size_now = pcb->mss;
    do {
        error = __real_tcp_output(pcb);
    } while (error == ERR_OK && fit_window(pcb));
    size_now = outer;
    pcb->cwnd -= extra;
    return error;
}

/* Calls lwIP's tcp_output() itself, with a congestion window of one segment. */
void __wrap_tcp_rexmit_rto_commit(struct tcp_pcb *pcb)
{
    recovery_timed_out(pcb);
    path_mtu_timed_out(pcb);
    fit_window(pcb);
    size_now = pcb->mss;
    __real_tcp_rexmit_rto_commit(pcb);
    size_now = 0;
}

/* A mark of one delayed acknowledgement makes lwIP send the next one at once. */
err_t segments_received(struct tcp_pcb *pcb, const struct tcp_hdr *header, u16_t options_len,
                        const struct pbuf *p)
{
    lookup_remember(pcb);
    recovery_received(pcb, header, options_len, p);
    if (p->tot_len > TCP_MSS)
        tcp_set_flags(pcb, TF_ACK_DELAY);
    return ERR_OK;
}

/* Does a packet that is larger than the MTU go to the interface whole? A datagram does if the device
 * makes fragments, which it does by the interface's MTU. */
static bool goes_whole(const struct netif *netif, uint8_t protocol)
{
    return (size_now != 0 && port_of(netif) != NULL) ||
           (protocol == IP_PROTO_UDP && port_may_cut(netif, NIC_FRAGMENT_UDP));
}

err_t __wrap_ip4_frag(struct pbuf *p, struct netif *netif, const ip4_addr_t *dest)
{
    const struct ip_hdr *header = p->payload;
    return goes_whole(netif, IPH_PROTO(header)) ? netif->output(netif, p, dest)
                                                : __real_ip4_frag(p, netif, dest);
}

err_t __wrap_ip6_frag(struct pbuf *p, struct netif *netif, const ip6_addr_t *dest)
{
    const struct ip6_hdr *header = p->payload;
    bool is_narrow = size_now == 0 && nd6_get_destination_mtu(dest, netif) < netif->mtu;
    return goes_whole(netif, IP6H_NEXTH(header)) && !is_narrow ? netif->output_ip6(netif, p, dest)
                                                               : __real_ip6_frag(p, netif, dest);
}
