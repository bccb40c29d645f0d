/*
 * nic_user.h - the tests' user of a network device, in the place of the TCP/IP stack, with the model
 * network device at the other end.
 *
 * It lends receive buffers, counts where each of them is, and sends frames. The model checks headers
 * and buffer sizes and tells the lies of the receive path: hosted/device_net.h.
 */
#ifndef FERRULE_TESTS_NIC_USER_H
#define FERRULE_TESTS_NIC_USER_H

#include "support.h"

#include "hosted/device_net.h"
#include "net/virtio_net.h"
#include "ring_variants.h"
#include "virtio/virtio_pci.h"

#define BUFFERS 64u
#define BUFFER_SIZE 2048u
#define TX_SIZE (66000u + TX_HEADROOM)
#define TX_HEADROOM 64u
#define TX_MEMORY (memory + BUFFERS * BUFFER_SIZE + TX_HEADROOM)

#define BIT(n) (UINT64_C(1) << (n))
#define USUAL (BIT(NET_F_MAC) | BIT(NET_F_STATUS))

extern const struct virtio_driver *const net_drivers[1];
extern struct device_net model;
extern uint64_t ring_features; /* added to those of every device */
extern struct nic *nic;
extern uint8_t *memory; /* BUFFERS receive buffers, then room for frames to send */

struct nic_user {
    bool lent[BUFFERS];
    unsigned reclaimed, sent, changed, announced, restarted, frames;
    uint8_t frame[70000];
    uint32_t len;
    unsigned pieces;
    enum nic_checksum checksum;
    struct nic_received how; /* the last frame came */
    uint32_t headroom;       /* of frames to send; at most TX_HEADROOM */
    unsigned in_flight[64];  /* sent() calls by token */
};
extern struct nic_user user;
extern const struct nic_callbacks callbacks;

/* Lends as many buffers as there is room for; how many that were. */
unsigned provide(unsigned most);
unsigned lent(void);

/* Makes a device that virtio_pci_scan() will find. */
void begin_nic(uint64_t features, uint16_t queue_size);

/* Brings up a device; the sized one returns whether it is driven. */
unsigned make_nic_sized(uint64_t features, uint16_t queue_size);
void make_nic(uint64_t features);

/* Shuts down, and checks that every buffer came home. */
void end(void);

const uint8_t *frame_of(uint32_t len);

/* Has the model deliver a frame and the driver look for it; how many frames came. */
unsigned receive(uint32_t len, const struct device_net_rx *how);

/* Sends a frame in n pieces, with user.headroom in front of it; token 1 to 64. */
int transmit(uint32_t len, unsigned n, const struct nic_offload *offload, unsigned token);

/* Runs tests over rings of every kind; the number that failed. */
int run_over_other_rings(const struct CMUnitTest *tests, size_t count);

#endif
