/*
 * vhost_backend.c - see vhost_backend.h. The thread answers one message at a time, and looks for
 * notifications in between.
 */
#include "vhost_backend.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "virtio/spec.h"

#define POLL_MS 5
#define INFLIGHT_BYTES 4096

struct message {
    struct vhost_user_header header;
    union {
        uint64_t u64;
        struct vhost_user_vring_state state;
        struct vhost_user_vring_addr addr;
        struct vhost_user_config config;
        struct vhost_user_inflight inflight;
        uint8_t bytes[512];
    };
    int fd;
} __attribute__((packed));
_Static_assert(offsetof(struct message, bytes) == sizeof(struct vhost_user_header), "no gap");

/* ---- answers ---- */

static void answer(struct vhost_backend *b, struct message *m, uint32_t size, int fd)
{
    enum lie lie = m->header.request == (uint32_t)b->lie_at ? b->lie : LIE_NONE;
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
    struct iovec part = {m, sizeof(m->header) + size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    m->header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
    m->header.size = size;
    if (lie == LIE_VERSION)
        m->header.flags ^= VHOST_USER_VERSION_MASK;
    if (lie == LIE_NO_ANSWER_FLAG)
        m->header.flags &= ~VHOST_USER_FLAG_REPLY;
    if (lie == LIE_OTHER_REQUEST)
        m->header.request++;
    if (lie == LIE_SIZE)
        m->header.size = 0x7fffffff;
    if (lie == LIE_HALF)
        part.iov_len -= size / 2;
    if (fd >= 0) {
        struct cmsghdr *rights = (struct cmsghdr *)control;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        *rights = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    }
    if (lie != LIE_SILENCE)
        sendmsg(b->connection, &message, MSG_NOSIGNAL);
}

static void answer_u64(struct vhost_backend *b, struct message *m, uint64_t value)
{
    m->u64 = value;
    answer(b, m, sizeof(value), -1);
}

static void give_inflight(struct vhost_backend *b, struct message *m)
{
    if (b->inflight_fd >= 0)
        close(b->inflight_fd);
    b->inflight_fd = memfd_create("inflight", MFD_CLOEXEC);
    if (ftruncate(b->inflight_fd, INFLIGHT_BYTES) != 0)
        abort();
    m->inflight.mmap_size = b->lie == LIE_NONSENSE ? UINT64_MAX : INFLIGHT_BYTES;
    m->inflight.mmap_offset = 0;
    answer(b, m, VHOST_USER_INFLIGHT_SIZE, b->inflight_fd);
}

static bool is_inflight_file(const struct vhost_backend *b, int fd)
{
    struct stat theirs, ours;

    return fd >= 0 && fstat(fd, &theirs) == 0 && fstat(b->inflight_fd, &ours) == 0 &&
           theirs.st_ino == ours.st_ino;
}

static void take_file(int *place, struct message *m)
{
    if (*place >= 0)
        close(*place);
    *place = m->fd;
    m->fd = -1;
}

/* Requests that have an answer of their own. False: it is one of the others. */
static bool handle_question(struct vhost_backend *b, struct message *m)
{
    switch (m->header.request) {
    case VHOST_USER_GET_FEATURES:
        answer_u64(b, m,
                   UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1)
                                                           << VHOST_USER_F_PROTOCOL_FEATURES);
        return true;
    case VHOST_USER_GET_PROTOCOL_FEATURES:
        answer_u64(b, m, b->protocol);
        return true;
    case VHOST_USER_GET_QUEUE_NUM:
        answer_u64(b, m, b->lie == LIE_NONSENSE ? UINT64_MAX : 1);
        return true;
    case VHOST_USER_GET_CONFIG:
        memcpy(m->config.data, b->config, m->config.size);
        m->config.offset += b->lie == LIE_OTHER_PART;
        answer(b, m, VHOST_USER_CONFIG_HEADER + m->config.size, -1);
        return true;
    case VHOST_USER_GET_STATUS:
        answer_u64(b, m, b->status);
        return true;
    case VHOST_USER_GET_INFLIGHT_FD:
        give_inflight(b, m);
        return true;
    case VHOST_USER_GET_VRING_BASE:
        b->ring_size = 0;
        m->state.num = 0;
        answer(b, m, sizeof(m->state), -1);
        return true;
    default:
        return false;
    }
}

static void handle(struct vhost_backend *b, struct message *m)
{
    bool wants_answer = m->header.flags & VHOST_USER_FLAG_NEED_REPLY;

    if (handle_question(b, m))
        return;
    switch (m->header.request) {
    case VHOST_USER_SET_BACKEND_REQ_FD:
        take_file(&b->backend_fd, m);
        break;
    case VHOST_USER_SET_STATUS:
        b->status = m->u64;
        break;
    case VHOST_USER_SET_VRING_NUM:
        b->ring_size = m->state.num;
        break;
    case VHOST_USER_SET_VRING_BASE:
        b->base = m->state.num;
        break;
    case VHOST_USER_SET_VRING_ADDR:
        b->ring = m->addr;
        break;
    case VHOST_USER_SET_VRING_KICK:
        take_file(&b->kick, m);
        break;
    case VHOST_USER_SET_VRING_CALL:
        take_file(&b->call, m);
        break;
    case VHOST_USER_SET_INFLIGHT_FD:
        b->inflight_set += is_inflight_file(b, m->fd);
        break;
    }
    if (wants_answer)
        answer_u64(b, m, m->header.request == (uint32_t)b->lie_at && b->lie == LIE_REFUSAL);
}

/* ---- the thread ---- */

/* Uses everything that is available, as it is, and says so once. */
static void use_all(struct vhost_backend *b)
{
    struct virtq_avail *avail = (struct virtq_avail *)(uintptr_t)b->ring.available;
    struct virtq_used *used = (struct virtq_used *)(uintptr_t)b->ring.used;
    uint16_t end = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE), idx = (uint16_t)b->base;
    uint64_t one = 1;

    for (; idx != end; idx++)
        used->ring[idx % b->ring_size] = (struct virtq_used_elem){
            .id = b->invent_buffers ? cpu_to_le32(b->ring_size) : avail->ring[idx % b->ring_size]};
    b->base = end;
    __atomic_store_n(&used->idx, end, __ATOMIC_RELEASE);
    if (write(b->call, &one, sizeof(one)) != sizeof(one))
        abort();
}

static void notified(struct vhost_backend *b)
{
    uint64_t count;

    if (read(b->kick, &count, sizeof(count)) != sizeof(count))
        return;
    b->kicks++;
    if (b->use_buffers && b->ring_size)
        use_all(b);
}

static bool receive(struct vhost_backend *b, struct message *m)
{
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    struct iovec part = {&m->header, sizeof(m->header)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};

    m->fd = -1;
    if (recvmsg(b->connection, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
        (ssize_t)sizeof(m->header))
        return false;
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&m->fd, CMSG_DATA((struct cmsghdr *)control), sizeof(int));
    if (m->header.size == 0)
        return true;
    return m->header.size <= sizeof(m->bytes) &&
           recv(b->connection, m->bytes, m->header.size, MSG_WAITALL) == (ssize_t)m->header.size;
}

static void serve(struct vhost_backend *b)
{
    while (!b->stop) {
        struct pollfd fds[2] = {{.fd = b->connection, .events = POLLIN},
                                {.fd = b->kick, .events = POLLIN}};
        struct message m;

        if (poll(fds, 2, POLL_MS) <= 0)
            continue;
        if (fds[1].revents)
            notified(b);
        if (!fds[0].revents)
            continue;
        if (!receive(b, &m) || (m.header.request == (uint32_t)b->lie_at && b->lie == LIE_CLOSE))
            return;
        handle(b, &m);
        if (m.fd >= 0)
            close(m.fd);
    }
}

static void forget(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void *run(void *arg)
{
    struct vhost_backend *b = arg;

    while (!b->stop) {
        struct pollfd fd = {.fd = b->listener, .events = POLLIN};

        if (poll(&fd, 1, POLL_MS) <= 0)
            continue;
        b->connection = accept(b->listener, NULL, NULL);
        b->ring_size = 0;
        b->connections++;
        serve(b);
        forget(&b->connection);
        forget(&b->backend_fd);
        forget(&b->kick);
        forget(&b->call);
    }
    return NULL;
}

void vhost_backend_start(struct vhost_backend *b)
{
    static unsigned number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    b->connection = b->backend_fd = b->kick = b->call = b->inflight_fd = -1;
    snprintf(b->path, sizeof(b->path), "/tmp/ferrule-vhost-%d-%u", (int)getpid(), number++);
    strcpy(address.sun_path, b->path);
    b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(b->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(b->listener, 1) != 0 || pthread_create(&b->thread, NULL, run, b) != 0)
        abort();
}

void vhost_backend_finish(struct vhost_backend *b)
{
    b->stop = true;
    pthread_join(b->thread, NULL);
    close(b->listener);
    forget(&b->inflight_fd);
    unlink(b->path);
}

void vhost_backend_drop(struct vhost_backend *b)
{
    shutdown(b->connection, SHUT_RDWR);
}

int vhost_backend_speak(struct vhost_backend *b, bool own_channel, uint32_t request, uint32_t flags,
                        uint32_t size)
{
    struct vhost_user_header header = {request, flags, size};

    return send(own_channel ? b->backend_fd : b->connection, &header, sizeof(header),
                MSG_NOSIGNAL) != (ssize_t)sizeof(header);
}

int vhost_backend_change_config(struct vhost_backend *b)
{
    return vhost_backend_speak(b, true, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
                               VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY, 0);
}
