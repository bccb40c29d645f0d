/*
 * platform.h - what the portable code needs from the machine underneath it.
 *
 * Owns the contract for memory that a device may touch, time, waiting, the console and the end of
 * the machine. It does not own PCI (pci.h), interrupts (irq.h) or log lines (log.h). Two
 * implementations exist side by side: arch/x86_64/ (the kernel) and hosted/ (a Linux process). Read
 * pci.h next.
 *
 * Failure policy: a function that can fail says how; all others always succeed. Unless a line says
 * otherwise a function is called in loop context only, never from an interrupt handler.
 */
#ifndef FERRULE_PLATFORM_H
#define FERRULE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address as a device sees it. Equal to the pointer in today's kernel; nothing above this header
 * may rely on that. */
typedef uint64_t dma_addr_t;
#define DMA_ADDR_INVALID (~(dma_addr_t)0)

/* Who writes the memory while it is mapped. */
enum dma_direction {
    DMA_TO_DEVICE,     /* the device reads */
    DMA_FROM_DEVICE,   /* the device writes */
    DMA_BIDIRECTIONAL, /* both, as in a ring */
};

/*
 * Physically contiguous, zeroed memory for rings and buffers. `size` is in bytes, `align` a power
 * of two (at most 2 MiB). The caller owns it until platform_dma_free() with the same size. Returns
 * NULL when memory is short. Set-up time only.
 */
void *platform_dma_alloc(size_t size, size_t align);
void platform_dma_free(void *memory, size_t size);

/*
 * platform_arch.h supplies, as inline functions because they lie on the data path:
 *
 *   dma_addr_t platform_dma_map(const void *memory, size_t len, enum dma_direction direction);
 *       Gives the device access to memory that the caller owns and must not free until
 * platform_dma_unmap(). Returns DMA_ADDR_INVALID when the memory cannot be reached by a device.
 *   void platform_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction);
 *       Takes the access back. After it the device's writes are visible to the caller.
 *   uint8_t  mmio_read8(const volatile void *reg);          and 16, 32, 64
 *   void     mmio_write8(volatile void *reg, uint8_t value); and 16, 32, 64
 *       One device register access of exactly that width, ordered with all other memory accesses of
 * the compiler.
 *   uint8_t  pio_read8(uint16_t port);                       and 16, 32
 *   void     pio_write8(uint16_t port, uint8_t value);       and 16, 32
 *   void     pio_read16_block(uint16_t port, void *memory, size_t count);
 *   void     pio_write16_block(uint16_t port, const void *memory, size_t count);
 *       The same for ports; the last two move `count` words, with one instruction where there is one.
 *   void     platform_relax(void);
 *       One turn of a busy wait: lets a sibling or the hypervisor run.
 */
#include <platform_arch.h>

/* Nanoseconds since boot, monotonic. Any context. */
uint64_t platform_now_ns(void);

/* Nanoseconds since 1970-01-01 UTC, or 0 when the machine has no wall clock. */
uint64_t platform_wall_ns(void);

/* From now on the wall clock goes on from `wall_ns`. Somebody who knows better than the machine says
 * so; the machine's own clock stays as it is. */
void platform_set_wall_ns(uint64_t wall_ns);

#define PLATFORM_NO_DEADLINE UINT64_MAX

/*
 * Sleeps until an interrupt was handled or platform_now_ns() reaches `deadline_ns`
 * (PLATFORM_NO_DEADLINE: no limit). May return early. This is the only place where interrupts are
 * enabled, and enabling them and halting is one step: a device that notified after the caller's
 * last look at its ring ends the wait at once.
 */
void platform_wait(uint64_t deadline_ns);

/* The kernel command line, as the boot loader handed it over; never NULL, lives for ever. */
const char *platform_cmdline(void);

/*
 * 64 random bits (rng/random.h): not to be guessed by an outsider where the CPU has a generator or
 * the machine an entropy device, else mixed from the clocks only.
 */
uint64_t platform_random(void);

/* 64 bits from the CPU's own generator (RDRAND). False: it has none, or had nothing to give. */
bool platform_cpu_random(uint64_t *value);

/* Bytes of memory in all and not handed out now; for reports. */
void platform_memory(uint64_t *total, uint64_t *available);

/* Writes to the console; a line feed goes out as CR LF. Any context. */
void platform_console_write(const char *text, size_t len);

/* The next byte typed at the console, or -1. Never waits. */
int platform_console_read(void);

/*
 * Ends the machine. Status 0 is success: power off. Any other status is passed to whoever started
 * the machine as far as it listens (isa-debug-exit), then power off as well.
 */
void platform_exit(int status) __attribute__((noreturn));

/* Restarts the machine. */
void platform_reboot(void) __attribute__((noreturn));

/*
 * The end for errors in our own logic or while there is no system yet: prints the reason and a
 * backtrace, tells the hypervisor (pvpanic, isa-debug-exit), and ends the machine. Any context.
 * Never for what a device, a disk or the network did.
 */
void platform_panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * True once the power button was pressed or platform_request_stop() was called; the event loop then
 * ends, and app_main with it. Any context.
 */
bool platform_stop_requested(void);
void platform_request_stop(void);

#endif
