/*
 * mptable.c - finds the I/O APIC in the MP configuration table, which small firmware leaves where
 * there is no ACPI (QEMU's microvm with acpi=off).
 *
 * Only the I/O APIC's address is taken: on such machines each line reaches the pin of its number.
 * Everything is read once and bounded by the tables' lengths, after their checksums. Intel
 * MultiProcessor Specification 1.4, chapter 4. Read ioapic.c for who asks.
 */
#include "arch/x86_64/mptable.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "log.h"

#include "arch/x86_64/mem.h"

#define POINTER_BYTES 16u
#define HEADER_BYTES 44u

#define ENTRY_CPU 0
#define ENTRY_CPU_BYTES 20
#define ENTRY_BYTES 8
#define ENTRY_IO_APIC 2
#define IO_APIC_USABLE 1

/* The last KiB of base memory, and the BIOS area (section 4.1). The EBDA's address is in page 0,
 * which is not mapped; small firmware has none. */
static const struct {
    uint32_t start, end;
} places[] = {{0x9fc00, 0xa0000}, {0xf0000, 0x100000}};

static bool sums_to_zero(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

static uint32_t get32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static const uint8_t *find_pointer(void)
{
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (paging_map(places[i].start, places[i].end - places[i].start, PAGING_FIRMWARE) < 0)
            continue;
        for (uint32_t at = places[i].start; at < places[i].end; at += POINTER_BYTES) {
            const uint8_t *pointer = (const uint8_t *)(uintptr_t)at;

            if (memcmp(pointer, "_MP_", 4) == 0 && sums_to_zero(pointer, POINTER_BYTES))
                return pointer;
        }
    }
    return NULL;
}

/* The configuration table and its length, or NULL. */
static const uint8_t *open_table(uint32_t address, uint32_t *length)
{
    const uint8_t *table = (const uint8_t *)(uintptr_t)address;

    if (address == 0 || paging_map(address, HEADER_BYTES, PAGING_FIRMWARE) < 0 ||
        memcmp(table, "PCMP", 4) != 0)
        return NULL;
    *length = table[4] | (uint32_t)table[5] << 8;
    if (*length < HEADER_BYTES || paging_map(address, *length, PAGING_FIRMWARE) < 0 ||
        !sums_to_zero(table, *length)) {
        log_warn("mptable: the table at 0x%x is damaged", address);
        return NULL;
    }
    return table;
}

uint64_t mptable_io_apic(void)
{
    const uint8_t *pointer = find_pointer();
    const uint8_t *table;
    uint32_t length, size;

    table = pointer != NULL ? open_table(get32(pointer + 4), &length) : NULL;
    if (table == NULL)
        return 0;
    for (uint32_t at = HEADER_BYTES; at < length; at += size) {
        size = table[at] == ENTRY_CPU ? ENTRY_CPU_BYTES : ENTRY_BYTES;
        if (size > length - at)
            break;
        if (table[at] == ENTRY_IO_APIC && (table[at + 3] & IO_APIC_USABLE))
            return get32(table + at + 4);
    }
    return 0;
}
