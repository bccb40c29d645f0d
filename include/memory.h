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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u

/*
 * Who can free pages when an allocation would fail (a balloon): called with the number that is
 * wanted, returns how many it freed; 0: there is nothing more to be had. Never called from within
 * itself. NULL: nobody.
 */
void memory_set_release(size_t (*release)(void *arg, size_t pages), void *arg);

/*
 * Free memory that a hypervisor may have back until it is used again. memory_unreported_take()
 * takes a block of MEMORY_BLOCK_SIZE that is free, aligned to its size, and was used since it was
 * reported last; NULL: there is none. memory_unreported_return() frees it; `reported`: as one that
 * the hypervisor knows of.
 */
#define MEMORY_BLOCK_SIZE (2u << 20)
void *memory_unreported_take(void);
void memory_unreported_return(void *block, bool reported);

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
