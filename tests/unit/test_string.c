// sources:
/*
 * test_string.c - memcpy, memmove, memset and memchr of libc/string.c against plain byte loops.
 *
 * Every size around the switching points, every alignment of source and destination, and every
 * overlap; guard bytes on both sides show a store outside. The functions get other names
 * here, since the host's libc has them too. Read libc/string.c next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define memcpy own_memcpy
#define memmove own_memmove
#define memset own_memset
#define memchr own_memchr
void *own_memcpy(void *restrict to, const void *restrict from, size_t n);
void *own_memmove(void *to, const void *from, size_t n);
void *own_memset(void *to, int value, size_t n);
void *own_memchr(const void *area, int value, size_t n);
#include "libc/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memchr

#define AREA 9000u

static unsigned char area[AREA], expected[AREA];

static void fill(unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < AREA; i++) {
        x = x * 1664525u + 1013904223u;
        area[i] = expected[i] = (unsigned char)(x >> 24);
    }
}

/* Byte by byte through a third buffer: right for every overlap. */
static void reference_move(size_t to, size_t from, size_t n)
{
    static unsigned char copy[AREA];
    for (size_t i = 0; i < n; i++)
        copy[i] = expected[from + i];
    for (size_t i = 0; i < n; i++)
        expected[to + i] = copy[i];
}

static void check(const char *what, size_t to, size_t from, size_t n)
{
    if (memcmp(area, expected, AREA))
        fail_msg("%s: destination %zu, source %zu, %zu bytes", what, to, from, n);
}

static const size_t big_sizes[] = {300, 511, 512, 513, 1000, 1514, 2047, 3000, 4096};

static size_t size_at(unsigned i)
{
    return i <= 290 ? i : big_sizes[i - 291];
}

#define SIZES (291 + sizeof(big_sizes) / sizeof(big_sizes[0]))

static void memcpy_every_size_and_alignment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIZES; i++) {
        size_t n = size_at(i);
        for (size_t a = 0; a < 16; a++) {
            size_t to = 64 + a, from = 4500 + (a * 7 + i) % 16;
            fill(i);
            reference_move(to, from, n);
            assert_ptr_equal(own_memcpy(area + to, area + from, n), area + to);
            check("memcpy", to, from, n);
        }
    }
}

static void memmove_every_overlap(void **state)
{
    (void)state;
    static const int distances[] = {0,  1,  2,  3,  7,  8,  9,   15,  16,  17,
                                    31, 32, 33, 40, 63, 64, 100, 255, 256, 257};
    for (unsigned i = 0; i < SIZES; i++) {
        for (unsigned d = 0; d < 2 * sizeof(distances) / sizeof(distances[0]); d++) {
            int distance = d % 2 ? -distances[d / 2] : distances[d / 2];
            size_t n = size_at(i), from = 1000 + i % 8, to = (size_t)((int)from + distance);
            fill(i + d);
            reference_move(to, from, n);
            assert_ptr_equal(own_memmove(area + to, area + from, n), area + to);
            check("memmove", to, from, n);
        }
    }
}

static void memset_every_size_and_alignment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIZES; i++) {
        for (size_t a = 0; a < 16; a++) {
            size_t n = size_at(i), to = 100 + a;
            int value = (int)(i * 37 + a) - 128; /* only the low byte counts */
            fill(i);
            for (size_t k = 0; k < n; k++)
                expected[to + k] = (unsigned char)value;
            assert_ptr_equal(own_memset(area + to, value, n), area + to);
            check("memset", to, 0, n);
        }
    }
}

/* Every alignment and length, with equal bytes in front, behind, or nowhere, and others that differ in
 * one bit. */
static void memchr_finds_the_first(void **state)
{
    static const unsigned char wanted[] = {0, 1, 0x7f, 0x80, 0xff};
    (void)state;
    for (unsigned v = 0; v < sizeof(wanted); v++)
        for (size_t start = 8; start < 16; start++)
            for (size_t n = 0; n < 40; n++)
                for (size_t place = 0; place <= n; place++) {
                    unsigned char *base = area + start;
                    memset(area, wanted[v] ^ 1, 128);
                    base[-1] = base[n] = base[place] =
                        wanted[v]; /* not among the n when place == n */
                    assert_ptr_equal(own_memchr(base, wanted[v] - 256, n),
                                     place < n ? base + place : NULL);
                }
    assert_ptr_equal(own_memchr(area, area[0], SIZE_MAX), area);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memcpy_every_size_and_alignment),
        cmocka_unit_test(memmove_every_overlap),
        cmocka_unit_test(memset_every_size_and_alignment),
        cmocka_unit_test(memchr_finds_the_first),
    };
    return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
