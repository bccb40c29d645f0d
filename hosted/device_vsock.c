/*
 * device_vsock.c - the model socket device (5.10). Read device.c first.
 *
 * Queue 0 is for packets to the driver, 1 for packets from it, 2 for events. Each packet of the
 * driver is checked against 5.10.6.3.1 and 5.10.6.4.1. A flow begins with a REQUEST of either side
 * and ends with an RST of either.
 */
#include "hosted/device_vsock.h"

#include <string.h>

#include "hosted/violation.h"

enum { RX = 0, TX = 1, EVENT = 2 };
enum { HOST = 2 };

static const struct device_field fields[] = {{0, 8, 1, DEVICE_NO_FEATURE}};

/* ---- flows ---- */

struct device_vsock_flow *device_vsock_flow(struct device_vsock *vsock, uint32_t port,
                                            uint32_t driver_port)
{
    for (unsigned i = 0; i < DEVICE_VSOCK_FLOWS; i++) {
        struct device_vsock_flow *flow = &vsock->flow[i];

        if (flow->used && flow->port == port && flow->driver_port == driver_port)
            return flow;
    }
    return NULL;
}

static void begin(struct device_vsock *vsock, uint32_t port, uint32_t driver_port)
{
    unsigned i = 0;

    if (device_vsock_flow(vsock, port, driver_port))
        return;
    while (i < DEVICE_VSOCK_FLOWS && vsock->flow[i].used)
        i++;
    if (i == DEVICE_VSOCK_FLOWS)
        hosted_fail("more flows than the model socket device has");
    vsock->flow[i] = (struct device_vsock_flow){
        .used = true, .driver_port = driver_port, .port = port, .buf_alloc = vsock->buffer};
}

static void end(struct device_vsock *vsock, uint32_t port, uint32_t driver_port)
{
    struct device_vsock_flow *flow = device_vsock_flow(vsock, port, driver_port);

    if (flow)
        flow->used = false;
}

/* ---- from the driver ---- */

/* 5.10.6.3.1: room for the data, and true words about the driver's own buffer. */
static void check_credit(struct device_vsock_flow *flow, const struct wire_vsock_header *h)
{
    if (h->op == VSOCK_RW) {
        uint32_t room = flow->buf_alloc - (flow->taken - flow->fwd_cnt);

        if (flow->taken - flow->fwd_cnt > flow->buf_alloc || h->len > room)
            violation("VSOCK-CREDIT-1", "%u bytes for a buffer with %u of %u bytes in it", h->len,
                      flow->taken - flow->fwd_cnt, flow->buf_alloc);
        flow->taken += h->len;
    }
    if (h->op == VSOCK_RST)
        return;
    if (!h->buf_alloc || h->fwd_cnt - flow->driver_fwd_cnt > flow->given - flow->driver_fwd_cnt)
        violation("VSOCK-CREDIT-2", "buf_alloc %u, fwd_cnt %u after %u of %u bytes", h->buf_alloc,
                  h->fwd_cnt, flow->driver_fwd_cnt, flow->given);
    flow->driver_buf_alloc = h->buf_alloc;
    flow->driver_fwd_cnt = h->fwd_cnt;
}

/* Does the driver know the type of a packet? */
static bool knows(const struct device_vsock *vsock, uint16_t type)
{
    return type == VSOCK_STREAM ||
           (type == VSOCK_SEQPACKET && device_has(&vsock->device, VSOCK_F_SEQPACKET));
}

static void check_header(struct device_vsock *vsock, const struct wire_vsock_header *h,
                         uint32_t readable)
{
    if (h->src_cid != vsock->cid)
        violation("VSOCK-RXTX-1", "a packet from CID %#llx, which is %u here",
                  (unsigned long long)h->src_cid, vsock->cid);
    if (h->len != readable - WIRE_VSOCK_HEADER || (h->op != VSOCK_RW && h->len))
        violation("VSOCK-RXTX-1", "operation %u of %u bytes in a buffer of %u", h->op, h->len,
                  readable);
    if (h->op < VSOCK_REQUEST || h->op > VSOCK_CREDIT_REQUEST)
        violation("VSOCK-T-STREAM-1", "operation %u", h->op);
    if (h->flags && (h->op == VSOCK_RW ? h->type != VSOCK_SEQPACKET : h->op != VSOCK_SHUTDOWN))
        violation("VSOCK-T-SEQ-1", "flags %#x of operation %u", h->flags, h->op);
    if (h->op == VSOCK_RW && (h->flags > 3 || h->flags == VSOCK_EOR))
        violation("VSOCK-T-SEQ-1", "flags %#x of data", h->flags);
    if (!knows(vsock, h->type) && h->op == VSOCK_RST && vsock->unanswered)
        vsock->unanswered--;
}

static void take(struct device_vsock *vsock, struct ring_chain *chain)
{
    struct device_vsock_packet *packet = &vsock->packet[vsock->head % DEVICE_VSOCK_PACKETS];
    struct wire_vsock_header *h = &packet->header;
    struct device_vsock_flow *flow;

    if (chain->in || chain->readable < WIRE_VSOCK_HEADER ||
        chain->readable > WIRE_VSOCK_HEADER + DEVICE_VSOCK_PAYLOAD) {
        violation("VSOCK-RXTX-1", "a transmit buffer of %u readable and %u writable bytes",
                  chain->readable, chain->writable);
        return;
    }
    memset(h, 0, sizeof(*h));
    ring_chain_read(chain, 0, h, WIRE_VSOCK_HEADER);
    ring_chain_read(chain, WIRE_VSOCK_HEADER, packet->payload, chain->readable - WIRE_VSOCK_HEADER);
    check_header(vsock, h, chain->readable);
    if (h->op == VSOCK_REQUEST)
        begin(vsock, h->dst_port, h->src_port);
    flow = device_vsock_flow(vsock, h->dst_port, h->src_port);
    if (flow)
        check_credit(flow, h);
    else if (h->op != VSOCK_RST)
        violation("VSOCK-T-STREAM-1", "operation %u from port %u to %u, without a connection",
                  h->op, h->src_port, h->dst_port);
    if (h->op == VSOCK_RST)
        end(vsock, h->dst_port, h->src_port);
    vsock->head++;
    vsock->received++;
    if (vsock->head - vsock->tail > DEVICE_VSOCK_PACKETS)
        vsock->tail = vsock->head - DEVICE_VSOCK_PACKETS;
}

static void serve(struct device *device, unsigned queue)
{
    struct device_vsock *vsock = device->state;
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while (queue == TX && !vsock->hold && (chain = ring_device_pop(ring))) {
        take(vsock, chain);
        ring_device_push(ring, chain, 0);
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

const struct device_vsock_packet *device_vsock_take(struct device_vsock *vsock)
{
    device_run(&vsock->device);
    if (vsock->tail == vsock->head)
        return NULL;
    return &vsock->packet[vsock->tail++ % DEVICE_VSOCK_PACKETS];
}

/* ---- to the driver ---- */

/* A buffer of a queue in which the device writes. */
static struct ring_chain *take_buffer(struct device_vsock *vsock, unsigned queue, uint32_t least)
{
    struct ring_chain *chain;

    if (!device_is_live(&vsock->device))
        return NULL;
    chain = ring_device_pop(&vsock->device.queue[queue].ring);
    if (chain && (chain->out || chain->writable < least))
        violation("VSOCK-RXTX-1", "a buffer of queue %u has %u readable and %u writable bytes",
                  queue, chain->readable, chain->writable);
    return chain;
}

bool device_vsock_send_raw(struct device_vsock *vsock, const struct wire_vsock_header *header,
                           const void *payload, uint32_t len, uint32_t used)
{
    struct ring_chain *chain = take_buffer(vsock, RX, WIRE_VSOCK_HEADER);
    struct device_vsock_flow *flow;

    if (!chain)
        return false;
    ring_chain_write(chain, 0, header, WIRE_VSOCK_HEADER);
    ring_chain_write(chain, WIRE_VSOCK_HEADER, payload, len);
    if (used < WIRE_VSOCK_HEADER)
        ring_chain_write(chain, used, "behind what was written", 23);
    if (!knows(vsock, header->type) && header->op != VSOCK_RST && used >= WIRE_VSOCK_HEADER)
        vsock->unanswered++;
    if (header->op == VSOCK_REQUEST)
        begin(vsock, header->src_port, header->dst_port);
    flow = device_vsock_flow(vsock, header->src_port, header->dst_port);
    if (flow && header->op == VSOCK_RW)
        flow->given += header->len;
    if (flow) {
        flow->buf_alloc = header->buf_alloc;
        flow->fwd_cnt = header->fwd_cnt;
    }
    if (header->op == VSOCK_RST)
        end(vsock, header->src_port, header->dst_port);
    ring_device_push(&vsock->device.queue[RX].ring, chain, used);
    device_signal(&vsock->device, RX);
    return true;
}

bool device_vsock_send(struct device_vsock *vsock, uint32_t port, uint32_t driver_port, unsigned op,
                       uint32_t flags, const void *payload, uint32_t len)
{
    const struct device_vsock_flow *flow = device_vsock_flow(vsock, port, driver_port);
    struct wire_vsock_header header = {.src_cid = HOST,
                                       .dst_cid = vsock->cid,
                                       .src_port = port,
                                       .dst_port = driver_port,
                                       .len = len,
                                       .type = vsock->type,
                                       .op = (uint16_t)op,
                                       .flags = flags,
                                       .buf_alloc = flow ? flow->buf_alloc : vsock->buffer,
                                       .fwd_cnt = flow ? flow->fwd_cnt : 0};

    return device_vsock_send_raw(vsock, &header, payload, len, WIRE_VSOCK_HEADER + len);
}

void device_vsock_forward(struct device_vsock *vsock, uint32_t port, uint32_t driver_port,
                          uint32_t bytes)
{
    struct device_vsock_flow *flow = device_vsock_flow(vsock, port, driver_port);

    if (flow)
        flow->fwd_cnt += bytes;
}

bool device_vsock_event(struct device_vsock *vsock, uint32_t id, uint32_t len)
{
    struct ring_chain *chain = take_buffer(vsock, EVENT, sizeof(id));

    if (!chain)
        return false;
    ring_chain_write(chain, 0, &id, len < sizeof(id) ? len : sizeof(id));
    ring_device_push(&vsock->device.queue[EVENT].ring, chain, len);
    device_signal(&vsock->device, EVENT);
    return true;
}

bool device_vsock_transport_reset(struct device_vsock *vsock, uint64_t cid)
{
    memset(vsock->flow, 0, sizeof(vsock->flow));
    memcpy(vsock->device.config, &cid, sizeof(cid));
    vsock->cid = (uint32_t)cid;
    return device_vsock_event(vsock, 0, sizeof(uint32_t));
}

unsigned device_vsock_buffers(const struct device_vsock *vsock)
{
    return ring_device_pending(&vsock->device.queue[RX].ring);
}

/* ---- life ---- */

static void forget(struct device *device)
{
    struct device_vsock *vsock = device->state;

    memset(vsock->flow, 0, sizeof(vsock->flow));
    vsock->tail = vsock->head;
}

static const struct device_type vsock_type = {
    .name = "vsock", .id = 19, .field = fields, .fields = 1, .serve = serve, .reset = forget};

void device_vsock_init(struct device_vsock *vsock, const struct device_vsock_setup *setup)
{
    memset(vsock, 0, sizeof(*vsock));
    vsock->buffer = 65536;
    vsock->type = VSOCK_STREAM;
    vsock->cid = (uint32_t)setup->cid;
    device_init(&vsock->device,
                &(struct device_setup){.type = &vsock_type,
                                       .features = setup->features,
                                       .queues = 3,
                                       .queue_size = setup->queue_size ? setup->queue_size : 64,
                                       .msix_vectors = setup->msix_vectors,
                                       .config = &setup->cid,
                                       .config_length = sizeof(setup->cid),
                                       .state = vsock});
}

void device_vsock_finish(struct device_vsock *vsock)
{
    if (vsock->unanswered)
        violation("VSOCK-RXTX-2", "%u packets of an unknown type were not answered",
                  vsock->unanswered);
    device_finish(&vsock->device);
}
