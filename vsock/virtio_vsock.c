/*
 * virtio_vsock.c - the socket device driver (5.10): packets in, packets out, and the event that says
 * that all connections are gone.
 *
 * Owns the queues and this machine's CID. A packet is one page in either direction, its header and
 * payload one piece of a buffer; at most a fixed number is with the device, and data leaves some of
 * those for the protocol's own packets. Used transmit buffers are taken back without interrupts,
 * unless something waits for room. Knows no connection. Read virtio/virtqueue.h next.
 */
#include "vsock/virtio_vsock.h"

#include <errno.h>

#include "log.h"
#include "loop.h"
#include "virtio/spec_devices.h"
#include "vsock/vsock_impl.h"

#define PACKETS_MAX 32u /* with the device, in each direction */
#define EVENTS 4u
#define DRAIN_NS 200000000u
/* Peers are limited by their credit, not by the device; but a reset ends all connections. */
#define TX_PATIENCE_S 30u

struct virtio_vsock {
    struct virtio_device *device;
    struct virtqueue *rx, *tx, *events;
    unsigned rx_limit, rx_posted, tx_limit, tx_posted, event_count;
    struct virtio_vsock_event *event; /* EVENTS of them, device-visible */
    struct loop_source source;
};

static struct virtio_vsock *the_vsock; /* there is one */

/* 5.10.4: an address of somebody else, or of nobody, is none of ours. 0 then. */
static uint32_t read_cid(struct virtio_device *device)
{
    uint64_t cid = 0;
    int error = VIRTIO_CONFIG_READ(device, struct virtio_vsock_config, guest_cid, &cid);

    cid = le64_to_cpu(cid);
    if (!error && cid > VSOCK_CID_HOST && cid < UINT32_MAX)
        return (uint32_t)cid;
    log_error("%s: %#llx cannot be this machine's CID", device->name, (unsigned long long)cid);
    return 0;
}

/* ---- sending ---- */

unsigned virtio_vsock_room_max(void)
{
    return the_vsock ? the_vsock->tx_limit - the_vsock->tx_limit / 4 : 0;
}

unsigned virtio_vsock_room(bool data)
{
    const struct virtio_vsock *vsock = the_vsock;
    unsigned limit = vsock && !data ? vsock->tx_limit : virtio_vsock_room_max();

    return vsock && vsock->device->driver_ok && vsock->tx_posted < limit ? limit - vsock->tx_posted
                                                                         : 0;
}

struct vsock_packet *virtio_vsock_packet(bool data)
{
    return virtio_vsock_room(data) > 0 ? vsock_packet_take() : NULL;
}

bool virtio_vsock_transmit(struct vsock_packet *packet, uint32_t len)
{
    struct virtqueue_sg sg = {packet->hdr, len};

    if (virtqueue_add(the_vsock->tx, &sg, 1, 0, packet) != 0) {
        vsock_packet_give(packet);
        return false;
    }
    the_vsock->tx_posted++;
    vsock_counters.sent++;
    return true;
}

static unsigned reap(struct virtio_vsock *vsock)
{
    struct vsock_packet *packet;
    unsigned done = 0;

    while (done < PACKETS_MAX && (packet = virtqueue_get_buf(vsock->tx, NULL)) != NULL) {
        vsock_packet_give(packet);
        vsock->tx_posted--;
        done++;
    }
    return done;
}

/* ---- receiving ---- */

/* As many buffers as the queue may have: those that were emptied, and others for those kept. */
static void provide(struct virtio_vsock *vsock)
{
    struct vsock_packet *packet;

    while (vsock->rx_posted < vsock->rx_limit && (packet = vsock_packet_take()) != NULL) {
        struct virtqueue_sg sg = {packet->hdr, VSOCK_PACKET_SIZE};

        if (virtqueue_add(vsock->rx, &sg, 0, 1, packet) != 0) {
            vsock_packet_give(packet);
            break;
        }
        vsock->rx_posted++;
    }
    virtqueue_kick(vsock->rx);
}

static unsigned receive(struct virtio_vsock *vsock, unsigned budget)
{
    struct vsock_packet *packet;
    unsigned done = 0;
    uint32_t len;

    while (done < budget && vsock_can_receive() &&
           (packet = virtqueue_get_buf(vsock->rx, &len)) != NULL) {
        vsock->rx_posted--;
        if (!vsock_receive(packet, len))
            vsock_packet_give(packet);
        done++;
    }
    return done;
}

/* ---- events ---- */

static void give_event(struct virtio_vsock *vsock, struct virtio_vsock_event *event)
{
    struct virtqueue_sg sg = {event, sizeof(*event)};

    virtqueue_add(vsock->events, &sg, 0, 1, event);
}

/* VSOCK-EVT-1 to 4. The buffer goes back first; listeners stay. */
static unsigned take_event(struct virtio_vsock *vsock)
{
    uint32_t len, id;
    struct virtio_vsock_event *event = virtqueue_get_buf(vsock->events, &len);

    if (!event)
        return 0;
    id = le32_to_cpu(*(volatile le32 *)&event->id);
    give_event(vsock, event);
    virtqueue_kick(vsock->events);
    if (len < sizeof(*event) || id != VIRTIO_VSOCK_EVENT_TRANSPORT_RESET) {
        vsock_counters.bad++;
        return 1;
    }
    vsock_lose(read_cid(vsock->device));
    log_info("%s: transport reset, all connections are gone", vsock->device->name);
    return 1;
}

/* ---- the loop ---- */

static unsigned vsock_poll(void *arg, unsigned budget)
{
    struct virtio_vsock *vsock = arg;
    unsigned done, reaped;

    if (!vsock->device->driver_ok)
        return vsock_tell();
    virtqueue_disable_cb(vsock->rx);
    virtqueue_disable_cb(vsock->tx);
    virtqueue_disable_cb(vsock->events);
    reaped = reap(vsock);
    done = take_event(vsock) + receive(vsock, budget);
    done += vsock_tell();
    done += vsock_work(reaped > 0);
    provide(vsock);
    virtqueue_kick(vsock->tx);
    if (virtqueue_is_broken(vsock->rx) || virtqueue_is_broken(vsock->tx) ||
        virtqueue_is_broken(vsock->events)) {
        virtio_recover(vsock->device, "a queue of it is broken");
        done++;
    }
    return done + reaped;
}

static bool vsock_arm(void *arg)
{
    struct virtio_vsock *vsock = arg;
    bool idle;

    if (!vsock->device->driver_ok)
        return true;
    if (vsock_has_work())
        return false;
    virtqueue_kick(vsock->tx);
    idle = virtqueue_enable_cb(vsock->events);
    if (vsock_can_receive())
        idle = virtqueue_enable_cb(vsock->rx) && idle;
    if (vsock_wants_room())
        idle = virtqueue_enable_cb(vsock->tx) && idle;
    return idle;
}

void vsock_drain(void)
{
    struct virtio_vsock *vsock = the_vsock;
    uint64_t end_ns = platform_now_ns() + DRAIN_NS;

    if (!vsock || loop_is_nested())
        return;
    do {
        vsock_poll(vsock, PACKETS_MAX);
        platform_relax();
    } while (vsock->device->driver_ok && (vsock->tx_posted || vsock_has_work()) &&
             platform_now_ns() < end_ns);
}

static uint64_t vsock_next(void *arg)
{
    (void)arg;
    return vsock_deadline();
}

/* ---- set-up ---- */

static unsigned at_most(unsigned limit, const struct virtqueue *vq)
{
    return virtqueue_size(vq) < limit ? virtqueue_size(vq) : limit;
}

static int set_up(struct virtio_vsock *vsock)
{
    static const struct virtio_queue_request queues[] = {
        {.name = "vsock rx",
         .index = VIRTIO_VSOCK_Q_RX,
         .max_size = PACKETS_MAX,
         .max_segments = 1},
        {.name = "vsock tx",
         .index = VIRTIO_VSOCK_Q_TX,
         .max_size = PACKETS_MAX,
         .max_segments = 1,
         .patience_s = TX_PATIENCE_S},
        {.name = "vsock events",
         .index = VIRTIO_VSOCK_Q_EVENT,
         .max_size = EVENTS,
         .max_segments = 1},
    };
    struct virtio_device *device = vsock->device;
    int error = virtio_find_queues(device, queues, 3);

    if (error)
        return error;
    vsock->rx = device->queue[0];
    vsock->tx = device->queue[1];
    vsock->events = device->queue[2];
    vsock->rx_limit = at_most(PACKETS_MAX, vsock->rx);
    vsock->tx_limit = at_most(PACKETS_MAX, vsock->tx);
    vsock->event_count = at_most(EVENTS, vsock->events);
    return 0;
}

static int refuse(struct virtio_device *device, const char *reason)
{
    device->refusal = reason;
    return -ENODEV;
}

/* VSOCK-FEAT-2 and 3: one that says nothing of streams has them, unless it says that, too. */
static unsigned types_of(const struct virtio_device *device)
{
    unsigned types = 0;

    if (virtio_has_feature(device, VIRTIO_VSOCK_F_STREAM) ||
        !virtio_has_feature(device, VIRTIO_VSOCK_F_NO_IMPLIED_STREAM))
        types |= 1u << VIRTIO_VSOCK_TYPE_STREAM;
    if (virtio_has_feature(device, VIRTIO_VSOCK_F_SEQPACKET))
        types |= 1u << VIRTIO_VSOCK_TYPE_SEQPACKET;
    return types;
}

static void vsock_free(struct virtio_vsock *vsock)
{
    platform_dma_free(vsock->event, EVENTS * sizeof(*vsock->event));
    platform_dma_free(vsock, sizeof(*vsock));
}

static int vsock_probe(struct virtio_device *device)
{
    struct virtio_vsock *vsock;
    int error;

    if (the_vsock)
        return refuse(device, "there is a socket device already");
    if (!types_of(device))
        return refuse(device, "it has neither streams nor messages");
    if (!read_cid(device))
        return refuse(device, "its CID is not valid");
    vsock = platform_dma_alloc(sizeof(*vsock), 64);
    if (!vsock)
        return -ENOMEM;
    vsock->event = platform_dma_alloc(EVENTS * sizeof(*vsock->event), 64);
    if (!vsock->event) {
        platform_dma_free(vsock, sizeof(*vsock));
        return -ENOMEM;
    }
    vsock->device = device;
    vsock->source = (struct loop_source){.name = "virtio-vsock",
                                         .poll = vsock_poll,
                                         .arm = vsock_arm,
                                         .deadline = vsock_next,
                                         .arg = vsock};
    error = vsock_packets_reserve(VSOCK_QUEUE_CHUNKS);
    if (!error) {
        error = set_up(vsock);
        if (error)
            vsock_packets_unreserve(VSOCK_QUEUE_CHUNKS);
    }
    if (error) {
        vsock_packets_finish();
        vsock_free(vsock);
        return error;
    }
    device->driver_data = the_vsock = vsock;
    return 0;
}

static int vsock_ready(struct virtio_device *device)
{
    struct virtio_vsock *vsock = device->driver_data;
    uint32_t cid = read_cid(device);

    vsock_set_types(types_of(device));
    vsock_lose(cid);
    if (!device->recovering) {
        loop_add(&vsock->source);
        log_info("%s: socket device, this machine's CID is %u", device->name, cid);
    }
    for (unsigned i = 0; i < vsock->event_count; i++)
        give_event(vsock, &vsock->event[i]);
    virtqueue_kick(vsock->events);
    provide(vsock);
    return 0;
}

static void vsock_reclaim(struct virtio_device *device)
{
    struct virtio_vsock *vsock = device->driver_data;
    struct vsock_packet *packet;

    while ((packet = virtqueue_detach_unused(vsock->rx)) != NULL)
        vsock_packet_give(packet);
    while ((packet = virtqueue_detach_unused(vsock->tx)) != NULL)
        vsock_packet_give(packet);
    while (virtqueue_detach_unused(vsock->events) != NULL)
        continue;
    vsock->rx_posted = vsock->tx_posted = 0;
    vsock_lose(0);
}

static void vsock_remove(struct virtio_device *device)
{
    struct virtio_vsock *vsock = device->driver_data;

    loop_remove(&vsock->source);
    the_vsock = NULL;
    vsock_packets_unreserve(VSOCK_QUEUE_CHUNKS);
    vsock_detach();
    vsock_free(vsock);
    device->driver_data = NULL;
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_VSOCK_F_STREAM, .name = "STREAM"},
    {.bit = VIRTIO_VSOCK_F_SEQPACKET, .name = "SEQPACKET"},
    {.bit = VIRTIO_VSOCK_F_NO_IMPLIED_STREAM, .name = "NO_IMPLIED_STREAM"},
};

static const uint16_t device_types[] = {VIRTIO_ID_VSOCK, 0};

const struct virtio_driver virtio_vsock_driver = {
    .name = "virtio-vsock",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = vsock_probe,
    .ready = vsock_ready,
    .reclaim = vsock_reclaim,
    .remove = vsock_remove,
};
