/*
 * ioapic.c - the I/O APICs: pins of global system interrupts, each routed to a vector as level
 * triggered.
 *
 * Owns their register windows. Knows no handler (irq.c). Edge-triggered use is not needed: ISA
 * devices that hold their line until served, as the UART does, work level triggered too. 82093AA
 * data sheet; ACPI 6.4 section 5.2.13. Read irq.c next.
 */
#include <errno.h>

#include "log.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/apic.h"
#include "arch/x86_64/mem.h"
#include "arch/x86_64/mptable.h"

#define WINDOW_BYTES 0x20
#define WINDOW_INDEX 0x00
#define WINDOW_DATA 0x10
#define REG_VERSION 0x01
#define REG_REDIRECTION 0x10

#define REDIRECTION_ACTIVE_LOW (1u << 13)
#define REDIRECTION_LEVEL (1u << 15)
#define REDIRECTION_MASKED (1u << 16)

struct ioapic {
    uintptr_t window;
    unsigned first_gsi, pin_count;
};

static struct ioapic ioapics[ACPI_IO_APIC_MAX];
static unsigned ioapic_count;

static uint32_t ioapic_read(const struct ioapic *io, unsigned reg)
{
    mmio_write32((volatile void *)(io->window + WINDOW_INDEX), reg);
    return mmio_read32((const volatile void *)(io->window + WINDOW_DATA));
}

static void ioapic_write(const struct ioapic *io, unsigned reg, uint32_t value)
{
    mmio_write32((volatile void *)(io->window + WINDOW_INDEX), reg);
    mmio_write32((volatile void *)(io->window + WINDOW_DATA), value);
}

static const struct ioapic *ioapic_of(unsigned gsi, unsigned *pin)
{
    for (unsigned i = 0; i < ioapic_count; i++) {
        if (gsi >= ioapics[i].first_gsi && gsi - ioapics[i].first_gsi < ioapics[i].pin_count) {
            *pin = gsi - ioapics[i].first_gsi;
            return &ioapics[i];
        }
    }
    return NULL;
}

/* Maps one I/O APIC and masks its pins; returns how many it has. */
static unsigned ioapic_add(uint64_t address, unsigned first_gsi)
{
    struct ioapic *io = &ioapics[ioapic_count];

    if (paging_map(address, WINDOW_BYTES, PAGING_DEVICE) < 0) {
        log_warn("ioapic: cannot map the one at 0x%llx", (unsigned long long)address);
        return 0;
    }
    io->window = (uintptr_t)address;
    io->first_gsi = first_gsi;
    io->pin_count = (ioapic_read(io, REG_VERSION) >> 16 & 0xff) + 1;
    for (unsigned pin = 0; pin < io->pin_count; pin++)
        ioapic_write(io, REG_REDIRECTION + 2 * pin, REDIRECTION_MASKED);
    ioapic_count++;
    return io->pin_count;
}

unsigned ioapic_init(void)
{
    const struct acpi_info *acpi = acpi_info();
    unsigned pins = 0;

    for (unsigned i = 0; i < acpi->io_apic_count; i++)
        pins += ioapic_add(acpi->io_apic[i].address, acpi->io_apic[i].first_gsi);
    if (!acpi->present) {
        uint64_t address = mptable_io_apic();

        pins += address != 0 ? ioapic_add(address, 0) : 0;
    }
    return pins;
}

int ioapic_route(unsigned gsi, bool active_low, uint8_t vector)
{
    unsigned pin;
    const struct ioapic *io = ioapic_of(gsi, &pin);

    if (io == NULL)
        return -EINVAL;
    ioapic_write(io, REG_REDIRECTION + 2 * pin + 1, apic_id() << 24);
    ioapic_write(io, REG_REDIRECTION + 2 * pin,
                 vector | REDIRECTION_LEVEL | (active_low ? REDIRECTION_ACTIVE_LOW : 0));
    return 0;
}

void ioapic_mask(unsigned gsi)
{
    unsigned pin;
    const struct ioapic *io = ioapic_of(gsi, &pin);

    if (io != NULL)
        ioapic_write(io, REG_REDIRECTION + 2 * pin, REDIRECTION_MASKED);
}
