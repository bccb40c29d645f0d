/*
 * lwip_addresses.c - the addresses of the interfaces: fixed ones, DHCP, IPv6 autoconfiguration, and
 * the log lines about them.
 *
 * Carries out what net_config.c read from the command line. lwIP does the protocols; router
 * advertisements bring IPv6 addresses and name servers. Frames are in lwip_netif.c.
 */
#include "net/lwip_ports.h"

#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/dhcp6.h"
#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/timeouts.h"

#include "lwip_hooks.h"

#include "log.h"
#include "platform.h"

/* How long DHCP may be silent until the log says so. */
#define DHCP_PATIENCE_MS 5000u

#define LINE_SIZE 160u

static unsigned prefix_length(const ip4_addr_t *netmask)
{
    return (unsigned)__builtin_popcount(ip4_addr_get_u32(netmask));
}

/* Appends to a line; what does not fit is cut. */
static void append(char *line, const char *text)
{
    size_t used = strlen(line);
    format_text(line + used, LINE_SIZE - used, "%s", text);
}

static void append_servers(char *line)
{
    const char *label = ", dns ";
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++) {
        const ip_addr_t *server = dns_getserver(i);
        if (ip_addr_isany(server))
            continue;
        append(line, label);
        append(line, ipaddr_ntoa(server));
        label = " ";
    }
}

static void log_ipv4(struct port *port)
{
    struct netif *netif = &port->netif;
    if (ip4_addr_cmp(netif_ip4_addr(netif), &port->address_logged))
        return;
    port->address_logged = *netif_ip4_addr(netif);
    if (ip4_addr_isany(netif_ip4_addr(netif))) {
        log_info("%s: no IPv4 address", port->name);
        return;
    }
    char line[LINE_SIZE];
    format_text(line, sizeof(line), "%s/%u", ip4addr_ntoa(netif_ip4_addr(netif)),
                prefix_length(netif_ip4_netmask(netif)));
    if (!ip4_addr_isany(netif_ip4_gw(netif))) {
        append(line, " via ");
        append(line, ip4addr_ntoa(netif_ip4_gw(netif)));
    }
    append_servers(line);
    if (dhcp_supplied_address(netif))
        log_info("%s: %s (DHCP, %llu ms)", port->name, line,
                 (unsigned long long)((platform_now_ns() - port->address_asked_ns) / 1000000u));
    else
        log_info("%s: %s (fixed)", port->name, line);
}

/* lwIP writes capitals; RFC 5952, 4.3 wants small letters. */
static const char *ipv6_text(const ip6_addr_t *address)
{
    char *text = ip6addr_ntoa(address);
    for (char *c = text; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'F')
            *c = (char)(*c - 'A' + 'a');
    return text;
}

static void log_ipv6(const struct port *port, int index, u8_t old_state)
{
    u8_t state = netif_ip6_addr_state(&port->netif, index);
    const ip6_addr_t *address = netif_ip6_addr(&port->netif, index);
    if (ip6_addr_ispreferred(state) && !ip6_addr_isvalid(old_state)) {
        const char *origin = ip6_addr_islinklocal(address)            ? "link-local"
                             : port->config.ipv6 == NET_CONFIG_STATIC ? "fixed"
                                                                      : "router advertisement";
        log_info("%s: %s/64 (%s)", port->name, ipv6_text(address), origin);
    } else if (ip6_addr_isduplicated(state)) {
        log_error("%s: somebody else has %s, not used", port->name, ipv6_text(address));
    }
}

static void on_change(struct netif *netif, netif_nsc_reason_t reason,
                      const netif_ext_callback_args_t *args)
{
    struct port *port = port_of(netif);
    if (port == NULL)
        return;
    if ((reason & LWIP_NSC_IPV4_SETTINGS_CHANGED) != 0) {
        log_ipv4(port);
        port->base->groups_changed = true;
    }
    if ((reason &
         (LWIP_NSC_IPV4_SETTINGS_CHANGED | LWIP_NSC_LINK_CHANGED | LWIP_NSC_STATUS_CHANGED)) != 0)
        port_choose_default();
    if ((reason & LWIP_NSC_IPV6_ADDR_STATE_CHANGED) != 0)
        log_ipv6(port, args->ipv6_addr_state_changed.addr_index,
                 args->ipv6_addr_state_changed.old_state);
}

void port_watch_addresses(void)
{
    static netif_ext_callback_t callback;
    netif_add_ext_callback(&callback, on_change);
}

static void on_dhcp_silence(void *arg)
{
    const struct port *port = arg;
    if (ip4_addr_isany(netif_ip4_addr(&port->netif)))
        log_warn("%s: no answer from a DHCP server so far%s", port->name,
                 netif_is_link_up(&port->netif) ? "" : ", the link is down");
}

static void take_ipv4(struct port *port)
{
    const struct net_config *config = &port->config;
    ip4_addr_t address, netmask, gateway;
    for (u8_t i = 0; i < NET_CONFIG_DNS; i++) {
        ip_addr_t server = IPADDR4_INIT(0);
        memcpy(&ip_2_ip4(&server)->addr, config->dns[i], sizeof(config->dns[i]));
        if (!ip_addr_isany(&server))
            dns_setserver(i, &server);
    }
    switch (config->ipv4) {
    case NET_CONFIG_AUTO:
        port->address_asked_ns = platform_now_ns();
        if (dhcp_start(&port->netif) != ERR_OK)
            log_error("%s: no memory to start DHCP", port->name);
        sys_timeout(DHCP_PATIENCE_MS, on_dhcp_silence, port);
        break;
    case NET_CONFIG_STATIC:
        memcpy(&address.addr, config->address, sizeof(address.addr));
        memcpy(&netmask.addr, config->netmask, sizeof(netmask.addr));
        memcpy(&gateway.addr, config->gateway, sizeof(gateway.addr));
        netif_set_addr(&port->netif, &address, &netmask, &gateway);
        break;
    case NET_CONFIG_OFF:
        break;
    }
}

static ip6_addr_t ipv6_address(const uint8_t bytes[16], struct netif *netif)
{
    ip6_addr_t address;
    memset(&address, 0, sizeof(address));
    memcpy(address.addr, bytes, 16);
    ip6_addr_assign_zone(&address, IP6_UNKNOWN, netif);
    return address;
}

static void take_ipv6(struct port *port)
{
    struct netif *netif = &port->netif;
    const struct net_config *config = &port->config;
    if (config->ipv6 == NET_CONFIG_OFF)
        return;
    netif_set_ip6_autoconfig_enabled(netif, config->ipv6 == NET_CONFIG_AUTO);
    netif_create_ip6_linklocal_address(netif, 1);
    if (config->ipv6 == NET_CONFIG_AUTO && dhcp6_enable_stateless(netif) != ERR_OK)
        log_error("%s: no memory to start DHCPv6", port->name);
    if (config->ipv6 == NET_CONFIG_STATIC) {
        ip6_addr_t address = ipv6_address(config->address6, netif);
        port->gateway6 = ipv6_address(config->gateway6, netif);
        netif_add_ip6_address(netif, &address, NULL);
    }
}

void port_take_addresses(struct port *port)
{
    netif_set_up(&port->netif);
    take_ipv4(port);
    take_ipv6(port);
    port_take_name(port);
}

void port_release_addresses(struct port *port)
{
    port->address_logged.addr = 0; /* nobody needs to read that the address is gone */
    dhcp_release_and_stop(&port->netif);
}

void port_forget_addresses(struct port *port)
{
    port->address_logged.addr = 0;
    port_forget_name(port);
    dhcp6_disable(&port->netif);
    dhcp6_cleanup(&port->netif);
    sys_untimeout(on_dhcp_silence, port);
    dhcp_stop(&port->netif);
    dhcp_cleanup(&port->netif);
}

const ip6_addr_t *lwip_addresses_gateway6(struct netif *netif, const ip6_addr_t *destination)
{
    const struct port *port = port_of(netif);
    (void)destination;
    return port == NULL || ip6_addr_isany(&port->gateway6) ? NULL : &port->gateway6;
}
