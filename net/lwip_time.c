/*
 * lwip_time.c - the wall clock by SNTP (RFC 4330, lwIP's client): `ntp=SERVER` or `ntp=dhcp`.
 *
 * Owns the word and the change between NTP's time and the platform's. Without the word nothing is
 * asked, and the machine's own clock counts.
 */
#include "net/lwip_ports.h"

#include <inttypes.h>
#include <string.h>

#include "lwip/apps/sntp.h"

#include "cmdline.h"
#include "log.h"
#include "platform.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* NTP's time as lwIP has it counts seconds from the start of era 1, 2036-02-07 06:28:16 UTC. */
#define ERA_1_S INT64_C(2085978496)

static char server[256];

void lwip_time_set(int seconds, unsigned fraction)
{
    int64_t wall_ns = (seconds + ERA_1_S) * NS_PER_S + (int64_t)(fraction * NS_PER_S >> 32);
    if (wall_ns <= 0) {
        log_warn("ntp: the server's time is before 1970, ignored");
        return;
    }
    int64_t moved_ns = wall_ns - (int64_t)platform_wall_ns();
    platform_set_wall_ns((uint64_t)wall_ns);
    log_info("ntp: the wall clock is %" PRId64 " s after 1970, moved by %" PRId64 " ms",
             wall_ns / NS_PER_S, moved_ns / NS_PER_MS);
}

void lwip_time_get(int *seconds, unsigned *fraction)
{
    int64_t wall_ns = (int64_t)platform_wall_ns();
    *seconds = (int)(wall_ns / NS_PER_S - ERA_1_S);
    *fraction = (unsigned)(((uint64_t)(wall_ns % NS_PER_S) << 32) / (uint64_t)NS_PER_S);
}

void lwip_time_start(void)
{
    if (!cmdline_get(platform_cmdline(), "ntp", server, sizeof(server)) || server[0] == '\0')
        return;
    if (strcmp(server, "dhcp") == 0)
        sntp_servermode_dhcp(1);
    else
        sntp_setservername(0, server);
    sntp_init();
}
