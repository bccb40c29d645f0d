/*
 * quiet.h - what a run does not say.
 */
#ifndef FERRULE_TESTS_FUZZ_QUIET_H
#define FERRULE_TESTS_FUZZ_QUIET_H

#include <stdbool.h>

/*
 * From here on virtio_report.c is not asked for lines about devices: nobody reads them, and making
 * them would take half of a run. They are made at first.
 */
void quiet_reports(bool on);

#endif
