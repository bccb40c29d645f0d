/*
 * virtio_pci.c - virtio over PCI (4.1): finding the structures in a function's BARs, and the
 * transport operations on them.
 *
 * Modern interface; a transitional device is driven as a modern one. Knows no device type and no
 * ring. PCI itself is pci.h's. Read virtio.h first.
 */
#include "virtio/virtio_pci.h"

#include <errno.h>

#include "log.h"
#include "virtio/spec.h"
#include "virtio/virtio.h"

/* Device configuration is mapped up to this much; no type has more fields (5). */
#define MAX_CONFIG_LENGTH 4096u

#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

/* MSI-X table entries as we use them. */
enum { VECTOR_CONFIG = 0, VECTOR_FIRST_QUEUE = 1 };

/* A structure that a capability points at (4.1.4). length 0: not found. */
struct location {
    uint8_t bar;
    uint32_t offset, length;
    unsigned capability;
};

struct virtio_pci {
    struct virtio_device device; /* first, so that one pointer is both */
    struct pci_function *fn;
    char name[16];
    volatile uint8_t *common, *isr, *config;
    struct location notify;
    uint32_t notify_multiplier;
    volatile void *notify_register[VIRTIO_MAX_QUEUES]; /* by queue index */
    int msix_entries;
    bool vector_per_queue;
};

static struct virtio_pci *to_pci(struct virtio_device *device)
{
    return (struct virtio_pci *)device;
}

/* ---- registers (4.1.4.3) ---- */

static uint8_t pci_get_status(struct virtio_device *device)
{
    return mmio_read8(to_pci(device)->common + COMMON(device_status));
}

static void pci_set_status(struct virtio_device *device, uint8_t status)
{
    mmio_write8(to_pci(device)->common + COMMON(device_status), status);
}

static void pci_get_features(struct virtio_device *device, struct virtio_features *offered)
{
    volatile uint8_t *common = to_pci(device)->common;
    unsigned i;

    for (i = 0; i < VIRTIO_FEATURE_BITS / 32; i++) {
        mmio_write32(common + COMMON(device_feature_select), i);
        offered->word[i] = mmio_read32(common + COMMON(device_feature));
    }
}

static void pci_set_features(struct virtio_device *device, const struct virtio_features *accepted)
{
    volatile uint8_t *common = to_pci(device)->common;
    unsigned i;

    for (i = 0; i < VIRTIO_FEATURE_BITS / 32; i++) {
        mmio_write32(common + COMMON(driver_feature_select), i);
        mmio_write32(common + COMMON(driver_feature), accepted->word[i]);
    }
}

static uint32_t pci_read_config(struct virtio_device *device, unsigned offset, unsigned width)
{
    volatile uint8_t *reg = to_pci(device)->config + offset;

    return width == 1 ? mmio_read8(reg) : width == 2 ? mmio_read16(reg) : mmio_read32(reg);
}

static void pci_write_config(struct virtio_device *device, unsigned offset, unsigned width,
                             uint32_t value)
{
    volatile uint8_t *reg = to_pci(device)->config + offset;

    if (width == 1)
        mmio_write8(reg, (uint8_t)value);
    else if (width == 2)
        mmio_write16(reg, (uint16_t)value);
    else
        mmio_write32(reg, value);
}

static uint32_t pci_config_generation(struct virtio_device *device)
{
    return mmio_read8(to_pci(device)->common + COMMON(config_generation));
}

/* ---- interrupts (4.1.5.1) ---- */

static void all_queues_interrupt(void *arg)
{
    struct virtio_device *device = arg;
    unsigned i;

    for (i = 0; i < device->queue_count; i++)
        virtqueue_interrupt(device->queue[i]);
}

/* One vector for everything: it may mean either, so both are looked at. */
static void shared_interrupt(void *arg)
{
    all_queues_interrupt(arg);
    virtio_config_interrupt(arg);
}

/* 4.1.4.5: reading the ISR status clears it and takes the line back. */
static bool intx_interrupt(void *arg)
{
    struct virtio_pci *pci = arg;
    uint8_t isr = mmio_read8(pci->isr);

    if (isr & VIRTIO_PCI_ISR_QUEUE)
        all_queues_interrupt(&pci->device);
    if (isr & VIRTIO_PCI_ISR_CONFIG)
        virtio_config_interrupt(&pci->device);
    return isr != 0;
}

static bool pci_poll_config_change(struct virtio_device *device)
{
    return mmio_read8(to_pci(device)->isr) & VIRTIO_PCI_ISR_CONFIG;
}

static void use_intx_or_poll(struct virtio_pci *pci)
{
    struct virtio_device *device = &pci->device;

    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
    if (virtio_interrupt_limit() >= VIRTIO_INTERRUPT_INTX) {
        if (pci_intx_enable(pci->fn, intx_interrupt, pci, device->name) == 0) {
            device->interrupt_mode = VIRTIO_INTERRUPT_INTX;
            return;
        }
        log_warn("%s: neither MSI-X nor INTx can be used: polling it", device->name);
    }
    pci_command(pci->fn, PCI_COMMAND_INTX_DISABLE, 0);
}

/*
 * Entry 0 is for configuration changes; then one for each queue, or one for all, or, with a table
 * of one entry, entry 0 for everything.
 */
static bool use_msix(struct virtio_pci *pci, unsigned queues)
{
    int entries = pci_msix_enable(pci->fn);
    void (*first)(void *) = entries == 1 ? shared_interrupt : virtio_config_interrupt;

    if (entries < 1)
        return false;
    pci->msix_entries = entries;
    pci->vector_per_queue = (unsigned)entries > queues;
    if (pci_msix_set(pci->fn, VECTOR_CONFIG, first, &pci->device, pci->name) != 0)
        goto out;
    if (!pci->vector_per_queue && entries > 1 &&
        pci_msix_set(pci->fn, VECTOR_FIRST_QUEUE, all_queues_interrupt, &pci->device, pci->name) !=
            0)
        goto out;
    mmio_write16(pci->common + COMMON(config_msix_vector), VECTOR_CONFIG);
    if (mmio_read16(pci->common + COMMON(config_msix_vector)) != VECTOR_CONFIG)
        goto out;
    pci->device.interrupt_mode = VIRTIO_INTERRUPT_MSIX;
    return true;

out:
    log_warn("%s: MSI-X cannot be used: no vector for configuration changes", pci->name);
    pci_msix_disable(pci->fn);
    return false;
}

static void pci_interrupts_setup(struct virtio_device *device, unsigned queues)
{
    struct virtio_pci *pci = to_pci(device);

    if (virtio_interrupt_limit() < VIRTIO_INTERRUPT_MSIX || !use_msix(pci, queues))
        use_intx_or_poll(pci);
}

static void pci_interrupts_teardown(struct virtio_device *device)
{
    struct virtio_pci *pci = to_pci(device);

    if (device->interrupt_mode == VIRTIO_INTERRUPT_MSIX)
        pci_msix_disable(pci->fn);
    else if (device->interrupt_mode == VIRTIO_INTERRUPT_INTX)
        pci_intx_disable(pci->fn);
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
}

/* The table entry that queue number i (in order of creation) of the device interrupts by. */
static bool route_vector(struct virtio_pci *pci, struct virtqueue *vq, uint16_t *vector)
{
    unsigned i = 0;

    while (pci->device.queue[i] != vq)
        i++;
    if (pci->vector_per_queue) {
        *vector = (uint16_t)(VECTOR_FIRST_QUEUE + i);
        return pci_msix_set(pci->fn, *vector, virtqueue_interrupt, vq, virtqueue_name(vq)) == 0;
    }
    *vector = pci->msix_entries > 1 ? VECTOR_FIRST_QUEUE : VECTOR_CONFIG;
    return true;
}

/* 4.1.5.1.2.2: the vector is read back, since a device may have run out of resources for it. The
 * queue is selected. */
static void set_queue_vector(struct virtio_pci *pci, struct virtqueue *vq, bool interrupt)
{
    uint16_t vector = VIRTIO_MSI_NO_VECTOR;

    if (!interrupt || route_vector(pci, vq, &vector)) {
        mmio_write16(pci->common + COMMON(queue_msix_vector), vector);
        if (mmio_read16(pci->common + COMMON(queue_msix_vector)) == vector)
            return;
    }
    /* Without MSI-X the device ignores all vectors, also those of the queues that are enabled
     * already. */
    log_warn("%s: no MSI-X vector for %s: going without MSI-X", pci->name, virtqueue_name(vq));
    pci_msix_disable(pci->fn);
    use_intx_or_poll(pci);
}

/* ---- queues ---- */

static void select_queue(struct virtio_pci *pci, uint16_t index)
{
    mmio_write16(pci->common + COMMON(queue_select), index);
}

static uint16_t pci_queue_max_size(struct virtio_device *device, uint16_t index)
{
    struct virtio_pci *pci = to_pci(device);

    if (index >= VIRTIO_MAX_QUEUES || index >= mmio_read16(pci->common + COMMON(num_queues)))
        return 0;
    select_queue(pci, index);
    return mmio_read16(pci->common + COMMON(queue_size));
}

/* 4.1.3.1: 64-bit fields are written as two of 32 bits. */
static void write_address(volatile uint8_t *reg, dma_addr_t address)
{
    mmio_write32(reg, (uint32_t)address);
    mmio_write32(reg + 4, (uint32_t)(address >> 32));
}

/* 4.1.4.4: each queue has its own place in the notification structure, which must lie inside of it.
 */
static int map_notify_register(struct virtio_pci *pci, uint16_t index)
{
    uint64_t offset =
        (uint64_t)mmio_read16(pci->common + COMMON(queue_notify_off)) * pci->notify_multiplier;

    if (offset + sizeof(uint16_t) > pci->notify.length) {
        log_error("%s: queue %u is to be notified outside of the notification structure", pci->name,
                  index);
        return -EINVAL;
    }
    pci->notify_register[index] =
        pci_map_bar(pci->fn, pci->notify.bar, pci->notify.offset + offset, sizeof(uint16_t));
    return pci->notify_register[index] ? 0 : -EIO;
}

static int pci_queue_enable(struct virtio_device *device, struct virtqueue *vq, bool interrupt)
{
    struct virtio_pci *pci = to_pci(device);
    volatile uint8_t *common = pci->common;
    uint16_t index = virtqueue_index(vq);
    const struct virtqueue_areas *areas = virtqueue_areas(vq);
    int error;

    select_queue(pci, index);
    error = map_notify_register(pci, index);
    if (error)
        return error;
    mmio_write16(common + COMMON(queue_size), virtqueue_size(vq));
    write_address(common + COMMON(queue_desc), areas->descriptor);
    write_address(common + COMMON(queue_driver), areas->driver);
    write_address(common + COMMON(queue_device), areas->device);
    if (device->interrupt_mode == VIRTIO_INTERRUPT_MSIX)
        set_queue_vector(pci, vq, interrupt);
    mmio_write16(common + COMMON(queue_enable), 1);
    return 0;
}

static void pci_notify(void *device, struct virtqueue *vq)
{
    uint16_t index = virtqueue_index(vq);

    mmio_write16(((struct virtio_pci *)device)->notify_register[index], index);
}

/* ---- the end ---- */

static void pci_isolate(struct virtio_device *device)
{
    pci_command(to_pci(device)->fn, PCI_COMMAND_INTX_DISABLE, PCI_COMMAND_MASTER);
}

static void pci_release(struct virtio_device *device)
{
    struct virtio_pci *pci = to_pci(device);

    pci_isolate(device);
    platform_dma_free(pci, sizeof(*pci));
}

static const struct virtio_transport_ops pci_ops = {
    .get_status = pci_get_status,
    .set_status = pci_set_status,
    .get_features = pci_get_features,
    .set_features = pci_set_features,
    .read_config = pci_read_config,
    .write_config = pci_write_config,
    .config_generation = pci_config_generation,
    .queue_max_size = pci_queue_max_size,
    .queue_enable = pci_queue_enable,
    .notify = pci_notify,
    .interrupts_setup = pci_interrupts_setup,
    .interrupts_teardown = pci_interrupts_teardown,
    .poll_config_change = pci_poll_config_change,
    .isolate = pci_isolate,
    .release = pci_release,
};

/* ---- discovery (4.1.2, 4.1.4) ---- */

/*
 * The first capability of a type that can be used: long enough itself, in an existing memory BAR
 * and inside of it. Others are passed over, as are types and BAR numbers that are reserved
 * (4.1.4.1).
 */
static struct location find_structure(struct pci_function *fn, uint8_t type, uint32_t min_length)
{
    unsigned cap = 0, min_cap = sizeof(struct virtio_pci_cap);

    if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
        min_cap = sizeof(struct virtio_pci_notify_cap);
    while ((cap = pci_find_capability(fn, PCI_CAP_ID_VENDOR, cap)) != 0) {
        struct location found = {
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
    return (struct location){.length = 0};
}

/* Maps a structure, up to `most` bytes of it, as far as its BAR goes. */
static volatile void *map_structure(struct pci_function *fn, struct location *where, uint32_t most)
{
    uint64_t room = fn->bar[where->bar].size - where->offset;

    if (where->length > most)
        where->length = most;
    if (where->length > room)
        where->length = (uint32_t)room;
    return pci_map_bar(fn, where->bar, where->offset, where->length);
}

static const char *map_structures(struct virtio_pci *pci)
{
    struct pci_function *fn = pci->fn;
    struct location common =
        find_structure(fn, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_COMMON_CFG_MIN);
    struct location isr = find_structure(fn, VIRTIO_PCI_CAP_ISR_CFG, 1);
    struct location config = find_structure(fn, VIRTIO_PCI_CAP_DEVICE_CFG, 1);

    pci->notify = find_structure(fn, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(uint16_t));
    if (!common.length && !isr.length && !pci->notify.length)
        return "it has the legacy interface only";
    if (!common.length || !isr.length || !pci->notify.length)
        return "a virtio structure is missing or cannot be used";
    pci->notify_multiplier = pci_read32(
        fn, pci->notify.capability + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier));
    pci->common = map_structure(fn, &common, sizeof(struct virtio_pci_common_cfg));
    pci->isr = map_structure(fn, &isr, 1);
    if (config.length)
        pci->config = map_structure(fn, &config, MAX_CONFIG_LENGTH);
    if (!pci->common || !pci->isr || (config.length && !pci->config))
        return "its registers cannot be mapped";
    pci->device.config_length = config.length;
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
    fn->refusal = map_structures(pci);
    if (fn->refusal) {
        platform_dma_free(pci, sizeof(*pci));
        return -ENOTSUP;
    }
    pci_command(fn, PCI_COMMAND_MASTER, 0);
    error = virtio_add_device(&pci->device);
    if (pci->device.driver_ok)
        fn->driver = pci->device.driver->name;
    fn->refusal = pci->device.refusal;
    return error;
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
