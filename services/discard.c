/*
 * discard.c - discard (RFC 863, port 9): takes what comes, and forgets it.
 *
 * Nothing is kept, so the window is always open. The last segment of a burst is acknowledged at
 * once, where TCP would wait for a second one.
 */
#include <errno.h>

#include "lwip/priv/tcp_priv.h"

#include "services/service.h"

#define DISCARD_PORT 9

static err_t discard_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    (void)arg;
    (void)error;
    if (p == NULL)
        return service_close(pcb);
    if ((p->flags & PBUF_FLAG_PUSH) != 0)
        tcp_ack_now(pcb); /* goes out when lwIP is done with this segment */
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static err_t discard_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    service_probe(pcb);
    tcp_recv(pcb, discard_received);
    return ERR_OK;
}

static void discard_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *peer,
                             uint16_t port)
{
    (void)arg;
    (void)pcb;
    (void)peer;
    (void)port;
    pbuf_free(p);
}

static void discard_vsock(void *arg, struct vsock_connection *connection)
{
    (void)arg;
    vsock_consume(connection, vsock_readable(connection));
    if (vsock_is_at_end(connection))
        vsock_close(connection, false);
}

static int discard_vsock_accepted(void *arg, struct vsock_connection *connection)
{
    static const struct vsock_callbacks callbacks = {.readable = discard_vsock,
                                                     .ended = service_vsock_ended};
    vsock_set_callbacks(connection, &callbacks, arg);
    return 0;
}

static int discard_start(void)
{
    int error = service_listen(DISCARD_PORT, discard_accepted);
    if (error == 0)
        error = service_bind_udp(DISCARD_PORT, discard_datagram);
    return error != 0 ? error
                      : vsock_listen(DISCARD_PORT, VSOCK_TYPE_STREAM, discard_vsock_accepted, NULL);
}

const struct service discard_service = {"discard", DISCARD_PORT, discard_start};
