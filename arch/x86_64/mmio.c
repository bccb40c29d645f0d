/*
 * mmio.c - mmio.h for the kernel: places from the ACPI tables, words from QEMU's configuration
 * device, mapping on demand.
 *
 * Owns the ports of that device (fw_cfg), of which it reads the command line only. QEMU appends the
 * places of a microvm's devices there, where a multiboot kernel does not get to see them. QEMU,
 * docs/specs/fw_cfg. Read acpi_mmio.c next.
 */
#include "mmio.h"

#include <stddef.h>
#include <string.h>

#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/mem.h"

#define FW_CFG_SELECTOR 0x510
#define FW_CFG_DATA 0x511
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_CMDLINE_SIZE 0x14
#define FW_CFG_CMDLINE 0x15

#define WORDS_SIZE 2048

unsigned mmio_virtio_places(struct mmio_place *place, unsigned max)
{
    const struct acpi_info *acpi = acpi_info();
    unsigned count = acpi->virtio_mmio_count < max ? acpi->virtio_mmio_count : max;

    memcpy(place, acpi->virtio_mmio, count * sizeof(*place));
    return count;
}

/* An item is read byte by byte from its start; behind its end come zeros. */
static void fw_cfg_read(uint16_t item, void *data, size_t length)
{
    uint8_t *bytes = data;

    pio_write16(FW_CFG_SELECTOR, item);
    for (size_t i = 0; i < length; i++)
        bytes[i] = pio_read8(FW_CFG_DATA);
}

const char *mmio_hypervisor_words(void)
{
    static char words[WORDS_SIZE];
    char signature[4];
    uint32_t size;

    words[0] = '\0';
    /* With ACPI the devices stand in its tables, and QEMU appends nothing. */
    if (acpi_info()->present)
        return words;
    fw_cfg_read(FW_CFG_SIGNATURE, signature, sizeof(signature));
    if (memcmp(signature, "QEMU", sizeof(signature)) != 0)
        return words;
    fw_cfg_read(FW_CFG_CMDLINE_SIZE, &size, sizeof(size));
    if (size > sizeof(words) - 1)
        size = sizeof(words) - 1;
    fw_cfg_read(FW_CFG_CMDLINE, words, size);
    words[size] = '\0';
    return words;
}

volatile void *mmio_map(uint64_t address, uint64_t length)
{
    if (paging_map(address, length, PAGING_DEVICE) < 0)
        return NULL;
    return (volatile void *)(uintptr_t)address;
}
