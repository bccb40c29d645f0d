/*
 * request.h - what the head of a request says about its connection.
 */
#ifndef FERRULE_HTTPD_REQUEST_H
#define FERRULE_HTTPD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Does the client of this request (`len` bytes from its request line on, not terminated) expect the
 * connection to stay open after the response? So it does in HTTP/1.1 unless it says "close", and in
 * HTTP/1.0 only when it says "keep-alive" (RFC 9112, 9.3).
 */
bool request_keeps_open(const char *request, size_t len);

#endif
