/*
 * bulk.c - bulk TCP in both directions, judged byte by byte, and UDP echo.
 *
 * Every byte's value follows from its place in the stream: i % PERIOD % 251. Ports: 5019 and 5020
 * send as many bytes as the number in the client's first line says, without a copy and with one;
 * 5009 takes bytes and forgets them, 5010 compares them, and both answer with their number once the
 * client has finished sending; 5011 keeps what comes, which fills memory, until the client is gone; 7 (UDP) echoes; 5021 (UDP) answers "BYTES SIZE" with so many bytes in
 * datagrams of that size. Used by test_offload.py and for measuring.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "loop.h"
#include "net/lwip_datagrams.h"

#define PERIOD 65521u
#define CHUNK 32768u

enum {
    SINK = 5009,
    SINK_COMPARING = 5010,
    SOURCE = 5019,
    SOURCE_COPYING = 5020,
    KEEPER = 5011,
    ROW = 5021,
    ECHO = 7
};

static uint8_t pattern[PERIOD + CHUNK];

struct stream {
    uint16_t port;
    uint64_t left, done; /* bytes to send; bytes sent or taken */
    bool bad;
    struct kept *kept;
};

/* What came and nobody has read. */
struct kept {
    struct kept *next;
    struct pbuf *p;
};

static void free_stream(struct stream *stream)
{
    struct kept *kept;
    while (stream != NULL && (kept = stream->kept) != NULL) {
        stream->kept = kept->next;
        pbuf_free(kept->p);
        free(kept);
    }
    free(stream);
}

static err_t finish(struct tcp_pcb *pcb, struct stream *stream)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    free_stream(stream);
    return tcp_close(pcb);
}

static err_t send_more(struct tcp_pcb *pcb, struct stream *stream)
{
    u8_t copy = stream->port == SOURCE_COPYING ? TCP_WRITE_FLAG_COPY : 0;
    while (stream->left > 0 && tcp_sndbuf(pcb) > 0) {
        uint32_t part = CHUNK < stream->left ? CHUNK : (uint32_t)stream->left;
        if (part > tcp_sndbuf(pcb))
            part = tcp_sndbuf(pcb);
        if (tcp_write(pcb, pattern + stream->done % PERIOD, (u16_t)part, copy) != ERR_OK)
            break; /* no memory now: on_sent() or on_poll() tries again */
        stream->done += part;
        stream->left -= part;
    }
    if (stream->left == 0)
        return finish(pcb, stream);
    return tcp_output(pcb);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct stream *stream = arg;
    (void)len;
    return stream != NULL && stream->left > 0 ? send_more(pcb, stream) : ERR_OK;
}

static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
    return on_sent(arg, pcb, 0);
}

static void compare(struct stream *stream, const struct pbuf *p)
{
    uint64_t at = stream->done;
    for (; p != NULL; at += p->len, p = p->next) {
        uint32_t skip = 0;
        while (skip < p->len && !stream->bad) {
            uint32_t part = p->len - skip < CHUNK ? p->len - skip : CHUNK;
            stream->bad = memcmp((const uint8_t *)p->payload + skip, pattern + (at + skip) % PERIOD,
                                 part) != 0;
            skip += part;
        }
    }
}

static err_t answer(struct tcp_pcb *pcb, struct stream *stream)
{
    char text[40];
    int len = snprintf(text, sizeof(text), "%s %llu\n", stream->bad ? "bad" : "ok",
                       (unsigned long long)stream->done);
    tcp_write(pcb, text, (u16_t)len, TCP_WRITE_FLAG_COPY);
    return finish(pcb, stream);
}

static err_t keep(struct stream *stream, struct pbuf *p)
{
    struct kept *kept = malloc(sizeof(*kept));
    if (kept == NULL)
        return ERR_MEM;
    *kept = (struct kept){stream->kept, p};
    stream->kept = kept;
    return ERR_OK;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct stream *stream = arg;
    (void)error;
    bool source = stream->port == SOURCE || stream->port == SOURCE_COPYING;
    if (p == NULL)
        return source ? finish(pcb, stream) : answer(pcb, stream);
    if (stream->port == KEEPER)
        return keep(stream, p);
    tcp_recved(pcb, p->tot_len);
    if (source) {
        char text[24];
        text[pbuf_copy_partial(p, text, sizeof(text) - 1, 0)] = '\0';
        stream->left = strtoull(text, NULL, 10);
    } else {
        if (stream->port == SINK_COMPARING)
            compare(stream, p);
        stream->done += p->tot_len;
    }
    pbuf_free(p);
    return source ? send_more(pcb, stream) : ERR_OK;
}

static void on_error(void *arg, err_t error)
{
    (void)error;
    free_stream(arg);
}

static err_t on_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    (void)arg;
    if (error != ERR_OK || stream == NULL) {
        free(stream);
        return ERR_MEM;
    }
    stream->port = pcb->local_port;
    tcp_arg(pcb, stream);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_poll(pcb, on_poll, 2);
    tcp_err(pcb, on_error);
    return ERR_OK;
}

static void on_row(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *address,
                   u16_t port)
{
    char text[32] = "", *end;
    (void)arg;
    pbuf_copy_partial(p, text, sizeof(text) - 1, 0);
    pbuf_free(p);
    unsigned long bytes = strtoul(text, &end, 10), size = strtoul(end, NULL, 10);
    struct pbuf *row = pbuf_alloc(PBUF_TRANSPORT, (u16_t)bytes, PBUF_RAM);
    if (row == NULL)
        return;
    for (unsigned long i = 0; i < bytes; i++)
        ((uint8_t *)row->payload)[i] = pattern[i % PERIOD];
    datagrams_send(pcb, row, address, port, (u16_t)size);
    pbuf_free(row);
}

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *address,
                        u16_t port)
{
    (void)arg;
    udp_sendto(pcb, p, address, port);
    pbuf_free(p);
}

static void listen_on(uint16_t port)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
    if (pcb == NULL || tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK)
        abort();
    tcp_accept(tcp_listen(pcb), on_accepted);
}

int app_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i % PERIOD % 251);
    listen_on(SINK);
    listen_on(SINK_COMPARING);
    listen_on(KEEPER);
    listen_on(SOURCE);
    listen_on(SOURCE_COPYING);
    struct udp_pcb *echo = udp_new_ip_type(IPADDR_TYPE_ANY);
    if (echo == NULL || udp_bind(echo, IP_ANY_TYPE, ECHO) != ERR_OK)
        return 1;
    udp_recv(echo, on_datagram, NULL);
    struct udp_pcb *row = udp_new_ip_type(IPADDR_TYPE_ANY);
    if (row == NULL || udp_bind(row, IP_ANY_TYPE, ROW) != ERR_OK)
        return 1;
    udp_recv(row, on_row, NULL);
    printf("bulk: ready\n");
    return loop_run();
}
