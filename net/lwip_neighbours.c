/*
 * lwip_neighbours.c - how often may be asked for neighbours that nobody knows.
 *
 * Each packet to an unknown neighbour takes a place in lwIP's table of them while ARP or neighbor
 * discovery asks, and lwIP makes room by forgetting those whose address it knows. So who sends SYNs
 * in the name of neighbours that do not exist would cut off those that do. A place is taken for a
 * few seconds; with so many questions a second they take no more than some part of the table. Real
 * neighbours that talk to us are hardly concerned, for they ask for our address first, and lwIP
 * notes theirs. Called by lwip_transmit.c.
 */
#include "net/lwip_neighbours.h"

#include "lwip/etharp.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/sys.h"

#define PERIOD_MS 1000u

/* lwIP waits 5 s for an answer to ARP, and 3 s (three times RETRANS_TIMER) for one to neighbor
 * discovery. */
#define ARP_QUESTIONS (ARP_TABLE_SIZE / 8)
#define ND6_QUESTIONS (LWIP_ND6_NUM_NEIGHBORS / 6)

struct budget {
    u32_t since_ms;
    unsigned questions, most;
};

static struct budget arp = {.most = ARP_QUESTIONS}, nd6 = {.most = ND6_QUESTIONS};
static uint64_t refused;

/* To whom the last packet went whose next hop was known: the next one is likely to go there, too. */
static ip4_addr_t last_known;
static ip6_addr_t last_known_ip6;

uint64_t neighbours_refused(void)
{
    return refused;
}

static bool may_ask(struct budget *budget)
{
    u32_t now_ms = sys_now();
    if (now_ms - budget->since_ms >= PERIOD_MS) {
        budget->since_ms = now_ms;
        budget->questions = 0;
    }
    if (budget->questions < budget->most) {
        budget->questions++;
        return true;
    }
    refused++;
    return false;
}

bool neighbours_may_send(struct netif *netif, const ip4_addr_t *destination)
{
    struct eth_addr *mac;
    const ip4_addr_t *found, *hop = destination;
    if (ip4_addr_eq(destination, &last_known) || ip4_addr_ismulticast(destination) ||
        ip4_addr_isbroadcast(destination, netif))
        return true;
    if (!ip4_addr_net_eq(destination, netif_ip4_addr(netif), netif_ip4_netmask(netif)) &&
        !ip4_addr_islinklocal(destination))
        hop = netif_ip4_gw(netif);
    if (etharp_find_addr(netif, hop, &mac, &found) < 0)
        return may_ask(&arp);
    last_known = *destination;
    return true;
}

static bool is_on_link(const struct netif *netif, const ip6_addr_t *destination)
{
    if (ip6_addr_islinklocal(destination))
        return true;
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) &&
            ip6_addr_net_eq(destination, netif_ip6_addr(netif, i)))
            return true;
    return false;
}

bool neighbours_may_send_ip6(const struct netif *netif, const ip6_addr_t *destination)
{
    if (ip6_addr_eq(destination, &last_known_ip6) || ip6_addr_ismulticast(destination) ||
        !is_on_link(netif, destination))
        return true;
    for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
        const struct nd6_neighbor_cache_entry *entry = &neighbor_cache[i];
        if (entry->state != ND6_NO_ENTRY && entry->state != ND6_INCOMPLETE &&
            ip6_addr_eq(destination, &entry->next_hop_address)) {
            last_known_ip6 = *destination;
            return true;
        }
    }
    return may_ask(&nd6);
}
