/*
 * ring_variants.h - the rings that the main flows of the device drivers run over once more, beside
 * the plain split ring of all other tests.
 *
 * A test program adds the features of a variant to those of its device, in a variable of its own,
 * and runs its group again for each.
 */
#ifndef FERRULE_TESTS_RING_VARIANTS_H
#define FERRULE_TESTS_RING_VARIANTS_H

#include <stdint.h>

#include "hosted/wire.h"

#define RING_F(bit) (UINT64_C(1) << (bit))
#define RING_ALL (RING_F(F_INDIRECT_DESC) | RING_F(F_EVENT_IDX) | RING_F(F_IN_ORDER))

static const uint64_t ring_variants[] = {
    RING_F(F_INDIRECT_DESC) | RING_F(F_EVENT_IDX),
    RING_F(F_IN_ORDER),
    RING_ALL,
    RING_F(F_NOTIFICATION_DATA),
    RING_F(F_NOTIF_CONFIG_DATA),
    RING_F(F_RING_PACKED),
    RING_F(F_RING_PACKED) | RING_F(F_INDIRECT_DESC) | RING_F(F_EVENT_IDX),
    RING_F(F_RING_PACKED) | RING_F(F_IN_ORDER),
    RING_F(F_RING_PACKED) | RING_ALL | RING_F(F_NOTIFICATION_DATA),
    RING_F(F_RING_PACKED) | RING_ALL | RING_F(F_NOTIFICATION_DATA) | RING_F(F_NOTIF_CONFIG_DATA),
    RING_F(F_ACCESS_PLATFORM) | RING_F(F_RING_RESET) | RING_F(F_INDIRECT_DESC),
    RING_F(F_ACCESS_PLATFORM) | RING_F(F_RING_RESET) | RING_F(F_RING_PACKED) | RING_ALL,
};
#define RING_VARIANTS (sizeof(ring_variants) / sizeof(ring_variants[0]))

#endif
