/*
 * lwip_netif.h - bringing the network up and down: every NIC becomes an lwIP network interface.
 *
 * Applications use lwIP's own headers ("lwip/tcp.h" and so on); this is for boot/main.c and for
 * reports. Loop context. Read lwip_netif.c next.
 */
#ifndef FERRULE_NET_LWIP_NETIF_H
#define FERRULE_NET_LWIP_NETIF_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Starts lwIP, takes every NIC that virtio_net has and gives it its addresses (net_config.h).
 * Returns the number of interfaces. Without a NIC one line says so, and the stack is there all the
 * same, with the loopback interface only. Addresses come later, in the loop.
 */
unsigned net_init(void);

/*
 * Might there be an address soon that is not there yet? True for the first seconds only, while an
 * interface with a link waits for its DHCP server.
 */
bool net_is_starting(void);

/* An interface by the name that log lines and the command line have for it, and back; or NULL. */
struct netif;
struct netif *net_interface(const char *name);
const char *net_interface_name(const struct netif *netif);

/*
 * The orderly end, before the devices are reset: closes what listens and what is connected, gives
 * peers a moment (at most NET_SHUTDOWN_MS) to acknowledge, returns addresses to their DHCP server,
 * and takes the interfaces down.
 */
#define NET_SHUTDOWN_MS 200u
void net_shutdown(void);

/*
 * Whether the device of an interface joins frames to large ones where it can (nic_set_large_receive()).
 * 0; -ENODEV: no such NIC; or an error of that function.
 */
int net_set_large_receive(const char *name, bool on);

/* Logs counters of every interface and of lwIP. */
void net_print_report(void);

#endif
