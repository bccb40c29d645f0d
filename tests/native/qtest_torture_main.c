/*
 * qtest_torture_main.c - torture of every driver on QEMU's device models, for as many rounds as are
 * wanted: make qtest-torture N=rounds SEED=number.
 *
 * A QEMU with split rings and one with packed rings, each in a process of its own. The last lines
 * are one that a program can read, and "N passed, N failed". A round that fails names its seed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "qtest_torture.h"

struct result {
    unsigned passed, failed;
    struct torture_counts counts;
};

static void run_rounds(bool packed, unsigned rounds, uint32_t seed, struct result *result)
{
    hosted_reset();
    rig_start(packed);
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned d = 0; d < RIG_DEVICES; d++) {
            uint32_t round_seed = seed + i;

            hosted_reset();
            rig_attach();
            if (torture_round(&rig_devices[d], &round_seed)) {
                result->passed++;
            } else {
                result->failed++;
                printf("failed: %s, %s rings, N=1 SEED=%u\n", rig_devices[d].name,
                       packed ? "packed" : "split", seed + i);
                /* What it left behind makes the rest worthless. */
                goto out;
            }
        }
    }
out:
    result->counts = torture_counts;
    rig_stop();
}

static void run_process(bool packed, unsigned rounds, uint32_t seed, struct result *result)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        run_rounds(packed, rounds, seed, result);
        fflush(stdout);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        result->failed++;
        printf("failed: the process with %s rings\n", packed ? "packed" : "split");
    }
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 && *argv[1] ? (unsigned)strtoul(argv[1], NULL, 10) : 100;
    uint32_t seed =
        argc > 2 && *argv[2] ? (uint32_t)strtoul(argv[2], NULL, 10) : (uint32_t)time(NULL);
    struct result *result =
        mmap(NULL, 2 * sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct torture_counts sum = {0};

    if (result == MAP_FAILED || rounds == 0)
        return 2;
    printf("%u rounds of each device and ring, SEED=%u\n", rounds, seed);
    fflush(stdout);
    for (unsigned packed = 0; packed < 2; packed++) {
        run_process(packed, rounds, seed, &result[packed]);
        sum.resets += result[packed].counts.resets;
        sum.broken_queues += result[packed].counts.broken_queues;
        sum.silent_resets += result[packed].counts.silent_resets;
        sum.notifications += result[packed].counts.notifications;
        sum.register_accesses += result[packed].counts.register_accesses;
    }
    printf("qtest-torture: seed=%u rounds=%u resets=%llu broken_queues=%llu silent_resets=%llu "
           "notifications=%llu register_accesses=%llu\n",
           seed, rounds, (unsigned long long)sum.resets, (unsigned long long)sum.broken_queues,
           (unsigned long long)sum.silent_resets, (unsigned long long)sum.notifications,
           (unsigned long long)sum.register_accesses);
    printf("%u passed, %u failed\n", result[0].passed + result[1].passed,
           result[0].failed + result[1].failed);
    return result[0].failed + result[1].failed > 0;
}
