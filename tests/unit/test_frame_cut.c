// sources: net/frame.c net/frame_cut.c
/*
 * test_frame_cut.c - the headers of segments that a large TCP frame is cut into: every segment must
 * be a frame that stands by itself, and their payloads the large one's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/frame_cut.h"

#define PAYLOAD 5000u
#define ID 0xfffeu
#define SEQUENCE 0xfffffc00u

static uint8_t large[200 + PAYLOAD];

/* A frame with 12 bytes of TCP options, FIN, PSH, ACK and CWR; returns the length of its headers.
 */
static unsigned make_large(bool ipv6, bool tagged)
{
    unsigned ip = tagged ? 18 : 14, tcp = ip + (ipv6 ? 40 : 20), headers = tcp + 32;
    uint16_t len = (uint16_t)(headers - (ipv6 ? tcp : ip) + PAYLOAD);
    memset(large, 0, sizeof(large));
    if (tagged)
        memcpy(large + 12, "\x81\x00\x00\x05", 4);
    memcpy(large + ip - 2, ipv6 ? "\x86\xdd" : "\x08\x00", 2);
    large[ip] = ipv6 ? 0x60 : 0x45;
    large[ip + (ipv6 ? 4 : 2)] = (uint8_t)(len >> 8);
    large[ip + (ipv6 ? 5 : 3)] = (uint8_t)len;
    large[ip + (ipv6 ? 6 : 9)] = 6;
    if (!ipv6)
        memcpy(large + ip + 4, "\xff\xfe", 2);
    for (unsigned i = 0; i < 8; i++)
        large[ip + (ipv6 ? 8 : 12) + i] = (uint8_t)(10 + i);
    memcpy(large + tcp + 4, "\xff\xff\xfc\x00", 4);
    large[tcp + 12] = 8 << 4;
    large[tcp + 13] = 0x99;
    for (unsigned i = 0; i < PAYLOAD; i++)
        large[headers + i] = (uint8_t)(i * 13 + i / 256);
    return headers;
}

static uint32_t be(const uint8_t *bytes, unsigned len)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void check_segment(const uint8_t *frame, unsigned len, unsigned headers,
                          const struct frame_cut *cut, const struct frame_transport *told)
{
    struct frame_transport found;
    assert_true(frame_find_transport(frame, len, &found));
    assert_int_equal(found.len, len - found.offset);
    assert_int_equal(found.len, told->len);
    assert_int_equal(frame_tcp_header_len(frame, len, &found), 32);
    const uint8_t *ip = frame + found.network, *tcp = frame + found.offset;
    if (!found.ipv6) {
        assert_int_equal(frame_checksum(ip, 20), 0xffff);
        assert_int_equal(be(ip + 4, 2), (ID + cut->number) & 0xffff);
    }
    assert_int_equal(be(tcp + 4, 4), (uint32_t)(SEQUENCE + cut->at));
    assert_int_equal(tcp[13] & 0x09, cut->last ? 0x09 : 0);
    assert_int_equal(frame_tcp_has_cwr(frame, &found), cut->number == 0);
    assert_int_equal(be(tcp + 16, 2), 0);
    assert_memory_equal(frame + headers, large + headers + cut->at, cut->payload);
}

static void segments_stand_by_themselves(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned headers = make_large(kind & 1, kind & 2), size = 1448;
        struct frame_transport whole;
        assert_true(frame_find_transport(large, headers, &whole));
        assert_int_equal(frame_tcp_header_len(large, headers, &whole), 32);
        struct frame_cut cut = {0};
        for (; cut.at < PAYLOAD; cut.at += cut.payload, cut.number++) {
            uint8_t frame[1600];
            struct frame_transport transport = whole;
            cut.last = PAYLOAD - cut.at <= size;
            cut.payload = (uint16_t)(cut.last ? PAYLOAD - cut.at : size);
            memcpy(frame, large, headers);
            memcpy(frame + headers, large + headers + cut.at, cut.payload);
            frame_cut_headers(frame, headers, &transport, &cut);
            check_segment(frame, headers + cut.payload, headers, &cut, &transport);
        }
        assert_int_equal(cut.number, 4);
    }
}

static void datagrams_stand_by_themselves(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        struct frame_transport whole;
        unsigned headers = make_large(kind & 1, kind & 2) - 32 + FRAME_UDP_HEADER_LEN;
        large[headers - FRAME_UDP_HEADER_LEN - (kind & 1 ? 34 : 11)] = FRAME_PROTOCOL_UDP;
        assert_true(frame_find_transport(large, headers, &whole));
        assert_int_equal(whole.protocol, FRAME_PROTOCOL_UDP);
        for (struct frame_cut cut = {0}; cut.number < 3; cut.number++, cut.at += cut.payload) {
            struct frame_transport told = whole, found;
            uint8_t frame[1600];
            cut.last = cut.number == 2;
            cut.payload = cut.last ? 7 : 1000;
            memcpy(frame, large, headers);
            frame_cut_headers(frame, headers, &told, &cut);
            unsigned len = FRAME_UDP_HEADER_LEN + cut.payload;
            assert_true(frame_find_transport(frame, headers, &found));
            assert_int_equal(found.len, len);
            assert_int_equal(told.len, len);
            const uint8_t *udp = frame + found.offset;
            assert_memory_equal(udp, large + found.offset, 4);
            assert_int_equal(be(udp + 4, 2), len);
            assert_int_equal(be(udp + 6, 2), 0);
            if (!found.ipv6)
                assert_int_equal(frame_checksum(frame + found.network, 20), 0xffff);
        }
    }
}

/* A sum over pieces of any lengths is that of the whole. */
static void sums_over_pieces(void **state)
{
    (void)state;
    make_large(false, false);
    for (unsigned first = 0; first < 40; first++)
        for (unsigned second = 1; second < 40; second += 3) {
            unsigned len = 100;
            uint32_t sum = frame_sum_add(0, large + 40, first, false);
            sum = frame_sum_add(sum, large + 40 + first, second, first % 2);
            sum = frame_sum_add(sum, large + 40 + first + second, len - first - second,
                                (first + second) % 2);
            assert_int_equal(frame_sum_finish(sum),
                             (uint16_t)~frame_checksum(large + 40, (int)len));
        }
}

static void headers_that_are_not_whole(void **state)
{
    (void)state;
    unsigned headers = make_large(false, true);
    struct frame_transport transport;
    assert_true(frame_find_transport(large, headers, &transport));
    assert_int_equal(frame_tcp_header_len(large, headers - 1, &transport), 0);
    large[transport.offset + 12] = 4 << 4;
    assert_int_equal(frame_tcp_header_len(large, headers, &transport), 0);
    large[transport.offset + 12] = 15 << 4;
    assert_int_equal(frame_tcp_header_len(large, headers, &transport), 0);
    large[transport.offset + 12] = 8 << 4;
    transport.len = 31;
    assert_int_equal(frame_tcp_header_len(large, headers, &transport), 0);
    transport.fragment = true;
    assert_int_equal(frame_tcp_header_len(large, headers, &transport), 0);
    assert_false(frame_find_transport(large, 17, &transport));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_stand_by_themselves),
        cmocka_unit_test(datagrams_stand_by_themselves),
        cmocka_unit_test(sums_over_pieces),
        cmocka_unit_test(headers_that_are_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
