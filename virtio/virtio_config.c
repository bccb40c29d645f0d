/*
 * virtio_config.c - access to the device configuration space (2.5): widths, ranges, and values of
 * one generation.
 *
 * Works through the transport's read_config, write_config and config_generation. Read virtio.h
 * first.
 */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "virtio/virtio.h"

/* A generation that moves on this many reads in a row is not going to settle. Proofs take fewer. */
#ifndef CONFIG_ATTEMPTS
#define CONFIG_ATTEMPTS 64
#endif
/* What a device that was pulled out has, over PCI; others have it now and then. */
#define GENERATION_ALL_ONES 0xffu

static int check_range(const struct virtio_device *device, unsigned offset, unsigned len,
                       unsigned width)
{
    if ((width != 1 && width != 2 && width != 4 && width != 8) || len % width ||
        offset % (width == 8 ? 4 : width))
        platform_panic("%s: bad access to the configuration: %u bytes at %u, width %u",
                       device->name, len, offset, width);
    return (uint64_t)offset + len > device->config_length ? -ERANGE : 0;
}

/* Reads every field once. True: they are what `data` held before. */
static bool read_fields(struct virtio_device *device, unsigned offset, uint8_t *data, unsigned len,
                        unsigned step)
{
    bool same = true;
    unsigned i;

    for (i = 0; i < len; i += step) {
        uint32_t value = device->ops->read_config(device, offset + i, step);

        same = memcmp(data + i, &value, step) == 0 && same;
        memcpy(data + i, &value, step);
    }
    return same;
}

int virtio_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned len,
                       unsigned width)
{
    /* 2.5.1: no access is wider than 32 bits; a 64-bit field is two, made whole by the generation.
     */
    unsigned step = width == 8 ? 4 : width;
    unsigned attempt;
    int error = check_range(device, offset, len, width);

    memset(data, 0, len);
    for (attempt = 0; !error && attempt < CONFIG_ATTEMPTS; attempt++) {
        uint32_t before = device->legacy ? 0 : device->ops->config_generation(device);
        bool same = read_fields(device, offset, data, len, step);

        if (before == GENERATION_ALL_ONES && device->ops->is_present &&
            !device->ops->is_present(device)) {
            error = -ENODEV;
            break;
        }
        /* 2.5.4: a legacy device has no generation, so two reads in a row must agree. */
        if (device->legacy ? attempt > 0 && same : device->ops->config_generation(device) == before)
            return 0;
    }
    memset(data, 0, len);
    if (!error)
        log_warn("%s: its configuration never settles", device->name);
    return error ? error : -EIO;
}

int virtio_config_write(struct virtio_device *device, unsigned offset, const void *data,
                        unsigned len, unsigned width)
{
    unsigned step = width == 8 ? 4 : width;
    int error = check_range(device, offset, len, width);
    unsigned i;

    for (i = 0; !error && i < len; i += step) {
        uint32_t value = 0;

        memcpy(&value, (const uint8_t *)data + i, step);
        device->ops->write_config(device, offset + i, step, value);
    }
    return error;
}
