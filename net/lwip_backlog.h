/*
 * lwip_backlog.h - half-open connections make room for new ones.
 */
#ifndef FERRULE_NET_LWIP_BACKLOG_H
#define FERRULE_NET_LWIP_BACKLOG_H

#include <stdint.h>

/* Connections that were given up before their handshake was complete, to make room. */
uint64_t backlog_given_up(void);

#endif
