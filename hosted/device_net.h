/*
 * device_net.h - the model network device (5.1): keeps what was sent, receives what the test says,
 * checks every header.
 */
#ifndef FERRULE_HOSTED_DEVICE_NET_H
#define FERRULE_HOSTED_DEVICE_NET_H

#include "hosted/device_net_control.h"

#define DEVICE_NET_FRAMES 64
#define DEVICE_NET_FRAME_SIZE 66000

struct device_net_frame {
    struct wire_net_hdr header;
    uint32_t len;
    unsigned pair;   /* the queue pair that it came by */
    unsigned pieces; /* descriptors that it and its header took */
    uint8_t *data;
};

/* How a frame is given to the driver; zeroed is an honest device. */
struct device_net_rx {
    struct wire_net_hdr header; /* num_buffers is filled in unless lie_num_buffers */
    bool lie_num_buffers;
    unsigned pair;      /* the queue pair that it goes to, unless steered */
    bool steered;       /* goes where the table that was set says */
    unsigned split_at;  /* bytes of a buffer that are used at most; 0: all of it */
    unsigned short_by;  /* claims to have written so many bytes less in the last buffer */
    unsigned keep_back; /* buffers of the frame, from its end, that are not made used */
};

struct device_net {
    struct device device;
    struct device_net_frame
        sent[DEVICE_NET_FRAMES]; /* the last ones, oldest first from sent_count on */
    unsigned sent_count;
    bool hold_tx; /* takes frames but does not return their buffers */
    struct ring_chain *held[1024];
    unsigned held_count;
    struct device_net_control control; /* with CTRL_VQ */
};

/*
 * `features` of the device type; MAC 52:54:00:12:34:56, status up, DEVICE_NET_PAIRS queue pairs, MTU
 * 9000, as far as the features show them.
 */
#define DEVICE_NET_PAIRS 3u
void device_net_init(struct device_net *net, uint64_t features, uint16_t queue_size,
                     unsigned msix_vectors);
void device_net_finish(struct device_net *net);

/*
 * Delivers a frame of `len` bytes. Returns the number of buffers it took, 0 when the driver has not
 * given enough (then none is lost). No notification is sent: device_signal(&net->device, 0) does
 * that.
 */
unsigned device_net_receive(struct device_net *net, const void *frame, uint32_t len,
                            const struct device_net_rx *how);

const struct device_net_frame *device_net_last(const struct device_net *net);

/* Returns held transmit buffers, newest first when `reverse`. */
void device_net_release_tx(struct device_net *net, bool reverse);

/* Offsets in the configuration (5.1.4). */
enum {
    NET_CONFIG_MAC = 0,
    NET_CONFIG_STATUS = 6,
    NET_CONFIG_PAIRS = 8,
    NET_CONFIG_MTU = 10,
    NET_CONFIG_SPEED = 12,
    NET_CONFIG_DUPLEX = 16,
    NET_CONFIG_KEY_SIZE = 17,
    NET_CONFIG_TABLE_SIZE = 18,
    NET_CONFIG_HASH_TYPES = 20,
    NET_CONFIG_LENGTH = 24
};

#endif
