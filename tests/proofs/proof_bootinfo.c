/*
 * proof_bootinfo.c - boot information of any bytes, as a hypervisor or a loader may write it: nothing
 * is read beside the memory that there is, texts end within their room, and what is taken for RAM is
 * sorted, apart, and of no reserved page.
 */
// unwind: 5
// variant map: -DMAP -DMEMORY=96
// variant add: -DRANGES -DADD=1 -DMEMORY=8 -DBOOTINFO_RANGES=2 -DBOOTINFO_CMDLINE_SIZE=8
// variant subtract: -DRANGES -DADD=0 -DMEMORY=8 -DBOOTINFO_RANGES=2 -DBOOTINFO_CMDLINE_SIZE=8
// variant text: -DTEXT -DMEMORY=64
// control map: boot/bootinfo.c: if (bytes == NULL)\n        return false;\n    entry => entry
// control map: boot/bootinfo.c: stride > map->length - at) => 0)
// control subtract: boot/bootinfo.c: if (cut.start >= cut.end)\n        return; =>
// control subtract: boot/bootinfo.c: if (info->ram_count == BOOTINFO_RANGES) {\n                /* => if (0) {\n                /*
// control add: boot/bootinfo.c: joined < info->ram_count && info->ram[joined].start <= add.end => joined < info->ram_count && info->ram[joined].start < add.start
// control text: boot/bootinfo.c: if (length + 1 == size) { => if (length == size) {
#include "proof.h"

#include "boot/bootinfo.h"
#ifdef RANGES
static void move(struct bootinfo_range *to, const struct bootinfo_range *from, size_t count)
{
    struct bootinfo_range copy[BOOTINFO_RANGES];
    size_t i;

    claim(__CPROVER_r_ok(from, count * sizeof(*from)) && __CPROVER_w_ok(to, count * sizeof(*to)));
    for (i = 0; i < BOOTINFO_RANGES && i < count; i++)
        copy[i] = from[i];
    for (i = 0; i < BOOTINFO_RANGES && i < count; i++)
        to[i] = copy[i];
}
#define memmove(to, from, len) move(to, from, (len) / sizeof(struct bootinfo_range))
#else
/* Numbers have any value. */
#define memcpy(to, from, len) (copy_checked(to, from, len), *(to) = any_u64())
#endif
#define memcmp compare_checked
#include "boot/bootinfo.c"

static struct bootinfo info;
static struct bootinfo_memory memory;

static struct bootinfo_range any_range(void)
{
    return (struct bootinfo_range){any_u64(), any_u64()};
}

#if defined(RANGES)
static bool is_sorted(void)
{
    unsigned i;

    if (info.ram_count > BOOTINFO_RANGES)
        return false;
    for (i = 0; i < BOOTINFO_RANGES; i++) {
        if (i < info.ram_count && info.ram[i].start >= info.ram[i].end)
            return false;
        if (i + 1 < info.ram_count && info.ram[i].end >= info.ram[i + 1].start)
            return false;
    }
    return true;
}

static bool has(uint64_t byte)
{
    unsigned i;

    for (i = 0; i < BOOTINFO_RANGES; i++)
        if (i < info.ram_count && byte >= info.ram[i].start && byte < info.ram[i].end)
            return true;
    return false;
}

static void check(void)
{
    struct bootinfo_range range = any_range();
    uint64_t byte = any_u64(); /* any one byte: is it RAM afterwards? */
    bool inside = byte >= range.start && byte < range.end, before;
    unsigned i;

    info.ram_count = any_unsigned();
    for (i = 0; i < BOOTINFO_RANGES; i++)
        info.ram[i] = any_range();
    assume(is_sorted());
    before = has(byte);
    if (!ADD) {
        ram_subtract(&info, range);
        claim(!inside || !has(byte));
    } else {
        ram_add(&info, range);
        claim(has(byte) == (before || inside) || (info.dropped && has(byte) == before));
    }
    claim(is_sorted());
}
#elif defined(TEXT)
static void check(void)
{
    size_t size = 1 + any_u8() % 4;
    char *text = malloc(size);

    copy_string(text, size, &memory, any_u64(), any_u64());
    claim(strlen(text) < size);
}
#elif defined(MAP)
static void check(void)
{
    struct map map = {any_u64(), any_u64(), any_u32()};
    uint64_t offset = any_u64(), before = offset;
    struct map_entry entry;

    assume(map.length <= MAP_BYTES_MAX && offset <= map.length);
    if (!map_next(&memory, &map, &offset, &entry))
        return;
    claim(offset > before && offset <= map.length);
    claim(entry.range.start <= entry.range.end);
}
#endif

int main(void)
{
    memory.base = (uintptr_t)malloc(MEMORY);
    memory.size = MEMORY;
    check();
    return 0;
}
