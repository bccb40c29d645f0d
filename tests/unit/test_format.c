// sources: boot/format.c
/*
 * test_format.c - the log's formatter (include/log.h) against the C library's printf.
 *
 * Every combination of flags, width, precision, length and conversion that log.h promises, with
 * values at the edges of their types, and every buffer size around the length of the text.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"

/* Formats are made at run time here, on purpose. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

#define CHECK(format, ...)                                                                   \
    do {                                                                                     \
        char ours[256], theirs[256];                                                         \
        int our_length = format_text(ours, sizeof(ours), format, __VA_ARGS__);               \
        int their_length = snprintf(theirs, sizeof(theirs), format, __VA_ARGS__);            \
        if (our_length != their_length || strcmp(ours, theirs))                              \
            fail_msg("\"%s\": \"%s\" (%d) instead of \"%s\" (%d)", format, ours, our_length, \
                     theirs, their_length);                                                  \
    } while (0)

static const char *const flags[] = {"", "-", "0", "#", "-#", "0#", "-0"};
static const char *const widths[] = {"", "1", "5", "20", "40"};
static const char *const precisions[] = {"", ".", ".0", ".1", ".7", ".25"};

static void check_number(const char *spec, const char *length, const char *conversions,
                         uint64_t value)
{
    char format[64];

    for (const char *c = conversions; *c; c++) {
        snprintf(format, sizeof(format), "<%s%s%c>", spec, length, *c);
        if (strcmp(length, "hh") == 0 || strcmp(length, "h") == 0 || !*length)
            CHECK(format, (int)value);
        else
            CHECK(format, (long long)value); /* l, ll, z and t are all 64 bits wide here */
    }
}

static void integers(void **state)
{
    static const uint64_t values[] = {0,        1,          7,         10,         255,
                                      256,      32768,      65535,     INT_MAX,    1ull << 31,
                                      UINT_MAX, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX};
    static const char *const lengths[] = {"", "hh", "h", "l", "ll", "z", "t"};
    char spec[32];

    (void)state;
    for (unsigned f = 0; f < 7; f++)
        for (unsigned w = 0; w < 5; w++)
            for (unsigned p = 0; p < 6; p++)
                for (unsigned v = 0; v < sizeof(values) / sizeof(values[0]); v++)
                    for (unsigned l = 0; l < 7; l++) {
                        snprintf(spec, sizeof(spec), "%%%s%s%s", flags[f], widths[w],
                                 precisions[p]);
                        check_number(spec, lengths[l], strchr(flags[f], '#') ? "xX" : "diuxXo",
                                     values[v]);
                    }
}

static void strings_and_characters(void **state)
{
    static const char *const texts[] = {"", "a", "hello", "a longer text of thirty characters"};
    char format[32];

    (void)state;
    for (unsigned w = 0; w < 5; w++)
        for (unsigned t = 0; t < 4; t++)
            for (unsigned p = 0; p < 6; p++)
                for (unsigned left = 0; left < 2; left++) {
                    snprintf(format, sizeof(format), "<%%%s%s%ss>", left ? "-" : "", widths[w],
                             precisions[p]);
                    CHECK(format, texts[t]);
                    snprintf(format, sizeof(format), "<%%%s%sc>", left ? "-" : "", widths[w]);
                    CHECK(format, 'x');
                }
    CHECK("%s %s", "two", "words");
    CHECK("100%% of %d", 5);
}

static void widths_from_arguments(void **state)
{
    (void)state;
    for (int n = -20; n <= 20; n++) {
        CHECK("<%*d>", n, 42);
        CHECK("<%.*d>", n, 42);
        CHECK("<%-*x|%0*x>", n, 42u, n < 0 ? -n : n, 42u);
        CHECK("<%*.*s>", n, 3, "text");
        CHECK("<%.*s>", n, "text");
    }
}

static void pointers(void **state)
{
    const char *volatile nothing = NULL; /* the compiler must not see it */
    char text[64];

    (void)state;
    CHECK("%p", (void *)0x1234abcd);
    CHECK("%20p|%-20p", (void *)UINTPTR_MAX, (void *)1);
    assert_true(format_text(text, sizeof(text), "%s", nothing) > 0);
}

static void the_length_is_that_of_the_whole_text(void **state)
{
    (void)state;
    for (size_t size = 0; size < 20; size++) {
        char *out = malloc(size ? size : 1);
        assert_int_equal(format_text(out, size, "%s-%d", "12345", 67890), 11);
        if (size) {
            assert_int_equal(strlen(out), size > 11 ? 11 : size - 1);
            assert_memory_equal(out, "12345-67890", strlen(out));
        }
        free(out);
    }
}

/* A wrong format in a log line must not take the kernel down. */
static void nonsense_is_survived(void **state)
{
    static const char *const formats[] = {
        "%", "%5", "%-", "%.", "%l", "%hh", "%q", "%!", "%ll", "%5.3", "%999999999999s"};
    char text[64];

    (void)state;
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        format_text(text, sizeof(text), formats[i], "a", 1, 2);
        assert_true(strlen(text) < sizeof(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(strings_and_characters),
        cmocka_unit_test(widths_from_arguments),
        cmocka_unit_test(pointers),
        cmocka_unit_test(the_length_is_that_of_the_whole_text),
        cmocka_unit_test(nonsense_is_survived),
    };

    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
