/*
 * lwip_timewait.h - a connection in TIME-WAIT makes room for a new one between the same ports.
 */
#ifndef FERRULE_NET_LWIP_TIMEWAIT_H
#define FERRULE_NET_LWIP_TIMEWAIT_H

#include <stdbool.h>

#include "net/frame.h"

/* Ends the TIME-WAIT state that stands in the way of this SYN, if it may be ended (RFC
 * 1122, 4.2.2.13). True when one was. */
bool timewait_reuse(const struct frame_syn *syn);

#endif
