/*
 * lwip_mdns.c - the machine's name on its own links: answers to multicast DNS (RFC 6762) for
 * NAME.local, by lwIP's responder.
 *
 * Only a name that the command line gives is answered for; the default one is everybody's. A name
 * with dots counts up to the first. The words are net_config.c's.
 */
#include "net/lwip_ports.h"

#include <string.h>

#include "lwip/apps/mdns.h"

#include "log.h"

static void on_result(struct netif *netif, u8_t result, s8_t slot)
{
    const struct port *port = port_of(netif);
    (void)slot; /* there are no services, only the name */
    if (port == NULL)
        return;
    if (result == MDNS_PROBING_SUCCESSFUL)
        log_info("%s: answers to mDNS for %s.local", port->name, port->mdns_name);
    else
        log_error("%s: somebody else is %s.local, not answered for", port->name, port->mdns_name);
}

void port_take_name(struct port *port)
{
    static bool started;
    if (!port->config.named)
        return;
    if (!started) {
        mdns_resp_init();
        mdns_resp_register_name_result_cb(on_result);
        started = true;
    }
    strcpy(port->mdns_name, port->config.hostname);
    port->mdns_name[strcspn(port->mdns_name, ".")] = '\0';
    port->mdns = mdns_resp_add_netif(&port->netif, port->mdns_name) == ERR_OK;
    if (!port->mdns)
        log_error("%s: no memory to answer to mDNS", port->name);
}

void port_forget_name(struct port *port)
{
    if (port->mdns)
        mdns_resp_remove_netif(&port->netif);
    port->mdns = false;
}
