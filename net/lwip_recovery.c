/*
 * lwip_recovery.c - how TCP makes up for lost segments, in the place of lwIP's fast retransmit.
 *
 * lwIP sends its first unacknowledged segment once more after three duplicate acknowledgements, and
 * then waits: a second loss in the same window costs a retransmission time-out. Our segments may
 * stand for dozens of real ones (lwip_segments.c), all of which it would send again. Here instead:
 *   - what is sent again is the one segment that the peer misses, as a copy, so that queues and
 *     buffers the device still has stay as they are;
 *   - an acknowledgement that reveals the next gap has it filled at once (NewReno, RFC 6582);
 *   - duplicates count also when they change the window, as a peer's do that adapts it, if they tell
 *     by SACK of a segment behind the gap (RFC 6675, 2);
 *   - the first duplicates let new segments out (RFC 3042), and when there are none to send, fewer
 *     duplicates are enough (RFC 5827).
 * lwIP keeps the congestion window and the time-outs. The linker puts the functions named __wrap_ in
 * the place of lwIP's; recovery_received() is called by its hook. Read lwip_segments.c next.
 */
#include "net/lwip_recovery.h"

#include <string.h>

#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"

#include "net/lwip_ports.h"

#define DUPLICATES 3u /* as in lwIP */
#define ARG 0         /* the pcb's room for what is kept here: IN_RECOVERY and where it ends */
#define IN_RECOVERY (UINT64_C(1) << 32)

#define OPTION_SACK 5
#define SACK_BLOCK_LEN 8u

static struct recovery_stats stats;

/* What the packet that is being handled says. */
static struct {
    const struct tcp_pcb *partial;   /* connection of which it acknowledged a part of the window */
    const struct tcp_pcb *duplicate; /* connection of which a segment came behind a gap, by SACK */
    const struct tcp_pcb *lost;      /* connection of which so many did that the gap is a loss */
    u8_t duplicates;                 /* that lwIP had counted before */
} told;

const struct recovery_stats *recovery_stats(void)
{
    return &stats;
}

static u32_t smaller(u32_t a, u32_t b)
{
    return a < b ? a : b;
}

static void set_recovery(struct tcp_pcb *pcb, uint64_t mark)
{
    tcp_ext_arg_set(pcb, ARG, (void *)(uintptr_t)mark);
}

static uint64_t recovery(const struct tcp_pcb *pcb)
{
    return (uintptr_t)tcp_ext_arg_get(pcb, ARG);
}

static u32_t begin_of(const struct tcp_seg *seg)
{
    return lwip_ntohl(seg->tcphdr->seqno);
}

/* A packet with `len` bytes of a segment from `at` on. NULL when memory is short. */
static struct pbuf *copy_of(const struct tcp_pcb *pcb, const struct tcp_seg *seg, u16_t at,
                            u16_t len)
{
    struct pbuf *p = pbuf_alloc(PBUF_IP, (u16_t)(TCP_HLEN + len), PBUF_RAM);
    if (p == NULL)
        return NULL;
    struct tcp_hdr *header = p->payload;
    u8_t last = at + len == seg->len ? TCPH_FLAGS(seg->tcphdr) & (TCP_FIN | TCP_PSH) : 0;
    header->src = lwip_htons(pcb->local_port);
    header->dest = lwip_htons(pcb->remote_port);
    header->seqno = lwip_htonl(begin_of(seg) + at);
    header->ackno = lwip_htonl(pcb->rcv_nxt);
    TCPH_HDRLEN_FLAGS_SET(header, TCP_HLEN / 4, TCP_ACK | last);
    header->wnd = lwip_htons(TCPWND_MIN16(RCV_WND_SCALE(pcb, pcb->rcv_ann_wnd)));
    header->chksum = 0;
    header->urgp = 0;
    pbuf_copy_partial(seg->p, header + 1, len, (u16_t)(seg->p->tot_len - seg->len + at));
    return p;
}

/* Sends what the peer misses first, one segment. */
static void send_again(struct tcp_pcb *pcb)
{
    const struct tcp_seg *seg = pcb->unacked;
    while (seg != NULL && TCP_SEQ_LEQ(begin_of(seg) + TCP_TCPLEN(seg), pcb->lastack))
        seg = seg->next;
    if (seg == NULL || TCP_SEQ_GT(begin_of(seg), pcb->lastack))
        return;
    struct netif *netif = pcb->netif_idx != NETIF_NO_INDEX
                              ? netif_get_by_index(pcb->netif_idx)
                              : ip_route(&pcb->local_ip, &pcb->remote_ip);
    if (netif == NULL)
        return;
    u16_t at = (u16_t)(pcb->lastack - begin_of(seg));
    struct pbuf *p = copy_of(pcb, seg, at, (u16_t)smaller(pcb->mss, (u32_t)seg->len - at));
    if (p == NULL)
        return;
    IF__NETIF_CHECKSUM_ENABLED(netif, NETIF_CHECKSUM_GEN_TCP)
    {
        ((struct tcp_hdr *)p->payload)->chksum =
            ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, &pcb->local_ip, &pcb->remote_ip);
    }
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
    pcb->rttest = 0; /* the answer would not tell which of the two it is for */
    TCP_STATS_INC(tcp.xmit);
    ip_output_if(p, &pcb->local_ip, &pcb->remote_ip, pcb->ttl, pcb->tos, IP_PROTO_TCP, netif);
    pbuf_free(p);
    stats.segments++;
}

/* lwIP calls this with each duplicate from the third on. What is sent again after a time-out causes
 * duplicates, too, which tell nothing. */
void __wrap_tcp_rexmit_fast(struct tcp_pcb *pcb)
{
    if (pcb->unacked == NULL || (pcb->flags & TF_INFR) != 0 ||
        ((pcb->flags & TF_RTO) != 0 && told.duplicate != pcb))
        return;
    pcb->ssthresh = smaller(pcb->cwnd, pcb->snd_wnd) / 2;
    if (pcb->ssthresh < 2u * pcb->mss)
        pcb->ssthresh = 2u * pcb->mss;
    pcb->cwnd = pcb->ssthresh + DUPLICATES * pcb->mss;
    pcb->rtime = 0;
    tcp_set_flags(pcb, TF_INFR);
    set_recovery(pcb, IN_RECOVERY | pcb->snd_nxt);
    stats.recoveries++;
    send_again(pcb);
}

/* Finds the SACK option among others; returns the number of its blocks. */
static unsigned find_blocks(const u8_t *options, u16_t len, const u8_t **blocks)
{
    for (u16_t at = 0; at + 1 < len && options[at] != LWIP_TCP_OPT_EOL;) {
        u8_t size = options[at + 1];
        if (options[at] == LWIP_TCP_OPT_NOP) {
            at++;
            continue;
        }
        if (size < 2 || at + size > len)
            return 0;
        *blocks = options + at + 2;
        if (options[at] == OPTION_SACK)
            return (size - 2u) / SACK_BLOCK_LEN;
        at = (u16_t)(at + size);
    }
    return 0;
}

/*
 * How far what the peer has goes behind the gap at `ackno`, by the blocks of a packet: 0 when there is
 * no gap, or when the first block, the one for the packet just received (RFC 2018, 4), lies before it,
 * for that tells of a segment that had come already (RFC 2883).
 */
static u32_t reach_of(const u8_t *blocks, unsigned count, u32_t ackno)
{
    u32_t reach = 0;
    for (unsigned i = 0; i < count; i++) {
        u32_t edge[2];
        memcpy(edge, blocks + i * SACK_BLOCK_LEN, sizeof(edge));
        if (!TCP_SEQ_GT(lwip_ntohl(edge[0]), ackno))
            return 0;
        if (lwip_ntohl(edge[1]) - ackno > reach)
            reach = lwip_ntohl(edge[1]) - ackno;
    }
    return reach;
}

void recovery_received(struct tcp_pcb *pcb, const struct tcp_hdr *header, u16_t options_len,
                       const struct pbuf *p)
{
    uint64_t mark = recovery(pcb);
    u32_t ackno = header->ackno;
    const u8_t *blocks = NULL;
    memset(&told, 0, sizeof(told));
    if ((TCPH_FLAGS(header) & TCP_ACK) == 0 || !TCP_SEQ_BETWEEN(ackno, pcb->lastack, pcb->snd_nxt))
        return;
    unsigned count = find_blocks((const u8_t *)(header + 1), options_len, &blocks);
    u32_t reach = reach_of(blocks, count, ackno);
    if (reach > DUPLICATES * pcb->mss)
        told.lost = pcb;
    told.duplicates = pcb->dupacks;
    if (ackno == pcb->lastack) {
        if (p->tot_len == 0 && pcb->unacked != NULL && reach > 0)
            told.duplicate = pcb;
    } else if (TCP_SEQ_GEQ(ackno, (u32_t)mark)) {
        set_recovery(pcb, 0);
    } else if ((mark & IN_RECOVERY) != 0) {
        told.partial = pcb;
    }
}

/* As lwIP does for duplicates that leave the window as it is. */
static void count_duplicate(struct tcp_pcb *pcb)
{
    if (pcb->dupacks < UINT8_MAX)
        pcb->dupacks++;
    if (pcb->dupacks > DUPLICATES)
        TCP_WND_INC(pcb->cwnd, pcb->mss);
    if (pcb->dupacks >= DUPLICATES)
        __wrap_tcp_rexmit_fast(pcb);
}

/* What is under way is too little to bring three duplicates back. */
static bool is_early(const struct tcp_pcb *pcb)
{
    u32_t under_way = pcb->snd_nxt - pcb->lastack;
    return pcb->unsent == NULL && under_way < (DUPLICATES + 1) * pcb->mss &&
           (pcb->dupacks + 1u) * pcb->mss >= under_way;
}

/* Acts on what recovery_received() has noted. */
static void act(struct tcp_pcb *pcb)
{
    if (told.partial == pcb) {
        tcp_set_flags(pcb, TF_INFR); /* lwIP has left recovery, but it goes on */
        send_again(pcb);
    }
    if (told.duplicate == pcb && told.duplicates == pcb->dupacks)
        count_duplicate(pcb);
    if (told.lost == pcb && (pcb->flags & TF_RTO) == 0)
        __wrap_tcp_rexmit_fast(pcb);
    memset(&told, 0, sizeof(told));
}

u32_t recovery_before_output(struct tcp_pcb *pcb)
{
    act(pcb);
    if (pcb->dupacks == 0 || pcb->dupacks >= DUPLICATES || (pcb->flags & (TF_INFR | TF_RTO)) != 0)
        return 0;
    if (!is_early(pcb))
        return pcb->dupacks * (u32_t)pcb->mss;
    __wrap_tcp_rexmit_fast(pcb);
    return 0;
}

/* Who wants to connect to us asks again by itself; QEMU's user network loses data when it is answered
 * twice. */
bool recovery_send_window_again(struct tcp_pcb *pcb)
{
    if (pcb->state == SYN_RCVD || tcp_rexmit_rto_prepare(pcb) != ERR_OK)
        return false;
    if (pcb->nrtx > 0 && pcb->state != SYN_SENT)
        pcb->rto = (s16_t)((pcb->sa >> 3) + pcb->sv);
    pcb->nrtx = 0;
    pcb->rtime = 0;
    tcp_rexmit_rto_commit(pcb);
    return true;
}

void recovery_timed_out(struct tcp_pcb *pcb)
{
    const struct netif *netif = ip_route(&pcb->local_ip, &pcb->remote_ip);
    struct port *port = netif != NULL ? port_of(netif) : NULL;
    stats.timeouts++;
    if (port != NULL)
        port->base->nic->unanswered++;
    set_recovery(pcb, 0);
    tcp_clear_flags(pcb, TF_INFR);
}
