/*
 * virtio_pci.h - the PCI transport's way in (4.1). Everything else of it is behind struct
 * virtio_transport_ops (virtio.h).
 */
#ifndef FERRULE_VIRTIO_VIRTIO_PCI_H
#define FERRULE_VIRTIO_VIRTIO_PCI_H

#include "pci.h"

/*
 * Looks at every enumerated function, takes the virtio ones and brings them up. Returns how many
 * are driven. Functions that are virtio and not driven get their `refusal` set.
 */
unsigned virtio_pci_scan(void);

/* The same for one function: 0, or -ENODEV (not virtio), -ENOTSUP, -EINVAL (capabilities make no
 * sense), or an error of the bring-up. */
int virtio_pci_probe(struct pci_function *fn);

/* The function leaves its bus: ends its device, if it has one (virtio_remove_device). */
void virtio_pci_remove(struct pci_function *fn);

#endif
