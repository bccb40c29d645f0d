// sources: boot/cmdline.c
/*
 * test_cmdline.c - words of the kernel command line and the application's arguments
 * (include/cmdline.h).
 *
 * Tables of lines and what must come out, then every size of the caller's memory, exactly allocated
 * so that AddressSanitizer sees a byte too much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmdline.h"

static void values_of_keys(void **state)
{
    static const struct {
        const char *line, *key, *value; /* value NULL: absent */
    } cases[] = {
        {"", "a", NULL},
        {"   \t\n", "a", NULL},
        {"a", "a", ""},
        {"a=", "a", ""},
        {"a=1", "a", "1"},
        {"a=1 a=2", "a", "2"},
        {"a=1 a", "a", ""},
        {"ab=1", "a", NULL},
        {"a=1", "ab", NULL},
        {"xa=1", "a", NULL},
        {"b=a=7", "a", NULL},
        {"b=a=7", "b", "a=7"},
        {"  b=1\ta=2  ", "a", "2"},
        {"a=\"x y\" b=2", "a", "x y"},
        {"a=\"x y\" b=2", "b", "2"},
        {"a=\"x b=2", "b", NULL},
        {"a=\"x b=2", "a", "x b=2"},
        {"\"a=x y\"", "a", NULL},
        {"a=x\"y z\"w", "a", "xy zw"},
        {"a=\"\"", "a", ""},
        {"a=1 -- a=2", "a", "1"},
        {"-- a=2", "a", NULL},
        {"--a=2", "--a", "2"},
        {"ip=10.0.2.15/24,10.0.2.2", "ip", "10.0.2.15/24,10.0.2.2"},
    };
    char value[64];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(value, 'x', sizeof(value));
        bool found = cmdline_get(cases[i].line, cases[i].key, value, sizeof(value));
        if (found != (cases[i].value != NULL) || strcmp(value, found ? cases[i].value : ""))
            fail_msg("\"%s\": %s is %s \"%s\"", cases[i].line, cases[i].key,
                     found ? "found," : "absent,", value);
    }
}

static void a_value_that_does_not_fit_is_absent(void **state)
{
    (void)state;
    for (size_t size = 1; size < 12; size++) {
        char *value = malloc(size);
        memset(value, 'x', size);
        assert_int_equal(cmdline_get("k=12345678", "k", value, size), size > 8);
        assert_string_equal(value, size > 8 ? "12345678" : "");
        free(value);
    }
    assert_false(cmdline_get("k=1", "k", NULL, 0));
}

static void a_key_may_stand_more_than_once(void **state)
{
    static const char *const values[] = {"1", "", "a b", "", "last"};
    const char *at = "k=1 kk=no k x=k k=\"a b\" k=123456 -- k=last";
    char value[6];

    (void)state;
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_true(cmdline_next(&at, "k", value, sizeof(value)));
        assert_string_equal(value, values[i]);
    }
    assert_false(cmdline_next(&at, "k", value, sizeof(value)));
    assert_string_equal(at, "");
}

static void arguments_follow_the_dashes(void **state)
{
    static const struct {
        const char *line;
        int argc;
        const char *argv[5];
    } cases[] = {
        {"", 1, {"app"}},
        {"a b c", 1, {"app"}},
        {"a --", 1, {"app"}},
        {"a -- b", 2, {"app", "b"}},
        {"-- b  c", 3, {"app", "b", "c"}},
        {"-- -- c", 3, {"app", "--", "c"}},
        {"x=\"-- y\" -- \"b c\" d=\"e f\"", 3, {"app", "b c", "d=e f"}},
        {"-- \"\" z", 3, {"app", "", "z"}},
        {"-- a b c d e f g", 4, {"app", "a", "b", "c"}},
    };
    char *argv[5], storage[64];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cmdline_args(cases[i].line, "app", argv, 5, storage, sizeof(storage)),
                         cases[i].argc);
        for (int n = 0; n < cases[i].argc; n++)
            assert_string_equal(argv[n], cases[i].argv[n]);
        assert_null(argv[cases[i].argc]);
    }
}

/*
 * Every combination of room for pointers and for text: never more than fits, always a NULL at the
 * end.
 */
static void arguments_keep_to_their_memory(void **state)
{
    (void)state;
    for (int max = 0; max < 6; max++)
        for (size_t size = 0; size < 16; size++) {
            char **argv = malloc((size_t)(max ? max : 1) * sizeof(*argv));
            char *storage = malloc(size ? size : 1);
            int argc = cmdline_args("-- one two", "app", argv, max, storage, size);
            assert_true(argc >= 0 && (argc < max || (max == 0 && argc == 0)));
            if (max)
                assert_null(argv[argc]);
            for (int n = 0; n < argc; n++)
                assert_true(argv[n] >= storage && argv[n] + strlen(argv[n]) < storage + size);
            free(storage);
            free(argv);
        }
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
        bool good;
    } cases[] = {
        {"0", 0, true},
        {"512", 512, true},
        {"4k", 4096, true},
        {"16M", 16 << 20, true},
        {"3G", UINT64_C(3) << 30, true},
        {"18446744073709551615", UINT64_MAX, true},
        {"18446744073709551616", 0, false},
        {"18014398509481983k", UINT64_MAX - 1023, true},
        {"18014398509481984k", 0, false},
        {"", 0, false},
        {"k", 0, false},
        {"-1", 0, false},
        {"1x", 0, false},
        {"1kk", 0, false},
        {"1 ", 0, false},
        {"0x10", 0, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 0;

        if (cmdline_parse_size(cases[i].text, &bytes) != cases[i].good ||
            (cases[i].good && bytes != cases[i].bytes))
            fail_msg("%s is %llu", cases[i].text, (unsigned long long)bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_keys),
        cmocka_unit_test(sizes),
        cmocka_unit_test(a_value_that_does_not_fit_is_absent),
        cmocka_unit_test(a_key_may_stand_more_than_once),
        cmocka_unit_test(arguments_follow_the_dashes),
        cmocka_unit_test(arguments_keep_to_their_memory),
    };

    return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
