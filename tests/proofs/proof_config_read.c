/*
 * proof_config_read.c - virtio_config_read() on a device whose configuration and generation are
 * anything at each access (2.5.1, 2.5.4): every access is aligned, of 1, 2 or 4 bytes and inside
 * of the configuration, nothing but the caller's bytes is written, and the work has an end.
 */
// share
// unwind: 9
// variant w1: -DWIDTH=1
// variant w4: -DWIDTH=4
// variant w8: -DWIDTH=8
// control w4: virtio/virtio_config.c: (uint64_t)offset + len > device->config_length => len > device->config_length
// control w8: virtio/virtio_config.c: unsigned step = width == 8 ? 4 : width;\n    unsigned attempt; => unsigned step = width, attempt;
#include "proof.h"

#define CONFIG_ATTEMPTS 3
#include "virtio/virtio_config.c"

static struct virtio_device device;

void platform_panic(const char *format, ...)
{
    (void)format;
    assume(false);
    for (;;)
        ;
}

static uint32_t read_config(struct virtio_device *from, unsigned offset, unsigned width)
{
    claim(from == &device && (width == 1 || width == 2 || width == 4) && offset % width == 0);
    claim((uint64_t)offset + width <= device.config_length);
    return any_u32();
}

static uint32_t config_generation(struct virtio_device *from)
{
    claim(from == &device && !device.legacy);
    return any_u32();
}

int main(void)
{
    static const struct virtio_transport_ops ops = {.read_config = read_config,
                                                    .config_generation = config_generation};
    unsigned width = WIDTH, offset = any_unsigned();
    uint8_t data[8];

    device.config_length = any_u32();
    device.legacy = any_bool();
    device.ops = &ops;
    int error = virtio_config_read(&device, offset, data, width, width);
    claim(error == 0 || error == -EIO || error == -ERANGE);
    claim(error != 0 || (uint64_t)offset + width <= device.config_length);
    return 0;
}
