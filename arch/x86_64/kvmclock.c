/*
 * kvmclock.c - the wall clock and the counter's frequency, as a KVM hypervisor offers them.
 *
 * Owns the two shared structures, which the hypervisor fills when told their address; they are read
 * once at boot and then given up. Linux' Documentation/virt/kvm/x86/msr.rst describes the layout.
 * Read clock.c first.
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

/*
 * Nanoseconds = system_time + ((tsc - tsc_timestamp) << shift) * multiplier >> 32; version is odd
 * during an update.
 */
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

/* Has the hypervisor fill the structure and takes one consistent copy of it. */
static bool read_system_time(struct kvm_system_time *copy)
{
    const volatile struct kvm_system_time *shared = &system_time;
    bool valid = false;

    cpu_write_msr(MSR_KVM_SYSTEM_TIME_NEW, (uintptr_t)&system_time | SYSTEM_TIME_ENABLE);
    for (int i = 0; i < READ_ATTEMPTS && !valid; i++) {
        uint32_t version = shared->version;

        copy->tsc_timestamp = shared->tsc_timestamp;
        copy->system_time = shared->system_time;
        copy->multiplier = shared->multiplier;
        copy->shift = shared->shift;
        valid = version != 0 && !(version & 1) && version == shared->version &&
                copy->multiplier != 0 && copy->shift > -32 && copy->shift < 32;
    }
    cpu_write_msr(MSR_KVM_SYSTEM_TIME_NEW, 0);
    return valid;
}

uint64_t kvmclock_tsc_hz(void)
{
    struct kvm_system_time time;
    uint64_t hz;

    if (!offered() || !read_system_time(&time))
        return 0;
    hz = (UINT64_C(1000000000) << 32) / time.multiplier;
    return time.shift < 0 ? hz << -time.shift : hz >> time.shift;
}

uint64_t kvmclock_read_ns(void)
{
    const volatile struct kvm_wall_clock *shared = &wall;
    struct kvm_system_time time;
    uint64_t delta;

    if (!offered() || !read_system_time(&time))
        return 0;
    cpu_write_msr(MSR_KVM_WALL_CLOCK_NEW, (uintptr_t)&wall);
    if (shared->version == 0 || (shared->version & 1) || shared->seconds == 0)
        return 0;
    delta = cpu_read_tsc() - time.tsc_timestamp;
    delta = time.shift < 0 ? delta >> -time.shift : delta << time.shift;
    return shared->seconds * UINT64_C(1000000000) + shared->nanoseconds + time.system_time +
           (uint64_t)((unsigned __int128)delta * time.multiplier >> 32);
}
