/* scenario_vsock.h - the life of the socket device driver, for the table in scenario.c. */
#ifndef FERRULE_TESTS_FAULTS_SCENARIO_VSOCK_H
#define FERRULE_TESTS_FAULTS_SCENARIO_VSOCK_H

#include "scenario.h"
#include "vsock/virtio_vsock.h"

struct device *vsock_make(void);
void vsock_use(void);
void vsock_finish(void);

#endif
