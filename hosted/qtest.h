/*
 * qtest.h - QEMU's device models as the devices of a hosted build: a machine without firmware whose
 * CPU stands still, and whose RAM is the arena of this process.
 *
 * Owns the QEMU process, the socket of its test protocol (-qtest), and what the kernel's own PCI
 * code (arch/x86_64/pci*.c, which runs unchanged above it) needs of a machine: ports, registers,
 * interrupts, pages. Message-signalled interrupts are writes into the arena; INTx is intercepted at
 * the I/O APIC. Guest addresses are pointers: the arena lies in the guest where it lies here. The
 * clock must be the real one. Read qtest.c next.
 */
#ifndef FERRULE_HOSTED_QTEST_H
#define FERRULE_HOSTED_QTEST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Starts QEMU (`QEMU` in the environment, or qemu-system-x86_64) with these arguments besides its
 * own (ends in NULL) and the files in `keep` (ends in -1) inherited, and enumerates its PCI
 * functions. Once a process. What goes wrong is a failure of the test.
 */
void qtest_start(const char *const arguments[], const int *keep);
void qtest_stop(void);

/*
 * After hosted_reset(): QEMU's registers and interrupts are there again. Nothing may have been left
 * behind.
 */
void qtest_attach(void);

/* A command to QEMU's monitor (QMP, a JSON object in one line), and the answer to it. */
const char *qtest_monitor(const char *command);

/* Interrupts by message and by line that arrived. */
uint64_t qtest_messages(void);
uint64_t qtest_lines(void);

#endif
