/*
 * scenario_streams.h - the scenarios of the console and of 9P, for scenario.c's table.
 */
#ifndef FERRULE_TESTS_FAULTS_SCENARIO_STREAMS_H
#define FERRULE_TESTS_FAULTS_SCENARIO_STREAMS_H

#include "console/virtio_console.h"
#include "fs/virtio_9p.h"
#include "scenario.h"

struct device *console_make(void);
void console_use(void);
void console_finish(void);

struct device *p9_make(void);
void p9_use(void);
void p9_finish(void);

#endif
