/*
 * clock.c - time from the CPU's time stamp counter, calibrated once in at most three milliseconds.
 *
 * Owns platform_now_ns() and platform_wall_ns(). The frequency comes from CPUID when the CPU or hypervisor says it, else from
 * counting against the ACPI power management timer, else the 8254. Intel SDM volume 3, 18.7.3; ACPI 6.4, 4.8.3.3.
 */
#include "arch/x86_64/clock.h"

#include "log.h"
#include "machine.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/cpu.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define PM_TIMER_HZ 3579545u
#define PIT_HZ 1193182u
#define PIT_CHANNEL_0 0x40
#define PIT_COMMAND 0x43
#define PIT_COUNT_ONCE 0x30 /* channel 0, low then high byte, mode 0 */
#define PIT_LATCH 0x00      /* channel 0: hold the count until it is read */

/* A counter outside this is no clock; both bounds are far from any CPU. */
#define TSC_HZ_MIN UINT64_C(100000000)
#define TSC_HZ_MAX UINT64_C(100000000000)

/* Reads of a timer that does not move, before giving up on it: some milliseconds on any machine. */
#define STUCK_READS 20000u
/* The same for a timer that moved before: the span it is measured over, at the fastest read one could think of, many times. */
#define STOPPED_READS 1000000u

extern const uint64_t start_tsc; /* boot/start.S */

static uint64_t tsc_hz;
static const char *source = "none";
/* nanoseconds = ticks * multiplier >> 32 */
static uint64_t multiplier;
static uint64_t wall_at_start_ns;

uint64_t platform_now_ns(void)
{
    uint64_t ticks = cpu_read_tsc() - start_tsc;

    return (uint64_t)((unsigned __int128)ticks * multiplier >> 32);
}

uint64_t platform_wall_ns(void)
{
    return wall_at_start_ns == 0 ? 0 : wall_at_start_ns + platform_now_ns();
}

const char *clock_source(uint64_t *frequency_hz)
{
    *frequency_hz = tsc_hz;
    return source;
}

static bool credible(uint64_t hz)
{
    return hz >= TSC_HZ_MIN && hz <= TSC_HZ_MAX;
}

static uint64_t calibrate_by_cpuid(void)
{
    uint32_t limit = cpu_id_limit(0);
    struct cpuid_registers r;

    /* Leaf 0x40000010: the hypervisor's word, in kHz. */
    if ((cpu_id(1, 0).ecx & 1u << 31) && cpu_id_limit(0x40000000) >= 0x40000010) {
        uint64_t hz = (uint64_t)cpu_id(0x40000010, 0).eax * 1000;

        if (credible(hz))
            return hz;
    }
    /* Leaf 0x15: crystal frequency times a ratio. */
    if (limit >= 0x15) {
        r = cpu_id(0x15, 0);
        if (r.eax != 0 && r.ebx != 0 && r.ecx != 0)
            return (uint64_t)r.ecx * r.ebx / r.eax;
    }
    return 0;
}

/* Waits for the timer's next step, so that the measured span starts and ends on one. False: it does not move. */
static bool pm_timer_step(uint16_t port, uint32_t mask, uint32_t *value)
{
    uint32_t first = pio_read32(port) & mask;

    for (unsigned i = 0; i < STUCK_READS; i++) {
        *value = pio_read32(port) & mask;
        if (*value != first)
            return true;
    }
    return false;
}

static uint64_t calibrate_by_pm_timer(void)
{
    const struct acpi_info *acpi = acpi_info();
    uint32_t mask = acpi->pm_timer_is_32bit ? UINT32_MAX : 0xffffff;
    const uint32_t span = PM_TIMER_HZ / 500; /* 2 ms */
    uint32_t first, now;
    uint64_t tsc_first;
    unsigned reads = 0;

    if (acpi->pm_timer_port == 0 || !pm_timer_step(acpi->pm_timer_port, mask, &first))
        return 0;
    tsc_first = cpu_read_tsc();
    do {
        now = pio_read32(acpi->pm_timer_port) & mask;
        if (++reads == STOPPED_READS)
            return 0;
    } while (((now - first) & mask) < span);
    return (cpu_read_tsc() - tsc_first) * PM_TIMER_HZ / ((now - first) & mask);
}

static unsigned pit_count(void)
{
    unsigned low;

    pio_write8(PIT_COMMAND, PIT_LATCH);
    low = pio_read8(PIT_CHANNEL_0);
    return low | (unsigned)pio_read8(PIT_CHANNEL_0) << 8;
}

/* Channel 0 and not 2, whose gate needs a port that small machines do not have. Its interrupt is masked. */
static uint64_t calibrate_by_pit(void)
{
    const unsigned span = PIT_HZ / 500; /* 2 ms */
    unsigned first, elapsed;
    uint64_t tsc_first;
    unsigned reads = 0;

    pio_write8(PIT_COMMAND, PIT_COUNT_ONCE);
    pio_write8(PIT_CHANNEL_0, 0xff);
    pio_write8(PIT_CHANNEL_0, 0xff);
    first = pit_count();
    tsc_first = cpu_read_tsc();
    do {
        elapsed = (first - pit_count()) & 0xffff;
        if (++reads == STUCK_READS)
            return 0;
    } while (elapsed < span);
    return (cpu_read_tsc() - tsc_first) * PIT_HZ / elapsed;
}

static void calibrate(void)
{
    static const struct {
        const char *name;
        uint64_t (*measure)(void);
    } methods[] = {
        {"CPUID", calibrate_by_cpuid},
        {"the ACPI timer", calibrate_by_pm_timer},
        {"the PIT", calibrate_by_pit},
    };

    for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        tsc_hz = methods[i].measure();
        if (credible(tsc_hz)) {
            source = methods[i].name;
            return;
        }
    }
    tsc_hz = NS_PER_SECOND;
    source = "a guess";
    log_warn("clock: nothing to calibrate the CPU's counter with, taking it for 1 GHz");
}

void clock_init(void)
{
    uint64_t wall_ns;

    calibrate();
    multiplier = (uint64_t)(((unsigned __int128)NS_PER_SECOND << 32) / tsc_hz);
    wall_ns = kvmclock_read_ns();
    if (wall_ns == 0)
        wall_ns = rtc_read_ns();
    if (wall_ns == 0)
        log_warn("clock: no wall clock, files get no dates");
    else
        wall_at_start_ns = wall_ns - platform_now_ns();
}
