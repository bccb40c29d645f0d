/*
 * lwip_segments.h - segmentation offload for lwIP: TCP hands whole runs of segments down as one
 * packet. See lwip_segments.c.
 */
#ifndef FERRULE_NET_LWIP_SEGMENTS_H
#define FERRULE_NET_LWIP_SEGMENTS_H

#include <stdint.h>

/*
 * While TCP is sending: the payload of a segment on the connection in question, at most; while a row
 * of datagrams is sent (lwip_datagrams.c), that of each. 0 at any other time.
 */
uint16_t segments_size(void);

/* No packet may stand for more segments than this. The least that anybody asked for holds. */
void segments_limit(unsigned most);

/* Makes it another one; returns the one before. */
uint16_t segments_mark(uint16_t size);

#endif
