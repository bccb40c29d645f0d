/*
 * scenario_host.h - the scenarios of an input device and of a share over virtio-fs, for scenario.c's
 * table.
 */
#ifndef FERRULE_TESTS_FAULTS_SCENARIO_HOST_H
#define FERRULE_TESTS_FAULTS_SCENARIO_HOST_H

#include "fs/virtio_fs.h"
#include "input/virtio_input.h"
#include "scenario.h"

struct device *input_make(void);
void input_use(void);
void input_finish(void);

struct device *virtiofs_make(void);
void virtiofs_use(void);
void virtiofs_finish(void);

#endif
