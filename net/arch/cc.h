/*
 * cc.h - what lwIP asks of the compiler and of the machine underneath it.
 *
 * Owns the mapping of lwIP's port macros to platform.h. Options are in net/lwipopts.h, the
 * functions named here in net/lwip_port.c. Read lwipopts.h next.
 */
#ifndef FERRULE_NET_ARCH_CC_H
#define FERRULE_NET_ARCH_CC_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "platform.h"

/* newlib's <sys/types.h> defines ssize_t without the limit by which lwIP would notice. */
#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX
#endif

typedef uint32_t sys_prot_t;

#define LWIP_RAND() ((uint32_t)platform_random())

/* One instruction each, where lwIP has a function. */
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

/* An assertion of lwIP is about its own lists and buffers: going on would write through a broken
 * pointer. */
#define LWIP_PLATFORM_ASSERT(message) lwip_assertion_failed(message)
void lwip_assertion_failed(const char *message) __attribute__((noreturn, cold));

/* An error of lwIP that it can return from; the caller gets the error code. */
#define LWIP_ERROR(message, expression, handler) \
    do {                                         \
        if (!(expression)) {                     \
            lwip_report_error(message);          \
            handler;                             \
        }                                        \
    } while (0)
void lwip_report_error(const char *message);

#define LWIP_PLATFORM_DIAG(arguments) lwip_diagnostic arguments
void lwip_diagnostic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The internet checksum in machine order, 32 bytes a step; see net/frame.h. */
uint16_t frame_checksum(const void *data, int len);
#define LWIP_CHKSUM frame_checksum

#endif
