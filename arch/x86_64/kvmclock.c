/*
 * kvmclock.c - the wall clock as a KVM hypervisor offers it, for machines without a battery clock.
 *
 * Owns the two shared structures, which the hypervisor fills when told their address; they are read once at boot and then
 * given up. Linux' Documentation/virt/kvm/x86/msr.rst describes the layout. Read clock.c first.
 */
#include "arch/x86_64/clock.h"

#include "platform.h"

#include "arch/x86_64/cpu.h"

#define CPUID_KVM_SIGNATURE 0x40000000
#define CPUID_KVM_FEATURES 0x40000001
#define KVM_FEATURE_CLOCKSOURCE2 (1u << 3)
#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
#define SYSTEM_TIME_ENABLE 1
#define READ_ATTEMPTS 1000

/* Wall time at which the system time below was 0. */
struct kvm_wall_clock {
    uint32_t version, seconds, nanoseconds;
};

/* Nanoseconds = system_time + ((tsc - tsc_timestamp) << shift) * multiplier >> 32; version is odd during an update. */
struct kvm_system_time {
    uint32_t version, pad0;
    uint64_t tsc_timestamp, system_time;
    uint32_t multiplier;
    int8_t shift;
    uint8_t flags, pad[2];
};

static struct kvm_wall_clock wall __attribute__((aligned(16)));
static struct kvm_system_time system_time __attribute__((aligned(64)));

static bool offered(void)
{
    struct cpuid_registers r;

    if (!(cpu_id(1, 0).ecx & 1u << 31))
        return false;
    r = cpu_id(CPUID_KVM_SIGNATURE, 0);
    return r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d &&
           r.eax >= CPUID_KVM_FEATURES &&
           (cpu_id(CPUID_KVM_FEATURES, 0).eax & KVM_FEATURE_CLOCKSOURCE2);
}

static uint64_t read_system_time(void)
{
    const volatile struct kvm_system_time *shared = &system_time;

    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint32_t version = shared->version;
        uint64_t delta = cpu_read_tsc() - shared->tsc_timestamp;
        int shift = shared->shift;
        uint64_t base = shared->system_time;
        uint32_t factor = shared->multiplier;

        if ((version & 1) || version == 0 || version != shared->version || shift < -63 || shift > 63)
            continue;
        delta = shift < 0 ? delta >> -shift : delta << shift;
        return base + (uint64_t)((unsigned __int128)delta * factor >> 32);
    }
    return 0;
}

uint64_t kvmclock_read_ns(void)
{
    const volatile struct kvm_wall_clock *shared = &wall;
    uint64_t now = 0;

    if (!offered())
        return 0;
    cpu_write_msr(MSR_KVM_SYSTEM_TIME_NEW, (uintptr_t)&system_time | SYSTEM_TIME_ENABLE);
    cpu_write_msr(MSR_KVM_WALL_CLOCK_NEW, (uintptr_t)&wall);
    if (shared->version != 0 && !(shared->version & 1) && shared->seconds != 0) {
        uint64_t since_boot = read_system_time();

        if (since_boot != 0)
            now = shared->seconds * UINT64_C(1000000000) + shared->nanoseconds + since_boot;
    }
    cpu_write_msr(MSR_KVM_SYSTEM_TIME_NEW, 0);
    return now;
}
