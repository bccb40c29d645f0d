/*
 * virtio_features.c - feature negotiation (2.2): which of the offered bits are accepted.
 *
 * Owns the table of features that concern no device type (6); those of a type stand in its driver.
 * Talks to no device: virtio.c reads and writes the bits. Read virtio.h first.
 */
#include <string.h>

#include "virtio/spec.h"
#include "virtio/virtio_impl.h"

/* Features that concern no device type (6), accepted for every driver. */
static const struct virtio_feature core_features[] = {
    {.bit = VIRTIO_F_INDIRECT_DESC, .name = "INDIRECT_DESC"},
    {.bit = VIRTIO_F_EVENT_IDX, .name = "EVENT_IDX"},
    {.bit = VIRTIO_F_VERSION_1, .name = "VERSION_1"},
    {.bit = VIRTIO_F_ACCESS_PLATFORM, .name = "ACCESS_PLATFORM"},
    {.bit = VIRTIO_F_NOTIFY_ON_EMPTY, .name = "NOTIFY_ON_EMPTY", .refusal = "legacy"},
    {.bit = VIRTIO_F_ANY_LAYOUT, .name = "ANY_LAYOUT", .refusal = "legacy", .for_legacy = true},
    {.bit = VIRTIO_F_RING_PACKED, .name = "RING_PACKED"},
    {.bit = VIRTIO_F_IN_ORDER, .name = "IN_ORDER"},
    {.bit = VIRTIO_F_ORDER_PLATFORM, .name = "ORDER_PLATFORM"},
    {.bit = VIRTIO_F_NOTIFICATION_DATA, .name = "NOTIFICATION_DATA", .by_transport = true},
    {.bit = VIRTIO_F_NOTIF_CONFIG_DATA, .name = "NOTIF_CONFIG_DATA", .by_transport = true},
    {.bit = VIRTIO_F_RING_RESET, .name = "RING_RESET", .by_transport = true},
};
#define CORE_FEATURES (sizeof(core_features) / sizeof(core_features[0]))

const struct virtio_feature *virtio_find_feature(const struct virtio_driver *driver, unsigned bit)
{
    unsigned i;

    for (i = 0; i < driver->feature_count; i++)
        if (driver->features[i].bit == bit)
            return &driver->features[i];
    for (i = 0; i < CORE_FEATURES; i++)
        if (core_features[i].bit == bit)
            return &core_features[i];
    return NULL;
}

bool virtio_has_feature(const struct virtio_device *device, unsigned bit)
{
    if (!virtio_find_feature(device->driver, bit))
        platform_panic("%s asks for feature bit %u, which its table does not name",
                       device->driver->name, bit);
    return virtio_features_has(&device->accepted, bit);
}

/* Is it one that we, this transport and this interface can do? */
static bool is_wanted(const struct virtio_device *device, unsigned bit)
{
    const struct virtio_feature *feature = virtio_find_feature(device->driver, bit);

    if (!feature || (device->legacy && bit >= 32))
        return false;
    if (feature->refusal && !(feature->for_legacy && device->legacy) &&
        !(feature->wanted && feature->wanted()))
        return false;
    if (feature->unless_offered && virtio_features_has(&device->offered, feature->unless_offered))
        return false;
    return !feature->by_transport || virtio_features_has(&device->transport_features, bit);
}

static bool has_prerequisites(const struct virtio_features *accepted,
                              const struct virtio_feature *feature)
{
    if (feature->depends && !virtio_features_has(accepted, feature->requires))
        return false;
    return !feature->requires_too || virtio_features_has(accepted, feature->requires_too);
}

/*
 * What we want of what is offered. Prerequisites may be chained, so removal goes on until nothing
 * changes (2.2.1).
 */
void virtio_choose_features(struct virtio_device *device)
{
    struct virtio_features *accepted = &device->accepted;
    unsigned bit;
    bool changed;

    memset(accepted, 0, sizeof(*accepted));
    for (bit = 0; bit < VIRTIO_FEATURE_BITS; bit++)
        if (virtio_features_has(&device->offered, bit) && is_wanted(device, bit))
            virtio_features_add(accepted, bit);
    do {
        changed = false;
        for (bit = 0; bit < VIRTIO_FEATURE_BITS; bit++) {
            if (virtio_features_has(accepted, bit) &&
                !has_prerequisites(accepted, virtio_find_feature(device->driver, bit))) {
                virtio_features_remove(accepted, bit);
                changed = true;
            }
        }
    } while (changed);
}
