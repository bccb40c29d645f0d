/*
 * virtio_net.h - the network device driver (5.1). What it offers to its user is nic.h's; knows no
 * TCP/IP stack. Read virtio_net.c next.
 */
#ifndef FERRULE_NET_VIRTIO_NET_H
#define FERRULE_NET_VIRTIO_NET_H

#include "net/nic.h"
#include "virtio/virtio.h"

extern const struct virtio_driver virtio_net_driver;

/*
 * Queue pairs of each network device from now on, where it has them (VIRTIO_NET_F_MQ): 1 unless this
 * says otherwise, at most VIRTIO_NET_MAX_PAIRS. With more a device can work on several flows at
 * once; the driver gains nothing from them.
 */
#define VIRTIO_NET_MAX_PAIRS 8u
void virtio_net_limit_pairs(unsigned pairs);

/*
 * From now on a device that can (NOTF_COAL, VQ_NOTF_COAL) waits with an interrupt until there are
 * `frames` or `usecs` have passed, for each direction. Unless told it does not: the first of a batch
 * is then served at once, and the rest is polled.
 */
void virtio_net_coalesce(unsigned usecs, unsigned frames);

/* Bytes that a receive buffer must have for a NIC that merges buffers, and for one that does not
 * (5.1.9.3.1). */
#define VIRTIO_NET_RX_BUFFER_MIN 1536u

#endif
