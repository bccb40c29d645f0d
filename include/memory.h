/*
 * memory.h - physical pages and the C heap: who owns which part of RAM.
 *
 * RAM is identity mapped. One bitmap knows every page of the boot loader's memory map; single pages
 * and runs are handed out from the top of memory down, and the C heap grows upwards from the end of
 * the kernel image, so both stay physically contiguous and meet only when memory is full.
 * platform_dma_alloc() (platform.h) is the way for drivers.
 */
#ifndef FERRULE_MEMORY_H
#define FERRULE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u

/* A run of `count` pages aligned to `align` bytes (a power of two >= PAGE_SIZE), contents
 * undefined; NULL when there is none. */
void *memory_pages_alloc(size_t count, size_t align);
void memory_pages_free(void *pages, size_t count);

/*
 * Moves the end of the C heap by `bytes` (sbrk): the old end, or NULL when the pages in the way are
 * taken. Called by libc's malloc only.
 */
void *memory_heap_grow(ptrdiff_t bytes);

#endif
