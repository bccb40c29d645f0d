/*
 * device_legacy.c - the legacy interface over PCI (4.1.4.10) in front of the model device.
 *
 * Checks the width of each port access and what the driver may not write, and where it looks for
 * the device configuration, which moves with MSI-X. Read device.c first.
 */
#include "hosted/device_legacy.h"

#include <string.h>

#include "hosted/violation.h"

#define REGISTERS_BAR 0
#define TRANSITIONAL_ID 0x1000

/* Registers that are those of the common configuration structure in another place. */
static const struct {
    uint8_t port, width;
    bool writable;
    uint8_t common;
} registers[] = {
    {LP_DEVICE_FEATURES, 4, false, CC_DEVICE_FEATURE},
    {LP_DRIVER_FEATURES, 4, true, CC_DRIVER_FEATURE},
    {LP_QUEUE_SIZE, 2, false, CC_QUEUE_SIZE},
    {LP_QUEUE_SELECT, 2, true, CC_QUEUE_SELECT},
    {LP_DEVICE_STATUS, 1, true, CC_DEVICE_STATUS},
    {LP_CONFIG_VECTOR, 2, true, CC_CONFIG_MSIX_VECTOR},
    {LP_QUEUE_VECTOR, 2, true, CC_QUEUE_MSIX_VECTOR},
};

/* The index of the register there, or -1: none of those. */
static int find(unsigned port, unsigned width)
{
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        if (registers[i].port == port && registers[i].width == width)
            return (int)i;
    return -1;
}

static unsigned config_start(const struct device *device)
{
    return fake_pci_msix_enabled(device->pci) ? LP_CONFIG_MSIX : LP_CONFIG;
}

static uint64_t port_read(void *arg, uint64_t offset, unsigned width)
{
    struct device *device = arg;
    unsigned port = (unsigned)offset;
    int i = find(port, width);

    if (port >= config_start(device))
        return device_config_read(device, port - config_start(device), width);
    if (i >= 0)
        return device_common_read(device, registers[i].common, width);
    if (port == LP_ISR_STATUS)
        return device_isr_read(device, width);
    violation("LEG-PCI-1", "%u-byte read of port %#x", width, port);
    return 0;
}

static void port_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    struct device *device = arg;
    unsigned port = (unsigned)offset;
    int i = find(port, width);

    if (port >= config_start(device))
        device_config_write(device, port - config_start(device), width, value);
    else if (i >= 0 && registers[i].writable)
        device_common_write(device, registers[i].common, width, value);
    else if (port == LP_QUEUE_ADDRESS && width == 4)
        device_enable_legacy_ring(device, value * LEGACY_PAGE, LEGACY_PAGE);
    else if (port == LP_QUEUE_NOTIFY && width == 2)
        device_notified(device, (unsigned)value, 0);
    else
        violation("LEG-PCI-1", "%u-byte write to port %#x", width, port);
}

static void attach(struct device *device, const struct device_setup *setup)
{
    struct hosted_registers ports = {
        .name = setup->type->name, .read = port_read, .write = port_write, .arg = device};
    struct fake_function *f =
        fake_pci_add(0x1af4, (uint16_t)(TRANSITIONAL_ID + setup->type->id % 0x40));

    device->pci = f;
    f->msix_entries = setup->msix_vectors;
    f->fn.subsystem_id = setup->type->id;
    fake_pci_set_io_bar(f, REGISTERS_BAR, DEVICE_LEGACY_BAR_SIZE, &ports);
}

const struct device_front device_legacy_front = {.legacy = true, .attach = attach};
