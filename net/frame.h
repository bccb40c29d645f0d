/*
 * frame.h - looking into Ethernet frames: where TCP or UDP starts, and internet checksums.
 *
 * Owns what checksum offload needs to know about IPv4 and IPv6 headers (RFC 791, RFC 8200, RFC
 * 1071). Pure functions over bytes; knows neither a device nor a TCP/IP stack. Read frame.c next,
 * and lwip_netif.c for the use of it.
 */
#ifndef FERRULE_NET_FRAME_H
#define FERRULE_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_PROTOCOL_TCP 6u
#define FRAME_PROTOCOL_UDP 17u

/* Where the checksum field lies in a TCP header, from its start. */
#define FRAME_TCP_CHECKSUM_OFFSET 16u
#define FRAME_TCP_HEADER_LEN 20u
#define FRAME_UDP_CHECKSUM_OFFSET 6u
#define FRAME_UDP_HEADER_LEN 8u

struct frame_transport {
    uint8_t protocol; /* of the header that follows IP's */
    bool ipv6;        /* else IPv4 */
    bool fragment;    /* a part of a packet: its checksum covers more than this frame */
    uint16_t network; /* of the IP header, from the start of the frame */
    uint16_t offset;  /* of the transport header, from the start of the frame; 0 for a fragment */
    uint16_t len;     /* bytes of transport header and payload, from the IP header */
};

/*
 * Finds the transport header of an Ethernet II frame, with or without one VLAN tag, of which `len`
 * contiguous bytes are at hand.
 * False when it is not IP, its header is not wholly there or makes no sense, or IPv6 extension
 * headers other than the fragment header come first.
 */
bool frame_find_transport(const void *frame, size_t len, struct frame_transport *transport);

/* The protocol of an untagged IPv4 packet, by one look at it; 0: it is something else, or not at hand. */
static inline uint8_t frame_ipv4_protocol(const void *frame, size_t len)
{
    const uint8_t *bytes = frame;
    return len > 23 && bytes[12] == 0x08 && bytes[13] == 0x00 ? bytes[23] : 0;
}

/*
 * Is it an ARP packet, tagged or not, of which the end is missing (RFC 826)? lwIP does not look, and would take
 * what an earlier frame left in the buffer for the rest.
 */
bool frame_is_cut_arp(const void *frame, size_t len);

/* Who opens a connection to whom. Addresses as in the packet, numbers in machine order. */
struct frame_syn {
    uint8_t source[16], destination[16];
    unsigned address_len; /* 4 or 16 */
    uint16_t source_port, destination_port;
    uint32_t sequence;
};

/* Is a frame that frame_find_transport() understood the first segment of a TCP connection (SYN
 * alone)? */
bool frame_is_syn(const void *frame, size_t len, const struct frame_transport *transport,
                  struct frame_syn *syn);

/*
 * The sum over the pseudo-header (addresses, protocol, length) of a frame that
 * frame_find_transport() understood, not complemented: what a device that completes the checksum
 * expects in the field (5.1.9.2). As stored in memory.
 */
uint16_t frame_pseudo_sum(const void *frame, const struct frame_transport *transport);

/*
 * The one's complement sum of `len` bytes as 16-bit words in memory order, folded, not complemented
 * (RFC 1071). Any alignment; an odd last byte counts as if a zero followed.
 */
uint16_t frame_checksum(const void *data, int len);

#endif
