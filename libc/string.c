/*
 * string.c - memcpy, memmove, memset and memchr for the whole image, linked before newlib's.
 *
 * Owns the three functions every other file may call without knowing it, because the compiler does,
 * and the one that looking through text is made of. It owns nothing else of string.h. Built
 * -mgeneral-regs-only: interrupt handlers and drivers use it too. newlib's versions turn to non-temporal stores at 256 bytes and leave a frame that the
 * driver touches next out of the cache. Bulk goes by `rep movsq`, which is fast both on real
 * processors and under emulation; `rep movsb` is not used, since an emulator executes it byte by
 * byte. Read tests/unit/test_string.c next.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Words that may lie anywhere and alias anything: the compiler turns each access into one unaligned
 * move.
 */
typedef uint64_t __attribute__((may_alias, aligned(1))) word64;
typedef uint32_t __attribute__((may_alias, aligned(1))) word32;
typedef uint16_t __attribute__((may_alias, aligned(1))) word16;

/*
 * From here on the start-up cost of a rep instruction is smaller than what it saves over the loop.
 */
#define REP_MIN 256u

/* Copies fewer than 32 bytes; all loads come before all stores, so any overlap is fine. */
static inline void copy_small(unsigned char *to, const unsigned char *from, size_t n)
{
    if (n >= 16) {
        uint64_t a = *(const word64 *)from, b = *(const word64 *)(from + 8);
        uint64_t c = *(const word64 *)(from + n - 16), d = *(const word64 *)(from + n - 8);
        *(word64 *)to = a;
        *(word64 *)(to + 8) = b;
        *(word64 *)(to + n - 16) = c;
        *(word64 *)(to + n - 8) = d;
    } else if (n >= 8) {
        uint64_t a = *(const word64 *)from, b = *(const word64 *)(from + n - 8);
        *(word64 *)to = a;
        *(word64 *)(to + n - 8) = b;
    } else if (n >= 4) {
        uint32_t a = *(const word32 *)from, b = *(const word32 *)(from + n - 4);
        *(word32 *)to = a;
        *(word32 *)(to + n - 4) = b;
    } else if (n >= 2) {
        uint16_t a = *(const word16 *)from, b = *(const word16 *)(from + n - 2);
        *(word16 *)to = a;
        *(word16 *)(to + n - 2) = b;
    } else if (n) {
        *to = *from;
    }
}

/* Moves one block of 32 bytes, loads first. */
static inline void copy_block(unsigned char *to, const unsigned char *from)
{
    uint64_t a = *(const word64 *)from, b = *(const word64 *)(from + 8);
    uint64_t c = *(const word64 *)(from + 16), d = *(const word64 *)(from + 24);
    *(word64 *)to = a;
    *(word64 *)(to + 8) = b;
    *(word64 *)(to + 16) = c;
    *(word64 *)(to + 24) = d;
}

/*
 * Copies 32 bytes or more upwards. Right for `to` below `from` with any overlap as well: the tail
 * is loaded before the loop can overwrite it, and no byte is stored twice before it was read.
 */
static inline void copy_up(unsigned char *to, const unsigned char *from, size_t n)
{
    uint64_t tail[4];
    unsigned char *to_tail = to + n - 32;
    copy_block((unsigned char *)tail, from + n - 32);
    if (n < REP_MIN) {
        for (size_t left = n; left > 32; left -= 32, to += 32, from += 32)
            copy_block(to, from);
    } else {
        size_t words = n / 8;
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    }
    copy_block(to_tail, (const unsigned char *)tail);
}

/*
 * Copies 32 bytes or more downwards, for `to` above `from`; the head is loaded before the loop can
 * overwrite it.
 */
static inline void copy_down(unsigned char *to, const unsigned char *from, size_t n)
{
    uint64_t head[4];
    copy_block((unsigned char *)head, from);
    for (size_t left = n; left > 32; left -= 32)
        copy_block(to + left - 32, from + left - 32);
    copy_block(to, (const unsigned char *)head);
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    if (n < 32)
        copy_small(to, from, n);
    else
        copy_up(to, from, n);
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    if (n < 32)
        copy_small(to, from, n);
    else if ((uintptr_t)to - (uintptr_t)from >= n)
        copy_up(to, from, n);
    else
        copy_down(to, from, n);
    return to;
}

void *memset(void *to, int value, size_t n)
{
    unsigned char *p = to;
    uint64_t word = 0x0101010101010101u * (unsigned char)value;
    if (n < 8) {
        while (n)
            p[--n] = (unsigned char)value;
        return to;
    }
    *(word64 *)(p + n - 8) = word;
    size_t words = n / 8;
    if (n < REP_MIN) {
        for (; words; words--, p += 8)
            *(word64 *)p = word;
    } else {
        __asm__ volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(word) : "memory");
    }
    return to;
}

/* Bytes of a word that are 0 have their highest bit set, at least as far as the first of them. */
static inline uint64_t zero_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    return (word - ones) & ~word & ones << 7;
}

/*
 * Looks at whole aligned words, none of which reaches into a page without any of the bytes; those of
 * the first one that lie in front of the area are made to differ.
 */
void *memchr(const void *area, int value, size_t n)
{
    const uint64_t wanted = 0x0101010101010101u * (unsigned char)value;
    size_t before = (uintptr_t)area % sizeof(wanted);
    const unsigned char *at = (const unsigned char *)area - before;
    const unsigned char *end = (const unsigned char *)area + n;
    if (n == 0)
        return NULL;
    uint64_t equal = zero_bytes((*(const word64 *)at ^ wanted) | ((UINT64_C(1) << 8 * before) - 1));
    if (end < (const unsigned char *)area)
        end = (const unsigned char *)UINTPTR_MAX;
    while (equal == 0) {
        at += sizeof(wanted);
        if (at >= end)
            return NULL;
        equal = zero_bytes(*(const word64 *)at ^ wanted);
    }
    at += __builtin_ctzll(equal) / 8;
    return at < end ? (void *)(uintptr_t)at : NULL;
}
