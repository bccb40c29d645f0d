/*
 * vhost_user_wire.h - the vhost-user protocol as it lies on the socket: numbers and structures, no
 * logic.
 *
 * Names follow the protocol's document ("Vhost-user Protocol", part of QEMU's documentation), with
 * its words front end and back end. All values are in the machine's byte order. Used by
 * vhost_user_link.c and vhost_user.c; read those next.
 */
#ifndef FERRULE_HOSTED_VHOST_USER_WIRE_H
#define FERRULE_HOSTED_VHOST_USER_WIRE_H

#include <stdint.h>

/* Requests of the front end. */
enum vhost_user_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_SET_BACKEND_REQ_FD = 21,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_GET_INFLIGHT_FD = 31,
    VHOST_USER_SET_INFLIGHT_FD = 32,
    VHOST_USER_RESET_DEVICE = 34,
    VHOST_USER_SET_STATUS = 39,
    VHOST_USER_GET_STATUS = 40,
    VHOST_USER_REQUESTS
};

/* Requests of the back end, on a socket of their own. */
enum vhost_user_backend_request { VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2 };

/* Bits among the virtio features that belong to the protocol and not to the device. */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Bits of the protocol features. */
#define VHOST_USER_PROTOCOL_F_MQ 0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ 5
#define VHOST_USER_PROTOCOL_F_CONFIG 9
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD 12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE 13
#define VHOST_USER_PROTOCOL_F_STATUS 16

#define VHOST_USER_VERSION 1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_FLAG_REPLY 4u
#define VHOST_USER_FLAG_NEED_REPLY 8u

struct vhost_user_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of the payload that follows */
};

/* A ring and a number: its size, or where it stands. */
struct vhost_user_vring_state {
    uint32_t index;
    uint32_t num;
};

/* With the packed layout a ring stands at two offsets, 15 bits and a wrap counter each. */
#define VHOST_USER_PACKED_START 0x80008000u

struct vhost_user_vring_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t descriptor, used, available; /* as the front end sees them */
    uint64_t log;
};

struct vhost_user_memory_region {
    uint64_t guest_address; /* what descriptors hold */
    uint64_t size;
    uint64_t user_address; /* what SET_VRING_ADDR holds */
    uint64_t mmap_offset;
};

struct vhost_user_memory {
    uint32_t count;
    uint32_t padding;
    struct vhost_user_memory_region region[1];
};

#define VHOST_USER_CONFIG_MAX 256u

struct vhost_user_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
    uint8_t data[VHOST_USER_CONFIG_MAX];
};
#define VHOST_USER_CONFIG_HEADER 12u

struct vhost_user_inflight {
    uint64_t mmap_size;
    uint64_t mmap_offset;
    uint16_t queues;
    uint16_t queue_size;
    uint32_t padding;
};
/* The padding is ours: it is not sent. */
#define VHOST_USER_INFLIGHT_SIZE 20u

_Static_assert(sizeof(struct vhost_user_header) == 12, "header");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vring address");
_Static_assert(sizeof(struct vhost_user_memory) == 40, "memory table with one region");

#endif
