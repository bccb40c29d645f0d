/*
 * flow_hash.h - the hash that a device steers received packets by (5.1.9.5.6.4), made the same for
 * both directions of a flow.
 *
 * Owns the key and the hash; knows no device. The hash is Toeplitz's; with a key that repeats itself
 * every 16 bits it does not change when source and destination change places, so that whoever sends
 * knows by which queue the answers come. Read virtio_net_steering.c next.
 */
#ifndef FERRULE_NET_FLOW_HASH_H
#define FERRULE_NET_FLOW_HASH_H

#include <stddef.h>
#include <stdint.h>

#define FLOW_HASH_KEY_SIZE 40u
void flow_hash_key(uint8_t key[FLOW_HASH_KEY_SIZE]);

/*
 * The hash of an Ethernet frame of which `len` bytes are at hand, headers and all: of addresses and
 * ports for TCP and UDP, of addresses for other IP packets and for fragments, else 0.
 */
uint32_t flow_hash(const void *frame, size_t len);

#endif
