/*
 * mqtt_guard.c - looks at what a broker sends before lwIP's MQTT client does.
 *
 * lwIP 2.2.1 collects the length in front of a message however long it is, past the end of its
 * buffer (CVE-2026-87121). MQTT allows four bytes (3.1.1, 2.2.3). Its client is compiled with
 * another name for tcp_recv() (Makefile), so that packets come here first; a length that goes on
 * ends the connection as if the broker had closed it. docs/SECURITY.md.
 */
#include "lwip/apps/mqtt_priv.h"
#include "lwip/tcp.h"

#include "log.h"

#define LENGTH_BYTES 4u

/* Where in the stream of messages a byte is. */
struct place {
    bool in_rest;  /* behind the header ... */
    unsigned seen; /* ... of which so many bytes have come: type, and length */
    u32_t rest;    /* of the message, as far as its length is known */
};

static tcp_recv_fn client_received;

void mqtt_guard_recv(struct tcp_pcb *pcb, tcp_recv_fn received);

/* A byte of the header. False when it cannot be one. */
static bool take_header(struct place *place, u8_t byte)
{
    unsigned before = place->seen++;
    if (before == 0)
        return true;
    place->rest |= (u32_t)(byte & 0x7f) << 7 * (before - 1);
    if ((byte & 0x80) != 0)
        return before < LENGTH_BYTES;
    *place = (struct place){.in_rest = place->rest > 0, .rest = place->rest};
    return true;
}

/* What has come before: lwIP keeps the header, and counts. */
static bool take_earlier(struct place *place, const mqtt_client_t *client)
{
    u32_t at = 0;
    while (at < client->msg_idx && at < sizeof(client->rx_buffer) && !place->in_rest)
        if (!take_header(place, client->rx_buffer[at++]))
            return false;
    place->rest -= client->msg_idx - at;
    return true;
}

static bool is_sound(const mqtt_client_t *client, const struct pbuf *p)
{
    struct place place = {0};
    u16_t at = 0;
    if (!take_earlier(&place, client))
        return false;
    while (at < p->tot_len) {
        if (place.in_rest) {
            u32_t part = p->tot_len - at;
            part = part < place.rest ? part : place.rest;
            at = (u16_t)(at + part);
            place.rest -= part;
            place.in_rest = place.rest > 0;
        } else if (!take_header(&place, pbuf_get_at(p, at++))) {
            return false;
        }
    }
    return true;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    if (p != NULL && !is_sound(arg, p)) {
        log_warn("mqtt: the broker sends a length that is none");
        tcp_recved(pcb, p->tot_len);
        pbuf_free(p);
        p = NULL;
    }
    return client_received(arg, pcb, p, error);
}

/* In the place of tcp_recv(), for lwIP's client. */
void mqtt_guard_recv(struct tcp_pcb *pcb, tcp_recv_fn received)
{
    if (received != NULL)
        client_received = received;
    tcp_recv(pcb, received != NULL ? on_received : NULL);
}
