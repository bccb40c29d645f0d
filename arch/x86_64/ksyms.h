/*
 * ksyms.h - the kernel's own function names, for backtraces: sorted addresses, and where each name
 * starts in one string.
 */
#ifndef FERRULE_KSYMS_H
#define FERRULE_KSYMS_H

#include <stdint.h>

extern const uint32_t ksym_count;
extern const uint32_t ksym_addr[];
extern const uint32_t ksym_name_off[];
extern const char ksym_names[];

#endif
