/*
 * proof_acpi.c - ACPI tables of any bytes, as a hypervisor may write them: nothing is read beside a
 * table of the length that it says, no more is taken than there is room for, and each walk ends.
 */
// unwind: 14
// variant fadt: -DFADT -DTABLE=250
// variant madt: -DMADT -DTABLE=68
// variant mcfg: -DMCFG -DTABLE=76
// variant sleep: -DSLEEP -DTABLE=45
// variant space: -DSPACE -DTABLE=54
// control fadt: arch/x86_64/acpi.c: if (offset <= t->length && bytes <= t->length - offset) => if (1)
// control madt: arch/x86_64/acpi.c: if (length < 2 || length > madt->length - at) => if (length > madt->length - at)
// control madt: arch/x86_64/acpi.c: && info.io_apic_count < ACPI_IO_APIC_MAX) => )
// control mcfg: arch/x86_64/acpi.c: && info.ecam_count < ACPI_ECAM_MAX; => ;
// control sleep: arch/x86_64/acpi.c: if (end - at <= prefix)\n            return; =>
// control sleep: arch/x86_64/acpi.c: && end - at >= 8; => && end - at >= 4;
// control space: arch/x86_64/acpi.c: at + 16 <= t->length && => at + 4 <= t->length &&
#include "proof.h"

#include "arch/x86_64/acpi.h"
#undef ACPI_IO_APIC_MAX
#define ACPI_IO_APIC_MAX 1
#undef ACPI_ECAM_MAX
#define ACPI_ECAM_MAX 1

/* Fields have any value, and texts are the same or not. */
#define memcmp compare_checked
#define memcpy(to, from, len) (copy_checked(to, from, len), *(to) = any_u64())
#include "arch/x86_64/acpi.c"

static const uint8_t *bytes;
static uint32_t length;

/* What a table leads to is a table of the other variants. */
int paging_map(uint64_t address, uint64_t size, enum paging_kind kind)
{
    (void)kind;
    (void)address;
    (void)size;
    return -1;
}

unsigned acpi_find_virtio_mmio(const uint8_t *aml, uint32_t len, struct mmio_place *place,
                               unsigned max)
{
    claim(__CPROVER_r_ok(aml, len) && __CPROVER_w_ok(place, max * sizeof(*place)));
    return any_unsigned() % (max + 1);
}

bool acpi_find_event_device(const uint8_t *aml, uint32_t len, struct acpi_event_device *events)
{
    claim(__CPROVER_r_ok(aml, len) && __CPROVER_w_ok(events, sizeof(*events)));
    return any_bool();
}

static void check(const struct table *t)
{
#if defined(FADT)
    parse_fadt(t);
#elif defined(MADT)
    parse_madt(t);
    claim(info.io_apic_count <= ACPI_IO_APIC_MAX && info.override_count <= ACPI_OVERRIDE_MAX);
#elif defined(MCFG)
    parse_mcfg(t);
    claim(info.ecam_count <= ACPI_ECAM_MAX);
#elif defined(SLEEP)
    scan_s5(t);
    claim(info.s5_type_a < 8 && info.s5_type_b < 8);
#elif defined(SPACE)
    scan_cba(t);
    scan_virtio_mmio(t);
    claim(info.ecam_count <= ACPI_ECAM_MAX && info.virtio_mmio_count <= ACPI_VIRTIO_MMIO_MAX);
#endif
}

int main(void)
{
    struct table t;

    length = any_u32();
    assume(length >= HEADER_BYTES && length <= TABLE);
    bytes = malloc(length);
    t = (struct table){bytes, length};
    check(&t);
    return 0;
}
