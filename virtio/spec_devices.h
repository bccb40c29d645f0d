/*
 * spec_devices.h - the part of the VIRTIO specification about consoles, balloons, input devices,
 * sockets, file systems and 9P (5.3, 5.5, 5.8, 5.10, 5.11): constants and wire structures, as spec.h
 * has them. Read that first.
 */
#ifndef FERRULE_VIRTIO_SPEC_DEVICES_H
#define FERRULE_VIRTIO_SPEC_DEVICES_H

#include "virtio/spec.h"

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
