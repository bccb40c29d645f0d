/*
 * siphash.c - SipHash-2-4: see siphash.h.
 *
 * The state is four 64-bit words, set up from the key; each eight bytes of input take two rounds,
 * the end four. Little-endian machine.
 */
#include "net/siphash.h"

#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void rounds(struct state *s, unsigned count)
{
    while (count-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

uint64_t siphash(const uint64_t key[2], const void *data, size_t len)
{
    const uint8_t *bytes = data;
    struct state s = {
        .v0 = key[0] ^ 0x736f6d6570736575u,
        .v1 = key[1] ^ 0x646f72616e646f6du,
        .v2 = key[0] ^ 0x6c7967656e657261u,
        .v3 = key[1] ^ 0x7465646279746573u,
    };
    uint64_t last = (uint64_t)len << 56;
    for (; len >= 8; len -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof(word));
        absorb(&s, word);
    }
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)bytes[i] << (8 * i);
    absorb(&s, last);
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
