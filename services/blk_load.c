/*
 * blk_load.c - a disk measured from outside (TCP port 7000): a line asks, a line answers.
 *
 * Owns the lines of a connection; what they may say and what is measured is blk/load.h's. One line is
 * worked on at a time, and what comes meanwhile waits in lwIP's buffers, so a peer cannot make this
 * grow. When the peer goes, its load ends. Runs only when asked for by name: it can destroy data.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk/load.h"
#include "services/service.h"

#define BLK_LOAD_PORT 7000

struct connection {
    struct tcp_pcb *pcb;
    struct pbuf *input; /* not looked at yet */
    bool running, peer_closed;
    size_t length; /* of the line so far; more than its room: too long */
    char line[BLK_LOAD_LINE_SIZE];
};

static void connection_free(struct connection *c)
{
    blk_load_cancel(c);
    if (c->input != NULL)
        pbuf_free(c->input);
    free(c);
}

/* An answer is far smaller than the send buffer, and only a peer that never reads fills that. */
static void reply(void *arg, const char *text)
{
    struct connection *c = arg;
    c->running = false;
    tcp_write(c->pcb, text, (u16_t)strlen(text), TCP_WRITE_FLAG_COPY | TCP_WRITE_FLAG_MORE);
    tcp_write(c->pcb, "\n", 1, 0);
    tcp_output(c->pcb);
}

static void end_line(struct connection *c)
{
    bool too_long = c->length >= sizeof(c->line);
    c->line[too_long ? 0 : c->length] = '\0';
    c->length = 0;
    c->running = true;
    if (too_long)
        reply(c, "error: the line is too long");
    else
        blk_load_start(c->line, reply, c);
}

/* Looks at what has come, as long as no load runs. */
static err_t work(struct connection *c)
{
    while (!c->running && c->input != NULL) {
        char byte = (char)pbuf_get_at(c->input, 0);
        c->input = pbuf_free_header(c->input, 1);
        tcp_recved(c->pcb, 1);
        if (byte == '\n')
            end_line(c);
        else if (c->length < sizeof(c->line))
            c->line[c->length++] = byte;
    }
    if (c->running || !c->peer_closed)
        return ERR_OK;
    struct tcp_pcb *pcb = c->pcb;
    connection_free(c);
    return service_close(pcb);
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct connection *c = arg;
    (void)pcb;
    (void)error;
    if (p == NULL)
        c->peer_closed = true;
    else if (c->input == NULL)
        c->input = p;
    else
        return ERR_MEM; /* lwIP keeps it and offers it again */
    return work(c);
}

/* Half a second at most after a load the next line is looked at, and a peer that closed is left. */
static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
    (void)pcb;
    return work(arg);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    (void)pcb;
    (void)len;
    return work(arg);
}

/* The connection is gone already. */
static void on_failed(void *arg, err_t error)
{
    (void)error;
    connection_free(arg);
}

static err_t on_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    struct connection *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return ERR_MEM; /* lwIP resets the connection */
    service_probe(pcb);
    c->pcb = pcb;
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_failed);
    tcp_poll(pcb, on_poll, 1);
    return ERR_OK;
}

static int blk_load_listen(void)
{
    return service_listen(BLK_LOAD_PORT, on_accepted);
}

const struct service blk_load_service = {"blk", BLK_LOAD_PORT, blk_load_listen};
