/*
 * flow_hash.c - the hash that a device steers received packets by. See flow_hash.h.
 */
#include "net/flow_hash.h"

#include "net/frame.h"

#define IPV4_SOURCE 12u /* source and destination address follow each other */
#define IPV4_ADDRESSES 8u
#define IPV6_SOURCE 8u
#define IPV6_ADDRESSES 32u
#define PORTS 4u

/* Sixteen bits of which no rotation is like another. */
#define KEY 0x6d5au

void flow_hash_key(uint8_t key[FLOW_HASH_KEY_SIZE])
{
    for (unsigned i = 0; i < FLOW_HASH_KEY_SIZE; i++)
        key[i] = (uint8_t)(i % 2 ? KEY : KEY >> 8);
}

static uint16_t fold(const uint8_t *bytes, unsigned len)
{
    uint16_t sum = 0;
    for (; len > 0; len -= 2, bytes += 2)
        sum ^= (uint16_t)(bytes[0] << 8 | bytes[1]);
    return sum;
}

/*
 * Toeplitz's hash adds, for each bit that is set in the input, the 32 bits of the key that begin at
 * the bit's place, without carry. Bits that are 16 apart find the same ones, so words that are added
 * first have the hash of all.
 */
static uint32_t toeplitz(uint16_t word)
{
    uint32_t window = KEY << 16 | KEY, hash = 0;
    for (; word != 0; word = (uint16_t)(word << 1), window = window << 1 | window >> 31)
        if (word & 0x8000u)
            hash ^= window;
    return hash;
}

uint32_t flow_hash(const void *frame, size_t len)
{
    struct frame_transport transport;
    const uint8_t *bytes = frame;
    if (!frame_find_transport(frame, len, &transport))
        return 0;
    const uint8_t *ip = bytes + transport.network;
    uint16_t word = transport.ipv6 ? fold(ip + IPV6_SOURCE, IPV6_ADDRESSES)
                                   : fold(ip + IPV4_SOURCE, IPV4_ADDRESSES);
    if (!transport.fragment && transport.offset + PORTS <= len &&
        (transport.protocol == FRAME_PROTOCOL_TCP || transport.protocol == FRAME_PROTOCOL_UDP))
        word ^= fold(bytes + transport.offset, PORTS);
    return toeplitz(word);
}
