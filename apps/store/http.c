/*
 * http.c - a small HTTP/1.1 server for applications that answer requests themselves.
 *
 * Owns connections: what was received of a request, and what is still to be sent of the answer. A
 * request that is too long or makes no sense is answered with the reason, and the connection closed;
 * one that does not come along is closed after a while. Read main.c for what is served.
 */
#include "http.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lwip/tcp.h"

/* tcp_poll()'s interval in units of half a second, and calls without progress until the end. */
#define POLL_INTERVAL 4
#define POLLS_MAX 15

struct http_connection {
    struct tcp_pcb *pcb; /* NULL once it is gone */
    enum { RECEIVING, HANDLED, SENDING } state;
    char *input;
    size_t input_len, input_room;
    size_t request_len; /* of input: the request that is being handled */
    char *output;
    size_t output_len, output_given;
    bool close_after, peer_closed;
    unsigned polls;
    struct http_request request;
};

static http_handler handler;
static unsigned connections;

static void connection_free(struct http_connection *connection)
{
    free(connection->input);
    free(connection->output);
    free(connection);
    connections--;
}

/* Takes the connection off lwIP; ERR_ABRT when it had to be reset. */
static err_t connection_close(struct http_connection *connection)
{
    struct tcp_pcb *pcb = connection->pcb;
    err_t result = ERR_OK;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    if (tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
        result = ERR_ABRT;
    }
    connection->pcb = NULL;
    if (connection->state != HANDLED)
        connection_free(connection);
    return result;
}

/* --- Answers ---------------------------------------------------------------------------------- */

static void send_more(struct http_connection *connection)
{
    while (connection->output_given < connection->output_len) {
        size_t len = connection->output_len - connection->output_given;
        u16_t room = tcp_sndbuf(connection->pcb);
        if (len > room)
            len = room;
        if (!len || tcp_write(connection->pcb, connection->output + connection->output_given,
                              (u16_t)len, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        connection->output_given += len;
    }
    tcp_output(connection->pcb);
}

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return "Unknown";
}

void http_answer(struct http_connection *connection, unsigned status, const void *body, size_t len)
{
    char head[200];
    if (!connection->pcb) {
        connection_free(connection);
        return;
    }
    int head_len =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                 "Connection: %s\r\n\r\n",
                 status, reason(status), len, connection->close_after ? "close" : "keep-alive");
    connection->state = SENDING;
    connection->polls = 0;
    connection->output = malloc((size_t)head_len + len);
    if (!connection->output) {
        /* The client learns nothing, so it cannot take this for success: see connection_poll(). */
        connection->polls = POLLS_MAX;
        return;
    }
    memcpy(connection->output, head, (size_t)head_len);
    if (len)
        memcpy(connection->output + head_len, body, len);
    connection->output_len = (size_t)head_len + len;
    connection->output_given = 0;
    send_more(connection);
}

static void refuse(struct http_connection *connection, unsigned status)
{
    connection->state = HANDLED;
    connection->close_after = true;
    connection->request_len = connection->input_len;
    http_answer(connection, status, reason(status), strlen(reason(status)));
}

/* --- Requests --------------------------------------------------------------------------------- */

/* The value of a header line, without blanks around it, in `value`; false when there is none. */
static bool header(const char *head, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_len) || line[name_len] != ':')
            continue;
        const char *from = line + name_len + 1;
        from += strspn(from, " \t");
        size_t len = strcspn(from, "\r");
        while (len && (from[len - 1] == ' ' || from[len - 1] == '\t'))
            len--;
        if (len >= size)
            len = size - 1;
        memcpy(value, from, len);
        value[len] = '\0';
        return true;
    }
    return false;
}

/* Splits the request line, in place. */
static bool request_line(struct http_connection *connection, char *head)
{
    char *path = strchr(head, ' ');
    char *version = path ? strchr(path + 1, ' ') : NULL;
    char *end = strstr(head, "\r\n");
    if (!version || !end || version > end || path[1] != '/')
        return false;
    *path = *version = *end = '\0';
    connection->request.method = head;
    connection->request.path = path + 1;
    if (!strcmp(version + 1, "HTTP/1.0"))
        connection->close_after = true;
    return !strncmp(version + 1, "HTTP/1.", 7);
}

/* The length of the body that a header announces: false for none that can be used, and *status. */
static bool body_length(const char *head, size_t *len, unsigned *status)
{
    char value[32], *end;
    *len = 0;
    *status = 501;
    if (header(head, "Transfer-Encoding", value, sizeof(value)))
        return false;
    if (!header(head, "Content-Length", value, sizeof(value)))
        return true;
    unsigned long number = strtoul(value, &end, 10);
    *status = 400;
    if (value[0] < '0' || value[0] > '9' || *end)
        return false;
    *status = 413;
    *len = number;
    return number <= HTTP_BODY_MAX;
}

/* Hands the request over when it is complete. */
static void look_for_request(struct http_connection *connection)
{
    char value[32];
    unsigned status;
    size_t body_len;
    if (connection->state != RECEIVING || !connection->input_len)
        return;
    connection->input[connection->input_len] = '\0'; /* there is room for it */
    char *end = strstr(connection->input, "\r\n\r\n");
    if (!end || end - connection->input > (long)HTTP_HEAD_MAX) {
        if (connection->input_len > HTTP_HEAD_MAX)
            refuse(connection, 431);
        return;
    }
    size_t head_len = (size_t)(end - connection->input) + 4;
    end[2] = '\0';
    bool usable = body_length(connection->input, &body_len, &status);
    bool expects = header(connection->input, "Expect", value, sizeof(value));
    bool closes = header(connection->input, "Connection", value, sizeof(value)) &&
                  !strcasecmp(value, "close");
    end[2] = '\r';
    if (!usable) {
        refuse(connection, status);
        return;
    }
    if (connection->input_len < head_len + body_len) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (expects && connection->input_len == head_len)
            tcp_write(connection->pcb, go_on, sizeof(go_on) - 1, TCP_WRITE_FLAG_COPY);
        return;
    }
    connection->close_after = closes;
    if (!request_line(connection, connection->input)) {
        refuse(connection, 400);
        return;
    }
    connection->request.body = (const uint8_t *)connection->input + head_len;
    connection->request.body_len = body_len;
    connection->request_len = head_len + body_len;
    connection->state = HANDLED;
    connection->polls = 0;
    handler(&connection->request);
}

/* Puts what was received behind what is there; false when it does not fit or memory is short. */
static bool take_in(struct http_connection *connection, const struct pbuf *p)
{
    size_t needed = connection->input_len + p->tot_len + 1;
    if (needed > HTTP_HEAD_MAX + HTTP_BODY_MAX + TCP_WND)
        return false;
    if (needed > connection->input_room) {
        size_t room = needed < 2048 ? 2048 : needed * 2;
        char *input = realloc(connection->input, room);
        if (!input)
            return false;
        connection->input = input;
        connection->input_room = room;
    }
    pbuf_copy_partial(p, connection->input + connection->input_len, p->tot_len, 0);
    connection->input_len += p->tot_len;
    return true;
}

/* --- lwIP's callbacks ------------------------------------------------------------------------- */

/* The request at hand points into the input: what comes meanwhile waits with lwIP. */
static err_t connection_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct http_connection *connection = arg;
    (void)error;
    if (!p) {
        connection->peer_closed = true;
        return connection->state == RECEIVING ? connection_close(connection) : ERR_OK;
    }
    if (connection->state != RECEIVING || !take_in(connection, p))
        return ERR_MEM;
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    connection->polls = 0;
    look_for_request(connection);
    return ERR_OK;
}

static err_t connection_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct http_connection *connection = arg;
    (void)pcb;
    connection->polls = 0;
    (void)len;
    if (connection->state != SENDING || !connection->output)
        return ERR_OK;
    send_more(connection);
    if (connection->output_given < connection->output_len)
        return ERR_OK;
    if (connection->close_after || connection->peer_closed)
        return connection_close(connection);
    free(connection->output);
    connection->output = NULL;
    connection->output_len = 0;
    connection->input_len -= connection->request_len;
    memmove(connection->input, connection->input + connection->request_len, connection->input_len);
    connection->state = RECEIVING;
    look_for_request(connection);
    return ERR_OK;
}

static err_t connection_poll(void *arg, struct tcp_pcb *pcb)
{
    struct http_connection *connection = arg;
    if (connection->state == HANDLED)
        return ERR_OK;
    if (++connection->polls > POLLS_MAX) {
        if (connection->state == RECEIVING)
            return connection_close(connection);
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    if (connection->state == SENDING)
        send_more(connection);
    return ERR_OK;
}

static void connection_failed(void *arg, err_t error)
{
    struct http_connection *connection = arg;
    (void)error;
    connection->pcb = NULL;
    if (connection->state != HANDLED)
        connection_free(connection);
}

static err_t connection_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    struct http_connection *connection =
        connections < HTTP_CONNECTIONS_MAX ? calloc(1, sizeof(*connection)) : NULL;
    if (!connection)
        return ERR_MEM; /* lwIP resets the connection */
    connections++;
    connection->pcb = pcb;
    connection->request.connection = connection;
    tcp_nagle_disable(pcb);
    tcp_arg(pcb, connection);
    tcp_recv(pcb, connection_received);
    tcp_sent(pcb, connection_sent);
    tcp_err(pcb, connection_failed);
    tcp_poll(pcb, connection_poll, POLL_INTERVAL);
    return ERR_OK;
}

int http_start(uint16_t port, http_handler handle)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY), *listening;
    handler = handle;
    if (!pcb)
        return -ENOMEM;
    if (tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
        tcp_abort(pcb);
        return -EADDRINUSE;
    }
    listening = tcp_listen(pcb);
    if (!listening) {
        tcp_abort(pcb);
        return -ENOMEM;
    }
    tcp_accept(listening, connection_accepted);
    return 0;
}
