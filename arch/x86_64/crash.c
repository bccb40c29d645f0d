/*
 * crash.c - the last words: exception reports, platform_panic(), and backtraces with function
 * names.
 *
 * Owns the text only; power.c tells the hypervisor and ends the machine. Everything read here may
 * be garbage, so each address is checked against the page tables and the known stacks first, and a
 * fault within the report ends it. Intel SDM volume 3, chapter 6.15. Read power.c next.
 */
#include <string.h>

#include "boot/bootinfo.h"
#include "console.h"
#include "log.h"
#include "machine.h"
#include "memory.h"
#include "platform.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/ksyms.h"
#include "arch/x86_64/mem.h"
#include "arch/x86_64/power.h"
#include "arch/x86_64/trap.h"

#define BACKTRACE_DEPTH 32
#define CODE_BYTES 16
#define SYMBOL_SIZE 64 /* of a function's name, with its NUL; longer ones are cut */

#define VECTOR_INVALID_OPCODE 6
#define VECTOR_PAGE_FAULT 14
#define FAULT_PRESENT 0x01
#define FAULT_WRITE 0x02
#define FAULT_RESERVED 0x08
#define FAULT_FETCH 0x10

extern const char kernel_start[], kernel_text_end[];

static unsigned crash_depth;

/*
 * Announces the report. A fault while one is being written comes here again, and then nothing more
 * is tried.
 */
static void crash_begin(uint64_t rip)
{
    log_set_level(LOG_DEBUG);
    console_panic();
    if (crash_depth++ == 0)
        return;
    if (crash_depth == 2)
        log_error("fault while reporting a fault, at 0x%llx", (unsigned long long)rip);
    power_crash();
}

static bool in_text(uint64_t address)
{
    return address >= (uintptr_t)kernel_start && address < (uintptr_t)kernel_text_end;
}

/* Reads one entry of the table: `*start` and `name` are the ones of the entry before. */
static const uint8_t *next_symbol(const uint8_t *at, uint64_t *start, char name[SYMBOL_SIZE])
{
    unsigned shift = 0, i;

    do {
        *start += (uint64_t)(*at & 0x7f) << shift;
        shift += 7;
    } while (*at++ & 0x80);
    for (i = *at++; *at != '\0'; at++) {
        if (i < SYMBOL_SIZE - 1)
            name[i++] = (char)*at;
    }
    name[i < SYMBOL_SIZE ? i : SYMBOL_SIZE - 1] = '\0';
    return at + 1;
}

/* The last function that starts at or before `address`. False: the table has none. */
static bool symbol_at(uint64_t address, uint64_t *offset, char name[SYMBOL_SIZE])
{
    char next[SYMBOL_SIZE] = "";
    uint64_t start = 0;
    bool found = false;

    if (!in_text(address))
        return false;
    for (const uint8_t *at = ksyms; at < ksyms_end;) {
        at = next_symbol(at, &start, next);
        if (start > address)
            break;
        *offset = address - start;
        memcpy(name, next, SYMBOL_SIZE);
        found = true;
    }
    return found;
}

static void print_address(uint64_t address)
{
    char name[SYMBOL_SIZE];
    uint64_t offset;

    if (symbol_at(address, &offset, name))
        log_info("  0x%08llx %s+0x%llx", (unsigned long long)address, name,
                 (unsigned long long)offset);
    else
        log_info("  0x%08llx", (unsigned long long)address);
}

/* The stack in which, or in whose guard page, `address` lies; NULL: none. */
static const struct stack_bounds *stack_at(uint64_t address)
{
    unsigned count;
    const struct stack_bounds *stacks = trap_stacks(&count);

    for (unsigned i = 0; i < count; i++) {
        if (address >= stacks[i].guard && address < stacks[i].top)
            return &stacks[i];
    }
    return thread_context_stack_at(address);
}

static bool on_a_stack(uint64_t address)
{
    const struct stack_bounds *stack = stack_at(address);

    return stack != NULL && address >= stack->guard + PAGE_SIZE && address + 16 <= stack->top;
}

/*
 * Follows saved frame pointers: [rbp] is the caller's, [rbp + 8] the return address. A zero return
 * address ends the chain.
 */
static void print_backtrace(uint64_t rbp)
{
    for (unsigned depth = 0; depth < BACKTRACE_DEPTH; depth++) {
        const uint64_t *link = (const uint64_t *)(uintptr_t)rbp;

        if (rbp % 8 != 0 || !on_a_stack(rbp) || !in_text(link[1]))
            return;
        /* A return address points behind its call, which may be another function's first byte. */
        print_address(link[1] - 1);
        if (link[0] <= rbp)
            return;
        rbp = link[0];
    }
}

void platform_panic(const char *format, ...)
{
    char reason[200];
    va_list args;

    va_start(args, format);
    format_text_v(reason, sizeof(reason), format, args);
    va_end(args);
    crash_begin((uintptr_t)__builtin_return_address(0));
    log_error("panic: %s", reason);
    log_info("called from:");
    print_backtrace((uintptr_t)__builtin_frame_address(0));
    console_flush();
    power_crash();
}

static const char *exception_name(unsigned vector)
{
    static const char *const names[] = {
        "divide error",
        "debug exception",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "bound range exceeded",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack segment fault",
        "general protection fault",
        "page fault",
        "reserved exception 15",
        "x87 error",
        "alignment check",
        "machine check",
        "SIMD error",
        "virtualization exception",
        "control protection exception",
    };

    return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "reserved exception";
}

/* What a page fault most likely was, told by its address and error code. */
static const char *page_fault_cause(uint64_t address, uint64_t error)
{
    const struct stack_bounds *stack = stack_at(address);

    if (stack != NULL && address - stack->guard < PAGE_SIZE)
        return "stack overflow";
    if (address < PAGE_SIZE)
        return "null pointer";
    if (error & FAULT_RESERVED)
        return "damaged page table";
    if ((error & FAULT_FETCH) && (error & FAULT_PRESENT))
        return "execution of data";
    if ((error & FAULT_WRITE) && (error & FAULT_PRESENT))
        return "write to read-only memory";
    return "nothing is mapped there";
}

static void print_cause(const struct trap_frame *f)
{
    unsigned vector = (unsigned)f->vector;

    if (vector == VECTOR_PAGE_FAULT) {
        uint64_t address = cpu_read_cr2();
        const char *access = f->error & FAULT_FETCH   ? "execute"
                             : f->error & FAULT_WRITE ? "write"
                                                      : "read";

        log_error("panic: page fault: %s at 0x%llx: %s (error code 0x%llx)", access,
                  (unsigned long long)address, page_fault_cause(address, f->error),
                  (unsigned long long)f->error);
        return;
    }
    if (vector == VECTOR_INVALID_OPCODE && paging_readable(f->rip) && paging_readable(f->rip + 1)) {
        const uint8_t *code = (const uint8_t *)(uintptr_t)f->rip;

        /* ud2, and ud1 as clang plants it: how a compiler marks what must never be reached. */
        if (code[0] == 0x0f && (code[1] == 0x0b || code[1] == 0xb9)) {
            log_error("panic: trap instruction: undefined behaviour or unreachable code");
            return;
        }
    }
    log_error("panic: %s (vector %u, error code 0x%llx)", exception_name(vector), vector,
              (unsigned long long)f->error);
}

static void print_code(uint64_t rip)
{
    char text[CODE_BYTES * 3 + 1] = "";

    for (unsigned i = 0; i < CODE_BYTES && paging_readable(rip + i); i++)
        format_text(text + 3 * i, 4, " %02x", ((const uint8_t *)(uintptr_t)rip)[i]);
    log_info("code%s", text[0] != '\0' ? text : " not readable");
}

static void print_registers(const struct trap_frame *f)
{
    const struct {
        const char *name;
        uint64_t value;
    } regs[] = {
        {"rax", f->rax}, {"rbx", f->rbx},    {"rcx", f->rcx},         {"rdx", f->rdx},
        {"rsi", f->rsi}, {"rdi", f->rdi},    {"rbp", f->rbp},         {"rsp", f->rsp},
        {"r8 ", f->r8},  {"r9 ", f->r9},     {"r10", f->r10},         {"r11", f->r11},
        {"r12", f->r12}, {"r13", f->r13},    {"r14", f->r14},         {"r15", f->r15},
        {"rip", f->rip}, {"rfl", f->rflags}, {"cr2", cpu_read_cr2()}, {"cr3", cpu_read_cr3()},
    };

    for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i += 4) {
        log_info("%s %016llx  %s %016llx  %s %016llx  %s %016llx", regs[i].name,
                 (unsigned long long)regs[i].value, regs[i + 1].name,
                 (unsigned long long)regs[i + 1].value, regs[i + 2].name,
                 (unsigned long long)regs[i + 2].value, regs[i + 3].name,
                 (unsigned long long)regs[i + 3].value);
    }
}

#define OPCODE_PUSH_RBP 0x55

/*
 * A function without a frame of its own, or a call through a bad pointer, leaves its return address
 * on top of the stack, where the chain of frame pointers does not show it.
 */
static void print_frameless_caller(const struct trap_frame *f)
{
    char name[SYMBOL_SIZE];
    uint64_t offset = 0, caller;
    bool known = symbol_at(f->rip, &offset, name);

    if (in_text(f->rip) &&
        (!known || *(const uint8_t *)(uintptr_t)(f->rip - offset) == OPCODE_PUSH_RBP))
        return;
    if (f->rsp % 8 != 0 || !on_a_stack(f->rsp))
        return;
    caller = *(const uint64_t *)(uintptr_t)f->rsp;
    if (in_text(caller))
        print_address(caller - 1);
}

void crash_report(const struct trap_frame *frame)
{
    crash_begin(frame->rip);
    print_cause(frame);
    print_registers(frame);
    print_code(frame->rip);
    log_info("at:");
    print_address(frame->rip);
    print_frameless_caller(frame);
    print_backtrace(frame->rbp);
    console_flush();
    power_crash();
}
