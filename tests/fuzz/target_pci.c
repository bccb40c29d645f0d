/*
 * target_pci.c - virtio over PCI (4.1): capabilities, BARs, common configuration, interrupts and the
 * window in configuration space, modern and legacy, on configuration space and registers made of
 * input.
 *
 * A good function comes first; then the input overwrites any of its bytes. Read hosted/fake_pci.h.
 */
#include "fuzz.h"
#include "hosted/fake_pci.h"
#include "plain_user.h"
#include "virtio/spec.h"
#include "virtio/virtio_pci.h"

#define MEMORY_BAR 4
#define CAPS_END 0x40u

/* Where the structures lie in the image of the registers. */
enum { COMMON_AT = 0, ISR_AT = 0x100, NOTIFY_AT = 0x200, DEVICE_AT = 0x300 };

/* Where the window into the registers is in configuration space (4.1.4.9), and what is behind it. */
static unsigned window;
static struct hosted_registers behind_window;

static void use_window(const struct fake_function *f, unsigned width, bool write, uint32_t *value)
{
    uint32_t at;

    memcpy(&at, f->config + window + offsetof(struct virtio_pci_cap, offset), sizeof(at));
    if (at > PLAIN_REGISTERS - width)
        *value = write ? *value : UINT32_MAX;
    else if (write)
        behind_window.write(behind_window.arg, at, width, *value);
    else
        *value = (uint32_t)behind_window.read(behind_window.arg, at, width);
}

/* The rest of configuration space is bytes, all of which can be written. */
static bool config_access(struct fake_function *f, unsigned offset, unsigned width, bool write,
                          uint32_t *value)
{
    if (window && offset == window + sizeof(struct virtio_pci_cap)) {
        use_window(f, width, write, value);
        return true;
    }
    if (!write || offset == PCI_COMMAND || offset + width > FAKE_PCI_CONFIG_SIZE)
        return false;
    memcpy(f->config + offset, value, width);
    return true;
}

static unsigned add_capability(struct fake_function *f, uint8_t type, uint32_t offset,
                               uint32_t length)
{
    bool more = type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG;
    uint8_t body[18] = {more ? 20 : 16, type, MEMORY_BAR, [14] = 4};

    memcpy(body + 6, &offset, 4);
    memcpy(body + 10, &length, 4);
    return fake_pci_add_capability(f, PCI_CAP_ID_VENDOR, body, more ? 18 : 14);
}

static struct fake_function *make_function(struct plain_registers *r, bool modern)
{
    struct fake_function *f =
        fake_pci_add(0x1af4, modern ? VIRTIO_PCI_DEVICE_ID_MODERN + PLAIN_ID : 0x1000);
    struct hosted_registers registers = plain_as_registers(r);

    window = 0;
    behind_window = registers;
    f->config_hook = config_access;
    f->fn.subsystem_id = PLAIN_ID;
    fake_pci_set_bar(f, MEMORY_BAR, PLAIN_REGISTERS, true, &registers);
    if (!modern)
        fake_pci_set_io_bar(f, 0, 64, &registers);
    f->msix_entries = 3;
    if (!modern)
        return f;
    add_capability(f, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_AT, VIRTIO_PCI_COMMON_CFG_MIN);
    add_capability(f, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_AT, 0x100);
    add_capability(f, VIRTIO_PCI_CAP_ISR_CFG, ISR_AT, 1);
    add_capability(f, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_AT, 64);
    window = add_capability(f, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
    return f;
}

static void make_registers(struct plain_registers *r, bool modern)
{
    if (!modern) {
        plain_set(r, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 16, 2);
        return;
    }
    plain_set(r, COMMON_AT + offsetof(struct virtio_pci_common_cfg, device_feature), 1, 4);
    plain_set(r, COMMON_AT + offsetof(struct virtio_pci_common_cfg, num_queues), 2, 2);
    plain_set(r, COMMON_AT + offsetof(struct virtio_pci_common_cfg, queue_size), 16, 2);
}

/* BARs as enumeration may have found them: any size and place, or none. */
static void spoil_bar(struct fake_function *f, struct input *input)
{
    struct pci_bar *bar = &f->fn.bar[input_u8(input) % PCI_BAR_COUNT];
    uint8_t shape = input_u8(input);

    if (f->bar_registers[bar - f->fn.bar].read && shape & 2)
        bar->address = 0; /* not mapped: its registers are reached through the window */
    else if (f->bar_registers[bar - f->fn.bar].read)
        bar->size = shape & 1 ? PLAIN_REGISTERS >> (shape >> 4) : 0;
    else
        *bar = (struct pci_bar){.is_io = shape & 1, .size = input_u32(input)};
}

void fuzz_pci(struct input *input, bool packed)
{
    struct plain_registers *r = plain_start(input);
    uint8_t shape = input_u8(input);
    struct fake_function *f;

    (void)packed;
    fake_pci_reset();
    make_registers(r, !(shape & 1));
    f = make_function(r, !(shape & 1));
    f->msix_entries = shape >> 1 & 3;
    f->msix_spare = shape >> 3 & 3;
    if (shape & 0x20)
        f->fn.gsi = -1;
    if (shape & 0x40)
        spoil_bar(f, input);
    for (unsigned n = input_u8(input) % 32; n; n--) {
        uint8_t at = input_u8(input);

        f->config[at] = input_u8(input);
    }
    for (unsigned n = shape & 0x80 ? input_u8(input) % 32 : 0; n; n--) {
        uint16_t at = input_u16(input);

        r->image[at % PLAIN_REGISTERS] = input_u8(input);
    }
    virtio_pci_scan();
    plain_use(input);
    plain_end();
    fake_pci_reset();
}
