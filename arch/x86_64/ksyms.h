/*
 * ksyms.h - the kernel's own function names, for backtraces: tools/ksyms makes the table and says what
 * is in it.
 */
#ifndef FERRULE_KSYMS_H
#define FERRULE_KSYMS_H

#include <stdint.h>

extern const uint8_t ksyms[], ksyms_end[];

#endif
