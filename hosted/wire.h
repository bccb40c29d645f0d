/*
 * wire.h - the numbers of the VIRTIO specification as the model device sees them, written out a
 * second time on purpose.
 *
 * The driver's copy is virtio/spec.h. A slip in one of the two makes the two sides disagree and a
 * test fail; a shared header would hide it. Only what the model uses is here. Offsets: 2.7 for
 * rings, 4.1.4 for PCI, 5.1 network, 5.2 block.
 */
#ifndef FERRULE_HOSTED_WIRE_H
#define FERRULE_HOSTED_WIRE_H

#include <stdint.h>

/* 2.1 */
enum {
    ST_ACKNOWLEDGE = 1,
    ST_DRIVER = 2,
    ST_DRIVER_OK = 4,
    ST_FEATURES_OK = 8,
    ST_NEEDS_RESET = 64,
    ST_FAILED = 128
};

/* 6 */
enum {
    F_ANY_LAYOUT = 27,
    F_INDIRECT_DESC = 28,
    F_EVENT_IDX = 29,
    F_VERSION_1 = 32,
    F_ACCESS_PLATFORM = 33,
    F_RING_PACKED = 34,
    F_IN_ORDER = 35,
    F_ORDER_PLATFORM = 36,
    F_NOTIFICATION_DATA = 38,
    F_NOTIF_CONFIG_DATA = 39,
    F_RING_RESET = 40
};

/* 2.7.5: addr u64, len u32, flags u16, next u16 */
struct wire_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

/* 2.8.13: addr u64, len u32, id u16, flags u16; flags as above, and two bits more */
struct wire_packed_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t id, flags;
};
enum { DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };

/* 2.8.14: what an event suppression structure asks for; bit 15 of off_wrap is the wrap counter */
struct wire_events {
    uint16_t off_wrap, flags;
};
enum { EVENTS_ON = 0, EVENTS_OFF = 1, EVENTS_AT = 2 };

/* 4.1.4 */
enum {
    CAP_COMMON = 1,
    CAP_NOTIFY = 2,
    CAP_ISR = 3,
    CAP_DEVICE = 4,
    CAP_PCI = 5,
    CAP_SHARED_MEMORY = 8,
    CAP_VENDOR = 9
};

/* 4.1.4.3: the common configuration structure */
enum {
    CC_DEVICE_FEATURE_SELECT = 0x00,
    CC_DEVICE_FEATURE = 0x04,
    CC_DRIVER_FEATURE_SELECT = 0x08,
    CC_DRIVER_FEATURE = 0x0c,
    CC_CONFIG_MSIX_VECTOR = 0x10,
    CC_NUM_QUEUES = 0x12,
    CC_DEVICE_STATUS = 0x14,
    CC_CONFIG_GENERATION = 0x15,
    CC_QUEUE_SELECT = 0x16,
    CC_QUEUE_SIZE = 0x18,
    CC_QUEUE_MSIX_VECTOR = 0x1a,
    CC_QUEUE_ENABLE = 0x1c,
    CC_QUEUE_NOTIFY_OFF = 0x1e,
    CC_QUEUE_DESC = 0x20,
    CC_QUEUE_DRIVER = 0x28,
    CC_QUEUE_DEVICE = 0x30,
    CC_LENGTH = 0x38, /* of the structure, unless a feature needs more */
    CC_QUEUE_NOTIF_CONFIG_DATA = 0x38,
    CC_QUEUE_RESET = 0x3a,
    CC_LENGTH_WITH_NOTIF_CONFIG = 0x3c,
    CC_LENGTH_WITH_QUEUE_RESET = 0x3c
};
enum { NO_VECTOR = 0xffff, ISR_QUEUE = 1, ISR_CONFIG = 2 };

/* 4.1.4.10: the legacy interface over PCI, in I/O ports */
enum {
    LP_DEVICE_FEATURES = 0x00,
    LP_DRIVER_FEATURES = 0x04,
    LP_QUEUE_ADDRESS = 0x08,
    LP_QUEUE_SIZE = 0x0c,
    LP_QUEUE_SELECT = 0x0e,
    LP_QUEUE_NOTIFY = 0x10,
    LP_DEVICE_STATUS = 0x12,
    LP_ISR_STATUS = 0x13,
    LP_CONFIG_VECTOR = 0x14,
    LP_QUEUE_VECTOR = 0x16,
    LP_CONFIG = 0x14,
    LP_CONFIG_MSIX = 0x18,
};
enum { LEGACY_PAGE = 4096 };

/* 4.2.2, 4.2.4 */
enum {
    MM_MAGIC = 0x000,
    MM_VERSION = 0x004,
    MM_DEVICE_ID = 0x008,
    MM_VENDOR_ID = 0x00c,
    MM_DEVICE_FEATURES = 0x010,
    MM_DEVICE_FEATURES_SEL = 0x014,
    MM_DRIVER_FEATURES = 0x020,
    MM_DRIVER_FEATURES_SEL = 0x024,
    MM_GUEST_PAGE_SIZE = 0x028,
    MM_QUEUE_SEL = 0x030,
    MM_QUEUE_SIZE_MAX = 0x034,
    MM_QUEUE_SIZE = 0x038,
    MM_QUEUE_ALIGN = 0x03c,
    MM_QUEUE_PFN = 0x040,
    MM_QUEUE_READY = 0x044,
    MM_QUEUE_NOTIFY = 0x050,
    MM_INTERRUPT_STATUS = 0x060,
    MM_INTERRUPT_ACK = 0x064,
    MM_STATUS = 0x070,
    MM_QUEUE_DESC = 0x080,
    MM_QUEUE_DRIVER = 0x090,
    MM_QUEUE_DEVICE = 0x0a0,
    MM_QUEUE_RESET = 0x0c0,
    MM_CONFIG_GENERATION = 0x0fc,
    MM_CONFIG = 0x100,
};

/* 5.1 */
enum {
    NET_F_CSUM = 0,
    NET_F_GUEST_CSUM = 1,
    NET_F_CTRL_GUEST_OFFLOADS = 2,
    NET_F_MTU = 3,
    NET_F_MAC = 5,
    NET_F_GUEST_TSO4 = 7,
    NET_F_GUEST_TSO6 = 8,
    NET_F_GUEST_ECN = 9,
    NET_F_GUEST_UFO = 10,
    NET_F_HOST_TSO4 = 11,
    NET_F_HOST_TSO6 = 12,
    NET_F_HOST_ECN = 13,
    NET_F_HOST_UFO = 14,
    NET_F_MRG_RXBUF = 15,
    NET_F_STATUS = 16,
    NET_F_CTRL_VQ = 17,
    NET_F_CTRL_RX = 18,
    NET_F_CTRL_VLAN = 19,
    NET_F_CTRL_RX_EXTRA = 20,
    NET_F_GUEST_ANNOUNCE = 21,
    NET_F_MQ = 22,
    NET_F_CTRL_MAC_ADDR = 23,
    NET_F_VQ_NOTF_COAL = 52,
    NET_F_NOTF_COAL = 53,
    NET_F_GUEST_USO4 = 54,
    NET_F_GUEST_USO6 = 55,
    NET_F_HOST_USO = 56,
    NET_F_HASH_REPORT = 57,
    NET_F_GUEST_HDRLEN = 59,
    NET_F_RSS = 60,
    NET_F_SPEED_DUPLEX = 63
};
enum {
    NET_GSO_NONE = 0,
    NET_GSO_TCPV4 = 1,
    NET_GSO_UDP = 3,
    NET_GSO_TCPV6 = 4,
    NET_GSO_UDP_L4 = 5,
    NET_GSO_ECN = 0x80
};
enum { NET_NEEDS_CSUM = 1, NET_DATA_VALID = 2 };
struct wire_net_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
    /* With HASH_REPORT. */
    uint32_t hash_value;
    uint16_t hash_report, padding;
};
#define WIRE_NET_HDR_SIZE offsetof(struct wire_net_hdr, hash_value)

/* 5.2 */
enum {
    BLK_F_SIZE_MAX = 1,
    BLK_F_SEG_MAX = 2,
    BLK_F_GEOMETRY = 4,
    BLK_F_RO = 5,
    BLK_F_BLK_SIZE = 6,
    BLK_F_FLUSH = 9,
    BLK_F_TOPOLOGY = 10,
    BLK_F_CONFIG_WCE = 11,
    BLK_F_MQ = 12,
    BLK_F_DISCARD = 13,
    BLK_F_WRITE_ZEROES = 14,
    BLK_F_LIFETIME = 15,
    BLK_F_SECURE_ERASE = 16,
    BLK_F_ZONED = 17
};
enum {
    BLK_T_IN = 0,
    BLK_T_OUT = 1,
    BLK_T_FLUSH = 4,
    BLK_T_GET_ID = 8,
    BLK_T_GET_LIFETIME = 10,
    BLK_T_DISCARD = 11,
    BLK_T_WRITE_ZEROES = 13,
    BLK_T_SECURE_ERASE = 14,
    BLK_T_ZONE_APPEND = 15,
    BLK_T_ZONE_REPORT = 16,
    BLK_T_ZONE_OPEN = 18,
    BLK_T_ZONE_CLOSE = 20,
    BLK_T_ZONE_FINISH = 22,
    BLK_T_ZONE_RESET = 24,
    BLK_T_ZONE_RESET_ALL = 26
};
struct wire_blk_range {
    uint64_t sector;
    uint32_t sectors, flags;
};
enum {
    BLK_S_OK = 0,
    BLK_S_IOERR = 1,
    BLK_S_UNSUPP = 2,
    BLK_S_ZONE_INVALID_CMD = 3,
    BLK_S_ZONE_UNALIGNED_WP = 4,
    BLK_S_ZONE_OPEN_RESOURCE = 5,
    BLK_S_ZONE_ACTIVE_RESOURCE = 6
};
/* The head of a report is as long as a zone in it. */
struct wire_blk_zone {
    uint64_t capacity, start, pointer;
    uint8_t type, state, reserved[38];
};
enum { BLK_ZONED_NONE = 0, BLK_ZONED_HOST_MANAGED = 1, BLK_ZONED_HOST_AWARE = 2 };
enum { ZONE_CONVENTIONAL = 1, ZONE_SEQUENTIAL = 2, ZONE_PREFERRED = 3 };
enum {
    ZONE_NO_POINTER = 0,
    ZONE_EMPTY = 1,
    ZONE_OPEN = 2,
    ZONE_OPEN_EXPLICITLY = 3,
    ZONE_CLOSED = 4,
    ZONE_READ_ONLY = 13,
    ZONE_FULL = 14,
    ZONE_OFFLINE = 15
};
struct wire_blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

/* 5.3 */
enum { CONSOLE_F_SIZE = 0, CONSOLE_F_MULTIPORT = 1, CONSOLE_F_EMERG_WRITE = 2 };
enum {
    CONSOLE_DEVICE_READY = 0,
    CONSOLE_DEVICE_ADD = 1,
    CONSOLE_DEVICE_REMOVE = 2,
    CONSOLE_PORT_READY = 3,
    CONSOLE_CONSOLE_PORT = 4,
    CONSOLE_RESIZE = 5,
    CONSOLE_PORT_OPEN = 6,
    CONSOLE_PORT_NAME = 7,
};
struct wire_console_control {
    uint32_t id;
    uint16_t event, value;
};

/* 5.5 */
enum {
    BALLOON_F_MUST_TELL_HOST = 0,
    BALLOON_F_STATS_VQ = 1,
    BALLOON_F_DEFLATE_ON_OOM = 2,
    BALLOON_F_FREE_PAGE_HINT = 3,
    BALLOON_F_PAGE_POISON = 4,
    BALLOON_F_PAGE_REPORTING = 5,
};
enum { BALLOON_STAT_BYTES = 10 };

/* 5.10 */
enum { VSOCK_F_STREAM = 0, VSOCK_F_SEQPACKET = 1, VSOCK_F_NO_IMPLIED_STREAM = 2 };
enum { VSOCK_STREAM = 1, VSOCK_SEQPACKET = 2 };
enum {
    VSOCK_REQUEST = 1,
    VSOCK_RESPONSE = 2,
    VSOCK_RST = 3,
    VSOCK_SHUTDOWN = 4,
    VSOCK_RW = 5,
    VSOCK_CREDIT_UPDATE = 6,
    VSOCK_CREDIT_REQUEST = 7,
};
enum { VSOCK_EOM = 1, VSOCK_EOR = 2 };
struct wire_vsock_header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
};
enum { WIRE_VSOCK_HEADER = 44 }; /* the structure has padding behind that */

#endif
