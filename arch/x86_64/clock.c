/*
 * clock.c - time from the CPU's time stamp counter, calibrated once in about a millisecond.
 *
 * Owns platform_now_ns() and platform_wall_ns(). The frequency comes from CPUID or kvmclock when
 * the CPU or hypervisor says it, else from counting against the ACPI power management timer, else
 * the 8254. Intel SDM volume 3, 18.7.3; ACPI 6.4, 4.8.3.3.
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
#define PIT_LATCH_STATUS 0xe2
#define PIT_STATUS_OUTPUT 0x80
#define PIT_ATTEMPTS 5

/* A counter outside this is no clock; both bounds are far from any CPU. */
#define TSC_HZ_MIN UINT64_C(100000000)
#define TSC_HZ_MAX UINT64_C(100000000000)

#define SAMPLE_READS 5
/* So many equal readings in a row come from no timer. */
#define STUCK_READS 20000u

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

void platform_set_wall_ns(uint64_t wall_ns)
{
    wall_at_start_ns = wall_ns - platform_now_ns();
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

/* A reference timer's count, which goes up, and the time stamp counter at that moment. */
struct sample {
    uint32_t count;
    uint64_t tsc;
};

/*
 * Reads the timer between two looks at the counter, some times over, and believes the quickest
 * reading: a hypervisor may take the CPU away for milliseconds in the middle of any other.
 */
static struct sample take_sample(uint32_t (*read_timer)(void))
{
    struct sample best = {0, 0};
    uint64_t best_width = UINT64_MAX;

    for (int i = 0; i < SAMPLE_READS; i++) {
        uint64_t before = cpu_read_tsc();
        uint32_t count = read_timer();
        uint64_t width = cpu_read_tsc() - before;

        if (width < best_width) {
            best_width = width;
            best = (struct sample){count, before + width / 2};
        }
    }
    return best;
}

/* Counts both for about a millisecond, good for 0.1 %. 0: the timer stands still. */
static uint64_t measure(uint32_t (*read_timer)(void), uint32_t mask, uint32_t timer_hz)
{
    struct sample first = take_sample(read_timer);
    struct sample last;
    uint32_t previous = first.count;
    unsigned unchanged = 0;

    for (;;) {
        uint32_t now = read_timer();

        if (((now - first.count) & mask) >= timer_hz / 1000)
            break;
        unchanged = now == previous ? unchanged + 1 : 0;
        if (unchanged == STUCK_READS)
            return 0;
        previous = now;
    }
    last = take_sample(read_timer);
    return (last.tsc - first.tsc) * timer_hz / ((last.count - first.count) & mask);
}

static uint32_t read_pm_timer(void)
{
    return pio_read32(acpi_info()->pm_timer_port);
}

static uint64_t calibrate_by_pm_timer(void)
{
    if (acpi_info()->pm_timer_port == 0)
        return 0;
    return measure(read_pm_timer, acpi_info()->pm_timer_is_32bit ? UINT32_MAX : 0xffffff,
                   PM_TIMER_HZ);
}

/* Its count goes down. */
static uint32_t read_pit(void)
{
    uint32_t low;

    pio_write8(PIT_COMMAND, PIT_LATCH);
    low = pio_read8(PIT_CHANNEL_0);
    return 0xffff - (low | (uint32_t)pio_read8(PIT_CHANNEL_0) << 8);
}

/* Channel 0, not 2, whose gate needs a port that small machines lack. Its interrupt is masked. */
static uint64_t calibrate_by_pit(void)
{
    for (int i = 0; i < PIT_ATTEMPTS; i++) {
        uint64_t hz;

        pio_write8(PIT_COMMAND, PIT_COUNT_ONCE);
        pio_write8(PIT_CHANNEL_0, 0xff);
        pio_write8(PIT_CHANNEL_0, 0xff);
        hz = measure(read_pit, 0xffff, PIT_HZ);
        /* Its 16 bits last for 55 ms. The output says whether they ran over meanwhile. */
        pio_write8(PIT_COMMAND, PIT_LATCH_STATUS);
        if (!(pio_read8(PIT_CHANNEL_0) & PIT_STATUS_OUTPUT))
            return hz;
    }
    return 0;
}

static void calibrate(void)
{
    static const struct {
        const char *name;
        uint64_t (*measure)(void);
    } methods[] = {
        {"CPUID", calibrate_by_cpuid},
        {"kvmclock", kvmclock_tsc_hz},
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
