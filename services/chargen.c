/*
 * chargen.c - chargen (RFC 864, port 19): characters without end.
 *
 * The pattern that the RFC recommends: lines of 72 printing characters, each a place further on. It
 * repeats after 95 lines, so it lies in memory that never changes and is sent from there without a
 * copy; a connection's only state is its place in it. The send buffer is kept full. What a peer
 * sends is thrown away; a datagram is answered by one of up to 512 characters.
 */
#include <errno.h>
#include <stdlib.h>

#include "platform.h"
#include "services/service.h"

#define CHARGEN_PORT 19

#define FIRST_CHARACTER ' '
#define CHARACTERS 95u /* printing ones */
#define LINE_CHARACTERS 72u
#define LINE_SIZE (LINE_CHARACTERS + 2)
#define PERIOD (CHARACTERS * LINE_SIZE)
#define DATAGRAM_MAX 512u

/* Several periods, since long pieces cost lwIP less. */
#define REPEATS 8u
#define PATTERN_SIZE (PERIOD * REPEATS)
static char *pattern; /* since the service runs, which most machines do without */

struct chargen {
    unsigned place;      /* in `pattern` */
    unsigned idle_polls; /* since something was acknowledged */
};

static int pattern_init(void)
{
    char *out = pattern = malloc(PATTERN_SIZE);
    if (pattern == NULL)
        return -ENOMEM;
    for (unsigned line = 0; line < CHARACTERS * REPEATS; line++) {
        for (unsigned i = 0; i < LINE_CHARACTERS; i++)
            *out++ = (char)(FIRST_CHARACTER + (line + i) % CHARACTERS);
        *out++ = '\r';
        *out++ = '\n';
    }
    return 0;
}

/* Fills the send buffer. */
static void chargen_send(struct chargen *chargen, struct tcp_pcb *pcb)
{
    size_t room;
    while ((room = service_room(pcb)) > 0) {
        size_t len = PATTERN_SIZE - chargen->place;
        if (len > room)
            len = room;
        if (tcp_write(pcb, pattern + chargen->place, (uint16_t)len, 0) != ERR_OK)
            return;
        chargen->place = (unsigned)((chargen->place + len) % PATTERN_SIZE);
    }
}

static err_t chargen_sent(void *arg, struct tcp_pcb *pcb, uint16_t len)
{
    struct chargen *chargen = arg;
    (void)len;
    chargen->idle_polls = 0;
    if (service_room(pcb) >= tcp_mss(pcb))
        chargen_send(chargen, pcb);
    return ERR_OK;
}

static err_t chargen_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    (void)error;
    if (p != NULL) {
        tcp_recved(pcb, p->tot_len);
        pbuf_free(p);
        return ERR_OK;
    }
    free(arg);
    service_left();
    return service_close(pcb);
}

static err_t chargen_poll(void *arg, struct tcp_pcb *pcb)
{
    struct chargen *chargen = arg;
    if (++chargen->idle_polls > SERVICE_POLLS_MAX) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    chargen_send(chargen, pcb);
    return ERR_OK;
}

/* The connection is gone already. */
static void chargen_failed(void *arg, err_t error)
{
    (void)error;
    free(arg);
    service_left();
}

static err_t chargen_accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    struct chargen *chargen = calloc(1, sizeof(*chargen));
    if (chargen == NULL)
        return ERR_MEM;
    service_joined();
    service_probe(pcb);
    tcp_arg(pcb, chargen);
    tcp_recv(pcb, chargen_received);
    tcp_sent(pcb, chargen_sent);
    tcp_err(pcb, chargen_failed);
    tcp_poll(pcb, chargen_poll, SERVICE_POLL_INTERVAL);
    chargen_send(chargen, pcb);
    return ERR_OK;
}

static void chargen_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *peer,
                             uint16_t port)
{
    (void)arg;
    pbuf_free(p);
    uint64_t random = platform_random();
    uint16_t len = (uint16_t)(random % (DATAGRAM_MAX + 1));
    struct pbuf *answer = pbuf_alloc(PBUF_TRANSPORT, len, PBUF_RAM);
    if (answer == NULL)
        return;
    pbuf_take(answer, pattern + (random >> 32) % CHARACTERS * LINE_SIZE, len);
    service_reply(pcb, answer, peer, port);
    pbuf_free(answer);
}

/* ---- over vsock ---- */

static void chargen_vsock_send(void *arg, struct vsock_connection *connection)
{
    struct chargen *chargen = arg;
    size_t len;
    ssize_t n;
    do {
        len = PATTERN_SIZE - chargen->place;
        n = vsock_send(connection, pattern + chargen->place, len);
        if (n > 0)
            chargen->place = (unsigned)((chargen->place + (size_t)n) % PATTERN_SIZE);
    } while (n == (ssize_t)len);
}

static void chargen_vsock_ended(void *arg, struct vsock_connection *connection, int error)
{
    free(arg);
    service_vsock_ended(NULL, connection, error);
}

static void chargen_vsock_received(void *arg, struct vsock_connection *connection)
{
    vsock_consume(connection, vsock_readable(connection));
    if (vsock_is_at_end(connection))
        chargen_vsock_ended(arg, connection, 0);
}

static int chargen_vsock_accepted(void *arg, struct vsock_connection *connection)
{
    static const struct vsock_callbacks callbacks = {.readable = chargen_vsock_received,
                                                     .writable = chargen_vsock_send,
                                                     .ended = chargen_vsock_ended};
    struct chargen *chargen = calloc(1, sizeof(*chargen));
    (void)arg;
    if (chargen == NULL)
        return -ENOMEM;
    vsock_set_callbacks(connection, &callbacks, chargen);
    vsock_can_send(connection); /* not yet; it will be told */
    return 0;
}

static int chargen_start(void)
{
    int error = pattern_init();
    if (error == 0)
        error = service_listen(CHARGEN_PORT, chargen_accepted);
    if (error == 0)
        error = service_bind_udp(CHARGEN_PORT, chargen_datagram);
    return error != 0 ? error
                      : vsock_listen(CHARGEN_PORT, VSOCK_TYPE_STREAM, chargen_vsock_accepted, NULL);
}

const struct service chargen_service = {"chargen", CHARGEN_PORT, chargen_start};
