/*
 * qtest_rig.h - one QEMU with a device of each type that Ferrule drives, and what each of them is
 * made to do.
 *
 * Owns the other ends of the devices: the file of the disks, the socket that echoes frames, the
 * terminal of the console. Used by test_qtest.c and qtest_torture.c. Read hosted/qtest.h first.
 */
#ifndef FERRULE_TESTS_NATIVE_QTEST_RIG_H
#define FERRULE_TESTS_NATIVE_QTEST_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtio.h"

struct rig_device {
    const char *name;
    unsigned slot; /* of PCI bus 0 */
    /*
     * Makes the device work and checks what it did, `amount` units of it. False: it did not, said
     * on the standard output. `rig_disturb`, if set, is called in between.
     */
    bool (*exercise)(struct virtio_device *device, unsigned amount);
};

#define RIG_DEVICES 6u
extern const struct rig_device rig_devices[RIG_DEVICES];

/* Called when requests are under way; may recover or reset queues of the device. NULL: nothing. */
extern void (*rig_disturb)(struct virtio_device *device);

/* Starts QEMU, with packed rings offered or not. Once a process. */
void rig_start(bool packed);
void rig_stop(void);

/* After hosted_reset(). */
void rig_attach(void);

/* Brings one device up, or NULL; takes it down again. False: something was not given back. */
struct virtio_device *rig_bring_up(const struct rig_device *which);
bool rig_take_down(const struct rig_device *which);

#endif
