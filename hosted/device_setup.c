/*
 * device_setup.c - puts a model device together: its PCI function with BAR and capabilities (4.1.4),
 * its initial state, its place in the world outside.
 *
 * What the registers do is device.c's. Read device.h first.
 */
#include "hosted/device_front.h"

#include <string.h>

unsigned device_add_capability(struct fake_function *f, uint8_t type, uint8_t bar, uint32_t offset,
                               uint32_t length, const void *extra, unsigned extra_len)
{
    uint8_t body[64] = {(uint8_t)(16 + extra_len), type, bar};

    memcpy(body + 6, &offset, 4);
    memcpy(body + 10, &length, 4);
    if (extra_len)
        memcpy(body + 14, extra, extra_len);
    return fake_pci_add_capability(f, PCI_CAP_ID_VENDOR, body, 14 + extra_len);
}

static const struct device_front *front_of_new_devices;

void device_set_front(const struct device_front *front)
{
    front_of_new_devices = front;
}

static void add_function(struct device *device, const struct device_setup *setup)
{
    struct hosted_registers registers = device_registers(device);
    uint32_t multiplier = DEVICE_NOTIFY_MULTIPLIER;
    struct fake_function *f = fake_pci_add(0x1af4, (uint16_t)(0x1040 + setup->type->id));

    device->pci = f;
    f->msix_entries = setup->msix_vectors;
    fake_pci_set_bar(f, DEVICE_BAR, DEVICE_BAR_SIZE, true, &registers);
    device_add_capability(f, CAP_COMMON, DEVICE_BAR, DEVICE_COMMON_AT, device->common_length, NULL,
                          0);
    device_add_capability(f, CAP_NOTIFY, DEVICE_BAR, DEVICE_NOTIFY_AT,
                          DEVICE_MAX_QUEUES * DEVICE_NOTIFY_MULTIPLIER, &multiplier, 4);
    device_add_capability(f, CAP_ISR, DEVICE_BAR, DEVICE_ISR_AT, 1, NULL, 0);
    if (setup->config_length)
        device_add_capability(f, CAP_DEVICE, DEVICE_BAR, DEVICE_CONFIG_AT, setup->config_length,
                              NULL, 0);
}

static void world(void *arg)
{
    device_run(arg);
}

void device_init(struct device *device, const struct device_setup *setup)
{
    uint64_t features = setup->features | UINT64_C(1) << F_VERSION_1;

    memset(device, 0, sizeof(*device));
    device->front = front_of_new_devices;
    if (device_is_legacy(device))
        features = (uint32_t)features;
    device->type = setup->type;
    device->state = setup->state;
    device->offered[0] = (uint32_t)features;
    device->offered[1] = (uint32_t)(features >> 32);
    /* One that offers it needs it, and sits behind the IOMMU. */
    if (features >> F_ACCESS_PLATFORM & 1)
        hosted_dma_use_iommu(true);
    device->common_length = CC_LENGTH;
    if (features >> F_NOTIF_CONFIG_DATA & 1)
        device->common_length = CC_LENGTH_WITH_NOTIF_CONFIG;
    if (features >> F_RING_RESET & 1)
        device->common_length = CC_LENGTH_WITH_QUEUE_RESET;
    device->queues = setup->queues;
    device->config_length = setup->config_length;
    if (setup->config_length)
        memcpy(device->config, setup->config, setup->config_length);
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++) {
        device->queue[i].max_size = device->queue[i].size = setup->queue_size;
        device->queue[i].notify_off = (uint16_t)i;
        /* Something that no driver comes upon by itself, and that differs between queues. */
        device->queue[i].notif_config_data = (uint16_t)(0xa500 + 0x11 * i);
        device->queue[i].vector = NO_VECTOR;
    }
    device->config_vector = NO_VECTOR;
    if (device->front)
        device->front->attach(device, setup);
    else
        add_function(device, setup);
    /*
     * Firmware may have used it: a driver that does not reset first meets a device that is half set
     * up.
     */
    device->status = ST_ACKNOWLEDGE | ST_DRIVER;
    hosted_world_add(world, device);
}

void device_finish(struct device *device)
{
    hosted_world_remove(world, device);
    if (device->front && device->front->detach)
        device->front->detach(device);
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++)
        ring_device_finish(&device->queue[i].ring);
}
