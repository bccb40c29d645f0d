/*
 * trap.c - descriptor tables: GDT, TSS with its interrupt stacks, IDT; and the fork between
 * exceptions and interrupts.
 *
 * Owns the table of stacks. What an exception looks like to the reader is crash.c's business, what
 * an interrupt means is irq.c's. Intel SDM volume 3, chapters 3.4, 6.14 and 8.7.
 */
#include "arch/x86_64/trap.h"

#include "machine.h"

#include "arch/x86_64/mem.h"

#define VECTORS 256
#define ENTRY_BYTES 16
#define SELECTOR_CODE 8
#define GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off on entry */
#define TSS_AVAILABLE 0x89

/* Which interrupt stack, numbered as the TSS does. */
enum { IST_FATAL = 1, IST_NMI, IST_EXCEPTION, IST_INTERRUPT };

#define VECTOR_NMI 2
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_MACHINE_CHECK 18

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct task_state {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern const char trap_entries[];
extern const char main_stack_guard[], main_stack_top[], fatal_stack_guard[], fatal_stack_top[];
extern const char nmi_stack_guard[], nmi_stack_top[], exception_stack_guard[];
extern const char exception_stack_top[], interrupt_stack_guard[], interrupt_stack_top[];
void trap_load_tables(const void *gdt_pointer, const void *idt_pointer);
void trap_handle(const struct trap_frame *frame);

static struct gate idt[VECTORS];
static struct task_state tss;
static uint64_t gdt[5] = {0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0, 0};

const struct stack_bounds *trap_stacks(unsigned *count)
{
    static const struct stack_bounds stacks[] = {
        {"main", (uintptr_t)main_stack_guard, (uintptr_t)main_stack_top},
        {"double fault", (uintptr_t)fatal_stack_guard, (uintptr_t)fatal_stack_top},
        {"NMI", (uintptr_t)nmi_stack_guard, (uintptr_t)nmi_stack_top},
        {"exception", (uintptr_t)exception_stack_guard, (uintptr_t)exception_stack_top},
        {"interrupt", (uintptr_t)interrupt_stack_guard, (uintptr_t)interrupt_stack_top},
    };

    *count = sizeof(stacks) / sizeof(stacks[0]);
    return stacks;
}

static unsigned ist_of(unsigned vector)
{
    if (vector == VECTOR_DOUBLE_FAULT)
        return IST_FATAL;
    if (vector == VECTOR_NMI || vector == VECTOR_MACHINE_CHECK)
        return IST_NMI;
    return vector < TRAP_FIRST_INTERRUPT ? IST_EXCEPTION : IST_INTERRUPT;
}

void trap_init(void)
{
    struct table_pointer gdt_pointer = {sizeof(gdt) - 1, (uintptr_t)gdt};
    struct table_pointer idt_pointer = {sizeof(idt) - 1, (uintptr_t)idt};
    uint64_t tss_address = (uintptr_t)&tss;

    tss.ist[IST_FATAL - 1] = (uintptr_t)fatal_stack_top;
    tss.ist[IST_NMI - 1] = (uintptr_t)nmi_stack_top;
    tss.ist[IST_EXCEPTION - 1] = (uintptr_t)exception_stack_top;
    tss.ist[IST_INTERRUPT - 1] = (uintptr_t)interrupt_stack_top;
    tss.io_map = sizeof(tss);
    gdt[3] = (sizeof(tss) - 1) | (tss_address & 0xffffff) << 16 | (uint64_t)TSS_AVAILABLE << 40 |
             (tss_address >> 24 & 0xff) << 56;
    gdt[4] = tss_address >> 32;

    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t entry = (uintptr_t)trap_entries + (uint64_t)vector * ENTRY_BYTES;

        idt[vector] = (struct gate){
            .offset_low = (uint16_t)entry,
            .selector = SELECTOR_CODE,
            .ist = (uint8_t)ist_of(vector),
            .type = GATE_INTERRUPT,
            .offset_middle = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
    trap_load_tables(&gdt_pointer, &idt_pointer);
}

void trap_handle(const struct trap_frame *frame)
{
    if (frame->vector >= TRAP_FIRST_INTERRUPT)
        irq_dispatch((unsigned)frame->vector);
    else
        crash_report(frame);
}
