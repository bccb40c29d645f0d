/*
 * lwip_ports.h - what the files of the lwIP glue share: a NIC together with its network
 * interface.
 *
 * Private to lwip_netif.c (interfaces, receiving), lwip_transmit.c (sending), lwip_vlan.c (VLANs),
 * lwip_addresses.c (addresses) and lwip_stack.c (start, timers, end). A port lives as long as its
 * NIC, and what it has lent to lwIP.
 */
#ifndef FERRULE_NET_LWIP_PORTS_H
#define FERRULE_NET_LWIP_PORTS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "lwip/ip6_addr.h"
#include "lwip/netif.h"

#include "loop.h"
#include "net/net_config.h"
#include "net/nic.h"

struct rx_buffer;

/* A multicast address, and how many groups share it. */
struct port_group {
    uint8_t mac[6];
    uint16_t users;
};

struct port {
    struct netif netif;
    struct port *base; /* the port that has the NIC: itself, or for a VLAN another one */
    uint16_t vlan;     /* its number, 0 for the NIC's own port */
    struct nic *nic;   /* a VLAN has none */
    const char *name;  /* eth0 */
    char vlan_name[NET_CONFIG_DEVICE_SIZE]; /* eth0.100 */
    struct net_config config;
    struct loop_source source;
    struct port *next;

    /* Receive buffers are the device's (lent), lwIP's, or in the list of free ones. */
    void *rx_all; /* the memory of all of them */
    struct rx_buffer *rx_free;
    unsigned rx_missing; /* once the NIC is gone: buffers that lwIP still has */
    unsigned rx_buffers, rx_lent;
    uint32_t rx_buffer_len;

    bool unkicked; /* the NIC was given buffers or frames since it was last kicked */
    uint16_t
        checksum_flags; /* NETIF_CHECKSUM_*: what lwIP does itself, unless a frame says otherwise */
    bool tx_full;       /* a frame was refused for lack of room ... */
    uint64_t tx_done;   /* ... frames completed in all ... */
    uint64_t tx_resumed; /* ... and when connections were last told to go on */

    /* Multicast addresses that lwIP wants; changed: the NIC does not know yet; lost: more than fit. */
    struct port_group group[NIC_MAX_GROUPS];
    unsigned groups;
    bool groups_changed, groups_lost; /* changed: also VLANs, and whether broadcasts are wanted */

    bool mdns; /* lwIP answers for this name */
    char mdns_name[NET_CONFIG_HOSTNAME_SIZE];

    uint64_t address_asked_ns; /* when DHCP was started */
    ip4_addr_t address_logged;
    ip6_addr_t gateway6; /* from `ip6=`, or zero */

    /* Memory for a copy of a large frame was lacking; so the device was told to deliver none. */
    bool rx_pressed, rx_small;

    uint64_t rx_copied, rx_dropped;         /* frames */
    uint64_t tx_copied, tx_refused, tx_cut; /* cut: large packets, into segments */
    uint64_t time_wait_reused;              /* connections */
};

/* Makes a NIC an interface that is still down, and adds it to the loop. NULL when memory is short
 * (said in the log). */
struct port *port_create(struct nic *nic);

/* The NIC is gone: takes the interface out of lwIP and of the loop. The structure is freed, maybe
 * later. */
void port_destroy(struct port *port);

/*
 * VLANs of a port. A new one is made like port_create() does, NULL as there. All of them follow
 * their base's link, MTU and offloads when they are told to, and go before it does.
 */
struct port *port_create_vlan(struct port *base, uint16_t vlan);
void port_update_vlans(const struct port *base);
void port_destroy_vlans(struct port *base);

/* Is the link good enough for IPv6? */
bool port_may_have_ipv6(const struct port *port);

/* Callback of lwip_netif.c: takes a port that goes off the list of ports. */
void port_unlist(struct port *port);

/* What is for nobody's subnet goes out of the first interface that has a link, an address and a router;
 * else of the first with link and address. To be called when any of that has changed. */
void port_choose_default(void);

/* The port behind an interface, or NULL for the loopback interface. */
struct port *port_of(const struct netif *netif);

/* Sending: lwIP's three output functions, and the NIC's callback for frames that are done with. */
err_t port_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *destination);
err_t port_output_ip6(struct netif *netif, struct pbuf *p, const ip6_addr_t *destination);
err_t port_link_output(struct netif *netif, struct pbuf *p);
void port_sent(void *port, void *const *pbuf, unsigned count);

/* Bytes in front of the payload of a pbuf that came from a port that are its own; 0: another kind of
 * custom pbuf. */
uint32_t port_rx_headroom(const struct pbuf *p);

/* Does the device cut packets in this way (NIC_SEGMENT_UDP, NIC_FRAGMENT_UDP), checksum and all, that
 * are given to the interface whole? */
bool port_may_cut(const struct netif *netif, unsigned offload);

/* A frame that is a row of datagrams of so many bytes each: gives them to lwIP one by one. Returns how
 * many were lost. */
unsigned port_take_row(struct port *port, const struct pbuf *row, uint16_t size);

/* The queue has room again: connections that were refused go on now and not at TCP's next timer. */
void port_tx_resume(struct port *port);

/* What was under way is lost, by a reset of the device or while the link was down: connections send
 * it again now and not at TCP's next timer, which may have backed off to a minute by then. */
void port_tx_again(struct port *port);

/* Keeps TCP from building larger packets than this NIC's queue can take at once. */
void port_limit_segments(const struct port *port);

/* Multicast: follows lwIP's groups, and tells the NIC about them. */
void port_watch_groups(struct port *port);
void port_send_groups(struct port *port);

/* Callback of the NIC: tells the network where the addresses of this port are. */
void port_announce(void *port);

/* Answers to mDNS with the host name, if the command line gives one. */
void port_take_name(struct port *port);
void port_forget_name(struct port *port);

/* Keeps the wall clock right, if the command line says by whom. Once. */
void lwip_time_start(void);

/* Addresses, as the command line wants them. port_release_addresses() returns what was lent by
 * DHCP. */
void port_take_addresses(struct port *port);
void port_release_addresses(struct port *port);

/* The interface goes without a word to anybody. */
void port_forget_addresses(struct port *port);

/* From now on changes of addresses are logged. Once, before the first port. */
void port_watch_addresses(void);

#endif
