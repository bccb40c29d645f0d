/*
 * frame_cut.h - the headers of the segments that a large TCP frame is cut into, for a NIC that does
 * not cut, and of the datagrams that a NIC has put into one large UDP frame.
 *
 * Pure functions over bytes, like frame.h. Who carries the payload is lwip_transmit.c's business.
 * RFC 791, RFC 8200, RFC 9293.
 */
#ifndef FERRULE_NET_FRAME_CUT_H
#define FERRULE_NET_FRAME_CUT_H

#include "net/frame.h"

/* Bytes of header that frame_find_transport()'s TCP frame has, options and all; 0: it has not even
 * those. */
unsigned frame_tcp_header_len(const void *frame, size_t len,
                              const struct frame_transport *transport);

/* Does the TCP header have the CWR flag (RFC 3168), which only the first segment may keep? */
bool frame_tcp_has_cwr(const void *frame, const struct frame_transport *transport);

struct frame_cut {
    unsigned number;  /* of the segment, from 0 */
    uint32_t at;      /* where its payload starts in the large frame's */
    uint16_t payload; /* bytes */
    bool last;
};

/*
 * Turns a copy of the large frame's headers into those of one segment: lengths, identification, IP
 * checksum, and TCP's sequence number and flags or UDP's length. *transport gets the segment's length;
 * the checksum field of TCP or UDP is zero and left to the caller.
 */
void frame_cut_headers(void *headers, unsigned header_len, struct frame_transport *transport,
                       const struct frame_cut *cut);

/* Continues a sum of frame_checksum() over a part that has an odd number of bytes before it, or
 * not. */
uint32_t frame_sum_add(uint32_t sum, const void *data, unsigned len, bool odd);

/* The checksum for the field: folded and complemented, as stored in memory. */
uint16_t frame_sum_finish(uint32_t sum);

#endif
