/*
 * vhost_user_session.c - what is said to a vhost-user back end, and in which order.
 *
 * Owns the protocol features, memory table, requests in flight, the configuration's copy and the
 * channel of the back end's own requests. The socket is vhost_user_link.c's, the driver's side
 * vhost_user.c's. Read vhost_user_impl.h first.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "hosted/vhost_user_impl.h"
#include "log.h"
#include "virtio/spec.h"

#define USED_PROTOCOL_FEATURES                                                                  \
    (UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ | UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK | \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ |                                         \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG |                                              \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD |                                      \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_RESET_DEVICE |                                        \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS)

/* Memory that a back end keeps track of requests in; more than this is no honest size. */
#define INFLIGHT_MAX (64u << 20)
/* Requests of the back end that are read at once. */
#define LISTEN_BUDGET 16

static int ask_u64(struct vhost_user *vhost, enum vhost_user_request request, uint64_t *value)
{
    return vhost_user_link_ask(&vhost->link, request, NULL, 0, value, sizeof(*value), NULL);
}

static int send_u64(struct vhost_user *vhost, enum vhost_user_request request, uint64_t value,
                    int fd)
{
    return vhost_user_link_send(&vhost->link, request, &value, sizeof(value), fd);
}

static int send_vring_state(struct vhost_user *vhost, enum vhost_user_request request,
                            unsigned index, uint32_t num)
{
    struct vhost_user_vring_state state = {index, num};

    return vhost_user_link_send(&vhost->link, request, &state, sizeof(state), -1);
}

/* ---- the connection ---- */

static void connection_event(void *arg)
{
    struct vhost_user *vhost = arg;

    /* Nobody speaks on this socket unasked, so it was closed. It stays readable: once is enough. */
    hosted_event_remove(vhost->link.fd);
    vhost->lost = true;
    virtio_config_interrupt(&vhost->device);
}

static void backend_event(void *arg)
{
    struct vhost_user *vhost = arg;

    hosted_event_remove(vhost->backend_fd);
    vhost->backend_spoke = true;
    virtio_config_interrupt(&vhost->device);
}

void vhost_user_session_close(struct vhost_user *vhost)
{
    if (vhost->link.fd >= 0)
        hosted_event_remove(vhost->link.fd);
    vhost_user_link_close(&vhost->link);
    if (vhost->backend_fd >= 0) {
        hosted_event_remove(vhost->backend_fd);
        close(vhost->backend_fd);
    }
    vhost->backend_fd = -1;
    vhost->prepared = false;
}

/* Gives the back end a socket on which it may speak first. */
static int open_backend_channel(struct vhost_user *vhost)
{
    int pair[2], error;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    error = vhost_user_link_send(&vhost->link, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
    close(pair[1]);
    if (error) {
        close(pair[0]);
        return error;
    }
    vhost->backend_fd = pair[0];
    hosted_event_add(vhost->backend_fd, backend_event, vhost);
    return 0;
}

static int agree_on_protocol(struct vhost_user *vhost)
{
    uint64_t offered;
    int error;

    vhost->protocol = 0;
    if (!(vhost->offered >> VHOST_USER_F_PROTOCOL_FEATURES & 1))
        return 0;
    error = ask_u64(vhost, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);
    if (error)
        return error;
    vhost->protocol = offered & USED_PROTOCOL_FEATURES;
    error = send_u64(vhost, VHOST_USER_SET_PROTOCOL_FEATURES, vhost->protocol, -1);
    vhost->link.reply_ack = vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_REPLY_ACK);
    return error;
}

/* How many queues there are. A number beyond what we could use is cut, since nothing needs it. */
static int count_queues(struct vhost_user *vhost)
{
    uint64_t queues = 1;
    int error = 0;

    if (vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_MQ))
        error = ask_u64(vhost, VHOST_USER_GET_QUEUE_NUM, &queues);
    if (queues > VIRTIO_MAX_QUEUES)
        queues = VIRTIO_MAX_QUEUES;
    queues *= vhost->kind->rings_each;
    vhost->queue_count = (uint16_t)(queues < vhost->queue_limit ? queues : vhost->queue_limit);
    return error;
}

static int introduce(struct vhost_user *vhost)
{
    int error = vhost_user_link_send(&vhost->link, VHOST_USER_SET_OWNER, NULL, 0, -1);

    if (!error)
        error = ask_u64(vhost, VHOST_USER_GET_FEATURES, &vhost->offered);
    if (!error)
        error = agree_on_protocol(vhost);
    if (!error)
        error = count_queues(vhost);
    if (!error && vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
        error = open_backend_channel(vhost);
    return error ? error : vhost_user_session_read_config(vhost);
}

int vhost_user_session_open(struct vhost_user *vhost)
{
    int error = vhost_user_link_open(&vhost->link);

    if (!error)
        error = introduce(vhost);
    if (error) {
        vhost_user_session_close(vhost);
        return error;
    }
    vhost->lost = false;
    vhost->connections++;
    hosted_event_add(vhost->link.fd, connection_event, vhost);
    return 0;
}

/* ---- configuration ---- */

int vhost_user_session_read_config(struct vhost_user *vhost)
{
    struct vhost_user_config config = {.size = vhost->kind->config_length};
    uint32_t length = VHOST_USER_CONFIG_HEADER + config.size;
    int error;

    vhost->device.config_length = 0;
    if (!config.size || !vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_CONFIG))
        return 0;
    error = vhost_user_link_ask(&vhost->link, VHOST_USER_GET_CONFIG, &config, length, &config,
                                length, NULL);
    if (error)
        return error;
    if (config.offset != 0 || config.size != vhost->kind->config_length) {
        log_error("vhost-user %s: GET_CONFIG: the answer is about another part", vhost->path);
        return -EPROTO;
    }
    memcpy(vhost->config, config.data, vhost->kind->config_length);
    vhost->device.config_length = vhost->kind->config_length;
    vhost->generation++;
    return 0;
}

/* What follows cannot be understood any more, so it is not listened to. */
static bool is_malformed(const struct vhost_user *vhost, const struct vhost_user_header *header)
{
    uint8_t payload[64];
    bool sound = (header->flags & VHOST_USER_VERSION_MASK) == VHOST_USER_VERSION &&
                 !(header->flags & VHOST_USER_FLAG_REPLY) && header->size <= sizeof(payload);

    if (sound && header->size)
        sound =
            recv(vhost->backend_fd, payload, header->size, MSG_DONTWAIT) == (ssize_t)header->size;
    if (!sound)
        log_error("vhost-user %s: a malformed request of the back end (%u, flags %#x, %u bytes)",
                  vhost->path, header->request, header->flags, header->size);
    return !sound;
}

/* One request of the back end, if there is one. -EAGAIN: there is none; -EPROTO: there will be none. */
static int hear_one(struct vhost_user *vhost)
{
    struct vhost_user_header header;
    uint64_t answer = 0;
    ssize_t got = recv(vhost->backend_fd, &header, sizeof(header), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -EAGAIN;
    if (got != (ssize_t)sizeof(header) || is_malformed(vhost, &header))
        return -EPROTO;
    if (header.request != VHOST_USER_BACKEND_CONFIG_CHANGE_MSG) {
        log_warn("vhost-user %s: request %u of the back end is not known", vhost->path,
                 header.request);
        answer = 1;
    } else if (vhost_user_session_read_config(vhost)) {
        return -EPROTO;
    }
    if (header.flags & VHOST_USER_FLAG_NEED_REPLY) {
        struct vhost_user_header reply = {
            header.request, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, sizeof(answer)};
        uint8_t message[sizeof(reply) + sizeof(answer)];

        memcpy(message, &reply, sizeof(reply));
        memcpy(message + sizeof(reply), &answer, sizeof(answer));
        send(vhost->backend_fd, message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return 0;
}

void vhost_user_session_listen(struct vhost_user *vhost)
{
    unsigned heard = 0;
    int error = 0;

    vhost->backend_spoke = false;
    if (vhost->backend_fd < 0)
        return;
    while (heard++ < LISTEN_BUDGET && !error)
        error = hear_one(vhost);
    /* An end, or nonsense, would keep it readable for ever. */
    if (error != -EPROTO)
        hosted_event_add(vhost->backend_fd, backend_event, vhost);
}

/* ---- features, memory, queues ---- */

int vhost_user_session_features(struct vhost_user *vhost)
{
    const uint32_t *word = vhost->device.accepted.word;
    uint64_t features = (uint64_t)word[1] << 32 | word[0];

    if (vhost->offered >> VHOST_USER_F_PROTOCOL_FEATURES & 1)
        features |= UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES;
    return send_u64(vhost, VHOST_USER_SET_FEATURES, features, -1);
}

static int share_memory(struct vhost_user *vhost)
{
    uint64_t base = (uintptr_t)hosted_dma_base();
    struct vhost_user_memory memory = {
        .count = 1,
        .region = {{.guest_address = base, .size = hosted_dma_size(), .user_address = base}}};

    return vhost_user_link_send(&vhost->link, VHOST_USER_SET_MEM_TABLE, &memory, sizeof(memory),
                                hosted_dma_fd());
}

/* A region that the back end cannot have meant is a reason to do without. */
static bool inflight_makes_sense(const struct vhost_user *vhost)
{
    const struct vhost_user_inflight *inflight = &vhost->inflight;
    struct stat file;

    return vhost->inflight_fd >= 0 && fstat(vhost->inflight_fd, &file) == 0 &&
           inflight->mmap_size > 0 && inflight->mmap_size <= INFLIGHT_MAX &&
           inflight->mmap_offset <= (uint64_t)file.st_size &&
           inflight->mmap_size <= (uint64_t)file.st_size - inflight->mmap_offset;
}

static int get_inflight(struct vhost_user *vhost)
{
    struct vhost_user_inflight wanted = {
        .queues = (uint16_t)vhost->device.queue_count,
        .queue_size = virtqueue_size(vhost->device.queue[0]),
    };
    int error = vhost_user_link_ask(&vhost->link, VHOST_USER_GET_INFLIGHT_FD, &wanted,
                                    VHOST_USER_INFLIGHT_SIZE, &vhost->inflight,
                                    VHOST_USER_INFLIGHT_SIZE, &vhost->inflight_fd);

    if (error || inflight_makes_sense(vhost))
        return error;
    log_warn("vhost-user %s: GET_INFLIGHT_FD: the memory offered makes no sense: doing without",
             vhost->path);
    if (vhost->inflight_fd >= 0)
        close(vhost->inflight_fd);
    vhost->inflight_fd = -1;
    return 0;
}

/* What must be known before the first queue. New queues have no requests in flight yet. */
static int prepare(struct vhost_user *vhost, bool resumed)
{
    int error = share_memory(vhost);

    if (error || !vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD))
        return error;
    if (!resumed) {
        if (vhost->inflight_fd >= 0)
            close(vhost->inflight_fd);
        vhost->inflight_fd = -1;
        error = get_inflight(vhost);
    }
    if (error || vhost->inflight_fd < 0)
        return error;
    return vhost_user_link_send(&vhost->link, VHOST_USER_SET_INFLIGHT_FD, &vhost->inflight,
                                VHOST_USER_INFLIGHT_SIZE, vhost->inflight_fd);
}

/* Where the ring stands for a back end that takes it over: at what was used last (2.7.8). */
static uint32_t ring_base(const struct vhost_user *vhost, const struct vhost_user_queue *queue,
                          bool resumed)
{
    const struct virtq_used *used = (const void *)(uintptr_t)virtqueue_areas(queue->vq)->device;

    if (virtio_features_has(&vhost->device.accepted, VIRTIO_F_RING_PACKED))
        return VHOST_USER_PACKED_START;
    return resumed ? le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE)) : 0;
}

int vhost_user_session_queue(struct vhost_user *vhost, unsigned index, bool resumed)
{
    struct vhost_user_queue *queue = &vhost->queue[index];
    const struct virtqueue_areas *areas = virtqueue_areas(queue->vq);
    struct vhost_user_vring_addr addr = {.index = index,
                                         .descriptor = areas->descriptor,
                                         .used = areas->device,
                                         .available = areas->driver};
    int error = vhost->prepared ? 0 : prepare(vhost, resumed);

    vhost->prepared = !error;
    if (!error)
        error = send_vring_state(vhost, VHOST_USER_SET_VRING_NUM, index, virtqueue_size(queue->vq));
    if (!error)
        error = send_vring_state(vhost, VHOST_USER_SET_VRING_BASE, index,
                                 ring_base(vhost, queue, resumed));
    if (!error)
        error =
            vhost_user_link_send(&vhost->link, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
    if (!error)
        error = send_u64(vhost, VHOST_USER_SET_VRING_CALL, index, queue->call);
    if (!error)
        error = send_u64(vhost, VHOST_USER_SET_VRING_KICK, index, queue->kick);
    if (!error && vhost->protocol)
        error = send_vring_state(vhost, VHOST_USER_SET_VRING_ENABLE, index, 1);
    return error;
}

int vhost_user_session_stop(struct vhost_user *vhost)
{
    struct vhost_user_vring_state state = {0};
    int error = 0;

    for (unsigned i = 0; i < vhost->queue_count && !error; i++) {
        if (!vhost->queue[i].vq)
            continue;
        state.index = i;
        error = vhost_user_link_ask(&vhost->link, VHOST_USER_GET_VRING_BASE, &state, sizeof(state),
                                    &state, sizeof(state), NULL);
    }
    if (!error && vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
        error = vhost_user_link_send(&vhost->link, VHOST_USER_RESET_DEVICE, NULL, 0, -1);
    vhost->prepared = false;
    return error;
}

bool vhost_user_can_resume(const struct vhost_user *vhost)
{
    return vhost->inflight_fd >= 0 &&
           !virtio_features_has(&vhost->device.accepted, VIRTIO_F_RING_PACKED);
}

int vhost_user_session_resume(struct vhost_user *vhost)
{
    uint64_t offered = vhost->offered, protocol = vhost->protocol, one = 1;
    int error;

    vhost_user_session_close(vhost);
    log_warn("vhost-user %s: connection lost: connecting again", vhost->path);
    error = vhost_user_session_open(vhost);
    if (!error && (vhost->offered != offered || vhost->protocol != protocol))
        error = -EPROTO;
    if (!error)
        error = vhost_user_session_features(vhost);
    for (unsigned i = 0; i < vhost->queue_count && !error; i++)
        if (vhost->queue[i].vq)
            error = vhost_user_session_queue(vhost, i, true);
    if (!error && vhost_user_has(vhost, VHOST_USER_PROTOCOL_F_STATUS))
        error = send_u64(vhost, VHOST_USER_SET_STATUS, vhost->status, -1);
    if (error) {
        log_error("vhost-user %s: the back end did not come back as it was", vhost->path);
        vhost_user_session_close(vhost);
        return error;
    }
    /* A notification may have been lost with the old back end. */
    for (unsigned i = 0; i < vhost->queue_count; i++)
        if (vhost->queue[i].vq && write(vhost->queue[i].kick, &one, sizeof(one)) < 0)
            log_warn("vhost-user %s: queue %u cannot be notified", vhost->path, i);
    return 0;
}
