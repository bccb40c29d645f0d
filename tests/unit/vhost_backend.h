/*
 * vhost_backend.h - a vhost-user back end in a thread of the test, which may break the protocol at
 * any message.
 *
 * It keeps the buffers of one split ring, or uses them all. Rings are in the same process, so the
 * front end's addresses are good as they are. Read hosted/vhost_user.h for the other side.
 */
#ifndef FERRULE_TESTS_VHOST_BACKEND_H
#define FERRULE_TESTS_VHOST_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hosted/vhost_user_wire.h"

enum lie {
    LIE_NONE,
    LIE_VERSION, /* an answer of another version ... */
    LIE_NO_ANSWER_FLAG,
    LIE_OTHER_REQUEST,
    LIE_SIZE, /* ... that says to be larger than it may be */
    LIE_HALF, /* ... of which the rest never comes */
    LIE_CLOSE,
    LIE_SILENCE,
    LIE_REFUSAL,    /* REPLY_ACK: it did not do it */
    LIE_NONSENSE,   /* an answer with a wrong content */
    LIE_OTHER_PART, /* of the configuration than was asked for */
};

struct vhost_backend {
    /* Set before vhost_backend_start(). */
    enum vhost_user_request lie_at;
    enum lie lie;
    uint64_t protocol; /* features offered */
    uint8_t config[VHOST_USER_CONFIG_MAX];

    char path[64];
    pthread_t thread;
    int listener, connection, backend_fd, kick, call, inflight_fd;
    volatile bool stop, use_buffers; /* else they are kept */
    volatile bool invent_buffers;    /* those that it uses nobody gave */
    volatile unsigned connections, kicks;
    unsigned inflight_set; /* SET_INFLIGHT_FD with the file that GET_INFLIGHT_FD gave */
    uint32_t base;
    uint64_t status;
    struct vhost_user_vring_addr ring;
    uint32_t ring_size;
};

void vhost_backend_start(struct vhost_backend *backend);
void vhost_backend_finish(struct vhost_backend *backend);

/* Closes the connection as a dying process would, and takes a new one. */
void vhost_backend_drop(struct vhost_backend *backend);

/* Says on its own channel that the configuration has changed. 0, or it could not. */
int vhost_backend_change_config(struct vhost_backend *backend);

/* Sends a message that nobody asked for: on its own channel, or where answers are expected. */
int vhost_backend_speak(struct vhost_backend *backend, bool own_channel, uint32_t request,
                        uint32_t flags, uint32_t size);

#endif
