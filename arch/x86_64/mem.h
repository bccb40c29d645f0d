/*
 * mem.h - the physical side of memory, for arch/x86_64/ only: the boot map, page tables' pages,
 * mappings on demand, stacks.
 *
 * The portable contract is include/memory.h. Read mem.c, then paging.c.
 */
#ifndef FERRULE_MEM_H
#define FERRULE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bootinfo;

/* The boot loader's map, as memory_init() got it. */
const struct bootinfo *memory_boot_map(void);

/*
 * One zeroed page below 4 GiB, which the first page tables can reach as well; NULL when there is
 * none. Never freed.
 */
void *memory_table_alloc(void);

enum paging_kind {
    PAGING_DEVICE,   /* registers: writable, uncached, never executable */
    PAGING_FIRMWARE, /* tables that firmware left: read-only, cached */
};

/*
 * Maps [address, address + length) one to one. Repeating it is cheap. Returns 0, -EINVAL for a
 * range the CPU cannot address, -EBUSY when part of it is mapped as something else (RAM, or the
 * kernel), -ENOMEM.
 */
int paging_map(uint64_t address, uint64_t length, enum paging_kind kind);

/* Where the physical addresses that this CPU can form end, as far as they can be mapped. */
uint64_t paging_limit(void);

/*
 * Takes a page of RAM out of the mapping, so that touching it is a fault, or puts it back. Returns
 * 0, or -ENOMEM; never fails for a page that was taken out before.
 */
int paging_set_guard(uint64_t address, bool on);

/* True when the byte at `address` can be read without a fault. Any context. */
bool paging_readable(uint64_t address);

/* A stack, and the unmapped page below it. */
struct stack_bounds {
    const char *name;
    uint64_t guard; /* the guard page's address; the stack follows it */
    uint64_t top;
};

/* All stacks of the kernel but those of threads; `*count` of them. */
const struct stack_bounds *trap_stacks(unsigned *count);

/* The stack of a thread in which, or in whose guard page, `address` lies; NULL: none. Any context. */
const struct stack_bounds *thread_context_stack_at(uint64_t address);

#endif
