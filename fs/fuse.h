/*
 * fuse.h - directories of the host, reached by the FUSE protocol, as one of the file systems behind
 * fs.h.
 *
 * Owns the contract between the protocol's client and what carries its messages: a virtio device
 * (virtio_fs.h), or a test. The client has one request at a time under way. Read fuse_rpc.c next
 * for messages, then fuse.c for paths.
 */
#ifndef FERRULE_FS_FUSE_H
#define FERRULE_FS_FUSE_H

#include <stdint.h>

#include "fs/fs.h"

/* Room for the longest request but its data, and for the longest answer but READ's data. */
#define FUSE_REQUEST_SIZE 4096u
#define FUSE_REPLY_SIZE 8192u

/* One request and its answer. The memory is the other side's until exchange() returns. */
struct fuse_exchange {
    uint32_t request_len; /* bytes of the transport's `request` */
    const void *data;     /* follows them, when data_len is not 0: WRITE's data */
    uint32_t data_len;
    /*
     * When room_len is not 0 only the answer's header goes to the transport's `reply`, and the rest
     * goes here: READ's data.
     */
    void *room;
    uint32_t room_len;
    uint32_t reply_len; /* set by exchange(): bytes that the other side says it wrote */
};

struct fuse_transport {
    const char *tag;          /* what the share is called: for log lines and mount points */
    uint8_t *request, *reply; /* of the sizes above; aligned for any whole number */
    unsigned resets;          /* grows whenever the other side was reset */
    /*
     * Sends the request and waits for the answer, for a bounded time. 0; -EIO: there will be none,
     * and nothing is written to our memory any more; -EFAULT: nothing was sent, since data or room
     * lie where the other side cannot reach them. Loop context. Work: as in ninep.h.
     */
    int (*exchange)(struct fuse_transport *transport, struct fuse_exchange *exchange);
    /*
     * Sends a request that has no answer: `len` bytes, at most FUSE_FORGET_SIZE, copied. -EIO as
     * above. It may overtake nothing that exchange() has returned from, and nothing waits for it.
     * Work: takes back at most all of those that the other side may have.
     */
    int (*post)(struct fuse_transport *transport, const void *request, uint32_t len);
    void *driver; /* the transport's own */
};
#define FUSE_FORGET_SIZE 48u

extern const struct fs_ops fuse_ops;

/*
 * Opens a session, and makes *volume for fs_mount() with fuse_ops. The transport must outlive the
 * volume's unmounting. Logs one line: what was opened, or why not. -ENOTSUP: the other side speaks
 * another version; -EIO: it does not answer, or nonsense; -ENOMEM; or what it refused with.
 */
int fuse_mount(struct fuse_transport *transport, void **volume);

#endif
