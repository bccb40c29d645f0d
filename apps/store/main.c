/*
 * main.c - a store: keeps what it receives over HTTP in an SQLite database, and answers only when
 * the disk has it.
 *
 *     POST /rows      adds the body as a row; 200 and the row's number once it is on stable storage
 *     GET /rows       "COUNT LAST": how many rows, and the highest number
 *     GET /rows/N     the row; 404 when there is none
 *     GET /check      what SQLite's integrity check says: "ok"
 *
 * The first argument names the database ("/store.db"), the kernel word `port=` the port (80). What
 * arrives in one turn of the event loop is one transaction, so many clients share one flush of the
 * disk. Read store.c and http.c next.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline.h"
#include "http.h"
#include "log.h"
#include "loop.h"
#include "platform.h"
#include "store.h"

#define DEFAULT_PATH "/store.db"
#define DEFAULT_PORT 80

/* Requests to add a row that wait for the end of this turn. */
static struct store_row rows[HTTP_CONNECTIONS_MAX];
static struct http_connection *clients[HTTP_CONNECTIONS_MAX];
static unsigned waiting;

static void answer_text(struct http_connection *connection, unsigned status, const char *text)
{
    http_answer(connection, status, text, strlen(text));
}

static void answer_error(struct http_connection *connection, int error)
{
    if (error == -ENOENT)
        answer_text(connection, 404, "no such row\n");
    else if (error == -ENOSPC)
        answer_text(connection, 507, "the disk is full\n");
    else
        answer_text(connection, 500, "the database could not be used; see the log\n");
}

/* --- Adding ----------------------------------------------------------------------------------- */

static void add(const struct http_request *request)
{
    if (waiting == HTTP_CONNECTIONS_MAX) { /* never: each connection has one request at a time */
        answer_text(request->connection, 500, "too many requests\n");
        return;
    }
    rows[waiting] = (struct store_row){.body = request->body, .len = request->body_len};
    clients[waiting++] = request->connection;
}

static unsigned commit(void *arg, unsigned budget)
{
    unsigned count = waiting;
    char text[32];
    (void)arg;
    (void)budget;
    if (!count)
        return 0;
    int error = store_add(rows, count);
    /* An answer may bring the next request of its client at once, which belongs to the next turn. */
    waiting = 0;
    for (unsigned i = 0; i < count; i++) {
        if (error) {
            answer_error(clients[i], error);
            continue;
        }
        snprintf(text, sizeof(text), "%lld\n", (long long)rows[i].id);
        answer_text(clients[i], 200, text);
    }
    return count;
}

static bool nothing_waits(void *arg)
{
    (void)arg;
    return !waiting;
}

static struct loop_source committer = {.name = "store", .poll = commit, .arm = nothing_waits};

/* --- Asking ----------------------------------------------------------------------------------- */

static void get_row(const struct http_request *request, const char *number)
{
    char *end;
    void *body;
    size_t len;
    long long id = strtoll(number, &end, 10);
    int error =
        number[0] >= '0' && number[0] <= '9' && !*end ? store_get(id, &body, &len) : -ENOENT;
    if (error) {
        answer_error(request->connection, error);
        return;
    }
    http_answer(request->connection, 200, body, len);
    free(body);
}

static void get_count(const struct http_request *request)
{
    char text[64];
    int64_t count, last;
    int error = store_count(&count, &last);
    if (error) {
        answer_error(request->connection, error);
        return;
    }
    snprintf(text, sizeof(text), "%lld %lld\n", (long long)count, (long long)last);
    answer_text(request->connection, 200, text);
}

static void get_check(const struct http_request *request)
{
    char text[256];
    store_check(text, sizeof(text) - 1);
    strcat(text, "\n");
    answer_text(request->connection, 200, text);
}

static void handle(const struct http_request *request)
{
    bool rows_path = !strcmp(request->path, "/rows");
    if (!strcmp(request->method, "POST") && rows_path)
        add(request);
    else if (strcmp(request->method, "GET"))
        answer_text(request->connection, 405, "POST /rows and GET are understood\n");
    else if (rows_path)
        get_count(request);
    else if (!strncmp(request->path, "/rows/", 6))
        get_row(request, request->path + 6);
    else if (!strcmp(request->path, "/check"))
        get_check(request);
    else
        answer_text(request->connection, 404, "there are /rows, /rows/N and /check\n");
}

int app_main(int argc, char **argv)
{
    char word[16];
    unsigned port = DEFAULT_PORT;
    if (cmdline_get(platform_cmdline(), "port", word, sizeof(word)))
        port = (unsigned)atoi(word);
    if (port < 1 || port > 65535) {
        log_error("store: port=%s is not a port", word);
        return 1;
    }
    if (store_open(argc > 1 ? argv[1] : DEFAULT_PATH))
        return 1;
    int error = http_start((uint16_t)port, handle);
    if (error) {
        log_error("store: cannot listen on port %u: error %d", port, -error);
        return 1;
    }
    loop_add(&committer);
    printf("ready: http://*:%u/rows\n", port);
    fflush(stdout);
    int status = loop_run();
    loop_remove(&committer);
    store_close();
    return status;
}
