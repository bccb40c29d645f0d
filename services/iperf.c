/*
 * iperf.c - the server side of iperf 2 over TCP (port 5001), which is lwIP's own.
 *
 * Each test that ends is a line in the log.
 */
#include <errno.h>

#include "lwip/apps/lwiperf.h"

#include "log.h"
#include "services/service.h"

static void report(void *arg, enum lwiperf_report_type type, const ip_addr_t *local_ip,
                   u16_t local_port, const ip_addr_t *peer_ip, u16_t peer_port, u32_t bytes,
                   u32_t duration_ms, u32_t kbit_per_s)
{
    (void)arg;
    (void)local_ip;
    (void)local_port;
    log_info("iperf: %s port %u: %u bytes in %u ms, %u kbit/s%s", ipaddr_ntoa(peer_ip), peer_port,
             (unsigned)bytes, (unsigned)duration_ms, (unsigned)kbit_per_s,
             type == LWIPERF_TCP_DONE_SERVER || type == LWIPERF_TCP_DONE_CLIENT ? "" : ", aborted");
}

static int iperf_start(void)
{
    return lwiperf_start_tcp_server_default(report, NULL) != NULL ? 0 : -EADDRINUSE;
}

const struct service iperf_service = {"iperf", LWIPERF_TCP_PORT_DEFAULT, iperf_start};
