/*
 * virtio_net_impl.h - the state of a network device, for the files of its driver: virtio_net.c
 * (frames), virtio_net_control.c (the control queue), virtio_net_steering.c (queue pairs),
 * virtio_net_watch.c (silence) and virtio_net_setup.c (features, configuration, bring-up).
 */
#ifndef FERRULE_NET_VIRTIO_NET_IMPL_H
#define FERRULE_NET_VIRTIO_NET_IMPL_H

#include "net/virtio_net.h"
#include "virtio/spec_net.h"

/* A receive and a transmit queue (5.1.2). Tokens are the user's buffers, and tokens; a transmit queue's
 * cell is for the header of a frame that has no room in front of it. */
struct net_pair {
    struct virtqueue *rx, *tx;
};

/* A command to the device (5.1.9.5), and its answer. */
#define NET_CONTROL_PIECES 2u
#define NET_STEERING_BYTES 320u
struct net_control_message {
    uint8_t class, code;
    uint8_t ack;
    struct {
        uint8_t flag;
        uint8_t mac[6];
        le16 pairs, vlan;
        le64 offloads;
        le32 unicasts, multicasts; /* the addresses follow */
        uint8_t multicast[NIC_MAX_GROUPS][6];
        uint8_t steering[NET_STEERING_BYTES];
        struct virtio_net_ctrl_coal_vq coalescing;
    } data;
};

/* What virtio_net_watch.c knows: frames there were when it looked last, and how long it has been
 * silent. */
struct net_watch {
    uint64_t received;
    unsigned unanswered, silent_s, limit_s;
};

struct virtio_net {
    struct nic nic; /* first: what the user has a pointer to */
    struct virtio_device *device;
    struct net_pair pair[VIRTIO_NET_MAX_PAIRS];
    unsigned pairs;            /* made; of these */
    unsigned active;           /* so many are in use, from the first on */
    unsigned turn;             /* the pair that is polled first next time */
    bool steered;              /* by the table that the device was given */
    uint16_t table_mask;       /* of entries of that table */
    uint32_t hash_types;       /* that the device can make; 0: it does not steer by them */
    struct virtqueue *control; /* or NULL */
    uint8_t header_size;       /* of every frame's virtio header (5.1.9, 5.1.9.1) */
    uint8_t rx_pieces;         /* descriptors of a receive buffer */
    bool merge_buffers, guest_checksum, guest_ecn, hash_reported;
    uint8_t guest_segments; /* kinds of large frames it may deliver: bit n for gso_type n */
    struct net_control_message message; /* the device's while a command is under way */
    bool control_lost;                  /* a command was not answered: no more are sent */
    /* What the device is told again after a reset; `told`: the filter is the one that it has. */
    bool filter_set, told, mac_set, large_off;
    struct nic_filter filter;
    struct net_watch watch;
};

/* The operations of nic.h, for registration. */
extern const struct nic_ops virtio_net_ops;

int virtio_net_set_filter(struct nic *nic, const struct nic_filter *filter);
int virtio_net_set_mac(struct nic *nic, const uint8_t mac[6]);
int virtio_net_set_large_receive(struct nic *nic, bool on);

/*
 * Sends a command with n pieces of data, each in a piece of its own as the legacy interface wants
 * it (5.1.9.8), and waits for the answer. 0; -ENOTSUP: there is no control queue, or the device
 * refused; -EIO: no answer, now or earlier.
 */
int virtio_net_command(struct virtio_net *net, uint8_t class, uint8_t code,
                       const struct virtqueue_sg *data, unsigned n);

/* Reads what the device can steer by. */
void virtio_net_read_steering(struct virtio_net *net);

/* Has the device use all pairs that were made, or one if it does not take them. */
void virtio_net_start_pairs(struct virtio_net *net);

/* Several pairs are in use: the one that a frame is sent by. */
unsigned virtio_net_pair_of(const struct virtio_net *net, const struct virtqueue_sg *first);

/* HASH_REPORT: what a received frame's header says. */
void virtio_net_take_hash(struct virtio_net *net, const struct net_pair *pair,
                          const struct virtio_net_hdr_hash *header, struct nic_received *how);

/* The device is live, for the first time or after a reset: tells it how many queue pairs there are,
 * and again what it was told before. */
void virtio_net_control_start(struct virtio_net *net);

/* 5.1.9.5.4: the announcement was made. */
void virtio_net_acknowledge_announce(struct virtio_net *net);

/* The device or this queue of it was reset: gives the queue's buffers back to the user. */
void virtio_net_reclaim(struct virtio_net *net, struct virtqueue *vq);

/* struct virtio_driver's: is the receive side alive? Work: a look at each receive queue, and a
 * recovery. */
bool virtio_net_attend(struct virtio_device *device);

/* Is it a receive queue? */
bool virtio_net_receives(const struct virtio_net *net, const struct virtqueue *vq);

#endif
