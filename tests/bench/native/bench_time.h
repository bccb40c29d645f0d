/*
 * bench_time.h - counting requests for a time, and the CPU time that they took; the same for every
 * program that is compared.
 */
#ifndef FERRULE_TESTS_BENCH_NATIVE_BENCH_TIME_H
#define FERRULE_TESTS_BENCH_NATIVE_BENCH_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

/* Requests between two looks at the clock. */
#define BENCH_CHUNK 16u

struct bench_time {
    uint64_t count, random;
    double start, end, cpu, stopped, stopped_cpu;
    uint64_t counted;
};

static inline double bench_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void bench_start(struct bench_time *bench, double seconds)
{
    *bench = (struct bench_time){.random = 88172645463325252u};
    bench->start = bench_clock(CLOCK_MONOTONIC);
    bench->cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench->end = bench->start + seconds;
}

/* xorshift: the same places in every program. */
static inline uint64_t bench_random(struct bench_time *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

/* One request more is done. False: the time is over. */
static inline bool bench_count(struct bench_time *bench)
{
    if (++bench->count % BENCH_CHUNK == 0 && !bench->counted &&
        bench_clock(CLOCK_MONOTONIC) >= bench->end) {
        bench->counted = bench->count;
        bench->stopped = bench_clock(CLOCK_MONOTONIC);
        bench->stopped_cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    }
    return !bench->counted;
}

static inline void bench_print(const struct bench_time *bench)
{
    double count = (double)bench->counted;

    printf("%.0f %.3f\n", count / (bench->stopped - bench->start),
           (bench->stopped_cpu - bench->cpu) * 1e6 / count);
}

#endif
