/*
 * service.h - what one small service is, and what they share: listening, and an end for peers that
 * stall.
 *
 * Private to services/. A new service is one more file with a struct service, and a line in
 * services.c. All callbacks are lwIP's and run in the event loop. Read echo.c next.
 */
#ifndef FERRULE_SERVICES_SERVICE_H
#define FERRULE_SERVICES_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "vsock/vsock.h"

struct service {
    const char *name;
    uint16_t port; /* for the log */
    int (*start)(void);
};

extern const struct service echo_service, discard_service, chargen_service, blk_load_service;
extern const struct service iperf_service, tftp_service, snmp_service, mqtt_service;

/* Listens on every address of both families. 0, -EADDRINUSE or -ENOMEM. */
int service_listen(uint16_t port, tcp_accept_fn accept);

/* Keep-alive probes for a new connection, so that a peer that vanished does not hold it for ever. */
void service_probe(struct tcp_pcb *pcb);

/* Receives datagrams of both families. Errors as above. */
int service_bind_udp(uint16_t port, udp_recv_fn received);

/*
 * Sends a reply from the address that the datagram at hand was sent to. None to a datagram that was
 * sent to a group, and none to the port of such a service: two of them would talk for ever.
 */
void service_reply(struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *peer, uint16_t port);

/*
 * How often lwIP calls tcp_poll()'s function, in units of half a second, and how many such calls
 * without progress a connection survives while something is to be sent.
 */
#define SERVICE_POLL_INTERVAL 4
#define SERVICE_POLLS_MAX 60

/*
 * A fair share of lwIP's pools: how many bytes may be written to the connection now. Readers that
 * are slow keep what is sent to them in those pools, and however many they are, others must find
 * room. Called before and after for each connection that writes: service_joined(), service_left().
 */
uint16_t service_room(struct tcp_pcb *pcb);
void service_joined(void);
void service_left(void);

/*
 * The orderly end of a connection: what was written is still sent, and no callback comes any more.
 * Returns what the callback that calls it must return.
 */
err_t service_close(struct tcp_pcb *pcb);

/* For struct vsock_callbacks: lets go of a connection that is over. */
void service_vsock_ended(void *arg, struct vsock_connection *connection, int error);

#endif
