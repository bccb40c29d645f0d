/*
 * services.c - starts the small services by name, and what they share.
 *
 * Owns the table of services. Read echo.c next.
 */
#include "services/services.h"

#include <errno.h>
#include <string.h>

#include "lwip/ip.h"

#include "log.h"
#include "services/service.h"

/* Half a minute of silence, then probes, a second apart. */
#define KEEP_IDLE_MS 30000u
#define KEEP_INTERVAL_MS 1000u
#define KEEP_PROBES 10u

/*
 * Segments that wait for an acknowledgement share lwIP's pool of pbufs. Writers may queue this many
 * together, and the next one always two: even a full house of readers that have all stopped leaves
 * some.
 */
#define SHARED_SEGMENTS (MEMP_NUM_PBUF / 8)
#define LEAST_SEGMENTS 2

static unsigned writers;

static const struct service *const services[] = {
    &echo_service,  &discard_service, &chargen_service, &blk_load_service,
    &iperf_service, &tftp_service,    &snmp_service,    &mqtt_service,
};
#define SERVICES (sizeof(services) / sizeof(services[0]))

const char services_all[] = "echo,discard,chargen";

static int start_one(const char *name, size_t len)
{
    for (size_t i = 0; i < SERVICES; i++) {
        const struct service *service = services[i];
        if (strlen(service->name) != len || memcmp(service->name, name, len) != 0)
            continue;
        int error = service->start();
        if (error == 0)
            log_info("services: %s on port %u", service->name, service->port);
        else if (error != -EINVAL) /* else the service has said what is wrong */
            log_error("services: %s cannot have port %u: %s", service->name, service->port,
                      error == -ENOMEM ? "no memory" : "it is taken");
        return error;
    }
    log_error("services: %.*s is none of %s,blk,iperf,tftp,snmp,mqtt", (int)len, name,
              services_all);
    return -EINVAL;
}

int services_start(const char *names)
{
    int first_error = 0;
    while (*names != '\0') {
        size_t len = strcspn(names, ",");
        int error = len > 0 ? start_one(names, len) : 0;
        if (first_error == 0)
            first_error = error;
        names += len;
        names += *names == ',';
    }
    return first_error;
}

int service_listen(uint16_t port, tcp_accept_fn accept)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
    if (pcb == NULL)
        return -ENOMEM;
    if (tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
        tcp_close(pcb);
        return -EADDRINUSE;
    }
    struct tcp_pcb *listener = tcp_listen(pcb);
    if (listener == NULL) {
        tcp_close(pcb);
        return -ENOMEM;
    }
    tcp_accept(listener, accept);
    return 0;
}

int service_bind_udp(uint16_t port, udp_recv_fn received)
{
    struct udp_pcb *pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
    if (pcb == NULL)
        return -ENOMEM;
    if (udp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
        udp_remove(pcb);
        return -EADDRINUSE;
    }
    udp_recv(pcb, received, NULL);
    return 0;
}

static bool may_answer(uint16_t peer_port)
{
    if (peer_port == 0)
        return false;
    for (size_t i = 0; i < SERVICES; i++) {
        if (services[i]->port == peer_port)
            return false;
    }
    return true;
}

void service_reply(struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *peer, uint16_t port)
{
    const ip_addr_t *own = ip_current_dest_addr();
    if (ip_addr_ismulticast(own) || ip_addr_isbroadcast(own, ip_current_netif()) ||
        !may_answer(port))
        return;
    udp_sendto_if_src(pcb, p, peer, port, ip_current_netif(), own);
}

void service_probe(struct tcp_pcb *pcb)
{
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = KEEP_IDLE_MS;
    pcb->keep_intvl = KEEP_INTERVAL_MS;
    pcb->keep_cnt = KEEP_PROBES;
}

void service_joined(void)
{
    writers++;
}

void service_left(void)
{
    writers--;
}

uint16_t service_room(struct tcp_pcb *pcb)
{
    uint32_t segments = SHARED_SEGMENTS / writers;
    if (segments < LEAST_SEGMENTS)
        segments = LEAST_SEGMENTS;
    uint32_t share = segments * tcp_mss(pcb), queued = TCP_SND_BUF - pcb->snd_buf;
    uint32_t room = share > queued ? share - queued : 0;
    return room < tcp_sndbuf(pcb) ? (uint16_t)room : tcp_sndbuf(pcb);
}

err_t service_close(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    if (tcp_close(pcb) == ERR_OK)
        return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
}

void service_vsock_ended(void *arg, struct vsock_connection *connection, int error)
{
    (void)arg;
    (void)error;
    vsock_close(connection, false);
}
