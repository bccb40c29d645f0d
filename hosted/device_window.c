/*
 * device_window.c - the PCI configuration access capability (4.1.4.9) of the model device: the
 * registers of a BAR through configuration space.
 *
 * Checks the driver's side of 4.1.4.9.2. Where in the BAR the structures are, device.c checks.
 */
#include "hosted/device_window.h"

#include <string.h>

#include "hosted/violation.h"

/* In the capability. */
enum { W_BAR = 4, W_OFFSET = 8, W_LENGTH = 12, W_DATA = 16, W_END = 20 };

/* A write to bar, offset or length: kept, if it makes sense. */
static void aim(struct fake_function *f, unsigned at, unsigned field, unsigned width,
                uint32_t value)
{
    uint32_t length;

    memcpy(&length, &f->config[at + W_LENGTH], 4);
    if (field != W_BAR && field != W_OFFSET && field != W_LENGTH)
        violation("PCI-CAP-8", "%u bytes written at %u of the window", width, field);
    else if (width != (field == W_BAR ? 1 : 4))
        violation("PCI-CAP-8", "%u bytes written at %u of the window", width, field);
    else if (field == W_OFFSET && (length == 0 || value % length))
        violation("PCI-CFGACC-1", "offset %#x written with length %u", value, length);
    else
        memcpy(&f->config[at + field], &value, width);
}

static bool transfer(struct fake_function *f, unsigned at, unsigned width, bool write,
                     uint32_t *value)
{
    const struct hosted_registers *bar = &f->bar_registers[DEVICE_BAR];
    uint32_t offset, length;

    memcpy(&offset, &f->config[at + W_OFFSET], 4);
    memcpy(&length, &f->config[at + W_LENGTH], 4);
    if (f->config[at + W_BAR] != DEVICE_BAR || length != width || offset + width > bar->size)
        violation("PCI-CFGACC-2", "%u bytes of data at %#x of BAR %u with length %u", width, offset,
                  f->config[at + W_BAR], length);
    else if (write)
        bar->write(bar->arg, offset, width, *value);
    else
        *value = (uint32_t)bar->read(bar->arg, offset, width);
    return true;
}

static bool access_window(struct fake_function *f, unsigned offset, unsigned width, bool write,
                          uint32_t *value)
{
    unsigned at = *(unsigned *)f->config_hook_arg;

    if (offset < at + W_BAR || offset >= at + W_END)
        return false;
    if (offset >= at + W_DATA)
        return transfer(f, at, width, write, value);
    if (write)
        aim(f, at, offset - at, width, *value);
    return write;
}

void device_window_add(struct device *device)
{
    static unsigned at;

    at = device_add_capability(device->pci, CAP_PCI, 0, 0, 0, "\0\0\0", 4);
    device->pci->config_hook = access_window;
    device->pci->config_hook_arg = &at;
}
