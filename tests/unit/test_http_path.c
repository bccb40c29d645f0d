// sources: apps/httpd/path.c
/*
 * test_http_path.c - request targets: decoding, what is refused, types, escaping.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apps/httpd/path.h"

static void test_decoded(void **state)
{
    static const struct {
        const char *target, *path;
    } cases[] = {
        {"/", "/"},
        {"/a/b.txt", "/a/b.txt"},
        {"/a%20b", "/a b"},
        {"/%41%7a%2F%C3%bc", "/Az/\xc3\xbc"},
        {"/a+b", "/a+b"},
        {"/a?x=%zz", "/a"},
        {"/?", "/"},
        {"/a#frag", "/a"},
        {"/..a/a../...", "/..a/a../..."},
        {"/./a", "/./a"},
        {"http://host:80/x", "/x"},
        {"HTTP://host", "/"},
        {"http://host?q", "/"},
        {"/100%25", "/100%"},
    };
    char path[PATH_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(path_decode(cases[i].target, path), 0);
        assert_string_equal(path, cases[i].path);
    }
}

static void test_refused(void **state)
{
    static const char *const targets[] = {
        "",          "*",       "a",      "ftp://x/",  "/%",     "/%4",        "/%4g",   "/%00",
        "/%0a",      "/a\tb",   "/%7f",   "/a\\b",     "/%5c..", "/..",        "/../",   "/a/../b",
        "/%2e%2e/a", "/a/%2e.", "/.%2E/", "/a/..%2fb", "/..?x",  "/a%2f..%2f", "//..//",
    };
    char path[PATH_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        assert_int_equal(path_decode(targets[i], path), -EINVAL);
}

static void test_length(void **state)
{
    char target[PATH_SIZE + 2] = "/", path[PATH_SIZE];
    (void)state;
    memset(target + 1, 'a', PATH_SIZE - 2);
    assert_int_equal(path_decode(target, path), 0);
    assert_int_equal(strlen(path), PATH_SIZE - 1);
    target[PATH_SIZE - 1] = 'a';
    assert_int_equal(path_decode(target, path), -ENAMETOOLONG);
}

/* Any bytes at all: never beyond the buffer (the sanitizer watches), and a decoded path is always
 * harmless. */
static void test_garbage(void **state)
{
    static const char alphabet[] = "%%%2fF.//..\\ae0\x01\xff?#";
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 200000; round++) {
        char *path = malloc(PATH_SIZE), target[24];
        size_t len = (size_t)rand() % (sizeof(target) - 1);
        target[0] = '/';
        for (size_t i = 1; i < len; i++)
            target[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
        target[len > 0 ? len : 1] = '\0';
        if (path_decode(target, path) == 0) {
            assert_true(path[0] == '/');
            assert_null(strstr(path, "/../"));
            assert_null(strchr(path, '\\'));
            size_t end = strlen(path);
            assert_false(end >= 3 && strcmp(path + end - 3, "/..") == 0);
        }
        free(path);
    }
}

static void test_types(void **state)
{
    (void)state;
    assert_string_equal(path_content_type("/index.html"), "text/html");
    assert_string_equal(path_content_type("/A.HTM"), "text/html");
    assert_string_equal(path_content_type("/x/app.min.js"), "text/javascript");
    assert_string_equal(path_content_type("/logo.svg"), "image/svg+xml");
    assert_string_equal(path_content_type("/a.wasm"), "application/wasm");
    assert_string_equal(path_content_type("/README"), "application/octet-stream");
    assert_string_equal(path_content_type("/v1.html/README"), "application/octet-stream");
    assert_string_equal(path_content_type("/x."), "application/octet-stream");
    assert_string_equal(path_content_type("/x.unknown"), "application/octet-stream");
}

static void test_escapes(void **state)
{
    char out[64], small[4];
    (void)state;
    assert_int_equal(path_escape_url(out, sizeof(out), "/a b/100%\xc3\xbc:?"), 25);
    assert_string_equal(out, "/a%20b/100%25%C3%BC%3A%3F");
    assert_int_equal(path_escape_html(out, sizeof(out), "<a&\"b'>"), 26);
    assert_string_equal(out, "&lt;a&amp;&quot;b&#39;&gt;");
    assert_int_equal(path_escape_url(small, sizeof(small), "<<"), 6);
    assert_string_equal(small, "%3C");
    assert_int_equal(path_escape_url(NULL, 0, "a b"), 5);
    assert_int_equal(path_escape_html(small, sizeof(small), ""), 0);
    assert_string_equal(small, "");
}

/* What a listing links to must lead back to the same name. */
static void test_round_trip(void **state)
{
    char name[260], escaped[800], path[PATH_SIZE];
    (void)state;
    name[0] = '/';
    for (unsigned c = 0x20, n = 1; c < 0x100; c++) {
        if (c == 0x7f || c == '\\' || c == '/')
            continue;
        name[n++] = (char)c;
        name[n] = '\0';
    }
    path_escape_url(escaped, sizeof(escaped), name);
    assert_int_equal(path_decode(escaped, path), 0);
    assert_string_equal(path, name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoded),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_length),     cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_types),      cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
