/*
 * platform_arch.h - the inline half of platform.h for a Linux process: device addresses, registers,
 * ports, busy-wait hint.
 *
 * A device address is the pointer's number, but only memory of the arena (dma_arena.c) has one, and
 * every mapping is booked there. Registers are made-up addresses that registers.c looks up.
 * Included by platform.h only. Read hosted/hosted.h next.
 */
#ifndef FERRULE_PLATFORM_ARCH_H
#define FERRULE_PLATFORM_ARCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

dma_addr_t hosted_dma_map(const void *memory, size_t len, enum dma_direction direction);
void hosted_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction);
uint64_t hosted_register_read(uint64_t address, unsigned width);
void hosted_register_write(uint64_t address, unsigned width, uint64_t value);
void hosted_relax(void);

/* Port ranges share the register table; they start here, where no memory register can lie. */
#define HOSTED_PORT_BASE (UINT64_C(1) << 63)

static inline dma_addr_t platform_dma_map(const void *memory, size_t len,
                                          enum dma_direction direction)
{
    return hosted_dma_map(memory, len, direction);
}

static inline void platform_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    hosted_dma_unmap(addr, len, direction);
}

#define FERRULE_MMIO(bits)                                                        \
    static inline uint##bits##_t mmio_read##bits(const volatile void *reg)        \
    {                                                                             \
        return (uint##bits##_t)hosted_register_read((uintptr_t)reg, bits / 8);    \
    }                                                                             \
    static inline void mmio_write##bits(volatile void *reg, uint##bits##_t value) \
    {                                                                             \
        hosted_register_write((uintptr_t)reg, bits / 8, value);                   \
    }
FERRULE_MMIO(8)
FERRULE_MMIO(16)
FERRULE_MMIO(32)
FERRULE_MMIO(64)
#undef FERRULE_MMIO

#define FERRULE_PIO(bits)                                                               \
    static inline uint##bits##_t pio_read##bits(uint16_t port)                          \
    {                                                                                   \
        return (uint##bits##_t)hosted_register_read(HOSTED_PORT_BASE + port, bits / 8); \
    }                                                                                   \
    static inline void pio_write##bits(uint16_t port, uint##bits##_t value)             \
    {                                                                                   \
        hosted_register_write(HOSTED_PORT_BASE + port, bits / 8, value);                \
    }
FERRULE_PIO(8)
FERRULE_PIO(16)
FERRULE_PIO(32)
#undef FERRULE_PIO

static inline void pio_read16_block(uint16_t port, void *memory, size_t count)
{
    for (uint8_t *at = memory; count > 0; count--, at += sizeof(uint16_t)) {
        uint16_t word = pio_read16(port);

        memcpy(at, &word, sizeof(word));
    }
}

static inline void pio_write16_block(uint16_t port, const void *memory, size_t count)
{
    for (const uint8_t *at = memory; count > 0; count--, at += sizeof(uint16_t)) {
        uint16_t word;

        memcpy(&word, at, sizeof(word));
        pio_write16(port, word);
    }
}

static inline void platform_relax(void)
{
    hosted_relax();
}

#endif
