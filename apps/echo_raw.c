/*
 * echo_raw.c - an echo server in lwIP's raw API: callbacks, no threads, no copy between layers.
 *
 * The same server as echo_threads.c and echo_poll.c, on port 7 or the one given after `--`. A
 * faster one, which does not copy at all, is services/echo.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "loop.h"
#include "lwip/tcp.h"

static err_t finish(struct tcp_pcb *pcb)
{
    tcp_recv(pcb, NULL);
    if (tcp_close(pcb) == ERR_OK)
        return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
}

static err_t received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    (void)arg;
    (void)error;
    if (p == NULL)
        return finish(pcb);
    /* All or nothing: what is refused stays with lwIP, which offers it again. */
    if (p->tot_len > tcp_sndbuf(pcb) || tcp_sndqueuelen(pcb) > TCP_SND_QUEUELEN / 2)
        return ERR_MEM;
    for (const struct pbuf *part = p; part != NULL; part = part->next) {
        if (tcp_write(pcb, part->payload, part->len, TCP_WRITE_FLAG_COPY) == ERR_OK)
            continue;
        pbuf_free(p);
        tcp_abort(pcb); /* some of it is lost: no answer is better than a wrong one */
        return ERR_ABRT;
    }
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error == ERR_OK)
        tcp_recv(pcb, received);
    return error;
}

int app_main(int argc, char **argv)
{
    u16_t port = argc > 1 ? (u16_t)atoi(argv[1]) : 7;
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);

    if (pcb == NULL || tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK || !(pcb = tcp_listen(pcb))) {
        fprintf(stderr, "echo: cannot listen on port %u\n", port);
        return 1;
    }
    tcp_accept(pcb, accepted);
    printf("ready: echo on port %u\n", port);
    fflush(stdout);
    return loop_run();
}
