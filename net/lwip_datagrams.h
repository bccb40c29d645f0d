/*
 * lwip_datagrams.h - rows of UDP datagrams that cross the interface as one frame. See
 * lwip_datagrams.c.
 */
#ifndef FERRULE_NET_LWIP_DATAGRAMS_H
#define FERRULE_NET_LWIP_DATAGRAMS_H

#include <stdint.h>

#include "lwip/udp.h"

/*
 * Sends the bytes of p as datagrams of `size` bytes each, the last one maybe shorter; 0: as one. One
 * frame where the device cuts it (VIRTIO_NET_F_HOST_USO), else one by one. p stays the caller's,
 * and is not to be written to any more. An error of udp_sendto(); datagrams before it may have gone.
 */
err_t datagrams_send(struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *to, uint16_t port,
                     uint16_t size);

#endif
