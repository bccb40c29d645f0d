/*
 * replay.c - the fuzzer's inputs once more, in the counting build: replay FILE.hex..., one line an
 * input (tests/fuzz/corpus).
 *
 * Each file has a process of its own, in which it is the target of the file's name. Stands in the
 * place of libFuzzer, and uses nothing else of tests/fuzz than its two functions. With limits that are a
 * hundredth (the control) every file about a driver's rings must fail.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counting.h"

#define LINE_MAX_BYTES 65536
#define TIME_LIMIT_S 120
#define CONTROL_DIVISOR 100

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of a sanitizer that this build is without. */
void __lsan_disable(void);
void __lsan_enable(void);
void __lsan_disable(void)
{
}

void __lsan_enable(void)
{
}

static size_t from_hex(const char *text, uint8_t *data)
{
    size_t size = 0;
    unsigned byte;

    while (sscanf(text + 2 * size, "%2x", &byte) == 1 && text[2 * size] != ' ')
        data[size++] = (uint8_t)byte;
    return size;
}

/* Ends the process. */
static void run_file(const char *path, char *target)
{
    static char line[LINE_MAX_BYTES];
    static uint8_t data[LINE_MAX_BYTES / 2];
    char *arguments[] = {target, NULL}, **argv = arguments;
    FILE *file = fopen(path, "r");
    int argc = 1;
    unsigned inputs = 0;

    if (!file)
        exit(2);
    alarm(TIME_LIMIT_S);
    LLVMFuzzerInitialize(&argc, &argv);
    for (; fgets(line, sizeof(line), file); inputs++)
        LLVMFuzzerTestOneInput(data, from_hex(line, data));
    if (work_divisor == 1)
        printf("ok   replay %s: %u inputs\n", target, inputs);
    exit(0);
}

/* The status that a file's process ends with. */
static int replay(const char *path, char *target, uint64_t divisor)
{
    int status = 0;

    fflush(stdout);
    if (fork() == 0) {
        work_divisor = divisor;
        if (divisor > 1 && !freopen("/dev/null", "w", stderr))
            exit(2);
        run_file(path, target);
    }
    wait(&status);
    return status;
}

static int is_about_rings(const char *target)
{
    return strstr(target, "-split") || strstr(target, "-packed");
}

int main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        char *slash = strrchr(argv[i], '/');
        char *target = strdup(slash ? slash + 1 : argv[i]);
        int status;

        *strrchr(target, '.') = '\0';
        status = replay(argv[i], target, 1);
        if (status != 0)
            printf("FAIL replay %s: ended with status %#x\n", target, (unsigned)status);
        else if (is_about_rings(target) && replay(argv[i], target, CONTROL_DIVISOR) == 0)
            status = printf("FAIL replay %s: nothing is counted\n", target);
        failed += status != 0;
        free(target);
    }
    printf("replay-report: passed=%d failed=%d\n", argc - 1 - failed, failed);
    printf("%d passed, %d failed\n", argc - 1 - failed, failed);
    return failed != 0;
}
