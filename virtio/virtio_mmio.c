/*
 * virtio_mmio.c - virtio over MMIO (4.2): the transport operations on a block of 32-bit registers,
 * in version 2 and in the legacy version 1 (4.2.4).
 *
 * Knows no device type and no ring. Where devices are is virtio_mmio_scan.c's business. Read
 * virtio.h first.
 */
#include <errno.h>

#include "irq.h"
#include "log.h"
#include "virtio/spec.h"
#include "virtio/virtio.h"
#include "virtio/virtio_mmio.h"

/* Device configuration is mapped up to this much; no type has more fields (5). */
#define MAX_CONFIG_LENGTH 4096u

/*
 * Words of feature bits that are read and written. QEMU takes each selector above 1 for 1, so that
 * a write of word 2 would undo the choices in word 1; no driver here knows a bit from 64 on.
 */
#define FEATURE_WORDS 2

#define INTERRUPT_CAUSES (VIRTIO_MMIO_INTERRUPT_QUEUE | VIRTIO_MMIO_INTERRUPT_CONFIG)

struct virtio_mmio {
    struct virtio_device device; /* first, so that one pointer is both */
    struct mmio_place place;
    volatile uint8_t *registers;
    char name[24];
};

static struct virtio_mmio *to_mmio(struct virtio_device *device)
{
    return (struct virtio_mmio *)device;
}

/* ---- registers (4.2.2) ---- */

static uint32_t reg_read(struct virtio_device *device, unsigned offset)
{
    return mmio_read32(to_mmio(device)->registers + offset);
}

static void reg_write(struct virtio_device *device, unsigned offset, uint32_t value)
{
    mmio_write32(to_mmio(device)->registers + offset, value);
}

static uint8_t mmio_get_status(struct virtio_device *device)
{
    return (uint8_t)reg_read(device, VIRTIO_MMIO_STATUS);
}

static void mmio_set_status(struct virtio_device *device, uint8_t status)
{
    reg_write(device, VIRTIO_MMIO_STATUS, status);
}

static unsigned feature_words(const struct virtio_device *device)
{
    return device->legacy ? 1 : FEATURE_WORDS;
}

static void mmio_get_features(struct virtio_device *device, struct virtio_features *offered)
{
    unsigned i;

    for (i = 0; i < feature_words(device); i++) {
        reg_write(device, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
        offered->word[i] = reg_read(device, VIRTIO_MMIO_DEVICE_FEATURES);
    }
}

static void mmio_set_features(struct virtio_device *device, const struct virtio_features *accepted)
{
    unsigned i;

    for (i = 0; i < feature_words(device); i++) {
        reg_write(device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        reg_write(device, VIRTIO_MMIO_DRIVER_FEATURES, accepted->word[i]);
    }
}

/* 4.2.2.2: unlike registers, the device configuration is accessed by the width of its fields. */
static uint32_t mmio_read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    volatile uint8_t *reg = to_mmio(device)->registers + VIRTIO_MMIO_CONFIG + offset;

    return width == 1 ? mmio_read8(reg) : width == 2 ? mmio_read16(reg) : mmio_read32(reg);
}

static void mmio_write_config(struct virtio_device *device, unsigned offset, unsigned width,
                              uint32_t value)
{
    volatile uint8_t *reg = to_mmio(device)->registers + VIRTIO_MMIO_CONFIG + offset;

    if (width == 1)
        mmio_write8(reg, (uint8_t)value);
    else if (width == 2)
        mmio_write16(reg, (uint16_t)value);
    else
        mmio_write32(reg, value);
}

static uint32_t mmio_config_generation(struct virtio_device *device)
{
    return reg_read(device, VIRTIO_MMIO_CONFIG_GENERATION);
}

/* ---- interrupts (4.2.3.4) ---- */

static bool mmio_interrupt(void *arg)
{
    struct virtio_device *device = arg;
    uint32_t causes = reg_read(device, VIRTIO_MMIO_INTERRUPT_STATUS) & INTERRUPT_CAUSES;
    unsigned i;

    if (causes == 0)
        return false;
    if (causes & VIRTIO_MMIO_INTERRUPT_QUEUE)
        for (i = 0; i < device->queue_count; i++)
            virtqueue_interrupt(device->queue[i]);
    if (causes & VIRTIO_MMIO_INTERRUPT_CONFIG)
        virtio_config_interrupt(device);
    /* Takes the line back. What the device does from here on raises it again, and the loop looks at
     * the rings only later. */
    reg_write(device, VIRTIO_MMIO_INTERRUPT_ACK, causes);
    return true;
}

static void mmio_interrupts_setup(struct virtio_device *device, unsigned queues)
{
    const struct mmio_place *place = &to_mmio(device)->place;

    (void)queues;
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
    if (virtio_interrupt_limit() < VIRTIO_INTERRUPT_INTX)
        return;
    if (place->gsi != MMIO_NO_LINE && irq_line_add((unsigned)place->gsi, place->active_low,
                                                   mmio_interrupt, device, device->name) == 0)
        device->interrupt_mode = VIRTIO_INTERRUPT_INTX;
    else
        log_warn("%s: its interrupt line %d cannot be used: polling it", device->name, place->gsi);
}

static void mmio_interrupts_teardown(struct virtio_device *device)
{
    if (device->interrupt_mode == VIRTIO_INTERRUPT_INTX)
        irq_line_remove((unsigned)to_mmio(device)->place.gsi, mmio_interrupt, device);
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
}

static bool mmio_poll_config_change(struct virtio_device *device)
{
    if (!(reg_read(device, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INTERRUPT_CONFIG))
        return false;
    reg_write(device, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INTERRUPT_CONFIG);
    return true;
}

/* ---- queues (4.2.3.2) ---- */

static uint16_t mmio_queue_max_size(struct virtio_device *device, uint16_t index)
{
    uint32_t size;

    reg_write(device, VIRTIO_MMIO_QUEUE_SEL, index);
    size = reg_read(device, VIRTIO_MMIO_QUEUE_SIZE_MAX);
    return size > UINT16_MAX ? UINT16_MAX : (uint16_t)size;
}

static void write_address(struct virtio_device *device, unsigned offset, dma_addr_t address)
{
    reg_write(device, offset, (uint32_t)address);
    reg_write(device, offset + 4, (uint32_t)(address >> 32));
}

static void enable(struct virtio_device *device, struct virtqueue *vq)
{
    const struct virtqueue_areas *areas = virtqueue_areas(vq);

    write_address(device, VIRTIO_MMIO_QUEUE_DESC, areas->descriptor);
    write_address(device, VIRTIO_MMIO_QUEUE_DRIVER, areas->driver);
    write_address(device, VIRTIO_MMIO_QUEUE_DEVICE, areas->device);
    reg_write(device, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* 4.2.4: the page number enables the queue; driver and device area follow from it (2.7.2). */
static void legacy_enable(struct virtio_device *device, uint64_t page)
{
    /* A reset may have cleared the unit of the page number, so it is given with each queue. */
    reg_write(device, VIRTIO_MMIO_GUEST_PAGE_SIZE, VIRTQ_LEGACY_ALIGNMENT);
    reg_write(device, VIRTIO_MMIO_QUEUE_ALIGN, VIRTQ_LEGACY_ALIGNMENT);
    reg_write(device, VIRTIO_MMIO_QUEUE_PFN, (uint32_t)page);
}

/* The register that says whether a queue is enabled, and that 0 is written to to stop it. */
static unsigned state_register(const struct virtio_device *device)
{
    return device->legacy ? VIRTIO_MMIO_QUEUE_PFN : VIRTIO_MMIO_QUEUE_READY;
}

static int mmio_queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    uint64_t page = virtqueue_areas(vq)->descriptor / VIRTQ_LEGACY_ALIGNMENT;

    (void)interrupt; /* one line for all: a queue cannot be left out */
    reg_write(device, VIRTIO_MMIO_QUEUE_SEL, virtqueue_index(vq));
    if (reg_read(device, state_register(device)) != 0) {
        log_error("%s: %s is in use after a reset", device->name, virtqueue_name(vq));
        return -EBUSY;
    }
    if (device->legacy && page > UINT32_MAX) {
        log_error("%s: %s lies where a legacy device cannot reach it", device->name,
                  virtqueue_name(vq));
        return -EFAULT;
    }
    reg_write(device, VIRTIO_MMIO_QUEUE_SIZE, virtqueue_size(vq));
    if (device->legacy)
        legacy_enable(device, page);
    else
        enable(device, vq);
    return 0;
}

static void mmio_queue_reset(struct virtio_device *device, struct virtqueue *vq)
{
    reg_write(device, VIRTIO_MMIO_QUEUE_SEL, virtqueue_index(vq));
    reg_write(device, VIRTIO_MMIO_QUEUE_RESET, 1);
}

/* 4.2.2.2: it is done when QueueReset reads 0. A device without that register, as QEMU's, reads so
 * as well, which its QueueReady gives away. */
static int mmio_queue_reset_state(struct virtio_device *device, struct virtqueue *vq)
{
    reg_write(device, VIRTIO_MMIO_QUEUE_SEL, virtqueue_index(vq));
    if (reg_read(device, VIRTIO_MMIO_QUEUE_RESET) != 0)
        return -EBUSY;
    return reg_read(device, VIRTIO_MMIO_QUEUE_READY) == 0 ? 0 : -EIO;
}

static void mmio_notify(void *device, struct virtqueue *vq)
{
    reg_write(device, VIRTIO_MMIO_QUEUE_NOTIFY, virtqueue_index(vq));
}

static void mmio_notify_data(void *device, struct virtqueue *vq)
{
    uint32_t data = virtqueue_notification_data(vq);

    reg_write(device, VIRTIO_MMIO_QUEUE_NOTIFY, virtqueue_index(vq) | data << 16);
}

/* ---- the end ---- */

/*
 * There is no bus to cut the device off from, as there is with PCI. Taking its queues away is what
 * can be done; the read makes sure that it has happened (4.2.2.2).
 */
static void mmio_isolate(struct virtio_device *device)
{
    unsigned i;

    for (i = 0; i < device->queue_count; i++) {
        reg_write(device, VIRTIO_MMIO_QUEUE_SEL, virtqueue_index(device->queue[i]));
        reg_write(device, state_register(device), 0);
        reg_read(device, state_register(device));
    }
}

static void mmio_release(struct virtio_device *device)
{
    platform_dma_free(device, sizeof(struct virtio_mmio));
}

static const struct virtio_transport_ops mmio_ops = {
    .name = "mmio",
    .get_status = mmio_get_status,
    .set_status = mmio_set_status,
    .get_features = mmio_get_features,
    .set_features = mmio_set_features,
    .read_config = mmio_read_config,
    .write_config = mmio_write_config,
    .config_generation = mmio_config_generation,
    .queue_max_size = mmio_queue_max_size,
    .queue_enable = mmio_queue_enable,
    .queue_reset = mmio_queue_reset,
    .queue_reset_state = mmio_queue_reset_state,
    .notify = mmio_notify,
    .notify_data = mmio_notify_data,
    .interrupts_setup = mmio_interrupts_setup,
    .interrupts_teardown = mmio_interrupts_teardown,
    .poll_config_change = mmio_poll_config_change,
    .isolate = mmio_isolate,
    .release = mmio_release,
};

/* ---- one place ---- */

static bool is_taken(uint64_t address)
{
    struct virtio_device *device;

    for (device = virtio_devices(); device; device = device->next)
        if (device->ops == &mmio_ops && to_mmio(device)->place.address == address)
            return true;
    return false;
}

/* 4.2.3.1.1: magic, version and ID, in this order. The ID, or 0: there is nothing to drive. */
static uint32_t identify(volatile uint8_t *registers, uint64_t address, uint32_t *version)
{
    uint32_t magic = mmio_read32(registers + VIRTIO_MMIO_MAGIC_VALUE);

    if (magic != VIRTIO_MMIO_MAGIC) {
        log_warn("mmio 0x%llx: no virtio device there (magic value 0x%08x)",
                 (unsigned long long)address, magic);
        return 0;
    }
    *version = mmio_read32(registers + VIRTIO_MMIO_DEVICE_VERSION);
    if (*version != VIRTIO_MMIO_VERSION && *version != VIRTIO_MMIO_VERSION_LEGACY) {
        log_warn("mmio 0x%llx: virtio device of version %u, which is not known",
                 (unsigned long long)address, *version);
        return 0;
    }
    return mmio_read32(registers + VIRTIO_MMIO_DEVICE_ID);
}

static int add_device(const struct mmio_place *place, volatile uint8_t *registers, uint32_t id,
                      uint32_t version)
{
    struct virtio_mmio *mmio = platform_dma_alloc(sizeof(*mmio), 64);
    struct virtio_device *device;
    int error;

    if (!mmio)
        return -ENOMEM;
    device = &mmio->device;
    mmio->place = *place;
    mmio->registers = registers;
    format_text(mmio->name, sizeof(mmio->name), "mmio 0x%llx", (unsigned long long)place->address);
    device->name = mmio->name;
    device->type = id > UINT16_MAX ? UINT16_MAX : (uint16_t)id;
    device->legacy = version == VIRTIO_MMIO_VERSION_LEGACY;
    device->ops = &mmio_ops;
    virtio_features_add(&device->transport_features, VIRTIO_F_NOTIFICATION_DATA);
    virtio_features_add(&device->transport_features, VIRTIO_F_RING_RESET);
    device->config_length = (uint32_t)(place->size - VIRTIO_MMIO_CONFIG);
    error = virtio_add_device(device);
    if (device->driver_ok)
        log_info("%s: virtio device, version %u, type %u: driven by %s", device->name, version, id,
                 device->driver->name);
    else
        log_info("%s: virtio device, version %u, type %u: not driven: %s", device->name, version,
                 id, device->refusal);
    return error;
}

int virtio_mmio_probe(const struct mmio_place *place)
{
    struct mmio_place usable = *place;
    volatile uint8_t *registers;
    uint32_t id, version;

    if (is_taken(place->address))
        return -EEXIST;
    if (place->size < VIRTIO_MMIO_CONFIG || place->address % sizeof(uint32_t) != 0) {
        log_warn("mmio 0x%llx: %llu bytes there cannot be a virtio device",
                 (unsigned long long)place->address, (unsigned long long)place->size);
        return -EINVAL;
    }
    if (usable.size > VIRTIO_MMIO_CONFIG + MAX_CONFIG_LENGTH)
        usable.size = VIRTIO_MMIO_CONFIG + MAX_CONFIG_LENGTH;
    registers = mmio_map(usable.address, usable.size);
    if (!registers) {
        log_warn("mmio 0x%llx: cannot be mapped", (unsigned long long)place->address);
        return -EIO;
    }
    id = identify(registers, place->address, &version);
    return id ? add_device(&usable, registers, id, version) : -ENODEV;
}
