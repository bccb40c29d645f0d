/*
 * vhost_user_link.c - messages to a vhost-user back end and the checks of what comes back.
 *
 * Time limits are the socket's own (SO_RCVTIMEO, SO_SNDTIMEO), so they hold whatever clock the
 * program runs on. Files that were not asked for are closed. Knows no device. Read
 * vhost_user_link.h first.
 */
#include "hosted/vhost_user_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define RETRY_MS 20
#define MAX_FDS 8

static const char *const names[VHOST_USER_REQUESTS] = {
    [VHOST_USER_GET_FEATURES] = "GET_FEATURES",
    [VHOST_USER_SET_FEATURES] = "SET_FEATURES",
    [VHOST_USER_SET_OWNER] = "SET_OWNER",
    [VHOST_USER_SET_MEM_TABLE] = "SET_MEM_TABLE",
    [VHOST_USER_SET_VRING_NUM] = "SET_VRING_NUM",
    [VHOST_USER_SET_VRING_ADDR] = "SET_VRING_ADDR",
    [VHOST_USER_SET_VRING_BASE] = "SET_VRING_BASE",
    [VHOST_USER_GET_VRING_BASE] = "GET_VRING_BASE",
    [VHOST_USER_SET_VRING_KICK] = "SET_VRING_KICK",
    [VHOST_USER_SET_VRING_CALL] = "SET_VRING_CALL",
    [VHOST_USER_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
    [VHOST_USER_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
    [VHOST_USER_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
    [VHOST_USER_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
    [VHOST_USER_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
    [VHOST_USER_GET_CONFIG] = "GET_CONFIG",
    [VHOST_USER_SET_CONFIG] = "SET_CONFIG",
    [VHOST_USER_GET_INFLIGHT_FD] = "GET_INFLIGHT_FD",
    [VHOST_USER_SET_INFLIGHT_FD] = "SET_INFLIGHT_FD",
    [VHOST_USER_RESET_DEVICE] = "RESET_DEVICE",
    [VHOST_USER_SET_STATUS] = "SET_STATUS",
    [VHOST_USER_GET_STATUS] = "GET_STATUS",
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the connection ---- */

static bool set_limits(int fd, unsigned timeout_ms)
{
    struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0;
}

void vhost_user_link_apply_timeout(const struct vhost_user_link *link)
{
    if (link->fd >= 0)
        set_limits(link->fd, link->timeout_ms);
}

static int try_to_connect(const struct vhost_user_link *link, const struct sockaddr_un *address)
{
    int error, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (set_limits(fd, link->timeout_ms) &&
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return fd;
    error = -errno;
    close(fd);
    return error;
}

int vhost_user_link_open(struct vhost_user_link *link)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t end = now_ms() + link->timeout_ms;
    int fd = -ENAMETOOLONG;

    link->fd = -1;
    link->reply_ack = false;
    if (strlen(link->path) < sizeof(address.sun_path)) {
        strcpy(address.sun_path, link->path);
        /* A back end that is being started again comes back at the same place. */
        while ((fd = try_to_connect(link, &address)) == -ENOENT || fd == -ECONNREFUSED) {
            struct timespec nap = {0, RETRY_MS * 1000000};

            if (now_ms() >= end)
                break;
            nanosleep(&nap, NULL);
        }
    }
    if (fd < 0) {
        log_error("vhost-user %s: cannot connect: %s", link->path, strerror(-fd));
        return fd;
    }
    link->fd = fd;
    return 0;
}

void vhost_user_link_close(struct vhost_user_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

static int lose(struct vhost_user_link *link, enum vhost_user_request request, int error,
                const char *reason)
{
    log_error("vhost-user %s: %s: %s", link->path, names[request], reason);
    vhost_user_link_close(link);
    return error;
}

/* ---- messages ---- */

static int lose_by_errno(struct vhost_user_link *link, enum vhost_user_request request)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return lose(link, request, -ETIMEDOUT, "the back end does not answer");
    return lose(link, request, -ENOTCONN, strerror(errno));
}

static int transmit(struct vhost_user_link *link, enum vhost_user_request request, uint32_t flags,
                    const void *payload, uint32_t size, int fd)
{
    struct vhost_user_header header = {request, VHOST_USER_VERSION | flags, size};
    struct iovec part[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, size}};
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
    struct msghdr message = {.msg_iov = part, .msg_iovlen = size ? 2 : 1};
    ssize_t sent;

    if (link->fd < 0)
        return -ENOTCONN;
    if (fd >= 0) {
        struct cmsghdr *rights = (struct cmsghdr *)control;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        *rights = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    }
    sent = sendmsg(link->fd, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return lose_by_errno(link, request);
    /* Messages are far smaller than a socket's buffer, so less means that it is full of others. */
    if ((size_t)sent != sizeof(header) + size)
        return lose(link, request, -ETIMEDOUT, "the back end takes no more messages");
    return 0;
}

/* Keeps the first file that came with a message, closes all others. */
static int take_files(struct msghdr *message)
{
    int kept = -1;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (kept < 0)
                kept = fd;
            else
                close(fd);
        }
    }
    return kept;
}

/* Exactly `size` bytes. Files come with the first byte of a message. */
static int receive_bytes(struct vhost_user_link *link, enum vhost_user_request request, void *data,
                         uint32_t size, int *fd)
{
    char control[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(link->fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
    int file = got > 0 ? take_files(&message) : -1;

    if (fd)
        *fd = file;
    else if (file >= 0)
        close(file);
    if (got == (ssize_t)size)
        return 0;
    if (got < 0)
        return lose_by_errno(link, request);
    return got == 0 ? lose(link, request, -ENOTCONN, "the back end closed the connection")
                    : lose(link, request, -ETIMEDOUT, "the back end sent half of an answer");
}

static const char *wrong_with(const struct vhost_user_header *header,
                              enum vhost_user_request request, uint32_t size)
{
    if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
        return "the answer has another version";
    if (!(header->flags & VHOST_USER_FLAG_REPLY))
        return "the answer is no answer";
    if (header->request != (uint32_t)request)
        return "the answer is one to another request";
    return header->size != size ? "the answer has the wrong size" : NULL;
}

static int receive(struct vhost_user_link *link, enum vhost_user_request request, void *reply,
                   uint32_t size, int *fd)
{
    struct vhost_user_header header;
    int file = -1;
    int error = receive_bytes(link, request, &header, sizeof(header), &file);
    const char *wrong = error ? NULL : wrong_with(&header, request, size);

    if (wrong)
        error = lose(link, request, -EPROTO, wrong);
    if (!error)
        error = receive_bytes(link, request, reply, size, NULL);
    if (fd && !error)
        *fd = file;
    else if (file >= 0)
        close(file);
    return error;
}

int vhost_user_link_send(struct vhost_user_link *link, enum vhost_user_request request,
                         const void *payload, uint32_t size, int fd)
{
    uint64_t refused = 0;
    int error = transmit(link, request, link->reply_ack ? VHOST_USER_FLAG_NEED_REPLY : 0, payload,
                         size, fd);

    if (!error && link->reply_ack)
        error = receive(link, request, &refused, sizeof(refused), NULL);
    if (!error && refused)
        error = lose(link, request, -EPROTO, "the back end refused it");
    return error;
}

int vhost_user_link_ask(struct vhost_user_link *link, enum vhost_user_request request,
                        const void *payload, uint32_t size, void *reply, uint32_t reply_size,
                        int *fd)
{
    int error = transmit(link, request, 0, payload, size, -1);

    return error ? error : receive(link, request, reply, reply_size, fd);
}
