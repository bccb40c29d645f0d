// sources: net/frame.c net/siphash.c
/*
 * test_frame.c - headers of frames, checksums and the keyed hash behind sequence numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/frame.h"
#include "net/siphash.h"

/* RFC 1071 word by word, for comparison: big-endian sums, returned as stored in memory. */
static uint16_t slow_checksum(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(sum << 8 | sum >> 8);
}

static void test_checksum(void **state)
{
    uint8_t data[400];
    (void)state;
    srand(7);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(rand() & 1 ? 0xff : rand());
    for (unsigned start = 0; start < 9; start++)
        for (unsigned len = 0; start + len <= sizeof(data); len++)
            assert_int_equal(frame_checksum(data + start, (int)len),
                             slow_checksum(data + start, len));
    memset(data, 0xff, sizeof(data));
    assert_int_equal(frame_checksum(data, sizeof(data)), 0xffff);
    memset(data, 0, sizeof(data));
    assert_int_equal(frame_checksum(data, sizeof(data)), 0);
}

/* A large block, so that carries run round often. */
static void test_checksum_large(void **state)
{
    enum { LEN = 65535 };
    uint8_t *data = malloc(LEN);
    (void)state;
    for (unsigned i = 0; i < LEN; i++)
        data[i] = (uint8_t)(0xff - (i % 3));
    assert_int_equal(frame_checksum(data, LEN), slow_checksum(data, LEN));
    free(data);
}

static const uint8_t tcp4[54] = {
    [12] = 8,  [14] = 0x45, [16] = 0, [17] = 40, [23] = 6, /* IHL 5, total 40, TCP */
    [26] = 10, 0,           2,        15,        10,       0, 2, 2,
};

static void test_ipv4(void **state)
{
    struct frame_transport transport;
    uint8_t frame[54];
    (void)state;
    memcpy(frame, tcp4, sizeof(frame));
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_int_equal(transport.protocol, FRAME_PROTOCOL_TCP);
    assert_false(transport.fragment);
    assert_int_equal(transport.offset, 34);
    assert_int_equal(transport.len, 20);
    /* 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + 20 */
    assert_int_equal(frame_pseudo_sum(frame, &transport), 0x2b18);

    frame[14] = 0x46; /* an option */
    frame[17] = 44;
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_int_equal(transport.offset, 38);
    assert_int_equal(transport.len, 20);

    frame[20] = 0x40; /* Don't Fragment is no fragment */
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_false(transport.fragment);
    frame[20] = 0x20; /* More Fragments */
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_true(transport.fragment);
    frame[20] = 0;
    frame[21] = 1; /* an offset */
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_true(transport.fragment);
}

static void test_syn(void **state)
{
    struct frame_transport transport;
    struct frame_syn syn;
    uint8_t frame[54];
    (void)state;
    memcpy(frame, tcp4, sizeof(frame));
    memcpy(frame + 34, "\x12\x34\x00\x50\x01\x02\x03\x04", 8);
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_false(frame_is_syn(frame, sizeof(frame), &transport, &syn));
    frame[47] = 0xc2; /* SYN, and the two bits of explicit congestion notification */
    assert_true(frame_is_syn(frame, sizeof(frame), &transport, &syn));
    assert_int_equal(syn.address_len, 4);
    assert_memory_equal(syn.source, frame + 26, 4);
    assert_memory_equal(syn.destination, frame + 30, 4);
    assert_int_equal(syn.source_port, 0x1234);
    assert_int_equal(syn.destination_port, 80);
    assert_int_equal(syn.sequence, 0x01020304);
    assert_false(frame_is_syn(frame, sizeof(frame) - 1, &transport, &syn));
    frame[47] = 0x12; /* SYN and ACK */
    assert_false(frame_is_syn(frame, sizeof(frame), &transport, &syn));
    frame[47] = 0x02;
    transport.protocol = FRAME_PROTOCOL_UDP;
    assert_false(frame_is_syn(frame, sizeof(frame), &transport, &syn));
}

static void test_ipv6(void **state)
{
    struct frame_transport transport;
    uint8_t frame[74] = {[12] = 0x86, 0xdd, 0x60, [19] = 20, 6};
    (void)state;
    frame[22] = 0xfd;
    frame[53] = 7;
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_int_equal(transport.protocol, FRAME_PROTOCOL_TCP);
    assert_int_equal(transport.offset, 54);
    assert_int_equal(transport.len, 20);
    assert_false(transport.fragment);
    /* 0xfd00 + 7 + 6 + 20 = 0xfd21 */
    assert_int_equal(frame_pseudo_sum(frame, &transport), 0x21fd);

    frame[20] = 44;
    frame[54] = 6;
    assert_true(frame_find_transport(frame, sizeof(frame), &transport));
    assert_true(transport.fragment);
    assert_int_equal(transport.protocol, FRAME_PROTOCOL_TCP);
    frame[20] = 0; /* hop-by-hop options */
    assert_false(frame_find_transport(frame, sizeof(frame), &transport));
}

static void test_nonsense(void **state)
{
    struct frame_transport transport;
    (void)state;
    /* Every shorter length of a good frame, in memory that ends there. */
    for (size_t len = 0; len < sizeof(tcp4); len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, tcp4, len);
        assert_int_equal(frame_find_transport(cut, len, &transport), len >= 34);
        free(cut);
    }
    uint8_t frame[54];
    memcpy(frame, tcp4, sizeof(frame));
    frame[14] = 0x44; /* header shorter than the least */
    assert_false(frame_find_transport(frame, sizeof(frame), &transport));
    frame[14] = 0x4f; /* header longer than what is there */
    assert_false(frame_find_transport(frame, sizeof(frame), &transport));
    frame[14] = 0x65; /* not version 4 */
    assert_false(frame_find_transport(frame, sizeof(frame), &transport));
    frame[14] = 0x45;
    frame[17] = 19; /* total length shorter than the header */
    assert_false(frame_find_transport(frame, sizeof(frame), &transport));
    frame[12] = 0x08;
    frame[13] = 0x06; /* ARP */
    assert_false(frame_find_transport(frame, sizeof(frame), &transport));
}

static void test_cut_arp(void **state)
{
    const uint8_t arp[60] = {[12] = 8, 6};
    (void)state;
    for (size_t len = 0; len <= sizeof(arp); len++)
        assert_int_equal(frame_is_cut_arp(arp, len), len >= 14 && len < 42);
    assert_false(frame_is_cut_arp(tcp4, 20));
    const uint8_t tagged[60] = {[12] = 0x81, 0, 0, 100, 8, 6};
    for (size_t len = 0; len <= sizeof(tagged); len++)
        assert_int_equal(frame_is_cut_arp(tagged, len), len >= 18 && len < 46);
}

/* The example of the paper's appendix A, and the empty and one-byte cases of the authors' own
 * table. */
static void test_siphash(void **state)
{
    const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    uint8_t data[15];
    (void)state;
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)i;
    assert_true(siphash(key, data, 15) == 0xa129ca6149be45e5u);
    assert_true(siphash(key, data, 0) == 0x726fdb47dd0e0e31u);
    assert_true(siphash(key, data, 1) == 0x74f839c593dc67fdu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum), cmocka_unit_test(test_checksum_large),
        cmocka_unit_test(test_ipv4),     cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_syn),      cmocka_unit_test(test_cut_arp),
        cmocka_unit_test(test_nonsense), cmocka_unit_test(test_siphash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
