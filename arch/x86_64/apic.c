/*
 * apic.c - the local APIC: end of interrupt, and a one-shot timer calibrated against the clock.
 *
 * Owns the xAPIC register page, or the x2APIC registers when firmware left that mode on. The 8259
 * pair is moved out of the way and masked here, since its vectors would otherwise look like CPU
 * exceptions. Intel SDM volume 3, chapter 10. Read ioapic.c next.
 */
#include "arch/x86_64/apic.h"

#include "log.h"
#include "platform.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/mem.h"

#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define APIC_BASE_ADDRESS UINT64_C(0xffffff000)
#define MSR_X2APIC 0x800

#define REG_ID 0x20
#define REG_TASK_PRIORITY 0x80
#define REG_EOI 0xb0
#define REG_SPURIOUS 0xf0
#define REG_LVT_TIMER 0x320
#define REG_LVT_LINT0 0x350
#define REG_LVT_LINT1 0x360
#define REG_LVT_ERROR 0x370
#define REG_INITIAL_COUNT 0x380
#define REG_CURRENT_COUNT 0x390
#define REG_DIVIDE 0x3e0

#define SPURIOUS_APIC_ON 0x100
#define LVT_MASKED 0x10000
#define LVT_NMI 0x400
#define DIVIDE_BY_16 0x3

#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define PIC1_VECTOR 0x20
#define PIC2_VECTOR 0x28

#define CALIBRATION_NS 300000
#define SAMPLE_READS 5

static uintptr_t registers;   /* 0: x2APIC mode */
static uint64_t ticks_per_ns; /* times 2^32 */

static uint32_t apic_read(unsigned reg)
{
    if (registers == 0)
        return (uint32_t)cpu_read_msr(MSR_X2APIC + reg / 16);
    return mmio_read32((const volatile void *)(registers + reg));
}

static void apic_write(unsigned reg, uint32_t value)
{
    if (registers == 0)
        cpu_write_msr(MSR_X2APIC + reg / 16, value);
    else
        mmio_write32((volatile void *)(registers + reg), value);
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(REG_ID);

    return registers == 0 ? id : id >> 24;
}

void apic_end_of_interrupt(void)
{
    apic_write(REG_EOI, 0);
}

static void pic_disable(void)
{
    pio_write8(PIC1_COMMAND, 0x11); /* ICW1: initialise, ICW4 follows */
    pio_write8(PIC2_COMMAND, 0x11);
    pio_write8(PIC1_DATA, PIC1_VECTOR);
    pio_write8(PIC2_DATA, PIC2_VECTOR);
    pio_write8(PIC1_DATA, 0x04); /* the second one hangs on input 2 */
    pio_write8(PIC2_DATA, 0x02);
    pio_write8(PIC1_DATA, 0x01); /* 8086 mode */
    pio_write8(PIC2_DATA, 0x01);
    pio_write8(PIC1_DATA, 0xff);
    pio_write8(PIC2_DATA, 0xff);
}

/*
 * The timer's count and the time it was read at: the quickest of some readings, since a hypervisor
 * may take the CPU away in between.
 */
static uint32_t timer_sample(uint64_t *sampled_ns)
{
    uint32_t best = 0;
    uint64_t best_width_ns = UINT64_MAX;

    for (int i = 0; i < SAMPLE_READS; i++) {
        uint64_t before_ns = platform_now_ns();
        uint32_t count = apic_read(REG_CURRENT_COUNT);
        uint64_t width_ns = platform_now_ns() - before_ns;

        if (width_ns < best_width_ns) {
            best_width_ns = width_ns;
            best = count;
            *sampled_ns = before_ns + width_ns / 2;
        }
    }
    return best;
}

static void timer_calibrate(void)
{
    uint64_t start_ns, end_ns;
    uint32_t start, end;

    apic_write(REG_DIVIDE, DIVIDE_BY_16);
    apic_write(REG_INITIAL_COUNT, UINT32_MAX);
    start = timer_sample(&start_ns);
    while (platform_now_ns() - start_ns < CALIBRATION_NS)
        platform_relax();
    end = timer_sample(&end_ns);
    apic_write(REG_INITIAL_COUNT, 0);
    ticks_per_ns = ((uint64_t)(start - end) << 32) / (end_ns - start_ns);
    if (ticks_per_ns == 0)
        ticks_per_ns = 1;
}

bool apic_init(uint8_t timer_vector, uint8_t spurious_vector)
{
    uint64_t base;

    pic_disable();
    if (!(cpu_id(1, 0).edx & 1u << 9))
        return false;
    base = cpu_read_msr(MSR_APIC_BASE);
    if (!(base & APIC_BASE_ENABLE)) {
        base |= APIC_BASE_ENABLE;
        cpu_write_msr(MSR_APIC_BASE, base);
    }
    if (!(base & APIC_BASE_X2APIC)) {
        registers = (uintptr_t)(base & APIC_BASE_ADDRESS);
        if (paging_map(registers, 0x1000, PAGING_DEVICE) < 0)
            return false;
    }
    apic_write(REG_TASK_PRIORITY, 0);
    apic_write(REG_LVT_TIMER, LVT_MASKED);
    apic_write(REG_LVT_LINT0, LVT_MASKED);
    apic_write(REG_LVT_LINT1, LVT_NMI);
    apic_write(REG_LVT_ERROR, LVT_MASKED);
    apic_write(REG_SPURIOUS, SPURIOUS_APIC_ON | spurious_vector);
    timer_calibrate();
    apic_write(REG_LVT_TIMER, timer_vector);
    log_debug("apic: %s, timer %llu kHz", registers == 0 ? "x2APIC" : "xAPIC",
              (unsigned long long)((ticks_per_ns * 1000000) >> 32));
    return true;
}

uint64_t apic_timer_start(uint64_t delay_ns)
{
    const uint64_t longest_ns = UINT64_C(1000000000);
    uint64_t ticks;

    if (delay_ns > longest_ns)
        delay_ns = longest_ns;
    ticks = (uint64_t)((unsigned __int128)delay_ns * ticks_per_ns >> 32);
    if (ticks > UINT32_MAX)
        ticks = UINT32_MAX;
    /* A count of 0 would stop the timer. */
    apic_write(REG_INITIAL_COUNT, ticks == 0 ? 1 : (uint32_t)ticks);
    return delay_ns;
}
