/*
 * virtio_pci_legacy.c - the legacy interface of virtio over PCI (4.1.4.10): registers in I/O ports,
 * rings of a fixed size by page number, 32 feature bits, no FEATURES_OK.
 *
 * Used for transitional devices whose modern interface is switched off or cannot be used; which
 * one it is, virtio_pci.c decides. What else a legacy device changes (ring layout, configuration
 * without generation, headers, framing) follows from device->legacy elsewhere. Read
 * virtio_pci_interrupts.c next.
 */
#include <errno.h>

#include "log.h"
#include "virtio/virtio_pci_impl.h"

#define REGISTERS_BAR 0

static uint16_t legacy_register(struct virtio_device *device, unsigned offset)
{
    return (uint16_t)(to_pci(device)->port + offset);
}

static uint8_t legacy_get_status(struct virtio_device *device)
{
    return pio_read8(legacy_register(device, VIRTIO_PCI_LEGACY_DEVICE_STATUS));
}

static void legacy_set_status(struct virtio_device *device, uint8_t status)
{
    pio_write8(legacy_register(device, VIRTIO_PCI_LEGACY_DEVICE_STATUS), status);
}

static void legacy_get_features(struct virtio_device *device, struct virtio_features *offered)
{
    offered->word[0] = pio_read32(legacy_register(device, VIRTIO_PCI_LEGACY_DEVICE_FEATURES));
}

static void legacy_set_features(struct virtio_device *device,
                                const struct virtio_features *accepted)
{
    pio_write32(legacy_register(device, VIRTIO_PCI_LEGACY_DRIVER_FEATURES), accepted->word[0]);
}

/* The device configuration moves when MSI-X is switched on, as two registers slip in before it. */
static uint16_t config_port(struct virtio_device *device, unsigned offset)
{
    bool msix = to_pci(device)->fn->msix != NULL;

    return legacy_register(
        device, (msix ? VIRTIO_PCI_LEGACY_CONFIG_MSIX : VIRTIO_PCI_LEGACY_CONFIG) + offset);
}

static uint32_t legacy_read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    uint16_t port = config_port(device, offset);

    return width == 1 ? pio_read8(port) : width == 2 ? pio_read16(port) : pio_read32(port);
}

static void legacy_write_config(struct virtio_device *device, unsigned offset, unsigned width,
                                uint32_t value)
{
    uint16_t port = config_port(device, offset);

    if (width == 1)
        pio_write8(port, (uint8_t)value);
    else if (width == 2)
        pio_write16(port, (uint16_t)value);
    else
        pio_write32(port, value);
}

static void select_queue(struct virtio_device *device, uint16_t index)
{
    pio_write16(legacy_register(device, VIRTIO_PCI_LEGACY_QUEUE_SELECT), index);
}

static uint16_t legacy_queue_max_size(struct virtio_device *device, uint16_t index)
{
    select_queue(device, index);
    return pio_read16(legacy_register(device, VIRTIO_PCI_LEGACY_QUEUE_SIZE));
}

/* 4.1.5.1.3.1: the address enables the queue; driver and device area follow from it (2.7.2). */
static int legacy_queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    uint64_t page = virtqueue_areas(vq)->descriptor / VIRTQ_LEGACY_ALIGNMENT;

    if (page > UINT32_MAX) {
        log_error("%s: %s lies where a legacy device cannot reach it", device->name,
                  virtqueue_name(vq));
        return -EFAULT;
    }
    select_queue(device, virtqueue_index(vq));
    if (device->interrupt_mode == VIRTIO_INTERRUPT_MSIX)
        virtio_pci_set_queue_vector(to_pci(device), vq, interrupt);
    pio_write32(legacy_register(device, VIRTIO_PCI_LEGACY_QUEUE_ADDRESS), (uint32_t)page);
    return 0;
}

static void legacy_notify(void *device, struct virtqueue *vq)
{
    pio_write16(legacy_register(device, VIRTIO_PCI_LEGACY_QUEUE_NOTIFY), virtqueue_index(vq));
}

static uint16_t legacy_set_config_vector(struct virtio_pci *pci, uint16_t vector)
{
    uint16_t port = legacy_register(&pci->device, VIRTIO_PCI_LEGACY_CONFIG_MSIX_VECTOR);

    pio_write16(port, vector);
    return pio_read16(port);
}

static uint16_t legacy_set_queue_vector(struct virtio_pci *pci, uint16_t vector)
{
    uint16_t port = legacy_register(&pci->device, VIRTIO_PCI_LEGACY_QUEUE_MSIX_VECTOR);

    pio_write16(port, vector);
    return pio_read16(port);
}

static uint8_t legacy_read_isr(struct virtio_pci *pci)
{
    return pio_read8(legacy_register(&pci->device, VIRTIO_PCI_LEGACY_ISR_STATUS));
}

static const struct virtio_pci_interrupt_registers interrupt_registers = {
    .set_config_vector = legacy_set_config_vector,
    .set_queue_vector = legacy_set_queue_vector,
    .read_isr = legacy_read_isr,
};

static const struct virtio_transport_ops legacy_ops = {
    .name = "pci",
    .get_status = legacy_get_status,
    .set_status = legacy_set_status,
    .get_features = legacy_get_features,
    .set_features = legacy_set_features,
    .read_config = legacy_read_config,
    .write_config = legacy_write_config,
    .queue_max_size = legacy_queue_max_size,
    .queue_enable = legacy_queue_enable,
    .notify = legacy_notify,
    .interrupts_setup = virtio_pci_interrupts_setup,
    .interrupts_teardown = virtio_pci_interrupts_teardown,
    .poll_config_change = virtio_pci_poll_config_change,
    .is_present = virtio_pci_is_present,
    .isolate = virtio_pci_isolate,
    .release = virtio_pci_release,
};

bool virtio_pci_legacy_attach(struct virtio_pci *pci)
{
    const struct pci_function *fn = pci->fn;
    const struct pci_bar *bar = &fn->bar[REGISTERS_BAR];

    /* 4.1.2.3: only a transitional device has it. */
    if (fn->device_id > VIRTIO_PCI_DEVICE_ID_TRANSITIONAL_LAST || fn->revision != 0)
        return false;
    if (!bar->is_io || bar->address == 0 || bar->address + bar->size > 0x10000 ||
        bar->size < VIRTIO_PCI_LEGACY_CONFIG_MSIX)
        return false;
    pci->port = (uint16_t)bar->address;
    pci->interrupt_registers = &interrupt_registers;
    pci->device.ops = &legacy_ops;
    pci->device.legacy = true;
    pci->device.fixed_queue_size = true;
    /* What can be reached in either place of the configuration. */
    pci->device.config_length = (uint32_t)(bar->size - VIRTIO_PCI_LEGACY_CONFIG_MSIX);
    if (pci->device.config_length > VIRTIO_PCI_MAX_CONFIG)
        pci->device.config_length = VIRTIO_PCI_MAX_CONFIG;
    pci_command(pci->fn, PCI_COMMAND_IO, 0);
    return true;
}
