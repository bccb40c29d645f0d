/*
 * virtio_net.h - the network device driver (5.1): frames in, frames out. Knows no TCP/IP stack.
 *
 * The user (net/lwip_netif.c) attaches callbacks to a NIC, lends it receive buffers, and polls it.
 * Receive buffers are the device's from virtio_net_rx_provide() until they come back by received()
 * or reclaimed(). Sent memory is the device's from virtio_net_tx() until sent(). All of it runs in
 * loop context. Read virtio_net.c next.
 */
#ifndef FERRULE_NET_VIRTIO_NET_H
#define FERRULE_NET_VIRTIO_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtio.h"

extern const struct virtio_driver virtio_net_driver;

/* Bytes that a receive buffer must have for a NIC that merges buffers, and for one that does not
 * (5.1.9.3.1). */
#define VIRTIO_NET_RX_BUFFER_MIN 1536u

/* Most pieces of a received frame, and of one to be sent. */
#define VIRTIO_NET_MAX_PIECES 48u
#define VIRTIO_NET_MAX_TX_PIECES 15u

struct virtio_net;

/* A piece of a received frame: where the bytes are, and the token its buffer was provided with. */
struct virtio_net_piece {
    void *data;
    uint32_t len;
    void *token;
};

/* What the device says about the checksum of a received frame. */
enum virtio_net_checksum {
    VIRTIO_NET_CHECKSUM_UNKNOWN, /* check it */
    VIRTIO_NET_CHECKSUM_VALID,   /* DATA_VALID: the device checked it */
    VIRTIO_NET_CHECKSUM_PARTIAL, /* NEEDS_CSUM: comes from this machine, never left it; correct but
                                    not filled in */
};

struct virtio_net_callbacks {
    /* A frame without its virtio header. The buffers of all pieces belong to the user again. */
    void (*received)(void *arg, const struct virtio_net_piece *piece, unsigned pieces,
                     enum virtio_net_checksum checksum);
    /* The buffer of a frame that was dropped (or that a reset took back) without received(). */
    void (*reclaimed)(void *arg, void *token);
    /* The memory given by virtio_net_tx() with this token is the user's again, whether or not it
     * was sent. */
    void (*sent)(void *arg, void *token);
    /* Link state, MTU or an announce request (see virtio_net_link_up, virtio_net_mtu). */
    void (*changed)(void *arg);
    /* The device is (again) able to take buffers and frames: provide receive buffers now. */
    void (*restarted)(void *arg);
};

/* How a frame's checksum is to be completed by the device; only when virtio_net_can_checksum(). */
struct virtio_net_tx_checksum {
    uint16_t start;  /* first byte of the frame that is summed */
    uint16_t offset; /* from start to the 16-bit field, which holds the pseudo-header sum */
};

struct virtio_net_stats {
    uint64_t rx_frames, rx_bytes, rx_dropped; /* dropped: malformed, or larger than its buffers */
    uint64_t tx_frames, tx_bytes, tx_full;
};

/* The NICs that are up, in the order they were found; NULL past the end. */
struct virtio_net *virtio_net_at(unsigned index);

void virtio_net_attach(struct virtio_net *nic, const struct virtio_net_callbacks *callbacks,
                       void *arg);

const uint8_t *
virtio_net_mac(const struct virtio_net
                   *nic); /* 6 bytes; random and locally administered when the device gives none */
uint16_t
virtio_net_mtu(const struct virtio_net *nic); /* 1500 unless the device says otherwise; 68..65535 */
bool virtio_net_link_up(const struct virtio_net *nic);
bool virtio_net_can_checksum(const struct virtio_net *nic); /* VIRTIO_NET_F_CSUM */
const struct virtio_net_stats *virtio_net_stats(const struct virtio_net *nic);
const char *virtio_net_name(const struct virtio_net *nic); /* eth0, eth1, ... */

/* Receive buffers that the NIC has room for now. */
unsigned virtio_net_rx_room(const struct virtio_net *nic);

/* Bytes a receive buffer must have at least on this NIC. */
uint32_t virtio_net_rx_buffer_size(const struct virtio_net *nic);

/*
 * Lends the NIC a receive buffer of `len` bytes, device memory in the sense of platform_dma_map().
 * The frame will start somewhere in it (after the header). 0, -ENOSPC: no room now; -EIO: the
 * device is broken; -EINVAL: too small.
 */
int virtio_net_rx_provide(struct virtio_net *nic, void *buffer, uint32_t len, void *token);

/*
 * Queues a frame of n pieces. `checksum` may be NULL. 0; -ENOSPC: no room even after reaping
 * completions; -EINVAL: too many pieces, or a frame shorter than 14 bytes or longer than the device
 * may be given; -EIO. Unless 0 the memory stays the user's and sent() is not called.
 */
int virtio_net_tx(struct virtio_net *nic, const struct virtqueue_sg *sg, unsigned n,
                  const struct virtio_net_tx_checksum *checksum, void *token);

/* Makes what was queued since the last call visible: at most one notification for each direction.
 */
void virtio_net_kick(struct virtio_net *nic);

/* Reaps transmissions, then delivers at most `budget` frames. Returns the number of frames and
 * completions. Notifications are off after it. */
unsigned virtio_net_poll(struct virtio_net *nic, unsigned budget);

/* Turns notifications on; false: there is work already. */
bool virtio_net_arm(struct virtio_net *nic);

#endif
