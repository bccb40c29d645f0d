/*
 * spec_net.h - the part of the VIRTIO specification about network devices (5.1): constants and
 * wire structures, as spec.h has them. Read that first.
 */
#ifndef FERRULE_VIRTIO_SPEC_NET_H
#define FERRULE_VIRTIO_SPEC_NET_H

#include "virtio/spec.h"

/* ---- 5.1: network ---- */
#define VIRTIO_NET_F_CSUM 0
#define VIRTIO_NET_F_GUEST_CSUM 1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MTU 3
#define VIRTIO_NET_F_MAC 5
#define VIRTIO_NET_F_GSO 6 /* legacy */
#define VIRTIO_NET_F_GUEST_TSO4 7
#define VIRTIO_NET_F_GUEST_TSO6 8
#define VIRTIO_NET_F_GUEST_ECN 9
#define VIRTIO_NET_F_GUEST_UFO 10
#define VIRTIO_NET_F_HOST_TSO4 11
#define VIRTIO_NET_F_HOST_TSO6 12
#define VIRTIO_NET_F_HOST_ECN 13
#define VIRTIO_NET_F_HOST_UFO 14
#define VIRTIO_NET_F_MRG_RXBUF 15
#define VIRTIO_NET_F_STATUS 16
#define VIRTIO_NET_F_CTRL_VQ 17
#define VIRTIO_NET_F_CTRL_RX 18
#define VIRTIO_NET_F_CTRL_VLAN 19
#define VIRTIO_NET_F_CTRL_RX_EXTRA 20
#define VIRTIO_NET_F_GUEST_ANNOUNCE 21
#define VIRTIO_NET_F_MQ 22
#define VIRTIO_NET_F_CTRL_MAC_ADDR 23
#define VIRTIO_NET_F_DEVICE_STATS 50
#define VIRTIO_NET_F_HASH_TUNNEL 51
#define VIRTIO_NET_F_VQ_NOTF_COAL 52
#define VIRTIO_NET_F_NOTF_COAL 53
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#define VIRTIO_NET_F_HASH_REPORT 57
#define VIRTIO_NET_F_GUEST_HDRLEN 59
#define VIRTIO_NET_F_RSS 60
#define VIRTIO_NET_F_RSC_EXT 61
#define VIRTIO_NET_F_STANDBY 62
#define VIRTIO_NET_F_SPEED_DUPLEX 63

#define VIRTIO_NET_S_LINK_UP 1
#define VIRTIO_NET_S_ANNOUNCE 2
#define VIRTIO_NET_DUPLEX_HALF 0
#define VIRTIO_NET_DUPLEX_FULL 1
#define VIRTIO_NET_DUPLEX_UNKNOWN 0xff
#define VIRTIO_NET_SPEED_MAX 0x7fffffffu /* Mbit/s; above it: unknown (5.1.4.2) */

/* 5.1.9.5: control commands */
#define VIRTIO_NET_OK 0
#define VIRTIO_NET_CTRL_RX 0
#define VIRTIO_NET_CTRL_RX_PROMISC 0
#define VIRTIO_NET_CTRL_RX_ALLMULTI 1
#define VIRTIO_NET_CTRL_RX_NOBCAST 5
#define VIRTIO_NET_CTRL_MAC 1
#define VIRTIO_NET_CTRL_MAC_TABLE_SET 0
#define VIRTIO_NET_CTRL_MAC_ADDR_SET 1
#define VIRTIO_NET_CTRL_VLAN 2
#define VIRTIO_NET_CTRL_VLAN_ADD 0
#define VIRTIO_NET_CTRL_VLAN_DEL 1
#define VIRTIO_NET_CTRL_ANNOUNCE 3
#define VIRTIO_NET_CTRL_ANNOUNCE_ACK 0
#define VIRTIO_NET_CTRL_MQ 4
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET 0
#define VIRTIO_NET_CTRL_MQ_RSS_CONFIG 1
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS 5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0 /* a mask with the numbers of the features */
#define VIRTIO_NET_CTRL_NOTF_COAL 6
#define VIRTIO_NET_CTRL_NOTF_COAL_TX_SET 0
#define VIRTIO_NET_CTRL_NOTF_COAL_RX_SET 1
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
struct virtio_net_ctrl_coal_vq {
    le16 vq_index, reserved;
    le32 max_packets, max_usecs; /* TX_SET and RX_SET have only these */
};
_Static_assert(sizeof(struct virtio_net_ctrl_coal_vq) == 12, "5.1.9.5.10");

/* 5.1.9.5.6.4: what a hash is made of. */
#define VIRTIO_NET_HASH_TYPE_IPV4 0x01u
#define VIRTIO_NET_HASH_TYPE_TCPV4 0x02u
#define VIRTIO_NET_HASH_TYPE_UDPV4 0x04u
#define VIRTIO_NET_HASH_TYPE_IPV6 0x08u
#define VIRTIO_NET_HASH_TYPE_TCPV6 0x10u
#define VIRTIO_NET_HASH_TYPE_UDPV6 0x20u
#define VIRTIO_NET_HASH_REPORT_NONE 0
#define VIRTIO_NET_HASH_REPORT_UDPV6 6 /* one for each type above, in their order */

/* 5.1.4 */
struct virtio_net_config {
    uint8_t mac[6];
    le16 status;
    le16 max_virtqueue_pairs;
    le16 mtu;
    le32 speed;
    uint8_t duplex;
    uint8_t rss_max_key_size;
    le16 rss_max_indirection_table_length;
    le32 supported_hash_types;
};
_Static_assert(sizeof(struct virtio_net_config) == 24, "5.1.4");

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1
#define VIRTIO_NET_HDR_F_DATA_VALID 2
#define VIRTIO_NET_HDR_GSO_NONE 0
#define VIRTIO_NET_HDR_GSO_TCPV4 1
#define VIRTIO_NET_HDR_GSO_UDP 3
#define VIRTIO_NET_HDR_GSO_TCPV6 4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#define VIRTIO_NET_HDR_GSO_ECN 0x80

/* 5.1.9: the header of every frame on the modern interface, without the parts that further features
 * add. */
struct virtio_net_hdr {
    uint8_t flags;
    uint8_t gso_type;
    le16 hdr_len;
    le16 gso_size;
    le16 csum_start;
    le16 csum_offset;
    le16 num_buffers;
};
_Static_assert(sizeof(struct virtio_net_hdr) == 12, "5.1.9");
/* 5.1.9.1: without num_buffers, on the legacy interface when MRG_RXBUF is not accepted. */
#define VIRTIO_NET_LEGACY_HDR_SIZE offsetof(struct virtio_net_hdr, num_buffers)

/* 5.1.9: with HASH_REPORT. */
struct virtio_net_hdr_hash {
    struct virtio_net_hdr base;
    le32 hash_value;
    le16 hash_report;
    le16 padding;
};
_Static_assert(sizeof(struct virtio_net_hdr_hash) == 20, "5.1.9");

#endif
