/*
 * lines.h - the interrupt lines of a machine (irq.h) for targets whose devices have no messages.
 */
#ifndef FERRULE_TESTS_FUZZ_LINES_H
#define FERRULE_TESTS_FUZZ_LINES_H

/* A device holds the line: its handler is called when interrupts are delivered next. */
void lines_raise(unsigned gsi);

#endif
