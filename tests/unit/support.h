/*
 * support.h - what every unit test against the model device shares: start, end, and the
 * expectations that span both.
 *
 * A test starts on a fresh hosted platform and ends with no violation by the driver that the model
 * noticed, no device memory and no mapping left. A test that provokes a violation takes it off the
 * list with expect_violation(). Read hosted/hosted.h for the controls.
 */
#ifndef FERRULE_TESTS_SUPPORT_H
#define FERRULE_TESTS_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hosted/hosted.h"
#include "hosted/violation.h"

/*
 * A failed test leaves its own memory behind, which is no news; the memory that counts is booked by
 * the arena.
 */
__attribute__((weak)) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static inline void support_fail(const char *text)
{
    fail_msg("%s", text);
}

static inline int support_setup(void **state)
{
    (void)state;
    hosted_set_failure_hook(support_fail);
    hosted_reset();
    violation_reset();
    if (getenv("FERRULE_TEST_LOG"))
        hosted_log_echo(true);
    return 0;
}

/* Anything left over fails the test here, with the log that led to it. */
static inline int support_teardown(void **state)
{
    unsigned leaked = hosted_dma_allocations() + hosted_dma_mappings();

    (void)state;
    if (violation_count(NULL) || leaked)
        print_error("%s%u allocations, %u mappings left; log:\n%s", violation_text(),
                    hosted_dma_allocations(), hosted_dma_mappings(), hosted_log());
    int result = violation_count(NULL) || leaked ? -1 : 0;
    violation_reset();
    hosted_dma_reset();
    return result;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, support_setup, support_teardown)

/* The model must have reported this, and nothing else; the report is taken off. */
static inline void expect_violation(const char *id)
{
    if (!violation_count(id) || violation_count(id) != violation_count(NULL))
        fail_msg("expected %s only, got:\n%s", id, violation_text());
    violation_reset();
}

static inline void expect_log(const char *text, unsigned times)
{
    if (hosted_log_count(text) != times)
        fail_msg("\"%s\" is %u times in the log, not %u:\n%s", text, hosted_log_count(text), times,
                 hosted_log());
}

/* Runs a statement that must end in platform_panic(). */
#define expect_panic(statement)                        \
    do {                                               \
        jmp_buf end_;                                  \
        if (!setjmp(end_)) {                           \
            hosted_catch_end(&end_);                   \
            statement;                                 \
            hosted_catch_end(NULL);                    \
            fail_msg("no panic from: %s", #statement); \
        }                                              \
        assert_non_null(hosted_panic_text());          \
    } while (0)

/* A small generator whose numbers are the same in every run. */
static inline uint32_t support_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

#endif
