/*
 * proof_vsock.c - packets of a socket device that say anything (5.10.6): payload is taken only as
 * far as it was written and as the buffer has room, credit is what the peer's counts allow and never
 * more than it has, and what is kept of a connection adds up.
 */
// unwind: 5
// variant header: -DHEADER
// variant receive: -DRECEIVE
// variant consume: -DCONSUME
// variant credit: -DCREDIT
// control header: vsock/vsock.c: le32_to_cpu(hdr->len) <= len - sizeof(*hdr) && => 1 &&
// control header: vsock/vsock.c: len >= sizeof(*hdr) && le32 => le32
// control receive: vsock/vsock_connection.c: len > VSOCK_BUFFER_SIZE - connection->unread) => len > VSOCK_BUFFER_SIZE)
// control receive: vsock/vsock_connection.c: len <= VSOCK_PAYLOAD_MAX - last->len => len <= VSOCK_PAYLOAD_MAX
// control receive: vsock/vsock_connection.c: packet->len = len; =>
// control consume: vsock/vsock_connection.c: bytes < connection->unread ? (uint32_t)bytes : connection->unread => (uint32_t)bytes
// control consume: vsock/vsock_connection.c: left -= n; => left = 0;
// control credit: vsock/vsock_connection.c: if (more > connection->tx_cnt - connection->peer_fwd_cnt) => if (0)
// control credit: vsock/vsock_connection.c: used < connection->peer_buf_alloc ? => 1 ?
#include "proof.h"

#include "vsock/vsock_impl.h"
#undef VSOCK_PACKET_SIZE
#undef VSOCK_BUFFER_SIZE
#undef VSOCK_CONNECTIONS_MAX
#undef VSOCK_LISTENERS_MAX
#define VSOCK_BUFFER_SIZE 32u
#define VSOCK_PACKET_SIZE 60u
#define VSOCK_CONNECTIONS_MAX 2u
#define VSOCK_LISTENERS_MAX 2u

#ifdef HEADER
#include "vsock/vsock.c"
struct vsock_counters vsock_counters;
#else
#define memcpy copy_checked
#define memset(to, value, len) copy_checked(to, to, len)
#include "vsock/vsock_connection.c"
#endif

#define PACKETS 2u

static struct vsock_packet packet[PACKETS + 1];
static bool given[PACKETS + 1];

void vsock_packet_give(struct vsock_packet *back)
{
    size_t i = (size_t)(back - packet);

    claim(i <= PACKETS && !given[i]);
    given[i] = true;
}

uint64_t platform_now_ns(void)
{
    return any_u64() / 2;
}

#ifdef HEADER

static struct vsock_connection *meant;
static uint32_t written;

bool vsock_connection_receive(struct vsock_connection *connection,
                              const struct virtio_vsock_hdr *hdr, struct vsock_packet *of)
{
    claim(connection == meant && of == &packet[0]);
    claim(connection->peer.cid == hdr->src_cid && connection->peer.port == hdr->src_port);
    claim(connection->own_port == hdr->dst_port && hdr->dst_cid == own_cid);
    claim(sizeof(*hdr) + hdr->len <= written);
    return any_bool();
}

static void check(void)
{
    packet[0].hdr = malloc(VSOCK_PACKET_SIZE);
    own_cid = any_u32();
    types = any_unsigned();
    used = 1;
    meant = &connections[0];
    meant->state = any_u8() % (VSOCK_ENDED + 1);
    meant->type = any_u8() % 2;
    meant->peer = (struct vsock_address){any_u32(), any_u32()};
    meant->own_port = any_u32();
    meant->pending = any_unsigned();
    answer_head = any_unsigned();
    answer_tail = any_unsigned();
    assume(vsock_can_receive());
    written = any_u32();
    assume(written <= VSOCK_PACKET_SIZE);
    vsock_receive(&packet[0], written);
    claim(answer_head - answer_tail <= ANSWERS);
}

#else

static struct vsock_connection *c;

void vsock_connection_send(struct vsock_connection *connection, unsigned op)
{
    claim(connection == c && op < 32);
    connection->pending |= 1u << op;
}

void vsock_connection_tell(struct vsock_connection *connection, unsigned what)
{
    claim(connection == c);
    connection->tell |= what;
}

void vsock_set_work(void)
{
}

void vsock_connection_set_deadline(struct vsock_connection *connection, uint64_t ns)
{
    connection->deadline_ns = ns;
}

void vsock_marks_set(struct vsock_connection *connection, uint32_t flags)
{
    claim(connection == c);
    (void)flags;
}

void vsock_marks_clear(struct vsock_connection *connection)
{
    claim(connection == c);
}

void vsock_marks_free(struct vsock_connection *connection)
{
    claim(connection == c);
}

void vsock_packets_unreserve(unsigned count)
{
    claim(count == 1);
}

/* As many packets as are kept, none empty, and the sum is what is unread. */
static bool is_valid(void)
{
    const struct vsock_packet *at = c->first, *last = NULL;
    uint32_t sum = 0;
    unsigned n;

    for (n = 0; n <= PACKETS + 1 && at; n++) {
        size_t i = (size_t)(at - packet);

        if (i > PACKETS || given[i] || at->len > VSOCK_PAYLOAD_MAX || at->taken >= at->len)
            return false;
        sum += at->len - at->taken;
        last = at;
        at = at->next;
    }
    return !at && last == c->last && sum == c->unread && c->unread <= VSOCK_BUFFER_SIZE;
}

static void any_connection(void)
{
    unsigned kept = any_unsigned() % (PACKETS + 1), i;

    for (i = 0; i <= PACKETS; i++)
        packet[i] = (struct vsock_packet){malloc(VSOCK_PACKET_SIZE), any_u32(), any_u32(), NULL};
    c->first = kept ? &packet[0] : NULL;
    c->last = kept ? &packet[kept - 1] : NULL;
    if (kept == PACKETS)
        packet[0].next = &packet[1];
    packet[PACKETS].len = packet[PACKETS].taken = 0;
}

#if defined(RECEIVE)
static void check(void)
{
    struct virtio_vsock_hdr hdr;
    bool kept;

    any_connection();
    assume(is_valid() && c->owned && hdr.len <= VSOCK_PAYLOAD_MAX);
    kept = vsock_connection_receive(c, &hdr, &packet[PACKETS]);
    claim(is_valid());
    claim(kept == (c->last == &packet[PACKETS]));
}
#elif defined(CONSUME)
static void check(void)
{
    size_t skip = any_u64(), len;
    const void *from;
    uint32_t before, counted;

    any_connection();
    assume(is_valid());
    from = vsock_peek(c, skip, &len);
    claim(from ? len > 0 && __CPROVER_r_ok(from, len) : len == 0);
    before = c->unread;
    counted = c->fwd_cnt;
    vsock_consume(c, any_u64());
    claim(is_valid() && before - c->unread == c->fwd_cnt - counted);
}
#else
/* What is under way to the peer was within a credit of its. */
static void check(void)
{
    struct virtio_vsock_hdr hdr;
    uint32_t sent = c->tx_cnt - c->peer_fwd_cnt;
    bool good = take_credit(c, &hdr);

    claim(c->tx_cnt - c->peer_fwd_cnt <= sent);
    claim(!good || (uint64_t)credit(c) + (c->tx_cnt - c->peer_fwd_cnt) <= c->peer_buf_alloc ||
          credit(c) == 0);
    claim(!good || c->peer_buf_alloc == hdr.buf_alloc);
}
#endif
#endif

int main(void)
{
#ifndef HEADER
    c = malloc(sizeof(*c));
#endif
    check();
    return 0;
}
