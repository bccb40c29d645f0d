/*
 * bootinfo.h - what the boot loader told us, copied and checked: memory, command line, RSDP.
 *
 * Pure parsing over a view of physical memory, so the same code runs in hosted tests. Knows
 * multiboot1, multiboot2 and PVH; does not allocate memory and keeps no pointer into the loader's.
 * Read boot/bootinfo.c, then arch/x86_64/mem.c.
 */
#ifndef FERRULE_BOOTINFO_H
#define FERRULE_BOOTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOTINFO_MAGIC_MULTIBOOT1 0x2badb002
#define BOOTINFO_MAGIC_MULTIBOOT2 0x36d76289
#define BOOTINFO_MAGIC_PVH 0x336ec578

/* Proofs take less. */
#ifndef BOOTINFO_RANGES
#define BOOTINFO_RANGES 128
#endif
#ifndef BOOTINFO_CMDLINE_SIZE
#define BOOTINFO_CMDLINE_SIZE 2048
#endif
#define BOOTINFO_PAGE 4096u

struct bootinfo_range {
    uint64_t start, end; /* end is the first byte after it */
};

struct bootinfo {
    const char *protocol; /* "multiboot1", "multiboot2" or "PVH" */
    char loader[64];      /* its name, or empty */
    char cmdline[BOOTINFO_CMDLINE_SIZE];
    bool cmdline_truncated;

    /*
     * The root pointer of ACPI: a copy (multiboot2 hands over the structure), or its address, or
     * neither.
     */
    uint8_t rsdp_copy[36];
    unsigned rsdp_copy_length;
    uint64_t rsdp_address;

    /*
     * Free RAM: whole pages, sorted, disjoint, without page 0, the kernel image and boot modules.
     */
    unsigned ram_count;
    struct bootinfo_range ram[BOOTINFO_RANGES];
    uint64_t ram_bytes; /* all RAM of the map, the kernel's included */
    /*
     * What the map calls anything but RAM, as it came; for those who look for free address space.
     */
    unsigned reserved_count;
    struct bootinfo_range reserved[BOOTINFO_RANGES];
    unsigned dropped; /* ranges that did not fit the two tables */
};

/* Physical memory as the parser may read it: byte 0 lies at `base`, and reads end below `size`. */
struct bootinfo_memory {
    uintptr_t base;
    uint64_t size;
};

/*
 * Fills `info` from the information at `address`, of the kind that `magic` says; `kernel` is the
 * image to keep out of free RAM. Returns 0, -EINVAL for an unknown magic or unreadable information,
 * or -ENOENT when it holds no memory map; `info` is valid (perhaps without RAM) in each case.
 */
int bootinfo_parse(struct bootinfo *info, const struct bootinfo_memory *memory, uint32_t magic,
                   uint64_t address, struct bootinfo_range kernel);

#endif
