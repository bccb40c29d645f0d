/*
 * qtest_impl.h - what qtest.c (the process and the protocol) and qtest_machine.c (what a machine has
 * besides devices) share.
 */
#ifndef FERRULE_HOSTED_QTEST_IMPL_H
#define FERRULE_HOSTED_QTEST_IMPL_H

#include "hosted/qtest.h"

/* Reads what QEMU said unasked: lines going up and down. */
void qtest_listen(void);

/* A line of the I/O APIC went up or down. */
void qtest_machine_line(unsigned line, bool high);

/* Makes interrupts arrive (hosted_world_add()). */
void qtest_machine_attach(void);

#endif
