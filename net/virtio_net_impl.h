/*
 * virtio_net_impl.h - the state of a network device, for the files of its driver: virtio_net.c
 * (frames), virtio_net_control.c (the control queue) and virtio_net_setup.c (features, configuration,
 * bring-up).
 */
#ifndef FERRULE_NET_VIRTIO_NET_IMPL_H
#define FERRULE_NET_VIRTIO_NET_IMPL_H

#include "net/virtio_net.h"
#include "virtio/spec.h"

/* A frame that the device is sending: whose it is, and its header, which the device reads here
 * unless it lies in front of the frame. */
struct tx_slot {
    struct virtio_net_hdr header;
    void *token;
    struct tx_slot *next_free;
};

/* A receive buffer that the device has. */
struct rx_slot {
    uint8_t *data;
    void *token;
    struct rx_slot *next_free;
};

/* A receive and a transmit queue (5.1.2). */
struct net_pair {
    struct virtqueue *rx, *tx;
};

/* A command to the device (5.1.9.5), and its answer. */
#define NET_CONTROL_PIECES 2u
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
    } data;
};

struct virtio_net {
    struct nic nic; /* first: what the user has a pointer to */
    struct virtio_device *device;
    struct net_pair pair[VIRTIO_NET_MAX_PAIRS];
    unsigned pairs;            /* made; of these */
    unsigned active;           /* so many are in use, from the first on */
    unsigned turn;             /* the pair that is polled first next time */
    struct virtqueue *control; /* or NULL */
    uint8_t header_size;       /* of every frame's virtio header (5.1.9, 5.1.9.1) */
    uint8_t rx_pieces;         /* descriptors of a receive buffer */
    bool merge_buffers, guest_checksum, guest_ecn;
    uint8_t guest_segments; /* kinds of large frames it may deliver: bit n for gso_type n */
    struct tx_slot *tx_slots, *tx_free;
    struct rx_slot *rx_slots, *rx_free;
    unsigned tx_slot_count, rx_slot_count; /* as many as all rings have entries */
    struct net_control_message message;    /* the device's while a command is under way */
    bool control_lost;                     /* a command was not answered: no more are sent */
    /* What the device is told again after a reset; `told`: the filter is the one that it has. */
    bool filter_set, told, mac_set, large_off;
    struct nic_filter filter;
};

/* The operations of nic.h, for registration. */
extern const struct nic_ops virtio_net_ops;

int virtio_net_set_filter(struct nic *nic, const struct nic_filter *filter);
int virtio_net_set_mac(struct nic *nic, const uint8_t mac[6]);
int virtio_net_set_large_receive(struct nic *nic, bool on);

/* The device is live, for the first time or after a reset: tells it how many queue pairs there are,
 * and again what it was told before. */
void virtio_net_control_start(struct virtio_net *net);

/* 5.1.9.5.4: the announcement was made. */
void virtio_net_acknowledge_announce(struct virtio_net *net);

/* The device or this queue of it was reset: gives the queue's buffers back to the user. */
void virtio_net_reclaim(struct virtio_net *net, struct virtqueue *vq);

/* Is it a receive queue? */
bool virtio_net_receives(const struct virtio_net *net, const struct virtqueue *vq);

#endif
