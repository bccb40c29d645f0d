/*
 * machine.h - bring-up: the steps boot/main.c takes one after the other, and the orderly end.
 *
 * Owns the order's vocabulary only: each step is implemented where its subject lives (arch/x86_64/,
 * boot/). For boot/ and libc's exit; drivers and applications use platform.h. All steps run once,
 * in loop context with interrupts disabled, in the order in which they stand here. Read boot/main.c
 * next.
 */
#ifndef FERRULE_MACHINE_H
#define FERRULE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bootinfo; /* boot/bootinfo.h */

/*
 * The serial port. Bytes go out as they are, in any context, also to the debug port; without a UART
 * only there. serial_read() gives the next byte or -1. boot/console.c is who uses it.
 */
void serial_init(void);
bool serial_present(void);
void serial_write(const char *text, size_t len);
int serial_read(void);

/* Keeps the command line for platform_cmdline(); `cmdline` must live for ever. */
void platform_set_cmdline(const char *cmdline);

/* Exceptions are reported from here on instead of restarting the machine. */
void trap_init(void);

/* The page allocator, then the final page tables with their rights. Panics when memory is too small
 * to go on. */
void memory_init(const struct bootinfo *info);
void paging_init(void);

/* ACPI tables from `rsdp` (0: not known, there is no ACPI then). Every later step copes with what
 * is missing. */
void acpi_init(uint64_t rsdp);

/* Calibrates the time stamp counter and reads the wall clock. */
void clock_init(void);
/* How the clock was calibrated, in words, and its frequency. */
const char *clock_source(uint64_t *frequency_hz);

/* Local APIC, timer and I/O APIC. False: no interrupts at all, everything has to be polled. */
bool irq_init(void);

/* Thread-local storage for libc's errno and its like. Panics without memory. */
void tls_init(void);

/*
 * Sets SSE's control register. From here on code may use it; what comes before is whole-number code
 * only and also runs where a hypervisor emulates instructions and knows no SSE.
 */
void fpu_init(void);

/*
 * The power button, if the machine has one that can be listened to, requests a stop; and a crash
 * can be told to the hypervisor. After pci_enumerate().
 */
void power_init(void);
/* Was it the button that requested the stop? */
bool power_button_pressed(void);

/* From now on what comes in wakes platform_wait() and the source `reader`. False: the port has to be
 * polled. */
struct loop_source;
bool serial_enable_interrupts(struct loop_source *reader);
/* Has such an interrupt brought something that serial_read() can give? Costs no look at hardware. */
bool serial_pending(void);

/* The CPU's name as it calls itself, NUL-terminated. */
void cpu_name(char name[49]);

/*
 * The orderly end: stops the network, unmounts, resets the devices, then platform_exit(status).
 * What libc's _exit calls and what main does when app_main returned. A second call from within the
 * first goes straight to platform_exit().
 */
void machine_end(int status) __attribute__((noreturn));

/* The same end, then a restart instead of the power off. */
void machine_restart(void) __attribute__((noreturn));

/* Commits one of a few well-known crimes, to test how they are reported; returns false for an
 * unknown name. */
bool crash_on_purpose(const char *kind);

/* A line-oriented monitor on the console, as a source of the event loop. */
void monitor_start(void);

/* Writes one log line a PCI function: what it is and who drives it, or why nobody does. */
void pci_log_functions(void);

#endif
