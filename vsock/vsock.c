/*
 * vsock.c - who is meant by a packet, who listens, and what is sent and told next (5.10.6).
 *
 * Owns the connections' places, the listeners, and answers to packets that nobody here is meant by:
 * those have no connection to wait in, so there is a short row of them, and while it is full nothing
 * is received (VSOCK-FLOW-1). What a packet means to its connection is vsock_connection.c's; queues
 * are virtio_vsock.c's. Read that next.
 */
#include "vsock/vsock.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "vsock/vsock_impl.h"

#define ANSWERS 32u
#define FIRST_FREE_PORT 1024u

struct listener {
    bool used;
    uint32_t port;
    enum vsock_type type;
    int (*accept)(void *arg, struct vsock_connection *connection);
    void *arg;
};

/* An RST for one that is no connection. */
struct answer {
    struct vsock_address peer;
    uint32_t own_port;
    uint16_t type;
};

static struct vsock_connection connections[VSOCK_CONNECTIONS_MAX];
static unsigned used; /* those above are free */
static struct listener listeners[VSOCK_LISTENERS_MAX];
static struct answer answers[ANSWERS];
static unsigned answer_head, answer_tail; /* run freely */

static uint32_t own_cid; /* 0: there is none */
static unsigned types;   /* of connections that the device has: bit n is type n */
static bool has_work;    /* something to send or to tell, since the last look */
static bool is_blocked;  /* something could not be sent for want of room */
static uint64_t next_deadline_ns = PLATFORM_NO_DEADLINE; /* none is sooner */
static uint32_t next_port;

bool vsock_own_cid(uint32_t *cid)
{
    *cid = own_cid;
    return own_cid != 0;
}

/* ---- what the next turn does ---- */

void vsock_connection_send(struct vsock_connection *connection, unsigned op)
{
    connection->pending |= 1u << op;
    has_work = true;
}

void vsock_connection_tell(struct vsock_connection *connection, unsigned what)
{
    if (!connection->owned)
        return;
    connection->tell |= what;
    has_work = true;
}

void vsock_connection_set_deadline(struct vsock_connection *connection, uint64_t ns)
{
    connection->deadline_ns = ns;
    if (ns < next_deadline_ns)
        next_deadline_ns = ns;
}

void vsock_set_work(void)
{
    has_work = true;
}

bool vsock_has_work(void)
{
    return has_work;
}

bool vsock_wants_room(void)
{
    return is_blocked;
}

uint64_t vsock_deadline(void)
{
    return next_deadline_ns;
}

/* ---- connections ---- */

/* The end of the row moves down over free places, so that looking for one is short. */
static void trim(void)
{
    while (used > 0 && connections[used - 1].state == VSOCK_FREE)
        used--;
}

static struct vsock_connection *find(uint32_t own_port, struct vsock_address peer)
{
    for (unsigned i = 0; i < used; i++) {
        struct vsock_connection *c = &connections[i];
        bool over = c->state == VSOCK_FREE || (c->state == VSOCK_ENDED && !c->pending);

        if (!over && c->peer.port == peer.port && c->own_port == own_port &&
            c->peer.cid == peer.cid)
            return c;
    }
    return NULL;
}

static int open_connection(uint32_t own_port, struct vsock_address peer, enum vsock_type type,
                           enum vsock_state state, struct vsock_connection **out)
{
    struct vsock_connection *c = connections;
    int error;

    trim();
    while (c < connections + VSOCK_CONNECTIONS_MAX && c->state != VSOCK_FREE)
        c++;
    if (c == connections + VSOCK_CONNECTIONS_MAX)
        return -ENOSPC;
    error = vsock_packets_reserve(1);
    if (error)
        return error;
    *c = (struct vsock_connection){.state = state,
                                   .owned = true,
                                   .reserved = true,
                                   .type = type,
                                   .own_port = own_port,
                                   .peer = peer,
                                   .deadline_ns = PLATFORM_NO_DEADLINE};
    if (type == VSOCK_TYPE_SEQPACKET && vsock_marks_make(c) != 0) {
        vsock_packets_unreserve(1);
        c->state = VSOCK_FREE;
        return -ENOMEM;
    }
    if (c >= connections + used)
        used = (unsigned)(c - connections) + 1;
    *out = c;
    return 0;
}

int vsock_connect(const struct vsock_address *to, enum vsock_type type, uint32_t own_port,
                  const struct vsock_callbacks *callbacks, void *arg, struct vsock_connection **out)
{
    int error;

    if (!own_cid || to->cid < VSOCK_CID_HOST || to->cid == UINT32_MAX || to->cid == own_cid)
        return -ENODEV;
    if (!(types >> type & 1))
        return -EPROTONOSUPPORT;
    if (own_port == VSOCK_PORT_ANY)
        own_port = vsock_free_port();
    if (find(own_port, *to))
        return -EADDRINUSE;
    error = open_connection(own_port, *to, type, VSOCK_CONNECTING, out);
    if (error)
        return error;
    vsock_set_callbacks(*out, callbacks, arg);
    vsock_connection_send(*out, VIRTIO_VSOCK_OP_REQUEST);
    vsock_connection_set_deadline(*out, platform_now_ns() + VSOCK_CONNECT_TIMEOUT_NS);
    return 0;
}

/* ---- listeners and ports ---- */

static struct listener *listener_at(uint32_t port)
{
    for (unsigned i = 0; i < VSOCK_LISTENERS_MAX; i++)
        if (listeners[i].used && listeners[i].port == port)
            return &listeners[i];
    return NULL;
}

int vsock_listen(uint32_t port, enum vsock_type type,
                 int (*accept)(void *arg, struct vsock_connection *connection), void *arg)
{
    unsigned i = 0;

    if (listener_at(port))
        return -EADDRINUSE;
    while (i < VSOCK_LISTENERS_MAX && listeners[i].used)
        i++;
    if (i == VSOCK_LISTENERS_MAX)
        return -ENOSPC;
    listeners[i] = (struct listener){true, port, type, accept, arg};
    return 0;
}

void vsock_unlisten(uint32_t port)
{
    struct listener *listener = listener_at(port);

    if (listener)
        listener->used = false;
}

bool vsock_port_is_taken(uint32_t port)
{
    for (unsigned i = 0; i < used; i++)
        if (connections[i].state != VSOCK_FREE && connections[i].own_port == port)
            return true;
    return listener_at(port) != NULL;
}

/* There are more ports than connections and listeners, so one is soon found. */
uint32_t vsock_free_port(void)
{
    if (next_port < FIRST_FREE_PORT)
        next_port = FIRST_FREE_PORT + (uint32_t)platform_random() % 0x40000000u;
    while (next_port < FIRST_FREE_PORT || next_port == VSOCK_PORT_ANY ||
           vsock_port_is_taken(next_port))
        next_port++;
    return next_port++;
}

/* ---- receiving ---- */

bool vsock_can_receive(void)
{
    return answer_head - answer_tail < ANSWERS;
}

/* An RST is never the answer to one. */
static void answer(const struct virtio_vsock_hdr *hdr, struct vsock_address peer)
{
    if (le16_to_cpu(hdr->op) == VIRTIO_VSOCK_OP_RST)
        return;
    answers[answer_head++ % ANSWERS] =
        (struct answer){peer, le32_to_cpu(hdr->dst_port), le16_to_cpu(hdr->type)};
    has_work = true;
}

static void take_request(const struct virtio_vsock_hdr *hdr, struct vsock_address peer)
{
    struct listener *listener = listener_at(le32_to_cpu(hdr->dst_port));
    struct vsock_connection *connection;

    if (!listener || listener->type != le16_to_cpu(hdr->type) ||
        open_connection(listener->port, peer, listener->type, VSOCK_CONNECTED, &connection) != 0) {
        answer(hdr, peer);
        return;
    }
    connection->peer_buf_alloc = le32_to_cpu(hdr->buf_alloc);
    vsock_connection_send(connection, VIRTIO_VSOCK_OP_RESPONSE);
    if (listener->accept(listener->arg, connection) < 0) {
        connection->owned = false;
        vsock_connection_end(connection, 0);
        answer(hdr, peer);
    }
}

/* Can the addresses and the length be true? */
static bool is_sound(const struct virtio_vsock_hdr *hdr, uint32_t len)
{
    return own_cid && len >= sizeof(*hdr) && le32_to_cpu(hdr->len) <= len - sizeof(*hdr) &&
           le64_to_cpu(hdr->dst_cid) == own_cid && le64_to_cpu(hdr->src_cid) < UINT32_MAX;
}

bool vsock_receive(struct vsock_packet *packet, uint32_t len)
{
    struct virtio_vsock_hdr hdr = *(volatile struct virtio_vsock_hdr *)packet->hdr;
    struct vsock_address peer = {(uint32_t)le64_to_cpu(hdr.src_cid), le32_to_cpu(hdr.src_port)};
    struct vsock_connection *connection;
    unsigned type = le16_to_cpu(hdr.type);

    vsock_counters.received++;
    if (!is_sound(&hdr, len)) {
        vsock_counters.bad++;
        return false;
    }
    connection = find(le32_to_cpu(hdr.dst_port), peer);
    if (type > VSOCK_TYPE_SEQPACKET || !(types >> type & 1) ||
        (connection && connection->type != type)) { /* VSOCK-RXTX-2 */
        vsock_counters.bad++;
        answer(&hdr, peer);
        return false;
    }
    if (connection) /* else an RST is on its way to it */
        return connection->state != VSOCK_ENDED &&
               vsock_connection_receive(connection, &hdr, packet);
    if (le16_to_cpu(hdr.op) == VIRTIO_VSOCK_OP_REQUEST) {
        take_request(&hdr, peer);
    } else {
        vsock_counters.unknown++;
        answer(&hdr, peer);
    }
    return false;
}

/* ---- sending and telling ---- */

void vsock_address_packet(struct virtio_vsock_hdr *hdr, uint32_t own_port,
                          struct vsock_address peer, unsigned op, uint32_t len)
{
    *hdr = (struct virtio_vsock_hdr){.src_cid = cpu_to_le64(own_cid),
                                     .dst_cid = cpu_to_le64(peer.cid),
                                     .src_port = cpu_to_le32(own_port),
                                     .dst_port = cpu_to_le32(peer.port),
                                     .len = cpu_to_le32(len),
                                     .op = cpu_to_le16((uint16_t)op)};
}

static bool send_answer(void)
{
    const struct answer *next = &answers[answer_tail % ANSWERS];
    struct vsock_packet *packet = virtio_vsock_packet(false);

    if (!packet)
        return false;
    vsock_address_packet(packet->hdr, next->own_port, next->peer, VIRTIO_VSOCK_OP_RST, 0);
    packet->hdr->type = cpu_to_le16(next->type);
    if (!virtio_vsock_transmit(packet, sizeof(*packet->hdr)))
        return false;
    answer_tail++;
    return true;
}

static unsigned expire(void)
{
    uint64_t now_ns;
    unsigned done = 0;

    if (next_deadline_ns == PLATFORM_NO_DEADLINE)
        return 0;
    now_ns = platform_now_ns();
    if (now_ns < next_deadline_ns)
        return 0;
    next_deadline_ns = PLATFORM_NO_DEADLINE;
    for (unsigned i = 0; i < used; i++) {
        struct vsock_connection *c = &connections[i];

        if (c->state == VSOCK_FREE || c->deadline_ns == PLATFORM_NO_DEADLINE)
            continue;
        if (c->deadline_ns > now_ns) {
            vsock_connection_set_deadline(c, c->deadline_ns);
            continue;
        }
        vsock_connection_expire(c);
        done++;
    }
    return done;
}

unsigned vsock_work(bool more_room)
{
    static unsigned first; /* another each time, so that none is always last */
    unsigned done = expire();

    if (!has_work && !more_room)
        return done;
    has_work = is_blocked = false;
    while (answer_tail != answer_head && send_answer())
        done++;
    is_blocked = answer_tail != answer_head;
    trim();
    first++;
    for (unsigned i = 0; i < used; i++) {
        struct vsock_connection *c = &connections[(first + i) % used];

        while (c->pending && vsock_connection_send_pending(c))
            done++;
        vsock_connection_look_for_room(c);
        is_blocked = is_blocked || vsock_connection_is_blocked(c);
        has_work = has_work || c->tell;
    }
    return done;
}

static void tell_one(struct vsock_connection *connection, unsigned what)
{
    const struct vsock_callbacks *to = connection->callbacks;

    if (!to)
        return;
    if (what == VSOCK_TELL_CONNECTED && to->connected)
        to->connected(connection->arg, connection);
    else if (what == VSOCK_TELL_READABLE && to->readable)
        to->readable(connection->arg, connection);
    else if (what == VSOCK_TELL_WRITABLE && to->writable)
        to->writable(connection->arg, connection);
    else if (what == VSOCK_TELL_END && to->ended)
        to->ended(connection->arg, connection, connection->error);
}

/* A callback may close its connection, and open another in its place, which has nothing to tell. */
unsigned vsock_tell(void)
{
    unsigned done = 0;

    for (unsigned i = 0; i < used; i++) {
        struct vsock_connection *c = &connections[i];

        while (c->tell) {
            unsigned what = c->tell & -c->tell;

            c->tell &= ~what;
            tell_one(c, what);
            done++;
        }
    }
    return done;
}

/* ---- the device comes and goes ---- */

void vsock_set_types(unsigned of_device)
{
    types = of_device;
}

void vsock_lose(uint32_t cid)
{
    own_cid = cid;
    answer_tail = answer_head;
    is_blocked = false;
    next_deadline_ns = PLATFORM_NO_DEADLINE; /* else the loop would not sleep without a device */
    for (unsigned i = 0; i < used; i++) {
        if (connections[i].state == VSOCK_FREE)
            continue;
        if (connections[i].state != VSOCK_ENDED) {
            vsock_connection_end(&connections[i], -ECONNRESET);
            vsock_counters.lost++;
        } else {
            connections[i].pending = 0;
            vsock_connection_settle(&connections[i]);
        }
    }
}

void vsock_detach(void)
{
    vsock_lose(0);
    for (unsigned i = 0; i < used; i++) {
        vsock_connection_drop_unread(&connections[i]);
        vsock_marks_free(&connections[i]);
        if (connections[i].reserved)
            vsock_packets_unreserve(1);
        connections[i].reserved = false;
    }
    vsock_tell();
    vsock_packets_finish();
    has_work = false;
}

void vsock_print_report(void)
{
    const struct vsock_counters *n = &vsock_counters;
    unsigned open = 0, listening = 0;

    for (unsigned i = 0; i < used; i++)
        open += connections[i].state != VSOCK_FREE;
    for (unsigned i = 0; i < VSOCK_LISTENERS_MAX; i++)
        listening += listeners[i].used;
    if (!own_cid)
        log_info("vsock: no device");
    log_info(
        "vsock-report: cid=%u connections=%u listeners=%u rx_packets=%llu rx_bytes=%llu "
        "tx_packets=%llu tx_bytes=%llu kept=%llu gathered=%llu bad=%llu unknown=%llu lost=%llu",
        own_cid, open, listening, (unsigned long long)n->received,
        (unsigned long long)n->received_bytes, (unsigned long long)n->sent,
        (unsigned long long)n->sent_bytes, (unsigned long long)n->kept,
        (unsigned long long)n->gathered, (unsigned long long)n->bad, (unsigned long long)n->unknown,
        (unsigned long long)n->lost);
}
