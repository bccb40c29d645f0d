/*
 * net_config.h - the network words of the kernel command line: `ip=`, `ip6=`, `vlan=`, `mac=` and
 * `hostname=`.
 *
 * Owns their syntax. Pure text to structure; net/lwip_addresses.c carries it out. The syntax of
 * `ip=` is the one that Linux knows:
 *
 *   ip=dhcp | ip=on | ip=any      ask a DHCP server (also without any word)
 *   ip=off | ip=none              no IPv4
 *   ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:DNS0:DNS1
 *
 * where every field may be empty and the last ones be left out. SERVER is ignored (it is for NFS).
 * A CLIENT without NETMASK has the mask of its class. AUTOCONF `off` or `none` with a CLIENT, or a
 * CLIENT alone, is a fixed address; without a CLIENT it is no IPv4. DEVICE (eth0, eth1 ...) limits
 * the word to one NIC; of the words that fit a NIC the last one counts. A word that makes no sense
 * is reported and DHCP is used, so that a typing error leaves the machine reachable.
 *
 *   ip6=off                       no IPv6
 *   ip6=ADDRESS[/64][,GATEWAY]    a fixed address besides the link-local one
 *
 *   vlan=eth0:100,eth0:200        the interfaces eth0.100 and eth0.200, for VLANs of eth0
 *   mac=eth0:02:00:00:00:00:01    the Ethernet address of eth0, instead of the device's own
 *
 * To an interface of a VLAN only those `ip=` words apply that name it as their DEVICE, and a fixed
 * `ip6=` address is not its: two interfaces with one address would be of no use.
 */
#ifndef FERRULE_NET_NET_CONFIG_H
#define FERRULE_NET_NET_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_CONFIG_DNS 2u
#define NET_CONFIG_HOSTNAME_SIZE 64u
#define NET_CONFIG_DEVICE_SIZE 16u
#define NET_CONFIG_VLANS 8u /* of one NIC */

enum net_config_mode {
    NET_CONFIG_AUTO, /* DHCP; IPv6: router advertisements */
    NET_CONFIG_STATIC,
    NET_CONFIG_OFF,
};

/* Addresses are in network order; all zero means none. */
struct net_config {
    enum net_config_mode ipv4;
    uint8_t address[4], netmask[4], gateway[4];
    uint8_t dns[NET_CONFIG_DNS][4];
    enum net_config_mode ipv6;
    uint8_t address6[16], gateway6[16];
    char hostname[NET_CONFIG_HOSTNAME_SIZE];
    bool named; /* the host name is from the command line */
};

/*
 * Fills `config` with what the command line says about `device`. Returns 0, or -EINVAL when a word
 * made no sense: then `complaint` (of `size` bytes) says which and why in one line, and `config`
 * holds the default in its place.
 */
int net_config_parse(const char *cmdline, const char *device, struct net_config *config,
                     char *complaint, size_t size);

/*
 * The numbers of the VLANs that `device` is to have; each is there once. Returns 0, or -EINVAL when
 * something made no sense, which `complaint` names and which is left out.
 */
int net_config_vlans(const char *cmdline, const char *device, uint16_t vlan[NET_CONFIG_VLANS],
                     unsigned *vlans, char *complaint, size_t size);

/*
 * The Ethernet address that `device` is to have: six numbers of two hexadecimal digits. 1; 0: none is
 * named; -EINVAL: what is named makes no sense, as `complaint` says.
 */
int net_config_mac(const char *cmdline, const char *device, uint8_t mac[6], char *complaint,
                   size_t size);

/* Dotted decimal, four numbers, nothing else: no octal, no short forms. */
bool net_config_ipv4(const char *text, uint8_t out[4]);

/* RFC 4291, 2.2, forms 1 and 2: eight groups of hexadecimal digits, of which one run may be `::`. */
bool net_config_ipv6(const char *text, uint8_t out[16]);

#endif
