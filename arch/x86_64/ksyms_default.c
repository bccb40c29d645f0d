/*
 * ksyms_default.c - the empty symbol table of the first link pass; the second pass brings the real
 * one (see the Makefile).
 *
 * All four are weak and live in .ksyms, the last read-only section, so replacing them moves no
 * function. Read crash.c for the use.
 */
#include "arch/x86_64/ksyms.h"

#define DEFAULT __attribute__((weak, section(".ksyms")))

DEFAULT const uint32_t ksym_count = 0;
DEFAULT const uint32_t ksym_addr[1] = {0};
DEFAULT const uint32_t ksym_name_off[1] = {0};
DEFAULT const char ksym_names[1] = "";
