// sources: apps/httpd/request.c
/*
 * test_http_request.c - when a client expects its connection to stay open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apps/httpd/request.h"

/* In memory of just that size, so that the sanitizer sees a byte read too many. */
static bool keeps_open(const char *text, size_t len)
{
    char *request = malloc(len + 1);
    char *end = request + 1;
    memcpy(end, text, len);
    bool open = request_keeps_open(end, len);
    free(request);
    return open;
}

static void test_versions_and_words(void **state)
{
    static const struct {
        const char *request;
        bool open;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection:close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nCONNECTION: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: TE, close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: TE\r\nConnection:\t close \r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nconnection: Keep-Alive, TE\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nX: y\r\n\r\nConnection: keep-alive\r\n", false},
        {"GET / HTTP/1.0\r\nX-Connection: keep-alive\r\n\r\n", false},
        {"GET /close HTTP/1.1\r\nX: Connection: close\r\n\r\n", true},
        {"GET / HTTP/1.1\nConnection: close\n\n", false},
        {"GET / HTTP/1.1", true},
        {"GET / HTTP/1.1\r\nConnection: clos", true},
        {"GET / HTTP/1.1\r\nConnection:", true},
        {"HTTP/1.1", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(keeps_open(cases[i].request, strlen(cases[i].request)), cases[i].open);
}

static void test_garbage(void **state)
{
    static const char alphabet[] = "\r\n\r\n,, :HTTP/1.1\tclose\0Connection";
    char text[60];
    (void)state;
    srand(5);
    for (unsigned round = 0; round < 100000; round++) {
        size_t len = (size_t)rand() % sizeof(text);
        for (size_t i = 0; i < len; i++)
            text[i] = alphabet[(size_t)rand() % sizeof(alphabet)];
        keeps_open(text, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_and_words),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
