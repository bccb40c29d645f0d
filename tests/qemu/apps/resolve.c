/*
 * resolve.c - asks the name server for the address of each argument, and prints what came of it.
 *
 * Owns nothing. For test_net.py: an application's way to lwIP's resolver (lwip/dns.h).
 */
#include <stdio.h>

#include "lwip/dns.h"
#include "lwip/netif.h"

#include "loop.h"
#include "platform.h"

#define LIMIT_NS 20000000000u

static int unanswered;

static void found(const char *name, const ip_addr_t *address, void *arg)
{
    (void)arg;
    printf("resolve: %s is %s\n", name, address ? ipaddr_ntoa(address) : "unknown");
    unanswered--;
}

static void ask(const char *name)
{
    ip_addr_t address;
    err_t error = dns_gethostbyname(name, &address, found, NULL);

    unanswered++;
    if (error == ERR_OK)
        found(name, &address, NULL);
    else if (error != ERR_INPROGRESS)
        found(name, NULL, NULL);
}

/* One turn, and a sleep that ends soon enough to look at the clock. */
static void turn(void)
{
    if (loop_turn() == 0)
        platform_wait(platform_now_ns() + 1000000);
}

int app_main(int argc, char **argv)
{
    uint64_t end_ns = platform_now_ns() + LIMIT_NS;

    while (ip4_addr_isany(netif_ip4_addr(netif_default)) && platform_now_ns() < end_ns)
        turn();
    for (int i = 1; i < argc; i++)
        ask(argv[i]);
    while (unanswered > 0 && platform_now_ns() < end_ns)
        turn();
    return unanswered > 0;
}
