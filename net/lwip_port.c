/*
 * lwip_port.c - the machine's side of lwIP besides its network interfaces: memory, time,
 * diagnostics.
 *
 * lwIP's data comes from the C heap, but only up to a share of the memory there was at boot: peers
 * decide how much TCP has to keep, and must not be able to starve files and applications. Network
 * interfaces are in lwip_netif.c.
 */
#include "net/lwip_port.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/opt.h"
#include "lwip/sys.h"
#include "lwip_hooks.h"

#include "log.h"
#include "net/siphash.h"
#include "platform.h"

/* lwIP may have one part in this many of the memory that is free when it starts. */
#define HEAP_SHARE 2u

/* A connection's window and send buffer may each be one part in this many of that memory, and at
 * most so large. */
#define WINDOW_SHARE 64u
#define WINDOW_MAX (1024u * 1024u)

/*
 * The last part of the limit is for small requests, which keep the stack going: a SYN's answer, a
 * connection's state. Data, which comes in larger ones, can wait.
 */
#define HEAP_RESERVE_SHARE 8u
#define HEAP_SMALL 512u

/* RFC 6528: the clock behind initial sequence numbers ticks every four microseconds. */
#define ISN_TICK_NS 4000u

/*
 * Most requests are for a packet that is freed as soon as it was sent: headers, or a segment with its
 * headers. A few blocks of either size are kept for the next ones, at no cost in the heap.
 */
#define SPARE_MAX 16u

#define BYTE_ONES 0x0101010101010101u

/* In front of what lwIP gets. */
struct block {
    size_t size;        /* of what it gets */
    struct block *next; /* while it is spare */
};

static struct {
    size_t least, size; /* for requests of more than `least` bytes */
    struct block *first;
    unsigned spare;
} classes[] = {{.least = 0, .size = 256}, {.least = 1024, .size = 1792}};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))

static struct lwip_port_stats stats;
static uint64_t isn_key[2];

unsigned lwip_port_tcp_extra;

void lwip_port_init(void)
{
    uint64_t total, available;
    platform_memory(&total, &available);
    stats.limit = available / HEAP_SHARE;
    uint64_t window = available / WINDOW_SHARE < WINDOW_MAX ? available / WINDOW_SHARE : WINDOW_MAX;
    lwip_port_tcp_extra = window > TCP_WND ? (unsigned)(window - TCP_WND) : 0;
    isn_key[0] = platform_random();
    isn_key[1] = platform_random();
}

const struct lwip_port_stats *lwip_port_stats(void)
{
    return &stats;
}

/* The size of the blocks that a request is met from, or 0: one of its own. */
static unsigned size_class(size_t size)
{
    unsigned i = 0;
    while (i < CLASSES && size > classes[i].size)
        i++;
    return i < CLASSES && size > classes[i].least ? i : CLASSES;
}

static struct block *take_block(size_t *size)
{
    unsigned i = size_class(*size);
    if (i < CLASSES) {
        struct block *block = classes[i].first;
        *size = classes[i].size;
        if (block != NULL) {
            classes[i].first = block->next;
            classes[i].spare--;
            return block;
        }
    }
    return malloc(sizeof(struct block) + *size);
}

void *lwip_port_malloc(size_t size)
{
    size_t limit = stats.limit;
    if (size > HEAP_SMALL)
        limit -= limit / HEAP_RESERVE_SHARE;
    struct block *block =
        stats.used <= limit && size <= limit - stats.used ? take_block(&size) : NULL;
    if (block == NULL) {
        stats.refused++;
        return NULL;
    }
    block->size = size;
    stats.used += size;
    /* The block may be a little larger than what was asked for. */
    if (stats.used > stats.limit)
        stats.limit = stats.used;
    if (stats.used > stats.peak)
        stats.peak = stats.used;
    return block + 1;
}

void *lwip_port_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *memory = lwip_port_malloc(count * size);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

void lwip_port_free(void *memory)
{
    struct block *block = (struct block *)memory - 1;
    unsigned i = size_class(block->size);
    stats.used -= block->size;
    if (i == CLASSES || classes[i].spare == SPARE_MAX) {
        free(block);
        return;
    }
    classes[i].spare++;
    block->next = classes[i].first;
    classes[i].first = block;
}

/* lwIP's clock: milliseconds, wraps. */
u32_t sys_now(void)
{
    return (u32_t)(platform_now_ns() / 1000000u);
}

/* Bytes of a word that are 0 have their highest bit set, at least as far as the first of them. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - BYTE_ONES) & ~word & BYTE_ONES << 7;
}

/* The first NUL or `c`, or the end. */
static const char *find_or_nul(const char *at, const char *end, char c)
{
    const uint64_t wanted = BYTE_ONES * (uint8_t)c;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t hits = zero_bytes(word) | zero_bytes(word ^ wanted);
        if (hits != 0)
            return at + __builtin_ctzll(hits) / 8;
    }
    while (at < end && *at != '\0' && *at != c)
        at++;
    return at;
}

/* `token` in the first n bytes of `buffer`, of which only those before a NUL count. */
char *lwip_port_strnstr(const char *buffer, const char *token, size_t n)
{
    const char *at = buffer, *end = buffer + n;
    for (; (at = find_or_nul(at, end, token[0])) < end && *at != '\0'; at++) {
        size_t same = 1;
        while (token[same] != '\0' && same < (size_t)(end - at) && at[same] == token[same])
            same++;
        if (token[same] == '\0')
            return (char *)(uintptr_t)at;
    }
    return NULL;
}

/*
 * RFC 6528, 3: a clock plus a keyed hash of the connection's four numbers, so that numbers of one
 * connection grow and those of another cannot be guessed.
 */
uint32_t lwip_port_isn(const ip_addr_t *local_ip, uint16_t local_port, const ip_addr_t *remote_ip,
                       uint16_t remote_port)
{
    struct {
        ip6_addr_t local, remote;
        uint16_t local_port, remote_port;
        uint32_t type;
    } connection;
    memset(&connection, 0, sizeof(connection));
    connection.type = IP_GET_TYPE(local_ip);
    if (IP_IS_V6(local_ip)) {
        connection.local = *ip_2_ip6(local_ip);
        connection.remote = *ip_2_ip6(remote_ip);
    } else {
        connection.local.addr[0] = ip_2_ip4(local_ip)->addr;
        connection.remote.addr[0] = ip_2_ip4(remote_ip)->addr;
    }
    connection.local_port = local_port;
    connection.remote_port = remote_port;
    return (uint32_t)siphash(isn_key, &connection, sizeof(connection)) +
           (uint32_t)(platform_now_ns() / ISN_TICK_NS);
}

/* One argument, since there are hundreds of calls; the backtrace says where it was. */
void lwip_assertion_failed(const char *message)
{
    platform_panic("lwIP: %s", message);
}

void lwip_report_error(const char *message)
{
    stats.errors++;
    log_debug("lwIP: %s", message);
}

void lwip_diagnostic(const char *format, ...)
{
    char line[160];
    va_list args;
    va_start(args, format);
    format_text_v(line, sizeof(line), format, args);
    va_end(args);
    line[strcspn(line, "\r\n")] = '\0';
    log_debug("lwIP: %s", line);
}
