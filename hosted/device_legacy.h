/*
 * device_legacy.h - the model device as a transitional PCI function without capabilities: legacy
 * registers in I/O ports (4.1.4.10).
 */
#ifndef FERRULE_HOSTED_DEVICE_LEGACY_H
#define FERRULE_HOSTED_DEVICE_LEGACY_H

#include "hosted/device_front.h"

/* For device_set_front(). */
extern const struct device_front device_legacy_front;

/* Ports of the registers, the device configuration behind them included. */
#define DEVICE_LEGACY_BAR_SIZE 0x40u

#endif
