/*
 * fake_pci.h - PCI functions made of bytes in memory, behind the same pci.h that the kernel
 * implements over real buses.
 *
 * A test makes functions, fills their configuration space as it likes, nonsense included, and puts
 * registers behind BARs. Knows no virtio. Read device.h for the virtio functions built on it.
 */
#ifndef FERRULE_HOSTED_FAKE_PCI_H
#define FERRULE_HOSTED_FAKE_PCI_H

#include "hosted/hosted.h"
#include "pci.h"

#define FAKE_PCI_CONFIG_SIZE 256u

struct fake_function {
    struct pci_function fn; /* first: what drivers get */
    uint8_t config[FAKE_PCI_CONFIG_SIZE];
    unsigned capability_end;  /* where the next capability goes */
    unsigned capability_link; /* the byte that must point at it */
    struct hosted_registers bar_registers[PCI_BAR_COUNT];
    bool bar_visible[PCI_BAR_COUNT];

    /*
     * Registers of the function in its configuration space: true, an access of `width` bytes was
     * one of theirs and is done. NULL: it has none.
     */
    bool (*config_hook)(struct fake_function *f, unsigned offset, unsigned width, bool write,
                        uint32_t *value);
    void *config_hook_arg;

    bool gone;             /* pulled out: configuration space reads as all ones */
    unsigned msix_entries; /* 0: no MSI-X */
    unsigned
        msix_spare; /* vectors that the CPU still has for it; pci_msix_set() is -ENOSPC beyond */
    bool intx_line; /* the device holds its line */
    unsigned intx_unclaimed;
    bool (*intx_handler)(void *arg);
    void *intx_arg;
};

/* All functions gone; part of a test's start. */
void fake_pci_reset(void);

/*
 * A function with no BARs and no capabilities, and an INTx pin that reaches a line. Lives until
 * fake_pci_reset().
 */
struct fake_function *fake_pci_add(uint16_t vendor_id, uint16_t device_id);

/*
 * Puts a memory BAR of `size` bytes (a power of two) in place; 64-bit ones far above 4 GiB.
 * `registers`: name, read, write, arg.
 */
void fake_pci_set_bar(struct fake_function *f, unsigned bar, uint64_t size, bool is_64bit,
                      const struct hosted_registers *registers);

/* The same for a range of I/O ports. */
void fake_pci_set_io_bar(struct fake_function *f, unsigned bar, uint64_t size,
                         const struct hosted_registers *registers);

/* Appends a capability: its id, a link, then `len` bytes. Returns its offset. */
unsigned fake_pci_add_capability(struct fake_function *f, uint8_t id, const void *body,
                                 unsigned len);

/*
 * A message-signalled interrupt by table entry, or the level of the INTx line; both pend until
 * interrupts are delivered.
 */
void fake_pci_raise_msix(struct fake_function *f, unsigned entry);
void fake_pci_set_intx(struct fake_function *f, bool level);
bool fake_pci_msix_enabled(const struct fake_function *f);

static inline bool fake_pci_is_master(const struct fake_function *f)
{
    return f->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

#endif
