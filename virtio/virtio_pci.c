/*
 * virtio_pci.c - virtio over PCI (4.1): finding the structures in a function's BARs, and the
 * transport operations on them.
 *
 * Modern interface; a transitional device is driven as a modern one where it can be, else by
 * virtio_pci_legacy.c. Interrupts are virtio_pci_interrupts.c's. Knows no device type and no ring.
 * PCI itself is pci.h's. Read virtio.h first.
 */
#include "virtio/virtio_pci.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "virtio/virtio_pci_impl.h"

#define NO_CAPABILITIES "it has no virtio capabilities"

#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

/* One field of the common configuration structure, with the width that its type has. */
#define READ_COMMON(pci, field) \
    virtio_pci_read((pci), &(pci)->common, COMMON(field), COMMON_WIDTH(field))
#define WRITE_COMMON(pci, field, value) \
    virtio_pci_write((pci), &(pci)->common, COMMON(field), COMMON_WIDTH(field), (value))
#define COMMON_WIDTH(field) sizeof(((struct virtio_pci_common_cfg *)0)->field)

/* ---- registers (4.1.4.3) ---- */

static uint8_t pci_get_status(struct virtio_device *device)
{
    return (uint8_t)READ_COMMON(to_pci(device), device_status);
}

static void pci_set_status(struct virtio_device *device, uint8_t status)
{
    WRITE_COMMON(to_pci(device), device_status, status);
}

static void pci_get_features(struct virtio_device *device, struct virtio_features *offered)
{
    struct virtio_pci *pci = to_pci(device);
    unsigned i;

    for (i = 0; i < VIRTIO_FEATURE_BITS / 32; i++) {
        WRITE_COMMON(pci, device_feature_select, i);
        offered->word[i] = READ_COMMON(pci, device_feature);
    }
}

static void pci_set_features(struct virtio_device *device, const struct virtio_features *accepted)
{
    struct virtio_pci *pci = to_pci(device);
    unsigned i;

    for (i = 0; i < VIRTIO_FEATURE_BITS / 32; i++) {
        WRITE_COMMON(pci, driver_feature_select, i);
        WRITE_COMMON(pci, driver_feature, accepted->word[i]);
    }
}

static uint32_t pci_read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    return virtio_pci_read(to_pci(device), &to_pci(device)->config, offset, width);
}

static void pci_write_config(struct virtio_device *device, unsigned offset, unsigned width,
                             uint32_t value)
{
    virtio_pci_write(to_pci(device), &to_pci(device)->config, offset, width, value);
}

static uint32_t pci_config_generation(struct virtio_device *device)
{
    return READ_COMMON(to_pci(device), config_generation);
}

/* ---- registers of interrupts ---- */

static uint16_t pci_set_config_vector(struct virtio_pci *pci, uint16_t vector)
{
    WRITE_COMMON(pci, config_msix_vector, vector);
    return (uint16_t)READ_COMMON(pci, config_msix_vector);
}

static uint16_t pci_set_queue_vector(struct virtio_pci *pci, uint16_t vector)
{
    WRITE_COMMON(pci, queue_msix_vector, vector);
    return (uint16_t)READ_COMMON(pci, queue_msix_vector);
}

static uint8_t pci_read_isr(struct virtio_pci *pci)
{
    return (uint8_t)virtio_pci_read(pci, &pci->isr, 0, 1);
}

static const struct virtio_pci_interrupt_registers interrupt_registers = {
    .set_config_vector = pci_set_config_vector,
    .set_queue_vector = pci_set_queue_vector,
    .read_isr = pci_read_isr,
};

/* ---- queues ---- */

static void select_queue(struct virtio_pci *pci, uint16_t index)
{
    WRITE_COMMON(pci, queue_select, index);
}

static uint16_t pci_queue_max_size(struct virtio_device *device, uint16_t index)
{
    struct virtio_pci *pci = to_pci(device);

    if (index >= VIRTIO_MAX_QUEUES || index >= READ_COMMON(pci, num_queues))
        return 0;
    select_queue(pci, index);
    return (uint16_t)READ_COMMON(pci, queue_size);
}

/* 4.1.3.1: 64-bit fields are written as two of 32 bits. */
static void write_address(struct virtio_pci *pci, unsigned offset, dma_addr_t address)
{
    virtio_pci_write(pci, &pci->common, offset, 4, (uint32_t)address);
    virtio_pci_write(pci, &pci->common, offset + 4, 4, (uint32_t)(address >> 32));
}

/*
 * 4.1.4.4: each queue has its own place in the notification structure, which must lie inside of it.
 * What is written there follows from the features (4.1.5.2).
 */
static int map_notify_register(struct virtio_pci *pci, uint16_t index)
{
    const struct virtio_features *accepted = &pci->device.accepted;
    bool with_data = virtio_features_has(accepted, VIRTIO_F_NOTIFICATION_DATA);
    uint64_t offset = (uint64_t)READ_COMMON(pci, queue_notify_off) * pci->notify_multiplier;
    unsigned width = with_data ? sizeof(uint32_t) : sizeof(uint16_t);
    struct virtio_pci_location where = pci->notify;

    if (offset + width > pci->notify.length) {
        log_error("%s: queue %u is to be notified outside of the notification structure", pci->name,
                  index);
        return -EINVAL;
    }
    pci->notify_value[index] = index;
    if (virtio_features_has(accepted, VIRTIO_F_NOTIF_CONFIG_DATA))
        pci->notify_value[index] = (uint16_t)READ_COMMON(pci, queue_notif_config_data);
    where.offset += (uint32_t)offset;
    where.length = width;
    return virtio_pci_reach(pci, &where, &pci->notify_register[index]) ? 0 : -EIO;
}

static int pci_queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    struct virtio_pci *pci = to_pci(device);
    uint16_t index = virtqueue_index(vq);
    const struct virtqueue_areas *areas = virtqueue_areas(vq);
    int error;

    select_queue(pci, index);
    error = map_notify_register(pci, index);
    if (error)
        return error;
    WRITE_COMMON(pci, queue_size, virtqueue_size(vq));
    write_address(pci, COMMON(queue_desc), areas->descriptor);
    write_address(pci, COMMON(queue_driver), areas->driver);
    write_address(pci, COMMON(queue_device), areas->device);
    if (device->interrupt_mode == VIRTIO_INTERRUPT_MSIX)
        virtio_pci_set_queue_vector(pci, vq, interrupt);
    WRITE_COMMON(pci, queue_enable, 1);
    return 0;
}

static void pci_queue_reset(struct virtio_device *device, struct virtqueue *vq)
{
    struct virtio_pci *pci = to_pci(device);

    select_queue(pci, virtqueue_index(vq));
    WRITE_COMMON(pci, queue_reset, 1);
}

/* 4.1.4.3.2: it is done when queue_reset reads 0, and then queue_enable must do so too. */
static int pci_queue_reset_state(struct virtio_device *device, struct virtqueue *vq)
{
    struct virtio_pci *pci = to_pci(device);

    select_queue(pci, virtqueue_index(vq));
    if (READ_COMMON(pci, queue_reset) != 0)
        return -EBUSY;
    return READ_COMMON(pci, queue_enable) == 0 ? 0 : -EIO;
}

static void pci_notify(void *device, struct virtqueue *vq)
{
    struct virtio_pci *pci = device;
    uint16_t index = virtqueue_index(vq);
    const struct virtio_pci_registers *reg = &pci->notify_register[index];

    /* The data path: no more than this store where the register is mapped. */
    if (reg->mapped)
        mmio_write16(reg->mapped, pci->notify_value[index]);
    else
        virtio_pci_write(pci, reg, 0, sizeof(uint16_t), pci->notify_value[index]);
}

static void pci_notify_data(void *device, struct virtqueue *vq)
{
    struct virtio_pci *pci = device;
    uint16_t index = virtqueue_index(vq);
    const struct virtio_pci_registers *reg = &pci->notify_register[index];
    uint32_t value = pci->notify_value[index] | (uint32_t)virtqueue_notification_data(vq) << 16;

    if (reg->mapped)
        mmio_write32(reg->mapped, value);
    else
        virtio_pci_write(pci, reg, 0, sizeof(value), value);
}

/* ---- the end ---- */

bool virtio_pci_is_present(struct virtio_device *device)
{
    const struct pci_function *fn = to_pci(device)->fn;

    return pci_read16(fn, PCI_VENDOR_ID) == fn->vendor_id;
}

void virtio_pci_isolate(struct virtio_device *device)
{
    pci_command(to_pci(device)->fn, PCI_COMMAND_INTX_DISABLE, PCI_COMMAND_MASTER);
}

void virtio_pci_release(struct virtio_device *device)
{
    struct virtio_pci *pci = to_pci(device);

    virtio_pci_isolate(device);
    pci->fn->driver_data = NULL;
    pci->fn->driver = NULL;
    platform_dma_free(pci, sizeof(*pci));
}

static const struct virtio_transport_ops pci_ops = {
    .name = "pci",
    .get_status = pci_get_status,
    .set_status = pci_set_status,
    .get_features = pci_get_features,
    .set_features = pci_set_features,
    .read_config = pci_read_config,
    .write_config = pci_write_config,
    .config_generation = pci_config_generation,
    .queue_max_size = pci_queue_max_size,
    .queue_enable = pci_queue_enable,
    .queue_reset = pci_queue_reset,
    .queue_reset_state = pci_queue_reset_state,
    .notify = pci_notify,
    .notify_data = pci_notify_data,
    .interrupts_setup = virtio_pci_interrupts_setup,
    .interrupts_teardown = virtio_pci_interrupts_teardown,
    .poll_config_change = virtio_pci_poll_config_change,
    .is_present = virtio_pci_is_present,
    .isolate = virtio_pci_isolate,
    .release = virtio_pci_release,
};

/* ---- discovery (4.1.2, 4.1.4) ---- */

/*
 * The first capability of a type that can be used: long enough itself, in an existing memory BAR
 * and inside of it. Others are passed over, as are types and BAR numbers that are reserved
 * (4.1.4.1).
 */
static struct virtio_pci_location find_structure(struct pci_function *fn, uint8_t type,
                                                 uint32_t min_length)
{
    unsigned cap = 0, min_cap = sizeof(struct virtio_pci_cap);

    if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
        min_cap = sizeof(struct virtio_pci_notify_cap);
    while ((cap = pci_find_capability(fn, PCI_CAP_ID_VENDOR, cap)) != 0) {
        struct virtio_pci_location found = {
            .bar = pci_read8(fn, cap + offsetof(struct virtio_pci_cap, bar)),
            .offset = pci_read32(fn, cap + offsetof(struct virtio_pci_cap, offset)),
            .length = pci_read32(fn, cap + offsetof(struct virtio_pci_cap, length)),
            .capability = cap,
        };

        if (pci_read8(fn, cap + offsetof(struct virtio_pci_cap, cfg_type)) != type)
            continue;
        if (found.bar < PCI_BAR_COUNT &&
            pci_read8(fn, cap + offsetof(struct virtio_pci_cap, cap_len)) >= min_cap &&
            found.length >= min_length && !fn->bar[found.bar].is_io &&
            (uint64_t)found.offset + min_length <= fn->bar[found.bar].size)
            return found;
        log_warn(
            "pci %02x:%02x.%x: virtio capability 0x%02x makes no sense (type %u, BAR %u, offset 0x%x, length 0x%x)",
            fn->bus, fn->device, fn->function, cap, type, found.bar, found.offset, found.length);
    }
    return (struct virtio_pci_location){.length = 0};
}

/* Reaches a structure, up to `most` bytes of it, as far as its BAR goes. */
static bool reach_structure(struct virtio_pci *pci, struct virtio_pci_location *where,
                            uint32_t most, struct virtio_pci_registers *registers)
{
    uint64_t room = pci->fn->bar[where->bar].size - where->offset;

    if (where->length > most)
        where->length = most;
    if (where->length > room)
        where->length = (uint32_t)room;
    return virtio_pci_reach(pci, where, registers);
}

static const char *map_structures(struct virtio_pci *pci)
{
    struct pci_function *fn = pci->fn;
    struct virtio_pci_location common =
        find_structure(fn, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_COMMON_CFG_MIN);
    struct virtio_pci_location isr = find_structure(fn, VIRTIO_PCI_CAP_ISR_CFG, 1);
    struct virtio_pci_location config = find_structure(fn, VIRTIO_PCI_CAP_DEVICE_CFG, 1);

    pci->notify = find_structure(fn, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(uint16_t));
    if (!common.length && !isr.length && !pci->notify.length)
        return NO_CAPABILITIES;
    if (!common.length || !isr.length || !pci->notify.length)
        return "a virtio structure is missing or cannot be used";
    pci->notify_multiplier = pci_read32(
        fn, pci->notify.capability + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier));
    if (!reach_structure(pci, &common, sizeof(struct virtio_pci_common_cfg), &pci->common) ||
        !reach_structure(pci, &isr, 1, &pci->isr) ||
        (config.length && !reach_structure(pci, &config, VIRTIO_PCI_MAX_CONFIG, &pci->config)))
        return "its registers cannot be mapped";
    pci->device.config_length = config.length;
    virtio_features_add(&pci->device.transport_features, VIRTIO_F_NOTIFICATION_DATA);
    if (common.length >= COMMON(queue_notif_config_data) + sizeof(le16))
        virtio_features_add(&pci->device.transport_features, VIRTIO_F_NOTIF_CONFIG_DATA);
    if (common.length >= COMMON(queue_reset) + sizeof(le16))
        virtio_features_add(&pci->device.transport_features, VIRTIO_F_RING_RESET);
    return NULL;
}

/* 4.1.2: the device type, or 0 for a function that is not virtio. */
static uint16_t device_type(const struct pci_function *fn)
{
    if (fn->vendor_id != VIRTIO_PCI_VENDOR_ID || fn->device_id < VIRTIO_PCI_DEVICE_ID_FIRST ||
        fn->device_id > VIRTIO_PCI_DEVICE_ID_LAST)
        return 0;
    if (fn->device_id > VIRTIO_PCI_DEVICE_ID_TRANSITIONAL_LAST)
        return fn->device_id - VIRTIO_PCI_DEVICE_ID_MODERN;
    return fn->subsystem_id;
}

/* 4.1.5.1.1.1: the modern interface if it can be used, else the legacy one. NULL or why not. */
static const char *choose_interface(struct virtio_pci *pci)
{
    const char *refusal = map_structures(pci);

    if (!refusal || !virtio_pci_legacy_attach(pci))
        return refusal;
    if (strcmp(refusal, NO_CAPABILITIES) != 0)
        log_warn("%s: %s: using its legacy interface", pci->name, refusal);
    return NULL;
}

int virtio_pci_probe(struct pci_function *fn)
{
    uint16_t type = device_type(fn);
    struct virtio_pci *pci;
    int error;

    if (!type)
        return -ENODEV;
    pci = platform_dma_alloc(sizeof(*pci), 64);
    if (!pci)
        return -ENOMEM;
    pci->fn = fn;
    format_text(pci->name, sizeof(pci->name), "pci %02x:%02x.%x", fn->bus, fn->device,
                fn->function);
    pci->device.name = pci->name;
    pci->device.type = type;
    pci->device.ops = &pci_ops;
    pci_command(fn, PCI_COMMAND_MEMORY, 0);
    pci->interrupt_registers = &interrupt_registers;
    fn->refusal = choose_interface(pci);
    if (fn->refusal) {
        platform_dma_free(pci, sizeof(*pci));
        return -ENOTSUP;
    }
    pci_command(fn, PCI_COMMAND_MASTER, 0);
    fn->driver_data = pci;
    error = virtio_add_device(&pci->device);
    if (pci->device.driver_ok)
        fn->driver = pci->device.driver->name;
    fn->refusal = pci->device.refusal;
    return error;
}

void virtio_pci_remove(struct pci_function *fn)
{
    struct virtio_pci *pci = fn->driver_data;

    if (pci)
        virtio_remove_device(&pci->device);
}

unsigned virtio_pci_scan(void)
{
    unsigned i, driven = 0;

    for (i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);

        if (virtio_pci_probe(fn) == 0 && fn->driver)
            driven++;
    }
    return driven;
}
