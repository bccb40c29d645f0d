/*
 * vhost_user_link.h - the socket to a vhost-user back end: one message at a time, checked, and each
 * within a time limit.
 *
 * Owns the connection and nothing of a device. Whatever goes wrong is logged once with the back
 * end's name and the message's, and closes the connection: half of a conversation is worth nothing.
 * Read vhost_user_wire.h first, vhost_user.c next.
 */
#ifndef FERRULE_HOSTED_VHOST_USER_LINK_H
#define FERRULE_HOSTED_VHOST_USER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "hosted/vhost_user_wire.h"

struct vhost_user_link {
    const char *path; /* of the back end's socket; must outlive the link */
    int fd;           /* -1: not connected */
    unsigned timeout_ms;
    bool reply_ack; /* REPLY_ACK was negotiated: every request is answered */
};

/*
 * Connects, trying again until the time limit while nobody listens. 0, -ETIMEDOUT or what connect()
 * said; logged.
 */
int vhost_user_link_open(struct vhost_user_link *link);

/* Makes a changed timeout_ms the limit of the connection that there is. */
void vhost_user_link_apply_timeout(const struct vhost_user_link *link);

void vhost_user_link_close(struct vhost_user_link *link);

/*
 * Sends a request with `size` bytes of payload and, unless `fd` is -1, a file. With REPLY_ACK waits
 * until the back end said that it did it. 0; -EPROTO: the answer made no sense, or was no;
 * -ETIMEDOUT; -ENOTCONN.
 */
int vhost_user_link_send(struct vhost_user_link *link, enum vhost_user_request request,
                         const void *payload, uint32_t size, int fd);

/*
 * Sends a request and waits for its answer of exactly `reply_size` bytes. `fd` may be NULL; else
 * the file that came along, which is the caller's to close, or -1.
 */
int vhost_user_link_ask(struct vhost_user_link *link, enum vhost_user_request request,
                        const void *payload, uint32_t size, void *reply, uint32_t reply_size,
                        int *fd);

#endif
