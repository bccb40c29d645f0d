/*
 * tls.c - thread-local data: the linker's image of it, copied for each thread.
 *
 * Owns the layout of a block (the ABI's variant II: data first, and behind it the thread pointer,
 * which points at itself). libc's errno and its like live there. Read thread_context.c next.
 */
#include "arch/x86_64/tls.h"

#include <string.h>

#include "machine.h"
#include "memory.h"
#include "platform.h"

#include "arch/x86_64/cpu.h"

extern const char tls_image_start[], tls_image_end[], tls_bss_end[], tls_alignment[];

/*
 * .tbss follows .tdata, and the size of both rounded up to the alignment is where the linker puts
 * the thread pointer.
 */
static size_t data_size(void)
{
    size_t align = (uintptr_t)tls_alignment;
    return ((size_t)(tls_bss_end - tls_image_start) + align - 1) & ~(align - 1);
}

size_t tls_block_size(void)
{
    return data_size() + sizeof(uint64_t);
}

uint64_t tls_block_init(void *block)
{
    size_t image = (size_t)(tls_image_end - tls_image_start);
    uint64_t *self = (uint64_t *)((uint8_t *)block + data_size());

    memset(block, 0, data_size());
    memcpy(block, tls_image_start, image);
    *self = (uintptr_t)self;
    return (uintptr_t)self;
}

void tls_init(void)
{
    size_t pages = (tls_block_size() + PAGE_SIZE - 1) / PAGE_SIZE;
    void *block = memory_pages_alloc(pages, PAGE_SIZE);

    if (block == NULL)
        platform_panic("no memory for thread-local storage");
    cpu_write_msr(MSR_FS_BASE, tls_block_init(block));
}
