/*
 * platform.c - the small rest of platform.h: command line, random numbers, the request to stop; and
 * CPU set-up for libc.
 *
 * Owns the thread-local storage block of the only thread and the CPU's name. Intel SDM volume 1,
 * 7.3.17 (RDRAND); the TLS layout is variant II of the x86-64 psABI: the block ends where %fs:0
 * points, and %fs:0 holds its own address.
 */
#include "platform.h"

#include <string.h>

#include "machine.h"
#include "memory.h"
#include "rng/random.h"

#include "arch/x86_64/cpu.h"

#define CPUID_RDRAND (1u << 30)
#define RDRAND_ATTEMPTS 10

static const char *cmdline = "";
static volatile bool stop_requested;

void platform_set_cmdline(const char *text)
{
    cmdline = text;
}

const char *platform_cmdline(void)
{
    return cmdline;
}

bool platform_stop_requested(void)
{
    return stop_requested;
}

void platform_request_stop(void)
{
    stop_requested = true;
}

bool platform_cpu_random(uint64_t *value)
{
    static bool asked, present;
    bool valid = false;

    /* Once: a hypervisor has to be asked for each CPUID. */
    if (!asked)
        present = cpu_id(1, 0).ecx & CPUID_RDRAND;
    asked = true;
    if (!present)
        return false;
    for (int i = 0; i < RDRAND_ATTEMPTS && !valid; i++)
        __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(valid));
    return valid;
}

uint64_t platform_random(void)
{
    return random_u64();
}

void fpu_init(void)
{
    const uint32_t default_control = 0x1f80; /* all exceptions masked, round to nearest */

    __asm__ volatile("ldmxcsr %0" : : "m"(default_control));
}

void cpu_name(char name[49])
{
    memset(name, 0, 49);
    if (cpu_id_limit(0x80000000) < 0x80000004) {
        strcpy(name, "unnamed CPU");
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid_registers r = cpu_id(0x80000002 + i, 0);

        memcpy(name + 16 * i, &r, sizeof(r));
    }
}
