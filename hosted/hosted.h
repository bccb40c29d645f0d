/*
 * hosted.h - what a Linux program that runs the kernel's portable code can control and see: memory,
 * time, registers, log.
 *
 * Owns the test's side of platform.h: dma_arena.c (device memory), registers.c (made-up registers),
 * platform_linux.c (clock, wait, log, end). Knows no device. Portable code never includes it. Read
 * device.h for the device at the other end.
 */
#ifndef FERRULE_HOSTED_HOSTED_H
#define FERRULE_HOSTED_HOSTED_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform.h"

/*
 * Everything back to the state of a fresh process: clock at zero and simulated, log empty, no
 * registers, no injected failure. Device memory must have been given back; what was not is a
 * failure that names the size. Call it between tests.
 */
void hosted_reset(void);

/* The same without a look at memory, for a program that keeps some. */
void hosted_rewind(void);

/*
 * The end of a test that found the code under test misbehaving. Calls the hook (which must not
 * return) or, without one, prints and aborts.
 */
void hosted_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void hosted_set_failure_hook(void (*hook)(const char *text));

/* ---- device memory (dma_arena.c) ---- */

/*
 * The descriptor of the file behind all device memory, for a back end in another process, its size,
 * and where it is mapped.
 */
int hosted_dma_fd(void);
void *hosted_dma_base(void);
size_t hosted_dma_size(void);

/* Live allocations and live mappings; both are 0 when everything was given back. */
unsigned hosted_dma_allocations(void);
unsigned hosted_dma_mappings(void);
size_t hosted_dma_allocated_bytes(void);

/* Forgets every allocation and mapping, part of hosted_reset(). Returns whether there was any. */
bool hosted_dma_reset(void);

/* What is allocated now is for ever: it is not counted above, outlives hosted_reset() and is not freed. */
void hosted_dma_keep(void);

/* The nth allocation from now on (1: the next) fails, once. 0: none does. */
void hosted_dma_fail_nth(unsigned nth);

/* The nth mapping from now on is DMA_ADDR_INVALID, once. 0: none is. */
void hosted_dma_fail_map_nth(unsigned nth);

/*
 * From here on device addresses are no pointers (VIRTIO_F_ACCESS_PLATFORM): each mapping gets some
 * that no other had before. Off at first.
 */
void hosted_dma_use_iommu(bool on);

/*
 * From here on the heap can be mapped, too, as on the machine, where all memory is device memory.
 * Off at first.
 */
void hosted_dma_use_heap(bool on);

/*
 * The device's way into memory: the pointer for `len` bytes at `addr`, or NULL unless the driver
 * has mapped all of them for that direction. Under MemorySanitizer bytes for the device to read that
 * nobody has written are a failure: they would tell it what lay there before.
 */
#if defined(__clang__)
#if __has_feature(memory_sanitizer)
#define HOSTED_SEES_UNWRITTEN
#endif
#endif
void *hosted_dma_device_pointer(dma_addr_t addr, size_t len, bool device_writes);

/* ---- time and waiting (platform_linux.c) ---- */

/*
 * The simulated clock advances only by these, by platform_relax() (1 us) and platform_wait() (to
 * its deadline).
 */
void hosted_clock_advance(uint64_t ns);
void hosted_clock_set_relax(uint64_t ns); /* what platform_relax() takes from now on */
void hosted_clock_use_real(void);

/*
 * Code that stands for the world outside: run from every platform_relax() and platform_wait(). At
 * most a few.
 */
void hosted_world_add(void (*run)(void *arg), void *arg);
void hosted_world_remove(void (*run)(void *arg), void *arg);

/*
 * Interrupts are off outside of platform_wait(). A raised one stays pending, once however often it
 * was raised, until hosted_interrupts_deliver(), which platform_wait() calls, runs its handler.
 * Returns how many ran.
 */
void hosted_interrupt_raise(void (*handler)(void *arg), void *arg);
void hosted_interrupt_cancel(void (*handler)(void *arg), void *arg);
unsigned hosted_interrupts_deliver(void);
bool hosted_in_interrupt(void);

/*
 * A file descriptor as a source of interrupts: while it is readable, platform_wait() on the real
 * clock ends, and runs the handler as one (which may remove it). An event added twice is one.
 */
void hosted_event_add(int fd, void (*handler)(void *arg), void *arg);
void hosted_event_remove(int fd);

/* Times that platform_wait() was entered. */
uint64_t hosted_wait_count(void);

/* ---- console and end ---- */

/*
 * What was written to the console since hosted_reset(), NUL-terminated; and how often `text` occurs
 * in it.
 */
const char *hosted_log(void);
unsigned hosted_log_count(const char *text);
void hosted_log_echo(bool on); /* also to stderr */

/*
 * A test that expects platform_panic() or platform_exit() sets a place to continue at; setjmp there
 * returns 1. Without it both end the test. The text of the panic, or NULL.
 */
void hosted_catch_end(jmp_buf *where);
const char *hosted_panic_text(void);

void hosted_set_cmdline(const char *cmdline);

/* As if nobody had asked for a stop (platform_request_stop()). */
void hosted_clear_stop(void);

/* What platform_memory() says; without it, the arena's size and what is free of it. Bytes. */
void hosted_set_memory(uint64_t total, uint64_t available);

/* Whether the CPU has a generator of random numbers; it has one unless told otherwise. */
void hosted_set_cpu_random(bool present);

/* ---- registers (registers.c) ---- */

/* A range of register addresses. `offset` is from its start; `width` is 1, 2, 4 or 8 bytes. */
struct hosted_registers {
    const char *name;
    uint64_t address;
    uint64_t size;
    uint64_t (*read)(void *arg, uint64_t offset, unsigned width);
    void (*write)(void *arg, uint64_t offset, unsigned width, uint64_t value);
    void *arg;
};

/* The structure is copied. An access that lies in no range, or half in one, fails the test. */
void hosted_registers_add(const struct hosted_registers *registers);
void hosted_registers_remove(uint64_t address);
void hosted_registers_reset(void);

/* Accesses so far: proof that a path touched the device, or that it did not. */
uint64_t hosted_register_accesses(void);

#endif
