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

static int discard_start(void)
{
    int error = service_listen(DISCARD_PORT, discard_accepted);
    return error != 0 ? error : service_bind_udp(DISCARD_PORT, discard_datagram);
}

const struct service discard_service = {"discard", DISCARD_PORT, discard_start};
