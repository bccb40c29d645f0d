/*
 * lwip_vlan.c - VLANs (IEEE 802.1Q) as network interfaces of their own: `vlan=eth0:100` makes
 * eth0.100 beside eth0.
 *
 * A VLAN is a port that shares its base's NIC, buffers and offloads. lwIP puts the tag into what it
 * sends and asks here which interface a tagged frame is for; the rest of the way is the base's.
 * The words are net_config.c's. Read lwip_ports.h first.
 */
#include "net/lwip_ports.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/snmp.h"
#include "lwip_hooks.h"
#include "netif/ethernet.h"

#include "log.h"
#include "platform.h"

#define VLAN_NUMBER 0x0fffu

/* A NIC's VLAN of this number, or NULL. */
static struct port *find_vlan(const struct port *base, unsigned vlan)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        struct port *port = port_of(netif);
        if (port != NULL && port->base == base && port->vlan == vlan)
            return port;
    }
    return NULL;
}

/* Any VLAN of a NIC, or NULL. */
static struct port *any_vlan(const struct port *base)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        struct port *port = port_of(netif);
        if (port != NULL && port->base == base && port != base)
            return port;
    }
    return NULL;
}

/* ---- what lwIP asks ---- */

int lwip_vlan_tag(const struct netif *netif)
{
    const struct port *port = port_of(netif);
    return port != NULL && port->vlan != 0 ? port->vlan : -1;
}

static unsigned number_of(const struct eth_vlan_hdr *tag)
{
    return lwip_ntohs(tag->prio_vid) & VLAN_NUMBER;
}

/* Number 0 says that the tag is there for the priority in it only (802.1Q, 9.6). */
int lwip_vlan_is_ours(const struct netif *netif, const struct eth_vlan_hdr *tag)
{
    const struct port *base = port_of(netif);
    return base != NULL && find_vlan(base, number_of(tag)) != NULL;
}

struct netif *lwip_vlan_interface(const struct pbuf *frame, struct netif *netif)
{
    const struct eth_hdr *header = frame->payload;
    if (header->type != PP_HTONS(ETHTYPE_VLAN))
        return netif;
    const struct port *base = port_of(netif);
    if (base == NULL)
        return netif;
    struct port *port = find_vlan(base, number_of((const struct eth_vlan_hdr *)(header + 1)));
    if (port == NULL || port == base)
        return netif;
    /* Which checks the device has made of this very frame. */
    NETIF_SET_CHECKSUM_CTRL(&port->netif, netif->chksum_flags);
    return &port->netif;
}

/* ---- the interfaces ---- */

static void follow(struct port *port)
{
    const struct port *base = port->base;
    struct netif *netif = &port->netif;
    bool up = netif_is_link_up(&base->netif), was_up = netif_is_link_up(netif);
    netif->mtu = base->netif.mtu;
    netif->mtu6 = base->netif.mtu6;
    NETIF_SET_CHECKSUM_CTRL(netif, base->checksum_flags);
    if (up && !was_up)
        netif_set_link_up(netif);
    else if (!up && was_up)
        netif_set_link_down(netif);
}

void port_update_vlans(const struct port *base)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        struct port *port = port_of(netif);
        if (port != NULL && port->base == base && port != base)
            follow(port);
    }
}

/* netif_add()'s callback. */
static err_t vlan_setup(struct netif *netif)
{
    struct port *port = netif->state;
    const struct netif *base = &port->base->netif;
    netif->name[0] = base->name[0];
    netif->name[1] = base->name[1];
    netif->hwaddr_len = base->hwaddr_len;
    memcpy(netif->hwaddr, base->hwaddr, base->hwaddr_len);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
                   NETIF_FLAG_IGMP | (base->flags & NETIF_FLAG_LINK_UP);
    netif->output = port_output;
    netif->linkoutput = port_link_output;
    if (port->config.ipv6 != NET_CONFIG_OFF && port_may_have_ipv6(port->base)) {
        netif->flags |= NETIF_FLAG_MLD6;
        netif->output_ip6 = port_output_ip6;
    } else {
        port->config.ipv6 = NET_CONFIG_OFF;
    }
    MIB2_INIT_NETIF(netif, snmp_ifType_ethernet_csmacd, 0);
    follow(port);
    port_watch_groups(port);
    port->base->groups_changed = true;
    return ERR_OK;
}

struct port *port_create_vlan(struct port *base, uint16_t vlan)
{
    char complaint[200];
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL) {
        log_error("%s: no memory for VLAN %u", base->name, vlan);
        return NULL;
    }
    port->base = base;
    port->vlan = vlan;
    port->name = port->vlan_name;
    format_text(port->vlan_name, sizeof(port->vlan_name), "%s.%u", base->name, vlan);
    if (net_config_parse(platform_cmdline(), port->name, &port->config, complaint,
                         sizeof(complaint)) != 0)
        log_error("%s: %s", port->name, complaint);
    netif_add(&port->netif, NULL, NULL, NULL, port, vlan_setup, ethernet_input);
    netif_set_hostname(&port->netif, port->config.hostname);
    log_info("%s: VLAN %u of %s", port->name, vlan, base->name);
    return port;
}

void port_destroy_vlans(struct port *base)
{
    struct port *port;
    while ((port = any_vlan(base)) != NULL) {
        port_forget_addresses(port);
        netif_remove(&port->netif);
        if (port->netif.loop_first != NULL)
            pbuf_free(port->netif.loop_first);
        port_unlist(port);
        free(port);
    }
}
