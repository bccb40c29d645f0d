/*
 * trap.h - between the interrupt entries, the interrupt controllers and the crash report. For
 * arch/x86_64/ only.
 */
#ifndef FERRULE_TRAP_H
#define FERRULE_TRAP_H

#include <stdint.h>

/* What trap.S leaves on the stack, lowest address first. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss; /* pushed by the CPU */
};

/* Vectors from here on are interrupts; below lie the CPU's exceptions. */
#define TRAP_FIRST_INTERRUPT 32

/* Runs the handler of an interrupt vector (irq.c). Interrupt context. */
void irq_dispatch(unsigned vector);

/* Reports an exception and ends the machine (crash.c). */
void crash_report(const struct trap_frame *frame) __attribute__((noreturn));

#endif
