/*
 * virtio_pci_interrupts.c - how a virtio PCI device interrupts: by MSI-X, by its INTx line, or not
 * at all (4.1.5.1.2, 4.1.5.3, 4.1.5.4).
 *
 * Owns the choice among the three and the use of MSI-X table entries. The registers are those of
 * the modern or the legacy interface (struct virtio_pci_interrupt_registers); vectors and lines are
 * pci.h's. Read virtio_pci_impl.h first.
 */
#include "log.h"
#include "virtio/virtio_pci_impl.h"

/* MSI-X table entries as we use them. */
enum { VECTOR_CONFIG = 0, VECTOR_FIRST_QUEUE = 1 };

#define ISR_ALL_ONES 0xff

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
    uint8_t isr = pci->interrupt_registers->read_isr(pci);

    /* Nobody is there any more: not its interrupt. The loop finds out what happened to it. */
    if (isr == ISR_ALL_ONES) {
        virtio_config_interrupt(&pci->device);
        return false;
    }
    if (isr & VIRTIO_PCI_ISR_QUEUE)
        all_queues_interrupt(&pci->device);
    if (isr & VIRTIO_PCI_ISR_CONFIG)
        virtio_config_interrupt(&pci->device);
    return isr != 0;
}

bool virtio_pci_poll_config_change(struct virtio_device *device)
{
    struct virtio_pci *pci = to_pci(device);

    return pci->interrupt_registers->read_isr(pci) & VIRTIO_PCI_ISR_CONFIG;
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
    pci->routed = 0;
    pci->vector_per_queue = (unsigned)entries > queues;
    if (pci_msix_set(pci->fn, VECTOR_CONFIG, first, &pci->device, pci->name) != 0)
        goto out;
    if (!pci->vector_per_queue && entries > 1 &&
        pci_msix_set(pci->fn, VECTOR_FIRST_QUEUE, all_queues_interrupt, &pci->device, pci->name) !=
            0)
        goto out;
    if (pci->interrupt_registers->set_config_vector(pci, VECTOR_CONFIG) != VECTOR_CONFIG)
        goto out;
    pci->device.interrupt_mode = VIRTIO_INTERRUPT_MSIX;
    return true;

out:
    log_warn("%s: MSI-X cannot be used: no vector for configuration changes", pci->name);
    pci_msix_disable(pci->fn);
    return false;
}

void virtio_pci_interrupts_setup(struct virtio_device *device, unsigned queues)
{
    struct virtio_pci *pci = to_pci(device);

    if (virtio_interrupt_limit() < VIRTIO_INTERRUPT_MSIX || !use_msix(pci, queues))
        use_intx_or_poll(pci);
}

void virtio_pci_interrupts_teardown(struct virtio_device *device)
{
    struct virtio_pci *pci = to_pci(device);

    if (device->interrupt_mode == VIRTIO_INTERRUPT_MSIX)
        pci_msix_disable(pci->fn);
    else if (device->interrupt_mode == VIRTIO_INTERRUPT_INTX)
        pci_intx_disable(pci->fn);
    device->interrupt_mode = VIRTIO_INTERRUPT_NONE;
}

/* The table entry that queue number i (in order of creation) of the device interrupts by. */
static bool route_vector(struct virtio_pci *pci, unsigned i, uint16_t *vector)
{
    struct virtqueue *vq = pci->device.queue[i];

    if (pci->vector_per_queue) {
        *vector = (uint16_t)(VECTOR_FIRST_QUEUE + i);
        /* A queue that was reset alone finds its entry as it was. */
        if (!(pci->routed >> i & 1) &&
            pci_msix_set(pci->fn, *vector, virtqueue_interrupt, vq, virtqueue_name(vq)) != 0)
            return false;
        pci->routed |= 1u << i;
        return true;
    }
    *vector = pci->msix_entries > 1 ? VECTOR_FIRST_QUEUE : VECTOR_CONFIG;
    return true;
}

void virtio_pci_set_queue_vector(struct virtio_pci *pci, struct virtqueue *vq, bool interrupt)
{
    uint16_t vector = VIRTIO_MSI_NO_VECTOR;
    unsigned i = 0;

    while (pci->device.queue[i] != vq)
        i++;
    /* 4.1.5.1.2.2: it is read back, since a device may have run out of resources for it. */
    if ((!interrupt || route_vector(pci, i, &vector)) &&
        pci->interrupt_registers->set_queue_vector(pci, vector) == vector) {
        pci->device.queue_vector[i] = vector;
        return;
    }
    /* Without MSI-X the device ignores all vectors, also those of the queues that are enabled
     * already. */
    log_warn("%s: no MSI-X vector for %s: going without MSI-X", pci->name, virtqueue_name(vq));
    pci_msix_disable(pci->fn);
    use_intx_or_poll(pci);
}
