/*
 * qtest_torture.h - resets, queue resets and odd register accesses at random moments, against QEMU's
 * own device models.
 *
 * Every choice follows from a seed. The driver must lose nothing that was acknowledged, and both
 * sides must work afterwards. Read qtest_rig.h first.
 */
#ifndef FERRULE_TESTS_NATIVE_QTEST_TORTURE_H
#define FERRULE_TESTS_NATIVE_QTEST_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "qtest_rig.h"

struct torture_counts {
    uint64_t resets, broken_queues, silent_resets, notifications, register_accesses, restarts;
};
extern struct torture_counts torture_counts;

/*
 * One life of a device: brought up with a random kind of interrupt, tortured while it works, left in
 * peace, and working still. False: said on the standard output.
 */
bool torture_round(const struct rig_device *which, uint32_t *seed);

#endif
