/*
 * platform_arch.h - the inline half of platform.h for the kernel: device addresses, registers,
 * ports, busy-wait hint.
 *
 * Memory is mapped one to one, so an address is the same number for the CPU and for a device; this
 * file is the only place that says so. Included by platform.h only.
 */
#ifndef FERRULE_PLATFORM_ARCH_H
#define FERRULE_PLATFORM_ARCH_H

static inline dma_addr_t platform_dma_map(const void *memory, size_t len,
                                          enum dma_direction direction)
{
    (void)len;
    (void)direction;
    return (dma_addr_t)(uintptr_t)memory;
}

static inline void platform_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    (void)addr;
    (void)len;
    (void)direction;
}

/* Plain moves in assembly: a volatile access could legally be split or widened by the compiler, an
 * instruction cannot. */
#define FERRULE_MMIO(bits, suffix, constraint)                                    \
    static inline uint##bits##_t mmio_read##bits(const volatile void *reg)        \
    {                                                                             \
        uint##bits##_t value;                                                     \
        __asm__ volatile("mov" suffix " %1, %0"                                   \
                         : "=" constraint(value)                                  \
                         : "m"(*(const volatile uint##bits##_t *)reg)             \
                         : "memory");                                             \
        return value;                                                             \
    }                                                                             \
    static inline void mmio_write##bits(volatile void *reg, uint##bits##_t value) \
    {                                                                             \
        __asm__ volatile("mov" suffix " %1, %0"                                   \
                         : "=m"(*(volatile uint##bits##_t *)reg)                  \
                         : constraint(value)                                      \
                         : "memory");                                             \
    }
FERRULE_MMIO(8, "b", "q")
FERRULE_MMIO(16, "w", "r")
FERRULE_MMIO(32, "l", "r")
FERRULE_MMIO(64, "q", "r")
#undef FERRULE_MMIO

#define FERRULE_PIO(bits, suffix)                                                       \
    static inline uint##bits##_t pio_read##bits(uint16_t port)                          \
    {                                                                                   \
        uint##bits##_t value;                                                           \
        __asm__ volatile("in" suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");  \
        return value;                                                                   \
    }                                                                                   \
    static inline void pio_write##bits(uint16_t port, uint##bits##_t value)             \
    {                                                                                   \
        __asm__ volatile("out" suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory"); \
    }
FERRULE_PIO(8, "b")
FERRULE_PIO(16, "w")
FERRULE_PIO(32, "l")
#undef FERRULE_PIO

static inline void pio_read16_block(uint16_t port, void *memory, size_t count)
{
    __asm__ volatile("rep insw" : "+D"(memory), "+c"(count) : "d"(port) : "memory");
}

static inline void pio_write16_block(uint16_t port, const void *memory, size_t count)
{
    __asm__ volatile("rep outsw" : "+S"(memory), "+c"(count) : "d"(port) : "memory");
}

static inline void platform_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

#endif
