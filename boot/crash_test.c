/*
 * crash_test.c - well-known crimes, committed on request by `crash=KIND` or the monitor, so that
 * tests see how each is reported.
 *
 * Owns nothing. Each crime is hidden from the compiler, which would otherwise rightly refuse or
 * remove it. The reports are arch/x86_64/crash.c's.
 */
#include <string.h>

#include "machine.h"
#include "platform.h"

extern char kernel_start[];

static void crash_panic(void)
{
    platform_panic("asked for by the user");
}

/* An address that the compiler cannot reason about. */
static volatile uint8_t *opaque(uintptr_t address)
{
    __asm__("" : "+r"(address));
    return (volatile uint8_t *)address;
}

static void crash_null(void)
{
    *opaque(8) = 1;
}

static void crash_text(void)
{
    *opaque((uintptr_t)kernel_start) = 1;
}

static void crash_data(void)
{
    static uint8_t code[16] = {0xc3};
    void (*function)(void) = (void (*)(void))(uintptr_t)opaque((uintptr_t)code);

    function();
}

static unsigned descend(unsigned depth)
{
    volatile uint8_t frame[1024];

    frame[depth % sizeof(frame)] = (uint8_t)depth;
    if (depth == UINT32_MAX)
        return 0;
    return descend(depth + 1) + frame[0];
}

static void crash_guard(void)
{
    volatile unsigned sink = descend(0);

    (void)sink;
}

static void crash_undefined(void)
{
    __builtin_trap();
}

bool crash_on_purpose(const char *kind)
{
    static const struct {
        const char *kind;
        void (*commit)(void);
    } crimes[] = {
        {"panic", crash_panic}, {"null", crash_null},   {"wx", crash_text},
        {"nx", crash_data},     {"guard", crash_guard}, {"ud", crash_undefined},
    };

    for (unsigned i = 0; i < sizeof(crimes) / sizeof(crimes[0]); i++) {
        if (strcmp(kind, crimes[i].kind) == 0) {
            crimes[i].commit();
            return true;
        }
    }
    return false;
}
