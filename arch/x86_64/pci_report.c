/*
 * pci_report.c - one log line for each PCI function: what it is, and who drives it or why nobody
 * does.
 *
 * Owns the names of classes. They come from the PCI Code and ID Assignment Specification and from
 * VIRTIO 1.4 section 5. Reads the table only.
 */
#include "log.h"
#include "machine.h"
#include "pci.h"
#include "platform.h"

#include "arch/x86_64/pci_impl.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_TRANSITIONAL_FIRST 0x1000
#define VIRTIO_TRANSITIONAL_LAST 0x103f
#define VIRTIO_MODERN_LAST 0x107f

static const struct {
    uint16_t class_code; /* class << 8 | subclass */
    const char *name;
} classes[] = {
    {0x0000, "unclassified device"},
    {0x00ff, "unclassified device"},
    {0x0100, "SCSI controller"},
    {0x0101, "IDE controller"},
    {0x0106, "SATA controller"},
    {0x0108, "NVMe controller"},
    {0x0180, "storage controller"},
    {0x0200, "network controller"},
    {0x0280, "network controller"},
    {0x0300, "VGA controller"},
    {0x0380, "display controller"},
    {0x0401, "audio device"},
    {0x0403, "audio device"},
    {0x0480, "multimedia device"},
    {0x0500, "RAM controller"},
    {0x0580, "memory controller"},
    {0x0600, "host bridge"},
    {0x0601, "ISA bridge"},
    {0x0604, "PCI bridge"},
    {0x0680, "bridge"},
    {0x0700, "serial controller"},
    {0x0780, "communication controller"},
    {0x0800, "interrupt controller"},
    {0x0805, "SD host controller"},
    {0x0880, "system device"},
    {0x0900, "keyboard"},
    {0x0902, "mouse"},
    {0x0980, "input device"},
    {0x0c03, "USB controller"},
    {0x0c05, "SMBus"},
    {0x1000, "encryption controller"},
    {0x1080, "encryption controller"},
};

static const char *class_name(const struct pci_function *fn)
{
    for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].class_code == fn->class_code >> 8)
            return classes[i].name;
    }
    return "device of an unnamed class";
}

static const char *kind(const struct pci_function *fn)
{
    if (fn->vendor_id != VIRTIO_VENDOR || fn->device_id < VIRTIO_TRANSITIONAL_FIRST ||
        fn->device_id > VIRTIO_MODERN_LAST)
        return "";
    return fn->device_id <= VIRTIO_TRANSITIONAL_LAST ? " (virtio, transitional)" : " (virtio)";
}

void pci_log_function(const struct pci_function *fn)
{
    const char *name = class_name(fn);

    if (fn->driver != NULL)
        log_info("pci %02x:%02x.%x %04x:%04x %s%s: driven by %s", fn->bus, fn->device, fn->function,
                 fn->vendor_id, fn->device_id, name, kind(fn), fn->driver);
    else if (fn->platform != NULL || fn->class_code >> 16 == 0x06)
        log_info("pci %02x:%02x.%x %04x:%04x %s", fn->bus, fn->device, fn->function, fn->vendor_id,
                 fn->device_id, name);
    else
        log_info("pci %02x:%02x.%x %04x:%04x %s%s: not driven: %s", fn->bus, fn->device,
                 fn->function, fn->vendor_id, fn->device_id, name, kind(fn),
                 fn->refusal != NULL ? fn->refusal : "no driver for it");
}

void pci_log_functions(void)
{
    for (unsigned i = 0; i < pci_function_count(); i++) {
        if (pci_function_at(i)->vendor_id != 0)
            pci_log_function(pci_function_at(i));
    }
}
