/*
 * frame.c - looking into Ethernet frames: where TCP or UDP starts, and internet checksums.
 *
 * See frame.h. Every length is checked against the bytes at hand before a field is read: received
 * frames come from anybody.
 */
#include "net/frame.h"

#include <string.h>

#define ETHERNET_LEN 14u
#define TYPE_OFFSET 12u
#define TYPE_IPV4 0x0800u
#define TYPE_ARP 0x0806u
#define TYPE_VLAN 0x8100u
#define TYPE_IPV6 0x86ddu
#define VLAN_TAG_LEN 4u

#define ARP_LEN 28u /* for Ethernet and IPv4 addresses (RFC 826) */

#define IPV4_MIN_LEN 20u
#define IPV4_SOURCE 12u /* source and destination address follow each other */
#define IPV4_MORE_FRAGMENTS 0x2000u
#define IPV4_FRAGMENT_OFFSET 0x1fffu

#define IPV6_LEN 40u
#define IPV6_SOURCE 8u
#define IPV6_NEXT_FRAGMENT 44u

#define TCP_FLAGS 13u
#define TCP_FLAG_SYN 0x02u
#define TCP_FLAGS_OF_INTEREST 0x17u /* FIN, SYN, RST, ACK */

static uint16_t read_be16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool find_in_ipv4(const uint8_t *ip, size_t len, struct frame_transport *transport)
{
    if (len < IPV4_MIN_LEN || ip[0] >> 4 != 4)
        return false;
    unsigned header = (ip[0] & 15u) * 4;
    unsigned total = read_be16(ip + 2);
    if (header < IPV4_MIN_LEN || header > len || total < header)
        return false;
    transport->protocol = ip[9];
    transport->fragment = (read_be16(ip + 6) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET)) != 0;
    transport->ipv6 = false;
    transport->offset = transport->fragment ? 0 : (uint16_t)(transport->network + header);
    transport->len = (uint16_t)(total - header);
    return true;
}

static bool find_in_ipv6(const uint8_t *ip, size_t len, struct frame_transport *transport)
{
    if (len < IPV6_LEN || ip[0] >> 4 != 6)
        return false;
    transport->protocol = ip[6];
    transport->fragment = transport->protocol == IPV6_NEXT_FRAGMENT;
    transport->ipv6 = true;
    transport->offset = (uint16_t)(transport->network + IPV6_LEN);
    transport->len = read_be16(ip + 4);
    if (!transport->fragment)
        return transport->protocol == FRAME_PROTOCOL_TCP ||
               transport->protocol == FRAME_PROTOCOL_UDP;
    if (len < IPV6_LEN + 8)
        return false;
    transport->protocol = ip[IPV6_LEN];
    transport->offset = 0;
    return true;
}

bool frame_find_transport(const void *frame, size_t len, struct frame_transport *transport)
{
    const uint8_t *bytes = frame;
    if (len < ETHERNET_LEN)
        return false;
    bool tagged = read_be16(bytes + TYPE_OFFSET) == TYPE_VLAN;
    unsigned header = ETHERNET_LEN + (tagged ? VLAN_TAG_LEN : 0);
    if (len < header)
        return false;
    transport->network = (uint16_t)header;
    switch (read_be16(bytes + header - 2)) {
    case TYPE_IPV4:
        return find_in_ipv4(bytes + header, len - header, transport);
    case TYPE_IPV6:
        return find_in_ipv6(bytes + header, len - header, transport);
    default:
        return false;
    }
}

bool frame_is_cut_arp(const void *frame, size_t len)
{
    const uint8_t *bytes = frame;
    size_t header = ETHERNET_LEN;
    if (len >= ETHERNET_LEN + VLAN_TAG_LEN && read_be16(bytes + TYPE_OFFSET) == TYPE_VLAN)
        header += VLAN_TAG_LEN;
    return len >= header && read_be16(bytes + header - 2) == TYPE_ARP && len < header + ARP_LEN;
}

bool frame_is_syn(const void *frame, size_t len, const struct frame_transport *transport,
                  struct frame_syn *syn)
{
    const uint8_t *bytes = frame;
    const uint8_t *ip = bytes + transport->network, *tcp = bytes + transport->offset;
    if (transport->protocol != FRAME_PROTOCOL_TCP || transport->fragment ||
        transport->offset + FRAME_TCP_HEADER_LEN > len ||
        (tcp[TCP_FLAGS] & TCP_FLAGS_OF_INTEREST) != TCP_FLAG_SYN)
        return false;
    const uint8_t *source = ip + (transport->ipv6 ? IPV6_SOURCE : IPV4_SOURCE);
    syn->address_len = transport->ipv6 ? 16 : 4;
    memcpy(syn->source, source, syn->address_len);
    memcpy(syn->destination, source + syn->address_len, syn->address_len);
    syn->source_port = read_be16(tcp);
    syn->destination_port = read_be16(tcp + 2);
    syn->sequence = (uint32_t)read_be16(tcp + 4) << 16 | read_be16(tcp + 6);
    return true;
}

/* The carry of each addition goes round. */
static uint16_t fold(uint64_t sum)
{
    uint32_t half = (uint32_t)sum + (uint32_t)(sum >> 32);
    half += half < (uint32_t)sum;
    uint16_t quarter = (uint16_t)(half + (half >> 16));
    return (uint16_t)(quarter + (quarter < (uint16_t)half));
}

uint16_t frame_pseudo_sum(const void *frame, const struct frame_transport *transport)
{
    const uint8_t *ip = (const uint8_t *)frame + transport->network;
    uint64_t sum = transport->ipv6 ? frame_checksum(ip + IPV6_SOURCE, 32)
                                   : frame_checksum(ip + IPV4_SOURCE, 8);
    uint8_t rest[4] = {0, transport->protocol, (uint8_t)(transport->len >> 8),
                       (uint8_t)transport->len};
    return fold(sum + frame_checksum(rest, sizeof(rest)));
}

/* Adds with the carry going round, so that the sum stays one's complement. */
static uint64_t add_round(uint64_t sum, uint64_t value)
{
    sum += value;
    return sum + (sum < value);
}

static uint64_t load64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint64_t load32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

uint16_t frame_checksum(const void *data, int len)
{
    const uint8_t *bytes = data;
    uint64_t sum = 0;
    if (len == IPV4_MIN_LEN) /* every other one, of lwIP's */
        return fold(add_round(add_round(load64(bytes), load64(bytes + 8)), load32(bytes + 16)));
    /* The sum of 16-bit words may be made in larger words as well and folded at the end (RFC 1071,
     * 2 (B)). */
    for (; len >= 32; len -= 32, bytes += 32) {
        sum = add_round(sum, load64(bytes));
        sum = add_round(sum, load64(bytes + 8));
        sum = add_round(sum, load64(bytes + 16));
        sum = add_round(sum, load64(bytes + 24));
    }
    for (; len >= 8; len -= 8, bytes += 8)
        sum = add_round(sum, load64(bytes));
    if (len >= 4) {
        sum = add_round(sum, load32(bytes));
        len -= 4;
        bytes += 4;
    }
    for (int i = 0; i < len; i++)
        sum = add_round(sum, (uint64_t)bytes[i] << 8 * i);
    return fold(sum);
}
