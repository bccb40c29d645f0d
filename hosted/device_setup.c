/*
 * device_setup.c - puts a model device together: its PCI function with BAR and capabilities (4.1.4),
 * its initial state, its place in the world outside.
 *
 * Owns what lies in the BAR beside the common configuration: the device configuration and the
 * notification structure. The state machine is device.c's. Read device.h first.
 */
#include "hosted/device_front.h"

#include <string.h>

#include "hosted/violation.h"

/* ---- device configuration (2.5) ---- */

/* 2.5.1, 4.1.3.1: the width of the field, and no optional field without its feature. */
static void check_field(struct device *device, unsigned offset, unsigned width)
{
    for (unsigned i = 0; i < device->type->fields; i++) {
        const struct device_field *f = &device->type->field[i];
        unsigned step = f->width > 4 ? 4 : f->width;
        if (offset < f->offset || offset >= f->offset + (unsigned)f->width * f->count)
            continue;
        if (width != step || (offset - f->offset) % step)
            violation("PCI-ACCESS-1", "%u-byte access at %u of the configuration of %s", width,
                      offset, device->type->name);
        if (f->feature != DEVICE_NO_FEATURE &&
            !(device->offered[f->feature / 32] >> f->feature % 32 & 1))
            violation("CORE-CFG-4", "field at %u read without feature %u", f->offset, f->feature);
        return;
    }
    if (device->type->fields)
        violation("CORE-CFG-4", "no field at %u of the configuration of %s", offset,
                  device->type->name);
}

uint64_t device_config_read(struct device *device, unsigned offset, unsigned width)
{
    uint64_t value = 0;

    if (device->lies.gone || offset + width > device->config_length)
        return ~UINT64_C(0) >> (64 - 8 * width);
    device_trace(device, "config?");
    check_field(device, offset, width);
    memcpy(&value, device->config + offset, width);
    if (device->lies.change_after_reads && --device->lies.change_after_reads == 0) {
        for (unsigned i = 0; i < device->config_length; i++)
            device->config[i] ^= 0xff;
        device->generation++;
    }
    if (device->lies.config_moves) {
        device->config[0]++;
        if (device->lies.config_moves != DEVICE_FOR_EVER)
            device->lies.config_moves--;
    }
    return value;
}

void device_config_write(struct device *device, unsigned offset, unsigned width, uint64_t value)
{
    if (!device_is_negotiated(device))
        violation("INIT-5", "configuration written with status %#x", device->status);
    check_field(device, offset, width);
    device->config_writes++;
    if (offset + width <= device->config_length)
        memcpy(device->config + offset, &value, width);
    if (device->type->config_written)
        device->type->config_written(device, offset);
}

/* ---- the legacy ring (2.7.2) ---- */

void device_enable_legacy_ring(struct device *device, uint64_t base, uint32_t alignment)
{
    uint64_t size = device->queue[device->queue_select % DEVICE_MAX_QUEUES].size;
    uint64_t driver = base + 16 * size;
    uint64_t used = (driver + 2 * (3 + size) + alignment - 1) / alignment * alignment;
    uint64_t area[3] = {base, driver, used};

    for (unsigned i = 0; i < 6; i++)
        device_common_write(device, CC_QUEUE_DESC + 4 * i, 4,
                            (uint32_t)(area[i / 2] >> 32 * (i % 2)));
    device_common_write(device, CC_QUEUE_ENABLE, 2, 1);
}

/* ---- the BAR ---- */

/* 2.9: which queue the low half of a notification names, or `queues`: none. */
static unsigned notified_queue(const struct device *device, uint16_t name)
{
    bool by_data = device_has(device, F_NOTIF_CONFIG_DATA);
    unsigned i;

    for (i = 0; i < device->queues; i++)
        if (name == (by_data ? device->queue[i].notif_config_data : i))
            break;
    return i;
}

/* The requirement of 4.1.5.2.1 on that name, which depends on what was negotiated. */
static const char *notification_rule(const struct device *device)
{
    bool data = device_has(device, F_NOTIFICATION_DATA);

    if (device_has(device, F_NOTIF_CONFIG_DATA))
        return data ? "PCI-NOTIFY-6" : "PCI-NOTIFY-5";
    return data ? "PCI-NOTIFY-4" : "PCI-NOTIFY-3";
}

static void notify_write(struct device *device, unsigned offset, unsigned width, uint64_t value)
{
    unsigned index = notified_queue(device, (uint16_t)value);
    bool data = device_has(device, F_NOTIFICATION_DATA);

    if (device->lies.gone)
        return;
    if (width != (data ? 4 : 2)) {
        violation(data ? "PCI-NOTIFY-2" : "PCI-NOTIFY-1", "a notification of %u bytes", width);
        return;
    }
    if (index >= device->queues || !device->queue[index].enabled ||
        offset != device->queue[index].notify_off * DEVICE_NOTIFY_MULTIPLIER) {
        violation(notification_rule(device), "%#llx written to notify offset %#x",
                  (unsigned long long)value, offset);
        return;
    }
    device_notified(device, index, (uint32_t)value);
}

static uint64_t bar_read(void *arg, uint64_t offset, unsigned width)
{
    struct device *device = arg;
    unsigned at = (unsigned)offset;

    if (at < DEVICE_ISR_AT)
        return device_common_read(device, at - DEVICE_COMMON_AT, width);
    if (at == DEVICE_ISR_AT)
        return device_isr_read(device, width);
    if (at >= DEVICE_CONFIG_AT && at < DEVICE_NOTIFY_AT)
        return device_config_read(device, at - DEVICE_CONFIG_AT, width);
    violation("PCI-CAP-5", "read at %#x of the BAR, outside of every structure", at);
    return 0;
}

static void bar_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    struct device *device = arg;
    unsigned at = (unsigned)offset;

    if (at < DEVICE_ISR_AT)
        device_common_write(device, at - DEVICE_COMMON_AT, width, value);
    else if (at >= DEVICE_CONFIG_AT && at < DEVICE_NOTIFY_AT)
        device_config_write(device, at - DEVICE_CONFIG_AT, width, value);
    else if (at >= DEVICE_NOTIFY_AT)
        notify_write(device, at - DEVICE_NOTIFY_AT, width, value);
    else
        violation("PCI-CAP-5", "write at %#x of the BAR, outside of every structure", at);
}

/* ---- set-up ---- */

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
    struct hosted_registers registers = {
        .name = device->type->name, .read = bar_read, .write = bar_write, .arg = device};
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
