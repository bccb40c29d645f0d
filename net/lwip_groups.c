/*
 * lwip_groups.c - which frames an interface wants besides its own: multicast, as lwIP joins and
 * leaves groups, broadcasts as long as there is IPv4, and those of its VLANs; and the announcement of
 * its addresses when a device asks for one (5.1.9.5.4).
 *
 * Owns the list of multicast addresses of a port, which goes to the NIC when the loop is about to
 * sleep, so that a burst of changes is one command. RFC 1112 (6.4), RFC 2464 (7), RFC 4861 (7.2.6).
 */
#include "net/lwip_ports.h"

#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip6.h"
#include "lwip/prot/nd6.h"

#include "log.h"

/* What proves that a message of neighbor discovery was not forwarded (RFC 4861, 7.1.2). */
#define HOPS 255

_Static_assert(NIC_MAX_VLANS == NET_CONFIG_VLANS, "each can be filtered");

static const uint8_t all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};

/* ---- groups ---- */

static struct port_group *find_group(struct port *port, const uint8_t mac[6])
{
    for (unsigned i = 0; i < port->groups; i++)
        if (memcmp(port->group[i].mac, mac, 6) == 0)
            return &port->group[i];
    return NULL;
}

static void join(struct port *port, const uint8_t mac[6])
{
    struct port_group *group = find_group(port, mac);
    if (group != NULL) {
        group->users++;
        return;
    }
    port->groups_changed = true;
    if (port->groups == NIC_MAX_GROUPS) {
        port->groups_lost = true; /* from now on all of them are wanted */
        return;
    }
    group = &port->group[port->groups++];
    memcpy(group->mac, mac, 6);
    group->users = 1;
}

static void leave(struct port *port, const uint8_t mac[6])
{
    struct port_group *group = find_group(port, mac);
    if (group == NULL || --group->users > 0)
        return;
    *group = port->group[--port->groups];
    port->groups_changed = true;
}

static err_t change(struct netif *netif, const uint8_t mac[6], enum netif_mac_filter_action action)
{
    struct port *port = port_of(netif);
    if (port == NULL)
        return ERR_IF;
    if (action == NETIF_ADD_MAC_FILTER)
        join(port->base, mac);
    else
        leave(port->base, mac);
    return ERR_OK;
}

static err_t change_ipv4(struct netif *netif, const ip4_addr_t *group,
                         enum netif_mac_filter_action action)
{
    uint8_t mac[6] = {0x01, 0x00, 0x5e};
    mac[3] = ip4_addr2(group) & 0x7f;
    mac[4] = ip4_addr3(group);
    mac[5] = ip4_addr4(group);
    return change(netif, mac, action);
}

static err_t change_ipv6(struct netif *netif, const ip6_addr_t *group,
                         enum netif_mac_filter_action action)
{
    uint8_t mac[6] = {0x33, 0x33};
    memcpy(mac + 2, &group->addr[3], 4);
    return change(netif, mac, action);
}

void port_watch_groups(struct port *port)
{
    netif_set_igmp_mac_filter(&port->netif, change_ipv4);
    netif_set_mld_mac_filter(&port->netif, change_ipv6);
    if (port->base == port)
        join(port, all_nodes);
}

/* Broadcasts are IPv4's: ARP and DHCP. */
static bool wants_broadcasts(const struct port *port)
{
    return port->config.ipv4 != NET_CONFIG_OFF || netif_dhcp_data(&port->netif) != NULL ||
           !ip4_addr_isany(netif_ip4_addr(&port->netif));
}

/* What the interfaces of a NIC want besides groups. */
static void ask_for_others(const struct port *base, struct nic_filter *filter)
{
    const struct netif *netif;
    filter->no_broadcasts = true;
    NETIF_FOREACH(netif)
    {
        const struct port *port = port_of(netif);
        if (port == NULL || port->base != base)
            continue;
        filter->no_broadcasts = filter->no_broadcasts && !wants_broadcasts(port);
        if (port->vlan != 0 && filter->vlans < NIC_MAX_VLANS)
            filter->vlan[filter->vlans++] = port->vlan;
    }
}

void port_send_groups(struct port *port)
{
    struct nic_filter filter = {.all_groups = port->groups_lost, .groups = port->groups};
    port->groups_changed = false;
    ask_for_others(port, &filter);
    for (unsigned i = 0; i < port->groups; i++)
        memcpy(filter.group[i], port->group[i].mac, 6);
    int error = nic_set_filter(port->nic, &filter);
    if (error != 0 && error != -ENOTSUP)
        log_warn("%s: frames for others are not filtered by the device", port->name);
}

/* ---- announcement ---- */

/* An unsolicited neighbor advertisement, to all nodes, that overrides what they know. */
static void advertise(struct netif *netif, const ip6_addr_t *address)
{
    struct {
        struct na_header header;
        struct lladdr_option option;
    } message = {.header = {.type = ICMP6_TYPE_NA, .flags = ND6_FLAG_OVERRIDE},
                 .option = {.type = ND6_OPTION_TYPE_TARGET_LLADDR, .length = 1}};
    struct pbuf *p = pbuf_alloc(PBUF_IP, sizeof(message), PBUF_RAM);
    if (p == NULL)
        return;
    ip6_addr_t nodes;
    ip6_addr_set_allnodes_linklocal(&nodes);
    ip6_addr_assign_zone(&nodes, IP6_MULTICAST, netif);
    ip6_addr_copy_to_packed(message.header.target_address, *address);
    memcpy(message.option.addr, netif->hwaddr, ETH_HWADDR_LEN);
    pbuf_take(p, &message, sizeof(message));
    u16_t sum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, address, &nodes);
    memcpy((u8_t *)p->payload + offsetof(struct na_header, chksum), &sum, sizeof(sum));
    ip6_output_if(p, address, &nodes, HOPS, 0, IP6_NEXTH_ICMP6, netif);
    pbuf_free(p);
}

static void announce(struct netif *netif)
{
    if (!ip4_addr_isany(netif_ip4_addr(netif)))
        etharp_gratuitous(netif);
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)))
            advertise(netif, netif_ip6_addr(netif, i));
}

void port_announce(void *arg)
{
    struct port *port = arg;
    struct netif *netif;
    log_info("%s: announcing its addresses, as the device asks", port->name);
    NETIF_FOREACH(netif)
    {
        if (port_of(netif) != NULL && port_of(netif)->base == port)
            announce(netif);
    }
    nic_kick(port->nic);
}
