/*
 * lwip_port.h - the machine's side of lwIP besides its network interfaces: memory, time,
 * diagnostics.
 */
#ifndef FERRULE_NET_LWIP_PORT_H
#define FERRULE_NET_LWIP_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

/* Before lwip_init(): sets the memory limit and draws the key of the initial sequence numbers. */
void lwip_port_init(void);

struct lwip_port_stats {
    size_t limit, used, peak; /* bytes of the C heap that lwIP may have, has, had at most */
    uint64_t refused;         /* requests beyond the limit, or for which the heap had no memory */
    uint64_t errors;          /* bad calls and the like that lwIP reported (LWIP_ERROR) */
};
const struct lwip_port_stats *lwip_port_stats(void);

/* lwIP's timers (net/lwip_timers.c). Has one of them something to do now, as far as is known? */
bool lwip_timers_due(void);

/* Until when, on platform_now_ns()'s clock, the machine may sleep for all that lwIP's timers have to
 * do. Looks at lwIP's state only when something has happened to it, and then not every time. */
uint64_t lwip_timers_sleep_end(void);

/* lwIP's place in the event loop (net/lwip_stack.c), asleep until its timers have to be looked at. */
extern struct loop_source lwip_source;

/* Something happens to lwIP that may give its timers something to do: whoever hands it packets or
 * takes them from it says so. */
extern bool lwip_touched;
static inline void lwip_touch(void)
{
    if (!lwip_touched) {
        lwip_touched = true;
        loop_wake(&lwip_source);
    }
}

#endif
