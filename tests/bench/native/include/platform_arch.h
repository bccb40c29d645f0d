/*
 * platform_arch.h - the inline half of platform.h for measurements: as in the kernel, a device
 * address is the pointer's number and costs nothing.
 *
 * Stands in the place of hosted/include/platform_arch.h, which keeps a book of every mapping.
 * Registers and ports are not used: the transport is vhost-user. Included by platform.h only.
 */
#ifndef FERRULE_PLATFORM_ARCH_H
#define FERRULE_PLATFORM_ARCH_H

#include <stddef.h>
#include <stdint.h>

void hosted_relax(void);

static inline dma_addr_t platform_dma_map(const void *memory, size_t len,
                                          enum dma_direction direction)
{
    (void)len;
    (void)direction;
    return (uintptr_t)memory;
}

static inline void platform_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    (void)addr;
    (void)len;
    (void)direction;
}

static inline void platform_relax(void)
{
    hosted_relax();
}

#endif
