/*
 * nic.h - what a network device driver and the TCP/IP stack's glue owe each other: frames in,
 * frames out.
 *
 * A driver embeds a struct nic, fills in what it can do and registers it; the user
 * (net/lwip_netif.c) attaches callbacks, lends it receive buffers, and polls it. Receive buffers
 * are the device's from nic_rx_provide() until they come back by received() or reclaimed(). Sent
 * memory is the device's from nic_tx() until sent(). Frames go in bursts where there are several at
 * once, since the way to and from a driver costs as much for one. All of it runs in loop context.
 * Drivers: virtio_net.c.
 */
#ifndef FERRULE_NET_NIC_H
#define FERRULE_NET_NIC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtqueue.h" /* struct virtqueue_sg, a piece of memory */

/* Most pieces of a received frame, and of one to be sent. */
#define NIC_MAX_RX_PIECES 48u
#define NIC_MAX_TX_PIECES 15u

#define NIC_ETHERNET_HEADER 14u
#define NIC_VLAN_TAG 4u

/* The largest frame that a device with NIC_LARGE_RECEIVE delivers: an IP packet of 65535 bytes. */
#define NIC_LARGE_FRAME (65535u + NIC_ETHERNET_HEADER + NIC_VLAN_TAG)

struct nic;

/* What a device does for the frames given to it, and with the ones it delivers. */
enum {
    NIC_CHECKSUM = 1,       /* completes a checksum: struct nic_offload may be given */
    NIC_SEGMENT_TCP4 = 2,   /* cuts a large TCP/IPv4 frame into segments */
    NIC_SEGMENT_TCP6 = 4,   /* the same for IPv6 */
    NIC_SEGMENT_ECN = 8,    /* does so with the CWR flag set, too */
    NIC_LARGE_RECEIVE = 16, /* delivers frames beyond the MTU, of several segments */
    NIC_SEGMENT_UDP = 32,   /* cuts a row of UDP datagrams that have one header */
    NIC_FRAGMENT_UDP = 64,  /* sends a datagram beyond the MTU in fragments */
};

/* Most frames that one callback brings; more than that at once are worth nothing. */
#define NIC_BURST 32u

/* A piece of a received frame: where the bytes are, and in which buffer of nic_rx_provide(). */
struct nic_piece {
    void *data;
    uint32_t len;
    void *buffer;
};

/* What the device says about the checksum of a received frame. */
enum nic_checksum {
    NIC_CHECKSUM_UNKNOWN, /* check it */
    NIC_CHECKSUM_VALID,   /* the device checked it */
    NIC_CHECKSUM_PARTIAL, /* comes from this machine, never left it; correct but not filled in */
};

/* What the device says about a received frame as a whole. */
struct nic_received {
    enum nic_checksum checksum;
    bool hashed; /* `hash` is of the frame's addresses and ports, as flow_hash.h has it */
    uint32_t hash;
    uint16_t datagram_size; /* it is a row of UDP datagrams of so many bytes each; else 0 */
};

struct nic_rx_frame {
    const struct nic_piece *piece;
    unsigned pieces;
    struct nic_received how;
};

struct nic_callbacks {
    /* Frames, at most NIC_BURST. The buffers of all their pieces belong to the user again. */
    void (*received)(void *arg, const struct nic_rx_frame *frame, unsigned count);
    /* The buffer of a frame that was dropped (or that a reset took back) without received(). */
    void (*reclaimed)(void *arg, void *buffer);
    /* The memory given by nic_tx() with these tokens, at most NIC_BURST, is the user's again, whether or
     * not it was sent. */
    void (*sent)(void *arg, void *const *token, unsigned count);
    /* Link state or MTU. */
    void (*changed)(void *arg);
    /* The device asks for packets that tell the network where this address is now (5.1.9.5.4). */
    void (*announce)(void *arg);
    /* The device is (again) able to take buffers and frames: provide receive buffers now. */
    void (*restarted)(void *arg);
    /* The NIC goes: nothing may be asked of it once this returns. All buffers and frames came back
     * before. May be NULL. */
    void (*removed)(void *arg);
};

/* How a device is to cut a frame. */
enum nic_cut { NIC_CUT_TCP4, NIC_CUT_TCP6, NIC_CUT_DATAGRAMS, NIC_CUT_FRAGMENTS };

/* What the device is to do with a frame. Only what its `offloads` allow. */
struct nic_offload {
    uint16_t checksum_start;  /* first byte of the frame that is summed */
    uint16_t checksum_offset; /* from start to the 16-bit field, which holds the pseudo-header sum
                               */
    uint16_t segment_size;    /* 0: send it as it is; else payload bytes of each part ... */
    uint16_t header_len;      /* ... behind so many bytes of headers, ... */
    enum nic_cut cut;         /* ... of this kind ... */
    bool ecn;                 /* ... and with TCP's CWR set */
};

/* A frame to be sent, see nic_tx(). */
struct nic_tx_frame {
    const struct virtqueue_sg *sg;
    unsigned n;
    uint32_t headroom;
    const struct nic_offload *offload;
    void *token;
};

struct nic_stats {
    uint64_t rx_frames, rx_bytes, rx_dropped; /* dropped: malformed, or larger than its buffers */
    uint64_t rx_large;                        /* of several segments */
    uint64_t rx_astray;                       /* by another queue than their hash says */
    uint64_t tx_frames, tx_bytes, tx_full;
    uint64_t tx_large; /* cut by the device */
};

/* Which frames are wanted besides those to this station's own address. */
#define NIC_MAX_GROUPS 32u
#define NIC_MAX_VLANS 8u
struct nic_filter {
    bool promiscuous;   /* all of them */
    bool all_groups;    /* every multicast; else those to the groups listed */
    bool no_broadcasts; /* else broadcasts, too */
    unsigned groups, vlans;
    uint8_t group[NIC_MAX_GROUPS][6];
    uint16_t vlan[NIC_MAX_VLANS]; /* of tagged frames; number 0 needs no entry */
};

/* What a driver implements; the functions below say what each does. */
struct nic_ops {
    unsigned (*rx_room)(const struct nic *nic);
    int (*rx_provide)(struct nic *nic, void *const *buffer, unsigned count, uint32_t len);
    unsigned (*tx_room)(const struct nic *nic);
    int (*tx)(struct nic *nic, const struct nic_tx_frame *frame, unsigned count);
    void (*kick)(struct nic *nic);
    unsigned (*poll)(struct nic *nic, unsigned budget);
    bool (*arm)(struct nic *nic);
    int (*set_filter)(struct nic *nic, const struct nic_filter *filter);
    int (*set_mac)(struct nic *nic, const uint8_t mac[6]);
    int (*set_large_receive)(struct nic *nic, bool on); /* NULL: it has none */
};

/* The user reads; all but callbacks, arg, name and unanswered is the driver's. */
struct nic {
    const struct nic_ops *ops;
    const struct nic_callbacks *callbacks;
    void *arg;
    char name[8];   /* eth0, eth1, ... */
    uint8_t mac[6]; /* random and locally administered when the device gives none; nic_set_mac() */
    uint16_t mtu;   /* 1500 unless the device says otherwise; 68..65535 */
    bool link_up;
    uint32_t speed_mbit;    /* 0: unknown */
    bool half_duplex;       /* as far as is known */
    unsigned pairs;         /* queues in each direction that are in use */
    unsigned offloads;      /* NIC_CHECKSUM ... */
    unsigned tx_queue;      /* frames that can be out at once */
    uint32_t tx_headroom;   /* a frame with so many bytes of headroom costs the least to send */
    uint32_t rx_buffer_min; /* bytes that a receive buffer must have at least */
    unsigned unanswered;    /* counted by the user: what it sent again because no answer came */
    struct nic_stats stats;
};

/* Names the NIC, lists it and tells the watcher; -ENOSPC: there are too many. nic_unregister() takes
 * any, and tells its user. */
int nic_register(struct nic *nic);
void nic_unregister(struct nic *nic);

/* The NICs that are up, by name; NULL past the end. */
struct nic *nic_at(unsigned index);

/* Called with each NIC that is registered from now on. */
void nic_watch(void (*added)(struct nic *nic));

void nic_attach(struct nic *nic, const struct nic_callbacks *callbacks, void *arg);

/* Receive buffers that the NIC has room for now. */
static inline unsigned nic_rx_room(const struct nic *nic)
{
    return nic->ops->rx_room(nic);
}

/*
 * Lends the NIC receive buffers of `len` bytes each, device memory in the sense of platform_dma_map().
 * A frame will start somewhere in one. Returns how many were taken, from the first on: fewer than
 * `count` (at least 1) when the next one cannot be. If that is the first: -ENOSPC: no room now; -EIO: the device is broken;
 * -EINVAL: too small. Work: a look at each receive queue for each buffer, no register.
 */
static inline int nic_rx_provide(struct nic *nic, void *const *buffer, unsigned count, uint32_t len)
{
    return nic->ops->rx_provide(nic, buffer, count, len);
}

/* Pieces of frames that nic_tx() would take now at least. */
static inline unsigned nic_tx_room(const struct nic *nic)
{
    return nic->ops->tx_room(nic);
}

/*
 * Queues a frame of n pieces. The `headroom` bytes in front of the first piece are lent with it and
 * may be overwritten; 0 if that is nobody's to give. `offload` may be NULL, `token` not. 0; -ENOSPC: no room even
 * after reaping completions; -EINVAL: too many pieces, a frame shorter than 14 bytes or longer than
 * the device may be given, or an offload that it does not have; -EIO. Unless 0 the memory stays the
 * user's and sent() is not called. Work: reaps at most what the ring holds, then a turn a piece.
 */
static inline int nic_tx(struct nic *nic, const struct virtqueue_sg *sg, unsigned n,
                         uint32_t headroom, const struct nic_offload *offload, void *token)
{
    struct nic_tx_frame frame = {sg, n, headroom, offload, token};
    int taken = nic->ops->tx(nic, &frame, 1);

    return taken < 0 ? taken : 0;
}

/* The same for `count` frames, at least 1. Returns how many were queued, from the first on: fewer than `count`
 * when the next one was not; if that is the first, its error. */
static inline int nic_tx_burst(struct nic *nic, const struct nic_tx_frame *frame, unsigned count)
{
    return nic->ops->tx(nic, frame, count);
}

/* Makes what was queued since the last call visible: at most one notification for each direction.
 */
static inline void nic_kick(struct nic *nic)
{
    nic->ops->kick(nic);
}

/* Reaps transmissions, then delivers at most `budget` frames. Returns the number of frames and
 * completions. Notifications are off after it. Work: at most what the transmit ring holds, `budget`
 * frames of at most NIC_MAX_RX_PIECES buffers, and two register accesses (a pair of queues), besides what callbacks do
 * and the reset of a device that broke the rules. */
static inline unsigned nic_poll(struct nic *nic, unsigned budget)
{
    return nic->ops->poll(nic, budget);
}

/*
 * Says which frames are wanted; until then all are that have no VLAN tag. A hint: others may still
 * come. Waits for the device, a second at most. 0; -ENOTSUP: the device does not filter; -EIO: it
 * did not answer.
 */
static inline int nic_set_filter(struct nic *nic, const struct nic_filter *filter)
{
    return nic->ops->set_filter(nic, filter);
}

/*
 * Gives this station another address, which becomes nic->mac and stays through resets of the device.
 * Waits as nic_set_filter() does. 0; -EINVAL: it is not the address of one station; -ENOTSUP: the
 * device has only its own; -EIO: it did not answer. Unless 0 the address is as before.
 */
int nic_set_mac(struct nic *nic, const uint8_t mac[6]);

/*
 * Has frames beyond the MTU delivered (NIC_LARGE_RECEIVE, as it is from the start) or not; those that
 * are on their way may still come. Waits as nic_set_filter() does. 0; -ENOTSUP: the device delivers
 * none, or cannot be told; -EIO: it did not answer.
 */
static inline int nic_set_large_receive(struct nic *nic, bool on)
{
    return nic->ops->set_large_receive ? nic->ops->set_large_receive(nic, on) : -ENOTSUP;
}

/* Turns notifications on; false: there is work already. */
static inline bool nic_arm(struct nic *nic)
{
    return nic->ops->arm(nic);
}

#endif
