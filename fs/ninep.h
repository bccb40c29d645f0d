/*
 * ninep.h - directories of the host, reached by the 9P2000.L protocol, as one of the file systems
 * behind fs.h.
 *
 * Owns the contract between the protocol's client and what carries its messages: a virtio device
 * (virtio_9p.h), or a test. The client has one request at a time under way. Read ninep_rpc.c next
 * for messages, then ninep.c for paths.
 */
#ifndef FERRULE_FS_NINEP_H
#define FERRULE_FS_NINEP_H

#include <stdint.h>

#include "fs/fs.h"

/* Room for the longest request but its data, and for the longest answer but Rread's data. */
#define NINEP_REQUEST_SIZE 4096u
#define NINEP_REPLY_SIZE 8192u

/* One request and its answer. The memory is the other side's until exchange() returns. */
struct ninep_exchange {
    uint32_t request_len; /* bytes of the transport's `request` */
    const void *data;     /* follows them on the wire, when data_len is not 0: Twrite's data */
    uint32_t data_len;
    /*
     * When room_len is not 0 only the answer's first P9_READ_HEADER_SIZE bytes go to the
     * transport's `reply`, and the rest goes here: Rread's data.
     */
    void *room;
    uint32_t room_len;
    uint32_t reply_len; /* set by exchange(): bytes that the other side says it wrote */
};

struct ninep_transport {
    const char *tag;          /* what the share is called: for log lines and mount points */
    uint8_t *request, *reply; /* of the sizes above */
    unsigned resets;          /* grows whenever the other side has forgotten every fid */
    /*
     * Sends the request and waits for the answer, for a bounded time. 0; -EIO: there will be none,
     * and nothing is written to our memory any more; -EFAULT: nothing was sent, since data or room
     * lie where the other side cannot reach them. Loop context. Work: one request of four pieces,
     * one answer, a turn of the wait for each interrupt, and a reset besides.
     */
    int (*exchange)(struct ninep_transport *transport, struct ninep_exchange *exchange);
    void *driver; /* the transport's own */
};

extern const struct fs_ops ninep_ops;

/*
 * Attaches to the share's root, and makes *volume for fs_mount() with ninep_ops. The transport must
 * outlive the volume. Logs one line: what was attached, or why not. -ENOTSUP: the other side speaks
 * another protocol; -EIO: it does not answer, or nonsense; -ENOMEM; or what it refused with.
 */
int ninep_mount(struct ninep_transport *transport, void **volume);

#endif
