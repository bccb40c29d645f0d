/*
 * net_port.h - a user of the network driver that only counts: known frames out, and whatever comes
 * back compared with them.
 *
 * Owns receive buffers and frames in device memory. The device must send every frame back
 * (testpmd's loop, or a peer that does). Stands for the TCP/IP stack in native tests and
 * benchmarks. Read net/nic.h first.
 */
#ifndef FERRULE_TESTS_NATIVE_NET_PORT_H
#define FERRULE_TESTS_NATIVE_NET_PORT_H

#include <stdbool.h>
#include <stdint.h>

#define NET_PORT_SLOTS 256u
#define NET_PORT_FRAME_MIN 64u
#define NET_PORT_FRAME_MAX 1514u

struct net_port_counts {
    uint64_t submitted, sent; /* frames given to the driver, and given back by it */
    uint64_t received;        /* frames that are as they were sent, none twice */
    uint64_t wrong;           /* any others */
};

/* Takes the first NIC, lends it all buffers, and joins the event loop. False: there is none. */
bool net_port_open(void);
/* The NIC must be gone. True: every buffer and frame came back. */
bool net_port_close(void);

/* Sends up to `count` frames of `len` bytes (0: of all lengths); returns how many there was room
 * for. */
unsigned net_port_send(unsigned count, unsigned len);
void net_port_kick(void);

/* What the event loop does in a turn: what was received and sent, buffers lent again, one kick.
 * Returns the work done. */
unsigned net_port_poll(void);

const struct net_port_counts *net_port_counts(void);

/* Frames that were sent and have neither come back nor been given up by net_port_forget(). */
uint64_t net_port_outstanding(void);
void net_port_forget(void);

#endif
