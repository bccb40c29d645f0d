/*
 * spec.h - the numbers and wire structures of the VIRTIO specification, version 1.4, under the
 * names it gives them.
 *
 * No logic but byte order. Feature constants are bit numbers. Multi-byte fields have the types
 * le16, le32 and le64: little-endian as on the modern interface (1.4); read and write them through
 * the conversions at the top. Read virtio.h next.
 */
#ifndef FERRULE_VIRTIO_SPEC_H
#define FERRULE_VIRTIO_SPEC_H

#include <stddef.h>
#include <stdint.h>

/* Both the kernel's and the hosted build's CPUs are little-endian, so the conversions only mark
 * where one belongs. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "byte-order conversions assume little-endian");
typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

static inline uint16_t le16_to_cpu(le16 value)
{
    return value;
}

static inline uint32_t le32_to_cpu(le32 value)
{
    return value;
}

static inline uint64_t le64_to_cpu(le64 value)
{
    return value;
}

static inline le16 cpu_to_le16(uint16_t value)
{
    return value;
}

static inline le32 cpu_to_le32(uint32_t value)
{
    return value;
}

static inline le64 cpu_to_le64(uint64_t value)
{
    return value;
}

/* ---- 5: device types ---- */
#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_SCSI 8
#define VIRTIO_ID_9P 9
#define VIRTIO_ID_GPU 16
#define VIRTIO_ID_CLOCK 17
#define VIRTIO_ID_INPUT 18
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_CRYPTO 20
#define VIRTIO_ID_IOMMU 23
#define VIRTIO_ID_MEM 24
#define VIRTIO_ID_SOUND 25
#define VIRTIO_ID_FS 26
#define VIRTIO_ID_PMEM 27
#define VIRTIO_ID_RPMB 28

/* ---- 2.1: device status ---- */
#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_DEVICE_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED 128

/* ---- 6: device-independent features ---- */
#define VIRTIO_F_NOTIFY_ON_EMPTY 24 /* legacy */
#define VIRTIO_F_ANY_LAYOUT 27      /* legacy */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35
#define VIRTIO_F_ORDER_PLATFORM 36
#define VIRTIO_F_SR_IOV 37
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#define VIRTIO_F_RING_RESET 40
#define VIRTIO_F_ADMIN_VQ 41
#define VIRTIO_F_SUSPEND 43

/* ---- 2.7: split virtqueues ---- */
#define VIRTQ_DESC_F_NEXT 1
#define VIRTQ_DESC_F_WRITE 2
#define VIRTQ_DESC_F_INDIRECT 4
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY 1
#define VIRTQ_MAX_SIZE 32768
/* 2.7.2, 4.1.5.1.3.1: of a legacy ring and of the used ring in it; also the unit of its address. */
#define VIRTQ_LEGACY_ALIGNMENT 4096

/* 2.7.5: one entry of the descriptor table or of an indirect table. */
struct virtq_desc {
    le64 addr;
    le32 len;
    le16 flags;
    le16 next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");

/* 2.7.6; ring[size] is followed by used_event. */
struct virtq_avail {
    le16 flags;
    le16 idx;
    le16 ring[];
};
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "2.7.6");

/* 2.7.8; ring[size] is followed by avail_event. */
struct virtq_used_elem {
    le32 id;
    le32 len;
};
struct virtq_used {
    le16 flags;
    le16 idx;
    struct virtq_used_elem ring[];
};
_Static_assert(offsetof(struct virtq_used, ring) == 4, "2.7.8");

/* ---- 2.8: packed virtqueues ---- */
#define VIRTQ_DESC_F_AVAIL (1 << 7)
#define VIRTQ_DESC_F_USED (1 << 15)

/* 2.8.13: one entry of the ring or of an indirect table. */
struct pvirtq_desc {
    le64 addr;
    le32 len;
    le16 id;
    le16 flags;
};
_Static_assert(sizeof(struct pvirtq_desc) == sizeof(struct virtq_desc), "2.8.13");

/* 2.8.14: where notifications are wanted. Bits 0-14 of off_wrap are an offset, bit 15 a wrap
 * counter. */
struct pvirtq_event_suppress {
    le16 off_wrap;
    le16 flags;
};
_Static_assert(sizeof(struct pvirtq_event_suppress) == 4, "2.8.14");
#define RING_EVENT_FLAGS_ENABLE 0
#define RING_EVENT_FLAGS_DISABLE 1
#define RING_EVENT_FLAGS_DESC 2
#define RING_EVENT_FLAGS_MASK 3
#define RING_EVENT_WRAP_SHIFT 15

/* ---- 4.1: PCI ---- */
#define VIRTIO_PCI_VENDOR_ID 0x1af4
#define VIRTIO_PCI_DEVICE_ID_FIRST 0x1000
#define VIRTIO_PCI_DEVICE_ID_TRANSITIONAL_LAST 0x103f
#define VIRTIO_PCI_DEVICE_ID_MODERN 0x1040 /* plus the device type */
#define VIRTIO_PCI_DEVICE_ID_LAST 0x107f

#define VIRTIO_PCI_CAP_COMMON_CFG 1
#define VIRTIO_PCI_CAP_NOTIFY_CFG 2
#define VIRTIO_PCI_CAP_ISR_CFG 3
#define VIRTIO_PCI_CAP_DEVICE_CFG 4
#define VIRTIO_PCI_CAP_PCI_CFG 5
#define VIRTIO_PCI_CAP_SHARED_MEMORY_CFG 8
#define VIRTIO_PCI_CAP_VENDOR_CFG 9

/* 4.1.4: a vendor-specific capability in configuration space. */
struct virtio_pci_cap {
    uint8_t cap_vndr;
    uint8_t cap_next;
    uint8_t cap_len;
    uint8_t cfg_type;
    uint8_t bar;
    uint8_t id;
    uint8_t padding[2];
    le32 offset;
    le32 length;
};
_Static_assert(sizeof(struct virtio_pci_cap) == 16, "4.1.4");

/* 4.1.4.4 */
struct virtio_pci_notify_cap {
    struct virtio_pci_cap cap;
    le32 notify_off_multiplier;
};
_Static_assert(sizeof(struct virtio_pci_notify_cap) == 20, "4.1.4.4");

/* 4.1.4.9 */
struct virtio_pci_cfg_cap {
    struct virtio_pci_cap cap;
    uint8_t pci_cfg_data[4];
};
_Static_assert(sizeof(struct virtio_pci_cfg_cap) == 20, "4.1.4.9");

/* 4.1.4.3 */
struct virtio_pci_common_cfg {
    le32 device_feature_select;
    le32 device_feature;
    le32 driver_feature_select;
    le32 driver_feature;
    le16 config_msix_vector;
    le16 num_queues;
    uint8_t device_status;
    uint8_t config_generation;
    le16 queue_select;
    le16 queue_size;
    le16 queue_msix_vector;
    le16 queue_enable;
    le16 queue_notify_off;
    le64 queue_desc;
    le64 queue_driver;
    le64 queue_device;
    le16 queue_notif_config_data;
    le16 queue_reset;
    le16 admin_queue_index;
    le16 admin_queue_num;
};
_Static_assert(offsetof(struct virtio_pci_common_cfg, queue_desc) == 0x20, "4.1.4.3");
_Static_assert(sizeof(struct virtio_pci_common_cfg) == 0x40, "4.1.4.3");
/* What every device has: all up to queue_notif_config_data. */
#define VIRTIO_PCI_COMMON_CFG_MIN offsetof(struct virtio_pci_common_cfg, queue_notif_config_data)

#define VIRTIO_MSI_NO_VECTOR 0xffff
#define VIRTIO_PCI_ISR_QUEUE 1
#define VIRTIO_PCI_ISR_CONFIG 2

/* 4.1.4.10: registers of the legacy interface, at the start of the I/O BAR 0. */
#define VIRTIO_PCI_LEGACY_DEVICE_FEATURES 0x00
#define VIRTIO_PCI_LEGACY_DRIVER_FEATURES 0x04
#define VIRTIO_PCI_LEGACY_QUEUE_ADDRESS 0x08 /* in units of VIRTQ_LEGACY_ALIGNMENT */
#define VIRTIO_PCI_LEGACY_QUEUE_SIZE 0x0c
#define VIRTIO_PCI_LEGACY_QUEUE_SELECT 0x0e
#define VIRTIO_PCI_LEGACY_QUEUE_NOTIFY 0x10
#define VIRTIO_PCI_LEGACY_DEVICE_STATUS 0x12
#define VIRTIO_PCI_LEGACY_ISR_STATUS 0x13
#define VIRTIO_PCI_LEGACY_CONFIG_MSIX_VECTOR 0x14 /* this and the next: only with MSI-X on */
#define VIRTIO_PCI_LEGACY_QUEUE_MSIX_VECTOR 0x16
#define VIRTIO_PCI_LEGACY_CONFIG 0x14      /* the device configuration without MSI-X ... */
#define VIRTIO_PCI_LEGACY_CONFIG_MSIX 0x18 /* ... and with it */

/* ---- 4.2: MMIO ---- */
#define VIRTIO_MMIO_MAGIC 0x74726976u
#define VIRTIO_MMIO_VERSION_LEGACY 1
#define VIRTIO_MMIO_VERSION 2

/* 4.2.2, and 4.2.4 for the legacy interface. Registers are 32 bits wide. */
#define VIRTIO_MMIO_MAGIC_VALUE 0x000
#define VIRTIO_MMIO_DEVICE_VERSION 0x004
#define VIRTIO_MMIO_DEVICE_ID 0x008
#define VIRTIO_MMIO_DEVICE_FEATURES 0x010
#define VIRTIO_MMIO_DEVICE_FEATURES_SEL 0x014
#define VIRTIO_MMIO_DRIVER_FEATURES 0x020
#define VIRTIO_MMIO_DRIVER_FEATURES_SEL 0x024
#define VIRTIO_MMIO_GUEST_PAGE_SIZE 0x028 /* legacy */
#define VIRTIO_MMIO_QUEUE_SEL 0x030
#define VIRTIO_MMIO_QUEUE_SIZE_MAX 0x034
#define VIRTIO_MMIO_QUEUE_SIZE 0x038
#define VIRTIO_MMIO_QUEUE_ALIGN 0x03c /* legacy */
#define VIRTIO_MMIO_QUEUE_PFN 0x040   /* legacy */
#define VIRTIO_MMIO_QUEUE_READY 0x044
#define VIRTIO_MMIO_QUEUE_NOTIFY 0x050
#define VIRTIO_MMIO_INTERRUPT_STATUS 0x060
#define VIRTIO_MMIO_INTERRUPT_ACK 0x064
#define VIRTIO_MMIO_STATUS 0x070
#define VIRTIO_MMIO_QUEUE_DESC 0x080 /* low half; the high one follows, here and below */
#define VIRTIO_MMIO_QUEUE_DRIVER 0x090
#define VIRTIO_MMIO_QUEUE_DEVICE 0x0a0
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#define VIRTIO_MMIO_CONFIG_GENERATION 0x0fc
#define VIRTIO_MMIO_CONFIG 0x100

#define VIRTIO_MMIO_INTERRUPT_QUEUE 1
#define VIRTIO_MMIO_INTERRUPT_CONFIG 2

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

/* ---- 5.2: block ---- */
#define VIRTIO_BLK_F_BARRIER 0 /* legacy */
#define VIRTIO_BLK_F_SIZE_MAX 1
#define VIRTIO_BLK_F_SEG_MAX 2
#define VIRTIO_BLK_F_GEOMETRY 4
#define VIRTIO_BLK_F_RO 5
#define VIRTIO_BLK_F_BLK_SIZE 6
#define VIRTIO_BLK_F_SCSI 7 /* legacy */
#define VIRTIO_BLK_F_FLUSH 9
#define VIRTIO_BLK_F_TOPOLOGY 10
#define VIRTIO_BLK_F_CONFIG_WCE 11
#define VIRTIO_BLK_F_MQ 12
#define VIRTIO_BLK_F_DISCARD 13
#define VIRTIO_BLK_F_WRITE_ZEROES 14
#define VIRTIO_BLK_F_LIFETIME 15
#define VIRTIO_BLK_F_SECURE_ERASE 16
#define VIRTIO_BLK_F_ZONED 17

/* 5.2.4, up to the fields that a driver of reads, writes and flushes looks at. */
struct virtio_blk_config {
    le64 capacity; /* 512-byte sectors */
    le32 size_max;
    le32 seg_max;
    le16 cylinders;
    uint8_t heads;
    uint8_t sectors;
    le32 blk_size;
    uint8_t physical_block_exp;
    uint8_t alignment_offset;
    le16 min_io_size;
    le32 opt_io_size;
    uint8_t writeback;
    uint8_t unused0;
    le16 num_queues;
    le32 max_discard_sectors;
    le32 max_discard_seg;
    le32 discard_sector_alignment;
    le32 max_write_zeroes_sectors;
    le32 max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
    le32 max_secure_erase_sectors;
    le32 max_secure_erase_seg;
    le32 secure_erase_sector_alignment;
    struct {
        le32 zone_sectors;
        le32 max_open_zones;
        le32 max_active_zones;
        le32 max_append_sectors;
        le32 write_granularity; /* bytes */
        uint8_t model;
        uint8_t unused2[3];
    } zoned;
};
_Static_assert(offsetof(struct virtio_blk_config, zoned.model) == 92, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, secure_erase_sector_alignment) == 68, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, writeback) == 32, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, num_queues) == 34, "5.2.4");

#define VIRTIO_BLK_T_IN 0
#define VIRTIO_BLK_T_OUT 1
#define VIRTIO_BLK_T_FLUSH 4
#define VIRTIO_BLK_T_GET_ID 8
#define VIRTIO_BLK_T_GET_LIFETIME 10
#define VIRTIO_BLK_T_DISCARD 11
#define VIRTIO_BLK_T_WRITE_ZEROES 13
#define VIRTIO_BLK_T_SECURE_ERASE 14
#define VIRTIO_BLK_T_ZONE_APPEND 15
#define VIRTIO_BLK_T_ZONE_REPORT 16
#define VIRTIO_BLK_T_ZONE_OPEN 18
#define VIRTIO_BLK_T_ZONE_CLOSE 20
#define VIRTIO_BLK_T_ZONE_FINISH 22
#define VIRTIO_BLK_T_ZONE_RESET 24
#define VIRTIO_BLK_T_ZONE_RESET_ALL 26

/* 5.2.4: zoned.model. */
#define VIRTIO_BLK_Z_NONE 0
#define VIRTIO_BLK_Z_HM 1
#define VIRTIO_BLK_Z_HA 2

/* 5.2.6: the length of the data of GET_ID. */
#define VIRTIO_BLK_ID_BYTES 20

#define VIRTIO_BLK_S_OK 0
#define VIRTIO_BLK_S_IOERR 1
#define VIRTIO_BLK_S_UNSUPP 2
#define VIRTIO_BLK_S_ZONE_INVALID_CMD 3
#define VIRTIO_BLK_S_ZONE_UNALIGNED_WP 4
#define VIRTIO_BLK_S_ZONE_OPEN_RESOURCE 5
#define VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE 6

/* 5.2.6: what precedes the data; a status byte follows it. */
struct virtio_blk_req_header {
    le32 type;
    le32 reserved;
    le64 sector;
};
_Static_assert(sizeof(struct virtio_blk_req_header) == 16, "5.2.6");

/* 5.2.6: the data of DISCARD, WRITE_ZEROES and SECURE_ERASE. */
struct virtio_blk_range {
    le64 sector;
    le32 num_sectors;
    le32 flags;
};
_Static_assert(sizeof(struct virtio_blk_range) == 16, "5.2.6");
#define VIRTIO_BLK_RANGE_UNMAP 1u

/* 5.2.6: the data of ZONE_REPORT: this, and zones. */
struct virtio_blk_zone_report {
    le64 nr_zones;
    uint8_t reserved[56];
};
_Static_assert(sizeof(struct virtio_blk_zone_report) == 64, "5.2.6");

struct virtio_blk_zone_descriptor {
    le64 z_cap;
    le64 z_start;
    le64 z_wp;
    uint8_t z_type;
    uint8_t z_state;
    uint8_t reserved[38];
};
_Static_assert(sizeof(struct virtio_blk_zone_descriptor) == 64, "5.2.6");

/* 5.2.6: the data of GET_LIFETIME. */
struct virtio_blk_lifetime {
    le16 pre_eol_info;
    le16 device_lifetime_est_typ_a;
    le16 device_lifetime_est_typ_b;
};
_Static_assert(sizeof(struct virtio_blk_lifetime) == 6, "5.2.6");

/* ---- 5.3: console ---- */
#define VIRTIO_CONSOLE_F_SIZE 0
#define VIRTIO_CONSOLE_F_MULTIPORT 1
#define VIRTIO_CONSOLE_F_EMERG_WRITE 2

/* 5.3.4 */
struct virtio_console_config {
    le16 cols;
    le16 rows;
    le32 max_nr_ports;
    le32 emerg_wr;
};
_Static_assert(sizeof(struct virtio_console_config) == 12, "5.3.4");

/* 5.3.2: queues of port 0, of the control messages, and of port n > 0. */
#define VIRTIO_CONSOLE_CONTROL_RX 2
#define VIRTIO_CONSOLE_CONTROL_TX 3
#define VIRTIO_CONSOLE_PORT_RX(n) ((n) == 0 ? 0 : 2 * (n) + 2)
#define VIRTIO_CONSOLE_PORT_TX(n) ((n) == 0 ? 1 : 2 * (n) + 3)

/* 5.3.6.2: a control message; a name or a struct virtio_console_resize may follow. */
struct virtio_console_control {
    le32 id;
    le16 event;
    le16 value;
};
_Static_assert(sizeof(struct virtio_console_control) == 8, "5.3.6.2");
#define VIRTIO_CONSOLE_DEVICE_READY 0
#define VIRTIO_CONSOLE_DEVICE_ADD 1
#define VIRTIO_CONSOLE_DEVICE_REMOVE 2
#define VIRTIO_CONSOLE_PORT_READY 3
#define VIRTIO_CONSOLE_CONSOLE_PORT 4
#define VIRTIO_CONSOLE_RESIZE 5
#define VIRTIO_CONSOLE_PORT_OPEN 6
#define VIRTIO_CONSOLE_PORT_NAME 7

struct virtio_console_resize {
    le16 cols;
    le16 rows;
};
_Static_assert(sizeof(struct virtio_console_resize) == 4, "5.3.6.2");

/* ---- 5.5: memory balloon ---- */
#define VIRTIO_BALLOON_F_MUST_TELL_HOST 0
#define VIRTIO_BALLOON_F_STATS_VQ 1
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM 2
#define VIRTIO_BALLOON_F_FREE_PAGE_HINT 3
#define VIRTIO_BALLOON_F_PAGE_POISON 4
#define VIRTIO_BALLOON_F_PAGE_REPORTING 5

/* 5.5.4 */
struct virtio_balloon_config {
    le32 num_pages;
    le32 actual;
    le32 free_page_hint_cmd_id;
    le32 poison_val;
};
_Static_assert(sizeof(struct virtio_balloon_config) == 16, "5.5.4");

/* 5.5.6: what num_pages, actual and the numbers in a request count, whatever the driver's pages. */
#define VIRTIO_BALLOON_PFN_SHIFT 12

/* 5.5.6.3 */
struct virtio_balloon_stat {
    le16 tag;
    le64 val;
} __attribute__((packed));
_Static_assert(sizeof(struct virtio_balloon_stat) == 10, "5.5.6.3");
#define VIRTIO_BALLOON_S_MEMFREE 4
#define VIRTIO_BALLOON_S_MEMTOT 5
#define VIRTIO_BALLOON_S_AVAIL 6

/* ---- 5.6: SCSI host ---- */
#define VIRTIO_SCSI_F_INOUT 0
#define VIRTIO_SCSI_F_HOTPLUG 1
#define VIRTIO_SCSI_F_CHANGE 2
#define VIRTIO_SCSI_F_T10_PI 3

/* 5.6.2; the control queue is number 0. */
#define VIRTIO_SCSI_QUEUE_EVENT 1
#define VIRTIO_SCSI_QUEUE_REQUEST 2

/* 5.6.4 */
struct virtio_scsi_config {
    le32 num_queues;
    le32 seg_max;
    le32 max_sectors;
    le32 cmd_per_lun;
    le32 event_info_size;
    le32 sense_size;
    le32 cdb_size;
    le16 max_channel;
    le16 max_target;
    le32 max_lun;
};
_Static_assert(sizeof(struct virtio_scsi_config) == 36, "5.6.4");

/* 5.6.4: what sense_size and cdb_size are after a reset. */
#define VIRTIO_SCSI_SENSE_SIZE 96
#define VIRTIO_SCSI_CDB_SIZE 32

/* 5.6.6.1: what the device reads before the data that it reads. */
struct virtio_scsi_req_cmd {
    uint8_t lun[8];
    le64 id;
    uint8_t task_attr;
    uint8_t prio;
    uint8_t crn;
    uint8_t cdb[VIRTIO_SCSI_CDB_SIZE];
} __attribute__((packed));
_Static_assert(sizeof(struct virtio_scsi_req_cmd) == 51, "5.6.6.1");

/* 5.6.6.1: what the device writes before the data that it writes. */
struct virtio_scsi_resp_cmd {
    le32 sense_len;
    le32 residual;
    le16 status_qualifier;
    uint8_t status;
    uint8_t response;
    uint8_t sense[VIRTIO_SCSI_SENSE_SIZE];
};
_Static_assert(sizeof(struct virtio_scsi_resp_cmd) == 108, "5.6.6.1");

#define VIRTIO_SCSI_S_SIMPLE 0

#define VIRTIO_SCSI_S_OK 0
#define VIRTIO_SCSI_S_OVERRUN 1
#define VIRTIO_SCSI_S_ABORTED 2
#define VIRTIO_SCSI_S_BAD_TARGET 3
#define VIRTIO_SCSI_S_RESET 4
#define VIRTIO_SCSI_S_BUSY 5
#define VIRTIO_SCSI_S_TRANSPORT_FAILURE 6
#define VIRTIO_SCSI_S_TARGET_FAILURE 7
#define VIRTIO_SCSI_S_NEXUS_FAILURE 8
#define VIRTIO_SCSI_S_FAILURE 9
#define VIRTIO_SCSI_S_INCORRECT_LUN 12

/* 5.6.6.3 */
struct virtio_scsi_event {
    le32 event;
    uint8_t lun[8];
    le32 reason;
};
_Static_assert(sizeof(struct virtio_scsi_event) == 16, "5.6.6.3");

#define VIRTIO_SCSI_T_EVENTS_MISSED 0x80000000u
#define VIRTIO_SCSI_T_NO_EVENT 0
#define VIRTIO_SCSI_T_TRANSPORT_RESET 1
#define VIRTIO_SCSI_T_ASYNC_NOTIFY 2
#define VIRTIO_SCSI_T_PARAM_CHANGE 3
#define VIRTIO_SCSI_EVT_RESET_HARD 0
#define VIRTIO_SCSI_EVT_RESET_RESCAN 1
#define VIRTIO_SCSI_EVT_RESET_REMOVED 2

/* ---- input (5.8) ---- */
#define VIRTIO_INPUT_Q_EVENT 0
#define VIRTIO_INPUT_Q_STATUS 1

#define VIRTIO_INPUT_CFG_UNSET 0x00
#define VIRTIO_INPUT_CFG_ID_NAME 0x01
#define VIRTIO_INPUT_CFG_ID_SERIAL 0x02
#define VIRTIO_INPUT_CFG_ID_DEVIDS 0x03
#define VIRTIO_INPUT_CFG_PROP_BITS 0x10
#define VIRTIO_INPUT_CFG_EV_BITS 0x11
#define VIRTIO_INPUT_CFG_ABS_INFO 0x12

struct virtio_input_absinfo {
    le32 min;
    le32 max;
    le32 fuzz;
    le32 flat;
    le32 res;
};

struct virtio_input_devids {
    le16 bustype;
    le16 vendor;
    le16 product;
    le16 version;
};

struct virtio_input_config {
    uint8_t select;
    uint8_t subsel;
    uint8_t size; /* of what was selected; 0: the device has no such thing */
    uint8_t reserved[5];
    union {
        char string[128];
        uint8_t bitmap[128];
        struct virtio_input_absinfo abs;
        struct virtio_input_devids ids;
    } u;
};
_Static_assert(sizeof(struct virtio_input_config) == 136, "5.8.4");

struct virtio_input_event {
    le16 type;
    le16 code;
    le32 value;
};
_Static_assert(sizeof(struct virtio_input_event) == 8, "5.8.6");

/* ---- sockets (5.10) ---- */
#define VIRTIO_VSOCK_F_STREAM 0
#define VIRTIO_VSOCK_F_SEQPACKET 1
#define VIRTIO_VSOCK_F_NO_IMPLIED_STREAM 2

#define VIRTIO_VSOCK_Q_RX 0
#define VIRTIO_VSOCK_Q_TX 1
#define VIRTIO_VSOCK_Q_EVENT 2

struct virtio_vsock_config {
    le64 guest_cid; /* its upper half is zero */
};
_Static_assert(sizeof(struct virtio_vsock_config) == 8, "5.10.4");

/* What every packet begins with. */
struct virtio_vsock_hdr {
    le64 src_cid;
    le64 dst_cid;
    le32 src_port;
    le32 dst_port;
    le32 len; /* bytes that follow */
    le16 type;
    le16 op;
    le32 flags;
    le32 buf_alloc; /* all that the sender's buffer for this connection holds ... */
    le32 fwd_cnt;   /* ... and how much was taken out of it since the beginning */
} __attribute__((packed));
_Static_assert(sizeof(struct virtio_vsock_hdr) == 44, "5.10.6");

#define VIRTIO_VSOCK_TYPE_STREAM 1
#define VIRTIO_VSOCK_TYPE_SEQPACKET 2

#define VIRTIO_VSOCK_OP_REQUEST 1
#define VIRTIO_VSOCK_OP_RESPONSE 2
#define VIRTIO_VSOCK_OP_RST 3
#define VIRTIO_VSOCK_OP_SHUTDOWN 4
#define VIRTIO_VSOCK_OP_RW 5
#define VIRTIO_VSOCK_OP_CREDIT_UPDATE 6
#define VIRTIO_VSOCK_OP_CREDIT_REQUEST 7

/* Flags of SHUTDOWN: its sender will receive, or send, no more. */
#define VIRTIO_VSOCK_SHUTDOWN_RECEIVE 1u
#define VIRTIO_VSOCK_SHUTDOWN_SEND 2u
#define VIRTIO_VSOCK_SHUTDOWN_BOTH 3u

/* Flags of RW packets of SEQPACKET: their last byte is the last of a message, and of a record. */
#define VIRTIO_VSOCK_SEQ_EOM 1u
#define VIRTIO_VSOCK_SEQ_EOR 2u

struct virtio_vsock_event {
    le32 id;
};
#define VIRTIO_VSOCK_EVENT_TRANSPORT_RESET 0

/* ---- file system (5.11) ---- */
#define VIRTIO_FS_F_NOTIFICATION 0

#define VIRTIO_FS_Q_HIPRIO 0
/* Without NOTIFICATION, whose queue would come before it. */
#define VIRTIO_FS_Q_REQUEST 1
#define VIRTIO_FS_TAG_SIZE 36

struct virtio_fs_config {
    uint8_t tag[VIRTIO_FS_TAG_SIZE]; /* ends in NULs unless it fills the field */
    le32 num_request_queues;
    le32 notify_buf_size; /* with NOTIFICATION */
};
_Static_assert(sizeof(struct virtio_fs_config) == 44, "5.11.4");

/* ---- 9P: the specification reserves the number only; this is what devices do ---- */
#define VIRTIO_9P_F_MOUNT_TAG 0

struct virtio_9p_config {
    le16 tag_len;
    uint8_t tag[]; /* no NUL at its end */
};
_Static_assert(offsetof(struct virtio_9p_config, tag) == 2, "the tag follows its length");

#endif
