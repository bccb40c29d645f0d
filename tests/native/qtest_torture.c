/*
 * qtest_torture.c - see qtest_torture.h. What happens in the middle of an exercise is one of a few
 * things, some of them behind the driver's back, after which the driver is told that its device is
 * in need of a reset.
 */
#include "qtest_torture.h"

#include <stdio.h>

#include "loop.h"
#include "virtio/spec.h"

#define AMOUNT 64u
/* More resets of one device in a minute than the core believes to be worth it. */
#define RESETS_MAX 12u

struct torture_counts torture_counts;
static uint32_t *random_state;
static unsigned resets;

static uint32_t choose(uint32_t below)
{
    *random_state = *random_state * 1664525u + 1013904223u;
    return (*random_state >> 8) % below;
}

/* Reads of every register, in any order, with any queue selected: none may change a thing. */
static void read_registers(struct virtio_device *device)
{
    struct virtio_features offered = {0};

    for (unsigned i = 0; i < 8; i++) {
        torture_counts.register_accesses++;
        switch (choose(4)) {
        case 0:
            device->ops->queue_max_size(device, (uint16_t)choose(VIRTIO_MAX_QUEUES + 4));
            break;
        case 1:
            device->ops->get_features(device, &offered);
            break;
        case 2:
            device->ops->config_generation(device);
            break;
        default:
            if (device->config_length > 0)
                device->ops->read_config(device, choose(device->config_length), 1);
        }
    }
}

/* Notifications that nobody asked for, of queues that hold nothing new. */
static void notify_for_nothing(struct virtio_device *device)
{
    for (unsigned i = 0; i < 4; i++) {
        device->ops->notify(device, device->queue[choose(device->queue_count)]);
        torture_counts.notifications++;
    }
}

static void disturb(struct virtio_device *device)
{
    switch (choose(8)) {
    case 0:
    case 1:
        if (resets++ < RESETS_MAX) {
            torture_counts.resets++;
            virtio_recover(device, "torture");
        }
        break;
    case 2:
        /* The driver takes it for a lie of the device, and resets the queue or more. */
        if (resets++ < RESETS_MAX) {
            torture_counts.broken_queues++;
            virtqueue_break(device->queue[choose(device->queue_count)], "torture");
        }
        break;
    case 3:
        /* Behind its back, and told a moment later. */
        if (resets++ < RESETS_MAX) {
            torture_counts.silent_resets++;
            device->ops->set_status(device, choose(2) ? 0 : VIRTIO_STATUS_FAILED);
            notify_for_nothing(device);
            virtio_recover(device, "torture, behind its back");
        }
        break;
    case 4:
        notify_for_nothing(device);
        break;
    case 5:
        read_registers(device);
        break;
    default:
        break;
    }
}

bool torture_round(const struct rig_device *which, uint32_t *seed)
{
    struct virtio_device *device;
    bool good;

    random_state = seed;
    resets = 0;
    torture_counts.restarts++;
    virtio_set_interrupt_limit((enum virtio_interrupt_mode)choose(VIRTIO_INTERRUPT_MSIX + 1));
    device = rig_bring_up(which);
    if (!device)
        return false;
    rig_disturb = disturb;
    good = which->exercise(device, AMOUNT);
    rig_disturb = NULL;
    if (good && !device->driver_ok) {
        printf("%s: given up by its driver\n", which->name);
        good = false;
    }
    good = good && which->exercise(device, AMOUNT);
    good = rig_take_down(which) && good;
    loop_set_polling(false);
    return good;
}
