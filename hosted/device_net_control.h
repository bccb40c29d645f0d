/*
 * device_net_control.h - the control queue of the model network device (5.1.9.5): what commands set,
 * and how it misbehaves.
 */
#ifndef FERRULE_HOSTED_DEVICE_NET_CONTROL_H
#define FERRULE_HOSTED_DEVICE_NET_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "hosted/device.h"

#define DEVICE_NET_GROUPS 64
#define DEVICE_NET_TABLE 128
#define DEVICE_NET_PAIRS_MAX 8u

struct device_net_control {
    bool promiscuous, all_multicast, no_broadcast;
    unsigned unicasts, multicasts;
    uint8_t multicast[DEVICE_NET_GROUPS][6];
    uint8_t mac[6];         /* 0 unless the driver sets it */
    uint8_t vlan[4096 / 8]; /* a bit for each that is received */
    uint64_t offloads;      /* of receiving, by feature number */
    unsigned pairs;         /* queue pairs in use */
    bool steered;           /* by the following */
    uint32_t hash_types;
    uint16_t mask, table[DEVICE_NET_TABLE];
    uint8_t key[40];
    struct {
        uint32_t frames, usecs;
    } coalesce[2 * DEVICE_NET_PAIRS_MAX]; /* by queue */
    unsigned commands, announce_acks;
    bool refuse;         /* answers every command with an error */
    bool mute;           /* answers none */
    uint8_t class, code; /* of the last command */
};

/* Takes one message, checks it, does what it says and returns it. */
void device_net_command(struct device *device, struct device_net_control *control,
                        struct ring_device *ring, struct ring_chain *chain);

/* What a reset leaves: everything is received, nothing listed. */
void device_net_control_reset(struct device_net_control *control);

/*
 * 5.1.9.5.6.4: the hash of a frame by the key that was set, and which kind it is (hash_report). 0: it
 * has none.
 */
unsigned device_net_hash(const struct device_net_control *control, const uint8_t *frame,
                         uint32_t len, uint32_t *hash);

bool device_net_has_vlan(const struct device_net_control *control, unsigned vlan);

#endif
