/*
 * virtio_pci_impl.h - what the files of the PCI transport share, and nobody else: virtio_pci.c
 * (modern interface and discovery), virtio_pci_legacy.c and virtio_pci_interrupts.c.
 *
 * The public side is virtio_pci.h. VIRTIO 4.1. Read virtio_pci.c first.
 */
#ifndef FERRULE_VIRTIO_VIRTIO_PCI_IMPL_H
#define FERRULE_VIRTIO_VIRTIO_PCI_IMPL_H

#include "pci.h"
#include "virtio/spec.h"
#include "virtio/virtio.h"

/* Device configuration is mapped up to this much; no type has more fields (5). */
#define VIRTIO_PCI_MAX_CONFIG 4096u

struct virtio_pci;

/* The registers that interrupts need, which lie elsewhere in each of the two interfaces. */
struct virtio_pci_interrupt_registers {
    /* Writes a vector and returns what the register reads as then (4.1.5.1.2.2). */
    uint16_t (*set_config_vector)(struct virtio_pci *pci, uint16_t vector);
    uint16_t (*set_queue_vector)(struct virtio_pci *pci,
                                 uint16_t vector); /* of the selected queue */
    /* 4.1.4.5: reading the ISR status clears it and takes the line back. */
    uint8_t (*read_isr)(struct virtio_pci *pci);
};

/* A structure that a capability points at (4.1.4). length 0: not found. */
struct virtio_pci_location {
    uint8_t bar;
    uint32_t offset, length;
    unsigned capability;
};

/*
 * The registers of such a structure: mapped, or out of reach of the CPU, and then accessed through
 * the PCI configuration access capability (4.1.4.9), which is slow but needs no BAR to be placed.
 */
struct virtio_pci_registers {
    struct virtio_pci_location where;
    volatile uint8_t *mapped; /* NULL: through the window */
};

struct virtio_pci {
    struct virtio_device device; /* first, so that one pointer is both */
    struct pci_function *fn;
    char name[16];

    const struct virtio_pci_interrupt_registers *interrupt_registers;
    int msix_entries;
    bool vector_per_queue;
    uint32_t routed; /* bit i: the entry of device.queue[i] has its handler */

    /* Modern interface. */
    struct virtio_pci_registers common, isr, config;
    struct virtio_pci_location notify;
    uint32_t notify_multiplier;
    /* By queue index: where to notify, and the value that names the queue there (2.9). */
    struct virtio_pci_registers notify_register[VIRTIO_MAX_QUEUES];
    uint16_t notify_value[VIRTIO_MAX_QUEUES];
    unsigned window; /* the PCI configuration access capability, 0: none */

    /* Legacy interface. */
    uint16_t port; /* of the first register */
};

static inline struct virtio_pci *to_pci(struct virtio_device *device)
{
    return (struct virtio_pci *)device;
}

/* One access of `width` bytes (1, 2 or 4), aligned to it, `offset` bytes into the registers. */
uint32_t virtio_pci_read(struct virtio_pci *pci, const struct virtio_pci_registers *registers,
                         uint32_t offset, unsigned width);
void virtio_pci_write(struct virtio_pci *pci, const struct virtio_pci_registers *registers,
                      uint32_t offset, unsigned width, uint32_t value);

/* Maps the registers at `where`, or else sees to it that the window does. False: neither can be. */
bool virtio_pci_reach(struct virtio_pci *pci, const struct virtio_pci_location *where,
                      struct virtio_pci_registers *registers);

/* Parts of struct virtio_transport_ops that do not depend on the interface. */
void virtio_pci_interrupts_setup(struct virtio_device *device, unsigned queues);
void virtio_pci_interrupts_teardown(struct virtio_device *device);
bool virtio_pci_poll_config_change(struct virtio_device *device);
bool virtio_pci_is_present(struct virtio_device *device);
void virtio_pci_isolate(struct virtio_device *device);
void virtio_pci_release(struct virtio_device *device);

/*
 * Gives the selected queue its MSI-X vector, or none; for queue_enable when MSI-X is on. A device
 * that does not take it goes on without MSI-X.
 */
void virtio_pci_set_queue_vector(struct virtio_pci *pci, struct virtqueue *vq, bool interrupt);

/*
 * Makes the device one of the legacy interface (4.1.4.10), if its function has that: true. Nothing
 * but `pci` and the function's decoding of ports is changed.
 */
bool virtio_pci_legacy_attach(struct virtio_pci *pci);

#endif
