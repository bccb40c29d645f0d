/*
 * inet.c - the functions of <arpa/inet.h> and <net/if.h>: addresses and interfaces as text.
 */
#include <arpa/inet.h>

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "lwip/ip6_addr.h"
#include "lwip/netif.h"
#include "net/lwip_netif.h"
#include "net/net_config.h"

/* The last 32 bits may be written as an IPv4 address (RFC 4291, 2.2, form 3). */
static bool parse_ipv6(const char *text, uint8_t out[16])
{
    char plain[INET6_ADDRSTRLEN + 8];
    uint8_t last[4];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(text, '.') == NULL)
        return net_config_ipv6(text, out);
    if (!net_config_ipv4(colon + 1, last) || (size_t)(colon - text) > INET6_ADDRSTRLEN - 10)
        return false;
    snprintf(plain, sizeof(plain), "%.*s:%x:%x", (int)(colon - text), text, last[0] << 8 | last[1],
             last[2] << 8 | last[3]);
    return net_config_ipv6(plain, out);
}

int inet_pton(int family, const char *text, void *address)
{
    uint8_t bytes[16];
    if (family != AF_INET && family != AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    bool good = family == AF_INET ? net_config_ipv4(text, bytes) : parse_ipv6(text, bytes);
    if (good)
        memcpy(address, bytes, family == AF_INET ? 4 : 16);
    return good;
}

const char *inet_ntop(int family, const void *address, char *text, socklen_t size)
{
    char plain[INET6_ADDRSTRLEN] = "";
    const uint8_t *byte = address;
    if (family == AF_INET) {
        snprintf(plain, sizeof(plain), "%u.%u.%u.%u", byte[0], byte[1], byte[2], byte[3]);
    } else if (family == AF_INET6) {
        ip6_addr_t ip = {.zone = 0};
        memcpy(ip.addr, address, sizeof(ip.addr));
        ip6addr_ntoa_r(&ip, plain, sizeof(plain));
        for (char *c = plain; *c != '\0'; c++) /* RFC 5952, 4.3 wants small letters */
            *c = (char)tolower((unsigned char)*c);
    }
    if (plain[0] == '\0' || strlen(plain) >= size) {
        errno = plain[0] == '\0' ? EAFNOSUPPORT : ENOSPC;
        return NULL;
    }
    return strcpy(text, plain);
}

int inet_aton(const char *text, struct in_addr *address)
{
    ip4_addr_t ip;
    if (!ip4addr_aton(text, &ip)) /* with the old short and octal forms */
        return 0;
    address->s_addr = ip.addr;
    return 1;
}

in_addr_t inet_addr(const char *text)
{
    struct in_addr address;
    return inet_aton(text, &address) ? address.s_addr : INADDR_NONE;
}

char *inet_ntoa(struct in_addr address)
{
    static char text[INET_ADDRSTRLEN];
    return (char *)inet_ntop(AF_INET, &address, text, sizeof(text));
}

unsigned if_nametoindex(const char *name)
{
    const struct netif *netif = net_interface(name);
    if (netif != NULL)
        return netif_get_index(netif);
    errno = ENXIO;
    return 0;
}

char *if_indextoname(unsigned index, char *name)
{
    const struct netif *netif = index <= UINT8_MAX ? netif_get_by_index((u8_t)index) : NULL;
    const char *own = netif != NULL ? net_interface_name(netif) : NULL;
    if (own != NULL)
        return strncpy(name, own, IF_NAMESIZE);
    errno = ENXIO;
    return NULL;
}
