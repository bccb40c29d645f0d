/*
 * check.h - checks of the applications that test the kernel from inside: each is counted, and one
 * that fails is printed with its line and goes on.
 *
 * Included once, by the application's only file, which says `checks` and `failures` at its end.
 */
#ifndef FERRULE_TESTS_QEMU_CHECK_H
#define FERRULE_TESTS_QEMU_CHECK_H

#include <errno.h>
#include <stdio.h>

static unsigned checks, failures;

#define CHECK(condition)                                                             \
    do {                                                                             \
        checks++;                                                                    \
        if (!(condition)) {                                                          \
            failures++;                                                              \
            printf("failed: line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
        }                                                                            \
    } while (0)

#define CHECK_ERROR(call, error)                 \
    do {                                         \
        errno = 0;                               \
        CHECK((call) == -1 && errno == (error)); \
    } while (0)

#endif
