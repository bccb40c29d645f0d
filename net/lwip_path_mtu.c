/*
 * lwip_path_mtu.c - what routers tell of packets that are too big for the next link (RFC 8201).
 *
 * lwIP notes the size that a Packet Too Big message names, whatever it is: with 48 it cuts packets
 * into fragments of no bytes until it runs out of them, with 65535 it sends more than the interface
 * takes. And connections that exist keep their segments and send them in vain. Here a message is
 * believed only if it makes sense, and then every connection to that destination adapts and sends
 * again what did not get through. Over IPv4 nothing of the kind is needed: packets are sent without
 * the flag that forbids routers to make fragments of them.
 *
 * The linker puts this between lwIP's icmp6_input() and nd6_input(). Read lwip_segments.c next.
 */
#include "net/lwip_path_mtu.h"

#include <string.h>

#include "lwip/icmp6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"

#include "net/lwip_recovery.h"

/* Of a TCP header, ports and sequence number: what a message must quote at least (RFC 4443, 3.2). */
#define QUOTED_TCP_LEN 8u

/* After so many retransmissions without an answer a path may be narrower than anybody says. */
#define TIMEOUTS_IN_A_ROW 2u

static uint64_t learned, refused;

void __real_nd6_input(struct pbuf *p, struct netif *inp);

uint64_t path_mtu_learned(void)
{
    return learned;
}

uint64_t path_mtu_refused(void)
{
    return refused;
}

uint16_t path_mtu(struct netif *netif, const ip_addr_t *destination)
{
    return IP_IS_V6(destination) ? nd6_get_destination_mtu(ip_2_ip6(destination), netif)
                                 : netif->mtu;
}

/* An address out of a packet, of the zone where the packet came in. */
static ip6_addr_t address_of(const ip6_addr_p_t *packed, struct netif *inp)
{
    ip6_addr_t address;
    ip6_addr_copy_from_packed(address, *packed);
    ip6_addr_assign_zone(&address, IP6_UNKNOWN, inp);
    return address;
}

/* Does a quoted TCP header tell of a segment that is still under way (RFC 5927, 7)? */
static bool is_under_way(const uint8_t *tcp, const ip6_addr_t *destination)
{
    uint16_t port[2];
    uint32_t number;
    memcpy(port, tcp, sizeof(port));
    memcpy(&number, tcp + sizeof(port), sizeof(number));
    number = lwip_ntohl(number);
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->local_port == lwip_ntohs(port[0]) && pcb->remote_port == lwip_ntohs(port[1]) &&
            IP_IS_V6(&pcb->remote_ip) && ip6_addr_eq(ip_2_ip6(&pcb->remote_ip), destination))
            return TCP_SEQ_GEQ(number, pcb->lastack) && TCP_SEQ_LT(number, pcb->snd_nxt);
    return false;
}

/*
 * The message quotes a packet of ours, and names a size that is smaller than the one known, but not
 * smaller than any link of IPv6 may have. That is what lwIP knows of a destination without a record.
 */
static bool is_believable(const struct pbuf *p, struct netif *inp, ip6_addr_t *destination)
{
    const struct icmp6_hdr *message = p->payload;
    const struct ip6_hdr *quoted = (const struct ip6_hdr *)(message + 1);
    const uint8_t *rest = (const uint8_t *)(quoted + 1);
    if (p->len < sizeof(*message) + IP6_HLEN)
        return false;
    ip6_addr_t source = address_of(&quoted->src, inp);
    *destination = address_of(&quoted->dest, inp);
    uint32_t mtu = lwip_ntohl(message->data);
    if (netif_get_ip6_addr_match(inp, &source) < 0 || mtu < IP6_MIN_MTU_LENGTH ||
        mtu >= nd6_get_destination_mtu(destination, NULL))
        return false;
    if (IP6H_NEXTH(quoted) != IP6_NEXTH_TCP)
        return true;
    return p->len >= sizeof(*message) + IP6_HLEN + QUOTED_TCP_LEN &&
           is_under_way(rest, destination);
}

static void adapt_connections(const ip6_addr_t *destination, struct netif *netif)
{
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (!IP_IS_V6(&pcb->remote_ip) || !ip6_addr_eq(ip_2_ip6(&pcb->remote_ip), destination))
            continue;
        uint16_t mss = tcp_eff_send_mss_netif(pcb->mss, netif, &pcb->remote_ip);
        if (mss >= pcb->mss)
            continue;
        pcb->mss = mss;
        recovery_send_window_again(pcb);
    }
}

/*
 * Somebody on the way may keep such messages back. What every link of IPv6 takes gets through all the
 * same (RFC 2923, 2.1).
 */
void path_mtu_timed_out(struct tcp_pcb *pcb)
{
    const u16_t least = IP6_MIN_MTU_LENGTH - IP6_HLEN - TCP_HLEN;
    if (IP_IS_V6(&pcb->remote_ip) && pcb->nrtx >= TIMEOUTS_IN_A_ROW && pcb->mss > least)
        pcb->mss = least;
}

void __wrap_nd6_input(struct pbuf *p, struct netif *inp)
{
    ip6_addr_t destination;
    if (p->len == 0 || *(const uint8_t *)p->payload != ICMP6_TYPE_PTB) {
        __real_nd6_input(p, inp);
    } else if (is_believable(p, inp, &destination)) {
        learned++;
        __real_nd6_input(p, inp);
        adapt_connections(&destination, inp);
    } else {
        refused++;
        pbuf_free(p);
    }
}
