/*
 * frame_cut.c - the headers of the segments that a large TCP frame is cut into. See frame_cut.h.
 */
#include "net/frame_cut.h"

#include <string.h>

#define IPV4_LENGTH 2u
#define IPV4_ID 4u
#define IPV4_CHECKSUM 10u
#define IPV6_LENGTH 4u

#define UDP_LENGTH 4u

#define TCP_SEQUENCE 4u
#define TCP_DATA_OFFSET 12u
#define TCP_FLAGS 13u
#define TCP_FIN_PSH 0x09u
#define TCP_CWR 0x80u

static uint32_t get_be(const uint8_t *bytes, unsigned len)
{
    uint32_t value = 0;
    while (len-- > 0)
        value = value << 8 | *bytes++;
    return value;
}

static void put_be(uint8_t *bytes, unsigned len, uint32_t value)
{
    for (; len-- > 0; value >>= 8)
        bytes[len] = (uint8_t)value;
}

unsigned frame_tcp_header_len(const void *frame, size_t len,
                              const struct frame_transport *transport)
{
    if (transport->fragment || transport->offset + FRAME_TCP_HEADER_LEN > len)
        return 0;
    const uint8_t *tcp = (const uint8_t *)frame + transport->offset;
    unsigned header = (tcp[TCP_DATA_OFFSET] >> 4) * 4u;
    return header < FRAME_TCP_HEADER_LEN || header > transport->len ||
                   transport->offset + header > len
               ? 0
               : header;
}

bool frame_tcp_has_cwr(const void *frame, const struct frame_transport *transport)
{
    return ((const uint8_t *)frame)[transport->offset + TCP_FLAGS] & TCP_CWR;
}

static void cut_ipv4(uint8_t *ip, unsigned header_len, uint16_t len, unsigned number)
{
    put_be(ip + IPV4_LENGTH, 2, header_len + len);
    put_be(ip + IPV4_ID, 2, get_be(ip + IPV4_ID, 2) + number);
    put_be(ip + IPV4_CHECKSUM, 2, 0);
    uint16_t sum = (uint16_t)~frame_checksum(ip, (int)header_len);
    memcpy(ip + IPV4_CHECKSUM, &sum, sizeof(sum));
}

static void cut_tcp(uint8_t *tcp, const struct frame_cut *cut)
{
    put_be(tcp + TCP_SEQUENCE, 4, get_be(tcp + TCP_SEQUENCE, 4) + cut->at);
    if (!cut->last)
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_FIN_PSH;
    if (cut->number > 0)
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    put_be(tcp + FRAME_TCP_CHECKSUM_OFFSET, 2, 0);
}

static void cut_udp(uint8_t *udp, uint16_t len)
{
    put_be(udp + UDP_LENGTH, 2, len);
    put_be(udp + FRAME_UDP_CHECKSUM_OFFSET, 2, 0);
}

void frame_cut_headers(void *headers, unsigned header_len, struct frame_transport *transport,
                       const struct frame_cut *cut)
{
    uint8_t *ip = (uint8_t *)headers + transport->network;
    transport->len = (uint16_t)(header_len - transport->offset + cut->payload);
    if (transport->ipv6)
        put_be(ip + IPV6_LENGTH, 2, transport->len);
    else
        cut_ipv4(ip, transport->offset - transport->network, transport->len, cut->number);
    if (transport->protocol == FRAME_PROTOCOL_UDP)
        cut_udp((uint8_t *)headers + transport->offset, transport->len);
    else
        cut_tcp((uint8_t *)headers + transport->offset, cut);
}

uint32_t frame_sum_add(uint32_t sum, const void *data, unsigned len, bool odd)
{
    uint16_t part = frame_checksum(data, (int)len);
    /* RFC 1071, 2 (B): bytes that change places in their words do so in the sum. */
    return sum + (odd ? (uint16_t)(part << 8 | part >> 8) : part);
}

uint16_t frame_sum_finish(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}
