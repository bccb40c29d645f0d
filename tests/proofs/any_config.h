/*
 * any_config.h - a virtio device whose features and configuration are anything, another value at each
 * read. Include it instead of virtio_config.c, of which proof_config_read.c tells.
 */
#ifndef FERRULE_PROOFS_ANY_CONFIG_H
#define FERRULE_PROOFS_ANY_CONFIG_H

#include "proof.h"
#include "virtio/virtio.h"

int virtio_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned len,
                       unsigned width)
{
    unsigned i;

    claim(device && (width == 1 || width == 2 || width == 4 || width == 8));
    claim(len % width == 0 && offset % width == 0);
    for (i = 0; i < len; i++)
        ((uint8_t *)data)[i] = any_u8();
    return any_bool() ? 0 : -5; /* EIO */
}

bool virtio_has_feature(const struct virtio_device *device, unsigned bit)
{
    claim(device && bit < 128);
    return any_bool();
}

int virtio_config_write(struct virtio_device *device, unsigned offset, const void *data,
                        unsigned len, unsigned width)
{
    claim(device && offset % width == 0 && __CPROVER_r_ok(data, len));
    return any_bool() ? 0 : -5; /* EIO */
}

#endif
