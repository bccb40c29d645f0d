/*
 * http.h - a small HTTP/1.1 server for applications that answer requests themselves.
 *
 * One handler for all requests, with bodies up to HTTP_BODY_MAX; the answer may come later, which is
 * what a store needs that answers only when the disk has it. One request of a connection at a time;
 * no TLS, no chunked bodies. On lwIP's raw API; all of it runs in the event loop. Read http.c next.
 */
#ifndef FERRULE_APPS_STORE_HTTP_H
#define FERRULE_APPS_STORE_HTTP_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 4096u
#define HTTP_BODY_MAX (256u * 1024u)
#define HTTP_CONNECTIONS_MAX 64u

struct http_connection;

struct http_request {
    const char *method, *path; /* the path as it was sent, with what follows a question mark */
    const uint8_t *body;
    size_t body_len;
    struct http_connection *connection; /* for http_answer() */
};

/*
 * Is called with each request, which stays in place until http_answer(). Every request must be
 * answered once, now or later, also when its client is gone.
 */
typedef void (*http_handler)(const struct http_request *request);

/* Listens on all addresses. 0 or a negative errno. */
int http_start(uint16_t port, http_handler handler);

/* Sends status, header and body (copied). The request is not valid any more. */
void http_answer(struct http_connection *connection, unsigned status, const void *body, size_t len);

#endif
