/*
 * device_window.h - the PCI configuration access capability (4.1.4.9) of the model device.
 */
#ifndef FERRULE_HOSTED_DEVICE_WINDOW_H
#define FERRULE_HOSTED_DEVICE_WINDOW_H

#include "hosted/device.h"

/*
 * Adds the capability to a modern PCI device, so that its registers can be reached whether or not
 * its BAR can.
 */
void device_window_add(struct device *device);

#endif
