/*
 * pvpanic.c - tells a QEMU-like hypervisor that the guest has crashed.
 *
 * Owns both variants of the pvpanic device: an ISA port, whose number fw_cfg knows, and a PCI
 * function. The port is looked up only when it is needed, for the search costs a few thousand port
 * reads. QEMU's docs/specs/pvpanic and fw_cfg.
 */
#include <string.h>

#include "pci.h"
#include "platform.h"

#include "arch/x86_64/power.h"

#define PVPANIC_CRASHED 0x01

#define PVPANIC_PCI_VENDOR 0x1b36
#define PVPANIC_PCI_DEVICE 0x0011

#define FW_CFG_SELECTOR 0x510
#define FW_CFG_DATA 0x511
#define FW_CFG_SIGNATURE 0x0000
#define FW_CFG_DIRECTORY 0x0019
#define FW_CFG_NAME_BYTES 56
#define FW_CFG_FILES_MAX 256

static volatile void *pci_register;

static void fw_cfg_read(void *out, unsigned length)
{
    uint8_t *bytes = out;

    while (length-- > 0)
        *bytes++ = pio_read8(FW_CFG_DATA);
}

static unsigned big_endian(const uint8_t *bytes, unsigned length)
{
    unsigned value = 0;

    while (length-- > 0)
        value = value << 8 | *bytes++;
    return value;
}

/* The port number in fw_cfg's file etc/pvpanic-port, or 0. */
static uint16_t find_port(void)
{
    struct {
        uint8_t size[4], selector[2], reserved[2];
        char name[FW_CFG_NAME_BYTES];
    } file;
    uint8_t bytes[4];
    unsigned count;

    pio_write16(FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
    fw_cfg_read(bytes, 4);
    if (memcmp(bytes, "QEMU", 4) != 0)
        return 0;
    pio_write16(FW_CFG_SELECTOR, FW_CFG_DIRECTORY);
    fw_cfg_read(bytes, 4);
    count = big_endian(bytes, 4);
    for (unsigned i = 0; i < count && i < FW_CFG_FILES_MAX; i++) {
        fw_cfg_read(&file, sizeof(file));
        file.name[FW_CFG_NAME_BYTES - 1] = '\0';
        if (strcmp(file.name, "etc/pvpanic-port") == 0) {
            pio_write16(FW_CFG_SELECTOR, (uint16_t)big_endian(file.selector, 2));
            fw_cfg_read(bytes, 2);
            return (uint16_t)(bytes[0] | bytes[1] << 8);
        }
    }
    return 0;
}

void pvpanic_init(void)
{
    for (unsigned i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);

        if (fn->vendor_id != PVPANIC_PCI_VENDOR || fn->device_id != PVPANIC_PCI_DEVICE)
            continue;
        pci_register = pci_map_bar(fn, 0, 0, 1);
        if (pci_register != NULL) {
            pci_command(fn, PCI_COMMAND_MEMORY, 0);
            fn->driver = "pvpanic";
        }
    }
}

void pvpanic_notify(void)
{
    uint16_t port;

    if (pci_register != NULL)
        mmio_write8(pci_register, PVPANIC_CRASHED);
    port = find_port();
    if (port != 0)
        pio_write8(port, PVPANIC_CRASHED);
}
