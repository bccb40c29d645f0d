/*
 * clock.h - where the wall clock comes from. For arch/x86_64/ only; time itself is
 * platform_now_ns().
 */
#ifndef FERRULE_CLOCK_H
#define FERRULE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds since 1970 according to the battery clock, or 0 without one (rtc.c). */
uint64_t rtc_read_ns(void);

/* The same according to the hypervisor, or 0 when it offers none (kvmclock.c). */
uint64_t kvmclock_read_ns(void);

/* The time stamp counter's frequency as the hypervisor scales it, or 0. */
uint64_t kvmclock_tsc_hz(void);

#endif
