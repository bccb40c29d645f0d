/*
 * scenario.h - the life of each driver in one function: probe, input and output, shutdown, against
 * the model device (hosted/device.h). What fault_points.c walks through again and again.
 */
#ifndef FERRULE_TESTS_FAULTS_SCENARIO_H
#define FERRULE_TESTS_FAULTS_SCENARIO_H

#include "hosted/device.h"
#include "virtio/virtio.h"

struct scenario {
    const char *name;
    const struct virtio_driver *driver;
    /* Makes the model and takes the user's memory; returns the device in it. */
    struct device *(*make)(void);
    /* Uses the driver, if it found the device. Every call may fail, none may fail to end. */
    void (*use)(void);
    /* After the shutdown: ends the model, and checks that everything given came back. */
    void (*finish)(void);
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

/* Does anything go wrong in this life? If not, everything has to work. */
extern bool scenario_disturbed;

/* Turns of the loop with the device at work in between, until nothing happens, but a few at most. */
void scenario_settle(struct device *device);

#endif
