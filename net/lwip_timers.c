/*
 * lwip_timers.c - lwIP's timers (lwip/timeouts.h), in the place of its own timeouts.c.
 *
 * lwIP runs eleven periodic timers all the time, whether or not there is anything to count down, and
 * each would wake an idle machine. Here a timer whose state says that it has nothing to do sleeps,
 * and those of one period run at the same moment. TCP's, which is the fastest, counts time that has
 * been slept through afterwards when no connection waits for anything. Owns them and the single timeouts
 * that applications ask for. Read lwip_stack.c next, which calls this from the event loop.
 */
#include "lwip/timeouts.h"

#include <stdbool.h>
#include <stddef.h>

#include "lwip/dhcp.h"
#include "lwip/dhcp6.h"
#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#include "log.h"
#include "net/lwip_port.h"
#include "platform.h"

#define NS_PER_MS 1000000u
#define TIMEOUTS_MAX 64u
#define PERIODICS (sizeof(periodics) / sizeof(periodics[0]))

struct timeout {
    struct timeout *next;
    u32_t due_ms;
    sys_timeout_handler handler; /* NULL: free */
    void *arg;
};

struct periodic {
    u32_t interval_ms;
    lwip_cyclic_timer_handler handler;
    bool runs;
    u32_t due_ms;
};

static struct timeout timeouts[TIMEOUTS_MAX];
static struct timeout *first; /* the one that is due first */

/* How long TCP's timer may sleep while it only counts what takes seconds. */
#define TCP_SLEEP_MS 500u

/* lwIP's users count on calls of tcp_poll()'s function in units of half a second. */
#define TICKS_PER_POLL (500u / (2 * TCP_TMR_INTERVAL))

/* ---- which periodic timers have something to do ---- */

/* What some timer counts down, by the order of `periodics`; the others always run. */
enum { TCP, DHCP, DHCP6, IGMP, MLD6, CONDITIONAL };

/* Whether a tick may let a connection do anything soon: send again, probe, acknowledge, hand on. */
static bool tcp_is_urgent(void)
{
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->rtime >= 0 || pcb->persist_backoff > 0 || pcb->unsent != NULL ||
            pcb->refused_data != NULL ||
            (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND)) != 0)
            return true;
    return false;
}

static unsigned needs_of(const struct netif *netif)
{
    const struct dhcp *dhcp = netif_dhcp_data(netif);
    const struct dhcp6 *dhcp6 = netif_dhcp6_data(netif);
    const struct igmp_group *group = netif_igmp_data(netif);
    const struct mld_group *group6 = netif_mld6_data(netif);
    unsigned needs = 0;
    if (dhcp != NULL && dhcp->request_timeout > 0)
        needs |= 1u << DHCP;
    if (dhcp6 != NULL && dhcp6->request_timeout > 0)
        needs |= 1u << DHCP6;
    for (; group != NULL; group = group->next)
        if (group->timer > 0)
            needs |= 1u << IGMP;
    for (; group6 != NULL; group6 = group6->next)
        if (group6->timer > 0)
            needs |= 1u << MLD6;
    return needs;
}

static unsigned all_needs(void)
{
    const struct netif *netif;
    unsigned needs = tcp_active_pcbs != NULL || tcp_tw_pcbs != NULL ? 1u << TCP : 0;
    NETIF_FOREACH(netif)
    {
        needs |= needs_of(netif);
    }
    return needs;
}

static struct periodic periodics[] = {
    [TCP] = {.interval_ms = TCP_TMR_INTERVAL, .handler = tcp_tmr},
    [DHCP] = {.interval_ms = DHCP_FINE_TIMER_MSECS, .handler = dhcp_fine_tmr},
    [DHCP6] = {.interval_ms = DHCP6_TIMER_MSECS, .handler = dhcp6_tmr},
    [IGMP] = {.interval_ms = IGMP_TMR_INTERVAL, .handler = igmp_tmr},
    [MLD6] = {.interval_ms = MLD6_TMR_INTERVAL, .handler = mld6_tmr},
    [CONDITIONAL] = {.interval_ms = IP_TMR_INTERVAL, .handler = ip_reass_tmr},
    {.interval_ms = ARP_TMR_INTERVAL, .handler = etharp_tmr},
    {.interval_ms = DHCP_COARSE_TIMER_MSECS, .handler = dhcp_coarse_tmr},
    {.interval_ms = DNS_TMR_INTERVAL, .handler = dns_tmr},
    {.interval_ms = ND6_TMR_INTERVAL, .handler = nd6_tmr},
    {.interval_ms = IP6_REASS_TMR_INTERVAL, .handler = ip6_reass_tmr},
};

#define TCP_TIMER (&periodics[TCP])

/* ---- when ---- */

/*
 * A machine that is woken again and again looks at lwIP's state so often at most: what begins then
 * is late by no more, which is little beside the shortest period. One more wake-up at the end tells.
 */
#define LOOK_MS 10u

/* When something is due at the earliest, as far as is known; until when the machine may sleep, which may
 * be longer; and when it was last looked for that. */
static u32_t earliest_ms, sleep_end_ms, looked_ms;

bool lwip_touched;

/* The machine has gone to sleep for longer than a tick of TCP. */
static bool tcp_sleeps;

static bool is_due(u32_t due_ms, u32_t now_ms)
{
    return (s32_t)(now_ms - due_ms) >= 0;
}

static void not_later(u32_t due_ms)
{
    if (is_due(due_ms, earliest_ms))
        earliest_ms = due_ms;
}

/* What the machine was to sleep for may be later than this. */
static void wake_by(u32_t due_ms)
{
    not_later(due_ms);
    if (!is_due(due_ms, sleep_end_ms))
        return;
    sleep_end_ms = due_ms;
    loop_wake(&lwip_source);
}

/* All timers of one period are due at its multiples, so that one wake-up serves them. */
static void start(struct periodic *timer, u32_t now_ms)
{
    timer->runs = true;
    timer->due_ms = now_ms - now_ms % timer->interval_ms + timer->interval_ms;
}

/* When the first of those is due that always run, since lwIP keeps to itself what they count down. */
static u32_t always_ms;

static void run_always(u32_t now_ms)
{
    always_ms = now_ms + DHCP_COARSE_TIMER_MSECS;
    for (struct periodic *timer = periodics + CONDITIONAL; timer < periodics + PERIODICS; timer++) {
        if (!timer->runs)
            start(timer, now_ms);
        if (is_due(timer->due_ms, always_ms))
            always_ms = timer->due_ms;
    }
}

/*
 * Starts the timers that have got something to do, stops those that have not, and looks who is next.
 * A machine that is awake serves TCP's ticks in time, so that what begins then begins at the right one.
 */
static void look(u32_t now_ms, bool asleep)
{
    unsigned needs = all_needs();
    earliest_ms = always_ms;
    if (first != NULL)
        not_later(first->due_ms);
    for (unsigned i = 0; i < CONDITIONAL; i++) {
        struct periodic *timer = &periodics[i];
        bool needed = needs >> i & 1;
        if (needed && !timer->runs)
            start(timer, now_ms);
        timer->runs = needed;
        if (needed && timer != TCP_TIMER)
            not_later(timer->due_ms);
    }
    tcp_sleeps = asleep && TCP_TIMER->runs && !tcp_is_urgent();
    if (tcp_sleeps)
        not_later(TCP_TIMER->due_ms - TCP_TIMER->due_ms % TCP_SLEEP_MS + TCP_SLEEP_MS);
    else if (TCP_TIMER->runs)
        not_later(TCP_TIMER->due_ms);
}

void sys_timeouts_init(void)
{
    u32_t now_ms = sys_now();
    run_always(now_ms);
    look(now_ms, false);
    lwip_touch();
}

bool lwip_timers_due(void)
{
    return is_due(earliest_ms, sys_now());
}

static void look_before_sleep(u32_t now_ms)
{
    lwip_touched = false;
    looked_ms = now_ms;
    look(now_ms, true);
    sleep_end_ms = earliest_ms;
    if (tcp_sleeps)
        not_later(TCP_TIMER->due_ms); /* for who is woken before */
}

/* The same moment each time as long as nothing changes, so that the machine's timer need not be set
 * again. */
uint64_t lwip_timers_sleep_end(void)
{
    uint64_t now_ns = platform_now_ns();
    u32_t now_ms = (u32_t)(now_ns / NS_PER_MS), end_ms = looked_ms + LOOK_MS;
    if (lwip_touched && is_due(end_ms, now_ms))
        look_before_sleep(now_ms);
    if (!lwip_touched || is_due(sleep_end_ms, end_ms))
        end_ms = sleep_end_ms;
    s32_t left_ms = (s32_t)(end_ms - now_ms);
    return left_ms > 0 ? (now_ns / NS_PER_MS + (u32_t)left_ms) * NS_PER_MS : now_ns;
}

/* Ticks that were missed because of a long turn of the loop are not made up for: what they would
 * have waited for may be there already. */
static void run_periodic(struct periodic *timer, u32_t now_ms)
{
    u32_t ticks = 1;
    if (timer == TCP_TIMER && tcp_sleeps)
        ticks += (now_ms - timer->due_ms) / timer->interval_ms;
    start(timer, now_ms);
    while (ticks-- > 0)
        timer->handler();
}

void sys_check_timeouts(void)
{
    u32_t now_ms = sys_now();
    for (struct periodic *timer = periodics; timer < periodics + PERIODICS; timer++)
        if (timer->runs && is_due(timer->due_ms, now_ms))
            run_periodic(timer, now_ms);
    while (first != NULL && is_due(first->due_ms, now_ms)) {
        struct timeout timeout = *first;
        first->handler = NULL;
        first = timeout.next;
        timeout.handler(timeout.arg);
    }
    run_always(now_ms);
    look(now_ms, false);
    sleep_end_ms = earliest_ms;
    lwip_touch();
}

/* A connection was added to a list. */
void tcp_timer_needed(void)
{
    if (TCP_TIMER->runs)
        return;
    start(TCP_TIMER, sys_now());
    wake_by(TCP_TIMER->due_ms);
}

void __real_tcp_poll(struct tcp_pcb *pcb, tcp_poll_fn poll, u8_t interval);

void __wrap_tcp_poll(struct tcp_pcb *pcb, tcp_poll_fn poll, u8_t interval)
{
    unsigned ticks = interval * TICKS_PER_POLL;
    __real_tcp_poll(pcb, poll, ticks < UINT8_MAX ? (u8_t)ticks : UINT8_MAX);
}

/* ---- single timeouts ---- */

void sys_timeout(u32_t msecs, sys_timeout_handler handler, void *arg)
{
    struct timeout *timeout = timeouts, **at = &first;
    while (timeout < timeouts + TIMEOUTS_MAX && timeout->handler != NULL)
        timeout++;
    if (timeout == timeouts + TIMEOUTS_MAX) {
        log_error("lwip: more than %u timeouts: one is lost", TIMEOUTS_MAX);
        return;
    }
    timeout->due_ms = sys_now() + msecs;
    timeout->handler = handler;
    timeout->arg = arg;
    /* Behind those that are due at the same moment. */
    while (*at != NULL && is_due((*at)->due_ms, timeout->due_ms))
        at = &(*at)->next;
    timeout->next = *at;
    *at = timeout;
    wake_by(timeout->due_ms);
}

void sys_untimeout(sys_timeout_handler handler, void *arg)
{
    for (struct timeout **at = &first; *at != NULL; at = &(*at)->next) {
        struct timeout *timeout = *at;
        if (timeout->handler == handler && timeout->arg == arg) {
            *at = timeout->next;
            timeout->handler = NULL;
            return;
        }
    }
}
