/*
 * main.c - the web server: serves the files of the first disk over HTTP.
 *
 * The application in ferrule.elf. lwIP's own httpd speaks HTTP; content.c gives it files. Words of
 * the kernel command line: `port=` (default 80) and `url=`, the address by which the machine's
 * owner reaches it, when that is another one than its own (a forwarded port); `services=`, the small
 * services that run beside it (services/services.h). Read content.c next.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lwip/apps/httpd.h"
#include "lwip/netif.h"
#include "lwip/timeouts.h"

#include "cmdline.h"
#include "log.h"
#include "loop.h"
#include "platform.h"
#include "services/services.h"

#define DEFAULT_PORT 80

unsigned short httpd_port = DEFAULT_PORT; /* lwipopts.h: where lwIP's httpd listens */

static char url[256];
static netif_ext_callback_t callback;

static void read_port(void)
{
    char text[16], *end;
    if (!cmdline_get(platform_cmdline(), "port", text, sizeof(text)))
        return;
    long port = strtol(text, &end, 10);
    if (*text != '\0' && *end == '\0' && port >= 1 && port <= 65535)
        httpd_port = (unsigned short)port;
    else
        log_error("httpd: port=%s is not a port, using %u", text, httpd_port);
}

static void start_services(void)
{
    char names[64];
    if (cmdline_get(platform_cmdline(), "services", names, sizeof(names)))
        services_start(names);
}

/* Is there an address that somebody else can reach? Then its URL is in `out`. */
static bool own_url(char *out, size_t size)
{
    const struct netif *netif;
    char port[8] = "";
    if (httpd_port != DEFAULT_PORT)
        snprintf(port, sizeof(port), ":%u", httpd_port);
    NETIF_FOREACH(netif)
    {
        if ((netif->flags & NETIF_FLAG_ETHERNET) == 0)
            continue;
        if (!ip4_addr_isany(netif_ip4_addr(netif))) {
            snprintf(out, size, "http://%s%s/", ip4addr_ntoa(netif_ip4_addr(netif)), port);
            return true;
        }
        for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
            const ip6_addr_t *address = netif_ip6_addr(netif, i);
            if (ip6_addr_ispreferred(netif_ip6_addr_state(netif, i)) &&
                !ip6_addr_islinklocal(address)) {
                snprintf(out, size, "http://[%s]%s/", ip6addr_ntoa(address), port);
                return true;
            }
        }
    }
    return false;
}

/* Says where the server can be reached, if there is an address by now. */
static void announce(void *arg)
{
    char own[80];
    (void)arg;
    if (!own_url(own, sizeof(own)))
        return;
    netif_remove_ext_callback(&callback); /* once is enough */
    printf("ready: %s\n", url[0] != '\0' ? url : own);
    fflush(stdout);
}

static void on_change(struct netif *netif, netif_nsc_reason_t reason,
                      const netif_ext_callback_args_t *args)
{
    (void)netif;
    (void)reason;
    (void)args;
    /* After the log line about the address, which is written by another callback of this event. */
    sys_untimeout(announce, NULL);
    sys_timeout(0, announce, NULL);
}

static bool has_interface(void)
{
    const struct netif *netif;
    NETIF_FOREACH(netif)
    {
        if ((netif->flags & NETIF_FLAG_ETHERNET) != 0)
            return true;
    }
    return false;
}

int app_main(int argc, char **argv)
{
    struct stat root;
    (void)argc;
    (void)argv;

    read_port();
    cmdline_get(platform_cmdline(), "url", url, sizeof(url));
    if (stat("/", &root) != 0)
        log_warn("httpd: no file system; every request gets a page that says so");
    if (!has_interface())
        log_error("httpd: no network interface, so nobody can reach the server");
    httpd_init();
    start_services();
    netif_add_ext_callback(&callback, on_change);
    announce(NULL);
    return loop_run();
}
