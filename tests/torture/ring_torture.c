// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/ring_device.c hosted/ring_split.c hosted/ring_packed.c
// sources: tests/torture/rig.c tests/torture/traffic.c
/*
 * ring_torture.c - a lot of random traffic over every kind of ring (split or packed, with or without
 * EVENT_IDX, INDIRECT_DESC, IN_ORDER, NOTIFICATION_DATA, RING_RESET, ACCESS_PLATFORM) at ten sizes,
 * in poison mode, without sanitizers.
 *
 * ring_torture [TRANSFERS [SEED]]: each of the combinations is a process of its own, as many at a
 * time as there are CPUs, so that a wild write fails one and a crash is counted. The last line is
 * "N passed, N failed". What is checked is traffic.h's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "hosted/violation.h"
#include "tests/torture/rig.h"
#include "tests/torture/traffic.h"

#define SIZES 10
#define JOBS (RIG_ALL_KINDS * SIZES)

static const uint16_t split_sizes[SIZES] = {1, 2, 4, 8, 16, 64, 256, 1024, 4096, 32768};
static const uint16_t packed_sizes[SIZES] = {1, 2, 3, 7, 16, 100, 255, 1000, 4096, 32768};

static struct traffic_counts *counts; /* [JOBS], shared with the processes */
static uint64_t transfers = 10000000, seed;

static struct traffic_setup job_setup(unsigned job)
{
    unsigned kind = job / SIZES;
    const uint16_t *sizes = kind & RIG_PACKED ? packed_sizes : split_sizes;

    return (struct traffic_setup){.size = sizes[job % SIZES],
                                  .kind = kind,
                                  .transfers = (transfers + JOBS - 1) / JOBS,
                                  .seed = seed + job,
                                  .poison = true};
}

static void failed(const char *text)
{
    /* What the model noticed before tells more than what went wrong after it. */
    fprintf(stderr, "%.400s%s\n", violation_text(), text);
    _exit(1);
}

static pid_t start(unsigned job)
{
    struct traffic_setup setup = job_setup(job);
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid)
        return pid;
    hosted_set_failure_hook(failed);
    hosted_reset();
    traffic_run(&setup, &counts[job]);
    if (hosted_dma_allocations() || hosted_dma_mappings())
        failed("memory or mappings were left over");
    _exit(0);
}

static void print_kind(unsigned kind)
{
    printf("%s%s%s%s%s%s%s", kind & RIG_PACKED ? "packed" : "split",
           kind & RIG_EVENT_IDX ? " event_idx" : "", kind & RIG_INDIRECT ? " indirect" : "",
           kind & RIG_IN_ORDER ? " in_order" : "",
           kind & RIG_NOTIFICATION_DATA ? " notification_data" : "",
           kind & RIG_RING_RESET ? " ring_reset" : "",
           kind & RIG_ACCESS_PLATFORM ? " access_platform" : "");
}

static bool report(unsigned job, int status)
{
    struct traffic_setup setup = job_setup(job);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    printf("FAIL ");
    print_kind(setup.kind);
    printf(", %u entries, seed %llu\n", setup.size, (unsigned long long)seed);
    return false;
}

/* What happened on the way, over all sizes of a kind. */
static void print_counts(unsigned kind)
{
    struct traffic_counts sum = {0};

    for (unsigned job = kind * SIZES; job < (kind + 1) * SIZES; job++) {
        sum.notifications += counts[job].notifications;
        sum.suppressed += counts[job].suppressed;
        sum.interrupts += counts[job].interrupts;
        sum.indirect += counts[job].indirect;
        sum.batched += counts[job].batched;
        sum.resets += counts[job].resets;
        sum.resizes += counts[job].resizes;
    }
    print_kind(kind);
    printf(": %llu notified, %llu not, %llu interrupts, %llu tables, %llu batches, %llu resets, "
           "%llu sizes\n",
           (unsigned long long)sum.notifications, (unsigned long long)sum.suppressed,
           (unsigned long long)sum.interrupts, (unsigned long long)sum.indirect,
           (unsigned long long)sum.batched, (unsigned long long)sum.resets,
           (unsigned long long)sum.resizes);
}

/* Keeps every CPU busy. Returns how many combinations failed. */
static unsigned run_all(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pid_t pid[JOBS];
    unsigned started = 0, running = 0, bad = 0;
    int status;

    while (started < JOBS || running) {
        if (started < JOBS && (long)running < cpus) {
            pid[started] = start(started);
            started++;
            running++;
            continue;
        }
        pid_t ended = wait(&status);
        running--;
        for (unsigned job = 0; job < started; job++)
            if (pid[job] == ended)
                bad += !report(job, status);
    }
    return bad;
}

int main(int argc, char **argv)
{
    struct timespec begin, end;

    clock_gettime(CLOCK_REALTIME, &begin);
    seed = (uint64_t)begin.tv_sec * 1000003 + (uint64_t)begin.tv_nsec;
    if (argc > 1 && *argv[1])
        transfers = strtoull(argv[1], NULL, 0);
    if (argc > 2 && *argv[2])
        seed = strtoull(argv[2], NULL, 0);
    counts = mmap(NULL, JOBS * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    if (counts == MAP_FAILED || transfers == 0) {
        fprintf(stderr, "usage: ring_torture [TRANSFERS [SEED]]\n");
        return 2;
    }
    printf("seed %llu, %llu transfers\n", (unsigned long long)seed, (unsigned long long)transfers);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    unsigned bad = run_all();
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (unsigned kind = 0; kind < RIG_ALL_KINDS; kind++)
        print_counts(kind);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%.1f s, %.0f transfers per second\n", seconds, (double)transfers / seconds);
    printf("%u passed, %u failed\n", JOBS - bad, bad);
    return bad != 0;
}
