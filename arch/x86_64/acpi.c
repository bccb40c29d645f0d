/*
 * acpi.c - reads the static ACPI tables into struct acpi_info: FADT, MADT, MCFG, and two names in
 * the byte code.
 *
 * Owns no hardware and runs no AML; apic.c, clock.c, pci.c and power.c act on what is found here.
 * Each table is mapped read-only, and used only when its length and checksum hold. ACPI 6.4
 * sections 5.2 (tables) and 20 (AML encoding).
 */
#include "arch/x86_64/acpi.h"

#include <string.h>

#include "log.h"
#include "machine.h"
#include "platform.h"

#include "arch/x86_64/acpi_mmio.h"
#include "arch/x86_64/mem.h"

#define HEADER_BYTES 36u
#define TABLE_BYTES_MAX (4u << 20)
#define TABLES_MAX 64u

#define FADT_POWER_BUTTON (1u << 4) /* set: the button is a device in the AML namespace */
#define FADT_TIMER_32BIT (1u << 8)
#define FADT_RESET_SUPPORTED (1u << 10)
#define FADT_HARDWARE_REDUCED (1u << 20)

#define MADT_IO_APIC 1
#define MADT_OVERRIDE 2
#define MADT_LOCAL_APIC_ADDRESS 5

#define AML_ZERO 0x00
#define AML_ONE 0x01
#define AML_NAME 0x08
#define AML_BYTE 0x0a
#define AML_DWORD 0x0c
#define AML_QWORD 0x0e
#define AML_PACKAGE 0x12
#define AML_RETURN 0xa4

/*
 * A mapped table of known length. Reads beyond it give 0, as fields do that an older revision does
 * not have.
 */
struct table {
    const uint8_t *bytes;
    uint32_t length;
};

static struct acpi_info info;

const struct acpi_info *acpi_info(void)
{
    return &info;
}

static uint64_t field(const struct table *t, uint32_t offset, unsigned bytes)
{
    uint64_t value = 0;

    if (offset <= t->length && bytes <= t->length - offset)
        memcpy(&value, t->bytes + offset, bytes);
    return value;
}

static bool checksum_holds(const uint8_t *bytes, uint32_t length)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

static bool table_open(struct table *t, uint64_t address)
{
    if (address == 0 || paging_map(address, HEADER_BYTES, PAGING_FIRMWARE) < 0)
        return false;
    t->bytes = (const uint8_t *)(uintptr_t)address;
    t->length = HEADER_BYTES;
    t->length = (uint32_t)field(t, 4, 4);
    if (t->length < HEADER_BYTES || t->length > TABLE_BYTES_MAX ||
        paging_map(address, t->length, PAGING_FIRMWARE) < 0) {
        log_warn("acpi: a table at 0x%llx has an impossible length", (unsigned long long)address);
        return false;
    }
    if (!checksum_holds(t->bytes, t->length)) {
        log_warn("acpi: table %.4s has a wrong checksum", (const char *)t->bytes);
        return false;
    }
    return true;
}

/* A generic address structure: space, width, offset, access size, address. */
static struct acpi_register gas(const struct table *t, uint32_t offset)
{
    struct acpi_register reg = {ACPI_REGISTER_NONE, field(t, offset + 4, 8)};
    uint64_t space = field(t, offset, 1);

    if (reg.address == 0)
        return reg;
    if (space == 0)
        reg.kind = ACPI_REGISTER_MEMORY;
    else if (space == 1 && reg.address <= UINT16_MAX)
        reg.kind = ACPI_REGISTER_PORT;
    return reg;
}

/* The extended field wins over the 32-bit one when it names a port. */
static uint16_t fadt_port(const struct table *fadt, uint32_t offset, uint32_t extended_offset)
{
    struct acpi_register reg = gas(fadt, extended_offset);
    uint64_t port = reg.kind == ACPI_REGISTER_PORT ? reg.address : field(fadt, offset, 4);

    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static unsigned aml_small_integer(const uint8_t **at, const uint8_t *end)
{
    unsigned value = 0;

    if (*at < end) {
        uint8_t op = *(*at)++;

        if (op == AML_ONE)
            value = 1;
        else if (op == AML_BYTE && *at < end)
            value = *(*at)++;
        else if (op != AML_ZERO)
            *at = end;
    }
    return value;
}

/* Name (_S5, Package () {a, b, ...}): the two sleep types, found by their encoding. */
static void scan_s5(const struct table *t)
{
    const uint8_t *end = t->bytes + t->length;
    unsigned prefix;

    for (const uint8_t *at = t->bytes + HEADER_BYTES; !info.s5_known && end - at >= 8; at++) {
        if (at[0] != '_' || memcmp(at, "_S5_", 4) != 0 || at[4] != AML_PACKAGE)
            continue;
        if (at[-1] != AML_NAME && !(at[-1] == '\\' && at[-2] == AML_NAME))
            continue;
        /*
         * The package length takes 1 + n bytes, n in the top two bits of the first; an element
         * count follows.
         */
        at += 5;
        prefix = 1 + (*at >> 6) + 1;
        if (end - at <= prefix)
            return;
        at += prefix;
        info.s5_type_a = (uint8_t)aml_small_integer(&at, end) & 7;
        info.s5_type_b = (uint8_t)aml_small_integer(&at, end) & 7;
        info.s5_known = true;
    }
}

/*
 * _CBA, where a host bridge's configuration space lies, for machines without MCFG (QEMU's microvm):
 * Name (_CBA, address) or Method (_CBA) {Return (address)}, found by its encoding like _S5. All
 * buses are taken to be there.
 */
static void scan_cba(const struct table *t)
{
    for (uint32_t at = HEADER_BYTES; at + 16 <= t->length && info.ecam_count == 0; at++) {
        uint32_t value = at + 4;
        uint64_t address;

        if (t->bytes[at] != '_' || memcmp(t->bytes + at, "_CBA", 4) != 0)
            continue;
        if (t->bytes[at - 1] != AML_NAME) {
            /* A byte of flags stands between a method's name and its body. */
            if (t->bytes[value + 1] != AML_RETURN)
                continue;
            value += 2;
        }
        if (t->bytes[value] != AML_DWORD && t->bytes[value] != AML_QWORD)
            continue;
        address = field(t, value + 1, t->bytes[value] == AML_DWORD ? 4 : 8);
        if (address != 0 && address % 0x10000000 == 0)
            info.ecam[info.ecam_count++] = (struct acpi_ecam){address, 0, 255};
    }
}

static void scan_virtio_mmio(const struct table *t)
{
    info.virtio_mmio_count += acpi_find_virtio_mmio(
        t->bytes + HEADER_BYTES, t->length - HEADER_BYTES,
        info.virtio_mmio + info.virtio_mmio_count, ACPI_VIRTIO_MMIO_MAX - info.virtio_mmio_count);
}

static void parse_fadt(const struct table *fadt)
{
    uint32_t flags = (uint32_t)field(fadt, 112, 4);
    uint64_t dsdt_address = field(fadt, 140, 8);
    struct table dsdt;

    info.hardware_reduced = flags & FADT_HARDWARE_REDUCED;
    if (info.hardware_reduced) {
        info.sleep_control = gas(fadt, 244);
    } else {
        info.sci_gsi = (unsigned)field(fadt, 46, 2);
        info.smi_command_port = (uint16_t)field(fadt, 48, 4);
        info.acpi_enable_value = (uint8_t)field(fadt, 52, 1);
        info.pm1a_event_port = fadt_port(fadt, 56, 148);
        info.pm1b_event_port = fadt_port(fadt, 60, 160);
        info.pm1a_control_port = fadt_port(fadt, 64, 172);
        info.pm1b_control_port = fadt_port(fadt, 68, 184);
        info.pm1_event_length = (unsigned)field(fadt, 88, 1);
        info.pm_timer_port = fadt_port(fadt, 76, 208);
        info.pm_timer_is_32bit = flags & FADT_TIMER_32BIT;
        info.fixed_power_button = !(flags & FADT_POWER_BUTTON);
    }
    if (flags & FADT_RESET_SUPPORTED) {
        info.reset = gas(fadt, 116);
        info.reset_value = (uint8_t)field(fadt, 128, 1);
    }
    if (dsdt_address == 0)
        dsdt_address = field(fadt, 40, 4);
    if (table_open(&dsdt, dsdt_address)) {
        scan_s5(&dsdt);
        scan_cba(&dsdt);
        scan_virtio_mmio(&dsdt);
        acpi_find_event_device(dsdt.bytes + HEADER_BYTES, dsdt.length - HEADER_BYTES, &info.events);
    }
}

static void parse_madt_entry(const struct table *madt, uint32_t at, unsigned type)
{
    if (type == MADT_IO_APIC && info.io_apic_count < ACPI_IO_APIC_MAX) {
        info.io_apic[info.io_apic_count++] = (struct acpi_io_apic){
            .address = field(madt, at + 4, 4),
            .first_gsi = (unsigned)field(madt, at + 8, 4),
        };
    } else if (type == MADT_OVERRIDE && info.override_count < ACPI_OVERRIDE_MAX) {
        info.override[info.override_count++] = (struct acpi_override){
            .isa_irq = (unsigned)field(madt, at + 3, 1),
            .gsi = (unsigned)field(madt, at + 4, 4),
            .active_low = (field(madt, at + 8, 2) & 3) == 3,
        };
    } else if (type == MADT_LOCAL_APIC_ADDRESS) {
        info.local_apic_address = field(madt, at + 4, 8);
    }
}

static void parse_madt(const struct table *madt)
{
    info.local_apic_listed = true;
    info.local_apic_address = field(madt, 36, 4);
    for (uint32_t at = 44; at + 2 <= madt->length;) {
        unsigned length = madt->bytes[at + 1];

        if (length < 2 || length > madt->length - at)
            break;
        parse_madt_entry(madt, at, madt->bytes[at]);
        at += length;
    }
}

/* Its word counts more than _CBA's, whichever table came first. */
static void parse_mcfg(const struct table *mcfg)
{
    info.ecam_count = 0;
    for (uint32_t at = 44; at + 16 <= mcfg->length && info.ecam_count < ACPI_ECAM_MAX; at += 16) {
        struct acpi_ecam ecam = {
            .address = field(mcfg, at, 8),
            .first_bus = (uint8_t)field(mcfg, at + 10, 1),
            .last_bus = (uint8_t)field(mcfg, at + 11, 1),
        };

        if (field(mcfg, at + 8, 2) == 0 && ecam.last_bus >= ecam.first_bus)
            info.ecam[info.ecam_count++] = ecam;
    }
}

static void parse_table(uint64_t address)
{
    struct table t;

    if (!table_open(&t, address))
        return;
    if (memcmp(t.bytes, "FACP", 4) == 0) {
        parse_fadt(&t);
    } else if (memcmp(t.bytes, "APIC", 4) == 0) {
        parse_madt(&t);
    } else if (memcmp(t.bytes, "MCFG", 4) == 0) {
        parse_mcfg(&t);
    } else if (memcmp(t.bytes, "SSDT", 4) == 0) {
        scan_s5(&t);
        scan_virtio_mmio(&t);
    }
}

/*
 * Opens the root table: the extended one when the RSDP knows it, with 64-bit entries, else the old
 * one.
 */
static bool open_root(uint64_t rsdp_address, struct table *root, unsigned *entry_bytes)
{
    struct table rsdp = {(const uint8_t *)(uintptr_t)rsdp_address, 20};

    if (paging_map(rsdp_address, 36, PAGING_FIRMWARE) < 0 ||
        memcmp(rsdp.bytes, "RSD PTR ", 8) != 0 || !checksum_holds(rsdp.bytes, 20)) {
        log_warn("acpi: the root pointer at 0x%llx is damaged", (unsigned long long)rsdp_address);
        return false;
    }
    if (rsdp.bytes[15] >= 2 && checksum_holds(rsdp.bytes, 36)) {
        rsdp.length = 36;
        *entry_bytes = 8;
        if (table_open(root, field(&rsdp, 24, 8)) && memcmp(root->bytes, "XSDT", 4) == 0)
            return true;
    }
    *entry_bytes = 4;
    return table_open(root, field(&rsdp, 16, 4)) && memcmp(root->bytes, "RSDT", 4) == 0;
}

void acpi_init(uint64_t rsdp)
{
    struct table root;
    unsigned entry_bytes;

    if (rsdp == 0) {
        log_info("acpi: no tables");
        return;
    }
    if (!open_root(rsdp, &root, &entry_bytes))
        return;
    info.present = true;
    for (unsigned i = 0; i < TABLES_MAX; i++) {
        uint32_t offset = HEADER_BYTES + i * entry_bytes;

        if (offset + entry_bytes > root.length)
            break;
        parse_table(field(&root, offset, entry_bytes));
    }
    log_debug("acpi: %.4s at 0x%llx, %u I/O APICs, %u overrides, %u ECAM ranges, S5 %s",
              (const char *)root.bytes, (unsigned long long)(uintptr_t)root.bytes,
              info.io_apic_count, info.override_count, info.ecam_count,
              info.s5_known ? "known" : "not known");
}

unsigned acpi_isa_irq_to_gsi(unsigned isa_irq)
{
    for (unsigned i = 0; i < info.override_count; i++) {
        if (info.override[i].isa_irq == isa_irq)
            return info.override[i].gsi;
    }
    return isa_irq;
}

bool acpi_gsi_override(unsigned gsi, bool *active_low)
{
    for (unsigned i = 0; i < info.override_count; i++) {
        if (info.override[i].gsi == gsi) {
            *active_low = info.override[i].active_low;
            return true;
        }
    }
    return false;
}
