/*
 * vhost_user_impl.h - what the files of the vhost-user front end share, and nobody else:
 * vhost_user.c (the transport's operations) and vhost_user_session.c (what is said to a back end).
 *
 * The public side is vhost_user.h.
 */
#ifndef FERRULE_HOSTED_VHOST_USER_IMPL_H
#define FERRULE_HOSTED_VHOST_USER_IMPL_H

#include "hosted/vhost_user.h"
#include "hosted/vhost_user_link.h"

/* What a front end must know of a type of device, since the back end does not say it. */
struct vhost_user_kind {
    uint16_t type;
    uint16_t rings_each;    /* rings that GET_QUEUE_NUM counts as one queue */
    uint32_t config_length; /* what every back end has of the configuration, with F_CONFIG */
    struct virtio_features front_end; /* features that a front end would have to serve */
};

struct vhost_user_queue {
    struct virtqueue *vq; /* NULL: the back end does not have it */
    int kick, call;       /* eventfds, -1 until the queue is first enabled */
};

struct vhost_user {
    struct virtio_device device; /* first, so that one pointer is both */
    const struct vhost_user_kind *kind;
    struct vhost_user_link link;
    struct virtio_features withheld;
    char path[108], name[120];
    int backend_fd;                    /* the socket for the back end's own requests, -1: none */
    volatile bool lost, backend_spoke; /* set in interrupt context */
    unsigned connections;
    uint64_t offered;  /* by the back end, with the protocol's own bits */
    uint64_t protocol; /* features in use */
    uint8_t status;    /* as the driver wrote it */
    uint16_t queue_size, queue_limit, queue_count;
    bool prepared; /* the back end knows memory and, if it wants, requests in flight */
    struct vhost_user_queue queue[VIRTIO_MAX_QUEUES];

    uint8_t config[VHOST_USER_CONFIG_MAX];
    uint32_t generation;

    struct vhost_user_inflight inflight;
    int inflight_fd; /* -1: the back end keeps no track */
};

static inline struct vhost_user *to_vhost(struct virtio_device *device)
{
    return (struct vhost_user *)device;
}

static inline bool vhost_user_has(const struct vhost_user *vhost, unsigned protocol_feature)
{
    return vhost->protocol >> protocol_feature & 1;
}

/*
 * All return 0 or a negative errno, after which the connection is closed.
 *
 * session_open: connects and agrees on protocol features; nothing may be connected.
 * session_close: forgets the connection and what the back end was told.
 * session_features: what the driver accepted.
 * session_queue: tells the back end of a queue; with the first one, of memory.
 * session_stop: the back end lets go of every queue.
 * session_resume: connects again and hands over the same queues, with their requests in flight.
 * session_read_config: the device configuration, all of it.
 * session_listen: reads what the back end asked of its own accord.
 */
int vhost_user_session_open(struct vhost_user *vhost);
void vhost_user_session_close(struct vhost_user *vhost);
int vhost_user_session_features(struct vhost_user *vhost);
int vhost_user_session_queue(struct vhost_user *vhost, unsigned index, bool resumed);
int vhost_user_session_stop(struct vhost_user *vhost);
int vhost_user_session_resume(struct vhost_user *vhost);
int vhost_user_session_read_config(struct vhost_user *vhost);
void vhost_user_session_listen(struct vhost_user *vhost);

/* Can a lost connection be resumed without the driver's knowing? */
bool vhost_user_can_resume(const struct vhost_user *vhost);

#endif
