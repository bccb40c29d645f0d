/*
 * lwip_stack.c - the life of the TCP/IP stack: start, timers, orderly end, report.
 *
 * Owns the list of ports and lwIP's place in the event loop. Frames are in lwip_netif.c, addresses
 * in lwip_addresses.c.
 */
#include "net/lwip_netif.h"

#include <string.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/timeouts.h"

#include "log.h"
#include "net/lwip_backlog.h"
#include "net/lwip_neighbours.h"
#include "net/lwip_path_mtu.h"
#include "net/lwip_port.h"
#include "net/lwip_ports.h"
#include "net/lwip_recovery.h"
#include "platform.h"

#define NS_PER_MS 1000000u

/* How long after boot an address may be waited for. */
#define START_NS (10000u * (uint64_t)NS_PER_MS)

static struct port *ports;

/* ---- lwIP's timers and its loopback interface, as a source of the loop ---- */

static bool loopback_pending(void)
{
    const struct netif *netif;
    NETIF_FOREACH(netif)
    {
        if (netif->loop_first != NULL)
            return true;
    }
    return false;
}

static unsigned stack_poll(void *arg, unsigned budget)
{
    unsigned done = 0;
    (void)arg;
    (void)budget; /* each round handles what was due when it began */
    if (lwip_timers_due()) {
        sys_check_timeouts();
        done++;
    }
    if (loopback_pending()) {
        lwip_touch();
        netif_poll_all();
        done++;
    }
    return done;
}

static bool stack_arm(void *arg)
{
    (void)arg;
    loop_sleep(&lwip_source);
    return !loopback_pending();
}

static uint64_t stack_deadline(void *arg)
{
    (void)arg;
    return lwip_timers_sleep_end();
}

struct loop_source lwip_source = {
    .name = "lwip",
    .poll = stack_poll,
    .arm = stack_arm,
    .arm_finds_all = true,
    .deadline = stack_deadline,
};

/* lwIP's loopback interface, and any interface for packets to itself. */
err_t __real_netif_loop_output(struct netif *netif, struct pbuf *p);
err_t __wrap_netif_loop_output(struct netif *netif, struct pbuf *p);

err_t __wrap_netif_loop_output(struct netif *netif, struct pbuf *p)
{
    loop_wake(&lwip_source);
    return __real_netif_loop_output(netif, p);
}

/* lwIP's own are out of the linker's reach. */
static err_t loopback_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *destination)
{
    (void)destination;
    return netif_loop_output(netif, p);
}

static err_t loopback_output_ip6(struct netif *netif, struct pbuf *p, const ip6_addr_t *destination)
{
    (void)destination;
    return netif_loop_output(netif, p);
}

static void watch_loopback(void)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        netif->output = loopback_output;
        netif->output_ip6 = loopback_output_ip6;
    }
}

/* ---- start ---- */

/* How good is the way to strangers? */
static unsigned worth_of(const struct port *port)
{
    const struct netif *netif = &port->netif;
    if (!netif_is_up(netif) || !netif_is_link_up(netif) || ip4_addr_isany(netif_ip4_addr(netif)))
        return 0;
    return ip4_addr_isany(netif_ip4_gw(netif)) ? 1 : 2;
}

void port_choose_default(void)
{
    struct port *best = ports;
    for (struct port *port = ports; port != NULL; port = port->next)
        if (worth_of(port) > worth_of(best))
            best = port;
    if (best != NULL && netif_default != &best->netif)
        netif_set_default(&best->netif);
}

static void list_port(struct port *port)
{
    struct port **tail = &ports;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = port;
    port_take_addresses(port);
    port_choose_default();
}

static void add_vlans(struct port *base)
{
    char complaint[200];
    uint16_t vlan[NET_CONFIG_VLANS];
    unsigned vlans;
    if (net_config_vlans(platform_cmdline(), base->name, vlan, &vlans, complaint,
                         sizeof(complaint)) != 0)
        log_error("%s: %s", base->name, complaint);
    for (unsigned i = 0; i < vlans; i++) {
        struct port *port = port_create_vlan(base, vlan[i]);
        if (port != NULL)
            list_port(port);
    }
}

/* At start, or when a NIC was plugged in. */
static void add_port(struct nic *nic)
{
    struct port *port = port_create(nic);
    if (port == NULL)
        return;
    list_port(port);
    add_vlans(port);
}

void port_unlist(struct port *port)
{
    struct port **link = &ports;
    while (*link != NULL && *link != port)
        link = &(*link)->next;
    if (*link != NULL)
        *link = port->next;
    port_choose_default(); /* lwIP forgets one that goes */
}

unsigned net_init(void)
{
    unsigned count = 0;
    struct nic *nic;

    lwip_port_init();
    lwip_init();
    watch_loopback();
    loop_add(&lwip_source); /* before the NICs, so that their poll sends what timers queued */
    port_watch_addresses();
    for (unsigned i = 0; (nic = nic_at(i)) != NULL; i++)
        add_port(nic);
    nic_watch(add_port);
    lwip_time_start();
    if (nic_at(0) == NULL)
        log_warn("net: no network device");
    for (const struct port *port = ports; port != NULL; port = port->next)
        count++;
    return count;
}

bool net_is_starting(void)
{
    if (platform_now_ns() >= START_NS)
        return false;
    for (const struct port *port = ports; port != NULL; port = port->next) {
        if (port->config.ipv4 == NET_CONFIG_AUTO && netif_is_link_up(&port->netif) &&
            ip4_addr_isany(netif_ip4_addr(&port->netif)))
            return true;
    }
    return false;
}

const char *net_interface_name(const struct netif *netif)
{
    for (const struct port *port = ports; port != NULL; port = port->next)
        if (&port->netif == netif)
            return port->name;
    return (netif->flags & NETIF_FLAG_ETHERNET) == 0 ? "lo" : NULL;
}

struct netif *net_interface(const char *name)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        const char *own = net_interface_name(netif);
        if (own != NULL && strcmp(own, name) == 0)
            return netif;
    }
    return NULL;
}

/* ---- end ---- */

/* Takes a connection from its application, which is gone, and closes it as far as that can be done
 * politely. */
static void close_connection(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    if (tcp_close(pcb) != ERR_OK)
        tcp_abort(pcb);
}

static void close_all(void)
{
    while (tcp_listen_pcbs.listen_pcbs != NULL)
        tcp_close((struct tcp_pcb *)tcp_listen_pcbs.listen_pcbs);
    /* Closing may take any connection off the list, so the walk starts anew after each one. */
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL;) {
        bool open = pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT ||
                    pcb->state == SYN_SENT || pcb->state == SYN_RCVD;
        /* TF_CLOSEPEND: no memory for the FIN now, lwIP's timer tries again. */
        if (open && (pcb->flags & TF_CLOSEPEND) == 0) {
            close_connection(pcb);
            pcb = tcp_active_pcbs;
        } else {
            pcb = pcb->next;
        }
    }
}

static void run_until(uint64_t deadline_ns, bool connections)
{
    do {
        if (loop_turn() == 0) {
            uint64_t pause = platform_now_ns() + NS_PER_MS;
            platform_wait(pause < deadline_ns ? pause : deadline_ns);
        }
    } while ((!connections || tcp_active_pcbs != NULL) && platform_now_ns() < deadline_ns);
}

void net_shutdown(void)
{
    if (ports == NULL)
        return;
    close_all();
    run_until(platform_now_ns() + NET_SHUTDOWN_MS * (uint64_t)NS_PER_MS, true);
    while (tcp_active_pcbs != NULL)
        tcp_abort(tcp_active_pcbs);
    for (struct port *port = ports; port != NULL; port = port->next)
        port_release_addresses(port);
    run_until(platform_now_ns() + NS_PER_MS, false); /* the last frames leave */
    for (struct port *port = ports; port != NULL; port = port->next) {
        if (port->base == port)
            loop_remove(&port->source);
        netif_set_down(&port->netif);
    }
    loop_remove(&lwip_source);
}

int net_set_large_receive(const char *name, bool on)
{
    for (const struct port *port = ports; port != NULL; port = port->next)
        if (port->base == port && strcmp(port->name, name) == 0)
            return nic_set_large_receive(port->nic, on);
    return -ENODEV;
}

/* ---- report ---- */

static void print_port(const struct port *port)
{
    const struct nic_stats *nic = &port->nic->stats;
    log_info(
        "%s: received %llu frames (%llu large), %llu bytes, dropped %llu by the driver, %llu for no "
        "memory, copied %llu; buffers %u, with the device %u",
        port->name, (unsigned long long)nic->rx_frames, (unsigned long long)nic->rx_large,
        (unsigned long long)nic->rx_bytes, (unsigned long long)nic->rx_dropped,
        (unsigned long long)port->rx_dropped, (unsigned long long)port->rx_copied, port->rx_buffers,
        port->rx_lent);
    log_info(
        "%s: sent %llu frames (%llu large, %llu cut here), %llu bytes, refused %llu times for a "
        "full queue, copied %llu; connections in TIME-WAIT replaced %llu",
        port->name, (unsigned long long)nic->tx_frames, (unsigned long long)nic->tx_large,
        (unsigned long long)port->tx_cut, (unsigned long long)nic->tx_bytes,
        (unsigned long long)port->tx_refused, (unsigned long long)port->tx_copied,
        (unsigned long long)port->time_wait_reused);
    if (port->nic->pairs > 1)
        log_info("%s: %u queue pairs, by another one than their hash says %llu frames", port->name,
                 port->nic->pairs, (unsigned long long)nic->rx_astray);
}

void net_print_report(void)
{
    const struct lwip_port_stats *heap = lwip_port_stats();
    for (const struct port *port = ports; port != NULL; port = port->next)
        if (port->base == port)
            print_port(port);
    log_info("lwip: heap %zu bytes, at most %zu of %zu, refused %llu; errors reported %llu",
             heap->used, heap->peak, heap->limit, (unsigned long long)heap->refused,
             (unsigned long long)heap->errors);
    log_info(
        "lwip: tcp received %lu sent %lu bad checksums %lu dropped %lu no memory %lu, half-open "
        "connections given up %llu, packets to unknown neighbours refused %llu, narrow paths learned "
        "%llu and not believed %llu",
        (unsigned long)lwip_stats.tcp.recv, (unsigned long)lwip_stats.tcp.xmit,
        (unsigned long)lwip_stats.tcp.chkerr, (unsigned long)lwip_stats.tcp.drop,
        (unsigned long)lwip_stats.tcp.memerr, (unsigned long long)backlog_given_up(),
        (unsigned long long)neighbours_refused(), (unsigned long long)path_mtu_learned(),
        (unsigned long long)path_mtu_refused());
    const struct recovery_stats *lost = recovery_stats();
    log_info(
        "lwip: tcp losses recovered from %llu, segments sent again for them %llu, time-outs %llu",
        (unsigned long long)lost->recoveries, (unsigned long long)lost->segments,
        (unsigned long long)lost->timeouts);
}
