/*
 * bootinfo.c - readers for multiboot1, multiboot2 and PVH, and the clean-up of their memory maps.
 *
 * Owns boot/bootinfo.h. Everything read is bounds-checked first: a loader's mistake may cost memory
 * or the command line, never a fault. In the memory map anything that is not RAM wins where entries
 * overlap. Specifications: Multiboot 0.6.96 section 3.3, Multiboot2 section 3.6, Xen's
 * hvm_start_info, ACPI 5.2.5.1 (where the RSDP may lie). Read arch/x86_64/mem.c next.
 */
#include "boot/bootinfo.h"

#include <errno.h>
#include <string.h>

#define MB1_FLAG_MEMORY 0x001
#define MB1_FLAG_CMDLINE 0x004
#define MB1_FLAG_MODULES 0x008
#define MB1_FLAG_MAP 0x040
#define MB1_FLAG_LOADER 0x200

enum mb2_tag {
    MB2_END = 0,
    MB2_CMDLINE = 1,
    MB2_LOADER = 2,
    MB2_MODULE = 3,
    MB2_MAP = 6,
    MB2_RSDP_V1 = 14,
    MB2_RSDP_V2 = 15,
};

#define MAP_TYPE_RAM 1
#define MAP_BYTES_MAX 65536u
#define MODULES_MAX 64u

/* Where the loader's memory map lies. stride 0: multiboot1, each entry starts with its own size. */
struct map {
    uint64_t address;
    uint64_t length;
    uint32_t stride;
};

struct map_entry {
    struct bootinfo_range range;
    uint32_t type;
};

static const uint8_t *view(const struct bootinfo_memory *memory, uint64_t address, uint64_t length)
{
    if (address == 0 || address >= memory->size || length > memory->size - address)
        return NULL;
    return (const uint8_t *)(memory->base + (uintptr_t)address);
}

static uint32_t get32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint64_t get64(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Copies a NUL-terminated string; false when it was cut short. */
static bool copy_string(char *out, size_t size, const struct bootinfo_memory *memory,
                        uint64_t address, uint64_t limit)
{
    size_t length = 0;

    while (length < limit) {
        const uint8_t *c = view(memory, address + length, 1);

        if (c == NULL || *c == '\0')
            break;
        if (length + 1 == size) {
            out[length] = '\0';
            return false;
        }
        out[length++] = (char)*c;
    }
    out[length] = '\0';
    return true;
}

static void set_cmdline(struct bootinfo *info, const struct bootinfo_memory *memory,
                        uint64_t address, uint64_t limit)
{
    info->cmdline_truncated =
        !copy_string(info->cmdline, sizeof(info->cmdline), memory, address, limit);
}

/* Takes [cut.start, cut.end) out of the free ranges. One range may become two. */
static void ram_subtract(struct bootinfo *info, struct bootinfo_range cut)
{
    /* A loader's range that ends before it starts would split a free range in two that overlap. */
    if (cut.start >= cut.end)
        return;
    for (unsigned i = 0; i < info->ram_count;) {
        struct bootinfo_range *r = &info->ram[i];

        if (cut.end <= r->start || cut.start >= r->end) {
            i++;
        } else if (cut.start > r->start && cut.end < r->end) {
            if (info->ram_count == BOOTINFO_RANGES) {
                /* No room for the upper half: give it up, which is safe. */
                info->dropped++;
                r->end = cut.start;
                return;
            }
            memmove(r + 1, r, (info->ram_count - i) * sizeof(*r));
            info->ram_count++;
            r[0].end = cut.start;
            r[1].start = cut.end;
            return;
        } else if (cut.start > r->start) {
            r->end = cut.start;
            i++;
        } else if (cut.end < r->end) {
            r->start = cut.end;
            i++;
        } else {
            memmove(r, r + 1, (info->ram_count - i - 1) * sizeof(*r));
            info->ram_count--;
        }
    }
}

/* Adds RAM, keeping the table sorted and joined. */
static void ram_add(struct bootinfo *info, struct bootinfo_range add)
{
    unsigned i = 0;
    unsigned joined;

    if (add.start >= add.end)
        return;
    while (i < info->ram_count && info->ram[i].end < add.start)
        i++;
    for (joined = i; joined < info->ram_count && info->ram[joined].start <= add.end; joined++) {
        if (info->ram[joined].start < add.start)
            add.start = info->ram[joined].start;
        if (info->ram[joined].end > add.end)
            add.end = info->ram[joined].end;
    }
    if (joined == i) {
        if (info->ram_count == BOOTINFO_RANGES) {
            info->dropped++;
            return;
        }
        memmove(&info->ram[i + 1], &info->ram[i], (info->ram_count - i) * sizeof(add));
        info->ram_count++;
    } else {
        memmove(&info->ram[i + 1], &info->ram[joined], (info->ram_count - joined) * sizeof(add));
        info->ram_count -= joined - i - 1;
    }
    info->ram[i] = add;
}

static void reserved_add(struct bootinfo *info, struct bootinfo_range add)
{
    if (info->reserved_count > 0) {
        struct bootinfo_range *last = &info->reserved[info->reserved_count - 1];

        if (last->end == add.start) {
            last->end = add.end;
            return;
        }
    }
    if (info->reserved_count == BOOTINFO_RANGES) {
        info->dropped++;
        return;
    }
    info->reserved[info->reserved_count++] = add;
}

/* Whole pages only: RAM shrinks to them, everything else grows. */
static struct bootinfo_range page_inwards(struct bootinfo_range r)
{
    r.start = r.start > UINT64_MAX - BOOTINFO_PAGE ? UINT64_MAX : r.start + BOOTINFO_PAGE - 1;
    r.start &= ~(uint64_t)(BOOTINFO_PAGE - 1);
    r.end &= ~(uint64_t)(BOOTINFO_PAGE - 1);
    return r;
}

static struct bootinfo_range page_outwards(struct bootinfo_range r)
{
    r.start &= ~(uint64_t)(BOOTINFO_PAGE - 1);
    if (r.end <= UINT64_MAX - BOOTINFO_PAGE)
        r.end = (r.end + BOOTINFO_PAGE - 1) & ~(uint64_t)(BOOTINFO_PAGE - 1);
    return r;
}

static struct bootinfo_range range_of(uint64_t start, uint64_t length)
{
    return (struct bootinfo_range){start,
                                   length > UINT64_MAX - start ? UINT64_MAX : start + length};
}

/*
 * Reads the entry at *offset and moves *offset on; false at the end of the map, or of what can be
 * made out of it.
 */
static bool map_next(const struct bootinfo_memory *memory, const struct map *map, uint64_t *offset,
                     struct map_entry *entry)
{
    uint64_t at = *offset;
    uint64_t stride = map->stride;
    const uint8_t *bytes;

    if (stride == 0) {
        bytes = at + 4 <= map->length ? view(memory, map->address + at, 4) : NULL;
        if (bytes == NULL)
            return false;
        stride = get32(bytes);
        at += 4;
    }
    if (stride < 20 || at > map->length || stride > map->length - at)
        return false;
    bytes = view(memory, map->address + at, 20);
    if (bytes == NULL)
        return false;
    entry->range = range_of(get64(bytes), get64(bytes + 8));
    entry->type = get32(bytes + 16);
    *offset = at + stride;
    return true;
}

static void map_apply(struct bootinfo *info, const struct bootinfo_memory *memory, struct map map)
{
    struct map_entry entry;
    uint64_t offset;

    if (map.length > MAP_BYTES_MAX)
        map.length = MAP_BYTES_MAX;
    for (offset = 0; map_next(memory, &map, &offset, &entry);) {
        struct bootinfo_range pages = page_inwards(entry.range);

        if (entry.type == MAP_TYPE_RAM)
            ram_add(info, pages);
    }
    for (offset = 0; map_next(memory, &map, &offset, &entry);) {
        if (entry.type == MAP_TYPE_RAM || entry.range.start == entry.range.end)
            continue;
        ram_subtract(info, page_outwards(entry.range));
        reserved_add(info, entry.range);
    }
    for (unsigned i = 0; i < info->ram_count; i++)
        info->ram_bytes += info->ram[i].end - info->ram[i].start;
}

static int parse_multiboot1(struct bootinfo *info, const struct bootinfo_memory *memory,
                            uint64_t address)
{
    const uint8_t *mbi = view(memory, address, 68);
    uint32_t flags;

    if (mbi == NULL)
        return -EINVAL;
    flags = get32(mbi);
    if (flags & MB1_FLAG_CMDLINE)
        set_cmdline(info, memory, get32(mbi + 16), UINT64_MAX);
    if (flags & MB1_FLAG_LOADER)
        copy_string(info->loader, sizeof(info->loader), memory, get32(mbi + 64), UINT64_MAX);
    if (flags & MB1_FLAG_MAP) {
        map_apply(info, memory, (struct map){get32(mbi + 48), get32(mbi + 44), 0});
    } else if (flags & MB1_FLAG_MEMORY) {
        ram_add(info, page_inwards(range_of(0, (uint64_t)get32(mbi + 4) * 1024)));
        ram_add(info, page_inwards(range_of(0x100000, (uint64_t)get32(mbi + 8) * 1024)));
    }
    if (flags & MB1_FLAG_MODULES) {
        uint32_t count = get32(mbi + 20);

        for (uint32_t i = 0; i < count && i < MODULES_MAX; i++) {
            const uint8_t *module = view(memory, get32(mbi + 24) + (uint64_t)i * 16, 16);
            struct bootinfo_range r;

            if (module == NULL)
                break;
            r = (struct bootinfo_range){get32(module), get32(module + 4)};
            ram_subtract(info, page_outwards(r));
        }
    }
    return 0;
}

static void parse_multiboot2_tag(struct bootinfo *info, const struct bootinfo_memory *memory,
                                 uint64_t address, uint32_t type, uint32_t size)
{
    const uint8_t *tag = view(memory, address, size);
    unsigned length = size - 8;

    if (tag == NULL)
        return;
    switch (type) {
    case MB2_CMDLINE:
        set_cmdline(info, memory, address + 8, length);
        break;
    case MB2_LOADER:
        copy_string(info->loader, sizeof(info->loader), memory, address + 8, length);
        break;
    case MB2_MAP:
        if (size >= 16 && get32(tag + 8) >= 20)
            map_apply(info, memory, (struct map){address + 16, size - 16, get32(tag + 8)});
        break;
    case MB2_RSDP_V1:
    case MB2_RSDP_V2:
        /*
         * The newer structure also leads to tables above 4 GiB; whichever order they come in, it
         * stays.
         */
        if (length > sizeof(info->rsdp_copy))
            length = sizeof(info->rsdp_copy);
        if (length > info->rsdp_copy_length) {
            memcpy(info->rsdp_copy, tag + 8, length);
            info->rsdp_copy_length = length;
        }
        break;
    default:
        break;
    }
}

/* Looks at each tag. Modules need the finished map, hence the two walks in parse_multiboot2(). */
static void multiboot2_walk(struct bootinfo *info, const struct bootinfo_memory *memory,
                            uint64_t address, bool modules)
{
    const uint8_t *header = view(memory, address, 8);
    uint64_t total = header == NULL ? 0 : get32(header);
    uint64_t offset = 8;

    while (offset + 8 <= total) {
        const uint8_t *tag = view(memory, address + offset, 8);
        uint32_t type = tag == NULL ? MB2_END : get32(tag);
        uint32_t size = tag == NULL ? 0 : get32(tag + 4);

        if (type == MB2_END || size < 8 || size > total - offset)
            break;
        if (!modules) {
            parse_multiboot2_tag(info, memory, address + offset, type, size);
        } else if (type == MB2_MODULE && size >= 16 && view(memory, address + offset, 16) != NULL) {
            struct bootinfo_range r = {get32(tag + 8), get32(tag + 12)};

            ram_subtract(info, page_outwards(r));
        }
        offset += ((uint64_t)size + 7) & ~(uint64_t)7;
    }
}

static int parse_multiboot2(struct bootinfo *info, const struct bootinfo_memory *memory,
                            uint64_t address)
{
    if (view(memory, address, 8) == NULL)
        return -EINVAL;
    multiboot2_walk(info, memory, address, false);
    multiboot2_walk(info, memory, address, true);
    return 0;
}

static int parse_pvh(struct bootinfo *info, const struct bootinfo_memory *memory, uint64_t address)
{
    const uint8_t *start = view(memory, address, 56);
    uint32_t module_count;

    if (start == NULL || get32(start) != BOOTINFO_MAGIC_PVH)
        return -EINVAL;
    if (get64(start + 24) != 0)
        set_cmdline(info, memory, get64(start + 24), UINT64_MAX);
    info->rsdp_address = get64(start + 32);
    /* The memory map came with version 1 of the structure. */
    if (get32(start + 4) >= 1) {
        struct map map = {get64(start + 40), (uint64_t)get32(start + 48) * 24, 24};

        map_apply(info, memory, map);
    }
    module_count = get32(start + 12);
    for (uint32_t i = 0; i < module_count && i < MODULES_MAX; i++) {
        const uint8_t *module = view(memory, get64(start + 16) + (uint64_t)i * 32, 32);

        if (module == NULL)
            break;
        ram_subtract(info, page_outwards(range_of(get64(module), get64(module + 8))));
    }
    return 0;
}

/*
 * Without word from the loader a BIOS keeps the RSDP in the first KiB of its extended data area or
 * below 1 MiB.
 */
static uint64_t find_rsdp(const struct bootinfo_memory *memory)
{
    const uint8_t *ebda_segment = view(memory, 0x40e, 2);
    struct bootinfo_range places[2] = {{0, 0}, {0xe0000, 0x100000}};

    if (ebda_segment != NULL) {
        uint64_t ebda = (uint64_t)(ebda_segment[0] | ebda_segment[1] << 8) << 4;

        if (ebda >= 0x400 && ebda < 0xa0000)
            places[0] = range_of(ebda, 1024);
    }
    for (int i = 0; i < 2; i++) {
        for (uint64_t at = places[i].start; at < places[i].end; at += 16) {
            const uint8_t *bytes = view(memory, at, 20);
            uint8_t sum = 0;

            if (bytes == NULL || bytes[0] != 'R' || memcmp(bytes, "RSD PTR ", 8) != 0)
                continue;
            for (int j = 0; j < 20; j++)
                sum = (uint8_t)(sum + bytes[j]);
            if (sum == 0)
                return at;
        }
    }
    return 0;
}

int bootinfo_parse(struct bootinfo *info, const struct bootinfo_memory *memory, uint32_t magic,
                   uint64_t address, struct bootinfo_range kernel)
{
    int result;

    memset(info, 0, sizeof(*info));
    switch (magic) {
    case BOOTINFO_MAGIC_MULTIBOOT1:
        info->protocol = "multiboot1";
        result = parse_multiboot1(info, memory, address);
        break;
    case BOOTINFO_MAGIC_MULTIBOOT2:
        info->protocol = "multiboot2";
        result = parse_multiboot2(info, memory, address);
        break;
    case BOOTINFO_MAGIC_PVH:
        info->protocol = "PVH";
        result = parse_pvh(info, memory, address);
        break;
    default:
        info->protocol = "unknown";
        result = -EINVAL;
        break;
    }
    ram_subtract(info, (struct bootinfo_range){0, BOOTINFO_PAGE});
    ram_subtract(info, page_outwards(kernel));
    if (info->rsdp_copy_length == 0 && info->rsdp_address == 0)
        info->rsdp_address = find_rsdp(memory);
    if (result == 0 && info->ram_count == 0)
        result = -ENOENT;
    return result;
}
